//! Partial dependence, single curves and permutation importance, against scikit-learn's.

use oxilab_data::datasets;
use oxilab_model::*;
use polars::prelude::*;
use serde_json::Value;

use crate::golden::{all_close, floats, read};
use crate::lightgbm::mixed;

/// The model's curves on the values of the golden file, against its own.
#[track_caller]
fn agrees(name: &str, model: &FittedModel, df: &DataFrame, golden: &Value, tolerance: f64) {
    let golden = &golden[name];
    let column = golden["column"].as_str().unwrap();
    let values = golden["grid"].as_array().unwrap();
    let grid = if values[0].is_string() {
        let names: Vec<&str> = values.iter().map(|value| value.as_str().unwrap()).collect();
        Series::new(column.into(), names)
    } else {
        Series::new(column.into(), floats(&golden["grid"]))
    };
    let found = partial_dependence_at(model, df, column, &grid).unwrap();
    all_close(name, &found.mean, &floats(&golden["mean"]), tolerance);
    assert_eq!(found.rows.len(), df.height(), "{name}: a curve for every row");
    let rows = golden["rows"].as_array().unwrap();
    for (row, (found, expected)) in found.rows.iter().zip(rows).enumerate() {
        all_close(&format!("{name}, row {row}"), found, &floats(expected), tolerance);
    }
}

fn neighbours() -> (FittedModel, DataFrame) {
    let df = datasets::diabetes().unwrap();
    let learner = KNeighbors::new().with_n_neighbors(7).with_task(Task::Regression);
    (learner.fit(&df, "progression").unwrap(), df)
}

#[test]
fn partial_dependence_and_single_curves_are_sklearns() {
    let golden = read("dependence.json");
    let (model, df) = neighbours();
    agrees("neighbors", &model, &df, &golden, 1e-9);
    agrees("few_values", &model, &df, &golden, 1e-9);
    // Where a column has few values, both choose these.
    let own = partial_dependence(&model, &df, "sex").unwrap();
    assert_eq!(own.grid, ["1", "2"]);
    all_close("own", &own.mean, &floats(&golden["few_values"]["mean"]), 1e-9);
    let cancer = datasets::breast_cancer().unwrap();
    let model = LogisticRegression::new().with_tol(1e-9).fit(&cancer, "diagnosis").unwrap();
    agrees("logistic", &model, &cancer, &golden, 1e-5);
    let df = mixed();
    let model = LinearRegression::new().fit(&df, "price").unwrap();
    agrees("categories", &model, &df, &golden, 1e-8);
    let own = partial_dependence(&model, &df, "colour").unwrap();
    all_close("own", &own.mean, &floats(&golden["categories"]["mean"]), 1e-8);
}

#[test]
fn permutation_importance_is_sklearns_up_to_chance() {
    let golden = read("dependence.json");
    let (model, df) = neighbours();
    let found = permutation_importance(&model, &df, 30, 0).unwrap();
    assert_eq!((found.metric.as_str(), found.columns.len()), ("r2", 10));
    for (column, loss, _) in &found.columns {
        let expected = floats(&golden["importance"][column.as_str()]);
        // Four standard errors of both means.
        let error = expected[1] * (1.0 / 30.0 + 1.0 / 100.0_f64).sqrt();
        assert!((loss - expected[0]).abs() < 4.0 * error, "{column}: {loss} {expected:?}");
    }
}

#[test]
fn values_that_cannot_be_set_are_refused() {
    let df = mixed();
    let model = LinearRegression::new().fit(&df, "price").unwrap();
    let at = |column: &str, values: Series| {
        partial_dependence_at(&model, &df, column, &values).unwrap_err().to_string()
    };
    let numbers = |values: &[f64]| Series::new("".into(), values);
    assert!(at("size", numbers(&[])).contains("no values to set"));
    assert!(at("size", numbers(&[1.0, f64::NAN])).contains("value 1 to set is missing"));
    assert!(at("price", numbers(&[1.0])).contains("no column `price`"));
    assert!(at("colour", Series::new("".into(), ["pink"])).contains("category `pink`"));
    assert!(at("size", Series::new("".into(), ["one"])).contains("its type is str"));
    let none = partial_dependence(&model, &df.head(Some(0)), "colour").unwrap_err().to_string();
    assert!(none.contains("no rows to predict"), "{none}");
    let clusters = KMeans::new().with_n_clusters(2).fit(&df).unwrap();
    let error = partial_dependence(&clusters, &df, "size").unwrap_err().to_string();
    assert!(error.contains("it predicts no number"), "{error}");
}
