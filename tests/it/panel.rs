//! What the JupyterLab extension asks.

use oxilab_tests::engine::{self, run};
use oxilab_tests::frontend::{Channel, Frontend};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn the_panel_is_answered_also_while_a_cell_runs() {
    let mut frontend = engine::start().await;
    run(&mut frontend, "let df = df!(\"n\" => (0..1000i64).collect::<Vec<_>>())?;").await;
    let content = json!({"comm_id": "p", "target_name": "oxilab.panel", "data": {}});
    let id = frontend.send(Channel::Shell, "comm_open", content).await;
    frontend.expect_status(&id, "busy").await;
    frontend.expect_status(&id, "idle").await;

    let listed = answer(&mut frontend, json!({"id": 1, "ask": "variables"})).await;
    assert_eq!(listed["value"][0]["name"], "df");
    assert_eq!(listed["value"][0]["type_name"], "DataFrame");
    assert_eq!(listed["value"][0]["shape"], "1000 × 1");
    assert_eq!(listed["value"][0]["pages"], true);
    let page = json!({"id": 2, "ask": "page", "name": "df", "offset": 10, "length": 2,
        "sort": "n", "descending": true});
    assert_eq!(answer(&mut frontend, page).await["value"]["rows"], json!([[989], [988]]));
    let gone = json!({"id": 3, "ask": "preview", "name": "gone"});
    assert!(answer(&mut frontend, gone).await["error"].to_string().contains("`gone`"));
    let unknown = answer(&mut frontend, json!({"id": 4, "ask": "what"})).await;
    assert!(unknown["error"].to_string().contains("does not know"), "{unknown}");

    let cell = frontend.send_cell("println!(\"go\");\nloop {}").await;
    frontend.expect_status(&cell, "busy").await;
    frontend.expect(&cell, "execute_input").await;
    frontend.expect(&cell, "stream").await;
    let format = json!({"id": 5, "ask": "format", "code": "let  x=1 ;"});
    assert_eq!(answer(&mut frontend, format).await["value"], "let x = 1;");
    let press = frontend.send(Channel::Control, "interrupt_request", json!({})).await;
    frontend.reply(Channel::Control, &press).await;
    frontend.reply(Channel::Shell, &cell).await;
    let mut idle = 0;
    while idle < 2 {
        idle += usize::from(frontend.iopub().await.content["execution_state"] == "idle");
    }
    frontend.shut_down().await;
}

/// Asks the panel's comm; the answer may come after the question's idle.
async fn answer(frontend: &mut Frontend, question: Value) -> Value {
    let content = json!({"comm_id": "p", "data": question});
    let id = frontend.send(Channel::Shell, "comm_msg", content).await;
    let (mut idle, mut answered) = (false, None);
    while !(idle && answered.is_some()) {
        let message = frontend.iopub().await;
        assert_eq!(message.parent, id, "{message:?}");
        idle |= message.content["execution_state"] == "idle";
        if message.msg_type == "comm_msg" {
            answered = Some(message.content["data"].clone());
        }
    }
    let answered = answered.unwrap_or_default();
    assert_eq!(answered["id"], question["id"]);
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_on_the_heels_of_its_open_is_answered() {
    let mut frontend = engine::start().await;
    run(&mut frontend, "1").await;
    for turn in 0..20 {
        let comm = format!("p{turn}");
        let open = json!({"comm_id": comm, "target_name": "oxilab.panel", "data": {}});
        frontend.send(Channel::Shell, "comm_open", open).await;
        let data = json!({"id": turn, "ask": "format", "code": "let  x=1 ;"});
        let question = json!({"comm_id": comm, "data": data});
        frontend.send(Channel::Shell, "comm_msg", question).await;
        let mut message = frontend.iopub().await;
        while message.msg_type != "comm_msg" {
            message = frontend.iopub().await;
        }
        assert_eq!(message.content["data"], json!({"id": turn, "value": "let x = 1;"}));
    }
    frontend.shut_down().await;
}
