//! Bad input gives an error that says what is wrong, never a panic.

use oxilab_data::DataFrameExt as _;
use oxilab_model::*;
use polars::prelude::*;

fn learners() -> Vec<Box<dyn Estimator>> {
    vec![
        Box::new(LogisticRegression::new()),
        Box::new(KNeighbors::new().with_n_neighbors(2)),
        Box::new(GaussianNb::new()),
        Box::new(RandomForest::new().with_n_estimators(3)),
        Box::new(LightGbm::new().with_n_estimators(3)),
        Box::new(XgBoost::new().with_n_estimators(3)),
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
    let missing = fit(vec![1.0, f64::NAN, 2.0, 3.0]);
    assert!(missing.contains("1 of 4 values are missing"));
    // The line it gives, and that the line works.
    let advice =
        "`let df = df.filter_expr(col(\"y\").is_not_null().and(col(\"y\").is_not_nan()))?;`";
    assert!(missing.ends_with(advice), "{missing}");
    let df =
        df!("x" => [1, 2, 3, 4, 5], "y" => [Some(1.0), Some(f64::NAN), None, Some(2.0), Some(4.0)]);
    let df = df.unwrap();
    assert!(Ridge::new().fit(&df, "y").is_err());
    let df = df.filter_expr(col("y").is_not_null().and(col("y").is_not_nan())).unwrap();
    assert_eq!(df.height(), 3);
    Ridge::new().fit(&df, "y").unwrap();
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
    assert!(
        error.contains("3 folds need as many rows of class") && error.contains("there are 2"),
        "{error}"
    );
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

/// 100,000 columns of numbers, a class and a number.
fn very_wide() -> DataFrame {
    let rows = 24;
    let value = |row: usize, col: usize| ((row * 7919 + col * 104_729) % 1009) as f64 / 1009.0;
    let mut columns: Vec<Column> = (0..100_000)
        .map(|col| {
            let values: Vec<f64> = (0..rows).map(|row| value(row, col)).collect();
            Column::new(format!("x{col}").into(), values)
        })
        .collect();
    let classes: Vec<&str> = (0..rows).map(|row| ["a", "b"][row % 2]).collect();
    columns.push(Column::new("class".into(), classes));
    columns.push(Column::new("number".into(), (0..rows).map(|row| row as f64).collect::<Vec<_>>()));
    DataFrame::new(rows, columns).unwrap()
}

#[test]
fn a_hundred_thousand_columns_are_learned_from() {
    let df = very_wide();
    let (classes, numbers) = (df.drop("number").unwrap(), df.drop("class").unwrap());
    let classifiers: Vec<Box<dyn Estimator>> = vec![
        Box::new(LogisticRegression::new().with_max_iter(5)),
        Box::new(KNeighbors::new()),
        Box::new(GaussianNb::new()),
        Box::new(RandomForest::new().with_n_estimators(3)),
        Box::new(LightGbm::new().with_n_estimators(2).with_param("enable_bundle", false)),
        Box::new(XgBoost::new().with_n_estimators(2)),
    ];
    for learner in classifiers {
        let model = learner.fit(&classes, "class").unwrap();
        assert_eq!(model.predict(&classes).unwrap().len(), 24, "{}", learner.name());
    }
    let regressors: Vec<Box<dyn Estimator>> = vec![
        Box::new(LinearRegression::new()),
        Box::new(Ridge::new()),
        Box::new(Lasso::new().with_max_iter(3)),
    ];
    for learner in regressors {
        let model = learner.fit(&numbers, "number").unwrap();
        assert_eq!(model.predict(&numbers).unwrap().len(), 24, "{}", learner.name());
    }
    let inputs = numbers.drop("number").unwrap();
    let pca = Pca::new().with_n_components(2).fit(&inputs).unwrap();
    assert_eq!(pca.transform(&inputs).unwrap().shape(), (24, 2));
    assert!(KMeans::new().with_n_clusters(2).fit(&inputs).is_ok());
}

#[test]
fn wide_frames_give_the_coefficients_of_the_definition() {
    // Twice the same column: the least norm shares its coefficient between the two.
    let x = [1.0, 2.0, 4.0];
    let df = df!("a" => x, "b" => x, "c" => x, "d" => x, "y" => [2.0, 4.0, 8.0]).unwrap();
    let model = LinearRegression::new().fit(&df, "y").unwrap();
    let table = model.coefficients().unwrap();
    for value in table.column("coefficient").unwrap().f64().unwrap().iter().skip(1) {
        assert!((value.unwrap() - 0.5).abs() < 1e-9, "{table}");
    }
    // Ridge over rows is ridge over features: n < p here, n > p with the rows given five times.
    let wide = Ridge::new().with_standardize(false).with_alpha(1.0).fit(&df, "y").unwrap();
    let five: Vec<DataFrame> = vec![df.clone(); 5];
    let long = five.into_iter().reduce(|all, part| all.vstack(&part).unwrap()).unwrap();
    let long = Ridge::new().with_standardize(false).with_alpha(5.0).fit(&long, "y").unwrap();
    let of = |model: &FittedModel| -> Vec<f64> {
        let table = model.coefficients().unwrap();
        table.column("coefficient").unwrap().f64().unwrap().iter().flatten().collect()
    };
    for (a, b) in of(&wide).iter().zip(of(&long)) {
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }
}

#[test]
fn a_class_of_one_row_is_refused_before_anything_is_fitted() {
    let x: Vec<i32> = (0..100).collect();
    let y: Vec<&str> = (0..100).map(|i| if i == 7 { "rare" } else { "usual" }).collect();
    let error = baseline(&df!("x" => x, "y" => y).unwrap(), "y").unwrap_err().to_string();
    assert!(error.starts_with("class `rare` has one row;"), "{error}");
}

#[test]
fn rows_that_differ_in_a_column_left_out_are_no_duplicates() {
    let days: Vec<i32> = (0..100).collect();
    let x: Vec<i32> = (0..100).map(|i| i % 2).collect();
    let y: Vec<f64> = (0..100).map(|i| f64::from(i % 4)).collect();
    let df = df!("day" => days, "x" => x, "y" => y).unwrap();
    let dated = df.with_columns([col("day").cast(DataType::Date)]).unwrap();
    let warned = |df: &DataFrame| {
        let found = baseline(df, "y").unwrap();
        found.warnings.iter().any(|warning| warning.contains("duplicates"))
    };
    assert!(!warned(&dated));
    assert!(warned(&df.drop("day").unwrap()));
}

#[test]
fn few_rows_are_not_calibrated_by() {
    let x: Vec<f64> = (0..20).map(f64::from).collect();
    let y: Vec<&str> = (0..20).map(|i| if i % 3 == 0 { "a" } else { "b" }).collect();
    let df = df!("x" => x, "y" => y).unwrap();
    let model = LogisticRegression::new().fit(&df, "y").unwrap();
    let error = calibrate(&model, &df.head(Some(2)), Calibration::Platt).unwrap_err().to_string();
    assert!(
        error.contains("1 rows of one of the classes") && error.contains("at least 5"),
        "{error}"
    );
    assert!(calibrate(&model, &df, Calibration::Platt).is_ok());
}

#[test]
fn options_are_taken_with_and_without_some() {
    let x: Vec<f64> = (0..40).map(f64::from).collect();
    let df = df!("x" => x.clone(), "y" => x).unwrap();
    let params = |learner: &dyn Estimator| {
        learner.fit(&df, "y").unwrap();
        learner.params()["max_depth"].clone()
    };
    assert_eq!(params(&RandomForest::new().with_max_depth(4)), 4);
    assert_eq!(params(&RandomForest::new().with_max_depth(Some(4))), 4);
    assert_eq!(params(&XgBoost::new().with_max_depth(4).with_num_threads(1)), 4);
    assert_eq!(params(&XgBoost::new().with_max_depth(Some(4))), 4);
    assert!(params(&XgBoost::new().with_max_depth(None)).is_null());
    assert_eq!(params(&LightGbm::new().with_max_depth(4).with_early_stopping(None)), 4);
}
