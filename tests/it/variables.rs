//! What the variable explorer and Shift-Tab show of values whose types no inspector knows.

use std::collections::BTreeMap;

use oxilab_tests::engine::{self, run};
use oxilab_tests::frontend::{Channel, Frontend};
use serde_json::{Value, json};

const TYPES: &str = "\
use std::collections::*;
use std::fmt;
#[derive(Clone, Debug)]
struct Point { x: f64, y: f64 }
struct Celsius(f64);
impl fmt::Display for Celsius {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, \"{} °C\\nin all\", self.0) }
}
struct Unlucky;
impl fmt::Debug for Unlucky {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result { panic!(\"no text\") }
}
struct Silent;
#[derive(Debug)]
struct Pair<T>(T, T);";

const VALUES: &str = "\
let point = Point { x: 1.0, y: -0.5 };
let points = vec![point.clone(), point.clone()];
let by_name = BTreeMap::from([(\"a\".to_owned(), Some(point.clone()))]);
let nested = vec![vec![0.5], vec![]];
let tuple = (1, \"a\\nb\", 'x');
let none: Option<String> = None;
let ids: HashMap<u64, String> = (0..1_000_000).map(|id| (id, String::new())).collect();
let warm = Celsius(21.5);
let unlucky = (1, Unlucky);
let silent = Silent;
let silents = VecDeque::from([Silent, Silent]);
let shared = std::rc::Rc::new(std::cell::RefCell::new(vec![1]));
let pair = Pair(1, 2);
let add = |n: i32| n + 1;
let n = 5;";

#[tokio::test(flavor = "multi_thread")]
async fn every_value_with_a_text_has_a_preview() {
    let mut frontend = start().await;
    run(&mut frontend, TYPES).await;
    run(&mut frontend, VALUES).await;
    let listed = variables(&mut frontend).await;
    let preview = |name: &str| listed[name]["preview"].as_str().unwrap_or("?").to_owned();
    for (name, expected) in [
        ("point", "Point { x: 1.0, y: -0.5 }"),
        ("points", "[Point { x: 1.0, y: -0.5 }, Point { x: 1.0, y: -0.5 }]"),
        ("by_name", r#"{"a": Some(Point { x: 1.0, y: -0.5 })}"#),
        ("nested", "[[0.5], []]"),
        ("tuple", r#"(1, "a\nb", 'x')"#),
        ("none", "None"),
        ("warm", "21.5 °C…"),
        ("unlucky", ""),
        ("silent", ""),
        ("silents", ""),
        ("shared", "RefCell { value: [1] }"),
        ("pair", ""),
        ("n", "5"),
    ] {
        assert_eq!(preview(name), expected, "{name}");
    }
    let ids = preview("ids");
    assert!(ids.starts_with('{') && ids.ends_with('…') && ids.chars().count() == 80, "{ids}");
    for (name, shape, bytes) in [
        ("points", json!("len 2"), 24 + 2 * 16),
        ("by_name", json!("len 1"), 24 + 48),
        ("ids", json!("len 1000000"), 1_000_000 * 32),
        ("silents", json!("len 2"), 32),
        ("point", Value::Null, 16),
        ("tuple", Value::Null, 24),
    ] {
        assert_eq!(listed[name]["shape"], shape, "{name}");
        let held = listed[name]["bytes"].as_u64().unwrap_or_default();
        assert!(held >= bytes && held < 2 * bytes, "{name}: {held}");
    }
    for (name, expected) in [("points|", "[Point { x: 1.0"), ("by_name|", "len 1"), ("ids|", "…")]
    {
        let shown = inspected(&mut frontend, name).await;
        assert!(shown.contains(expected), "{name} {shown}");
    }
    // A panic of its `Debug` is not the next cell's.
    assert_eq!(run(&mut frontend, "unlucky.0 + n").await.result(), "6");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_borrow_or_a_move_is_what_it_was() {
    let mut frontend = start().await;
    run(&mut frontend, "let words = vec![\"a\".to_owned()];\nlet first = &words[0];").await;
    run(
        &mut frontend,
        "let gone = (1, words);\nlet mut count = 0;\nlet mut add = || count += 1;\nadd();",
    )
    .await;
    let listed = variables(&mut frontend).await;
    let names: Vec<&str> = listed.keys().map(String::as_str).collect();
    assert_eq!(names, ["count", "gone"]);
    assert_eq!(listed["gone"]["preview"], r#"(1, ["a"])"#);
    for (code, text) in [
        ("let empty = Vec::new();", "type annotations needed"),
        ("let given = Default::default();", "associated function"),
        ("let total = [1, 2].iter().sum();", "type annotations needed"),
        ("let parsed = \"5\".parse()?;", "FromStr"),
    ] {
        let done = frontend.execute(code).await;
        assert_eq!(done.reply["status"], "error", "{code}");
        let told = done.reply["traceback"].to_string() + &done.reply["evalue"].to_string();
        assert!(told.contains(text) && !told.contains("Peek"), "{code}: {told}");
    }
    // What never has a value has no type either.
    for code in ["let never = todo!(\"later\");", "let never = unreachable!(\"later\");"] {
        let done = frontend.execute(code).await;
        assert_eq!(done.reply["ename"], "panic", "{code}: {}", done.reply);
    }
    // A trait of the notebook that only has the name.
    let named = "trait Debug { fn name(&self) -> u8; }\nstruct Own;\n\
                 impl Debug for Own { fn name(&self) -> u8 { 7 } }\nlet own = Own;\nown.name()";
    assert_eq!(run(&mut frontend, named).await.result(), "7");
    assert_eq!(variables(&mut frontend).await["own"]["preview"], "");
    frontend.shut_down().await;
}

/// What the panel lists, by name.
async fn variables(frontend: &mut Frontend) -> BTreeMap<String, Value> {
    let content = json!({"comm_id": "v", "data": {"id": 1, "ask": "variables"}});
    frontend.send(Channel::Shell, "comm_msg", content).await;
    let (mut idle, mut listed) = (false, None);
    while !idle || listed.is_none() {
        let message = frontend.iopub().await;
        idle |= message.content["execution_state"] == "idle";
        if message.msg_type == "comm_msg" {
            listed = message.content["data"]["value"].as_array().cloned();
            assert!(listed.is_some(), "{message:?}");
        }
    }
    let listed = listed.into_iter().flatten();
    listed.map(|of| (of["name"].as_str().unwrap_or_default().to_owned(), of)).collect()
}

/// An engine that the panel is connected with.
async fn start() -> Frontend {
    let mut frontend = engine::start().await;
    let content = json!({"comm_id": "v", "target_name": "oxilab.panel", "data": {}});
    let id = frontend.send(Channel::Shell, "comm_open", content).await;
    frontend.expect_status(&id, "busy").await;
    frontend.expect_status(&id, "idle").await;
    frontend
}

/// The text of Shift-Tab at `|`.
async fn inspected(frontend: &mut Frontend, text: &str) -> String {
    let at = text.find('|').unwrap_or(text.len());
    let content = json!({"code": text.replace('|', ""), "cursor_pos": at, "detail_level": 0});
    let reply = frontend.ask(Channel::Shell, "inspect_request", content).await;
    reply["data"]["text/plain"].as_str().unwrap_or_default().to_owned()
}
