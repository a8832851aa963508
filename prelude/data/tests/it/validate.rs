//! Validation: every expectation held and broken.

use oxilab_data::datasets;
use oxilab_data::expect::{Report, Statistic, Suite, expect};
use oxilab_display::Render;
use polars::prelude::*;

fn frame() -> DataFrame {
    df!(
        "id" => [1, 2, 3, 4],
        "x" => [Some(1.0), None, Some(3.0), Some(f64::NAN)],
        "word" => [Some("ab"), Some("abc"), None, Some("b")],
        "fall" => [9, 7, 7, 1],
    )
    .unwrap()
}

#[test]
fn expectations_that_hold() {
    let df = frame();
    let other = df!("key" => [1, 2, 3, 4, 5]).unwrap();
    let report = expect(&df)
        .columns(["id", "x", "word", "fall"])
        .column("x")
        .rows(1, 4)
        .dtype("id", "i32")
        .not_null("id")
        .not_null("x")
        .mostly(0.5)
        .unique("id")
        .unique_together(["id", "fall"])
        .between("id", 1.0, 4.0)
        .one_of("word", ["ab", "abc", "b"])
        .none_of("word", ["z"])
        .matches("word", "^[abc]+$")
        .matches_not("word", "z")
        .length("word", 1, 3)
        .increasing("id")
        .decreasing("fall")
        .statistic("id", Statistic::Median, 2.5, 2.5)
        .distinct("fall", 3, 3)
        .same_shares("word", [("ab", 10), ("abc", 10), ("b", 10)], 0.05)
        .references("id", &other, "key")
        .unwrap()
        .row("falls to its number", col("fall").gt_eq(lit(1)))
        .custom("nothing fails", |_| Ok(vec![]))
        .run()
        .unwrap();
    assert!(report.passed() && report.warned() == 0, "{report}");
    assert_eq!(report.outcomes.len(), 22);
    assert!(report.check().is_ok());
}

#[test]
fn expectations_that_are_broken_name_rows_and_values() {
    let df = frame();
    let other = df!("key" => [1, 2]).unwrap();
    let report = expect(&df)
        .columns(["id"])
        .column("y")
        .rows(5, 9)
        .dtype("id", "str")
        .not_null("x")
        .unique("fall")
        .between("x", 2.0, 4.0)
        .one_of("word", ["ab"])
        .none_of("word", ["b"])
        .matches("word", "^a")
        .matches_not("word", "c")
        .length("word", 2, 2)
        .increasing("fall")
        .decreasing("id")
        .statistic("id", Statistic::Mean, 3.0, 4.0)
        .distinct("fall", 4, 9)
        .same_shares("word", [("ab", 10)], 0.05)
        .references("id", &other, "key")
        .unwrap()
        .row("is small", col("id").lt(lit(3)))
        .custom("row 2 fails", |_| Ok(vec![2]))
        .not_null("gone")
        .between("word", 0.0, 1.0)
        .run()
        .unwrap();
    let held: Vec<&str> =
        report.outcomes.iter().filter(|o| o.passed).map(|o| o.expectation.as_str()).collect();
    assert!(held.is_empty(), "{held:?}");
    let text = report.to_string();
    for part in [
        "✗ \"x\" is never missing: 2 of 4 rows (50.0 %) fail, row 1: missing, row 3: missing",
        "✗ \"fall\" is unique: 2 of 4 rows (50.0 %) fail, row 1: 7, row 2: 7",
        "row 0: 1, row 3: NaN",
        "row 1: \"abc\"",
        "there is no column \"gone\"",
        "class \"abc\" is not in the reference",
        "✗ is small: 2 of 4 rows (50.0 %) fail, row 2, row 3",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let html = report.render().data["text/html"].as_str().unwrap().to_owned();
    assert!(html.contains("✗") && !html.contains("<script"), "{html}");
    assert!(report.check().unwrap_err().to_string().contains("22 of 22 expectations are broken"));
}

#[test]
fn warnings_do_not_fail_and_shifts_are_seen() {
    let reference: Vec<f64> = (0..500).map(|i| f64::from(i % 100)).collect();
    let df = df!("x" => reference.iter().map(|x| x + 40.0).collect::<Vec<_>>()).unwrap();
    let report = expect(&df)
        .stable("x", &reference, 0.1)
        .warn()
        .same_distribution("x", &reference, 0.01)
        .warn()
        .row("never", lit(false))
        .warn()
        .row("half", col("x").gt_eq(lit(90.0)))
        .mostly(0.4)
        .run()
        .unwrap();
    assert!(report.passed() && report.warned() == 3, "{report}");
    let same = df!("x" => &reference).unwrap();
    let report = expect(&same)
        .stable("x", &reference, 0.1)
        .same_distribution("x", &reference, 0.01)
        .run()
        .unwrap();
    assert!(report.passed() && report.warned() == 0, "{report}");
    assert!(
        expect(&same).matches("x", "(").run().unwrap_err().to_string().contains("pattern \"(\"")
    );
}

#[test]
fn a_suite_is_inferred_saved_and_loaded() {
    let iris = datasets::iris().unwrap();
    let suite = Suite::infer(&iris).unwrap();
    let suite = Suite::from_json(&suite.to_json().unwrap()).unwrap();
    assert!(suite.run(&iris).unwrap().passed());
    let words = suite.render().plain().to_owned();
    assert!(words.contains("\"species\" is one of setosa, versicolor, virginica"), "{words}");
    assert!(words.contains("\"petal_width\" is between 0 and 2.74 (warning)"), "{words}");
    let bad = iris.lazy().with_column(lit("rose").alias("species")).collect().unwrap();
    let report = suite.run(&bad).unwrap();
    assert_eq!(report.failed(), 1, "{report}");
    let text = report.to_json().unwrap();
    assert!(text.contains("rose"));
    assert_eq!(Report::from_json(&text).unwrap(), report);
    let cut = Report::from_json(&text[..text.len() / 2]).unwrap_err().to_string();
    assert!(cut.contains("loading a report") && cut.contains("line"), "{cut}");
    assert!(Suite::from_json("{").unwrap_err().to_string().contains("line 1"));
}

#[test]
fn times_pairs_sets_and_quantiles_are_expected_too() {
    let days = ["2024-01-31", "2024-02-01", "2031-01-01"].map(|day| day.parse().unwrap());
    let when = DateChunked::from_naive_date("when".into(), days).into_series().into_column();
    let mut df = df!(
        "text" => ["31.01.2024", "30.02.2024", "x"],
        "low" => [1.0, 2.0, 9.0], "high" => [2.0, 2.0, 3.0],
        "none" => [None::<i32>, None, None], "some" => [None, Some(1), None],
    )
    .unwrap();
    df.with_column(when).unwrap();
    let held = expect(&df)
        .null("none")
        .during("when", "2024-01-31", "2031-01-01 00:00:00")
        .date_format("text", "%d.%m.%Y")
        .mostly(0.3)
        .at_least("high", "low")
        .mostly(0.6)
        .contains("low", ["1.0", "9.0"])
        .quantile("low", 0.5, 2.0, 2.0)
        .run()
        .unwrap();
    assert!(held.passed(), "{held}");
    let broken = expect(&df)
        .null("some")
        .during("when", "2024-02-01", "2024-12-31")
        .during("low", "2024-02-01", "2024-12-31")
        .date_format("text", "%d.%m.%Y")
        .at_least("high", "low")
        .contains("text", ["y"])
        .quantile("low", 0.5, 3.0, 4.0)
        .run()
        .unwrap();
    assert_eq!(broken.failed(), 7, "{broken}");
    for part in [
        "row 1: 1",
        "row 0: 2024-01-31, row 2: 2031-01-01",
        "row 1: \"30.02.2024\", row 2: \"x\"",
        "row 2: 3 and 9",
        "y not there",
    ] {
        assert!(broken.to_string().contains(part), "{part} in {broken}");
    }
    let suite = Suite::new().during("when", "yesterday", "2024-01-01");
    assert!(suite.run(&df).unwrap_err().to_string().contains("2024-01-31"), "how to write it");
}

#[test]
fn rows_are_counted_over_many_pieces() {
    let n = 200_000_i32;
    let df = df!(
        "i" => (0..n).collect::<Vec<_>>(),
        "bad" => (0..n).map(|i| if i % 70_000 == 69_999 { -1 } else { i }).collect::<Vec<_>>(),
        "twice" => (0..n).map(|i| i / 2).collect::<Vec<_>>(),
    )
    .unwrap();
    let report = expect(&df)
        .unique("i")
        .unique("twice")
        .between("bad", 0.0, 1e9)
        .increasing("bad")
        .run()
        .unwrap();
    let failing: Vec<usize> = report.outcomes.iter().map(|outcome| outcome.failing).collect();
    assert_eq!(failing, [0, 200_000, 2, 2]);
    let rows: Vec<usize> = report.outcomes[2].examples.iter().map(|(row, _)| *row).collect();
    assert_eq!(rows, [69_999, 139_999], "in the order of rows");
}
