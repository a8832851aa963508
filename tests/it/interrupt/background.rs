//! Work that earlier cells have left to threads goes on, also where it asks for interrupts itself.

use super::{Ready, SOON, interrupt, session, survives};

#[tokio::test(flavor = "multi_thread")]
async fn a_press_leaves_the_work_of_other_threads_alone() {
    let mut frontend = session().await;
    let setup = [
        "use std::sync::atomic::AtomicBool;\n\
         static STOP: AtomicBool = AtomicBool::new(false);\n\
         static STARTED: AtomicU64 = AtomicU64::new(0);\n\
         /// How often the work succeeded; whether it ever failed.\n\
         fn again(work: impl Fn() -> bool) -> (u64, bool) {\n\
             let (mut rounds, mut failed) = (0, false);\n\
             while !STOP.load(Relaxed) {\n\
                 STARTED.fetch_add(u64::from(rounds == 0), Relaxed);\n\
                 if work() { rounds += 1 } else { failed = true }\n\
             }\n\
             (rounds, failed)\n\
         }",
        "let many = {\n\
             let x: Vec<f64> = (0..20_000u64).map(|i| (i * 7919 % 9973) as f64).collect();\n\
             let y: Vec<&str> = (0..20_000u64).map(|i| [\"a\", \"b\"][(i * i % 7 % 2) as usize]).collect();\n\
             df!(\"x\" => x, \"y\" => y)?\n\
         };",
        "let rows = many.clone();\n\
         let fits = std::thread::spawn(move || again(|| {\n\
             model::RandomForest::new().with_n_estimators(8).fit(&rows, \"y\").is_ok()\n\
         }));\n\
         let rows = many.clone();\n\
         let queries = std::thread::spawn(move || again(|| {\n\
             let means = rows.clone().lazy().group_by([col(\"y\")]).agg([col(\"x\").mean()]);\n\
             let collect = std::panic::AssertUnwindSafe(|| means.collect().is_ok());\n\
             std::panic::catch_unwind(collect).unwrap_or(false)\n\
         }));",
        "while STARTED.load(Relaxed) < 2 { std::thread::yield_now(); }",
    ];
    for code in setup {
        let done = frontend.execute(code).await;
        assert_eq!(done.reply["status"], "ok", "{}", done.reply);
    }
    for code in [
        "println!(\"go\");\nlet mut i = 0u64; loop { i = std::hint::black_box(i + 1); }",
        "println!(\"go\");\nstd::thread::sleep(Duration::from_secs(100));",
        "println!(\"go\");\nstd::future::pending::<()>().await;",
    ] {
        let ended = interrupt(&mut frontend, code, Ready::Printed).await;
        assert!(ended.took < SOON, "{code}: {:?}", ended.took);
        survives(&mut frontend, code).await;
    }
    let done = frontend
        .execute(
            "STOP.store(true, Relaxed);\n\
             let done = [fits, queries].map(|thread| thread.join().ok());\n\
             done.map(|done| done.is_some_and(|(rounds, failed)| rounds > 0 && !failed))",
        )
        .await;
    assert_eq!(done.result(), "[true, true]", "{}", done.reply);
    frontend.shut_down().await;
}
