//! BERT, `RoBERTa` and `DistilBERT` against transformers, on tiny models with random weights.

use std::path::{Path, PathBuf};

use candle_core::{Device, safetensors};
use oxilab_llm::error::{LlmError, Result};
use oxilab_llm::{Embedder, TextClassifier};
use polars::prelude::{DataFrame, df};
use serde_json::{Value, json};
use tempfile::TempDir;

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

    let file = copy.path().join("model.safetensors");
    let error = TextClassifier::load(&file).expect_err("one file").to_string();
    assert!(error.contains("which is one file, is not supported"), "{error}");

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

/// The classifier of a kind with another `config.json`, and with the first `rows` of its head alone.
fn changed(kind: &str, rows: usize, change: impl FnOnce(&mut Value)) -> Result<TempDir> {
    let copy = tempfile::tempdir().expect("a folder");
    let (from, to) = (|name: &str| folder(kind).join(name), |name: &str| copy.path().join(name));
    std::fs::copy(from("tokenizer.json"), to("tokenizer.json")).expect("copied");
    let text = std::fs::read_to_string(from("config.json")).expect("committed");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    change(&mut config);
    std::fs::write(to("config.json"), config.to_string()).expect("written");
    let mut tensors = safetensors::load(from("model.safetensors"), &Device::Cpu)?;
    for layer in ["classifier", "classifier.out_proj"] {
        for name in ["weight", "bias"].map(|part| format!("{layer}.{part}")) {
            let Some(tensor) = tensors.remove(&name) else { continue };
            // Without a row there is no head.
            if rows > 0 {
                tensors.insert(name, tensor.narrow(0, 0, rows)?.contiguous()?);
            }
        }
    }
    safetensors::save(&tensors, to("model.safetensors"))?;
    Ok(copy)
}

fn remove(config: &mut Value, keys: &[&str]) {
    let config = config.as_object_mut().expect("an object");
    keys.iter().for_each(|key| drop(config.remove(*key)));
}

/// `config.json` without the classes' names.
fn nameless(config: &mut Value) {
    remove(config, &["id2label", "label2id"]);
}

/// transformers writes no names of two classes that have none.
#[test]
fn classes_without_names_have_those_of_transformers() -> Result<()> {
    for kind in KINDS {
        let (texts, theirs): (Vec<_>, Vec<_>) = expected(kind).into_iter().unzip();
        let df = df!("text" => &texts)?;
        let two = TextClassifier::load(changed(kind, 2, nameless)?.path())?;
        assert_eq!(two.labels(), ["LABEL_0", "LABEL_1"]);
        let said = two.predict(&df, "text")?;
        for (said, theirs) in said.str()?.iter().zip(&theirs) {
            let expected = if theirs[1] > theirs[0] { "LABEL_1" } else { "LABEL_0" };
            assert_eq!(said, Some(expected), "{kind}: {theirs:?}");
        }
        let proba = two.predict_proba(&df, "text")?;
        assert_eq!(proba.get_column_names(), ["LABEL_0", "LABEL_1"], "{kind}");
    }
    let counted = changed("bert", 3, |config| {
        nameless(config);
        config["num_labels"] = 3.into();
    })?;
    assert_eq!(TextClassifier::load(counted.path())?.labels(), ["LABEL_0", "LABEL_1", "LABEL_2"]);
    // Names that are numbers are names.
    let numbers = changed("bert", 2, |config| config["id2label"] = json!({"0": 5, "1": "six"}))?;
    assert_eq!(TextClassifier::load(numbers.path())?.labels(), ["5", "six"]);
    Ok(())
}

#[test]
fn a_trained_head_of_another_width_is_not_replaced() -> Result<()> {
    for (kind, head) in KINDS.iter().zip(["classifier", "classifier.out_proj", "classifier"]) {
        for rows in [1, 3] {
            let folder = changed(kind, rows, nameless)?;
            let error = TextClassifier::load(folder.path()).expect_err("refused").to_string();
            let expected = format!("{head}.weight is [{rows}, 16], expected [2, 16]");
            assert!(error.contains(&expected) && error.contains("id2label"), "{error}");
        }
        // A file without a head gets one for any number of classes.
        let names = json!({"0": "a", "1": "b", "2": "c", "3": "d"});
        let bare = changed(kind, 0, |config| config["id2label"] = names)?;
        let model = TextClassifier::load(bare.path())?;
        assert_eq!((model.labels().len(), model.logits(&["good"])?.dims()), (4, &[1, 4][..]));
        let reviews = reviews()?;
        let error = model.predict(&reviews, "text").expect_err("chance").to_string();
        assert!(error.contains("no trained head") && error.contains("`fit`"), "{error}");
        let saved = tempfile::tempdir().expect("a folder");
        model.save(saved.path())?;
        assert!(TextClassifier::load(saved.path())?.predict(&reviews, "text").is_err());
        let mut model = model.with_epochs(1).quiet();
        model.fit(&reviews, "text", "mood")?;
        assert_eq!(model.predict(&reviews, "text")?.len(), reviews.height());
    }
    Ok(())
}

/// Cross-encoders and regression models have one value for a text.
#[test]
fn a_model_of_one_value_gives_it_and_predicts_no_class() -> Result<()> {
    let reviews = reviews()?;
    for kind in KINDS {
        let one = changed(kind, 1, |config| config["id2label"] = json!({"0": "LABEL_0"}))?;
        let mut model = TextClassifier::load(one.path())?.with_epochs(1).quiet();
        let (texts, theirs): (Vec<_>, Vec<_>) = expected(kind).into_iter().unzip();
        for (ours, theirs) in model.logits(&texts)?.to_vec2::<f32>()?.iter().zip(&theirs) {
            assert!(ours.len() == 1 && (ours[0] - theirs[0]).abs() < 1e-4, "{kind}: {ours:?}");
        }
        for error in [
            model.predict(&reviews, "text").expect_err("no classes"),
            model.predict_proba(&reviews, "text").expect_err("no classes"),
        ] {
            assert!(error.to_string().contains("`logits` gives each text's value"), "{error}");
        }
        model.fit(&reviews, "text", "mood")?;
        assert_eq!(model.predict_proba(&reviews, "text")?.get_column_names(), ["blame", "praise"]);
    }
    Ok(())
}

#[test]
fn texts_of_several_classes_have_a_probability_for_each() -> Result<()> {
    let (reviews, kind) = (reviews()?, "bert");
    let several = |config: &mut Value| config["problem_type"] = "multi_label_classification".into();
    let folder = changed(kind, 3, several)?;
    let mut model = TextClassifier::load(folder.path())?.with_epochs(1).quiet();
    let (texts, theirs): (Vec<_>, Vec<_>) = expected(kind).into_iter().unzip();
    let proba = model.predict_proba(&df!("text" => &texts)?, "text")?;
    for (label, name) in model.labels().iter().enumerate() {
        for (p, logits) in proba.column(name)?.f32()?.iter().zip(&theirs) {
            let expected = 1.0 / (1.0 + (-logits[label]).exp());
            assert!(p.is_some_and(|p| (p - expected).abs() < 1e-4), "{name}: {p:?} {expected}");
        }
    }
    let error = model.predict(&reviews, "text").expect_err("several").to_string();
    assert!(error.contains("`predict_proba`"), "{error}");
    let saved = tempfile::tempdir().expect("a folder");
    model.save(saved.path())?;
    let again = TextClassifier::load(saved.path())?;
    assert!(again.predict(&reviews, "text").is_err(), "it stays one for several");
    // Fitted to a column of classes it is one for these.
    model.fit(&reviews, "text", "mood")?;
    model.save(saved.path())?;
    let fitted = TextClassifier::load(saved.path())?;
    assert_eq!(fitted.predict(&reviews, "text")?, model.predict(&reviews, "text")?);
    Ok(())
}

#[test]
fn what_cannot_be_trained_leaves_the_head_as_it_was() -> Result<()> {
    let reviews = reviews()?;
    let mut model = TextClassifier::load(folder("bert"))?.quiet();
    let before = model.logits(&["a good film"])?.to_vec2::<f32>()?;
    let same = |model: &TextClassifier| -> Result<()> {
        assert_eq!(model.labels(), ["bad", "good", "neither"]);
        assert_eq!(model.logits(&["a good film"])?.to_vec2::<f32>()?, before);
        Ok(())
    };
    let praise = df!("text" => ["good", "very good"], "mood" => ["praise", "praise"])?;
    let error = model.fit(&praise, "text", "mood").expect_err("one class").to_string();
    assert!(error.contains("\"mood\"") && error.contains("two at least"), "{error}");
    same(&model)?;
    let mut model = model.with_batch_size(0);
    let error = model.fit(&reviews, "text", "mood").expect_err("no batches").to_string();
    assert!(error.contains("batch"), "{error}");
    same(&model)?;
    let mut model = model.with_batch_size(8).with_epochs(0);
    let error = model.fit(&reviews, "text", "mood").expect_err("no epochs").to_string();
    assert!(error.contains("epochs"), "{error}");
    same(&model)?;
    // Set right, it learns the new classes.
    let mut model = model.with_epochs(1);
    model.fit(&reviews, "text", "mood")?;
    assert_eq!(model.labels(), ["blame", "praise"]);
    Ok(())
}
