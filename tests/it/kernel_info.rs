//! `kernel_info`, what it does not announce, and the heartbeat.

use std::sync::Arc;
use std::time::{Duration, Instant};

use oxilab_kernel::server::{ServerConfig, serve};
use oxilab_tests::echo::Echo;
use oxilab_tests::frontend::{Channel, Frontend, connection_info};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn names_the_language_as_jupyterlab_wants_it() {
    let mut frontend = Frontend::start(Echo::new()).await;
    let info = frontend.ask(Channel::Shell, "kernel_info_request", json!({})).await;
    assert_eq!(info["status"], "ok");
    assert_eq!(info["implementation"], "oxilab");
    assert_eq!(info["protocol_version"], "5.5");
    assert_eq!(
        info["language_info"],
        json!({
            "name": "rust", "version": "1.95.0", "mimetype": "text/x-rustsrc",
            "file_extension": ".rs", "pygments_lexer": "rust", "codemirror_mode": "rust",
            "nbconvert_exporter": "script",
        })
    );
    assert!(info["help_links"].as_array().is_some_and(|links| !links.is_empty()));
    assert_eq!(info["supported_features"], json!([]));
    let same = frontend.ask(Channel::Control, "kernel_info_request", json!({})).await;
    assert_eq!(same, info);
    frontend.heartbeat().await;
    frontend.heartbeat().await;
    frontend.shut_down().await;
}

/// A front end may ask for the debugger's state whatever the kernel announces, and waits for the answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_for_the_debugger_is_answered_with_no() {
    let mut frontend = Frontend::start(Echo::new()).await;
    for (channel, seq) in [(Channel::Control, 1), (Channel::Shell, 2)] {
        let question =
            json!({"type": "request", "seq": seq, "command": "debugInfo", "arguments": {}});
        let reply = frontend.ask(channel, "debug_request", question).await;
        assert_eq!(
            reply,
            json!({
                "type": "response", "request_seq": seq, "command": "debugInfo",
                "success": false, "message": "oxilab has no debugger",
            })
        );
    }
    let info = frontend.ask(Channel::Control, "kernel_info_request", json!({})).await;
    assert_eq!(info["debugger"], false);
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subshell_is_refused_in_words() {
    let mut frontend = Frontend::start(Echo::new()).await;
    let reply = frontend.ask(Channel::Control, "create_subshell_request", json!({})).await;
    assert_eq!(reply["status"], "error");
    let message = reply["evalue"].as_str().expect("a text");
    assert!(message.contains("create_subshell_request"), "{message}");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn is_answered_before_the_runner_has_started() {
    let info = connection_info(None).await;
    let (go_tx, go_rx) = std::sync::mpsc::channel::<()>();
    let kernel = tokio::spawn({
        let info = info.clone();
        async move {
            let start = move || {
                go_rx.recv().expect("is told to start");
                Ok(Echo::new() as Arc<dyn oxilab_kernel::server::handler::CellRunner>)
            };
            serve(&info, ServerConfig::new("1.95.0"), start).await.expect("serves");
        }
    });
    let start = Instant::now();
    let mut frontend = Frontend::attach(info).await;
    frontend.ask(Channel::Shell, "kernel_info_request", json!({})).await;
    // 300 ms is the bar; the rest is for a machine that is busy with other tests.
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let id = frontend.send_cell("result 1").await;
    frontend.expect_status(&id, "busy").await;
    frontend.expect(&id, "execute_input").await;
    go_tx.send(()).expect("the runner waits");
    assert_eq!(frontend.expect(&id, "execute_result").await["data"]["text/plain"], "1");
    frontend.expect_status(&id, "idle").await;
    frontend.reply(Channel::Shell, &id).await;
    frontend.shut_down().await;
    kernel.await.expect("ends");
}
