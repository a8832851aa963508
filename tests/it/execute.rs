//! Running cells: order of messages, counts, kinds of output.

use oxilab_tests::echo::Echo;
use oxilab_tests::frontend::{Channel, Frontend, execute_content};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn messages_come_in_order_and_idle_last() {
    let mut frontend = Frontend::start(Echo::new()).await;
    let id = frontend.send_cell("print a\neprint b\nresult 3").await;
    frontend.expect_status(&id, "busy").await;
    let input = frontend.expect(&id, "execute_input").await;
    assert_eq!(input, json!({"code": "print a\neprint b\nresult 3", "execution_count": 1}));
    assert_eq!(frontend.expect(&id, "stream").await, json!({"name": "stdout", "text": "a\n"}));
    assert_eq!(frontend.expect(&id, "stream").await, json!({"name": "stderr", "text": "b\n"}));
    let result = frontend.expect(&id, "execute_result").await;
    assert_eq!(result, json!({"execution_count": 1, "data": {"text/plain": "3"}, "metadata": {}}));
    let reply = frontend.reply(Channel::Shell, &id).await;
    assert_eq!(
        reply.content,
        json!({"status": "ok", "execution_count": 1, "user_expressions": {}, "payload": []})
    );
    frontend.expect_status(&id, "idle").await;
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_go_up_only_with_the_history() {
    let mut frontend = Frontend::start(Echo::new()).await;
    let mut count = async |silent: bool, store: bool| {
        let mut content = execute_content("result 1");
        content["silent"] = json!(silent);
        content["store_history"] = json!(store);
        let id = frontend.send(Channel::Shell, "execute_request", content).await;
        let done = frontend.finish(&id).await;
        (done.reply["execution_count"].as_u64(), done.outputs.len())
    };
    assert_eq!(count(false, true).await, (Some(1), 1));
    assert_eq!(count(true, true).await, (Some(1), 0), "silent shows nothing and counts nothing");
    assert_eq!(count(false, false).await, (Some(2), 1));
    assert_eq!(count(false, true).await, (Some(2), 1));
    assert_eq!(count(false, true).await, (Some(3), 1));
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_arrives_as_the_front_end_sent_it() {
    let echo = Echo::new();
    let mut frontend = Frontend::start(echo.clone()).await;
    let mut content = execute_content("result 1");
    content["user_expressions"] = json!({"a": "40 + 2", "b": "fail"});
    content["allow_stdin"] = json!(true);
    let metadata = json!({"cellId": "cell-7", "deletedCells": []});
    let id =
        frontend.send_with(Channel::Shell, "execute_request", content, metadata, Vec::new()).await;
    let done = frontend.finish(&id).await;
    let expressions = &done.reply["user_expressions"];
    assert_eq!(expressions["a"]["data"]["text/plain"], "40 + 2");
    assert_eq!(expressions["b"]["status"], "error");
    let cell = echo.executed().remove(0);
    assert_eq!(cell.cell_id.as_deref(), Some("cell-7"));
    assert_eq!(cell.count, 1);
    assert!(cell.allow_stdin && cell.store_history && !cell.silent);
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn displays_are_updated_and_cleared() {
    let mut frontend = Frontend::start(Echo::new()).await;
    let done = frontend.execute("display bar 0\nupdate bar 100\nclear wait\nclear").await;
    let [shown, updated, clear_wait, clear] = done.outputs.as_slice() else {
        panic!("four messages: {:?}", done.outputs)
    };
    assert_eq!(shown.msg_type, "display_data");
    assert_eq!(
        shown.content,
        json!({"data": {"text/plain": "0", "text/html": "<b>0</b>"}, "metadata": {},
               "transient": {"display_id": "bar"}})
    );
    assert_eq!(updated.msg_type, "update_display_data");
    assert_eq!(updated.content["transient"]["display_id"], "bar");
    assert_eq!(updated.content["data"]["text/plain"], "100");
    assert_eq!(
        (clear_wait.msg_type.as_str(), &clear_wait.content),
        ("clear_output", &json!({"wait": true}))
    );
    assert_eq!(clear.content, json!({"wait": false}));
    let picture = frontend.execute("picture").await;
    assert_eq!(picture.result(), "<image/png>", "every bundle has text/plain");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output_is_merged_and_complete() {
    let mut frontend = Frontend::start(Echo::new()).await;
    let done = frontend.execute("flood 100000\nresult end").await;
    let text = done.stream("stdout");
    assert_eq!(text.lines().count(), 100_000);
    assert!(text.ends_with("line 99999\n"));
    assert!(done.outputs.len() < 1000, "{} messages", done.outputs.len());
    assert_eq!(done.result(), "end");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_of_a_task_that_outlives_its_cell_belongs_to_that_cell() {
    let echo = Echo::new();
    let mut frontend = Frontend::start(echo.clone()).await;
    let id = frontend.send_cell("later afterwards").await;
    frontend.finish(&id).await;
    frontend.execute("result 2").await;
    echo.release("later");
    assert_eq!(frontend.expect(&id, "stream").await["text"], "afterwards");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_of_a_megabyte_and_odd_characters_arrive() {
    let echo = Echo::new();
    let mut frontend = Frontend::start(echo.clone()).await;
    let text = "é\u{0}🦀\u{301}".repeat(120_000);
    let done = frontend.execute(&format!("print {text}")).await;
    assert_eq!(done.stream("stdout"), format!("{text}\n"));
    frontend.shut_down().await;
}
