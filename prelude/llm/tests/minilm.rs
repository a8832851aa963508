//! all-MiniLM-L6-v2 against vectors of sentence-transformers. `cargo xtask setup` fetches the model.

use oxilab_llm::error::Result;
use oxilab_llm::{Embedder, models};
use polars::prelude::df;
use serde_json::Value;

#[test]
fn vectors_are_those_of_the_reference() -> Result<()> {
    let embedder = Embedder::load(models::minilm()?)?;
    let goldens: Vec<Value> =
        serde_json::from_str(include_str!("goldens/minilm.json")).expect("committed JSON");
    let texts: Vec<&str> = goldens.iter().filter_map(|golden| golden["text"].as_str()).collect();
    let ours = embedder.embed(&texts)?.to_vec2::<f32>()?;
    for (golden, ours) in goldens.iter().zip(ours) {
        let theirs: Vec<f32> = serde_json::from_value(golden["vector"].clone()).expect("numbers");
        assert_eq!(ours.len(), theirs.len());
        let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{:?}: {worst}", golden["text"]);
    }
    Ok(())
}

#[test]
fn a_column_is_searched_by_meaning_and_rows_without_text_are_left_out() -> Result<()> {
    let embedder = Embedder::load(models::minilm()?)?;
    let df = df!(
        "id" => [1, 2, 3, 4],
        "text" => [Some("How do I change my password?"), None, Some("The battery is empty."),
                   Some("I cannot log in on my phone.")]
    )?;
    let found = embedder.search(&df, "text", "forgot my login", 2)?;
    let mut ids: Vec<i32> = found.column("id")?.i32()?.into_no_null_iter().collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 4]);
    let scores = found.column("similarity")?.f32()?.into_no_null_iter().collect::<Vec<_>>();
    assert!(scores[0] >= scores[1]);
    Ok(())
}
