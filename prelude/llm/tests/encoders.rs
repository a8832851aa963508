//! BERT, `RoBERTa` and `DistilBERT` against transformers, on tiny models with random weights.

use std::path::{Path, PathBuf};

use oxilab_llm::error::{LlmError, Result};
use oxilab_llm::{Embedder, TextClassifier};
use polars::prelude::{DataFrame, df};
use serde_json::Value;

const KINDS: [&str; 3] = ["bert", "roberta", "distilbert"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/encoders").join(name)
}

fn expected(kind: &str) -> Vec<(String, Vec<f32>)> {
    let text = std::fs::read_to_string(folder("expected.json")).expect("committed");
    let golden: Value = serde_json::from_str(&text).expect("JSON");
    let rows = golden[kind].as_array().expect("rows").iter();
    let logits = |row: &Value| serde_json::from_value(row["logits"].clone()).expect("numbers");
    rows.map(|row| (row["text"].as_str().expect("text").to_owned(), logits(row))).collect()
}

#[test]
fn logits_are_those_of_transformers() -> Result<()> {
    for kind in KINDS {
        let model = TextClassifier::load(folder(kind))?;
        assert_eq!(model.labels(), ["bad", "good", "neither"]);
        let (texts, theirs): (Vec<_>, Vec<_>) = expected(kind).into_iter().unzip();
        let ours = model.logits(&texts)?.to_vec2::<f32>()?;
        for (text, (ours, theirs)) in texts.iter().zip(ours.iter().zip(&theirs)) {
            let apart = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-4, "{kind} {text:?}: {ours:?} {theirs:?}");
        }
    }
    Ok(())
}

fn reviews() -> Result<DataFrame> {
    let words = ["film", "end", "a film", "the end", "the film", "an end", "film and end", "very"];
    let (texts, moods): (Vec<String>, Vec<&str>) = words
        .iter()
        .flat_map(|word| [(format!("{word} good"), "praise"), (format!("{word} bad"), "blame")])
        .unzip();
    Ok(df!("text" => texts, "mood" => moods)?)
}

#[test]
fn fine_tuning_learns_new_classes_and_survives_a_folder() -> Result<()> {
    let reviews = reviews()?;
    for kind in KINDS {
        let mut model = TextClassifier::load(folder(kind))?
            .with_epochs(80)
            .with_learning_rate(5e-3)
            .with_batch_size(8)
            .quiet();
        let history = model.fit(&reviews, "text", "mood")?;
        let losses = history.metric("train_loss");
        // Dropout makes single epochs jump.
        let late = losses[losses.len() - 20..].iter().copied().fold(f64::INFINITY, f64::min);
        assert!(late < 0.3 * losses[0], "{kind}: {losses:?}");
        assert_eq!(model.labels(), ["blame", "praise"]);
        assert!(model.score(&reviews, "text", "mood")? > 0.9, "{kind}");
        let folder = tempfile::tempdir().expect("a folder");
        model.save(folder.path().join("mood"))?;
        let again = TextClassifier::load(folder.path().join("mood"))?;
        let proba = |model: &TextClassifier| model.predict_proba(&reviews, "text");
        assert!(proba(&again)?.equals(&proba(&model)?), "{kind}");
    }
    Ok(())
}

#[test]
fn a_frozen_encoder_stays_as_it_is() -> Result<()> {
    let mut model = TextClassifier::load(folder("bert"))?
        .with_epochs(5)
        .with_learning_rate(1e-2)
        .with_frozen_encoder(true)
        .quiet();
    let whole = tempfile::tempdir().expect("a folder");
    let words = |name: &str| -> Result<Vec<f32>> {
        let path = whole.path().join(name).join("model.safetensors");
        let tensors = oxilab_nn::load_tensors(path)?;
        let words = &tensors["bert.embeddings.word_embeddings.weight"];
        Ok(words.flatten_all()?.to_vec1()?)
    };
    model.save(whole.path().join("before"))?;
    model.fit(&reviews()?, "text", "mood")?;
    model.save(whole.path().join("after"))?;
    assert_eq!(words("before")?, words("after")?);
    Ok(())
}

#[test]
fn damaged_folders_are_named() {
    let copy = tempfile::tempdir().expect("a folder");
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(folder("bert").join(file), copy.path().join(file)).expect("copied");
    }
    let load = || TextClassifier::load(copy.path()).expect_err("damaged").to_string();
    let write =
        |file: &str, bytes: &[u8]| std::fs::write(copy.path().join(file), bytes).expect("written");

    // A vocabulary of a million words is in no file of this size.
    let config = std::fs::read_to_string(copy.path().join("config.json")).expect("readable");
    write("config.json", config.replace("\"vocab_size\": ", "\"vocab_size\": 9000").as_bytes());
    assert!(load().contains("word_embeddings"), "{}", load());
    write("config.json", config.replace("\"bert\"", "\"mamba\"").as_bytes());
    assert!(load().contains("mamba"), "{}", load());
    write("config.json", config.as_bytes());

    let weights = std::fs::read(copy.path().join("model.safetensors")).expect("readable");
    write("model.safetensors", &weights[..weights.len() / 2]);
    assert!(load().contains("model.safetensors"), "{}", load());
    let mut hostile = weights.clone();
    hostile[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    write("model.safetensors", &hostile);
    assert!(load().contains("model.safetensors"), "{}", load());
    write("model.safetensors", &weights);

    write("tokenizer.json", b"{\"model\": {\"type\": \"WordPiece\"");
    assert!(load().contains("tokenizer.json"), "{}", load());
    std::fs::remove_file(copy.path().join("tokenizer.json")).expect("removed");
    assert!(load().contains("tokenizer.json"), "{}", load());
    assert!(matches!(TextClassifier::load("/nowhere"), Err(LlmError::File { .. })));
}

#[test]
fn any_of_the_family_makes_vectors_of_length_one() -> Result<()> {
    for kind in KINDS {
        let embedder = Embedder::load(folder(kind))?;
        let vectors = embedder.embed(&["a good film", "bad", "a good film"])?.to_vec2::<f32>()?;
        assert_eq!(vectors[0], vectors[2]);
        for vector in vectors {
            assert!((vector.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5, "{kind}");
        }
    }
    Ok(())
}
