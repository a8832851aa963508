//! History over the wire, across kernels.

use oxilab_tests::echo::Echo;
use oxilab_tests::frontend::{Channel, Frontend, Setup};
use serde_json::{Value, json};

async fn history(frontend: &mut Frontend, content: Value) -> Value {
    let reply = frontend.ask(Channel::Shell, "history_request", content).await;
    assert_eq!(reply["status"], "ok");
    reply["history"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_kernel_sees_what_the_first_has_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = Setup { history: Some(folder.path().join("h.sqlite")), ..Setup::default() };
    let mut first = Frontend::start_with(Echo::new(), setup.clone()).await;
    first.execute("result 1").await;
    first.execute("print x").await;
    first.execute("error E bad").await;
    first.shut_down().await;

    let mut second = Frontend::start_with(Echo::new(), setup).await;
    second.execute("result 1").await;
    let tail = json!({"hist_access_type": "tail", "n": 3, "output": false, "raw": true});
    assert_eq!(
        history(&mut second, tail).await,
        json!([[1, 2, "print x"], [1, 3, "error E bad"], [2, 1, "result 1"]])
    );
    let with_output = json!({"hist_access_type": "tail", "n": 4, "output": true, "raw": true});
    assert_eq!(history(&mut second, with_output).await[0], json!([1, 1, ["result 1", "1"]]));
    let before = json!({"hist_access_type": "range", "session": -1, "start": 1, "stop": 3,
                        "output": false, "raw": true});
    assert_eq!(history(&mut second, before).await, json!([[1, 1, "result 1"], [1, 2, "print x"]]));
    let search = json!({"hist_access_type": "search", "pattern": "result*", "unique": true, "n": 10,
                        "output": false, "raw": true});
    assert_eq!(history(&mut second, search).await, json!([[2, 1, "result 1"]]));
    // As jupyter_client sends it, without a stop.
    let bare = json!({"hist_access_type": "range", "raw": true, "output": false, "session": 0,
                      "start": 0});
    assert_eq!(history(&mut second, bare).await, json!([[2, 1, "result 1"]]));
    second.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_history_file_does_not_stop_the_kernel() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "this is no database at all ".repeat(40)).expect("writes");
    let setup = Setup { history: Some(file.path().to_owned()), ..Setup::default() };
    let mut frontend = Frontend::start_with(Echo::new(), setup).await;
    assert_eq!(frontend.execute("result 1").await.result(), "1");
    let tail = json!({"hist_access_type": "tail", "n": 3, "output": false, "raw": true});
    assert_eq!(history(&mut frontend, tail).await, json!([[1, 1, "result 1"]]));
    frontend.shut_down().await;
}
