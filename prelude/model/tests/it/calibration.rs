//! Corrected probabilities and reliability, against scikit-learn's.

use oxilab_data::datasets;
use oxilab_model::*;
use polars::prelude::*;

use crate::golden::{all_close, floats, read};
use crate::lightgbm::values;

/// A model of every second row, and the other rows.
fn model_and_rest() -> (FittedModel, DataFrame) {
    let df = datasets::breast_cancer().unwrap();
    let every_second = |first: u32| {
        let rows: Vec<u32> = (first..u32::try_from(df.height()).unwrap()).step_by(2).collect();
        df.take(&IdxCa::from_vec("".into(), rows)).unwrap()
    };
    let learner = LogisticRegression::new().with_c(0.005).with_tol(1e-13).with_max_iter(10_000);
    (learner.fit(&every_second(0), "diagnosis").unwrap(), every_second(1))
}

#[test]
fn platt_and_isotonic_probabilities_are_sklearns() {
    let golden = read("calibration.json");
    let (model, rest) = model_and_rest();
    let cases = [(Calibration::Platt, "sigmoid", 1e-4), (Calibration::Isotonic, "isotonic", 1e-9)];
    for (how, name, tolerance) in cases {
        let better = calibrate(&model, &rest, how).unwrap();
        let p = better.predict_proba(&rest).unwrap();
        let p = values(p.column("malignant").unwrap().as_materialized_series());
        all_close(name, &p, &floats(&golden[name]), tolerance);
    }
}

#[test]
fn the_reliability_diagram_is_sklearns() {
    let golden = &read("calibration.json")["curve"];
    let (model, rest) = model_and_rest();
    let found = reliability(&model, &rest).unwrap();
    let of = |part: fn(&(f64, f64, f64)) -> f64| found.bins.iter().map(part).collect::<Vec<_>>();
    all_close("mean", &of(|bin| bin.1), &floats(&golden["mean"]), 1e-5);
    all_close("share", &of(|bin| bin.2), &floats(&golden["share"]), 1e-9);
    assert_eq!(of(|bin| bin.0).iter().sum::<f64>(), 284.0, "every row is in a bin");
}
