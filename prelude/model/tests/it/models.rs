//! Fitted models: every learner on a mixed table, files, explanations, calibration, baseline.

use oxilab_data::datasets;
use oxilab_display::Render;
use oxilab_model::*;
use polars::prelude::*;

/// Numbers, booleans, text and categories with missing values, and targets of each kind.
fn table() -> DataFrame {
    let n = 240;
    let number: Vec<Option<f64>> =
        (0..n).map(|i| (i % 11 != 0).then_some(f64::from((i * 37) % 100))).collect();
    let text: Vec<Option<&str>> =
        (0..n).map(|i| [Some("red"), Some("green"), None, Some("blue")][i as usize % 4]).collect();
    let flag: Vec<bool> = (0..n).map(|i| i % 3 == 0).collect();
    let score = |i: i32| f64::from((i * 37) % 100) + if i % 4 == 0 { 40.0 } else { 0.0 };
    let value: Vec<f64> = (0..n).map(|i| score(i) + f64::from(i % 7)).collect();
    let two: Vec<bool> = (0..n).map(|i| score(i) > 60.0).collect();
    let three: Vec<&str> =
        (0..n).map(|i| ["low", "mid", "high"][(score(i) / 50.0) as usize % 3]).collect();
    let count: Vec<i64> = (0..n).map(|i| i64::from(i) % 3 + 5).collect();
    df!("number" => number, "text" => text, "flag" => flag, "value" => value, "two" => two,
        "three" => three, "count" => count)
    .unwrap()
}

fn classifiers() -> Vec<Box<dyn Estimator>> {
    vec![
        Box::new(Dummy::new()),
        Box::new(LogisticRegression::new()),
        Box::new(KNeighbors::new()),
        Box::new(GaussianNb::new()),
        Box::new(DecisionTree::new()),
        Box::new(RandomForest::new().with_n_estimators(10)),
        Box::new(ExtraTrees::new().with_n_estimators(10)),
        Box::new(LightGbm::new().with_n_estimators(10)),
    ]
}

fn regressors() -> Vec<Box<dyn Estimator>> {
    vec![
        Box::new(Dummy::new()),
        Box::new(LinearRegression::new()),
        Box::new(Ridge::new()),
        Box::new(Lasso::new()),
        Box::new(ElasticNet::new()),
        Box::new(KNeighbors::new()),
        Box::new(DecisionTree::new()),
        Box::new(RandomForest::new().with_n_estimators(10)),
        Box::new(ExtraTrees::new().with_n_estimators(10)),
        Box::new(LightGbm::new().with_n_estimators(10)),
    ]
}

#[test]
fn every_learner_fits_saves_loads_and_shows_itself() {
    let all = table();
    let cases = [
        ("two", classifiers()),
        ("three", classifiers()),
        ("count", classifiers()),
        ("value", regressors()),
    ];
    for (target, learners) in cases {
        let df = all.select(["number", "text", "flag", target]).unwrap();
        for learner in learners {
            let what = format!("{} on {target}", learner.name());
            let model = learner.fit(&df, target).unwrap_or_else(|error| panic!("{what}: {error}"));
            let predicted = model.predict(&df).unwrap();
            assert_eq!(predicted.dtype(), df.column(target).unwrap().dtype(), "{what}");
            assert_eq!((predicted.len(), predicted.null_count()), (240, 0), "{what}");
            if model.task().is_classification() {
                let p = model.predict_proba(&df).unwrap();
                let names: Vec<&str> = p.get_column_names().iter().map(|n| n.as_str()).collect();
                assert_eq!(names, model.classes(), "{what}");
                for row in 0..5 {
                    let sum: f64 =
                        p.columns().iter().map(|c| c.f64().unwrap().get(row).unwrap()).sum();
                    assert!((sum - 1.0).abs() < 1e-9, "{what}: {sum}");
                }
            } else {
                assert!(model.predict_proba(&df).is_err(), "{what}");
            }
            let evaluation = model.evaluate(&df).unwrap();
            assert!(evaluation.render().plain().contains(learner.name()), "{what}");
            assert!(model.render().data.contains_key("text/html"), "{what}");
            let back = FittedModel::from_bytes(&model.to_bytes().unwrap()).unwrap();
            assert!(back.predict(&df).unwrap().equals(&predicted), "{what}");
            assert_eq!(back.header(), model.header(), "{what}");
            assert_eq!(back.evaluate(&df).unwrap(), evaluation, "{what}");
            // Columns in another order are the same frame.
            let turned = df.select([target, "flag", "text", "number"]).unwrap();
            assert!(model.predict(&turned).unwrap().equals(&predicted), "{what}");
        }
    }
}

#[test]
fn models_without_a_target_save_and_load() {
    let df = table().select(["number", "text", "flag"]).unwrap();
    let models = [
        KMeans::new().with_n_clusters(3).fit(&df).unwrap(),
        IsolationForest::new().fit(&df).unwrap(),
    ];
    for model in models {
        let back = FittedModel::from_bytes(&model.to_bytes().unwrap()).unwrap();
        assert!(back.predict(&df).unwrap().equals(&model.predict(&df).unwrap()));
        assert!(model.evaluate(&df).is_err());
    }
    let model = Pca::new().fit(&df).unwrap();
    let back = FittedModel::from_bytes(&model.to_bytes().unwrap()).unwrap();
    assert!(back.transform(&df).unwrap().equals(&model.transform(&df).unwrap()));
    assert!(model.predict(&df).is_err());
}

#[test]
fn a_file_is_whole_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.oxi");
    let wine = datasets::wine().unwrap();
    let model = RandomForest::new().with_n_estimators(5).fit(&wine, "cultivar").unwrap();
    model.save(&file).unwrap();
    let back = load(&file).unwrap();
    assert!(back.predict(&wine).unwrap().equals(&model.predict(&wine).unwrap()));
    assert_eq!(back.header().training_rows, 178);
    assert_eq!(back.header().training_data, hash_frame(&wine).unwrap());
    assert!(back.header().libraries.contains_key("polars"));
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&file, &bytes).unwrap();
    assert!(load(&file).unwrap_err().to_string().contains("checksum"));
    assert!(load(folder.path().join("none.oxi")).unwrap_err().to_string().contains("none.oxi"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no file is left aside");
}

#[test]
fn explanations_find_the_column_that_matters() {
    let df = table().select(["number", "text", "flag", "value"]).unwrap();
    let model = RandomForest::new().fit(&df, "value").unwrap();
    let found = permutation_importance(&model, &df, 3, 0).unwrap();
    assert_eq!(found.columns[0].0, "number");
    assert!(found.columns[0].1 > 0.3, "{found:?}");
    assert!(found.render().data.contains_key("application/vnd.vegalite.v5+json"));
    assert_eq!(
        model.importance().unwrap().column("feature").unwrap().str().unwrap().get(0),
        Some("number")
    );
    let curve = partial_dependence(&model, &df, "number").unwrap();
    assert!(curve.mean[curve.mean.len() - 1] > curve.mean[0] + 30.0);
    let curve = partial_dependence(&model, &df, "text").unwrap();
    assert_eq!(curve.grid, ["blue", "green", "red"]);
    let _ = curve.render();
    let boosted = LightGbm::new().fit(&df, "value").unwrap();
    let shap = boosted.shap_values(&df).unwrap();
    let predicted = boosted.predict(&df).unwrap();
    for row in [0, 100, 239] {
        let sum: f64 = shap.columns().iter().map(|c| c.f64().unwrap().get(row).unwrap()).sum();
        assert!((sum - predicted.f64().unwrap().get(row).unwrap()).abs() < 1e-6);
    }
    assert!(model.shap_values(&df).is_err());
}

#[test]
fn calibration_thresholds_and_slices() {
    let cancer = datasets::breast_cancer().unwrap();
    let splits = Folds::stratified(2).split(&cancer, "diagnosis").unwrap();
    let rows = |rows: &[u32]| cancer.take(&IdxCa::from_vec("".into(), rows.to_vec())).unwrap();
    let (train, rest) = (rows(&splits[0].0), rows(&splits[0].1));
    let model = GaussianNb::new().fit(&train, "diagnosis").unwrap();
    let before = reliability(&model, &rest).unwrap();
    for how in [Calibration::Platt, Calibration::Isotonic] {
        let better = calibrate(&model, &rest, how).unwrap();
        let after = reliability(&better, &rest).unwrap();
        assert!(after.brier < before.brier && after.error < before.error, "{after:?} {before:?}");
        let back = FittedModel::from_bytes(&better.to_bytes().unwrap()).unwrap();
        assert!(back.predict_proba(&rest).unwrap().equals(&better.predict_proba(&rest).unwrap()));
    }
    let _ = before.render();
    let (cautious, cost) = best_threshold(&model, &rest, 1.0, 50.0).unwrap();
    let (bold, _) = best_threshold(&model, &rest, 50.0, 1.0).unwrap();
    assert!(cautious < bold && cost >= 0.0);
    let found = model.clone().with_threshold(cautious).evaluate(&rest).unwrap();
    assert!(found.get("recall") >= model.evaluate(&rest).unwrap().get("recall"));
    let df = table().select(["number", "text", "flag", "two"]).unwrap();
    let slices = LogisticRegression::new()
        .fit(&df, "two")
        .unwrap()
        .evaluate_by(&df, "text", "accuracy")
        .unwrap();
    let names: Vec<&str> = slices.groups.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["(missing)", "blue", "green", "red"]);
    assert_eq!(slices.groups.iter().map(|(_, rows, _)| rows).sum::<usize>(), 240);
    let _ = slices.render();
}

#[test]
fn the_baseline_ranks_warns_and_advises() {
    let mut df = datasets::breast_cancer().unwrap();
    let found = baseline(&df, "diagnosis").unwrap();
    assert_eq!((found.task, found.metric.as_str()), (Task::Binary, "roc_auc"));
    assert_eq!(found.leaderboard.len(), 3);
    assert_eq!(found.leaderboard[2].model.learner(), "Dummy");
    assert!(found.leaderboard[0].score.low > 0.95);
    assert!(found.render().plain().contains("next:"));
    // A copy of the target, an identifier, and an empty column.
    let copy = df.column("diagnosis").unwrap().clone().with_name("copy".into());
    let ids: Vec<String> = (0..df.height()).map(|i| format!("patient {i}")).collect();
    let empty: Vec<Option<f64>> = vec![None; df.height()];
    df.with_column(copy).unwrap();
    df.with_column(Column::new("id".into(), ids)).unwrap();
    df.with_column(Column::new("empty".into(), empty)).unwrap();
    let found = baseline(&df, "diagnosis").unwrap();
    let all = found.warnings.join("\n");
    assert!(all.contains("`copy` alone predicts"), "{all}");
    assert!(all.contains("`id` looks like") && all.contains("`empty` holds no values"), "{all}");
    let found = baseline(&datasets::diabetes().unwrap(), "progression").unwrap();
    assert_eq!(found.task, Task::Regression);
    assert!(found.best().evaluate(&found.test).unwrap().get("r2").unwrap() > 0.2);
}
