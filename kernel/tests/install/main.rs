//! Installs a prelude in small and adds dependencies to it: cargo, rustc and the dynamic linker are
//! real, only the crates are few. Nothing is fetched: all crates are in this workspace's own lock.

mod cell;
mod checkout;

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use oxilab_kernel::dep::{self, DepError, Dependency, SessionLibrary};
use oxilab_kernel::install::{InstallOptions, Place, Prelude, install};
use oxilab_kernel::server::handler::{Output, OutputSender};

use checkout::Checkout;

/// The small prelude, installed once for all tests.
fn installed() -> &'static (Checkout, Prelude) {
    static INSTALLED: OnceLock<(Checkout, Prelude)> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let checkout = Checkout::new();
        let prelude = checkout.install(&mut |_| {});
        (checkout, prelude)
    })
}

/// Adds dependencies and returns what was said.
async fn add(
    earlier: &[SessionLibrary],
    all: &str,
    new: &str,
) -> (Result<SessionLibrary, DepError>, String) {
    let (checkout, prelude) = installed();
    let parse = |text: &str| Dependency::parse(text, checkout.folder()).expect("dependencies");
    let (output, mut receiver) = OutputSender::channel();
    let said = tokio::spawn(async move {
        let mut said = String::new();
        while let Some(output) = receiver.recv().await {
            if let Output::Stream { text, .. } = output {
                said += &text;
            }
        }
        said
    });
    let cache = checkout.folder().join("cache");
    let built = dep::build(prelude, earlier, &parse(all), &parse(new), &cache, &output).await;
    drop(output);
    (built, said.await.expect("said"))
}

#[test]
fn an_installation_is_whole_and_is_found() {
    let (checkout, prelude) = installed();
    assert_eq!(Prelude::find(&checkout.data_dir()).expect("found"), *prelude);
    for file in [&prelude.library, &prelude.worker, &prelude.kernel, &prelude.std_library] {
        assert!(file.is_file(), "{}", file.display());
    }
    assert_eq!(prelude.flags, ["-C", "target-cpu=native"]);
    assert!(prelude.externs.contains_key("serde"), "{:?}", prelude.externs);
    assert!(!prelude.externs.contains_key("oxilab_worker"));
    let spec = checkout.folder().join("prefix/share/jupyter/kernels/oxilab/kernel.json");
    let spec: serde_json::Value =
        serde_json::from_slice(&fs::read(spec).expect("kernelspec")).expect("JSON");
    let program = Path::new(spec["argv"][0].as_str().expect("a program"));
    assert_eq!(
        program.canonicalize().expect("program"),
        prelude.kernel.canonicalize().expect("kernel")
    );
}

#[test]
fn installing_again_changes_nothing_and_a_cell_runs() {
    let (checkout, prelude) = installed();
    let again = checkout.install(&mut |_| {});
    assert_eq!(again.build_id, prelude.build_id);
    let text = cell::run(prelude, &[], "oxilab::greeting(&oxilab::Point { x: 1 })");
    assert_eq!(text, r#"hello {"x":1}"#);
}

#[test]
fn a_checkout_that_is_none_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let options = InstallOptions::new(Place::Prefix(folder.path().to_owned()))
        .with_source(Some(folder.path().to_owned()))
        .with_data_dir(folder.path().join("data"));
    let error = install(&options, &mut |_| {}).expect_err("no checkout");
    assert!(error.to_string().contains("--source"), "{error}");
    assert!(!folder.path().join("data").exists());
}

#[tokio::test]
async fn shared_crates_are_the_same_crate_and_macros_work() {
    let (checkout, prelude) = installed();
    checkout.write_crate("mine", "serde = { version = \"1\", features = [\"derive\"] }", MINE);
    let (built, said) = add(&[], "", "mine = { path = \"mine\" }").await;
    let library = built.unwrap_or_else(|error| panic!("{error}\n{said}"));
    // `greeting` takes the prelude's `Serialize`: `mine`'s derive made it for the same trait.
    let text = cell::run(prelude, &[library.clone()], "oxilab::greeting(&mine::Thing { y: 2 })");
    assert_eq!(text, r#"hello {"y":2}"#);
    assert_eq!(cell::run(prelude, &[library], "mine::twice!(21).to_string()"), "42");
    let (_, said) = add(&[], "", "mine = { path = \"mine\" }").await;
    assert_eq!(said, "From the cache.\n");
}

const MINE: &str = r#"
#[derive(serde::Serialize)]
pub struct Thing { pub y: u8 }
#[macro_export]
macro_rules! twice { ($x:expr) => { $x * 2 } }
"#;

#[tokio::test]
async fn crates_of_a_registry_and_their_derive_macros_work() {
    let (_, prelude) = installed();
    // Both are in this workspace's lock, and so on this machine.
    let (built, said) = add(&[], "", "heck = \"0.5\"\nthiserror = { version = \"2\" }").await;
    let library = built.unwrap_or_else(|error| panic!("{error}\n{said}"));
    assert!(!said.contains("Note"), "{said}");
    let code = r#"{
        use heck::ToSnakeCase;
        #[derive(Debug, thiserror::Error)]
        #[error("bad {0}")]
        struct Bad(u8);
        format!("{}: {}", "HelloWorld".to_snake_case(), Bad(4))
    }"#;
    assert_eq!(cell::run(prelude, &[library], code), "hello_world: bad 4");
}

#[tokio::test]
async fn a_later_library_builds_on_an_earlier_one() {
    let (checkout, prelude) = installed();
    let counter =
        "pub static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(7);";
    checkout.write_crate("counter", "", counter);
    let path = checkout.folder().join("counter");
    let uses =
        "pub fn next() -> u32 { counter::COUNT.fetch_add(1, std::sync::atomic::Ordering::SeqCst) }";
    checkout.write_crate("above", &format!("counter = {{ path = {path:?} }}"), uses);
    let first = add(&[], "", "counter = { path = \"counter\" }").await.0.expect("first");
    let earlier = [first.clone()];
    let (second, said) =
        add(&earlier, "counter = { path = \"counter\" }", "above = { path = \"above\" }").await;
    let second = second.unwrap_or_else(|error| panic!("{error}\n{said}"));
    assert!(!second.externs.contains_key("counter"), "{second:?}");
    // One static in the process: what `above` counts, a cell sees in `counter`.
    let code =
        "{ above::next(); counter::COUNT.load(std::sync::atomic::Ordering::SeqCst).to_string() }";
    assert_eq!(cell::run(prelude, &[first, second], code), "8");
}

#[tokio::test]
async fn a_missing_feature_sets_a_crate_apart_and_says_so() {
    let (checkout, prelude) = installed();
    checkout.write_crate(
        "wants_more",
        "serde = { version = \"1\", features = [\"derive\", \"rc\"] }",
        "#[derive(serde::Serialize)]\npub struct Shared { pub z: std::rc::Rc<u8> }\n\
         pub fn count() -> u8 { *Shared { z: std::rc::Rc::new(3) }.z }",
    );
    let (built, said) = add(&[], "", "wants_more = { path = \"wants_more\" }").await;
    let library = built.unwrap_or_else(|error| panic!("{error}\n{said}"));
    assert!(said.contains("`serde` lacks `rc`"), "{said}");
    assert_eq!(cell::run(prelude, &[library], "wants_more::count().to_string()"), "3");
}

#[tokio::test]
async fn a_dependency_that_does_not_compile_leaves_nothing() {
    let (checkout, prelude) = installed();
    checkout.write_crate("broken", "", "pub fn f() -> u8 { \"\" }");
    let (built, _) = add(&[], "", "broken = { path = \"broken\" }").await;
    let error = built.expect_err("does not compile").to_string();
    assert!(error.contains("cargo build") && error.contains("mismatched types"), "{error}");
    let (built, _) = add(&[], "", "missing = { path = \"not-there\" }").await;
    let error = built.expect_err("is not there").to_string();
    assert!(error.contains("not-there"), "{error}");
    let cache = checkout.folder().join("cache/deps").join(&prelude.build_id);
    let left = fs::read_dir(cache).expect("cache");
    let left: Vec<_> = left.filter_map(Result::ok).map(|entry| entry.file_name()).collect();
    assert!(
        left.iter().all(|name| name.to_string_lossy().len() == 16
            || name.to_string_lossy().starts_with(".new-")),
        "{left:?}"
    );
}
