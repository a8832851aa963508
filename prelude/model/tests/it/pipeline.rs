//! A learner as the last step of a pipeline: what its steps learn from, its file, its errors.

use std::sync::{Arc, Mutex};

use oxilab_data::transform::{Fitted, Step};
use oxilab_data::{
    Custom, DateParts, Imputer, OneHotEncoder, Pipeline, Select, StandardScaler, TargetEncoder,
    TfidfVectorizer, datasets, train_test_split,
};
use oxilab_display::Render;
use oxilab_model::*;
use polars::prelude::*;

/// Numbers with gaps, whole numbers, categories, free text and dates; the class follows from them.
fn table() -> DataFrame {
    let n = 200_i32;
    let tone = ["good and quick", "bad and slow", "so so"];
    let days: Vec<i32> = (0..n).map(|i| 19_723 + i).collect();
    let day = Column::new("day".into(), days).cast(&DataType::Date).unwrap();
    let x: Vec<Option<f64>> =
        (0..n).map(|i| (i % 9 != 0).then(|| f64::from(i * 37 % 101))).collect();
    let note: Vec<String> = (0..n).map(|i| format!("{} order{i}", tone[i as usize % 3])).collect();
    let size: Vec<i64> = (0..n).map(|i| i64::from(i * 7 % 90)).collect();
    let city: Vec<&str> =
        (0..n).map(|i| ["Rome", "Oslo", "Bern", "Lima"][i as usize % 4]).collect();
    let kept: Vec<&str> =
        (0..n).map(|i| if i * 37 % 101 > 50 || i % 3 == 0 { "yes" } else { "no" }).collect();
    let mut df =
        df!("x" => x, "note" => note, "size" => size, "city" => city, "kept" => kept).unwrap();
    df.with_column(day).unwrap();
    df
}

fn steps() -> Pipeline {
    Pipeline::new()
        .with(DateParts::new("day"))
        .with(TfidfVectorizer::new("note").with_max_features(8))
        .with(Imputer::new(Select::Numeric))
        .with(OneHotEncoder::new("city"))
        .with(StandardScaler::new(Select::Numeric))
}

/// A scaler that notes the values that it learns from.
struct Spy(Arc<Mutex<Vec<Vec<i32>>>>);

impl Step for Spy {
    fn fit(&self, train: &DataFrame) -> oxilab_data::Result<Fitted> {
        let seen = train.column("row")?.i32()?.iter().flatten().collect();
        self.0.lock().unwrap().push(seen);
        StandardScaler::new("x").fit(train)
    }
}

#[test]
fn steps_learn_from_the_training_rows_of_each_fold_alone() {
    let rows: Vec<i32> = (0..60).collect();
    let x: Vec<f64> = rows.iter().map(|row| f64::from(row * 7 % 13)).collect();
    let y: Vec<f64> = x.iter().map(|x| 3.0 * x).collect();
    let df = df!("row" => rows, "x" => x, "y" => y).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let learner = Pipeline::new().with(Spy(Arc::clone(&seen))).then(Ridge::new());
    let splits = Folds::k_fold(4).split(&df, "y").unwrap();
    let found = cross_validate(&learner, &df, "y", splits.clone()).unwrap();
    assert_eq!((found.folds.len(), found.learner.as_str()), (4, "Pipeline(Spy, Ridge)"));
    let mut seen: Vec<Vec<i32>> = seen.lock().unwrap().clone();
    let mut trained: Vec<Vec<i32>> = splits
        .iter()
        .map(|(train, _)| train.iter().map(|row| i32::try_from(*row).unwrap()).collect())
        .collect();
    seen.sort();
    trained.sort();
    assert_eq!(seen, trained);
}

#[test]
fn a_target_encoder_behind_folds_tells_nothing_about_noise() {
    // Every row has a category of its own and a class by chance. Encoded before the split, the class
    // of each row stands in its code; behind the folds there is nothing to find.
    let n = 400_u64;
    let ids: Vec<String> = (0..n).map(|i| format!("id{i}")).collect();
    let chance = |i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 2 == 0;
    let df = df!("id" => ids, "y" => (0..n).map(chance).collect::<Vec<bool>>()).unwrap();
    let learner = || LogisticRegression::new();
    let leaky = Pipeline::new().with(TargetEncoder::new("id", "y")).fit(&df).unwrap();
    let leaky = leaky.transform(&df).unwrap();
    let leaky = cross_validate(&learner(), &leaky, "y", 5).unwrap().mean("roc_auc");
    assert!(leaky > 0.99, "{leaky}");
    let sound = Pipeline::new().with(TargetEncoder::new("id", "y")).then(learner());
    let sound = cross_validate(&sound, &df, "y", 5).unwrap().mean("roc_auc");
    assert!((sound - 0.5).abs() < 0.1, "{sound}");
}

#[test]
fn it_is_the_same_as_transforming_by_hand() {
    let (train, test) = train_test_split(&table(), 0.25, 3).unwrap();
    let by_hand = steps().with_target("kept").fit(&train).unwrap();
    let plain = by_hand.transform(&train).unwrap();
    let plain = LogisticRegression::new().fit(&plain, "kept").unwrap();
    let expected = plain.predict_proba(&by_hand.transform(&test).unwrap()).unwrap();
    let model = steps().then(LogisticRegression::new()).fit(&train, "kept").unwrap();
    assert!(model.predict_proba(&test).unwrap().equals(&expected));
    let evaluation = model.evaluate(&test).unwrap();
    assert!(evaluation.get("accuracy").unwrap() > 0.8, "{evaluation:?}");
    assert_eq!(model.pipeline().unwrap().hash().unwrap(), by_hand.hash().unwrap());
    assert_eq!(model.header().training_data, hash_frame(&train).unwrap());
    assert_eq!(
        model.learner(),
        "Pipeline(DateParts, TfidfVectorizer, Imputer, OneHotEncoder, StandardScaler, LogisticRegression)"
    );
    assert_eq!(model.params()["pipeline"][3], "OneHotEncoder");
    assert!(model.render().plain().contains("OneHotEncoder"));
}

#[test]
fn one_file_holds_steps_learner_and_raw_schema() {
    let (train, test) = train_test_split(&table(), 0.25, 3).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.oxm");
    let learners: Vec<Box<dyn Estimator>> = vec![
        Box::new(Dummy::new()),
        Box::new(LogisticRegression::new()),
        Box::new(KNeighbors::new()),
        Box::new(RandomForest::new().with_n_estimators(5)),
        Box::new(LightGbm::new().with_n_estimators(5)),
    ];
    for learner in learners {
        let what = learner.name().to_owned();
        let model = steps().then(learner).fit(&train, "kept").unwrap();
        model.save(&path).unwrap();
        let again = load(&path).unwrap();
        let expected = model.predict_proba(&test).unwrap();
        assert!(again.predict_proba(&test).unwrap().equals(&expected), "{what}");
        assert_eq!(again.header(), model.header(), "{what}");
        let schema = again.schema();
        assert_eq!(schema.names(), ["x", "note", "size", "city", "day"], "{what}");
        assert_eq!(schema.column("city").unwrap().categories, ["Bern", "Lima", "Oslo", "Rome"]);
        assert!(schema.column("note").unwrap().categories.is_empty(), "free text is not listed");
        assert_eq!(schema.column("day").unwrap().dtype, "date");
        assert!(schema.column("x").unwrap().nullable && !schema.column("size").unwrap().nullable);
        // As a server reads JSON: numbers as floats, dates as text, columns nobody asked for.
        let typed_in = test
            .clone()
            .lazy()
            .select([
                lit("?").alias("other"),
                col("day").cast(DataType::String),
                col("city"),
                col("size").cast(DataType::Float64),
                col("note"),
                col("x"),
            ])
            .collect()
            .unwrap();
        assert!(again.predict_proba(&typed_in).unwrap().equals(&expected), "{what}");
    }
}

#[test]
fn a_reader_without_pipelines_refuses_the_file() {
    let df = table().select(["x", "size", "kept"]).unwrap();
    let steps = Pipeline::new().with(Imputer::new("x"));
    let model = steps.then(LogisticRegression::new()).fit(&df, "kept").unwrap();
    let bytes = model.to_bytes().unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("\"kind\":\"pipeline/logistic\""), "it would predict from raw values");
    assert_eq!(model.header().kind, "logistic");
}

#[test]
fn frames_to_validate_on_go_through_the_steps() {
    let (train, valid) = train_test_split(&table(), 0.3, 5).unwrap();
    let train = train.select(["x", "size", "kept"]).unwrap();
    let valid = valid.select(["x", "size", "kept"]).unwrap();
    let steps = || Pipeline::new().with(StandardScaler::new(Select::Numeric));
    let learner = |valid: &DataFrame| LightGbm::new().with_n_estimators(15).with_validation(valid);
    let fitted = steps().with_target("kept").fit(&train).unwrap();
    let by_hand = learner(&fitted.transform(&valid).unwrap())
        .fit(&fitted.transform(&train).unwrap(), "kept")
        .unwrap();
    let model = steps().then(learner(&valid)).fit(&train, "kept").unwrap();
    assert!(model.history().unwrap().equals(&by_hand.history().unwrap()));
    assert!(model.history().unwrap().height() > 0);
}

#[test]
fn steps_are_tuned_with_the_learner() {
    let wine = datasets::wine().unwrap();
    let space = Space::new().int("components", 1, 6).int("neighbors", 1, 9);
    let study = tune(&space, 12, |trial| {
        let steps = Pipeline::new()
            .with(StandardScaler::new(Select::Numeric))
            .with(oxilab_data::Pca::new(Select::Numeric, trial.usize("components")?));
        let learner = steps.then(KNeighbors::new().with_n_neighbors(trial.usize("neighbors")?));
        Ok(cross_validate(&learner, &wine, "cultivar", 5)?.score())
    })
    .unwrap();
    assert!(study.best().unwrap().int("components").unwrap() > 1);
    assert!(study.best_value().unwrap() > 0.93);
}

#[test]
fn explanations_and_calibration_speak_of_raw_columns() {
    let df = table();
    let model = steps().then(LightGbm::new().with_n_estimators(20)).fit(&df, "kept").unwrap();
    let found = permutation_importance(&model, &df, 2, 0).unwrap();
    assert_eq!(found.columns.len(), 5);
    assert!(["x", "note"].contains(&found.columns[0].0.as_str()), "{found:?}");
    // Whole numbers and categories are set to values they can have.
    assert_eq!(partial_dependence(&model, &df, "size").unwrap().grid.len(), 30);
    assert_eq!(partial_dependence(&model, &df, "city").unwrap().grid.len(), 4);
    let error = partial_dependence(&model, &df, "day").unwrap_err().to_string();
    assert!(error.contains("`day`: its type is date"), "{error}");
    // Shapley values are those of what the learner reads.
    let shap = model.shap_values(&df).unwrap();
    assert!(shap.column("city_Oslo").is_ok() && shap.column("day_month").is_ok());
    let better = calibrate(&model, &df, Calibration::Platt).unwrap();
    let again = FittedModel::from_bytes(&better.to_bytes().unwrap()).unwrap();
    assert!(again.predict_proba(&df).unwrap().equals(&better.predict_proba(&df).unwrap()));
    let slices = model.evaluate_by(&df, "city", "accuracy").unwrap();
    assert_eq!(slices.groups.len(), 4);
}

#[test]
fn own_functions_are_given_back_after_loading() {
    let df = table().select(["x", "size", "kept"]).unwrap();
    let double = Custom::new("double", |df| {
        Ok(df.clone().lazy().with_columns([col("size") * lit(2)]).collect()?)
    });
    let steps = Pipeline::new().with(double.clone()).with(Imputer::new("x"));
    let model = steps.then(DecisionTree::new()).fit(&df, "kept").unwrap();
    let again = FittedModel::from_bytes(&model.to_bytes().unwrap()).unwrap();
    let error = again.predict(&df).unwrap_err().to_string();
    assert!(error.contains("\"double\"") && error.contains("with_custom"), "{error}");
    let again = again.with_custom(&double);
    assert!(again.predict(&df).unwrap().equals(&model.predict(&df).unwrap()));
}

#[test]
fn what_does_not_fit_is_named() {
    let df = table();
    let fails =
        |steps: Pipeline| steps.then(Dummy::new()).fit(&df, "kept").unwrap_err().to_string();
    let error = fails(Pipeline::new().with(StandardScaler::new("kept")));
    assert!(error.contains("no column \"kept\""), "no step learns from the target: {error}");
    let error = fails(Pipeline::new().with(StandardScaler::new("city")));
    assert!(error.contains("\"city\" is str"), "{error}");
    let half = Custom::new("half", |df| Ok(df.head(Some(df.height() / 2))));
    let error = fails(Pipeline::new().with(half));
    assert!(error.contains("the pipeline makes 100 rows of 200"), "{error}");
    let error = steps().then(Dummy::new()).fit(&df, "nothing").unwrap_err().to_string();
    assert!(error.contains("no column `nothing`"), "{error}");

    let model = steps().then(LogisticRegression::new()).fit(&df, "kept").unwrap();
    let error = model.predict(&df.drop("city").unwrap()).unwrap_err().to_string();
    assert!(error.contains("\"city\" (str) is missing"), "{error}");
    let mut broken = df.clone();
    broken.with_column(Column::new("size".into(), vec![0.5; 200])).unwrap();
    let error = model.predict(&broken).unwrap_err().to_string();
    assert!(error.contains("\"size\" is f64 and was i64"), "{error}");
    // A category that training did not have is nobody's, as the encoder says.
    let mut new = df.clone();
    new.with_column(Column::new("city".into(), vec!["Wien"; 200])).unwrap();
    assert_eq!(model.predict(&new).unwrap().len(), 200);
}

#[test]
fn clusters_components_and_anomalies_are_found_behind_steps() {
    let df = table();
    let inputs = df.drop("kept").unwrap();
    let plain = steps().fit(&inputs).unwrap().transform(&inputs).unwrap();

    let by_hand = KMeans::new().with_n_clusters(3).fit(&plain).unwrap();
    let model = steps().then(KMeans::new().with_n_clusters(3)).fit(&inputs).unwrap();
    let labels = by_hand.predict(&plain).unwrap();
    assert!(model.predict(&inputs).unwrap().equals(&labels));
    assert_eq!(model.metrics()["inertia"], by_hand.metrics()["inertia"]);
    assert!(model.learner().ends_with("StandardScaler, KMeans)"), "{}", model.learner());
    assert_eq!(model.params()["n_clusters"], 3);
    assert_eq!(model.schema().names(), ["x", "note", "size", "city", "day"]);
    assert_eq!(model.header().training_data, hash_frame(&inputs).unwrap());

    let by_hand = oxilab_model::Pca::new().fit(&plain).unwrap();
    let components = steps().then(oxilab_model::Pca::new()).fit(&inputs).unwrap();
    let expected = by_hand.transform(&plain).unwrap();
    assert!(components.transform(&inputs).unwrap().equals(&expected));

    let anomalies = steps().then(IsolationForest::new()).fit(&inputs).unwrap();
    let scores = anomalies.score(&inputs).unwrap();
    assert_eq!((scores.len(), scores.null_count()), (200, 0));

    // Their files hold the steps; raw rows of any origin are read, also with a target beside.
    for model in [&model, &components, &anomalies] {
        let again = FittedModel::from_bytes(&model.to_bytes().unwrap()).unwrap();
        assert_eq!(again.header(), model.header());
        assert!(again.render().plain().contains("StandardScaler"));
    }
    let again = FittedModel::from_bytes(&model.to_bytes().unwrap()).unwrap();
    assert!(again.predict(&df).unwrap().equals(&labels));
    let again = FittedModel::from_bytes(&components.to_bytes().unwrap()).unwrap();
    assert!(again.transform(&df).unwrap().equals(&expected));

    let error = model.predict(&inputs.drop("city").unwrap()).unwrap_err().to_string();
    assert!(error.contains("\"city\" (str) is missing"), "{error}");
    let half = Custom::new("half", |df| Ok(df.head(Some(df.height() / 2))));
    let steps = Pipeline::new().with(half).with(Imputer::new("x"));
    let error = steps.then(KMeans::new()).fit(&inputs).unwrap_err().to_string();
    assert!(error.contains("the pipeline makes 100 rows of 200"), "{error}");
}
