//! What must not bring the engine down: each gets a clear error or none, and the next cell works.

use std::path::Path;
use std::sync::Arc;

use oxilab_kernel::server::handler::CellRunner;
use oxilab_kernel::session::Config;

use crate::engine::{run, start};

async fn start_with_cache(cache: &Path) -> Arc<dyn CellRunner> {
    start(Config { cache: cache.to_owned(), ..Config::default() }).await
}

async fn still_works(runner: &Arc<dyn CellRunner>) {
    assert_eq!(run(runner, "kept.len()").await.as_deref(), Ok("3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_cells_get_an_error_and_lose_nothing() {
    let runner = start(Config::default()).await;
    run(&runner, "let kept = vec![1, 2, 3];").await.expect("runs");
    for (code, ename) in [
        ("let a = (1 + ;", "CompileError"),
        ("fn f( {", "CompileError"),
        ("let text = \"open", "CompileError"),
        ("let zero = \0;", "CompileError"),
        ("vec![1, \"a\"]", "CompileError[E0308]"),
        ("macro_rules! twice { ($e:expr) => { $e + $e } }\ntwice!(\"a\")", "CompileError[E0369]"),
        ("%no_such_magic", "UsageError"),
    ] {
        let error = run(&runner, code).await.expect_err(code);
        let shown = error.traceback.join("\n");
        assert!(error.ename.starts_with(ename), "{code:?}: {} {shown}", error.ename);
        assert!(
            !shown.contains("oxilab_cell_main") && !shown.contains("__rt"),
            "{code:?}: {shown}"
        );
        still_works(&runner).await;
    }
    runner.shutdown(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_of_a_megabyte_runs() {
    let runner = start(Config::default()).await;
    let numbers: Vec<String> = (0..150_000).map(|n| (n % 100_000 + 100_000).to_string()).collect();
    let code = format!("let numbers: &[i32] = &[{}];\nnumbers.len()", numbers.join(","));
    assert!(code.len() > 1 << 20);
    let shown = run(&runner, &code).await.expect("runs");
    assert!(shown.starts_with("150000"), "{shown}");
    let comment = format!("// {}\n1 + 1", "é".repeat(1 << 19));
    assert_eq!(run(&runner, &comment).await.as_deref(), Ok("2"));
    runner.shutdown(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_memory_than_there_is_ends_the_worker_and_names_what_is_lost() {
    let runner = start(Config::default()).await;
    run(&runner, "let kept = vec![1, 2, 3];").await.expect("runs");
    let error = run(&runner, "let huge: Vec<u8> = Vec::with_capacity(1 << 50);").await;
    let shown = error.expect_err("there is not that much").traceback.join("\n");
    assert!(shown.contains("a failed allocation") && shown.contains("lost: kept"), "{shown}");
    assert_eq!(run(&runner, "1 + 1").await.as_deref(), Ok("2"));
    runner.shutdown(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_kernels_share_a_cold_cache() {
    let cache = tempfile::tempdir().expect("a folder");
    let runners = [start_with_cache(cache.path()).await, start_with_cache(cache.path()).await];
    let cells =
        ["fn twice(n: i32) -> i32 { n * 2 }", "let seven = 7;", "twice(seven)", "seven + 1"];
    let notebooks = runners.iter().map(|runner| async move {
        let mut shown = Vec::new();
        for cell in cells {
            shown.push(run(runner, cell).await.expect("runs"));
        }
        shown
    });
    for shown in futures::future::join_all(notebooks).await {
        assert_eq!(shown, ["", "", "14", "8"]);
    }
    for runner in &runners {
        runner.shutdown(false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_cannot_be_is_an_error_of_every_cell() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").expect("writes");
    let runner = start_with_cache(&file).await;
    let error = run(&runner, "1 + 1").await.expect_err("has no cache");
    assert!(error.evalue.contains("cache") && error.evalue.contains("a-file"), "{}", error.evalue);
    runner.shutdown(false).await;
}

/// A disk of 256 KiB, for as long as it is held; `None` where this user may not mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(folder.path());
        mount.output().is_ok_and(|done| done.status.success()).then(|| Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The folder goes with what is in it if this fails.
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_cache_is_named_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("not run: only root may mount a small disk");
        return;
    };
    let runner = start_with_cache(disk.0.path()).await;
    run(&runner, "let kept = vec![1, 2, 3];").await.expect("the first cell fits");
    std::fs::write(disk.0.path().join("filler"), vec![0; 250 << 10])
        .expect_err("the disk is full now");
    let error = run(&runner, "kept.iter().sum::<i32>()").await.expect_err("has no room");
    let shown = error.traceback.join("\n");
    assert!(shown.contains("No space left") || shown.contains("os error 28"), "{shown}");
    std::fs::remove_file(disk.0.path().join("filler")).expect("is there");
    assert_eq!(run(&runner, "kept.iter().sum::<i32>()").await.as_deref(), Ok("6"));
    runner.shutdown(false).await;
}
