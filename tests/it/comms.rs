//! Comms in both directions.

use bytes::Bytes;
use oxilab_tests::echo::Echo;
use oxilab_tests::engine::{self, run};
use oxilab_tests::frontend::{Channel, Frontend};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn comms_are_opened_listed_answered_and_closed() {
    let mut frontend = Frontend::start(Echo::new()).await;
    let open = json!({"comm_id": "c1", "target_name": "echo", "data": {}});
    let id = frontend.send(Channel::Shell, "comm_open", open).await;
    frontend.expect_status(&id, "busy").await;
    frontend.expect_status(&id, "idle").await;
    let info = frontend.ask(Channel::Shell, "comm_info_request", json!({})).await;
    assert_eq!(info, json!({"status": "ok", "comms": {"c1": {"target_name": "echo"}}}));

    let message = json!({"comm_id": "c1", "data": {"value": 3}});
    let buffers = vec![Bytes::from_static(&[1, 2, 255])];
    let id = frontend.send_with(Channel::Shell, "comm_msg", message, json!({}), buffers).await;
    frontend.expect_status(&id, "busy").await;
    let answer = frontend.iopub().await;
    assert_eq!((answer.msg_type.as_str(), answer.parent.as_str()), ("comm_msg", id.as_str()));
    assert_eq!(answer.content, json!({"comm_id": "c1", "data": {"value": 3}}));
    assert_eq!(answer.buffers, [Bytes::from_static(&[1, 2, 255])]);
    frontend.expect_status(&id, "idle").await;

    let id =
        frontend.send(Channel::Shell, "comm_close", json!({"comm_id": "c1", "data": {}})).await;
    frontend.expect_status(&id, "busy").await;
    frontend.expect_status(&id, "idle").await;
    let info =
        frontend.ask(Channel::Shell, "comm_info_request", json!({"target_name": "echo"})).await;
    assert_eq!(info["comms"], json!({}));
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_target_is_closed_and_a_cell_may_open_one() {
    let mut frontend = Frontend::start(Echo::new()).await;
    let open = json!({"comm_id": "c2", "target_name": "nobody", "data": {}});
    let id = frontend.send(Channel::Shell, "comm_open", open).await;
    frontend.expect_status(&id, "busy").await;
    assert_eq!(frontend.expect(&id, "comm_close").await["comm_id"], "c2");
    frontend.expect_status(&id, "idle").await;

    let done = frontend.execute("comm jupyter.widget").await;
    assert_eq!(done.outputs[0].msg_type, "comm_open");
    assert_eq!(done.outputs[0].content["target_name"], "jupyter.widget");
    let info = frontend.ask(Channel::Shell, "comm_info_request", json!({})).await;
    assert_eq!(info["comms"], json!({"kernel-comm": {"target_name": "jupyter.widget"}}));
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_messages_keep_their_order_while_a_cell_runs() {
    let echo = Echo::new();
    let mut frontend = Frontend::start(echo.clone()).await;
    let cell = frontend.send_cell("wait go").await;
    frontend.expect_status(&cell, "busy").await;
    frontend.expect(&cell, "execute_input").await;
    for index in 0..1000 {
        let content = json!({"comm_id": "c", "data": {"index": index}});
        frontend.send(Channel::Shell, "comm_msg", content).await;
    }
    for index in 0..1000 {
        assert_eq!(frontend.iopub().await.content["execution_state"], "busy");
        assert_eq!(frontend.iopub().await.content["data"]["index"], index);
        assert_eq!(frontend.iopub().await.content["execution_state"], "idle");
    }
    echo.release("go");
    frontend.reply(Channel::Shell, &cell).await;
    frontend.expect_status(&cell, "idle").await;
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_of_a_cells_own_hears_open_message_and_close() {
    let mut frontend = engine::start().await;
    let code = "use oxilab::runtime::comm::{Comm, Message, register_target};\n\
                static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());\n\
                fn hear(comm: &Comm, message: &Message) {\n\
                    let note = |message: &Message| {\n\
                        HEARD.lock().unwrap().push(format!(\"{} {}\", message.kind, message.data[\"n\"]));\n\
                    };\n\
                    note(message);\n\
                    comm.on_message(move |comm, message| {\n\
                        note(message);\n\
                        comm.send(json!({\"heard\": message.kind}), &message.buffers);\n\
                    });\n\
                }";
    run(&mut frontend, code).await;
    run(&mut frontend, "register_target(\"mine\", hear);").await;

    let open = json!({"comm_id": "m", "target_name": "mine", "data": {"n": 1}});
    let id = frontend.send(Channel::Shell, "comm_open", open).await;
    frontend.expect_status(&id, "busy").await;
    frontend.expect_status(&id, "idle").await;
    let bytes = vec![Bytes::from_static(&[0, 255])];
    for (kind, n) in [("comm_msg", 2), ("comm_close", 3)] {
        let content = json!({"comm_id": "m", "data": {"n": n}});
        let buffers = bytes.clone();
        let id = frontend.send_with(Channel::Shell, kind, content, json!({}), buffers).await;
        frontend.expect_status(&id, "busy").await;
        let answer = frontend.iopub().await;
        assert_eq!((answer.msg_type.as_str(), &answer.parent), ("comm_msg", &id));
        assert_eq!(answer.content, json!({"comm_id": "m", "data": {"heard": kind}}));
        assert_eq!(answer.buffers, bytes);
        frontend.expect_status(&id, "idle").await;
    }
    let info = frontend.ask(Channel::Shell, "comm_info_request", json!({})).await;
    assert_eq!(info["comms"], json!({}));
    let heard = frontend.execute("HEARD.lock().unwrap().join(\", \")").await;
    assert_eq!(heard.result(), "\"comm_open 1, comm_msg 2, comm_close 3\"");
    frontend.shut_down().await;
}
