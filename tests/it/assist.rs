//! Completion and inspection by the real engine, over real sockets: the prelude, live values, the
//! notebook's own items, while a cell runs, and in places where there is nothing to say.

use std::time::{Duration, Instant};

use oxilab_kernel::cli::engine::{self, Engine};
use oxilab_kernel::session::Config;
use oxilab_tests::frontend::{Channel, Frontend};
use serde_json::{Value, json};

const SETUP: &str = r#"
use std::collections::HashMap as Map;
/// A point of the plane.
#[derive(Clone, Debug)]
struct Point { x: f64, y: f64 }
impl Point {
    /// Its length.
    fn norm(&self) -> f64 { (self.x * self.x + self.y * self.y).sqrt() }
}
macro_rules! halve { ($number:expr) => { $number / 2 }; }
let prices = df!("price" => [1.5, 2.5], "größe" => ["a", "b"])?;
let points = vec![Point { x: 3.0, y: 4.0 }];
let point = Point { x: 3.0, y: 4.0 };
let query = df!("priority" => [1, 2], "late" => [true, false])?.lazy();
let tensor = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
let table: Map<String, Vec<i64>> = Map::new();
"#;

/// A kernel whose index is there: a fresh installation makes it in the background.
async fn start() -> Frontend {
    let folder = std::env::temp_dir().join(format!("oxilab-assist-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::create_dir_all(folder.join("data")).expect("a folder");
    for file in ["cars and more.csv", "date.rs", "data/days.csv"] {
        std::fs::write(folder.join(file), "").expect("a file");
    }
    let config = Config { directory: folder, ..Config::default() };
    let started = tokio::task::spawn_blocking(move || engine::start_with(Engine::Oxilab, &config));
    let runner = started.await.expect("starts").expect("the prelude is installed");
    let mut frontend = Frontend::start(runner).await;
    let done = frontend.execute(SETUP).await;
    assert_eq!(done.reply["status"], "ok", "{}", done.reply);
    let deadline = Instant::now() + Duration::from_secs(400);
    while !texts(&mut frontend, "prices.hei|").await.contains(&"height".to_owned()) {
        assert!(Instant::now() < deadline, "the completion index was not made in time");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    frontend
}

/// The reply to a completion at the `|` of a text.
async fn complete(frontend: &mut Frontend, text: &str) -> Value {
    let cursor = text.split('|').next().expect("a cursor").chars().count();
    let content = json!({"code": text.replacen('|', "", 1), "cursor_pos": cursor});
    let reply = frontend.ask(Channel::Shell, "complete_request", content).await;
    assert_eq!(reply["status"], "ok", "{reply}");
    let matches = reply["matches"].as_array().expect("matches").len();
    let types = reply["metadata"]["_jupyter_types_experimental"].as_array().expect("types");
    assert_eq!(types.len(), matches, "one for each match");
    reply
}

async fn texts(frontend: &mut Frontend, text: &str) -> Vec<String> {
    let reply = complete(frontend, text).await;
    let matches = reply["matches"].as_array().expect("matches").clone();
    matches.into_iter().map(|one| one.as_str().expect("a text").to_owned()).collect()
}

async fn inspect(frontend: &mut Frontend, text: &str, detail: u8) -> Value {
    let cursor = text.split('|').next().expect("a cursor").chars().count();
    let code = text.replacen('|', "", 1);
    let content = json!({"code": code, "cursor_pos": cursor, "detail_level": detail});
    frontend.ask(Channel::Shell, "inspect_request", content).await
}

async fn has(frontend: &mut Frontend, text: &str, expected: &[&str]) {
    let found = texts(frontend, text).await;
    for name in expected {
        assert!(found.iter().any(|one| one == name), "{text}: no {name} in {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_in_scope_is_completed_and_inspected() {
    let mut frontend = start().await;
    let front = &mut frontend;
    everything_is_completed(front).await;
    metadata_stands_beside_the_matches(front).await;
    everything_is_inspected(front).await;
    help_goes_to_the_pager(front).await;
    while_a_cell_runs(front).await;
    odd_places(front).await;
    inside_characters(front).await;
    completeness(front).await;
    frontend.shut_down().await;
}

async fn everything_is_completed(front: &mut Frontend) {
    for (text, expected) in [
        // Variables, their members: polars, candle, std, the workbench's traits, own types.
        ("pri|", &["prices", "print!", "println!"][..]),
        ("prices.|", &["height", "column", "lazy", "head", "clone"]),
        ("prices.clone().lazy().gro|", &["group_by", "group_by_stable"]),
        ("prices.clone().lazy().group_by([col(\"price\")]).ag|", &["agg"]),
        ("col(\"price\").me|", &["mean", "median"]),
        ("tensor.mat|", &["matmul"]),
        ("tensor.matmul(&tensor)?.sh|", &["shape"]),
        ("points[0].|", &["x", "y", "norm", "clone"]),
        ("points.iter().fil|", &["filter", "filter_map"]),
        ("table.get(\"a\").unw|", &["unwrap", "unwrap_or"]),
        ("prices.plo|", &["plot"]),
        ("1.5f64.sq|", &["sqrt"]),
        ("\"a b\".spl|", &["split", "split_whitespace"]),
        // What is being written: bindings of the cell, and what only the compiler knows.
        ("let mean_of = prices.height();\nmean_o|", &["mean_of"]),
        ("let late = prices.clone().lazy();\nlate.col|", &["collect"]),
        // Paths, imports, items of the prelude, macros, magics.
        ("use polars::pre|", &["prelude"]),
        ("use std::{fmt, collections::BTree|", &["BTreeMap", "BTreeSet"]),
        ("std::collections::Hash|", &["HashMap", "HashSet"]),
        ("DataType::Int|", &["Int64", "Int32"]),
        ("Tensor::ze|", &["zeros", "zeros_like"]),
        ("candle_nn::ops::soft|", &["softmax"]),
        ("train_te|", &["train_test_split"]),
        ("form|", &["format!"]),
        ("let half = hal|", &["halve!"]),
        ("macro_rules! third { ($n:expr) => { $n / 3 }; }\nthi|", &["third!"]),
        ("%tim|", &["time", "timeit"]),
        ("%opt |", &["auto", "3"]),
        ("%run da|", &["date.rs", "data/"]),
        ("%cd da|", &["data/"]),
        // Fields of a literal, columns and files in strings.
        ("Point { x: 1.0, |", &["y"]),
        ("prices.clone().lazy().filter(col(\"gr|", &["größe"]),
        ("query.clone().filter(col(\"pr|", &["priority"]),
        ("prices.column(\"pr|", &["price"]),
        ("prices[\"|", &["price", "größe"]),
        ("let sizes = &prices[\"grö|", &["größe"]),
        ("std::fs::read_to_string(\"cars|", &["cars and more.csv"]),
    ] {
        has(front, text, expected).await;
    }
    assert_eq!(texts(front, "%cd da|").await, ["data/"], "a file is no place to go to");
    assert_eq!(texts(front, "%run data/|").await, ["days.csv"]);
    let closure = "points.iter().map(|p| p.no";
    let content = json!({"code": closure, "cursor_pos": closure.chars().count()});
    let reply = front.ask(Channel::Shell, "complete_request", content).await;
    assert_eq!(reply["matches"], json!(["norm"]), "the compiler knows the type");
}

async fn metadata_stands_beside_the_matches(front: &mut Frontend) {
    let reply = complete(front, "let é = 1; prices.hei|").await;
    let types = &reply["metadata"]["_jupyter_types_experimental"];
    assert_eq!(types[0]["text"], "height");
    assert_eq!(types[0]["type"], "method");
    assert_eq!(types[0]["signature"], "fn height(&self) -> usize");
    assert_eq!(
        (reply["cursor_start"].as_u64(), reply["cursor_end"].as_u64()),
        (Some(18), Some(21))
    );
    assert_eq!((types[0]["start"].as_u64(), types[0]["end"].as_u64()), (Some(18), Some(21)));
    let reply = complete(front, "pric|").await;
    assert_eq!(reply["metadata"]["_jupyter_types_experimental"][0]["signature"], "DataFrame");
}

async fn everything_is_inspected(front: &mut Frontend) {
    for (text, expected) in [
        ("prices.hei|ght()", "pub fn height(&self) -> usize"),
        ("points[0].norm|", "Its length."),
        ("Point|", "A point of the plane."),
        ("col(|", "fn col"),
        ("HashMap|", "hash map"),
        ("println|!", "macro_rules! println"),
        ("halve|!", "macro_rules! halve"),
        ("train_test_split|", "fn train_test_split"),
        ("%time|", "%time"),
    ] {
        let reply = inspect(front, text, 0).await;
        assert_eq!(reply["found"], true, "{text}");
        let plain = reply["data"]["text/plain"].as_str().expect("text");
        assert!(plain.contains(expected), "{text}: {plain}");
        assert!(
            reply["data"]["text/markdown"].as_str().expect("markdown").contains("```rust"),
            "{text}"
        );
        assert!(reply["data"]["text/html"].as_str().expect("html").contains("<pre>"), "{text}");
    }
    let reply = inspect(front, "prices|", 0).await;
    let plain = reply["data"]["text/plain"].as_str().expect("text");
    assert!(plain.contains("prices: DataFrame") && plain.contains("2 × 2"), "{plain}");
    assert!(plain.contains("price") && plain.contains("18 B"), "a preview and the size: {plain}");
    let markdown = reply["data"]["text/markdown"].as_str().expect("markdown");
    assert!(markdown.starts_with("```rust\nprices: DataFrame\n```\n\n2 × 2, "), "{markdown}");
    assert!(markdown.contains("```text\n") && markdown.contains("größe"), "a preview: {markdown}");
    let html = reply["data"]["text/html"].as_str().expect("html");
    assert!(html.starts_with("<pre><code>prices: DataFrame</code></pre><p>2 × 2, "), "{html}");
    assert!(html.contains("<table") && html.contains("größe"), "as it is shown: {html}");
    let reply = inspect(front, "Point|", 1).await;
    assert!(reply["data"]["text/plain"].as_str().expect("text").contains("x: f64"), "{reply}");
}

async fn help_goes_to_the_pager(front: &mut Frontend) {
    for (cell, expected) in [
        ("prices.column?", "fn column"),
        ("Point??", "struct Point { x: f64, y: f64 }"),
        ("Point::norm??", "(self.x * self.x + self.y * self.y).sqrt()"),
        ("point.norm??", "(self.x * self.x + self.y * self.y).sqrt()"),
        ("?points", "points: Vec<Point>"),
        ("let more = 5;\nprices?", "DataFrame"),
    ] {
        let done = front.execute(cell).await;
        assert_eq!(done.reply["status"], "ok", "{cell}: {}", done.reply);
        let page = &done.reply["payload"][0];
        assert_eq!((&page["source"], &page["start"]), (&json!("page"), &json!(0)), "{cell}");
        let plain = page["data"]["text/plain"].as_str().expect("text");
        assert!(plain.contains(expected), "{cell}: {plain}");
    }
    assert_eq!(front.execute("more").await.result(), "5", "what stands above the question has run");
    let done = front.execute("nowhere?").await;
    assert_eq!(done.stream("stdout"), "Object `nowhere` not found.\n");
    // Rust's own operator stays what it is.
    assert_eq!(front.execute("let found: Option<i32> = Some(3);").await.reply["status"], "ok");
    let done = front.execute("let sum = found.ok_or(anyhow!(\"none\"))?;\nsum").await;
    assert_eq!(done.result(), "3", "{}", done.reply);
}

async fn while_a_cell_runs(front: &mut Frontend) {
    let running = front.send_cell("std::thread::sleep(std::time::Duration::from_secs(600));").await;
    front.expect_status(&running, "busy").await;
    front.expect(&running, "execute_input").await;
    let start = Instant::now();
    has(front, "prices.hei|", &["height"]).await;
    has(front, "prices.column(\"pr|", &["price"]).await;
    let reply = inspect(front, "prices|", 0).await;
    assert!(reply["data"]["text/plain"].as_str().expect("text").contains("2 × 2"), "{reply}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    let id = front.send(Channel::Control, "interrupt_request", json!({})).await;
    front.reply(Channel::Control, &id).await;
    let reply = front.reply(Channel::Shell, &running).await;
    assert_eq!(reply.content["status"], "error");
    let mut idle = 0;
    while idle < 2 {
        let message = front.iopub().await;
        idle += usize::from(message.content["execution_state"] == "idle");
    }
}

async fn odd_places(front: &mut Frontend) {
    let start = Instant::now();
    for code in [
        "",
        "🦀e\u{301}.prices.",
        "let = ; prices.",
        "}}}} )))",
        "prices.(((",
        "\"\\",
        "r##\"prices.",
        "/* prices.",
        "use {{{::",
        "<<<>>>::",
        "'",
        "let x: Vec<",
        "fn f(",
        "prices.nothing.at.all.",
        "🦀🦀🦀.",
    ] {
        let length = code.chars().count();
        for cursor in [0, 1, length / 2, length, length + 50] {
            let content = json!({"code": code, "cursor_pos": cursor});
            let reply = front.ask(Channel::Shell, "complete_request", content.clone()).await;
            assert_eq!(reply["status"], "ok", "{code} at {cursor}");
            let end = reply["cursor_end"].as_u64().expect("a number");
            assert!(reply["cursor_start"].as_u64() <= Some(end) && end <= length as u64, "{reply}");
            let reply = front.ask(Channel::Shell, "inspect_request", content).await;
            assert_eq!(reply["status"], "ok", "{code} at {cursor}");
        }
    }
    assert!(start.elapsed() < Duration::from_secs(90), "{:?}", start.elapsed());
    assert_eq!(texts(front, "// prices.|").await, Vec::<String>::new());
}

/// A cursor counts code points, so that it may stand between a letter and its accent, or in the middle of
/// an emoji that is made of several.
async fn inside_characters(front: &mut Frontend) {
    for code in [
        "let e\u{301}te\u{301} = prices.hei",
        "let s = \"👩\u{200d}🔬👍\u{1f3fd}\"; prices.hei",
        "prices[\"gro\u{308}",
        "std::fs::read(\"👩\u{200d}🔬",
    ] {
        let length = code.chars().count();
        for cursor in 0..=length {
            let content = json!({"code": code, "cursor_pos": cursor});
            let reply = front.ask(Channel::Shell, "complete_request", content.clone()).await;
            assert_eq!(reply["status"], "ok", "{code} at {cursor}");
            assert_eq!(reply["cursor_end"], cursor, "{code}");
            assert!(reply["cursor_start"].as_u64() <= Some(cursor as u64), "{code}: {reply}");
            let reply = front.ask(Channel::Shell, "inspect_request", content).await;
            assert_eq!(reply["status"], "ok", "{code} at {cursor}");
        }
        if code.ends_with("prices.hei") {
            let reply = complete(front, &format!("{code}|")).await;
            assert_eq!(reply["matches"], json!(["height"]), "{code}");
            assert_eq!(reply["cursor_start"], length - 3, "{code}");
        }
    }
}

async fn completeness(front: &mut Frontend) {
    for (code, expected) in [
        ("let a = 1;", json!({"status": "complete"})),
        ("fn f() {", json!({"status": "incomplete", "indent": "    "})),
        ("let s = r#\"a\"", json!({"status": "incomplete", "indent": ""})),
        ("a +", json!({"status": "incomplete", "indent": "    "})),
        ("let v: Vec<Vec<i32>>", json!({"status": "incomplete", "indent": "    "})),
        ("/* open", json!({"status": "incomplete", "indent": ""})),
        ("fn f() }", json!({"status": "invalid"})),
        ("'{'", json!({"status": "complete"})),
    ] {
        let content = json!({"code": code});
        let reply = front.ask(Channel::Shell, "is_complete_request", content).await;
        assert_eq!(reply, expected, "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crate_of_the_session_has_is_completed_and_inspected() {
    let mut frontend = start().await;
    let front = &mut frontend;
    let folder = tempfile::tempdir().expect("a folder");
    let manifest = "[package]\nname = \"mega-phone\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    std::fs::create_dir(folder.path().join("src")).expect("makes");
    std::fs::write(folder.path().join("Cargo.toml"), manifest).expect("writes");
    std::fs::write(
        folder.path().join("src/lib.rs"),
        "/// Somebody who speaks.\n\
         #[derive(Clone, Debug)]\n\
         pub struct Voice { pub volume: u8 }\n\
         impl Voice {\n\
             /// A voice that is hardly heard.\n\
             pub fn quiet() -> Self { Self { volume: 1 } }\n\
             /// Twice as loud.\n\
             pub fn louder(&self) -> Self { Self { volume: self.volume * 2 } }\n\
         }\n\
         pub fn whisper(text: &str) -> String { text.to_lowercase() }\n",
    )
    .expect("writes");
    let add = format!("%dep mega-phone = {{ path = {:?} }}", folder.path());
    for cell in [add.as_str(), "let voice = mega_phone::Voice::quiet();"] {
        let done = front.execute(cell).await;
        assert_eq!(done.reply["status"], "ok", "{cell}: {}", done.reply);
    }
    // Its index is made in the background, from the first question on.
    let deadline = Instant::now() + Duration::from_secs(120);
    while !texts(front, "mega_phone::|").await.contains(&"Voice".to_owned()) {
        assert!(Instant::now() < deadline, "the crate was not read in time");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for (text, expected) in [
        ("mega_phone::|", &["Voice", "whisper"][..]),
        ("use mega_phone::Vo|", &["Voice"]),
        ("use mega|", &["mega_phone"]),
        ("mega_phone::Voice::qu|", &["quiet"]),
        ("voice.|", &["volume", "louder", "clone"]),
        ("voice.louder().vol|", &["volume"]),
    ] {
        has(front, text, expected).await;
    }
    for (text, expected) in [
        ("voice.louder|()", "Twice as loud."),
        ("mega_phone::whisper|", "fn whisper(text: &str) -> String"),
        ("voice|", "Somebody who speaks."),
    ] {
        let reply = inspect(front, text, 0).await;
        let plain = reply["data"]["text/plain"].as_str().unwrap_or_default();
        assert!(plain.contains(expected), "{text}: {reply}");
    }
    frontend.shut_down().await;
}
