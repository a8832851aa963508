//! Pipelines: what they learn from, refuse, save and load.

use oxilab_data::{
    Custom, DataFrameExt, DateParts, FittedPipeline, Imputer, OneHotEncoder, Pipeline, Select,
    StandardScaler, TargetEncoder, c, datasets, train_test_split,
};
use oxilab_display::Render;
use polars::prelude::*;

#[test]
fn fitting_never_sees_test_rows() {
    let train = df!("x" => [0.0, 2.0], "c" => ["a", "b"]).unwrap();
    let test = df!("x" => [100.0, 300.0], "c" => ["b", "new"]).unwrap();
    let fitted = Pipeline::new()
        .with(StandardScaler::new("x"))
        .with(OneHotEncoder::new("c"))
        .fit(&train)
        .unwrap();
    let out = fitted.transform(&test).unwrap();
    assert_eq!(out.column("x").unwrap().f64().unwrap().get(0), Some(99.0));
    let names: Vec<&str> = out.get_column_names().iter().map(|n| n.as_str()).collect();
    assert_eq!(names, ["x", "c_a", "c_b"]);
    assert_eq!(out.column("c_b").unwrap().u8().unwrap().get(1), Some(0));
}

#[test]
fn frames_that_differ_are_refused_with_every_reason() {
    let train = df!("a" => [1.0, 2.0], "b" => [1, 2], "y" => [0, 1]).unwrap();
    let fitted =
        Pipeline::new().with(StandardScaler::new("a")).with_target("y").fit(&train).unwrap();
    let other = df!("b" => ["1"], "z" => [1]).unwrap();
    let error = fitted.transform(&other).unwrap_err().to_string();
    for part in [
        "column \"a\" (f64) is missing",
        "column \"b\" is str and was i32",
        "column \"z\" is extra",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert!(!error.contains("\"y\""), "{error}");
    // The order of columns does not matter.
    let turned = df!("b" => [7], "a" => [1.5]).unwrap();
    assert_eq!(
        fitted.transform(&turned).unwrap().column("a").unwrap().f64().unwrap().get(0),
        Some(0.0)
    );
}

#[test]
fn selectors_leave_the_target_alone() {
    let train = df!(
        "a" => [1.0, 2.0, 3.0, 4.0], "k" => ["u", "v", "u", "v"], "y" => [10.0, 20.0, 30.0, 40.0],
    )
    .unwrap();
    let pipeline = Pipeline::new()
        .with_target("y")
        .with(StandardScaler::new(Select::Numeric))
        .with(TargetEncoder::new(Select::All.except(["a"]), "y").with_folds(2));
    let (fitted, ready) = pipeline.fit_transform(&train).unwrap();
    assert!(ready.column("y").unwrap().equals(train.column("y").unwrap()));
    let new = fitted.transform(&train.drop("y").unwrap()).unwrap();
    assert_eq!(new.get_column_names(), ["a", "k"]);
    assert_eq!(new.column("k").unwrap().dtype(), &DataType::Float64);
    // A target that is not in the training frame is the step's error, not a silent pass.
    let error = pipeline.fit(&train.drop("y").unwrap()).unwrap_err().to_string();
    assert!(error.contains("no column \"y\""), "{error}");
}

#[test]
fn a_saved_pipeline_loads_and_gives_the_same_numbers() {
    let df = datasets::wine().unwrap();
    let (train, test) = train_test_split(&df, 0.3, 1).unwrap();
    let log = Custom::new("log", |df| Ok(df.with_columns([c!(proline).log(lit(10.0))])?));
    let fitted = Pipeline::new()
        .with(log.clone())
        .with(Imputer::new(Select::Numeric))
        .with(StandardScaler::new(Select::Numeric))
        .with(TargetEncoder::new("cultivar", "alcohol"))
        .fit(&train)
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipeline.json");
    fitted.save(&path).unwrap();
    let loaded = FittedPipeline::load(&path).unwrap();
    assert_eq!(loaded.hash().unwrap(), fitted.hash().unwrap());
    let error = loaded.transform(&test).unwrap_err().to_string();
    assert!(error.contains("with_custom"), "{error}");
    let loaded = loaded.with_custom(&log);
    assert!(loaded.transform(&test).unwrap().equals(&fitted.transform(&test).unwrap()));
    assert!(loaded.render().plain().contains("3. StandardScaler"), "{}", loaded.render().plain());

    let damaged = std::fs::read_to_string(&path).unwrap().replacen("1.", "2.", 1);
    std::fs::write(&path, damaged).unwrap();
    let error = FittedPipeline::load(&path).unwrap_err().to_string();
    assert!(error.contains("does not match its hash"), "{error}");
}

#[test]
fn dates_become_numbers() {
    let days = ["2024-02-29", "2023-12-31"].map(|day| day.parse().unwrap());
    let days = DateChunked::from_naive_date("day".into(), days).into_series();
    let df = DataFrame::new_infer_height(vec![days.into_column()]).unwrap();
    let out = Pipeline::new()
        .with(DateParts::new("day").with_cycles())
        .fit(&df)
        .unwrap()
        .transform(&df)
        .unwrap();
    let of = |name: &str, row| out.column(name).unwrap().i32().unwrap().get(row).unwrap();
    assert_eq!((of("day_year", 0), of("day_month", 0), of("day_day", 0)), (2024, 2, 29));
    assert_eq!((of("day_weekday", 0), of("day_weekday", 1), of("day_day_of_year", 1)), (4, 7, 365));
    assert!(out.column("day").is_err() && out.column("day_year_sin").is_ok());
}

#[test]
fn steps_say_what_is_wrong_with_their_columns() {
    let df = df!("x" => [f64::INFINITY, 1.0], "s" => ["a", "b"]).unwrap();
    let fit = |pipeline: Pipeline| pipeline.fit(&df).unwrap_err().to_string();
    assert!(fit(Pipeline::new().with(StandardScaler::new("x"))).contains("\"x\" holds inf"));
    assert!(fit(Pipeline::new().with(StandardScaler::new("s"))).contains("needs numbers"));
    assert!(fit(Pipeline::new().with(StandardScaler::new("y"))).contains("no column \"y\""));
    assert!(fit(Pipeline::new().with(DateParts::new("s"))).contains("needs dates"));
}
