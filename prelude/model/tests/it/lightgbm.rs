//! LightGBM's models in and out, equal to Python's.

use std::collections::BTreeMap;

use oxilab_data::datasets;
use oxilab_model::{FittedModel, LightGbm, Task};
use polars::prelude::*;

use crate::golden::{all_close, floats, path, read};

pub(crate) fn mixed() -> DataFrame {
    CsvReadOptions::default()
        .try_into_reader_with_file_path(Some(path("mixed.csv")))
        .unwrap()
        .finish()
        .unwrap()
}

/// The mixed frame with colours as the numbers that Python used.
pub(crate) fn mixed_codes() -> DataFrame {
    let mut df = mixed();
    let names = ["blue", "green", "red", "white"];
    let codes: Vec<f64> = df
        .column("colour")
        .unwrap()
        .str()
        .unwrap()
        .iter()
        .map(|c| names.iter().position(|n| Some(*n) == c).unwrap() as f64)
        .collect();
    df.with_column(Column::new("colour".into(), codes)).unwrap();
    df
}

pub(crate) fn values(series: &Series) -> Vec<f64> {
    series.f64().unwrap().iter().map(|v| v.unwrap()).collect()
}

pub(crate) fn row_major(df: &DataFrame) -> Vec<f64> {
    let columns: Vec<Vec<f64>> =
        df.columns().iter().map(|c| values(c.as_materialized_series())).collect();
    (0..df.height()).flat_map(|row| columns.iter().map(move |c| c[row])).collect()
}

#[test]
fn models_of_python_predict_the_same_here() {
    let golden = read("lightgbm.json");
    let model = LightGbm::load_native(path("python_mixed.txt")).unwrap();
    assert_eq!(model.task(), Task::Regression);
    let predicted = model.predict(&mixed_codes()).unwrap();
    all_close("mixed", &values(&predicted), &floats(&golden["mixed"]), 1e-9);
    let model = LightGbm::load_native(path("python_wine.txt")).unwrap();
    assert_eq!(model.task(), Task::Multiclass);
    let p = model.predict_proba(&datasets::wine().unwrap()).unwrap();
    all_close("wine", &row_major(&p), &floats(&golden["wine"]), 1e-9);
    // Saved and loaded as our own file it is still the same.
    let again = FittedModel::from_bytes(&model.to_bytes().unwrap()).unwrap();
    assert_eq!(again.predict_proba(&datasets::wine().unwrap()).unwrap(), p);
}

#[test]
fn training_here_is_training_in_python_with_categories_missing_values_and_constraints() {
    let golden = read("lightgbm.json");
    let df = mixed();
    let model = LightGbm::new()
        .with_n_estimators(40)
        .with_num_leaves(15)
        .with_monotone_constraints(BTreeMap::from([("size".to_owned(), 1)]))
        .fit(&df, "price")
        .unwrap();
    all_close("mixed", &values(&model.predict(&df).unwrap()), &floats(&golden["mixed"]), 1e-6);
    let shap = row_major(&model.shap_values(&df.head(Some(50))).unwrap());
    let shap: Vec<f64> = shap.chunks(4).flat_map(|row| row[..3].to_vec()).collect();
    all_close("shap", &shap, &floats(&golden["mixed_shap"]), 1e-6);
    let chart = model.plot_shap(&df).unwrap();
    assert!(chart.describe().contains("effect") && chart.to_png().is_ok());
    let importance = model.importance().unwrap();
    let mut gains: Vec<f64> = floats(&golden["mixed_gain"]);
    let total: f64 = gains.iter().sum();
    gains.sort_by(|a, b| b.total_cmp(a));
    let shares: Vec<f64> = gains.iter().map(|gain| gain / total).collect();
    all_close(
        "gain",
        &values(importance.column("importance").unwrap().as_materialized_series()),
        &shares,
        1e-6,
    );
}

#[test]
fn early_stopping_keeps_the_iteration_that_python_keeps() {
    let golden = read("lightgbm.json");
    let df = datasets::breast_cancer().unwrap();
    let (train, valid) = (df.head(Some(400)), df.slice(400, 169));
    let model = LightGbm::new()
        .with_n_estimators(300)
        .with_learning_rate(0.2)
        .with_validation(&valid)
        .with_early_stopping(Some(10))
        .fit(&train, "diagnosis")
        .unwrap();
    assert_eq!(model.metrics()["best_iteration"], golden["early_best"].as_f64().unwrap());
    let history = model.history().unwrap();
    let logged = values(history.column("valid_binary_logloss").unwrap().as_materialized_series());
    all_close("history", &logged, &floats(&golden["early_history"]), 1e-6);
    let p = model.predict_proba(&valid).unwrap();
    let p = values(p.column("malignant").unwrap().as_materialized_series());
    all_close("early", &p, &floats(&golden["early"]), 1e-6);
}

#[test]
fn models_trained_here_predict_the_same_in_python() {
    let df = datasets::breast_cancer().unwrap();
    let file = path("rust_breast_cancer.txt");
    let model = LightGbm::new()
        .with_n_estimators(25)
        .with_class_weight(oxilab_model::ClassWeight::Balanced)
        .with_subsample(0.8)
        .with_seed(3)
        .fit(&df, "diagnosis")
        .unwrap();
    if std::env::var_os("OXILAB_WRITE_GOLDEN").is_some() {
        std::fs::write(&file, model.native().unwrap()).unwrap();
    }
    // Python read this file and wrote its predictions.
    let expected = floats(&read("lightgbm.json")["rust"]);
    let stored = LightGbm::load_native(&file).unwrap().predict_proba(&df).unwrap();
    all_close(
        "stored",
        &values(stored.column("1").unwrap().as_materialized_series()),
        &expected,
        1e-9,
    );
    // And training gives that model still.
    let p = model.predict_proba(&df).unwrap();
    all_close(
        "trained",
        &values(p.column("malignant").unwrap().as_materialized_series()),
        &expected,
        1e-6,
    );
}

#[test]
fn the_model_is_the_same_on_any_number_of_threads() {
    let df = mixed();
    let text = |threads| {
        let model = LightGbm::new().with_num_threads(Some(threads)).fit(&df, "price").unwrap();
        let text = model.native().unwrap().to_owned();
        text.lines().filter(|line| !line.contains("num_threads")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(text(1), text(2));
}

/// A single row goes another way through the library than many; a server asks from several threads.
#[test]
fn a_row_alone_is_predicted_as_among_others() {
    let check = |model: &FittedModel, df: &DataFrame| {
        let all = model.predict_proba(df).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let all = &all;
                scope.spawn(move || {
                    for row in (thread..df.height()).step_by(4) {
                        let at = i64::try_from(row).unwrap();
                        let alone = model.predict_proba(&df.slice(at, 1)).unwrap();
                        assert_eq!(alone, all.slice(at, 1), "row {row}");
                    }
                });
            }
        });
    };
    let wine = datasets::wine().unwrap();
    check(&LightGbm::new().with_n_estimators(10).fit(&wine, "cultivar").unwrap(), &wine);
    let cancer = datasets::breast_cancer().unwrap();
    check(&LightGbm::new().with_n_estimators(10).fit(&cancer, "diagnosis").unwrap(), &cancer);
}

#[test]
fn monotone_constraints_hold() {
    let model = LightGbm::new()
        .with_monotone_constraints(BTreeMap::from([("size".to_owned(), -1)]))
        .fit(&mixed(), "price")
        .unwrap();
    let sizes: Vec<f64> = (0..40).map(|i| f64::from(i) * 0.5).collect();
    let rows = df!("colour" => vec!["red"; 40], "size" => sizes, "age" => vec![50.0; 40]).unwrap();
    let p = values(&model.predict(&rows).unwrap());
    assert!(p.windows(2).all(|pair| pair[1] <= pair[0] + 1e-12), "{p:?}");
}

#[test]
fn wrong_configurations_say_what_is_wrong() {
    let df = mixed();
    let error = |model: LightGbm| model.fit(&df, "price").unwrap_err().to_string();
    assert!(error(LightGbm::new().with_early_stopping(Some(5))).contains("with_validation"));
    assert!(error(LightGbm::new().with_learning_rate(0.0)).contains("learning_rate is 0"));
    let unknown = BTreeMap::from([("sise".to_owned(), 1)]);
    assert!(error(LightGbm::new().with_monotone_constraints(unknown)).contains("`sise`"));
    assert!(
        error(LightGbm::new().with_objective(Some("regression_l3".into()))).contains("LightGBM")
    );
    assert!(LightGbm::from_native("not a model").is_err());
    // A tree that leads out of itself would take LightGBM out of its memory.
    let text = std::fs::read_to_string(path("python_wine.txt")).unwrap();
    let place = text.find("left_child=").unwrap() + "left_child=".len();
    let broken = format!("{}9{}", &text[..place], &text[place..]);
    let error = LightGbm::from_native(&broken).unwrap_err().to_string();
    assert!(error.contains("damaged"), "{error}");
}
