//! What a small body may cost. A test alone in its process, for its peak is what counts.

use oxilab_model::{FittedModel, LogisticRegression};
use oxilab_serve::body;
use polars::prelude::df;
use serde_json::{Map, Value, json};

const ROWS: usize = 4_000;

fn model() -> FittedModel {
    let train = df!(
        "age" => (0..100).map(f64::from).collect::<Vec<_>>(),
        "old" => (0..100).map(|age| age > 50).collect::<Vec<_>>(),
    );
    LogisticRegression::new().fit(&train.unwrap(), "old").unwrap()
}

/// Peak resident bytes of this process.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Cells for each pair of a row and a column would be 16 million, of 16 to 72 bytes each.
#[test]
fn columns_that_nobody_reads_cost_no_memory() {
    let model = model();
    let schema = model.schema();
    let row = |row: usize| {
        let pairs = [("age".to_owned(), json!(row)), (format!("a{row}"), json!(0))];
        Value::Object(Map::from_iter(pairs))
    };
    let rows: Vec<Value> = (0..ROWS).map(row).collect();
    let without: Vec<Value> = (0..ROWS).map(|row| json!({format!("a{row}"): 0})).collect();
    let names: Vec<String> = (0..ROWS).map(|column| format!("a{column}")).collect();
    let csv = format!("age,{}\n{}", names.join(","), "1\n".repeat(ROWS));
    let mut uneven = vec![json!([])];
    uneven.resize(ROWS, json!([]));
    uneven[0] = json!(vec![0; ROWS]);
    assert!(csv.len() < 64 << 10);

    // What the libraries take at their first use is theirs.
    body::predict(json!([{"age": 1}]), schema, ROWS).unwrap();
    let before = peak();
    let (frame, _) = body::predict(Value::Array(rows.clone()), schema, ROWS).unwrap();
    assert_eq!(frame.shape(), (ROWS, 1));
    let error = body::predict(Value::Array(rows), schema, ROWS - 1).unwrap_err();
    assert_eq!(error.status(), 413, "{error}");
    let error = body::predict(Value::Array(without), schema, ROWS).unwrap_err();
    assert!(error.to_string().contains("it is missing; the request has a0, a1, "), "{error}");
    assert!(error.to_string().ends_with(", a19 and 3980 more"), "{error}");
    assert_eq!(body::csv(csv.as_bytes(), schema, ROWS).unwrap().shape(), (ROWS, 1));
    let error = body::predict(Value::Array(uneven), schema, ROWS).unwrap_err();
    assert!(error.to_string().contains("row 1 has 0 values, row 0 has 4000"), "{error}");
    let grown = peak() - before;
    assert!(grown < 64 << 20, "{grown} bytes");
}
