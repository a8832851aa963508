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

    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bars_within_a_bar_stand_below_it_and_move_at_most_ten_times_a_second() {
    let mut frontend = engine::start().await;
    let code = "for _ in progress(0..4) {\n\
                    for _ in progress(0..8) { std::thread::sleep(Duration::from_millis(25)); }\n}";
    let start = Instant::now();
    let done = run(&mut frontend, code).await;
    let took = start.elapsed().as_secs_f64();
    let kinds: Vec<&str> = done.outputs.iter().map(|message| message.msg_type.as_str()).collect();
    let place = |message: &Message| message.content["transient"]["display_id"].to_string();
    let places_of = |bar: &str| -> BTreeSet<String> {
        done.outputs.iter().filter(|message| text(message).contains(bar)).map(place).collect()
    };
    // One for the outer loop, and one for each run of the inner one.
    let (outer, inner) = (places_of("/4 "), places_of("/8 "));
    assert_eq!((outer.len(), inner.len()), (1, 4), "{:?}", done.outputs);
    assert_eq!(kinds.iter().filter(|kind| **kind == "display_data").count(), 5, "{kinds:?}");
    // Both at once: an inner bar is made and moves between two positions of the outer one.
    let outer = |message: &&Message| outer.contains(&place(message));
    let first = done.outputs.iter().position(|message| outer(&message)).expect("an outer bar");
    let last = done.outputs.iter().rposition(|message| outer(&message)).expect("an outer bar");
    let between = &kinds[first + 1..last];
    assert!(between.contains(&"display_data"), "no inner bar beside the outer one: {kinds:?}");
    let updates = done.outputs[first + 1..last].iter().filter(|message| !outer(message));
    assert!(updates.filter(|m| m.msg_type == "update_display_data").count() > 1, "{kinds:?}");
    // Ten a second, and the last of each bar.
    let updates = kinds.iter().filter(|kind| **kind == "update_display_data").count();
    let most = 10.0 * took + 10.0;
    assert!((updates as f64) <= most, "{updates} updates, at most {most}");
    for (places, end) in [(places_of("/4 "), "4/4 100%"), (places_of("/8 "), "8/8 100%")] {
        for bar in places {
            let last = done.outputs.iter().rfind(|message| place(message) == bar);
            assert!(last.is_some_and(|message| text(message).contains(end)), "{last:?}");
        }
    }
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_learner_that_takes_long_shows_how_far_it_is() {
    let mut frontend = engine::start().await;
    let data = "let x: Vec<f64> = (0..30_000i64).map(|i| (i * 7919 % 10_007) as f64).collect();\n\
                let z: Vec<f64> = x.iter().enumerate().map(|(i, x)| x + (i % 7) as f64).collect();\n\
                let y: Vec<f64> = x.iter().zip(&z).map(|(x, z)| x * 3.0 - z + (x % 11.0)).collect();\n\
                let many = df!(\"x\" => x, \"z\" => z, \"y\" => y)?;\n\
                let digits = data::datasets::digits()?;\n\
                let inputs = many.drop(\"y\")?;";
    run(&mut frontend, data).await;
    let fits = [
        "model::RandomForest::new().with_n_estimators(200).fit(&many, \"y\")?;",
        "model::ExtraTrees::new().with_n_estimators(200).fit(&many, \"y\")?;",
        "model::IsolationForest::new().with_n_estimators(30_000).fit(&inputs)?;",
        "model::LightGbm::new().with_n_estimators(1000).fit(&many, \"y\")?;",
        "model::LogisticRegression::new().with_c(1e9).with_tol(1e-300).with_max_iter(10_000).fit(&digits, \"digit\")?;",
        "model::KMeans::new().with_n_clusters(500).with_tol(0.0).fit(&inputs)?;",
        "model::KMeans::new().with_n_init(300).fit(&inputs)?;",
        "model::cross_validate(&model::RandomForest::new().with_n_estimators(30), &many, \"y\", model::Folds::k_fold(5))?;",
    ];
    for fit in fits {
        let done = run(&mut frontend, fit).await;
        let bar = |message: &&Message| {
            let html = message.content["data"]["text/html"].as_str().unwrap_or_default();
            html.contains("<progress")
        };
        let bars: Vec<&Message> = done.outputs.iter().filter(bar).collect();
        assert!(!bars.is_empty(), "{fit}: no bar in {:?}", done.outputs);
        let last = text(bars[bars.len() - 1]);
        println!("{fit} {last}");
        // One place for all that a fit does, and it ends.
        let places: BTreeSet<String> = bars
            .iter()
            .map(|message| message.content["transient"]["display_id"].to_string())
            .collect();
        assert_eq!(places.len(), 1, "{fit}: {places:?}");
    }
    frontend.shut_down().await;
}

fn text(message: &Message) -> &str {
    message.content["data"]["text/plain"].as_str().unwrap_or_default()
}
