//! Rows that count more than others: as in scikit-learn, LightGBM and XGBoost, and never an input.

use oxilab_data::{Imputer, Pipeline, Select, StandardScaler, datasets};
use oxilab_model::*;
use polars::prelude::*;

use crate::golden::{all_close, close, floats, read};
use crate::lightgbm::{row_major, values};

/// What row i counts, as in the golden files' generator.
fn weights(rows: usize) -> Vec<f64> {
    (0..rows).map(|row| 0.5 + (row * 7 % 10) as f64 / 4.0).collect()
}

fn with_weights(mut df: DataFrame, weights: Vec<f64>) -> DataFrame {
    df.with_column(Column::new("w".into(), weights)).unwrap();
    df
}

fn weighted(df: DataFrame) -> DataFrame {
    let rows = df.height();
    with_weights(df, weights(rows))
}

fn probabilities(model: &FittedModel, df: &DataFrame) -> Vec<f64> {
    row_major(&model.predict_proba(df).unwrap())
}

#[test]
fn models_of_numbers_weigh_rows_as_sklearn_does() {
    let golden = read("weights.json");
    let df = weighted(datasets::diabetes().unwrap());
    let learners: Vec<Box<dyn Estimator>> = vec![
        Box::new(LinearRegression::new().with_sample_weight("w")),
        Box::new(Ridge::new().with_alpha(2.0).with_sample_weight("w")),
        Box::new(Lasso::new().with_alpha(1.5).with_tol(1e-10).with_sample_weight("w")),
        Box::new(
            ElasticNet::new()
                .with_alpha(0.5)
                .with_l1_ratio(0.3)
                .with_tol(1e-10)
                .with_sample_weight("w"),
        ),
        Box::new(Dummy::new().with_sample_weight("w")),
    ];
    for learner in learners {
        let model = learner.fit(&df, "progression").unwrap();
        assert_eq!(learner.sample_weight(), Some("w"));
        assert!(model.schema().column("w").is_none(), "{}: weights are no input", learner.name());
        let rows = df.head(Some(40)).drop("w").unwrap();
        let p = values(&model.predict(&rows).unwrap());
        all_close(learner.name(), &p, &floats(&golden[learner.name()]), 1e-8);
    }
    let few = weighted(datasets::diabetes().unwrap().head(Some(8)));
    let ridge = Ridge::new().with_alpha(2.0).with_standardize(false).with_sample_weight("w");
    let p = values(&ridge.fit(&few, "progression").unwrap().predict(&few).unwrap());
    all_close("few rows", &p, &floats(&golden["RidgeOfFewRows"]), 1e-8);
    let wine = weighted(datasets::wine().unwrap().drop("cultivar").unwrap());
    let tree = DecisionTree::new().with_max_depth(3).with_sample_weight("w");
    let p = values(&tree.fit(&wine, "alcohol").unwrap().predict(&wine).unwrap());
    all_close("tree", &p, &floats(&golden["DecisionTree"]), 1e-9);
}

#[test]
fn models_of_classes_weigh_rows_as_sklearn_does() {
    let golden = read("weights.json");
    let wine = weighted(datasets::wine().unwrap());
    let logistic = LogisticRegression::new().with_c(0.5).with_tol(1e-9).with_sample_weight("w");
    let model = logistic.fit(&wine, "cultivar").unwrap();
    let expected = floats(&golden["LogisticRegression"]);
    all_close("logistic", &probabilities(&model, &wine), &expected, 1e-5);
    let model = GaussianNb::new().with_sample_weight("w").fit(&wine, "cultivar").unwrap();
    all_close("bayes", &probabilities(&model, &wine), &floats(&golden["GaussianNb"]), 1e-9);
    let model = Dummy::new().with_sample_weight("w").fit(&wine, "cultivar").unwrap();
    let p = probabilities(&model, &wine.head(Some(1)));
    all_close("dummy", &p, &floats(&golden["DummyClassifier"]), 1e-12);
    let tree = DecisionTree::new().with_max_depth(2).with_sample_weight("w");
    let model = tree.fit(&wine, "cultivar").unwrap();
    let expected = floats(&golden["DecisionTreeClassifier"]);
    all_close("tree", &probabilities(&model, &wine), &expected, 1e-9);
    let cancer = weighted(datasets::breast_cancer().unwrap());
    let model = LogisticRegression::new()
        .with_class_weight(ClassWeight::Balanced)
        .with_tol(1e-9)
        .with_sample_weight("w")
        .fit(&cancer, "diagnosis")
        .unwrap();
    let p = model.predict_proba(&cancer).unwrap();
    let p = values(p.column("malignant").unwrap().as_materialized_series());
    all_close("balanced", &p, &floats(&golden["LogisticBalanced"]), 1e-5);
}

#[test]
fn forests_lean_to_heavy_rows_as_sklearns_do() {
    let golden = read("weights.json");
    let wine = datasets::wine().unwrap();
    let heavy: Vec<f64> = wine
        .column("cultivar")
        .unwrap()
        .str()
        .unwrap()
        .iter()
        .map(|class| if class == Some("class_2") { 20.0 } else { 1.0 })
        .collect();
    let wine = with_weights(wine, heavy);
    let forest = || RandomForest::new().with_n_estimators(400).with_max_depth(2);
    let extra = || ExtraTrees::new().with_n_estimators(400).with_max_depth(2);
    let plain: [Box<dyn Estimator>; 2] = [Box::new(forest()), Box::new(extra())];
    let leaning: [Box<dyn Estimator>; 2] =
        [Box::new(forest().with_sample_weight("w")), Box::new(extra().with_sample_weight("w"))];
    for (plain, leaning) in plain.iter().zip(&leaning) {
        let expected = floats(&golden[plain.name()]);
        let away = |learner: &dyn Estimator, df: &DataFrame| {
            let p = probabilities(&learner.fit(df, "cultivar").unwrap(), df);
            let apart = p.iter().zip(&expected).map(|(p, expected)| (p - expected).abs());
            apart.sum::<f64>() / expected.len() as f64
        };
        let near = away(leaning, &wine);
        let far = away(plain, &wine.drop("w").unwrap());
        // Two seeds of scikit-learn are 0.015 apart.
        assert!(near < 0.02 && far > 0.08, "{}: {near} {far}", plain.name());
    }
}

#[test]
fn clusters_weigh_rows_as_sklearns_do() {
    let golden = read("weights.json");
    let wine = weighted(datasets::wine().unwrap().drop("cultivar").unwrap());
    let means = KMeans::new().with_n_clusters(3).with_n_init(20).with_tol(1e-12);
    let model = means.clone().with_sample_weight("w").fit(&wine).unwrap();
    let expected = golden["KMeansInertia"].as_f64().unwrap();
    close("inertia", model.metrics()["inertia"], expected, 1e-9);
    assert_eq!(model.predict(&wine.drop("w").unwrap()).unwrap().len(), 178);
    let dbscan = Dbscan::new().with_eps(2.2);
    let labels = |dbscan: &Dbscan, df: &DataFrame| -> Vec<f64> {
        let found = dbscan.fit_predict(df).unwrap();
        found.i32().unwrap().iter().map(|label| f64::from(label.unwrap())).collect()
    };
    let expected = floats(&golden["Dbscan"]);
    assert_eq!(labels(&dbscan.clone().with_sample_weight("w"), &wine), expected);
    assert_ne!(labels(&dbscan, &wine.drop("w").unwrap()), expected);
    let only_two = with_weights(
        wine.drop("w").unwrap(),
        (0..178).map(|row| f64::from(u8::from(row < 2))).collect(),
    );
    let error = means.with_sample_weight("w").fit(&only_two).unwrap_err().to_string();
    assert!(error.contains("n_clusters is 3") && error.contains("that have weight"), "{error}");
}

#[test]
fn boosted_trees_weigh_rows_as_python_does_also_where_they_validate() {
    let golden = read("weights.json");
    let df = weighted(datasets::breast_cancer().unwrap());
    let (train, valid) = (df.head(Some(400)), df.slice(400, 169));
    let light = LightGbm::new().with_n_estimators(30).with_sample_weight("w");
    let extreme = XgBoost::new().with_n_estimators(30).with_learning_rate(0.2);
    let extreme = extreme.with_sample_weight("w");
    let models = [
        ("LightGbm", light.with_validation(&valid).fit(&train, "diagnosis")),
        ("XgBoost", extreme.with_validation(&valid).fit(&train, "diagnosis")),
    ];
    for (name, model) in models {
        let model = model.unwrap();
        let p = model.predict_proba(&df).unwrap();
        let p = values(p.column("malignant").unwrap().as_materialized_series());
        all_close(name, &p, &floats(&golden[name]), 1e-5);
        let history = model.history().unwrap();
        let logged = values(history.columns()[1].as_materialized_series());
        all_close(name, &logged, &floats(&golden[&format!("{name}History")]), 1e-5);
    }
    // Rows that are held out keep their weights: without any, the history is another one.
    let held = |learner: LightGbm| {
        let learner = learner.with_n_estimators(5).with_validation_fraction(0.3);
        learner.fit(&df, "diagnosis").unwrap().history().unwrap()
    };
    let constant = with_weights(df.drop("w").unwrap(), vec![3.0; df.height()]);
    let same = LightGbm::new().with_n_estimators(5).with_validation_fraction(0.3);
    let same = same.with_sample_weight("w").fit(&constant, "diagnosis").unwrap().history().unwrap();
    let plain = LightGbm::new().with_n_estimators(5).with_validation_fraction(0.3);
    let plain = plain.fit(&df.drop("w").unwrap(), "diagnosis").unwrap().history().unwrap();
    let close_to = |a: &DataFrame, b: &DataFrame| {
        let first = |df: &DataFrame| df.columns()[1].f64().unwrap().get(0).unwrap();
        (first(a) - first(b)).abs() < 1e-3
    };
    assert!(close_to(&same, &plain));
    assert!(!held(LightGbm::new().with_sample_weight("w")).equals(&plain));
}

#[test]
fn a_row_of_weight_zero_is_no_row_and_one_of_two_is_two() {
    let iris = datasets::iris().unwrap();
    let counts: Vec<f64> = (0..150).map(|row| f64::from(row % 3)).collect();
    let rows: Vec<u32> = (0..150).flat_map(|row| vec![row; row as usize % 3]).collect();
    let repeated = iris.take(&IdxCa::from_vec("".into(), rows)).unwrap();
    let weighted = with_weights(iris.clone(), counts);
    let plain: Vec<Box<dyn Estimator>> = vec![
        Box::new(LogisticRegression::new().with_standardize(false).with_tol(1e-9)),
        Box::new(GaussianNb::new()),
        Box::new(Dummy::new()),
    ];
    let with: Vec<Box<dyn Estimator>> = vec![
        Box::new(
            LogisticRegression::new()
                .with_standardize(false)
                .with_tol(1e-9)
                .with_sample_weight("w"),
        ),
        Box::new(GaussianNb::new().with_sample_weight("w")),
        Box::new(Dummy::new().with_sample_weight("w")),
    ];
    for (plain, with) in plain.iter().zip(&with) {
        let a = probabilities(&plain.fit(&repeated, "species").unwrap(), &iris);
        let b = probabilities(&with.fit(&weighted, "species").unwrap(), &iris);
        // Bayes smooths by the variance of all rows, which do not count there, as in scikit-learn.
        all_close(plain.name(), &a, &b, 1e-4);
    }
}

#[test]
fn weights_go_with_their_rows_and_pass_the_steps_of_a_pipeline() {
    let df = weighted(datasets::diabetes().unwrap());
    let steps = || Pipeline::new().with(StandardScaler::new(Select::Numeric));
    let learner = steps().then(Ridge::new().with_sample_weight("w"));
    let model = learner.fit(&df, "progression").unwrap();
    assert!(model.schema().column("w").is_none());
    // The scaler changes nothing for a learner that standardises, unless it scaled the weights.
    let plain = Ridge::new().with_sample_weight("w").fit(&df, "progression").unwrap();
    let rows = df.drop("w").unwrap();
    let p = |model: &FittedModel| values(&model.predict(&rows).unwrap());
    all_close("piped", &p(&model), &p(&plain), 1e-9);
    let again = FittedModel::from_bytes(&model.to_bytes().unwrap()).unwrap();
    assert!(again.predict(&rows).unwrap().equals(&model.predict(&rows).unwrap()));
    assert_eq!(again.params()["sample_weight"], "w");
    // Folds take the weights with the rows, and frames that still have them are predicted.
    let found = cross_validate(&learner, &df, "progression", Folds::k_fold(5)).unwrap();
    assert!(found.mean("r2") > 0.4, "{found:?}");
    let boosted = LightGbm::new().with_n_estimators(5).with_sample_weight("w");
    let boosted = steps().then(boosted.with_validation(&df)).fit(&df, "progression").unwrap();
    assert_eq!(boosted.history().unwrap().height(), 5);
    let clusters = Pipeline::new().with(Imputer::new(Select::Numeric));
    let clusters = clusters.then(KMeans::new().with_n_clusters(3).with_sample_weight("w"));
    let model = clusters.fit(&rows.hstack(&[df.column("w").unwrap().clone()]).unwrap()).unwrap();
    assert!(model.schema().column("w").is_none());
}

#[test]
fn weights_that_cannot_be_used_are_refused() {
    let fit = |df: &DataFrame, column: &str| {
        let learner = LogisticRegression::new().with_sample_weight(column);
        learner.fit(df, "y").unwrap_err().to_string()
    };
    let of = |weights: [f64; 4]| {
        df!("x" => [1, 2, 3, 4], "w" => weights, "y" => ["a", "a", "b", "b"]).unwrap()
    };
    assert!(fit(&of([1.0; 4]), "v").contains("no column `v`"));
    assert!(fit(&of([1.0; 4]), "y").contains("it is the target"));
    assert!(fit(&of([1.0, f64::NAN, 1.0, 1.0]), "w").contains("row 1 is missing"));
    assert!(fit(&of([1.0, 1.0, -0.5, 1.0]), "w").contains("row 2 is -0.5"));
    assert!(fit(&of([0.0; 4]), "w").contains("all weights are 0"));
    let error = fit(&of([1.0, 1.0, 0.0, 0.0]), "w");
    assert!(error.contains("target `y`: all rows of class `b` have weight 0"), "{error}");
    let season = Dummy::seasonal_naive(2).with_sample_weight("w");
    let error = season.fit(&of([1.0; 4]), "x").unwrap_err().to_string();
    assert!(error.contains("sample_weight is w, it must be none"), "{error}");
    // A forest of rows of which few count.
    let df = of([1.0, 0.0, 1.0, 0.0]);
    let forest = RandomForest::new().with_sample_weight("w").fit(&df, "y").unwrap();
    let p = probabilities(&forest, &df);
    assert!(p.iter().all(|p| p.is_finite()), "{p:?}");
}
