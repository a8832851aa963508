//! Lines and passwords that Rust cells ask for, and a `?` that asks for nothing.

use oxilab_kernel::session::Config;
use oxilab_tests::engine::{self, run};
use oxilab_tests::frontend::{Channel, execute_content};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn lines_and_passwords_are_asked_for() {
    let mut frontend = engine::start().await;
    let cells = [
        ("input(\"name? \")?", "name? ", false, "\"Ada\""),
        ("password(\"key? \")?", "key? ", true, "\"Ada\""),
        (
            "let mut line = String::new();\nstd::io::stdin().read_line(&mut line)?;\nline",
            "",
            false,
            "\"Ada\\n\"",
        ),
        // As the crate `evcxr_input` asks.
        (
            "println!(\"EVCXR_INPUT_REQUEST:{}\", \"who? \");\n\
             let mut line = String::new();\nstd::io::stdin().read_line(&mut line)?;\nline",
            "who? ",
            false,
            "\"Ada\\n\"",
        ),
    ];
    for (code, prompt, hidden, result) in cells {
        let mut content = execute_content(code);
        content["allow_stdin"] = json!(true);
        let id = frontend.send(Channel::Shell, "execute_request", content).await;
        let request = frontend.reply(Channel::Stdin, &id).await;
        assert_eq!(request.content, json!({"prompt": prompt, "password": hidden}));
        frontend.answer(&request, "Ada").await;
        let done = frontend.finish(&id).await;
        assert_eq!(done.result(), result, "{code}: {}", done.reply);
    }
    let refused = frontend.execute("input(\"name? \")?").await;
    assert_eq!(refused.reply["status"], "error");
    let said = refused.reply["evalue"].as_str().expect("a text");
    assert!(said.contains("does not allow input"), "{said}");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_whose_output_is_captured_may_ask_and_update() {
    let mut frontend = engine::start().await;
    let mut content = execute_content(
        "%%capture said\nlet name = input(\"name? \")?;\nprintln!(\"hello {name}\");",
    );
    content["allow_stdin"] = json!(true);
    let id = frontend.send(Channel::Shell, "execute_request", content).await;
    let request = frontend.reply(Channel::Stdin, &id).await;
    assert_eq!(request.content, json!({"prompt": "name? ", "password": false}));
    frontend.answer(&request, "Ada").await;
    let done = frontend.finish(&id).await;
    assert_eq!(done.reply["status"], "ok", "{}", done.reply);
    assert!(done.outputs.is_empty(), "{:?}", done.outputs);
    assert_eq!(frontend.execute("said").await.result(), "\"hello Ada\\n\"");
    // What is shown elsewhere is no part of it; of what is shown here the last state counts.
    run(&mut frontend, "let shown = Display::show(html(\"1\").render());").await;
    // A bar is not drawn in its first tenth of a second.
    let code = "%%capture said\nshown.update(html(\"2\").render());\n\
                for _ in progress(0..3) { std::thread::sleep(Duration::from_millis(60)); }";
    let done = run(&mut frontend, code).await;
    let [update] = done.outputs.as_slice() else { panic!("{:?}", done.outputs) };
    assert_eq!(update.msg_type, "update_display_data");
    let lines = frontend.execute("(said.lines().count(), said.contains(\"3/3\"))").await;
    assert_eq!(lines.result(), "(1, true)", "{}", lines.reply);
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_of_the_front_end_asks_nobody() {
    let mut frontend = engine::start().await;
    let mut content = execute_content("let n = 20;");
    content["allow_stdin"] = json!(true);
    content["user_expressions"] = json!({"asks": "input(\"n? \")?", "sum": "n + 1"});
    let id = frontend.send(Channel::Shell, "execute_request", content).await;
    let done = frontend.finish(&id).await;
    let answers = &done.reply["user_expressions"];
    assert_eq!(answers["sum"]["data"]["text/plain"], "21", "{answers}");
    assert_eq!(answers["asks"]["status"], "error", "{answers}");
    let said = answers["asks"]["evalue"].as_str().expect("a text");
    assert!(said.contains("does not allow input"), "{said}");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_that_leaves_during_input_leaves_the_session() {
    let mut frontend = engine::start().await;
    run(&mut frontend, "let kept = 42;").await;
    // Somebody presses Interrupt, or nobody does.
    for press in [true, false] {
        let mut guest = frontend.another().await;
        assert_eq!(frontend.iopub().await.msg_type, "iopub_welcome");
        let mut content = execute_content("input(\"name? \")?");
        content["allow_stdin"] = json!(true);
        let id = guest.send(Channel::Shell, "execute_request", content).await;
        guest.reply(Channel::Stdin, &id).await;
        frontend.expect_status(&id, "busy").await;
        frontend.expect(&id, "execute_input").await;
        while guest.iopub().await.msg_type != "execute_input" {}
        drop(guest);
        if press {
            let press = frontend.send(Channel::Control, "interrupt_request", json!({})).await;
            frontend.reply(Channel::Control, &press).await;
        }
        let mut idle = 0;
        let mut said = String::new();
        while idle < 1 + usize::from(press) {
            let message = frontend.iopub().await;
            idle += usize::from(message.content["execution_state"] == "idle");
            said += message.content["evalue"].as_str().unwrap_or_default();
        }
        assert_eq!(said.contains("the front end that ran this cell has gone"), !press, "{said}");
        assert_eq!(frontend.execute("kept").await.result(), "42");
    }
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_that_ends_in_the_question_mark_of_rust_waits_for_no_index() {
    let cache = tempfile::tempdir().expect("a folder");
    let config = Config { cache: cache.path().to_owned(), ..Config::default() };
    let runner = crate::engine::start(config).await;
    for (code, shown) in [
        ("fn f() -> anyhow::Result<i32> { Ok(7) }\nstruct Answer { text: Option<i32> }", ""),
        ("let x = f()?;\nlet maybe = Some(x);\nlet answer = Answer { text: maybe };", ""),
        ("f()?", "7"),
        ("maybe?", "7"),
        ("let r = f();\nr?", "7"),
        ("answer.text?", "7"),
    ] {
        assert_eq!(crate::engine::run(&runner, code).await.as_deref(), Ok(shown), "{code}");
    }
    let index = cache.path().join("assist");
    assert!(!index.exists(), "an index is being made or was looked for in {}", index.display());
    runner.shutdown(false).await;
}
