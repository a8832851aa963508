//! Failing cells, how they look, and what happens to those queued behind them.

use std::sync::Arc;

use oxilab_kernel::server::handler::{CellError, CellRunner};
use oxilab_kernel::server::{ServerConfig, serve};
use oxilab_tests::echo::Echo;
use oxilab_tests::engine;
use oxilab_tests::frontend::{Channel, Executed, Frontend, connection_info, execute_content};
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
        // With a count, the front end would show that the cell had run.
        assert_eq!(aborted.reply, serde_json::json!({ "status": "aborted" }));
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

/// What a failed cell shows: the lines of the error, and of the output below it HTML and text.
fn shown(done: &Executed) -> [String; 3] {
    let [.., error, page] = done.outputs.as_slice() else { panic!("two outputs: {done:?}") };
    assert_eq!((error.msg_type.as_str(), page.msg_type.as_str()), ("error", "display_data"));
    let lines = error.content["traceback"].as_array().expect("lines").iter();
    let lines: Vec<&str> = lines.filter_map(|line| line.as_str()).collect();
    let data = |kind: &str| page.content["data"][kind].as_str().expect("a text").to_owned();
    let [text, plain] = [lines.join("\n"), data("text/plain")].map(|text| without_colours(&text));
    [text, data("text/html"), plain]
}

fn without_colours(text: &str) -> String {
    regex::Regex::new("\u{1b}\\[[0-9;]*m").expect("a pattern").replace_all(text, "").into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_compiler_has_a_form_for_a_browser() {
    let mut frontend = engine::start().await;
    let done = frontend.execute("let wrong: u8 = \"text\";").await;
    let [text, html, plain] = shown(&done);
    // What the one says the other does not repeat.
    assert_eq!(text, "error[E0308]: mismatched types\n --> In [1]:1:17");
    let underlined = html.find(">&quot;text&quot;</u>;").expect("the span is underlined");
    let folded = html.find("<details>").expect("something is folded");
    assert!(underlined < folded, "what is folded is not the source: {html}");
    assert!(html.contains("expected <code>u8</code>, found <code>&amp;str</code>"), "{html}");
    let explanation = &html[folded..];
    assert!(
        explanation.starts_with("<details><summary>What E0308 means</summary>")
            && explanation.contains("did not match"),
        "{html}"
    );
    assert!(!html.contains("mismatched types") && !html.contains("<script"), "{html}");
    assert!(plain.contains("| let wrong: u8 = \"text\";") && plain.contains("^^^^^^"), "{plain}");
    assert!(plain.contains("`rustc --explain E0308`") && !plain.contains("mismatched"), "{plain}");
    // Who reads the reply alone misses nothing.
    let traceback = without_colours(done.reply["traceback"][0].as_str().expect("a text"));
    assert!(traceback.contains("mismatched") && traceback.contains("let wrong"), "{traceback}");

    // A suggestion is whole lines to copy.
    let [_, html, _] = shown(&frontend.execute("let n = 1;\nn = 2;\nn").await);
    assert!(html.contains(">mut </span>n = 1;</pre>"), "{html}");

    // Without a code; and several errors, of which each has its headline.
    let [text, html, _] = shown(&frontend.execute("let x = ;").await);
    assert!(text.contains("expected expression") && html.contains("let x = <u "), "{text} {html}");
    let [text, html, _] = shown(&frontend.execute("let a: u8 = \"\";\nlet b: u8 = 'b';").await);
    assert_eq!(html.matches("<b>error[E0308]</b>").count(), 2, "{html}");
    assert_eq!(html.matches("What E0308 means").count(), 1, "{html}");
    assert!(text.ends_with("2 errors"), "{text}");
    frontend.shut_down().await;
}

/// Where it failed is marked in its text; more than one message would surprise front ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_one_message() {
    let mut frontend = engine::start().await;
    for code in ["let n: i32 = \"x\".parse()?;", "let kept = 1;\npanic!(\"on purpose\");"] {
        let done = frontend.execute(code).await;
        let kinds: Vec<&str> = done.outputs.iter().map(|m| m.msg_type.as_str()).collect();
        assert_eq!(kinds, ["error"]);
        let told = done.outputs[0].content["traceback"].to_string();
        assert!(told.contains(" --> ") || told.contains("-->"), "{told}");
    }
    assert_eq!(frontend.execute("kept").await.result(), "1");
    frontend.shut_down().await;
}
