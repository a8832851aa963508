//! XGBoost's models in and out, equal to Python's.

use std::collections::BTreeMap;

use oxilab_data::datasets;
use oxilab_model::{ClassWeight, FittedModel, Task, XgBoost, load};
use polars::prelude::*;

use crate::golden::{all_close, floats, path, read};
use crate::lightgbm::{mixed, mixed_codes, row_major, values};

#[test]
fn models_of_python_predict_the_same_here() {
    let golden = read("xgboost.json");
    let model = XgBoost::load_native(path("python_mixed.json")).unwrap();
    assert_eq!(model.task(), Task::Regression);
    let predicted = values(&model.predict(&mixed_codes()).unwrap());
    all_close("mixed", &predicted, &floats(&golden["mixed"]), 1e-6);
    let wine = datasets::wine().unwrap();
    for file in ["python_wine.ubj", "python_wine_softmax.ubj"] {
        let model = XgBoost::load_native(path(file)).unwrap();
        assert_eq!((model.task(), model.classes().len()), (Task::Multiclass, 3));
        let p = model.predict_proba(&wine).unwrap();
        all_close(file, &row_major(&p), &floats(&golden["wine"]), 1e-6);
    }
}

#[test]
fn training_here_is_training_in_python_with_categories_missing_values_and_constraints() {
    let golden = read("xgboost.json");
    let df = mixed();
    let model = XgBoost::new()
        .with_n_estimators(40)
        .with_max_depth(4)
        .with_monotone_constraints(BTreeMap::from([("size".to_owned(), 1)]))
        .fit(&df, "price")
        .unwrap();
    all_close("mixed", &values(&model.predict(&df).unwrap()), &floats(&golden["mixed"]), 1e-5);
    let shap = row_major(&model.shap_values(&df.head(Some(50))).unwrap());
    all_close("shap", &shap, &floats(&golden["mixed_shap"]), 1e-5);
    let importance = model.importance().unwrap();
    let mut gains: Vec<f64> = floats(&golden["mixed_gain"]);
    let total: f64 = gains.iter().sum();
    gains.sort_by(|a, b| b.total_cmp(a));
    let shares: Vec<f64> = gains.iter().map(|gain| gain / total).collect();
    let ours = values(importance.column("importance").unwrap().as_materialized_series());
    all_close("gain", &ours, &shares, 1e-5);
}

#[test]
fn early_stopping_keeps_the_iteration_that_python_keeps() {
    let golden = read("xgboost.json");
    let df = datasets::breast_cancer().unwrap();
    let (train, valid) = (df.head(Some(400)), df.slice(400, 169));
    let model = XgBoost::new()
        .with_n_estimators(300)
        .with_learning_rate(0.2)
        .with_validation(&valid)
        .with_early_stopping(Some(10))
        .fit(&train, "diagnosis")
        .unwrap();
    assert_eq!(model.metrics()["best_iteration"], golden["early_best"].as_f64().unwrap());
    let history = model.history().unwrap();
    let logged = values(history.column("valid_logloss").unwrap().as_materialized_series());
    all_close("history", &logged, &floats(&golden["early_history"]), 1e-6);
    let p = model.predict_proba(&valid).unwrap();
    let p = values(p.column("malignant").unwrap().as_materialized_series());
    all_close("early", &p, &floats(&golden["early"]), 1e-6);
}

#[test]
fn models_trained_here_predict_the_same_in_python() {
    let golden = read("xgboost.json");
    let df = datasets::breast_cancer().unwrap();
    let file = path("rust_breast_cancer.json");
    let model = XgBoost::new()
        .with_n_estimators(15)
        .with_class_weight(ClassWeight::Balanced)
        .fit(&df, "diagnosis")
        .unwrap();
    if std::env::var_os("OXILAB_WRITE_GOLDEN").is_some() {
        std::fs::write(&file, model.native().unwrap()).unwrap();
    }
    let probability = |model: &FittedModel, class: &str| {
        let p = model.predict_proba(&df).unwrap();
        values(p.column(class).unwrap().as_materialized_series())
    };
    // Python read this file and wrote its predictions.
    let expected = floats(&golden["rust"]);
    let stored = XgBoost::load_native(&file).unwrap();
    all_close("stored", &probability(&stored, "1"), &expected, 1e-6);
    // Its columns have the names of the frame.
    let names: Vec<&str> = stored.schema().names();
    let kept = golden["rust_features"].as_array().unwrap();
    assert_eq!(names, kept.iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>());
    // Training gives that model still, and Python's own training the same.
    all_close("trained", &probability(&model, "malignant"), &expected, 1e-6);
    all_close("balanced", &probability(&model, "malignant"), &floats(&golden["balanced"]), 1e-5);
}

#[test]
fn a_saved_model_loads_and_predicts_the_same() {
    let df = datasets::wine().unwrap();
    let model = XgBoost::new().with_n_estimators(10).fit(&df, "cultivar").unwrap();
    assert_eq!(model.header().libraries["xgboost"].split('.').count(), 3);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wine.oxi");
    model.save(&file).unwrap();
    let again = load(&file).unwrap();
    assert_eq!(again.predict_proba(&df).unwrap(), model.predict_proba(&df).unwrap());
    assert_eq!(again.importance().unwrap(), model.importance().unwrap());
}

#[test]
fn monotone_constraints_hold() {
    let model = XgBoost::new()
        .with_monotone_constraints(BTreeMap::from([("size".to_owned(), -1)]))
        .fit(&mixed(), "price")
        .unwrap();
    let sizes: Vec<f64> = (0..40).map(|i| f64::from(i) * 0.5).collect();
    let rows = df!("colour" => vec!["red"; 40], "size" => sizes, "age" => vec![50.0; 40]).unwrap();
    let p = values(&model.predict(&rows).unwrap());
    assert!(p.windows(2).all(|pair| pair[1] <= pair[0] + 1e-6), "{p:?}");
}

#[test]
fn the_model_is_the_same_on_any_number_of_threads() {
    let df = mixed();
    let p = |threads| {
        let model = XgBoost::new().with_num_threads(Some(threads)).fit(&df, "price").unwrap();
        model.predict(&df).unwrap()
    };
    assert_eq!(p(1), p(2));
}

#[test]
fn wrong_configurations_say_what_is_wrong() {
    let df = mixed();
    let error = |model: XgBoost| model.fit(&df, "price").unwrap_err().to_string();
    assert!(error(XgBoost::new().with_early_stopping(Some(5))).contains("with_validation"));
    assert!(error(XgBoost::new().with_learning_rate(0.0)).contains("learning_rate is 0"));
    let unknown = BTreeMap::from([("sise".to_owned(), 1)]);
    assert!(error(XgBoost::new().with_monotone_constraints(unknown)).contains("`sise`"));
    let unknown = error(XgBoost::new().with_objective(Some("reg:cubederror".into())));
    assert!(unknown.starts_with("XGBoost, ") && unknown.contains("reg:cubederror"), "{unknown}");
    let misspelt = error(XgBoost::new().with_param("max_deep", 3));
    assert!(misspelt.contains("max_deep") && misspelt.contains("spelling"), "{misspelt}");
    let broken = [&b"not a model"[..], b"{\"learner\": {}}", b"{", b"", b"{L\x00"];
    for bytes in broken {
        assert!(XgBoost::from_native(bytes).is_err(), "{bytes:?}");
    }
}
