//! Input requests, and the standard input of Rust cells, which makes them.

use std::time::Duration;

use jupyter_protocol::messaging::{JupyterMessage, UnknownMessage};
use jupyter_zmq_client::{
    create_client_shell_connection_with_identity, create_client_stdin_connection_with_identity,
    peer_identity_for_session,
};
use oxilab_tests::echo::Echo;
use oxilab_tests::engine::{self, run};
use oxilab_tests::frontend::{Channel, Frontend, Message, execute_content};
use serde_json::{Value, json};
use tokio::time::timeout;

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

/// Sends a cell of a front end that answers questions.
async fn send(frontend: &mut Frontend, code: &str) -> String {
    let mut content = execute_content(code);
    content["allow_stdin"] = json!(true);
    frontend.send(Channel::Shell, "execute_request", content).await
}

/// Answers the next question of a cell.
async fn answer(frontend: &mut Frontend, cell: &str, text: &str) {
    let request = frontend.reply(Channel::Stdin, cell).await;
    assert_eq!(request.content, json!({"prompt": "", "password": false}));
    frontend.answer(&request, text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stdin_reads_as_many_lines_as_are_taken() {
    let mut frontend = engine::start().await;
    let cell = send(
        &mut frontend,
        "let lines: Vec<String> = std::io::stdin().lines().take(3).collect::<std::io::Result<_>>()?;\n\
         lines",
    )
    .await;
    for line in ["one", "", "the größte, 🦀"] {
        answer(&mut frontend, &cell, line).await;
    }
    let done = frontend.finish(&cell).await;
    assert_eq!(done.result(), "[\"one\", \"\", \"the größte, 🦀\"]", "{}", done.reply);

    // A loop asks until its end comes, also with one lock for all lines.
    let cell = send(
        &mut frontend,
        "use std::io::BufRead as _;\n\
         let sum = {\n\
             let (mut sum, mut line) = (0, String::new());\n\
             let mut lines = std::io::stdin().lock();\n\
             while lines.read_line(&mut line)? > 0 && line.trim() != \"end\" {\n\
                 sum += line.trim().parse::<i32>()?;\n\
                 line.clear();\n\
             }\n\
             sum\n\
         };\n\
         sum",
    )
    .await;
    for line in ["40", "2", "end"] {
        answer(&mut frontend, &cell, line).await;
    }
    assert_eq!(frontend.finish(&cell).await.result(), "42");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stdin_where_no_input_is_allowed_says_so() {
    let mut frontend = engine::start().await;
    run(&mut frontend, "let kept = 42;").await;
    for code in [
        "let mut line = String::new();\nstd::io::stdin().read_line(&mut line)?;",
        "let line = std::io::stdin().lines().next().unwrap()?;",
        "let all = std::io::read_to_string(std::io::stdin())?;",
    ] {
        let done = frontend.execute(code).await;
        assert_eq!(done.reply["status"], "error", "{code}: {}", done.reply);
        let said = done.stream("stderr");
        assert!(said.contains("input is not possible here"), "{code}: {said:?} {}", done.reply);
        assert!(said.contains("does not allow input"), "{code}: {said:?}");
        assert!(said.contains("give the value in the notebook"), "{code}: {said:?}");
        assert_eq!(frontend.execute("kept").await.result(), "42");
    }
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_outlives_its_cell_waits_for_no_line() {
    let mut frontend = engine::start().await;
    // The thread has the lock of `stdin` while it waits.
    let cell = send(
        &mut frontend,
        "let reads = std::thread::spawn(|| std::io::stdin().read_line(&mut String::new()).is_err());\n\
         std::thread::sleep(std::time::Duration::from_millis(500));",
    )
    .await;
    let request = frontend.reply(Channel::Stdin, &cell).await;
    // It is told after the cell's end, whose idle its words may follow.
    let (mut idle, mut said) = (false, String::new());
    while !(idle && said.ends_with("in the notebook instead\n")) {
        let message = frontend.iopub().await;
        idle |= message.content["execution_state"] == "idle";
        said += message.content["text"].as_str().unwrap_or_default();
    }
    assert!(said.contains("the cell that asked ended before there was an answer"), "{said}");
    assert_eq!(frontend.reply(Channel::Shell, &cell).await.content["status"], "ok");
    frontend.answer(&request, "too late").await;
    let cell = send(
        &mut frontend,
        "let mut line = String::new();\nstd::io::stdin().read_line(&mut line)?;\n\
         (line, reads.join().unwrap())",
    )
    .await;
    answer(&mut frontend, &cell, "mine").await;
    assert_eq!(frontend.finish(&cell).await.result(), "(\"mine\\n\", true)");
    frontend.shut_down().await;
}

/// A front end whose connection for input is closed while it is asked; `back` opens it again. Returns
/// the cell's reply.
async fn leave(observer: &mut Frontend, back: bool) -> Value {
    let info = observer.info.clone();
    let [session, stranger] = [(); 2].map(|()| uuid::Uuid::new_v4().to_string());
    let identity = |session: &str| peer_identity_for_session(session).expect("is an identity");
    let shell = create_client_shell_connection_with_identity(&info, &session, identity(&session));
    let mut shell = shell.await.expect("connects");
    let connect =
        |session| create_client_stdin_connection_with_identity(&info, session, identity(session));
    let mut stdin = connect(&session).await.expect("connects");
    let message = |msg_type: &str, content| {
        JupyterMessage::new(UnknownMessage { msg_type: msg_type.to_owned(), content }, None)
    };
    // Connected here is not yet known there: a request that is sent to nobody is lost.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut content = execute_content("input Name?");
    content["allow_stdin"] = json!(true);
    shell.send(message("execute_request", content)).await.expect("sent");
    let limit = Duration::from_secs(30);
    let request = timeout(limit, stdin.read()).await.expect("in time").expect("is asked");
    drop(stdin);
    let replied = if back {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut stdin = connect(&session).await.expect("connects again");
        // Whoever goes without being asked ends nothing.
        drop(connect(&stranger).await.expect("connects"));
        // Longer than a front end may be away.
        tokio::time::sleep(Duration::from_secs(4)).await;
        let mut answer = message("input_reply", json!({"value": "Ada", "status": "ok"}));
        answer.parent_header = Some(request.header);
        stdin.send(answer).await.expect("sent");
        timeout(limit, shell.read()).await
    } else {
        timeout(limit, shell.read()).await
    };
    let reply = replied.expect("the cell ends in time").expect("is replied");
    while observer.iopub().await.content["execution_state"] != "idle" {}
    serde_json::to_value(reply.content).expect("is JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_that_has_gone_is_not_waited_for() {
    let mut observer = Frontend::start(Echo::new()).await;
    let reply = leave(&mut observer, false).await;
    assert_eq!(reply["ename"], "InputError", "{reply}");
    let said = reply["evalue"].as_str().expect("a text");
    assert!(said.contains("the front end that ran this cell has gone"), "{said}");
    let (id, request) = ask(&mut observer).await;
    observer.answer(&request, "Ada").await;
    assert_eq!(observer.finish(&id).await.result(), "Ada");
    observer.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_that_comes_back_can_answer() {
    let mut observer = Frontend::start(Echo::new()).await;
    let reply = leave(&mut observer, true).await;
    assert_eq!(reply["status"], "ok", "{reply}");
    observer.shut_down().await;
}
