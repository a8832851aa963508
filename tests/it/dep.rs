//! `%dep` with crates in folders, which needs no network: what it adds works as in a program of its own.

use std::path::Path;

use oxilab_kernel::session::Config;

use crate::engine::{run, start};

fn package(folder: &Path, name: &str, manifest: &str, code: &str) {
    let folder = folder.join(name);
    std::fs::create_dir_all(folder.join("src")).expect("makes");
    let head = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    std::fs::write(folder.join("Cargo.toml"), head + manifest).expect("writes");
    std::fs::write(folder.join("src/lib.rs"), code).expect("writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crate_brings_functions_macros_derives_and_the_preludes_own_types() {
    let folder = tempfile::tempdir().expect("a folder");
    package(
        folder.path(),
        "named-derive",
        "[lib]\nproc-macro = true\n",
        "use proc_macro::TokenStream;\n\
         #[proc_macro_derive(Named)]\n\
         pub fn named(input: TokenStream) -> TokenStream {\n\
             let name = input.into_iter().skip_while(|token| token.to_string() != \"struct\").nth(1).expect(\"a name\");\n\
             format!(\"impl Named for {name} {{ const NAME: &'static str = \\\"{name}\\\"; }}\").parse().expect(\"code\")\n\
         }\n",
    );
    package(
        folder.path(),
        "shout",
        "[dependencies]\nregex = \"1\"\nnamed-derive = { path = \"../named-derive\" }\n",
        "pub use named_derive::Named;\n\
         pub trait Named { const NAME: &'static str; }\n\
         pub fn pattern() -> regex::Regex { regex::Regex::new(\"[a-z]+\").expect(\"valid\") }\n\
         #[macro_export] macro_rules! shout { ($text:expr) => { $text.to_uppercase() } }\n",
    );
    let config = Config { directory: folder.path().to_owned(), ..Config::default() };
    let runner = start(config).await;
    run(&runner, "let kept = 3_usize;").await.expect("runs");
    run(&runner, "%dep shout = { path = \"shout\" }").await.expect("builds");
    assert_eq!(run(&runner, "shout::shout!(\"loud\")").await.as_deref(), Ok("\"LOUD\""));
    // The crate's regex is the prelude's.
    let code =
        "let pattern: Regex = shout::pattern();\npattern.find_iter(\"ab cd\").count() + kept";
    assert_eq!(run(&runner, code).await.as_deref(), Ok("5"));
    run(&runner, "use shout::Named;\n#[derive(Named)]\nstruct Dog;").await.expect("derives");
    assert_eq!(run(&runner, "<Dog as Named>::NAME").await.as_deref(), Ok("\"Dog\""));

    package(folder.path(), "broken", "", "pub fn f() -> u8 { \"text\" }\n");
    let error = run(&runner, "%dep broken = { path = \"broken\" }").await.expect_err("fails");
    assert!(error.traceback.join("\n").contains("mismatched types"), "{:?}", error.traceback);
    let error = run(&runner, "%dep nowhere = { path = \"nowhere\" }").await.expect_err("fails");
    assert!(error.traceback.join("\n").contains("nowhere"), "{:?}", error.traceback);
    assert_eq!(run(&runner, "shout::shout!(\"still\").len() + kept").await.as_deref(), Ok("8"));

    // After a crash the crates are still there, the values are not.
    run(&runner, "std::process::abort();").await.expect_err("crashes");
    assert_eq!(run(&runner, "shout::shout!(\"again\")").await.as_deref(), Ok("\"AGAIN\""));
    runner.shutdown(false).await;
}
