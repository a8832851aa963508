//! Frames to spreadsheets and back.

use oxilab_data as data;
use polars::prelude::*;

/// Every kind of column that a cell can hold, with gaps.
fn table() -> DataFrame {
    let cast = |name: &str, values: [Option<i64>; 3], dtype: DataType| {
        Column::new(name.into(), values).cast(&dtype).unwrap()
    };
    // 2024-02-29 13:45:59.125, the last moment of a day, and 1900-01-01.
    let moments = [Some(1_709_214_359_125), Some(1_709_251_199_999), Some(-2_208_988_800_000)];
    DataFrame::new_infer_height(vec![
        Column::new("whole".into(), [Some(-7_i64), None, Some(8_999_999_999_999_999)]),
        Column::new("real".into(), [Some(0.1), Some(-2.5e-300), None]),
        Column::new("flag".into(), [Some(true), None, Some(false)]),
        Column::new("text".into(), [Some("=1+1"), None, Some("Größe, <b> & \"naïve\"\n2")]),
        cast("day", [Some(19_782), None, Some(-25_567)], DataType::Date),
        cast("moment", moments, DataType::Datetime(TimeUnit::Milliseconds, None)),
        cast("time", [Some(0), Some(86_399_999_000_000), None], DataType::Time),
        cast(
            "span",
            [Some(-1_500), None, Some(200_000_000)],
            DataType::Duration(TimeUnit::Milliseconds),
        ),
        Column::new("all text".into(), ["1", "2024-01-01", "true"]),
    ])
    .unwrap()
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.xlsx");
    let df = table();
    data::write(&df, &path).unwrap();
    let back = data::read(&path).unwrap();
    assert_eq!(back.get_column_names(), df.get_column_names());
    for (found, column) in back.columns().iter().zip(df.columns()) {
        // Microseconds are what the reader gives moments in.
        let found = found.cast(column.dtype()).unwrap();
        assert!(found.equals_missing(column), "{column:?} {found:?}");
    }
    let types: Vec<String> = back.dtypes().iter().map(ToString::to_string).collect();
    let expected =
        ["i64", "f64", "bool", "str", "date", "datetime[μs]", "time", "duration[ms]", "str"];
    assert_eq!(types, expected);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no file is left aside");
}

#[test]
fn types_without_a_cell_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.xlsx");
    let berlin = TimeZone::opt_try_new(Some("Europe/Berlin")).unwrap();
    let df = df!(
        "nan" => [1.5, f64::NAN], "small" => [1_u8, 2], "kind" => ["a", "b"],
        "at" => [1_719_835_200_000_i64, 1_719_835_200_000],
    )
    .unwrap();
    let casts = [
        ("kind", DataType::from_categories(Categories::global())),
        ("at", DataType::Datetime(TimeUnit::Milliseconds, berlin)),
    ];
    let mut df = df;
    df.with_column(Column::full_null("nothing".into(), 2, &DataType::Null)).unwrap();
    for (name, dtype) in casts {
        let column = df.column(name).unwrap().cast(&dtype).unwrap();
        df.with_column(column).unwrap();
    }
    data::write(&df, &path).unwrap();
    let back = data::read(&path).unwrap();
    assert_eq!(back.column("nan").unwrap().null_count(), 1);
    assert_eq!(back.column("small").unwrap().i64().unwrap().get(1), Some(2));
    assert_eq!(back.column("kind").unwrap().str().unwrap().get(1), Some("b"));
    assert_eq!(back.column("nothing").unwrap().null_count(), 2);
    // 12:00 UTC is 14:00 on Berlin's clocks.
    let at = back.column("at").unwrap().get(0).unwrap().to_string();
    assert_eq!(at, "2024-07-01 14:00:00");
}

#[test]
fn what_no_cell_holds_is_named_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.xlsx");
    data::write(&df!("x" => [1]).unwrap(), &path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let fails = |df: DataFrame, parts: &[&str]| {
        let error = data::write(&df, &path).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), before, "the old file stays");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    };
    fails(df!("x" => [1.0, f64::INFINITY]).unwrap(), &["\"x\": row 1 is inf", "replace"]);
    fails(df!("id" => [1_i64 << 53]).unwrap(), &["\"id\": row 0 is 9007199254740992", "text"]);
    let old = Column::new("born".into(), [0, -30_000]).cast(&DataType::Date).unwrap();
    fails(DataFrame::new_infer_height(vec![old]).unwrap(), &["\"born\": row 1 is 1887", "1900"]);
    let list = Series::new("l".into(), [Series::new("".into(), [1, 2])]).into_column();
    fails(
        DataFrame::new_infer_height(vec![list]).unwrap(),
        &["\"l\": no cell holds list[i32]", "text"],
    );
    let long = "x".repeat(32_768);
    fails(df!("t" => ["a", long.as_str()]).unwrap(), &["\"t\": row 1", "32,767"]);
    let rows = Column::new("x".into(), vec![1_u8; 1_048_576]);
    fails(
        DataFrame::new_infer_height(vec![rows]).unwrap(),
        &["1048576 rows", "1048575 rows below the names", "parquet"],
    );
    let wide = (0..16_385).map(|i| Column::new(format!("c{i}").into(), [1])).collect();
    fails(DataFrame::new_infer_height(wide).unwrap(), &["16385 columns", "16384"]);
    let error = data::write(&df!("x" => [1]).unwrap(), folder.path().join("t.xls")).unwrap_err();
    assert!(error.to_string().contains("unknown extension \"xls\""), "{error}");
}

#[test]
fn a_sheet_as_large_as_they_get() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.xlsx");
    let rows = Column::new("x".into(), (0..1_048_575).collect::<Vec<i32>>());
    data::write(&DataFrame::new_infer_height(vec![rows]).unwrap(), &path).unwrap();
    let back = data::read(&path).unwrap();
    assert_eq!(back.height(), 1_048_575);
    assert_eq!(back.column("x").unwrap().i64().unwrap().get(1_048_574), Some(1_048_574));
}
