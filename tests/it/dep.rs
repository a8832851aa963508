//! `%dep` with crates in folders, which needs no network: what it adds works as in a program of its own.

use std::path::Path;

use oxilab_kernel::session::Config;
use oxilab_tests::frontend::Frontend;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_one_bar_that_moves() {
    let folder = tempfile::tempdir().expect("a folder");
    let code = "pub fn five() -> u8 { let spare = 1; 5 }\n";
    package(folder.path(), "slow", "", code);
    // Cargo says nothing of its progress in its first half second.
    let build = "fn main() { std::thread::sleep(std::time::Duration::from_millis(1500)) }\n";
    std::fs::write(folder.path().join("slow/build.rs"), build).expect("writes");
    let config = Config { directory: folder.path().to_owned(), ..Config::default() };
    let mut frontend = Frontend::start(start(config).await).await;
    let done = frontend.execute("%dep slow = { path = \"slow\" }").await;
    assert_eq!(done.reply["status"], "ok", "{}", done.reply);
    let bars: Vec<_> =
        done.outputs.iter().filter(|message| message.msg_type.ends_with("display_data")).collect();
    let [first, updates @ ..] = bars.as_slice() else { panic!("no bar: {:?}", done.outputs) };
    let id = &first.content["transient"]["display_id"];
    assert!(first.msg_type == "display_data" && id.is_string(), "{first:?}");
    assert!(!updates.is_empty());
    for update in updates {
        assert_eq!(update.msg_type, "update_display_data");
        assert_eq!(&update.content["transient"]["display_id"], id);
    }
    let text = |message: &oxilab_tests::frontend::Message, kind: &str| {
        message.content["data"][kind].as_str().expect("a text").to_owned()
    };
    let (before, last) = (text(first, "text/plain"), text(bars[bars.len() - 1], "text/plain"));
    assert!(before.starts_with("crates ") && before.contains("slow"), "{before}");
    assert!(last.starts_with("crates ") && last.contains(" 100% "), "{last}");
    assert!(text(first, "text/html").contains("<progress value="), "{first:?}");
    // What the compiler has to say is said; what cargo does is the bar's to show.
    let said = done.stream("stderr") + &done.stream("stdout");
    assert!(said.contains("unused variable: `spare`") && !said.contains("Compiling"), "{said}");
    assert_eq!(frontend.execute("slow::five()").await.result(), "5");
    frontend.shut_down().await;
}
