//! Bad input gives an error that says what is wrong, never a panic.

use oxilab_model::*;
use polars::prelude::*;

fn learners() -> Vec<Box<dyn Estimator>> {
    vec![
        Box::new(LogisticRegression::new()),
        Box::new(KNeighbors::new().with_n_neighbors(2)),
        Box::new(GaussianNb::new()),
        Box::new(RandomForest::new().with_n_estimators(3)),
        Box::new(LightGbm::new().with_n_estimators(3)),
    ]
}

#[track_caller]
fn refused(df: &DataFrame, target: &str, part: &str) {
    for learner in learners() {
        let error = learner.fit(df, target).map(|_| ()).expect_err(learner.name()).to_string();
        assert!(error.contains(part), "{}: {error}", learner.name());
    }
}

#[test]
fn frames_that_cannot_be_learned_from_are_refused() {
    let y = ["a", "b", "a", "b"];
    refused(&df!("x" => [1, 2, 3, 4], "y" => ["a"; 4]).unwrap(), "y", "one class only, `a`");
    refused(&df!("x" => [None::<f64>; 4], "y" => y).unwrap(), "y", "all its values are missing");
    refused(&df!("x" => [f64::NAN; 4], "y" => y).unwrap(), "y", "all its values are missing");
    refused(
        &df!("x" => [1.0, f64::INFINITY, 2.0, 3.0], "y" => y).unwrap(),
        "y",
        "row 1 is infinite",
    );
    refused(
        &df!("x" => [1, 2, 3, 4], "y" => [Some("a"), None, Some("b"), None]).unwrap(),
        "y",
        "2 of 4 values are missing",
    );
    refused(
        &df!("x" => [1, 2, 3, 4], "y" => y).unwrap(),
        "z",
        "no column `z`; the frame has `x`, `y`",
    );
    refused(&df!("y" => y).unwrap(), "y", "no input columns");
    refused(&df!("x" => [1, 2, 3, 4], "y" => y).unwrap().head(Some(0)), "y", "no rows");
    let dates = df!("x" => [1, 2, 3, 4], "y" => y).unwrap();
    let dates = dates.lazy().with_column(col("x").cast(DataType::Date)).collect().unwrap();
    refused(&dates, "y", "models cannot read the type date");
}

#[test]
fn targets_of_numbers_are_checked() {
    let fit = |y: Vec<f64>| {
        let x: Vec<i32> = (0..4).collect();
        Ridge::new().fit(&df!("x" => x, "y" => y).unwrap(), "y").unwrap_err().to_string()
    };
    assert!(fit(vec![2.0; 4]).contains("all 4 values are 2"));
    assert!(fit(vec![1.0, f64::NAN, 2.0, 3.0]).contains("1 of 4 values are missing"));
    assert!(fit(vec![1.0, f64::NEG_INFINITY, 2.0, 3.0]).contains("infinite"));
    let text = df!("x" => [1, 2], "y" => ["a", "b"]).unwrap();
    assert!(
        Ridge::new().fit(&text, "y").unwrap_err().to_string().contains("regression needs numbers")
    );
    let floats = df!("x" => [1, 2], "y" => [0.5, 1.5]).unwrap();
    assert!(
        LogisticRegression::new()
            .fit(&floats, "y")
            .unwrap_err()
            .to_string()
            .contains("use a regressor")
    );
}

#[test]
fn frames_to_predict_must_fit_the_model() {
    let train =
        df!("x" => [1.0, 2.0, 3.0, 4.0], "c" => ["u", "v", "u", "v"], "y" => ["a", "b", "a", "b"])
            .unwrap();
    for learner in learners() {
        let model = learner.fit(&train, "y").unwrap();
        let unseen = df!("x" => [1.0], "c" => ["w"]).unwrap();
        let error = model.predict(&unseen).unwrap_err().to_string();
        assert!(error.contains("category `w`") && error.contains("u, v"), "{error}");
        assert_eq!(model.clone().with_unseen_as_missing(true).predict(&unseen).unwrap().len(), 1);
        let error = model.predict(&df!("x" => [1.0]).unwrap()).unwrap_err().to_string();
        assert!(error.contains("no column `c`"), "{error}");
        let text = df!("x" => ["one"], "c" => ["u"]).unwrap();
        assert!(
            model.predict(&text).unwrap_err().to_string().contains("column `x`: its type is str")
        );
        let none = train.head(Some(0));
        assert_eq!(model.predict(&none).unwrap().len(), 0, "{}", learner.name());
        let missing = df!("x" => [None::<f64>], "c" => [None::<&str>]).unwrap();
        assert_eq!(model.predict(&missing).unwrap().null_count(), 0);
        let other = df!("x" => [1.0], "c" => ["u"], "y" => ["z"]).unwrap();
        assert!(model.evaluate(&other).unwrap_err().to_string().contains("class `z`"));
    }
}

#[test]
fn folds_and_parameters_are_checked() {
    let df = df!("x" => [1, 2, 3, 4], "y" => ["a", "b", "a", "b"]).unwrap();
    let error = cross_validate(&GaussianNb::new(), &df, "y", 3).unwrap_err().to_string();
    assert!(error.contains("rarest class has 2 rows, fewer than 3 folds"), "{error}");
    assert!(RandomForest::new().with_n_estimators(0).fit(&df, "y").is_err());
    assert!(
        KNeighbors::new()
            .with_n_neighbors(9)
            .fit(&df, "y")
            .unwrap_err()
            .to_string()
            .contains("n_neighbors is 9")
    );
    assert!(KMeans::new().with_n_clusters(9).fit(&df).is_err());
    assert!(Pca::new().with_n_components(9).fit(&df).is_err());
    assert!(LogisticRegression::new().with_c(f64::NAN).fit(&df, "y").is_err());
}

#[test]
fn an_identifier_is_not_one_hot_encoded() {
    let ids: Vec<String> = (0..1200).map(|i| i.to_string()).collect();
    let y: Vec<bool> = (0..1200).map(|i| i % 2 == 0).collect();
    let df = df!("id" => ids, "y" => y).unwrap();
    let error = LogisticRegression::new().fit(&df, "y").unwrap_err().to_string();
    assert!(error.contains("1200 different texts"), "{error}");
}
