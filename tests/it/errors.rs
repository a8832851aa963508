//! Failing cells and what happens to those queued behind them.

use std::sync::Arc;

use oxilab_kernel::server::handler::{CellError, CellRunner};
use oxilab_kernel::server::{ServerConfig, serve};
use oxilab_tests::echo::Echo;
use oxilab_tests::frontend::{Channel, Frontend, connection_info, execute_content};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_published_and_replied() {
    let mut frontend = Frontend::start(Echo::new()).await;
    let done = frontend.execute("print before\nerror ParseIntError invalid digit").await;
    let error = done.outputs.last().expect("an error");
    let traceback = json!(["\u{1b}[31mParseIntError\u{1b}[0m: invalid digit"]);
    assert_eq!(error.msg_type, "error");
    assert_eq!(
        error.content,
        json!({"ename": "ParseIntError", "evalue": "invalid digit", "traceback": traceback})
    );
    assert_eq!(done.reply["status"], "error");
    assert_eq!(done.reply["ename"], "ParseIntError");
    assert_eq!(done.reply["evalue"], "invalid digit");
    assert_eq!(done.reply["traceback"], traceback);
    assert_eq!(done.reply["execution_count"], 1);
    assert_eq!(frontend.execute("result 2").await.result(), "2");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_queued_behind_an_error_are_aborted() {
    let echo = Echo::new();
    let mut frontend = Frontend::start(echo.clone()).await;
    let failing = frontend.send_cell("wait go\nerror E bad").await;
    let queued = [frontend.send_cell("result 1").await, frontend.send_cell("result 2").await];
    // All have arrived once the second is announced.
    while echo.upcoming_cells().len() < 2 {
        tokio::task::yield_now().await;
    }
    echo.release("go");
    assert_eq!(frontend.finish(&failing).await.reply["status"], "error");
    for id in queued {
        let aborted = frontend.finish(&id).await;
        assert_eq!(aborted.reply["status"], "aborted");
        assert!(aborted.outputs.is_empty());
    }
    assert_eq!(echo.executed().len(), 1);
    assert_eq!(echo.upcoming_cells(), ["result 1", "result 2"]);
    assert_eq!(frontend.execute("result 3").await.reply["execution_count"], 2);
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_on_error_can_be_switched_off() {
    let echo = Echo::new();
    let mut frontend = Frontend::start(echo.clone()).await;
    let mut content = execute_content("wait go\nerror E bad");
    content["stop_on_error"] = json!(false);
    let failing = frontend.send(Channel::Shell, "execute_request", content).await;
    let queued = frontend.send_cell("result 1").await;
    echo.release("go");
    assert_eq!(frontend.finish(&failing).await.reply["status"], "error");
    assert_eq!(frontend.finish(&queued).await.result(), "1");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_the_kernel_is_an_error_of_the_cell() {
    let mut frontend = Frontend::start(Echo::new()).await;
    let done = frontend.execute("panic").await;
    assert_eq!(done.reply["ename"], "InternalError");
    let content = json!({"code": "panic", "cursor_pos": 5});
    let reply = frontend.ask(Channel::Shell, "complete_request", content).await;
    assert_eq!(reply["status"], "error");
    assert_eq!(frontend.execute("result 1").await.result(), "1");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_does_not_start_says_why_on_every_cell() {
    let info = connection_info(None).await;
    let kernel = tokio::spawn({
        let info = info.clone();
        async move {
            let start = || -> Result<Arc<dyn CellRunner>, CellError> {
                let evalue = "run `oxilab install`".to_owned();
                Err(CellError { ename: "StartError".to_owned(), evalue, ..CellError::default() })
            };
            serve(&info, ServerConfig::new("1.95.0"), start).await.expect("serves");
        }
    });
    let mut frontend = Frontend::attach(info).await;
    for _ in 0..2 {
        let done = frontend.execute("result 1").await;
        assert_eq!(done.reply["evalue"], "run `oxilab install`");
    }
    let content = json!({"code": "x", "cursor_pos": 1});
    let reply = frontend.ask(Channel::Shell, "complete_request", content).await;
    assert_eq!(reply["matches"], json!([]));
    frontend.shut_down().await;
    kernel.await.expect("ends");
}
