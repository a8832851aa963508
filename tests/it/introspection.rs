//! Completion, inspection, `is_complete`.

use oxilab_tests::echo::Echo;
use oxilab_tests::frontend::{Channel, Frontend};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn completions_carry_types_beside_the_matches() {
    let mut frontend = Frontend::start(Echo::new()).await;
    let content = json!({"code": "🦀é.fo", "cursor_pos": 4});
    let reply = frontend.ask(Channel::Shell, "complete_request", content).await;
    assert_eq!(reply["matches"], json!(["🦀é.f_one", "🦀é.f_two"]));
    assert_eq!((reply["cursor_start"].as_u64(), reply["cursor_end"].as_u64()), (Some(0), Some(4)));
    let types = &reply["metadata"]["_jupyter_types_experimental"];
    assert_eq!(types[1]["text"], "🦀é.f_two");
    assert_eq!(types[1]["type"], "method");
    assert_eq!(types[1]["signature"], "fn()");
    let beyond = json!({"code": "ab", "cursor_pos": 99});
    let reply = frontend.ask(Channel::Shell, "complete_request", beyond).await;
    assert_eq!(reply["cursor_end"], 2, "a cursor past the end is the end");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inspection_says_when_there_is_nothing() {
    let mut frontend = Frontend::start(Echo::new()).await;
    let content = json!({"code": "df", "cursor_pos": 1, "detail_level": 1});
    let reply = frontend.ask(Channel::Shell, "inspect_request", content).await;
    assert_eq!(reply["found"], true);
    assert_eq!(reply["data"]["text/plain"], "df at 1, detail 1");
    let content = json!({"code": "", "cursor_pos": 0});
    let reply = frontend.ask(Channel::Shell, "inspect_request", content).await;
    assert_eq!(reply, json!({"status": "ok", "found": false, "data": {}, "metadata": {}}));
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn completeness_has_an_indent_where_more_is_needed() {
    let mut frontend = Frontend::start(Echo::new()).await;
    for (code, expected) in [
        ("let a = 1;", json!({"status": "complete"})),
        ("fn f() {", json!({"status": "incomplete", "indent": "    "})),
        ("}", json!({"status": "invalid"})),
        ("", json!({"status": "unknown"})),
    ] {
        let reply =
            frontend.ask(Channel::Shell, "is_complete_request", json!({"code": code})).await;
        assert_eq!(reply, expected, "{code}");
    }
    frontend.shut_down().await;
}
