//! Tracking with everything that it is told of: gates with real models, fits of every trainer, files for
//! other tools. The session is the process's, so that tests take turns.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxilab::data::expect::Suite;
use oxilab::llm::{Example, Llm, Lora, SftTrainer};
use oxilab::nn::{self, DataLoader, Loss, Mlp, Optimizer, TensorDataset, Trainer};
use oxilab::track::{self, RunRecord, Status, TrackError};
use oxilab::{gates, model};
use polars::prelude::*;

type Outcome = Result<(), Box<dyn std::error::Error>>;

static TURN: Mutex<()> = Mutex::new(());

/// A journal of the test's own; the session goes to it until the test ends.
struct Journal {
    folder: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Journal {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir()?;
        track::set_uri(&format!("journal:{}/t.sqlite", folder.path().display()))?;
        Ok(Self { folder, _turn: turn })
    }
}

/// `answer` follows `x`, but for the group `b` only half of the time.
fn people() -> PolarsResult<DataFrame> {
    let rows = 0..200_u32;
    let x: Vec<f64> = rows.clone().map(|row| f64::from(row * 37 % 100)).collect();
    let group: Vec<&str> = rows.clone().map(|row| if row % 2 == 0 { "a" } else { "b" }).collect();
    let answer: Vec<bool> = rows.map(|row| (row * 37 % 100 >= 50) != (row % 4 == 1)).collect();
    df!("x" => x, "group" => group, "answer" => answer)
}

fn register(name: &str, model: &model::FittedModel) -> Result<u32, TrackError> {
    Ok(track::register_with(name, |path| model.save(path))?.version)
}

/// The reasons for which a version is not promoted.
fn refused(name: &str, version: u32) -> Vec<String> {
    match track::promote(name, version, "champion") {
        Err(TrackError::Gate { reasons, .. }) => reasons,
        other => panic!("{other:?} is no refusal"),
    }
}

#[test]
fn every_gate_lets_good_models_through_and_says_why_others_not() -> Outcome {
    let _journal = Journal::new()?;
    let people = people()?;
    let inputs = people.drop_many(["group"]);
    let good = model::DecisionTree::new().with_max_depth(1).fit(&inputs, "answer")?;
    let poor = model::Dummy::new().fit(&inputs, "answer")?;
    assert_eq!((register("m", &good)?, register("m", &poor)?), (1, 2));

    track::check("m", "floor", gates::metric(&people, "accuracy", 0.7))?;
    track::check("m", "ceiling", gates::metric(&people, "log_loss", 0.65))?;
    track::check("m", "as good", gates::not_worse_than("champion", &people, "accuracy"))?;
    track::check("m", "no more loss", gates::not_worse_than("champion", &people, "log_loss"))?;
    track::promote("m", 1, "champion")?;
    let reasons = refused("m", 2).join("\n");
    let value = |model: &model::FittedModel, metric: &str| -> model::Result<String> {
        Ok(format!("{:.4}", model.evaluate(&people)?.get(metric).unwrap_or(f64::NAN)))
    };
    let (low, high) = (value(&poor, "accuracy")?, value(&good, "accuracy")?);
    let (much, little) = (value(&poor, "log_loss")?, value(&good, "log_loss")?);
    for part in [
        format!("floor: accuracy is {low}, at least 0.7 is asked"),
        format!("ceiling: log_loss is {much}, at most 0.65 is asked"),
        format!("as good: accuracy is {low}, and {high} for the present champion"),
        format!("no more loss: log_loss is {much}, and {little} for the present champion"),
    ] {
        assert!(reasons.contains(&part), "{part:?} is not in {reasons}");
    }
    assert_eq!(track::resolve("models:/m@champion")?.version, 1, "nothing has moved");

    // Fairness: nearly all of `a` are told right, and half of `b`.
    assert_eq!(register("fair", &good)?, 1);
    track::check("fair", "groups", gates::fairness(&people, "group", "accuracy", 0.6))?;
    track::promote("fair", 1, "champion")?;
    track::check("fair", "groups", gates::fairness(&people, "group", "accuracy", 0.3))?;
    let [reason] = &refused("fair", 1)[..] else { panic!("one reason") };
    assert!(reason.contains("for group \"b\" and"), "the lower one first: {reason}");
    assert!(reason.ends_with("for \"a\": it may differ by 0.3"), "{reason}");
    track::check("fair", "groups", gates::fairness(&people, "colour", "accuracy", 0.4))?;
    assert!(refused("fair", 1)[0].contains("colour"), "a column that is not there is no pass");

    // Data: the rows of today against expectations.
    let expected = Suite::new().not_null("x");
    assert_eq!(register("data", &good)?, 1);
    track::check("data", "rows", gates::data(&people, &expected))?;
    track::promote("data", 1, "champion")?;
    let gaps = people.clone().lazy().with_column(lit(NULL).cast(DataType::Float64).alias("x"));
    track::check("data", "rows", gates::data(&gaps.collect()?, &expected))?;
    assert!(refused("data", 1)[0].contains('x'), "the column is named");

    // Latency: no model answers before it was asked.
    assert_eq!(register("fast", &good)?, 1);
    track::check("fast", "latency", gates::latency(&people, 1e4))?;
    track::promote("fast", 1, "champion")?;
    track::check("fast", "latency", gates::latency(&people, 0.0))?;
    let [reason] = &refused("fast", 1)[..] else { panic!("one reason") };
    assert!(reason.contains("ms, 0 ms are allowed"), "{reason}");
    track::check("fast", "latency", gates::latency(&people.head(Some(0)), 1e4))?;
    assert!(refused("fast", 1)[0].contains("no rows"));

    // A file that is no model passes no gate.
    let broken = _journal.folder.path().join("model.oxm");
    std::fs::write(&broken, "no model")?;
    track::check("broken", "floor", gates::metric(&people, "accuracy", 0.1))?;
    assert_eq!(track::register(&broken, "broken")?.version, 1);
    assert!(refused("broken", 1)[0].contains("not an oxilab model file"));
    Ok(())
}

/// The run of the latest fit.
fn last_run() -> Result<RunRecord, TrackError> {
    track::flush()?;
    let runs = track::search("")?;
    Ok(runs.into_iter().next().expect("a run"))
}

fn files(run: &RunRecord) -> Result<Vec<String>, TrackError> {
    let run = track::resume_run(&run.id)?;
    Ok(run.artifacts()?.into_iter().map(|artifact| artifact.path).collect())
}

#[test]
fn every_kind_of_fit_is_logged_by_itself() -> Outcome {
    let journal = Journal::new()?;
    track::autolog(true);
    let people = people()?;
    let inputs = people.drop_many(["group"]);

    model::LightGbm::new().with_n_estimators(7).with_seed(3).fit(&inputs, "answer")?;
    let run = last_run()?;
    assert_eq!((run.name.as_str(), run.status), ("LightGbm", Status::Finished));
    assert_eq!((&*run.params["n_estimators"], &*run.params["seed"]), ("7", "3"));
    assert_eq!(run.tags["oxilab.data.training.rows"], "200");
    assert_eq!(run.tags["oxilab.data.training.digest"], model::hash_frame(&inputs)?);
    let found = files(&run)?;
    for file in ["MLmodel", "model.oxm", "model.lgb", "model.onnx", "input_example.json"] {
        assert!(found.contains(&format!("model/{file}")), "{file} is not among {found:?}");
    }

    // A trainer of nets: metrics per step and epoch, checkpoints, parameters, seed.
    let x = candle_core::Tensor::arange(0f32, 64.0, &candle_core::Device::Cpu)?.reshape((64, 1))?;
    let x = (x / 64.0)?;
    let loader = DataLoader::new(TensorDataset::new(x.clone(), x.sqr()?)?, 16);
    let net = Mlp::new(1, &[8], 1, 1)?;
    let checkpoints = journal.folder.path().join("checkpoints");
    let mut trainer = Trainer::new(net, Optimizer::adamw(0.01), Loss::Mse)
        .with_epochs(3)
        .with_seed(5)
        .with_checkpoints(&checkpoints)
        .quiet();
    trainer.fit(&loader)?;
    let run = last_run()?;
    assert_eq!((run.name.as_str(), run.status), ("Trainer", Status::Finished));
    let expected = [("epochs", "3"), ("seed", "5"), ("rows", "64"), ("loss", "mean squared error")];
    for (name, value) in expected {
        assert_eq!(run.params[name].to_lowercase(), value, "{name}");
    }
    let history = |name: &str| -> Result<Vec<i64>, TrackError> {
        let run = track::resume_run(&run.id)?;
        Ok(run.history(name)?.iter().map(|metric| metric.step).collect())
    };
    assert_eq!(history("train_loss")?, [1, 2, 3], "each epoch");
    assert_eq!(history("loss")?, (1..=12).collect::<Vec<i64>>(), "each of four steps an epoch");
    let found = files(&run)?;
    assert!(found.contains(&"model/model.safetensors".to_owned()), "{found:?}");
    assert!(found.iter().any(|file| file.starts_with("checkpoints/")), "{found:?}");
    assert!(found.iter().any(|file| file.starts_with("plots/")), "{found:?}");
    assert!(run.tags["oxilab.library"].contains("nn"));

    // What goes wrong is told as well.
    let wrong = DataLoader::new(TensorDataset::new(x.clone(), (x.sqr()? * f64::NAN)?)?, 16);
    let net = Mlp::new(1, &[8], 1, 1)?;
    let mut trainer = Trainer::new(net, Optimizer::adamw(0.01), Loss::Mse).with_epochs(1).quiet();
    let error = trainer.fit(&wrong).expect_err("NaN").to_string();
    let run = last_run()?;
    assert_eq!(run.status, Status::Failed);
    assert_eq!(run.tags["oxilab.error"], error);

    // Nets for frames are models as any other.
    nn::MlpClassifier::new().with_epochs(2).quiet().fit(&inputs, "answer")?;
    let run = last_run()?;
    assert_eq!(run.name, "MlpClassifier");
    let found = files(&run)?;
    assert!(found.contains(&"model/model.onnx".to_owned()), "{found:?}");

    // Fine-tuning leaves the adapter, on a base of this machine for PEFT to load.
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("llm/tests/goldens/tiny/llama");
    let mut llm = Llm::load(&tiny)?;
    let examples = ["the cat ", "a dog "].map(|start| Example::completion(start, "in the hat"));
    SftTrainer::new(Lora::new(2)).with_epochs(2).quiet().fit(&mut llm, &examples)?;
    let run = last_run()?;
    assert_eq!((run.name.as_str(), run.status), ("SftTrainer", Status::Finished));
    assert_eq!(run.params["examples"], "2");
    assert_eq!(run.tags["oxilab.data.training.rows"], "2");
    let found = files(&run)?;
    assert!(found.contains(&"model/adapter_model.safetensors".to_owned()), "{found:?}");

    track::autolog(false);
    let before = track::search("")?.len();
    model::Dummy::new().fit(&inputs, "answer")?;
    assert_eq!(track::search("")?.len(), before, "switched off is off");
    Ok(())
}

#[test]
fn a_model_is_written_as_onnx_or_the_reason_is_told() -> Outcome {
    let journal = Journal::new()?;
    let frame = people()?;
    let [file, onnx] = ["model.oxm", "model.onnx"].map(|name| journal.folder.path().join(name));
    model::LogisticRegression::new().fit(&frame, "answer")?.save(&file)?;
    track::save_onnx(&file, &onnx)?;
    assert!(std::fs::read(&onnx)?.starts_with(&[0x08, 0x08]));
    model::KNeighbors::new().fit(&frame, "answer")?.save(&file)?;
    let error = track::save_onnx(&file, &onnx).expect_err("neighbours").to_string();
    assert!(error.contains("KNeighbors") && error.contains("neighbors are not written"), "{error}");
    let error = track::save_onnx(&onnx, &file).expect_err("no model of ours").to_string();
    assert!(error.contains("model.onnx"), "{error}");
    let nowhere = journal.folder.path().join("nowhere/model.onnx");
    model::Ridge::new().fit(&frame.drop_many(["answer"]), "x")?.save(&file)?;
    let error = track::save_onnx(&file, &nowhere).expect_err("no such folder").to_string();
    assert!(error.contains("nowhere"), "{error}");
    let left = std::fs::read_dir(journal.folder.path())?.filter_map(Result::ok);
    assert!(!left.into_iter().any(|entry| entry.path().to_string_lossy().contains(".part")));
    Ok(())
}
