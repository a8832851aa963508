//! What is answered while a cell runs, and interrupts.

use oxilab_tests::echo::Echo;
use oxilab_tests::frontend::{Channel, Frontend};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_while_a_cell_runs() {
    let echo = Echo::new();
    let mut frontend = Frontend::start(echo.clone()).await;
    let running = frontend.send_cell("wait go\nresult done").await;
    frontend.expect_status(&running, "busy").await;
    frontend.expect(&running, "execute_input").await;

    for (msg_type, content) in [
        ("complete_request", json!({"code": "x", "cursor_pos": 1})),
        ("inspect_request", json!({"code": "x", "cursor_pos": 1, "detail_level": 0})),
        ("is_complete_request", json!({"code": "x"})),
        ("comm_info_request", json!({})),
        (
            "history_request",
            json!({"hist_access_type": "tail", "n": 3, "output": false, "raw": true}),
        ),
        ("kernel_info_request", json!({})),
    ] {
        let reply = frontend.ask(Channel::Shell, msg_type, content).await;
        assert_ne!(reply["status"], "error", "{msg_type}");
    }

    echo.release("go");
    assert_eq!(frontend.expect(&running, "execute_result").await["data"]["text/plain"], "done");
    frontend.reply(Channel::Shell, &running).await;
    frontend.expect_status(&running, "idle").await;
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_the_cell_and_aborts_the_queue() {
    let echo = Echo::new();
    let mut frontend = Frontend::start(echo.clone()).await;
    let running = frontend.send_cell("print started\nwait forever").await;
    let queued = frontend.send_cell("result 1").await;
    frontend.expect_status(&running, "busy").await;
    frontend.expect(&running, "execute_input").await;
    frontend.expect(&running, "stream").await;
    while echo.upcoming_cells().is_empty() {
        tokio::task::yield_now().await;
    }

    let id = frontend.send(Channel::Control, "interrupt_request", json!({})).await;
    let reply = frontend.reply(Channel::Control, &id).await;
    assert_eq!(
        (reply.msg_type.as_str(), &reply.content),
        ("interrupt_reply", &json!({"status": "ok"}))
    );
    let reply = frontend.reply(Channel::Shell, &running).await;
    assert_eq!(reply.content["ename"], "KeyboardInterrupt");
    let aborted = frontend.reply(Channel::Shell, &queued).await;
    assert_eq!(aborted.content["status"], "aborted");
    // The statuses of the interrupt and of the cell may interleave.
    let mut states = Vec::new();
    while states.len() < 5 {
        let message = frontend.iopub().await;
        match message.msg_type.as_str() {
            "status" => states.push((message.parent, message.content["execution_state"].clone())),
            "error" => assert_eq!(message.parent, running),
            other => panic!("{other}"),
        }
    }
    let position = |id: &String, state: &str| {
        states.iter().position(|(parent, found)| parent == id && found == state).expect("is there")
    };
    assert!(position(&id, "busy") < position(&id, "idle"));
    assert!(position(&running, "idle") < position(&queued, "busy"));
    assert!(position(&queued, "busy") < position(&queued, "idle"));

    assert_eq!(frontend.execute("result 2").await.result(), "2");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_front_ends_see_the_same_output_and_get_their_own_replies() {
    let mut first = Frontend::start(Echo::new()).await;
    let mut second = first.another().await;
    // A welcome goes to everybody who subscribed to the same topic.
    assert_eq!(first.iopub().await.msg_type, "iopub_welcome");
    let done = first.execute("result 1").await;
    assert_eq!(done.result(), "1");
    for expected in ["status", "execute_input", "execute_result", "status"] {
        assert_eq!(second.iopub().await.msg_type, expected);
    }
    drop(second);
    assert_eq!(first.execute("result 2").await.result(), "2");
    first.shut_down().await;
}
