//! Lines and passwords that Rust cells ask for.

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
async fn a_front_end_that_leaves_during_input_leaves_the_session() {
    let mut frontend = engine::start().await;
    run(&mut frontend, "let kept = 42;").await;
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
    let press = frontend.send(Channel::Control, "interrupt_request", json!({})).await;
    frontend.reply(Channel::Control, &press).await;
    let mut idle = 0;
    while idle < 2 {
        idle += usize::from(frontend.iopub().await.content["execution_state"] == "idle");
    }
    assert_eq!(frontend.execute("kept").await.result(), "42");
    frontend.shut_down().await;
}
