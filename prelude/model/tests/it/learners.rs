//! Our own learners against scikit-learn's.

use oxilab_data::datasets;
use oxilab_model::*;
use polars::prelude::*;

use crate::golden::{all_close, close, floats, read};

fn values(series: &Series) -> Vec<f64> {
    series.f64().unwrap().iter().map(|v| v.unwrap()).collect()
}

fn row_major(df: &DataFrame) -> Vec<f64> {
    let columns: Vec<Vec<f64>> =
        df.columns().iter().map(|c| values(c.as_materialized_series())).collect();
    (0..df.height()).flat_map(|row| columns.iter().map(move |c| c[row])).collect()
}

#[test]
fn linear_models_and_neighbours_predict_numbers_as_sklearn_does() {
    let golden = read("learners.json");
    let df = datasets::diabetes().unwrap();
    let learners: Vec<Box<dyn Estimator>> = vec![
        Box::new(LinearRegression::new()),
        Box::new(Ridge::new().with_alpha(2.0)),
        Box::new(Lasso::new().with_alpha(1.5).with_tol(1e-10).with_max_iter(100_000)),
        Box::new(ElasticNet::new().with_alpha(0.5).with_l1_ratio(0.3).with_tol(1e-10)),
        Box::new(KNeighbors::new().with_n_neighbors(7).with_task(Some(Task::Regression))),
    ];
    for learner in learners {
        let model = learner.fit(&df, "progression").unwrap();
        let p = values(&model.predict(&df.head(Some(40))).unwrap());
        all_close(learner.name(), &p, &floats(&golden[learner.name()]), 1e-8);
    }
}

#[test]
fn logistic_regression_and_bayes_give_sklearns_probabilities() {
    let golden = read("learners.json");
    let wine = datasets::wine().unwrap();
    let model =
        LogisticRegression::new().with_c(0.5).with_tol(1e-9).fit(&wine, "cultivar").unwrap();
    let p = row_major(&model.predict_proba(&wine).unwrap());
    all_close("logistic", &p, &floats(&golden["LogisticRegression"]), 1e-5);
    let model = GaussianNb::new().fit(&wine, "cultivar").unwrap();
    let p = row_major(&model.predict_proba(&wine).unwrap());
    all_close("bayes", &p, &floats(&golden["GaussianNb"]), 1e-9);
    let cancer = datasets::breast_cancer().unwrap();
    let model = LogisticRegression::new()
        .with_class_weight(ClassWeight::Balanced)
        .with_tol(1e-9)
        .fit(&cancer, "diagnosis")
        .unwrap();
    let p = model.predict_proba(&cancer).unwrap();
    let p = values(p.column("malignant").unwrap().as_materialized_series());
    all_close("balanced", &p, &floats(&golden["LogisticBalanced"]), 1e-5);
}

#[test]
fn components_and_clusters_are_sklearns() {
    let golden = read("learners.json");
    let wine = datasets::wine().unwrap().drop("cultivar").unwrap();
    let model = Pca::new().with_n_components(3).fit(&wine).unwrap();
    let found: Vec<f64> = model
        .transform(&wine)
        .unwrap()
        .columns()
        .iter()
        .flat_map(|c| values(c.as_materialized_series()))
        .collect();
    all_close("pca", &found, &floats(&golden["Pca"]), 1e-9);
    let ratios: Vec<f64> =
        (1..=3).map(|i| model.metrics()[&format!("explained_variance_ratio_{i}")]).collect();
    all_close("ratio", &ratios, &floats(&golden["PcaRatio"]), 1e-12);
    let model = KMeans::new().with_n_clusters(3).with_n_init(5).fit(&wine).unwrap();
    close("inertia", model.metrics()["inertia"], golden["KMeansInertia"].as_f64().unwrap(), 1e-3);
    let clusters = Dbscan::new().with_eps(2.2).fit_predict(&wine).unwrap();
    let clusters: Vec<f64> =
        clusters.i32().unwrap().iter().map(|c| f64::from(c.unwrap())).collect();
    assert_eq!(clusters, floats(&golden["Dbscan"]));
}

#[test]
fn forests_are_as_good_as_sklearns() {
    // scikit-learn 1.9, five stratified folds: wine 0.977, digits 0.975 (forest), breast cancer 0.960;
    // diabetes R² 0.42; trees: wine 0.90.
    let accuracy = |learner: &dyn Estimator, df: &DataFrame, target: &str| {
        cross_validate(learner, df, target, 5).unwrap().mean("accuracy")
    };
    let wine = datasets::wine().unwrap();
    assert!(accuracy(&RandomForest::new(), &wine, "cultivar") > 0.96);
    assert!(accuracy(&ExtraTrees::new(), &wine, "cultivar") > 0.96);
    assert!(accuracy(&DecisionTree::new(), &wine, "cultivar") > 0.85);
    let digits = datasets::digits().unwrap();
    let forest = accuracy(&RandomForest::new(), &digits, "digit");
    assert!(forest > 0.965, "{forest}");
    let extra = accuracy(&ExtraTrees::new(), &digits, "digit");
    assert!(extra > 0.97, "{extra}");
    let cancer = datasets::breast_cancer().unwrap();
    assert!(accuracy(&RandomForest::new(), &cancer, "diagnosis") > 0.945);
    let diabetes = datasets::diabetes().unwrap();
    let forest = RandomForest::new().with_task(Some(Task::Regression));
    let r2 =
        cross_validate(&forest, &diabetes, "progression", Folds::k_fold(5)).unwrap().mean("r2");
    assert!(r2 > 0.38, "{r2}");
}

#[test]
fn a_tree_fits_its_training_rows_and_uses_missing_values() {
    let iris = datasets::iris().unwrap();
    let model = DecisionTree::new().fit(&iris, "species").unwrap();
    assert_eq!(model.evaluate(&iris).unwrap().get("accuracy"), Some(1.0));
    let x = [Some(1.0), None, Some(2.0), None, Some(1.5), None];
    let df = df!("x" => x, "y" => ["a", "b", "a", "b", "a", "b"]).unwrap();
    let model = DecisionTree::new().fit(&df, "y").unwrap();
    assert_eq!(model.evaluate(&df).unwrap().get("accuracy"), Some(1.0));
}

#[test]
fn a_tree_cuts_where_sklearns_does() {
    let golden = read("trees.json");
    let mut df = datasets::diabetes().unwrap();
    for column in df.drop("progression").unwrap().columns() {
        let whole = values(&column.cast(&DataType::Float64).unwrap().take_materialized_series());
        let whole: Vec<f64> = whole.iter().map(|value| (value * 10_000.0).round()).collect();
        df.with_column(Column::new(column.name().clone(), whole)).unwrap();
    }
    let learner = DecisionTree::new().with_max_depth(4).with_min_samples_leaf(10);
    let model = learner.fit(&df.head(Some(240)), "progression").unwrap();
    // Rows that it has not seen fall between the values of the rows of a node.
    let p = values(&model.predict(&df.slice(240, 202)).unwrap());
    all_close("tree", &p, &floats(&golden["DecisionTree"]), 1e-9);
}

/// The bytes of a model of every learner; boosted trees are in tests of their own.
fn all_models(seed: u64, classes: &DataFrame, numbers: &DataFrame) -> Vec<(String, Vec<u8>)> {
    let supervised: Vec<(Box<dyn Estimator>, &DataFrame, &str)> = vec![
        (Box::new(LinearRegression::new()), numbers, "y"),
        (Box::new(Ridge::new()), numbers, "y"),
        (Box::new(Lasso::new().with_alpha(0.1)), numbers, "y"),
        (Box::new(ElasticNet::new().with_alpha(0.1)), numbers, "y"),
        (Box::new(DecisionTree::new().with_seed(seed)), numbers, "y"),
        (Box::new(RandomForest::new().with_n_estimators(6).with_seed(seed)), classes, "digit"),
        (Box::new(ExtraTrees::new().with_n_estimators(6).with_seed(seed)), classes, "digit"),
        (Box::new(LogisticRegression::new().with_max_iter(10)), classes, "digit"),
        (Box::new(GaussianNb::new()), classes, "digit"),
        (Box::new(KNeighbors::new()), classes, "digit"),
    ];
    let mut models: Vec<(String, FittedModel)> = supervised
        .iter()
        .map(|(learner, df, target)| (learner.name().to_owned(), learner.fit(df, target).unwrap()))
        .collect();
    let weights = RandomForest::new().with_n_estimators(6).with_seed(seed).with_sample_weight("y");
    models.push(("weighted".to_owned(), weights.fit(numbers, "x1").unwrap()));
    models.push(("KMeans".to_owned(), KMeans::new().with_seed(seed).fit(numbers).unwrap()));
    models.push(("Pca".to_owned(), Pca::new().fit(numbers).unwrap()));
    let anomalies = IsolationForest::new().with_n_estimators(10).with_seed(seed);
    models.push(("IsolationForest".to_owned(), anomalies.fit(numbers).unwrap()));
    models.into_iter().map(|(name, model)| (name, model.to_bytes().unwrap())).collect()
}

#[test]
fn the_same_seed_gives_the_same_model_on_any_number_of_threads() {
    let classes = datasets::digits().unwrap();
    // More rows than a block of a parallel sum, so that several threads have some.
    let rows = 10_000_u32;
    let column = |step: u32| -> Vec<f64> {
        (0..rows).map(|row| f64::from(row.wrapping_mul(step) >> 12) / 1e5).collect()
    };
    let mut numbers =
        df!("x1" => column(2_654_435_761), "x2" => column(40_503), "x3" => column(97)).unwrap();
    let y: Vec<f64> = (0..rows).map(|row| f64::from(row * 31 % 1009)).collect();
    numbers.with_column(Column::new("y".into(), y)).unwrap();
    let all = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| all_models(seed, &classes, &numbers))
    };
    let (one, three, other) = (all(1, 1), all(3, 1), all(2, 2));
    for ((name, one), (_, three)) in one.iter().zip(&three) {
        assert!(one == three, "{name} depends on the number of threads");
    }
    let seeded = ["RandomForest", "ExtraTrees", "weighted", "KMeans", "IsolationForest"];
    for name in seeded {
        let of = |models: &[(String, Vec<u8>)]| {
            models.iter().find(|(own, _)| own == name).unwrap().1.clone()
        };
        assert!(of(&one) != of(&other), "{name} has no seed");
    }
}

#[test]
fn anomalies_are_found() {
    let mut x: Vec<f64> = (0..200).map(|i| f64::from(i % 17)).collect();
    let mut y: Vec<f64> = (0..200).map(|i| f64::from(i % 13)).collect();
    x.push(60.0);
    y.push(-40.0);
    let df = df!("x" => x, "y" => y).unwrap();
    let model = IsolationForest::new().fit(&df).unwrap();
    let scores = values(&model.score(&df).unwrap());
    assert!(scores[..200].iter().all(|score| *score < scores[200]));
    assert_eq!(model.predict(&df).unwrap().bool().unwrap().get(200), Some(true));
}

#[test]
fn isolation_scores_are_sklearns_up_to_chance() {
    let golden = read("anomalies.json");
    let df = datasets::breast_cancer().unwrap();
    let malignant: Vec<bool> = {
        let diagnosis = df.column("diagnosis").unwrap().str().unwrap();
        diagnosis.iter().map(|class| class == Some("malignant")).collect()
    };
    let inputs = df.drop("diagnosis").unwrap();
    let area = |seed| {
        let model = IsolationForest::new().with_seed(seed).fit(&inputs).unwrap();
        let scores = values(&model.score(&inputs).unwrap());
        // The share of pairs in the right order.
        let of = |wanted: bool| {
            scores.iter().zip(&malignant).filter(move |(_, m)| **m == wanted).map(|(s, _)| *s)
        };
        let right =
            of(true).flat_map(|high| of(false).map(move |low| f64::from(u8::from(high > low))));
        let right: Vec<f64> = right.collect();
        right.iter().sum::<f64>() / right.len() as f64
    };
    let areas: Vec<f64> = (0..20).map(area).collect();
    let mean = areas.iter().sum::<f64>() / 20.0;
    let expected = floats(&golden["roc_auc"]);
    let error = expected[1] * (2.0 / 20.0_f64).sqrt();
    assert!((mean - expected[0]).abs() < 4.0 * error, "{mean} {expected:?}");
    let model = IsolationForest::new().with_n_estimators(1000).fit(&inputs).unwrap();
    let scores = values(&model.score(&inputs).unwrap());
    all_close("scores", &scores, &floats(&golden["scores"]), 0.02);
}

#[test]
fn baselines_repeat_seasons_and_means() {
    let df = df!("t" => [1, 2, 3, 4, 5], "y" => [1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
    let model = Dummy::seasonal_naive(2).fit(&df, "y").unwrap();
    assert_eq!(values(&model.predict(&df).unwrap()), [4.0, 5.0, 4.0, 5.0, 4.0]);
    let model = Dummy::new().fit(&df, "y").unwrap();
    assert_eq!(values(&model.predict(&df.head(Some(1))).unwrap()), [3.0]);
}
