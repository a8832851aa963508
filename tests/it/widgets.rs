//! Widgets with Rust callbacks, as a front end with ipywidgets talks to them.

use std::time::{Duration, Instant};

use oxilab_tests::engine::{self, run};
use oxilab_tests::frontend::{Channel, Executed, Frontend, Message, execute_content};
use serde_json::{Value, json};

const VIEW: &str = "application/vnd.jupyter.widget-view+json";

/// The comm of the model of this name that a cell has opened.
fn model(done: &Executed, name: &str) -> String {
    let open = done.outputs.iter().find(|message| {
        message.msg_type == "comm_open" && message.content["data"]["state"]["_model_name"] == name
    });
    let open = open.unwrap_or_else(|| panic!("no {name} in {:?}", done.outputs));
    assert_eq!(open.content["target_name"], "jupyter.widget");
    assert_eq!(open.metadata["version"], "2.1.0");
    open.content["comm_id"].as_str().expect("an id").to_owned()
}

/// Sends a message to a comm; returns what came between busy and idle, and the message's id.
async fn send(frontend: &mut Frontend, comm: &str, data: Value) -> Vec<Message> {
    let content = json!({"comm_id": comm, "data": data});
    let id = frontend.send(Channel::Shell, "comm_msg", content).await;
    frontend.expect_status(&id, "busy").await;
    let mut shown = Vec::new();
    loop {
        let message = frontend.iopub().await;
        if message.msg_type == "status" {
            assert_eq!(message.content["execution_state"], "idle");
            return shown;
        }
        shown.push(message);
    }
}

fn moved(value: impl Into<Value>) -> Value {
    json!({"method": "update", "state": {"value": value.into()}, "buffer_paths": []})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_follows_its_slider_within_a_tenth_of_a_second() {
    let mut frontend = engine::start().await;
    let code = "interact((\"n\", 0..=10), |n: i32| html(format!(\"<b>{}</b>\", n * n)));";
    let done = run(&mut frontend, code).await;
    let slider = model(&done, "IntSliderModel");
    let displays: Vec<&Message> =
        done.outputs.iter().filter(|message| message.msg_type == "display_data").collect();
    assert_eq!(displays[0].content["data"][VIEW]["model_id"], model(&done, "VBoxModel"));
    let place = displays[1].content["transient"]["display_id"].clone();
    assert!(displays[1].content["data"]["text/html"] == "<b>25</b>", "{:?}", displays[1]);

    let mut times = Vec::new();
    for value in 0..20 {
        let start = Instant::now();
        let shown = send(&mut frontend, &slider, moved(value % 10)).await;
        times.push(start.elapsed());
        let [update] = shown.as_slice() else { panic!("{shown:?}") };
        assert_eq!(update.msg_type, "update_display_data");
        assert_eq!(update.content["transient"]["display_id"], place);
        let expected = format!("<b>{}</b>", (value % 10) * (value % 10));
        assert_eq!(update.content["data"]["text/html"], expected);
    }
    times.sort();
    println!("slider to result: median {:?}, slowest {:?}", times[10], times[19]);
    assert!(times[10] < Duration::from_millis(100), "{times:?}");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_follows_each_of_several_controls() {
    let mut frontend = engine::start().await;
    let code = "interact(\n\
                    ((\"n\", 1..=3), (\"kind\", [\"low\", \"high\"]), (\"loud\", false), (\"name\", \"Ada\")),\n\
                    |(n, kind, loud, name): (i32, String, bool, String)| html(format!(\"{n} {kind} {loud} {name}\")),\n\
                );";
    let done = run(&mut frontend, code).await;
    let shown = |message: &Message| message.content["data"]["text/html"].clone();
    let first = done.outputs.iter().rfind(|message| message.msg_type == "display_data");
    assert_eq!(first.map(shown), Some(json!("2 low false Ada")));
    for (name, change, expected) in [
        ("CheckboxModel", moved(true), "2 low true Ada"),
        ("TextModel", moved("Grace"), "2 low true Grace"),
        ("DropdownModel", chosen(1), "2 high true Grace"),
        ("IntSliderModel", moved(3), "3 high true Grace"),
        ("CheckboxModel", moved(false), "3 high false Grace"),
    ] {
        let messages = send(&mut frontend, &model(&done, name), change).await;
        let [update] = messages.as_slice() else { panic!("{name}: {messages:?}") };
        assert_eq!(update.msg_type, "update_display_data");
        assert_eq!(shown(update), expected, "{name}");
    }
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_is_ticked_calls_rust_and_keeps_what_it_is() {
    let mut frontend = engine::start().await;
    let code = "let logs = Checkbox::new(false).with_description(\"logs\");\n\
                logs.on_change(|on| println!(\"logs: {on}\"));\nlogs";
    let done = run(&mut frontend, code).await;
    let comm = model(&done, "CheckboxModel");
    for on in [true, false, true] {
        let shown = send(&mut frontend, &comm, moved(on)).await;
        let [said] = shown.as_slice() else { panic!("{shown:?}") };
        assert_eq!(said.content["text"], format!("logs: {on}\n"));
    }
    // What it is already is no change.
    assert!(send(&mut frontend, &comm, moved(true)).await.is_empty());
    assert_eq!(frontend.execute("logs.value()").await.result(), "true");
    // From Rust, the view is told and the callback is called as well.
    let done = run(&mut frontend, "logs.set_value(false);").await;
    let told = done.outputs.iter().find(|message| message.msg_type == "comm_msg").expect("told");
    assert_eq!(told.content["comm_id"], json!(comm));
    assert_eq!(told.content["data"]["state"], json!({"value": false}));
    assert_eq!(done.stream("stdout"), "logs: false\n");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_during_a_cell_waits_for_its_end() {
    let mut frontend = engine::start().await;
    let code = "use std::sync::atomic::{AtomicBool, Ordering::SeqCst};\n\
                static ENDED: AtomicBool = AtomicBool::new(false);";
    run(&mut frontend, code).await;
    let code = "let slider = IntSlider::new(0..=10);\n\
                slider.on_change(|n| println!(\"callback {n} {}\", ENDED.load(SeqCst)));\nslider";
    let done = run(&mut frontend, code).await;
    let slider = model(&done, "IntSliderModel");
    let opener = done.outputs[0].parent.clone();
    let code = "println!(\"go\");\nstd::thread::sleep(Duration::from_millis(400));\n\
                println!(\"end\");\nENDED.store(true, SeqCst);";
    let cell = frontend.send_cell(code).await;
    frontend.expect_status(&cell, "busy").await;
    frontend.expect(&cell, "execute_input").await;
    frontend.expect(&cell, "stream").await;
    let content = json!({"comm_id": slider, "data": moved(7)});
    let comm = frontend.send(Channel::Shell, "comm_msg", content).await;
    frontend.reply(Channel::Shell, &cell).await;
    let mut order = Vec::new();
    // The two run beside each other: either may be idle first.
    let idle = |id: &str| (id.to_owned(), "idle".to_owned());
    while !(order.contains(&idle(&comm)) && order.contains(&idle(&cell))) {
        let message = frontend.iopub().await;
        let state = message.content["execution_state"].as_str();
        let said = state.or(message.content["text"].as_str()).unwrap_or_default().to_owned();
        order.push((message.parent, said));
    }
    let at = |parent: &str, said: &str| {
        let found = order.iter().position(|(p, s)| p == parent && s == said);
        found.unwrap_or_else(|| panic!("{said} of {parent} in {order:?}"))
    };
    // What a callback prints goes to the cell that made the widget; what two cells show has no order
    // between them.
    at(&cell, "end\n");
    assert!(at(&opener, "callback 7 true\n") < at(&comm, "idle"));
    assert_eq!(frontend.execute("slider.value()").await.result(), "7");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_widget_of_a_captured_cell_or_of_an_expression_is_alive() {
    let mut frontend = engine::start().await;
    let code = "%%capture said\nlet slider = IntSlider::new(0..=10);\n\
                slider.on_change(|n| println!(\"moved to {n}\"));\nslider";
    let done = run(&mut frontend, code).await;
    let (slider, opener) = (model(&done, "IntSliderModel"), done.outputs[0].parent.clone());
    assert!(done.outputs.iter().all(|m| m.msg_type.starts_with("comm_")), "{:?}", done.outputs);
    let shown = send(&mut frontend, &slider, moved(7)).await;
    let [said] = shown.as_slice() else { panic!("{shown:?}") };
    assert_eq!((&said.content["text"], &said.parent), (&json!("moved to 7\n"), &opener));
    assert_eq!(frontend.execute("slider.value()").await.result(), "7");

    let mut content = execute_content("1 + 1");
    content["user_expressions"] = json!({"widget": "IntSlider::new(0..=1)"});
    let id = frontend.send(Channel::Shell, "execute_request", content).await;
    let done = frontend.finish(&id).await;
    assert_eq!(done.reply["user_expressions"]["widget"]["status"], "ok", "{}", done.reply);
    model(&done, "IntSliderModel");
    frontend.shut_down().await;
}

fn chosen(index: u32) -> Value {
    json!({"method": "update", "state": {"index": index}, "buffer_paths": []})
}

fn click() -> Value {
    json!({"method": "custom", "content": {"event": "click"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_panics_or_fails_is_an_error_output() {
    let mut frontend = engine::start().await;
    let code = "let text = widgets::Text::new(\"1\");\n\
                text.on_change(|text| -> Result<(), std::num::ParseIntError> {\n\
                    let number: u8 = text.parse()?;\n\
                    assert!(number < 10, \"{number} is too much\");\n\
                    Ok(())\n\
                });\ntext";
    let done = run(&mut frontend, code).await;
    let (comm, opener) = (model(&done, "TextModel"), done.outputs[0].parent.clone());
    let shown = send(&mut frontend, &comm, moved("12")).await;
    let [error] = shown.as_slice() else { panic!("{shown:?}") };
    assert_eq!((error.msg_type.as_str(), error.parent.as_str()), ("error", opener.as_str()));
    assert_eq!(error.content["ename"], "panic");
    assert_eq!(error.content["evalue"], "12 is too much");
    let traceback = error.content["traceback"].to_string();
    assert!(traceback.contains("In [1]:4"), "{traceback}");
    let shown = send(&mut frontend, &comm, moved("many")).await;
    assert_eq!(shown[0].content["ename"], "ParseIntError", "{shown:?}");
    assert!(send(&mut frontend, &comm, moved("3")).await.is_empty());
    assert_eq!(frontend.execute("text.value()").await.result(), "\"3\"");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_does_not_end_can_be_interrupted() {
    let mut frontend = engine::start().await;
    run(&mut frontend, "let kept = 42;").await;
    let code = "let (spin, wait) = (Button::new(\"spin\"), Button::new(\"wait\"));\n\
                spin.on_click(|| { println!(\"go\"); loop {} });\n\
                wait.on_click(|| {\n\
                    println!(\"go\");\n\
                    let (_tx, rx) = std::sync::mpsc::channel::<u8>();\n\
                    let _ = rx.recv();\n\
                });";
    run(&mut frontend, code).await;
    let buttons = [run(&mut frontend, "spin").await, run(&mut frontend, "wait").await];
    for (done, limit) in buttons.iter().zip([2, 6]) {
        let content = json!({"comm_id": model(done, "ButtonModel"), "data": click()});
        let comm = frontend.send(Channel::Shell, "comm_msg", content).await;
        frontend.expect_status(&comm, "busy").await;
        assert_eq!(frontend.iopub().await.content["text"], "go\n");
        let start = Instant::now();
        let press = frontend.send(Channel::Control, "interrupt_request", json!({})).await;
        frontend.reply(Channel::Control, &press).await;
        let mut ename = String::new();
        // The press and the message it ends run beside each other: either may be idle first.
        let mut idle = std::collections::BTreeSet::new();
        while !(idle.contains(&comm) && idle.contains(&press)) {
            let message = frontend.iopub().await;
            if message.msg_type == "error" {
                ename = message.content["ename"].to_string();
            }
            if message.content["execution_state"] == "idle" {
                idle.insert(message.parent);
            }
        }
        println!("interrupted after {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(limit), "{:?}", start.elapsed());
        assert_eq!(ename, "\"KeyboardInterrupt\"");
        assert_eq!(frontend.execute("kept").await.result(), "42");
    }
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_blocks_holds_up_no_answer_and_only_delays_the_next_cell() {
    let mut frontend = engine::start().await;
    run(&mut frontend, "let kept = vec![40, 1, 1];").await;
    // Compiled now, so that it waits for the worker and not for rustc when the button is pressed.
    let sum = "kept.iter().sum::<i32>()";
    assert_eq!(frontend.execute(sum).await.result(), "42");
    let code = "let spin = Button::new(\"spin\");\n\
                spin.on_click(|| { println!(\"go\"); loop {} });\nspin";
    let done = run(&mut frontend, code).await;
    let content = json!({"comm_id": model(&done, "ButtonModel"), "data": click()});
    let comm = frontend.send(Channel::Shell, "comm_msg", content).await;
    frontend.expect_status(&comm, "busy").await;
    assert_eq!(frontend.iopub().await.content["text"], "go\n");
    let cell = frontend.send_cell(sum).await;
    frontend.expect_status(&cell, "busy").await;
    frontend.expect(&cell, "execute_input").await;

    let start = Instant::now();
    let content = json!({"code": "kep", "cursor_pos": 3});
    let reply = frontend.ask(Channel::Shell, "complete_request", content).await;
    assert_eq!(reply["matches"], json!(["kept"]));
    let content = json!({"code": "kept", "cursor_pos": 2, "detail_level": 0});
    let reply = frontend.ask(Channel::Shell, "inspect_request", content).await;
    assert!(reply["data"]["text/plain"].to_string().contains("Vec<i32>"), "{reply}");
    frontend.ask(Channel::Shell, "kernel_info_request", json!({})).await;
    println!("answered beside a callback within {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());

    let press = frontend.send(Channel::Control, "interrupt_request", json!({})).await;
    frontend.reply(Channel::Control, &press).await;
    let reply = frontend.reply(Channel::Shell, &cell).await.content;
    assert_eq!(reply["status"], "ok", "the press was meant for the callback: {reply}");
    let (mut enames, mut results) = (Vec::new(), Vec::new());
    let mut idle = std::collections::BTreeSet::new();
    while !(idle.contains(&comm) && idle.contains(&cell) && idle.contains(&press)) {
        let message = frontend.iopub().await;
        match message.msg_type.as_str() {
            "error" => enames.push(message.content["ename"].clone()),
            "execute_result" => results.push(message.content["data"]["text/plain"].clone()),
            _ if message.content["execution_state"] == "idle" => {
                idle.insert(message.parent);
            }
            _ => {}
        }
    }
    assert_eq!((enames, results), (vec![json!("KeyboardInterrupt")], vec![json!("42")]));
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_messages_in_a_second_arrive_in_order() {
    let mut frontend = engine::start().await;
    let code = "let slider = IntSlider::new(0..=100_000);\n\
                let moves = Arc::new(Mutex::new(Vec::new()));\n\
                let log = Arc::clone(&moves);\n\
                slider.on_change(move |n| log.lock().unwrap().push(n));\nslider";
    let done = run(&mut frontend, code).await;
    let slider = model(&done, "IntSliderModel");
    let start = Instant::now();
    for value in 1..=1000 {
        let content = json!({"comm_id": slider, "data": moved(value)});
        frontend.send(Channel::Shell, "comm_msg", content).await;
    }
    let mut idle = 0;
    while idle < 1000 {
        idle += usize::from(frontend.iopub().await.content["execution_state"] == "idle");
    }
    let took = start.elapsed();
    println!("1,000 messages in {took:?}");
    // A second is what they would come in; the rest is for a machine that is busy with other tests.
    assert!(took < Duration::from_secs(5), "{took:?}");
    let code = "let moves = moves.lock().unwrap();\n\
                moves.len() == 1000 && moves.windows(2).all(|pair| pair[0] < pair[1])";
    assert_eq!(frontend.execute(code).await.result(), "true");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_loaded_anew_finds_the_models() {
    let mut frontend = engine::start().await;
    let code = "let kind = Dropdown::new([\"a\", \"b\"]);\nHBox::new((&kind,))";
    let done = run(&mut frontend, code).await;
    let kind = model(&done, "DropdownModel");
    let asked = send(&mut frontend, &kind, json!({"method": "request_state"})).await;
    assert_eq!(asked[0].content["data"]["state"]["_options_labels"], json!(["a", "b"]));

    let content = json!({"target_name": "jupyter.widget"});
    let open = frontend.ask(Channel::Shell, "comm_info_request", content).await;
    assert!(open["comms"].get(&kind).is_some(), "{open}");
    let content = json!({"comm_id": "c", "target_name": "jupyter.widget.control", "data": {}});
    let id = frontend.send(Channel::Shell, "comm_open", content).await;
    frontend.expect_status(&id, "busy").await;
    frontend.expect_status(&id, "idle").await;
    let states = send(&mut frontend, "c", json!({"method": "request_states"})).await;
    let states = &states[0].content["data"]["states"];
    assert_eq!(states[&kind]["model_name"], "DropdownModel");
    let boxed = model(&done, "HBoxModel");
    assert_eq!(states[&boxed]["state"]["children"], json!([format!("IPY_MODEL_{kind}")]));

    let closed = run(&mut frontend, "widgets::Widget::close(&kind);").await;
    assert!(
        closed
            .outputs
            .iter()
            .any(|m| m.msg_type == "comm_close" && m.content["comm_id"] == json!(kind))
    );
    let id = frontend
        .send(
            Channel::Shell,
            "comm_open",
            json!({"comm_id": "x", "target_name": "nobody", "data": {}}),
        )
        .await;
    frontend.expect_status(&id, "busy").await;
    assert_eq!(frontend.expect(&id, "comm_close").await["comm_id"], "x");
    frontend.expect_status(&id, "idle").await;
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn widgets_are_closed_when_their_process_ends() {
    let mut frontend = engine::start().await;
    let done = run(&mut frontend, "IntSlider::new(0..=1)").await;
    let slider = model(&done, "IntSliderModel");
    let crash = frontend.send_cell("std::process::abort()").await;
    let (mut closed, mut ended) = (false, false);
    while !(closed && ended) {
        let message = frontend.iopub().await;
        closed |= message.msg_type == "comm_close" && message.content["comm_id"] == json!(slider);
        ended |= message.parent == crash && message.content["execution_state"] == "idle";
    }
    frontend.reply(Channel::Shell, &crash).await;
    // The slider's layout and style are closed as well; their messages may come last.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let info = frontend.send(Channel::Shell, "comm_info_request", json!({})).await;
    assert_eq!(frontend.reply(Channel::Shell, &info).await.content["comms"], json!({}));
    while frontend.iopub().await.content["execution_state"] != "idle" {}
    frontend.shut_down().await;
}
