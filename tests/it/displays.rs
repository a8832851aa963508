//! Displays that change, and progress bars, of Rust cells.

use std::collections::BTreeSet;
use std::time::Instant;

use oxilab_tests::engine::{self, run};
use oxilab_tests::frontend::Message;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn displays_are_updated_cleared_and_counted() {
    let mut frontend = engine::start().await;
    let code = "let shown = display_live(&html(\"<b>1</b>\"));\n\
                shown.update(html(\"<b>2</b>\").render());\nclear(true);\ndisplay(&html(\"3\"));";
    let done = run(&mut frontend, code).await;
    let types: Vec<&str> = done.outputs.iter().map(|m| m.msg_type.as_str()).collect();
    assert_eq!(types, ["display_data", "update_display_data", "clear_output", "display_data"]);
    let place = &done.outputs[0].content["transient"]["display_id"];
    assert_eq!(&done.outputs[1].content["transient"]["display_id"], place);
    assert_eq!(done.outputs[2].content, json!({"wait": true}));
    // From a later cell, the same place.
    let done = run(&mut frontend, "shown.update(html(\"<b>4</b>\").render());").await;
    assert_eq!(&done.outputs[0].content["transient"]["display_id"], place);

    let code = "for _ in progress(0..6) {\n\
                    for _ in progress(0..6) { std::thread::sleep(Duration::from_millis(25)); }\n}";
    let start = Instant::now();
    let done = run(&mut frontend, code).await;
    let places: BTreeSet<String> = done
        .outputs
        .iter()
        .filter(|message| message.msg_type == "display_data")
        .map(|message| message.content["transient"]["display_id"].to_string())
        .collect();
    assert!(
        !places.is_empty()
            && places.len() == done.outputs.iter().filter(|m| m.msg_type == "display_data").count()
    );
    let updates = done.outputs.iter().filter(|m| m.msg_type == "update_display_data").count();
    // Ten a second, and the last of each bar.
    let most = 10.0 * start.elapsed().as_secs_f64() + 2.0 * places.len() as f64;
    assert!((updates as f64) <= most, "{updates} updates, at most {most}");
    let last =
        text(done.outputs.iter().rfind(|m| m.msg_type == "update_display_data").expect("updates"));
    assert!(last.contains("6/6 100%"), "{last}");
    frontend.shut_down().await;
}

fn text(message: &Message) -> &str {
    message.content["data"]["text/plain"].as_str().unwrap_or_default()
}
