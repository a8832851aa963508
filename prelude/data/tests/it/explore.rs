//! Profiles: what they say of a frame with known faults.

use oxilab_data::{Profiler, datasets, profile, stats};
use polars::prelude::*;

#[test]
fn duplicates_many_categories_and_the_target_are_named() {
    let n = 400_usize;
    let mut df = df!(
        "street" => (0..n).map(|i| format!("street {}", i * 7 % 190)).collect::<Vec<_>>(),
        "colour" => (0..n).map(|i| ["red", "green", "blue"][i * 5 % 3]).collect::<Vec<_>>(),
        "taste" => (0..n).map(|i| ["sweet", "sour", "bitter"][i * 5 % 3]).collect::<Vec<_>>(),
        "size" => (0..n).map(|i| (i * 31 % 97) as f64).collect::<Vec<_>>(),
    )
    .unwrap();
    df = df.vstack(&df.head(Some(50))).unwrap();
    let found = Profiler::new().with_target("taste").run(&df).unwrap();
    // Rows repeat after 190 * 97 * 3, so the 50 that were added are all there is.
    assert_eq!(found.duplicate_rows, 50);
    let has = |kind: &str, column: &str| {
        found.alerts.iter().any(|alert| alert.kind == kind && alert.column == column)
    };
    assert!(found.alerts.iter().any(|alert| alert.kind == "duplicates"), "{found}");
    assert!(has("high cardinality", "street"), "{found}");
    assert!(has("leak suspect", "colour"), "{found}");
    let target = found.target.as_ref().unwrap();
    let strength =
        |column: &str| target.relations.iter().find(|relation| relation.column == column).unwrap();
    assert!((strength("colour").strength - 1.0).abs() < 1e-9);
    assert_eq!(strength("colour").measure, "Cram\u{e9}r's V");
    assert!(strength("size").strength < 0.3);
    // The matrix of classes is the statistic itself.
    let classes = &found.correlations.classes;
    let place = |name: &str| classes.iter().position(|other| other == name).unwrap();
    let (a, b) = (place("colour"), place("taste"));
    let codes: Vec<u32> = (0..450_u32).map(|i| (i % 400) * 5 % 3).collect();
    let expected = stats::cramers_v(&codes, &codes);
    let v = found.correlations.cramers_v[a * classes.len() + b];
    assert!((v - expected).abs() < 1e-9, "{v} and not {expected}");
    let wrong = Profiler::new().with_target("tase").run(&df).unwrap_err().to_string();
    assert!(wrong.contains("did you mean \"taste\"?"), "{wrong}");
}

#[test]
fn every_kind_of_column_has_a_profile() {
    let df = df!(
        "when" => [1, 2, 3], "text" => [Some("a"), None, Some("b")], "flag" => [true, false, true],
        "none" => [None::<i32>, None, None], "number" => [f64::NAN, f64::INFINITY, 1.0],
    )
    .unwrap();
    let list = Series::new(
        "list".into(),
        [Series::new("".into(), [1]), Series::new("".into(), [2]), Series::new("".into(), [3])],
    );
    let df =
        df.lazy().with_columns([col("when").cast(DataType::Date), lit(list)]).collect().unwrap();
    let found = profile(&df).unwrap();
    assert_eq!(found.columns.len(), 6);
    assert_eq!(found.column("none").unwrap().missing, 3);
    assert_eq!(found.column("number").unwrap().numbers.as_ref().unwrap().infinite, 1);
    let iris = profile(&datasets::iris().unwrap()).unwrap();
    assert_eq!(iris.column("species").unwrap().top.len(), 3);
}
