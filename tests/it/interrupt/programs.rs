//! Programs that the kernel waits for: a press ends them, with whatever they have started.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use oxilab_tests::engine::run;
use oxilab_tests::frontend::Frontend;

use super::{Ready, SOON, interrupt, session, survives, within};

/// The kernel is a process of its own here, because other tests' kernels call rustc as well.
#[tokio::test(flavor = "multi_thread")]
async fn no_rustc_goes_on_for_a_cell_that_was_interrupted() {
    let mut frontend = Frontend::spawn(&crate::binary::oxilab(), &[]).await;
    let kernel = frontend.process_id().expect("has a process");
    run(&mut frontend, "let kept = vec![40, 1, 1];").await;
    let groups = RefCell::new(Vec::new());
    let compiles = || {
        let rustc = processes().into_iter().filter(|one| one.parent == kernel);
        let rustc = rustc.filter(|one| one.name.starts_with("rustc"));
        *groups.borrow_mut() = rustc.map(|one| one.group).collect();
        !groups.borrow().is_empty()
    };
    let code = "#[allow(long_running_const_eval)]\n\
                const N: u64 = { let mut i = 0; while i < 4_000_000_000 { i += 1; } i };\n\
                N";
    let ended = interrupt(&mut frontend, code, Ready::When(&compiles)).await;
    assert!(ended.took < SOON, "{:?}", ended.took);
    let groups = groups.into_inner();
    let is_over = || processes().iter().all(|one| !groups.contains(&one.group));
    assert!(within(SOON, &is_over).await, "rustc goes on");
    survives(&mut frontend, "rustc").await;
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_ends_cargo_and_the_build_script_that_it_runs() {
    let mut frontend = session().await;
    let folder = tempfile::tempdir().expect("a folder");
    let started = folder.path().join("started");
    let sleeps = format!(
        "fn main() {{\n\
             std::fs::write(\"id\", std::process::id().to_string()).expect(\"writes\");\n\
             std::fs::rename(\"id\", {started:?}).expect(\"renames\");\n\
             std::thread::sleep(std::time::Duration::from_secs(600));\n\
         }}\n"
    );
    package(folder.path(), &sleeps);
    let add = format!("%dep slow-to-build = {{ path = {:?} }}", folder.path());
    let ended = interrupt(&mut frontend, &add, Ready::When(&|| started.exists())).await;
    println!("%dep: {:?}", ended.took);
    assert!(ended.took < SOON, "{:?}", ended.took);
    let script = fs::read_to_string(&started).expect("is there");
    let script: u32 = script.parse().expect("a number");
    let is_over = || processes().iter().all(|one| one.id != script);
    assert!(within(SOON, &is_over).await, "the build script goes on");
    survives(&mut frontend, "%dep").await;
    let done = run(&mut frontend, "%dep").await;
    assert_eq!(done.stream("stdout"), "No dependencies were added.\n");

    // Nothing of the first attempt stands in the way of the next.
    package(folder.path(), "fn main() {}\n");
    run(&mut frontend, &add).await;
    assert_eq!(run(&mut frontend, "slow_to_build::answer() + kept[0]").await.result(), "42");
    frontend.shut_down().await;
}

fn package(folder: &Path, script: &str) {
    let manifest = "[package]\nname = \"slow-to-build\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    fs::create_dir_all(folder.join("src")).expect("makes");
    fs::write(folder.join("Cargo.toml"), manifest).expect("writes");
    fs::write(folder.join("src/lib.rs"), "pub fn answer() -> i32 { 2 }\n").expect("writes");
    fs::write(folder.join("build.rs"), script).expect("writes");
}

/// A process that has not ended.
struct Process {
    id: u32,
    name: String,
    parent: u32,
    group: u32,
}

fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("Linux").filter_map(Result::ok);
    // One that ends while it is looked at has no file any more.
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    texts.filter_map(|text| process(&text)).collect()
}

/// `17 (name) S 1 17 …`: the name may hold anything, brackets too. A zombie has ended.
fn process(stat: &str) -> Option<Process> {
    let (id, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').take(3).collect();
    let [state, parent, group] = fields[..] else { return None };
    if state == "Z" {
        return None;
    }
    let number = |text: &str| text.parse().ok();
    Some(Process {
        id: number(id)?,
        name: name.to_owned(),
        parent: number(parent)?,
        group: number(group)?,
    })
}
