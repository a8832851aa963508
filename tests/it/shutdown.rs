//! The end of a kernel.

use oxilab_tests::echo::Echo;
use oxilab_tests::frontend::{Channel, Frontend};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_is_answered_before_the_kernel_ends() {
    let echo = Echo::new();
    let mut frontend = Frontend::start(echo.clone()).await;
    frontend.execute("result 1").await;
    frontend.shut_down().await;
    assert_eq!(echo.shutdowns(), [false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_announced_to_the_runner_also_while_a_cell_runs() {
    let echo = Echo::new();
    let mut frontend = Frontend::start(echo.clone()).await;
    let cell = frontend.send_cell("print started\nwait forever").await;
    frontend.expect_status(&cell, "busy").await;
    frontend.expect(&cell, "execute_input").await;
    // A runner that has not started has nothing to shut down.
    frontend.expect(&cell, "stream").await;
    let id = frontend.send(Channel::Control, "shutdown_request", json!({"restart": true})).await;
    let reply = frontend.reply(Channel::Control, &id).await;
    assert_eq!(reply.content, json!({"status": "ok", "restart": true}));
    frontend.expect_status(&id, "busy").await;
    frontend.expect_status(&id, "idle").await;
    frontend.ended().await;
    assert_eq!(echo.shutdowns(), [true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_clients_shut_down_on_the_shell_channel() {
    let mut frontend = Frontend::start(Echo::new()).await;
    let reply = frontend.ask(Channel::Shell, "shutdown_request", json!({"restart": false})).await;
    assert_eq!(reply["status"], "ok");
    frontend.ended().await;
}
