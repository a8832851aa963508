//! One press of the button against everything a cell can be busy with, through the protocol: the cell
//! ends with `KeyboardInterrupt`, variables survive, the next cell is taken soon.
//!
//! Here cells' own code and input; [`calls`] has the prelude's long calls, [`programs`] rustc and cargo,
//! [`background`] what is not to end.

mod background;
mod calls;
mod programs;

use std::process::Command;
use std::time::{Duration, Instant};

use oxilab_tests::engine;
use oxilab_tests::frontend::{Channel, Frontend, execute_content};
use serde_json::{Value, json};

/// The bar for what a poll, a hook or a signal ends; the machine is shared with other tests, so a
/// second is added to what a person may wait.
const SOON: Duration = Duration::from_secs(2);
/// The bar where the thread has to be parked: two seconds of nudging, then the take-over.
const PARKED: Duration = Duration::from_secs(6);
/// How long a cell may take to get where it is to be interrupted.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the interrupt brought.
pub(crate) struct Ended {
    reply: Value,
    took: Duration,
}

/// What tells that a cell is where the interrupt is meant to find it.
pub(crate) enum Ready<'a> {
    /// It has printed.
    Printed,
    /// It has asked for input.
    Asked,
    /// So much time has gone by.
    After(Duration),
    /// Something outside of the kernel has come about.
    When(&'a dyn Fn() -> bool),
}

/// Runs a cell, interrupts it once, and reads everything of it.
pub(crate) async fn interrupt(frontend: &mut Frontend, code: &str, ready: Ready<'_>) -> Ended {
    let mut content = execute_content(code);
    content["allow_stdin"] = json!(true);
    let cell = frontend.send(Channel::Shell, "execute_request", content).await;
    frontend.expect_status(&cell, "busy").await;
    frontend.expect(&cell, "execute_input").await;
    match ready {
        Ready::Printed => {
            frontend.expect(&cell, "stream").await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ready::Asked => {
            let request = frontend.reply(Channel::Stdin, &cell).await;
            assert_eq!(request.msg_type, "input_request");
        }
        Ready::After(time) => tokio::time::sleep(time).await,
        Ready::When(so) => assert!(within(PATIENCE, so).await, "{code}: was not ready in time"),
    }
    let pressed = Instant::now();
    let press = frontend.send(Channel::Control, "interrupt_request", json!({})).await;
    let reply = frontend.reply(Channel::Control, &press).await;
    assert_eq!(reply.content, json!({"status": "ok"}));
    let reply = frontend.reply(Channel::Shell, &cell).await.content;
    let took = pressed.elapsed();
    let mut idle = 0;
    while idle < 2 {
        let message = frontend.iopub().await;
        idle += usize::from(message.content["execution_state"] == "idle");
    }
    assert_eq!(reply["status"], "error", "{code}: {reply}");
    assert_eq!(reply["ename"], "KeyboardInterrupt", "{code}: {reply}");
    Ended { reply, took }
}

/// Whether something comes about in time.
async fn within(limit: Duration, so: &dyn Fn() -> bool) -> bool {
    let start = Instant::now();
    while !so() {
        if start.elapsed() > limit {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}

/// The next cell runs, within a second, and `kept` is what it was.
async fn survives(frontend: &mut Frontend, what: &str) {
    let start = Instant::now();
    let done = frontend.execute("kept.iter().sum::<i32>()").await;
    assert_eq!(done.result(), "42", "{what}: {}", done.reply);
    let took = start.elapsed();
    assert!(took < SOON, "{what}: the next cell took {took:?}");
}

async fn session() -> Frontend {
    let mut frontend = engine::start().await;
    let setup = [
        "use std::sync::atomic::{AtomicU64, Ordering::Relaxed};\n\
         static TICKS: AtomicU64 = AtomicU64::new(0);\n\
         fn spin(n: u64) -> u64 {\n\
             fn inner(n: u64) -> u64 {\n\
                 let mut sum = 0;\n\
                 while sum < n { sum = std::hint::black_box(sum + 1); }\n\
                 sum\n\
             }\n\
             inner(n)\n\
         }",
        "let kept = vec![40, 1, 1];",
        "std::thread::spawn(|| loop {\n\
             TICKS.fetch_add(1, Relaxed);\n\
             std::thread::sleep(Duration::from_millis(5));\n\
         });",
    ];
    for code in setup {
        let done = frontend.execute(code).await;
        assert_eq!(done.reply["status"], "ok", "{}", done.reply);
    }
    frontend
}

#[tokio::test(flavor = "multi_thread")]
async fn one_press_ends_whatever_runs() {
    let mut frontend = session().await;
    let cells = [
        ("loop {}", "println!(\"go\");\nloop {}"),
        (
            "a long for",
            "println!(\"go\");\nlet mut sum = 0u64;\n\
             for i in 0..u64::MAX { sum = sum.wrapping_add(std::hint::black_box(i)); }\nsum",
        ),
        (
            "a for whose iterations are quick",
            "println!(\"go\");\nlet mut v = Vec::new();\n\
             for i in 0..u64::MAX { v.push(i); if v.len() == 99 { v.retain(|x| x % 2 == 0); v.clear(); } }",
        ),
        (
            "a while that counts",
            "println!(\"go\");\nlet (mut i, mut x) = (0u64, 1u64);\n\
             while i < u64::MAX { x = x.wrapping_mul(3) ^ i; i += 1; }\nx",
        ),
        (
            "a while that counts down",
            "println!(\"go\");\nlet (mut i, mut x) = (i64::MAX, 1i64);\n\
             while i >= -9 { x = x.wrapping_mul(3) ^ i; i -= 2; }\nx",
        ),
        ("a nested function of an earlier cell", "println!(\"go\");\nspin(u64::MAX)"),
        ("a sleep", "println!(\"go\");\nstd::thread::sleep(Duration::from_secs(100));"),
        (
            "a polars query",
            "let many = df!(\"x\" => (0..40_000i64).collect::<Vec<_>>())?.lazy();\n\
             println!(\"go\");\n\
             many.clone().cross_join(many, None)\n\
                 .select([(col(\"x\") * col(\"x_right\")).sum()]).collect()?",
        ),
        (
            "candle",
            "let w = Var::randn(0f32, 1f32, (256, 256), &Device::Cpu)?;\n\
             let mut optimiser = SGD::new(vec![w.clone()], 1e-6)?;\n\
             println!(\"go\");\n\
             for step in 0..10_000_000 {\n\
                 let loss = w.matmul(w.as_tensor())?.sqr()?.mean_all()?;\n\
                 optimiser.backward_step(&loss)?;\n\
                 if step == 0 { println!(\"trains\"); }\n\
             }",
        ),
        ("an await", "println!(\"go\");\nstd::future::pending::<()>().await;"),
        ("a progress bar", "println!(\"go\");\nfor _ in progress(0..u64::MAX) {}"),
        ("what it borrows", "println!(\"go\");\nloop { std::hint::black_box(&kept); }"),
    ];
    for (what, code) in cells {
        let ended = interrupt(&mut frontend, code, Ready::Printed).await;
        println!("{what}: {:?}", ended.took);
        // polars looks at its flag between the steps of a query; this one has a single long step.
        let bar = if what == "a polars query" { PARKED } else { SOON };
        assert!(ended.took < bar, "{what}: {:?}", ended.took);
        survives(&mut frontend, what).await;
    }
    let first = frontend.execute("TICKS.load(Relaxed)").await.result().to_owned();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let second = frontend.execute("TICKS.load(Relaxed)").await.result().to_owned();
    assert_ne!(first, second, "the background thread has ended");
    frontend.shut_down().await;
}

/// Its loop comes by the same safepoints as the cell's.
#[tokio::test(flavor = "multi_thread")]
async fn a_thread_of_an_earlier_cell_goes_on() {
    let mut frontend = session().await;
    let setup = [
        "static ROUNDS: AtomicU64 = AtomicU64::new(0);\n\
         static STOP: AtomicU64 = AtomicU64::new(0);",
        "let thread = std::thread::spawn(|| {\n\
             let mut v = Vec::new();\n\
             loop {\n\
                 v.push(1u64);\n\
                 if v.len() == 1000 {\n\
                     if STOP.load(Relaxed) > 0 { break v.len(); }\n\
                     ROUNDS.fetch_add(1, Relaxed);\n\
                     v.clear();\n\
                 }\n\
             }\n\
         });",
    ];
    for code in setup {
        let done = frontend.execute(code).await;
        assert_eq!(done.reply["status"], "ok", "{}", done.reply);
    }
    for code in [
        "println!(\"go\");\nlet mut i = 0u64; loop { i = std::hint::black_box(i + 1); }",
        "println!(\"go\");\nlet mut i = 0u64; while i < u64::MAX { i = std::hint::black_box(i + 1); }",
    ] {
        let ended = interrupt(&mut frontend, code, Ready::Printed).await;
        assert!(ended.took < SOON, "{code}: {:?}", ended.took);
        survives(&mut frontend, code).await;
    }
    // A million of its iterations after all presses: it does not fault in each.
    let done = frontend
        .execute(
            "let rounds = ROUNDS.load(Relaxed);\n\
             while ROUNDS.load(Relaxed) < rounds + 1000 { std::thread::yield_now(); }\n\
             STOP.store(1, Relaxed);\n\
             thread.join().is_ok_and(|length| length == 1000)",
        )
        .await;
    assert_eq!(done.result(), "true", "{}", done.reply);
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_press_ends_every_kind_of_fit() {
    let mut frontend = session().await;
    let frame = "let many = {\n\
             let mut columns = Vec::new();\n\
             for c in 0..8u64 {\n\
                 let value = |i: u64| (i.wrapping_mul(2 * c + 0x9e37_79b9) % 9973) as f64;\n\
                 columns.push(Column::new(format!(\"x{c}\").into(), (0..200_000).map(value).collect::<Vec<f64>>()));\n\
             }\n\
             let y: Vec<&str> = (0..200_000u64).map(|i| [\"a\", \"b\"][(i * i % 7 % 2) as usize]).collect();\n\
             columns.push(Column::new(\"y\".into(), y));\n\
             DataFrame::new_infer_height(columns)?\n\
         };\n\
         let inputs = many.drop(\"y\")?;";
    let done = frontend.execute(frame).await;
    assert_eq!(done.reply["status"], "ok", "{}", done.reply);
    let fits = [
        "model::LightGbm::new().with_n_estimators(1_000_000).fit(&many, \"y\")?",
        "model::RandomForest::new().with_n_estimators(1_000_000).fit(&many, \"y\")?",
        "model::LogisticRegression::new().with_max_iter(1_000_000).with_tol(1e-300).fit(&many, \"y\")?",
        "model::KMeans::new().with_n_init(1_000_000).fit(&inputs)?",
        "model::IsolationForest::new().with_n_estimators(10_000_000).fit(&inputs)?",
        "model::KNeighbors::new().with_n_neighbors(2_000).fit(&many, \"y\")?.predict(&many)?",
        "model::cross_validate(&Pipeline::new().with(StandardScaler::new(\"x0\"))\
             .then(model::ExtraTrees::new().with_n_estimators(100_000)), &many, \"y\", 5)?",
        "model::tune(&model::Space::new().float(\"c\", 0.1, 1.0), 1_000_000, |trial| {\n\
             let learner = model::LogisticRegression::new().with_c(trial.float(\"c\")?);\n\
             Ok(model::cross_validate(&learner, &many, \"y\", 3)?.score())\n\
         })?",
        "model::metrics::silhouette(&inputs, many.column(\"y\")?)?",
    ];
    for fit in fits {
        let code = format!("println!(\"go\");\nlet _ = {fit};");
        let ended = interrupt(&mut frontend, &code, Ready::Printed).await;
        println!("{fit}: {:?}", ended.took);
        assert!(ended.took < SOON, "{fit}: {:?}", ended.took);
        survives(&mut frontend, fit).await;
    }
    // The frames that the fits borrowed are there.
    let done = frontend.execute("(many.height(), inputs.width())").await;
    assert_eq!(done.result(), "(200000, 8)", "{}", done.reply);
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_press_ends_what_is_not_a_cells_code() {
    let mut frontend = session().await;
    let cells = [
        ("input", "let name = input(\"name? \")?;", Ready::Asked),
        (
            "std's stdin",
            "let mut line = String::new();\nstd::io::stdin().read_line(&mut line)?;",
            Ready::Asked,
        ),
        ("a shell command", "!sleep 100", Ready::After(Duration::from_millis(400))),
        ("a %%bash cell", "%%bash\nsleep 100", Ready::After(Duration::from_millis(400))),
        (
            "rustc",
            "#[allow(long_running_const_eval)]\n\
             const N: u64 = { let mut i = 0; while i < 4_000_000_000 { i += 1; } i };\n\
             N",
            Ready::After(Duration::from_millis(800)),
        ),
    ];
    for (what, code, ready) in cells {
        let ended = interrupt(&mut frontend, code, ready).await;
        println!("{what}: {:?}", ended.took);
        assert!(ended.took < SOON, "{what}: {:?}", ended.took);
        survives(&mut frontend, what).await;
    }
    frontend.shut_down().await;
}

/// The interrupt ends a sleep as if its time were over, and a question without an answer.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_behind_an_interrupted_sleep_or_question_runs() {
    let mut frontend = session().await;
    let setup = "static RAN: AtomicU64 = AtomicU64::new(0);\n\
                 fn post() { RAN.fetch_add(1, Relaxed); }\n\
                 fn nap() { std::thread::sleep(Duration::from_secs(60)) }";
    assert_eq!(frontend.execute(setup).await.reply["status"], "ok");
    let cells = [
        (
            "a statement",
            "println!(\"go\");\nstd::thread::sleep(Duration::from_secs(60));\npost();",
            Ready::Printed,
        ),
        (
            "a loop",
            "println!(\"go\");\n\
             for _ in 0..9 { std::thread::sleep(Duration::from_secs(60)); post(); }",
            Ready::Printed,
        ),
        ("a function of an earlier cell", "println!(\"go\");\nnap();\npost();", Ready::Printed),
        (
            "a block",
            "println!(\"go\");\nif kept.len() == 3 { std::thread::sleep(Duration::from_secs(60)) }\n\
             post();",
            Ready::Printed,
        ),
        ("input", "drop(input(\"x? \").unwrap_or_default());\npost();", Ready::Asked),
        ("password", "drop(password(\"x? \").unwrap_or_default());\npost();", Ready::Asked),
    ];
    for (what, code, ready) in cells {
        let ended = interrupt(&mut frontend, code, ready).await;
        assert!(ended.took < SOON, "{what}: {:?}", ended.took);
        assert_eq!(frontend.execute("RAN.load(Relaxed)").await.result(), "0", "{what}");
        survives(&mut frontend, what).await;
    }
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_nothing_is_parked_and_only_its_variables_are_lost() {
    let mut frontend = session().await;
    let result = frontend.execute("6 * 7").await.reply["execution_count"].clone();
    let cells = [
        (
            "a channel",
            "let (_tx, rx) = std::sync::mpsc::channel::<u8>();\nprintln!(\"go\");\nrx.recv()?",
        ),
        (
            "arithmetic without a poll",
            "println!(\"go\");\nlet mut x = 1u64;\n\
             for i in 0..u64::MAX { x ^= (x << 13) ^ (x >> 7) ^ i; }\nx",
        ),
    ];
    for (what, code) in cells {
        let ended = interrupt(&mut frontend, code, Ready::Printed).await;
        println!("{what}: {:?}", ended.took);
        assert!(ended.took < PARKED, "{what}: {:?}", ended.took);
        survives(&mut frontend, what).await;
    }
    frontend.execute("let mut mine = vec![1u8];").await;
    let code = "println!(\"go\");\nlet (_tx, rx) = std::sync::mpsc::channel::<u8>();\n\
                mine.push(2);\nrx.recv()?";
    let ended = interrupt(&mut frontend, code, Ready::Printed).await;
    assert!(ended.reply["traceback"].to_string().contains("mine"), "{}", ended.reply);
    survives(&mut frontend, "a variable that was taken").await;
    let done = frontend.execute(&format!("out!({result}) + 1")).await;
    assert_eq!(done.result(), "43", "a result of before: {}", done.reply);
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_cells_are_aborted_and_later_ones_run() {
    let mut frontend = session().await;
    let running = frontend.send_cell("println!(\"go\");\nloop {}").await;
    let queued = frontend.send_cell("let never = 1;").await;
    frontend.expect_status(&running, "busy").await;
    frontend.expect(&running, "execute_input").await;
    frontend.expect(&running, "stream").await;
    let press = frontend.send(Channel::Control, "interrupt_request", json!({})).await;
    frontend.reply(Channel::Control, &press).await;
    assert_eq!(frontend.reply(Channel::Shell, &running).await.content["status"], "error");
    assert_eq!(frontend.reply(Channel::Shell, &queued).await.content["status"], "aborted");
    let mut idle = 0;
    while idle < 3 {
        idle += usize::from(frontend.iopub().await.content["execution_state"] == "idle");
    }
    survives(&mut frontend, "an aborted queue").await;
    let done = frontend.execute("never").await;
    assert_eq!(done.reply["status"], "error", "a cell of the queue ran");
    // A press while nothing runs is meant for nobody.
    let reply = frontend.ask(Channel::Control, "interrupt_request", json!({})).await;
    assert_eq!(reply, json!({"status": "ok"}));
    survives(&mut frontend, "a press for nobody").await;
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_is_a_press() {
    let mut frontend = Frontend::spawn(&crate::binary::oxilab(), &[]).await;
    frontend.execute("let kept = vec![40, 1, 1];").await;
    let cell = frontend.send_cell("println!(\"go\");\nloop {}").await;
    frontend.expect_status(&cell, "busy").await;
    frontend.expect(&cell, "execute_input").await;
    frontend.expect(&cell, "stream").await;
    let process = frontend.process_id().expect("has a process").to_string();
    let sent = Command::new("kill").args(["-INT", &process]).status().expect("kill starts");
    assert!(sent.success());
    let reply = frontend.reply(Channel::Shell, &cell).await.content;
    assert_eq!(reply["ename"], "KeyboardInterrupt", "{reply}");
    while frontend.iopub().await.content["execution_state"] != "idle" {}
    survives(&mut frontend, "SIGINT").await;
    frontend.shut_down().await;
}
