//! Registers a model of every learner in a journal, for `tests/mlflow/test_flavors.py`, which loads them
//! with MLflow, ONNX Runtime, LightGBM, XGBoost, transformers and PEFT, and compares.
//!
//! `flavors FOLDER LANGUAGE_MODEL ADAPTER` prints a list as JSON: the name of each model, its folder, rows
//! and what oxilab predicts for them.

use std::path::Path;

use oxilab::model::schema::ColumnKind;
use oxilab::model::{self, FittedModel, PipelineExt as _, Task};
use oxilab::{data, nn, track};
use polars::prelude::*;
use serde_json::{Value, json};

const ROWS: usize = 240;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, language, adapter] = words.as_slice() else {
        anyhow::bail!("flavors FOLDER LANGUAGE_MODEL ADAPTER");
    };
    track::set_uri(&format!("journal:{folder}/track.sqlite"))?;
    let frame = frame()?;
    let mut found = Vec::new();
    for (name, model) in models(&frame)? {
        let version = track::register_with(name, |path| model.save(path))?;
        let rows = rows(&frame, &model)?;
        found.push(described(name, &version.source, &model, &rows)?);
    }
    for (name, path) in [("language", language), ("adapter", adapter)] {
        let version = track::register(Path::new(path), name)?;
        found.push(json!({ "name": name, "folder": version.source }));
    }
    println!("{}", Value::from(found));
    Ok(())
}

/// The columns that a model reads, without gaps where it was fitted without.
fn rows(frame: &DataFrame, model: &FittedModel) -> PolarsResult<DataFrame> {
    let columns = model.schema().columns.iter();
    let whole = columns.filter(|column| !column.nullable && column.kind == ColumnKind::Numeric);
    let filled: Vec<Expr> = whole.map(|column| col(&*column.name).fill_null(lit(0.5))).collect();
    frame.clone().lazy().with_columns(filled).collect()?.select(model.schema().names())
}

type Named = (&'static str, FittedModel);

fn models(frame: &DataFrame) -> anyhow::Result<Vec<Named>> {
    let with = |target: &str| -> anyhow::Result<DataFrame> {
        let others = ["amount", "answer", "class", "level"].into_iter().filter(|c| *c != target);
        Ok(frame.drop_many(others))
    };
    let (amount, answer, class, level) =
        (with("amount")?, with("answer")?, with("class")?, with("level")?);
    let inputs = with("")?;
    let numbers = inputs.select(["x", "z", "count"])?;
    let plain = numbers.lazy().fill_null(lit(0.5)).collect()?;
    let one = amount.select(["z", "amount"])?;
    let pipeline = data::Pipeline::new()
        .with(data::Imputer::new(data::Select::Numeric))
        .then(model::LightGbm::new().with_n_estimators(5));
    let boosted = || model::LightGbm::new().with_n_estimators(30).with_min_child_samples(5);
    let gradient = || model::XgBoost::new().with_n_estimators(30).with_max_depth(4);
    Ok(vec![
        ("linear", model::LinearRegression::new().fit(&amount, "amount")?),
        ("one-column", model::Ridge::new().fit(&one, "amount")?),
        ("lasso", model::Lasso::new().with_alpha(0.01).fit(&amount, "amount")?),
        ("logistic", model::LogisticRegression::new().fit(&answer, "answer")?),
        (
            "logistic-threshold",
            model::LogisticRegression::new().fit(&answer, "answer")?.with_threshold(0.3),
        ),
        ("logistic-classes", model::LogisticRegression::new().fit(&class, "class")?),
        ("tree", model::DecisionTree::new().with_max_depth(5).fit(&amount, "amount")?),
        ("forest", model::RandomForest::new().with_n_estimators(20).fit(&amount, "amount")?),
        ("forest-two", model::RandomForest::new().with_n_estimators(20).fit(&answer, "answer")?),
        ("forest-classes", model::ExtraTrees::new().with_n_estimators(20).fit(&class, "class")?),
        ("lightgbm", boosted().fit(&amount, "amount")?),
        ("lightgbm-two", boosted().fit(&answer, "answer")?),
        ("lightgbm-classes", boosted().fit(&class, "class")?),
        ("lightgbm-levels", boosted().with_task(Task::Multiclass).fit(&level, "level")?),
        (
            "lightgbm-poisson",
            boosted()
                .with_objective(Some("poisson".to_owned()))
                .fit(&positive(&amount)?, "amount")?,
        ),
        ("xgboost", gradient().fit(&amount, "amount")?),
        ("xgboost-two", gradient().fit(&answer, "answer")?),
        ("xgboost-classes", gradient().fit(&class, "class")?),
        (
            "xgboost-poisson",
            gradient()
                .with_objective(Some("count:poisson".to_owned()))
                .fit(&positive(&amount)?, "amount")?,
        ),
        ("net", nn::MlpRegressor::new().with_epochs(3).quiet().fit(&amount, "amount")?),
        ("net-classes", nn::MlpClassifier::new().with_epochs(3).quiet().fit(&class, "class")?),
        ("bayes", model::GaussianNb::new().fit(&class, "class")?),
        ("kmeans", model::KMeans::new().with_n_clusters(4).fit(&inputs)?),
        ("pca", model::Pca::new().with_n_components(2).fit(&plain)?),
        ("isolation", model::IsolationForest::new().fit(&plain)?),
        ("neighbors", model::KNeighbors::new().fit(&class, "class")?),
        ("pipeline", pipeline.fit(&amount, "amount")?),
    ])
}

fn positive(frame: &DataFrame) -> PolarsResult<DataFrame> {
    let amount = (col("amount").abs() * lit(3.0)).round(0, RoundMode::HalfToEven);
    frame.clone().lazy().with_column(amount.alias("amount")).collect()
}

/// Numbers with and without gaps, whole numbers, truth values and texts with gaps; one target of every
/// kind. The same in every run.
fn frame() -> PolarsResult<DataFrame> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut value = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f64::from(u32::try_from(state >> 33).unwrap_or(0)) / f64::from(1_u32 << 31)
    };
    let kinds = ["ash", "birch", "cedar", "doum", "elm", "fir", "gum", "hazel"];
    let (mut x, mut z, mut count, mut flag, mut kind) = (vec![], vec![], vec![], vec![], vec![]);
    let (mut amount, mut answer, mut class, mut level) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROWS {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 8")]
        let place = (value() * 8.0) as usize;
        #[expect(clippy::cast_possible_truncation, reason = "below 10")]
        let whole = (value() * 10.0) as i64;
        let (a, b, truth) = (value() * 4.0 - 2.0, value(), value() > 0.4);
        let gap = value();
        let odd = if place % 2 == 1 { 3.0 } else { 0.0 };
        #[expect(clippy::cast_precision_loss, reason = "below 10")]
        let sum = (a * 2.0).sin() + odd * b + whole as f64 / 5.0 + value() / 10.0;
        x.push((gap > 0.15).then_some(a));
        z.push(b);
        count.push(whole);
        flag.push(truth);
        kind.push((gap < 0.9).then_some(kinds[place]));
        amount.push(sum);
        answer.push(sum > 1.5 || (truth && b > 0.7));
        class.push(if sum < 1.0 {
            "low"
        } else if sum < 2.2 {
            "middle"
        } else {
            "high"
        });
        level.push(if sum < 1.0 {
            10_i64
        } else if truth {
            20
        } else {
            30
        });
    }
    df!("x" => x, "z" => z, "count" => count, "flag" => flag, "kind" => kind,
        "amount" => amount, "answer" => answer, "class" => class, "level" => level)
}

/// Rows by column, and what the model says of them.
fn described(
    name: &str,
    folder: &str,
    model: &FittedModel,
    rows: &DataFrame,
) -> anyhow::Result<Value> {
    let columns: Vec<Value> = model
        .schema()
        .columns
        .iter()
        .map(|column| {
            let kind = match column.kind {
                ColumnKind::Categorical => "text",
                ColumnKind::Boolean if !column.nullable => "bool",
                ColumnKind::Numeric if !column.nullable && column.dtype.starts_with('i') => "int",
                _ => "float",
            };
            let values = values(rows.column(&column.name)?)?;
            Ok(json!({ "name": column.name, "kind": kind, "values": values }))
        })
        .collect::<anyhow::Result<_>>()?;
    let mut said = json!({ "name": name, "folder": folder, "columns": columns });
    if model.task() == Task::Decomposition {
        said["components"] = matrix(&model.transform(rows)?)?;
        return Ok(said);
    }
    said["prediction"] = Value::from(values(&model.predict(rows)?.into())?);
    match model.task() {
        task if task.is_classification() => {
            said["probabilities"] = matrix(&model.predict_proba(rows)?)?;
        }
        Task::Anomaly => said["score"] = Value::from(values(&model.score(rows)?.into())?),
        _ => {}
    }
    Ok(said)
}

fn values(column: &Column) -> anyhow::Result<Vec<Value>> {
    let series = column.as_materialized_series();
    series
        .iter()
        .map(|value| {
            Ok(match value {
                AnyValue::Null => Value::Null,
                AnyValue::Boolean(truth) => Value::from(truth),
                AnyValue::String(text) => Value::from(text),
                AnyValue::StringOwned(text) => Value::from(text.as_str()),
                AnyValue::Int64(whole) => Value::from(whole),
                AnyValue::UInt32(whole) => Value::from(whole),
                other => Value::from(other.try_extract::<f64>()?),
            })
        })
        .collect()
}

/// Row after row.
fn matrix(frame: &DataFrame) -> anyhow::Result<Value> {
    let columns: Vec<Vec<Value>> = frame.columns().iter().map(values).collect::<Result<_, _>>()?;
    let row = |at: usize| columns.iter().map(|column| column[at].clone()).collect::<Vec<_>>();
    Ok((0..frame.height()).map(row).collect::<Vec<_>>().into())
}
