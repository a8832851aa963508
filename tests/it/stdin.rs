//! Input requests.

use oxilab_tests::echo::Echo;
use oxilab_tests::frontend::{Channel, Frontend, Message, execute_content};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_front_end_that_sent_the_cell_is_asked() {
    let mut other = Frontend::start(Echo::new()).await;
    let mut frontend = other.another().await;
    assert_eq!(other.iopub().await.msg_type, "iopub_welcome");
    for (prompt, password) in [("Name?", false), ("password", true)] {
        let mut content = execute_content(&format!("input {prompt}"));
        content["allow_stdin"] = json!(true);
        let id = frontend.send(Channel::Shell, "execute_request", content).await;
        let request = frontend.reply(Channel::Stdin, &id).await;
        assert_eq!(request.msg_type, "input_request");
        assert_eq!(request.content, json!({"prompt": prompt, "password": password}));
        frontend.send(Channel::Stdin, "input_reply", json!({"value": "Ada", "status": "ok"})).await;
        assert_eq!(frontend.finish(&id).await.result(), "Ada");
        for _ in 0..4 {
            assert_eq!(other.iopub().await.parent, id);
        }
    }
    drop(frontend);
    other.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_without_input_gets_a_clear_error() {
    let mut frontend = Frontend::start(Echo::new()).await;
    let done = frontend.execute("input Name?").await;
    assert_eq!(done.reply["ename"], "InputError");
    let message = done.reply["evalue"].as_str().expect("a text");
    assert!(message.contains("allow_stdin = false"), "{message}");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_answer_to_the_request_counts() {
    let mut frontend = Frontend::start(Echo::new()).await;
    let (first, old_request) = ask(&mut frontend).await;
    frontend.answer(&old_request, "one").await;
    assert_eq!(frontend.finish(&first).await.result(), "one");
    let (second, request) = ask(&mut frontend).await;
    frontend.answer(&old_request, "late").await;
    frontend.answer(&request, "two").await;
    frontend.answer(&request, "twice").await;
    assert_eq!(frontend.finish(&second).await.result(), "two");
    frontend.shut_down().await;
}

async fn ask(frontend: &mut Frontend) -> (String, Message) {
    let mut content = execute_content("input Name?");
    content["allow_stdin"] = json!(true);
    let id = frontend.send(Channel::Shell, "execute_request", content).await;
    let request = frontend.reply(Channel::Stdin, &id).await;
    assert_eq!(request.msg_type, "input_request");
    (id, request)
}
