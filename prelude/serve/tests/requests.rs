//! Bodies of requests, signatures, drift and references, with a real model.

use oxilab_data::{DateParts, Pipeline, StandardScaler, TfidfVectorizer};
use oxilab_model::{FittedModel, LogisticRegression, PipelineExt as _};
use oxilab_serve::{
    Drift, Predictor, ServeError, Signature, body, drift, infer_request, infer_response,
    load_reference, resolve, save_reference,
};
use polars::prelude::*;
use serde_json::{Value, json};

const LIMIT: usize = 1000;

fn train() -> DataFrame {
    let rows = 0..200_i32;
    df!(
        "age" => rows.clone().map(|i| f64::from(i % 50 + 20)).collect::<Vec<_>>(),
        "income" => rows.clone().map(|i| (i % 10 != 0).then(|| f64::from((i * 7) % 90))).collect::<Vec<_>>(),
        "plan" => rows.clone().map(|i| ["basic", "plus", "pro"][(i % 3) as usize]).collect::<Vec<_>>(),
        "member" => rows.clone().map(|i| i % 4 == 0).collect::<Vec<_>>(),
        "churn" => rows.map(|i| if (i % 50) > 25 { "yes" } else { "no" }).collect::<Vec<_>>(),
    )
    .unwrap()
}

fn model() -> FittedModel {
    LogisticRegression::new().fit(&train(), "churn").unwrap()
}

fn frame(value: Value) -> Result<DataFrame, ServeError> {
    body::invocations(value, model().schema(), LIMIT)
}

fn blamed(error: &ServeError, field: &str) {
    assert_eq!(error.status(), 422, "{error}");
    assert_eq!(error.blamed(), Some(field), "{error}");
}

#[test]
fn all_forms_of_invocations_are_the_same_frame() {
    let columns = json!(["plan", "age", "income", "member"]);
    let split = json!({"dataframe_split": {"columns": columns, "index": [0, 1],
        "data": [["pro", 30, null, true], ["basic", 60.5, 10, 0]]}});
    let first = json!({"age": 30, "income": null, "plan": "pro", "member": true, "more": 1});
    let second = json!({"plan": "basic", "member": false, "age": 60.5, "income": 10});
    let records = json!({"dataframe_records": [first, second]});
    let instances = json!({"instances": [[30, null, "pro", true], [60.5, 10, "basic", false]]});
    let named = json!({"instances": [first, second]});
    let inputs = json!({"inputs": {"age": [[30], [60.5]], "income": [null, 10],
        "plan": ["pro", "basic"], "member": [true, false]}});
    let expected = df!("age" => [30.0, 60.5], "income" => [None, Some(10.0)],
        "plan" => ["pro", "basic"], "member" => [true, false])
    .unwrap();
    for value in [split, records, instances, named, inputs] {
        let found = frame(value.clone()).unwrap();
        assert!(found.equals_missing(&expected), "{value} is {found}");
    }
    let text = b"more,member,age,income,plan\nx,true,30,,pro\ny,FALSE,60.5,10,basic\n";
    let found = body::csv(text, model().schema(), LIMIT).unwrap();
    assert!(found.equals_missing(&expected), "{found}");
}

#[test]
fn wrong_values_name_the_field() {
    let row = |age: Value, plan: Value| {
        json!({"dataframe_records": [
        {"age": age, "income": 1, "plan": plan, "member": true}]})
    };
    let error = frame(row(json!("old"), json!("pro"))).unwrap_err();
    blamed(&error, "age");
    assert!(error.to_string().contains("row 0: expected a number, found text \"old\""), "{error}");
    blamed(&frame(row(Value::Null, json!("pro"))).unwrap_err(), "age");
    blamed(&frame(row(json!(1), json!(["pro"]))).unwrap_err(), "plan");
    blamed(&frame(json!({"dataframe_records": [{"age": 1}]})).unwrap_err(), "income");
    blamed(&frame(json!({"instances": [[1, 2], [1]]})).unwrap_err(), "instances");
    blamed(&frame(json!({"instances": [[1, 2]]})).unwrap_err(), "plan");
    blamed(&frame(json!({"instances": []})).unwrap_err(), "instances");
    blamed(&frame(json!({"instances": [{"age": 1}, 2]})).unwrap_err(), "instances");
    blamed(&frame(json!({"inputs": {"age": [1, 2], "income": [1]}})).unwrap_err(), "income");
    blamed(
        &frame(json!({"dataframe_split": {"columns": ["age"]}})).unwrap_err(),
        "dataframe_split.data",
    );
    let whole = json!({"age": 1, "income": 2, "plan": "pro", "member": true});
    let part = json!({"age": 1, "plan": "pro", "member": true});
    for rows in [json!([whole, part]), json!([part, whole])] {
        blamed(&frame(json!({"dataframe_records": rows})).unwrap_err(), "income");
    }
    // A category the model does not know is found by the model itself.
    let unknown = frame(row(json!(1), json!("gold"))).unwrap();
    blamed(&Predictor::new(model()).unwrap().predict(&unknown).unwrap_err(), "plan");
}

#[test]
fn bodies_that_are_no_requests_are_refused() {
    for value in [json!([1]), json!({}), json!(null), json!({"inputs": [], "instances": []})] {
        assert_eq!(frame(value).unwrap_err().status(), 400);
    }
    assert_eq!(body::json(b"{\"a\": \xff}").unwrap_err().status(), 400);
    assert_eq!(body::json("[".repeat(100_000).as_bytes()).unwrap_err().status(), 400);
    assert_eq!(body::csv(b"\xff\xfe", model().schema(), LIMIT).unwrap_err().status(), 400);
    let many = json!({"inputs": {"age": vec![1; LIMIT + 1]}});
    assert_eq!(frame(many).unwrap_err().status(), 413);
}

#[test]
fn columns_that_the_model_does_not_know_are_named_where_one_is_missing() {
    let part = json!({"more": 1, "age": 1, "plan": "pro", "member": true});
    let error = frame(json!({"dataframe_records": [part, {"other": 2}]})).unwrap_err();
    assert_eq!(error.to_string(), "field `age`: row 1: it is missing");
    let other = json!({"member": true, "other": 2, "age": 1, "plan": "pro"});
    let error = frame(json!({"dataframe_records": [part, other]})).unwrap_err();
    let told = "field `income`: it is missing; the request has more, age, plan, member, other";
    assert_eq!(error.to_string(), told);
    let csv = |text: &str| body::csv(text.as_bytes(), model().schema(), LIMIT).unwrap_err();
    let error = csv("more,age,plan,member,other\n1,2,pro,true,3\n");
    assert_eq!(error.to_string(), told);
    let many = frame(json!({"dataframe_records": vec![part; LIMIT + 1]})).unwrap_err();
    assert_eq!(many.status(), 413, "{many}");
}

#[test]
fn csv_is_read_as_it_is_meant() {
    let read = |text: &str| body::csv(text.as_bytes(), model().schema(), LIMIT);
    let expected = df!("age" => [30.0, 60.0], "income" => [None, Some(10.0)],
        "plan" => ["pro, \"plus\"\nor so", "basic"], "member" => [true, false])
    .unwrap();
    let quoted = "\u{feff}\r\n\"more\",age,income,\"plan\",member\r\n\
        \"a, b\",\"30\",,\"pro, \"\"plus\"\"\nor so\",true\r\n\r\n,60,10,basic,False";
    assert!(read(quoted).unwrap().equals_missing(&expected));
    let short = "age,plan,member,income,more\n30,pro,true\n60,basic,false,10,x\n";
    let short = read(short).unwrap();
    assert_eq!((short.height(), short.column("income").unwrap().null_count()), (2, 1));
    let rows =
        |count: usize| "age,plan,member,income\n".to_owned() + &"1,pro,true,\n".repeat(count);
    assert_eq!(read(&rows(LIMIT)).unwrap().height(), LIMIT);
    let told = read(&rows(LIMIT + 2)).unwrap_err().to_string();
    assert!(told.contains("1002 rows, the limit is 1000"), "{told}");
    for wrong in
        ["", "\n", "age,plan,member,income\n1,\"pro", "age,plan,member,income\n1,p,true,,9\n"]
    {
        let error = read(wrong).unwrap_err();
        assert_eq!(error.status(), 400, "{wrong}: {error}");
        assert!(error.to_string().contains("not CSV: "), "{error}");
    }
}

#[test]
fn infinite_numbers_are_refused_in_csv_as_in_json() {
    let read = |number: &str| {
        let text = format!("age,income,plan,member\n30,{number},pro,true\n");
        body::csv(text.as_bytes(), model().schema(), LIMIT)
    };
    for number in ["inf", "-inf", "Infinity", "1e999", " -1e999"] {
        let error = read(number).unwrap_err();
        blamed(&error, "income");
        assert!(error.to_string().contains("row 0: expected a number"), "{error}");
    }
    for missing in ["", "nan", "NaN"] {
        assert_eq!(read(missing).unwrap().column("income").unwrap().null_count(), 1, "{missing}");
    }
}

#[test]
fn predict_takes_one_row_or_many() {
    let model = model();
    let read = |value| body::predict(value, model.schema(), LIMIT).unwrap();
    let named = json!({"age": 30, "income": 1, "plan": "pro", "member": true});
    let list = json!([30, 1, "pro", true]);
    let (one, single) = read(named.clone());
    assert!(single && one.height() == 1);
    for value in [json!({"features": named}), json!({"features": list})] {
        let (frame, single) = read(value);
        assert!(single && frame.equals(&one));
    }
    let (two, single) = read(json!({"features": [list, list]}));
    assert!(!single && two.height() == 2);

    let predictor = Predictor::new(model.clone()).unwrap();
    let answer = predictor.predict(&one).unwrap().typed(true);
    let expected = model.predict_proba(&one).unwrap();
    let no = expected.column("no").unwrap().f64().unwrap().get(0).unwrap();
    assert_eq!(answer["probabilities"]["no"], json!(no));
    let said = answer["prediction"].as_str().unwrap();
    assert_eq!(answer["probability"], answer["probabilities"][said]);
    assert_eq!(predictor.predict(&two).unwrap().mlflow()["predictions"], json!([said, said]));
}

#[test]
fn predict_takes_a_row_or_a_list_of_rows() {
    let model = model();
    let read = |value: Value| body::predict(value, model.schema(), LIMIT);
    let row = json!({"age": 30, "income": null, "plan": "pro", "member": true});
    let (batch, single) = read(json!([row, row])).unwrap();
    assert_eq!((batch.height(), single), (2, false));
    let (batch, single) = read(json!([[30, null, "pro", true]])).unwrap();
    assert_eq!((batch.height(), single), (1, false));
    let (one, single) = read(json!([30, null, "pro", true])).unwrap();
    assert_eq!((one.height(), single), (1, true));
    assert!(read(row).unwrap().1);
    read(json!([])).unwrap_err();
    assert_eq!(read(json!(7)).unwrap_err().status(), 400);
}

#[test]
fn open_inference_requests_and_answers() {
    let model = model();
    let tensor = |name: &str, kind: &str, data: Value| json!({"name": name, "datatype": kind, "shape": [2, 1], "data": data});
    let mut inputs = vec![
        tensor("age", "FP64", json!([30.0, 60.0])),
        tensor("income", "FP64", json!([[1.0], [2.0]])),
        tensor("plan", "BYTES", json!(["pro", "plus"])),
        tensor("member", "BOOL", json!([true, false])),
    ];
    let request = json!({"id": "7", "inputs": inputs});
    let frame = infer_request(&request, model.schema(), LIMIT).unwrap();
    let predictor = Predictor::new(model.clone()).unwrap();
    let predictions = predictor.predict(&frame).unwrap();
    let answer =
        infer_response(&predictions, model.schema(), "m", predictor.version(), request.get("id"));
    assert_eq!(answer["id"], "7");
    assert_eq!(answer["outputs"][0]["datatype"], "BYTES");
    assert_eq!(answer["outputs"][1]["shape"], json!([2, 2]));
    assert_eq!(answer["outputs"][1]["data"].as_array().unwrap().len(), 4);
    inputs[1]["shape"] = json!([3, 1]);
    let wrong = json!({"inputs": inputs});
    blamed(&infer_request(&wrong, model.schema(), LIMIT).unwrap_err(), "income");
    inputs[1]["shape"] = json!([2, 1]);
    for kind in ["BANANA", "BOOL", "INT64"] {
        inputs[1]["datatype"] = json!(kind);
        inputs[1]["data"] = json!([1.5, 2.0]);
        let wrong = json!({"inputs": inputs});
        blamed(&infer_request(&wrong, model.schema(), LIMIT).unwrap_err(), "income");
    }
    let names = Signature::new(model.schema()).v2("m", &["1".to_owned()]);
    assert_eq!(names["inputs"][2], json!({"name": "plan", "datatype": "BYTES", "shape": [-1]}));
    assert_eq!(
        Signature::new(model.schema()).row_schema()["properties"]["plan"]["enum"],
        json!(["basic", "plus", "pro"])
    );
}

#[test]
fn drift_is_found_where_it_is_and_only_there() {
    let same = train();
    assert!(!drift(&same, &same).unwrap().drifted());
    let mut moved = same.clone();
    let older = moved.column("age").unwrap().f64().unwrap() + 25.0;
    moved.with_column(older.into_column()).unwrap();
    let report = drift(&same, &moved).unwrap();
    assert_eq!(report.drifted_columns(), ["age"]);
    let age = &report.columns[0];
    assert_eq!((age.test.as_str(), age.wasserstein), ("ks", Some(25.0)));
    let pros = same.clone().lazy().with_column(lit("pro").alias("plan")).collect().unwrap();
    assert_eq!(drift(&same, &pros).unwrap().drifted_columns(), ["plan"]);
    let few = Drift::new().compare(&same, &moved.head(Some(20))).unwrap();
    assert!(!few.drifted() && few.columns[0].p_value.is_some());
    assert_eq!(report.to_frame().unwrap().height(), 5);
    assert!(drift(&same, &df!("other" => [1]).unwrap()).is_err());
}

#[test]
fn times_are_the_same_however_they_are_spelt() {
    let months: Vec<i64> = (0..12).map(|month| 1_704_067_200_000 + month * 2_678_400_000).collect();
    let millis = |from: usize| {
        let values: Vec<i64> = (0..240).map(|row| months[from + row % 6]).collect();
        Column::new("month".into(), values)
    };
    let clock = |column: &Column, unit: TimeUnit, zone: Option<&str>| {
        let zone = TimeZone::opt_try_new(zone).unwrap();
        let millis = column.cast(&DataType::Datetime(TimeUnit::Milliseconds, zone.clone()));
        millis.unwrap().cast(&DataType::Datetime(unit, zone)).unwrap()
    };
    let frame = |column: Column| DataFrame::new(240, vec![column]).unwrap();
    let spelt = |column: &Column, ending: &str| {
        let time = column.cast(&DataType::Datetime(TimeUnit::Milliseconds, None)).unwrap();
        let text = time.cast(&DataType::String).unwrap();
        let text = text.str().unwrap().iter().map(|text| {
            // 2024-01-01 00:00:00.000
            format!("{}{ending}", text.unwrap()[..19].replace(' ', "T"))
        });
        frame(Column::new("month".into(), text.collect::<Vec<_>>()))
    };
    for (unit, zone) in [
        (TimeUnit::Milliseconds, None),
        (TimeUnit::Microseconds, None),
        (TimeUnit::Nanoseconds, None),
        (TimeUnit::Microseconds, Some("UTC")),
    ] {
        let reference = frame(clock(&millis(0), unit, zone));
        for ending in ["Z", "", ".000", "+00:00"] {
            let report = drift(&reference, &spelt(&millis(0), ending)).unwrap();
            assert!(!report.drifted(), "{unit:?} {zone:?} {ending}: {report:?}");
            assert_eq!(report.columns[0].psi, Some(0.0), "{unit:?} {zone:?} {ending}");
            assert!(drift(&reference, &spelt(&millis(6), ending)).unwrap().drifted(), "{ending}");
        }
    }
    let days =
        frame(clock(&millis(0), TimeUnit::Milliseconds, None).cast(&DataType::Date).unwrap());
    let dates = days.column("month").unwrap().cast(&DataType::String).unwrap();
    assert!(!drift(&days, &frame(dates)).unwrap().drifted());
    assert!(!drift(&days, &spelt(&millis(0), "Z")).unwrap().drifted());
    let words = Column::new("month".into(), vec!["soon"; 240]);
    assert!(
        drift(&days, &frame(words)).unwrap().drifted(),
        "what is no time is a value of its own"
    );
}

#[test]
fn values_that_go_missing_are_drift() {
    let column = |keep: fn(i32) -> bool| {
        let values = (0..200).map(|i| keep(i).then(|| f64::from(i))).collect::<Vec<_>>();
        df!("x" => values, "y" => (0..200).collect::<Vec<_>>()).unwrap()
    };
    let (whole, holes) = (column(|_| true), column(|i| i % 5 > 1));
    let report = drift(&whole, &holes).unwrap();
    assert_eq!(report.drifted_columns(), ["x"], "{report:?}");
    let x = &report.columns[0];
    assert!(x.p_value.unwrap() > 0.9, "the values that are there are as they were: {x:?}");
    assert_eq!((x.missing, x.missing_before), (Some(0.4), Some(0.0)));
    // [[0, 200], [80, 120]] has chi-squared 100 with one degree of freedom, so p = erfc(sqrt(50)); Holm
    // takes three tests together.
    let p = x.missing_p.unwrap();
    assert!((p / (3.0 * 1.523_970_604_832_1e-23) - 1.0).abs() < 1e-6, "{p}");
    assert_eq!(report.columns[1].missing_p, None, "what misses nothing is no test");
    assert!(report.to_frame().unwrap().column("missing").is_ok());

    assert_eq!(drift(&holes, &whole).unwrap().drifted_columns(), ["x"], "either way");
    assert!(!drift(&holes, &holes).unwrap().drifted(), "it was missing before");
    assert!(!drift(&whole, &column(|i| i % 50 > 0)).unwrap().drifted(), "two of a hundred");
    let nothing = df!("x" => vec![f64::NAN; 200], "y" => (0..200).collect::<Vec<_>>()).unwrap();
    assert_eq!(drift(&whole, &nothing).unwrap().drifted_columns(), ["x"], "what is no number");
    let untyped = Column::full_null("x".into(), 200, &DataType::Null);
    let nothing = whole.clone().with_column(untyped).unwrap().clone();
    assert_eq!(drift(&whole, &nothing).unwrap().drifted_columns(), ["x"]);

    // A stored reference tells the share by its rows; a report of an older server has no such figures.
    let folder = tempfile::tempdir().unwrap();
    save_reference(folder.path().join("m.oxi"), &holes).unwrap();
    let stored = load_reference(folder.path().join("m.oxi")).unwrap().unwrap();
    assert!(!drift(&stored, &holes).unwrap().drifted());
    assert_eq!(drift(&stored, &whole).unwrap().drifted_columns(), ["x"]);
    let mut older = serde_json::to_value(x).unwrap();
    older.as_object_mut().unwrap().retain(|name, _| !name.starts_with("missing"));
    let older: oxilab_serve::ColumnDrift = serde_json::from_value(older).unwrap();
    assert_eq!((older.missing, older.psi), (None, x.psi));
}

#[test]
fn the_reference_stands_beside_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("churn.oxi");
    model().save(&path).unwrap();
    assert!(load_reference(&path).unwrap().is_none());
    assert!(Predictor::open(&path).unwrap().reference().is_none());
    save_reference(&path, &train()).unwrap();
    let predictor = Predictor::open(&path).unwrap();
    let reference = predictor.reference().unwrap();
    assert_eq!((reference.height(), reference.width()), (200, 5));
    assert!(reference.column("prediction").is_ok() && reference.column("churn").is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left aside");

    let alias = folder.path().join("live.alias");
    std::fs::write(&alias, "churn.oxi\n").unwrap();
    assert_eq!(resolve(alias.to_str().unwrap()).unwrap(), path);
    std::fs::write(&path, b"not a model").unwrap();
    assert!(Predictor::open(&path).is_err());
}

#[test]
fn a_model_behind_a_pipeline_is_asked_with_raw_values() {
    let rows = 0..120_i32;
    let mut df = df!(
        "visits" => rows.clone().map(|i| i64::from(i % 9)).collect::<Vec<_>>(),
        "plan" => rows.clone().map(|i| ["basic", "pro"][(i % 2) as usize]).collect::<Vec<_>>(),
        "note" => rows.clone().map(|i| format!("order number{i} was fine")).collect::<Vec<_>>(),
        "day" => rows.clone().map(|i| 19_723 + i).collect::<Vec<_>>(),
        "churn" => rows.map(|i| i % 9 > 4).collect::<Vec<_>>(),
    )
    .unwrap();
    let day = df.column("day").unwrap().cast(&DataType::Date).unwrap();
    df.with_column(day).unwrap();
    let model = Pipeline::new()
        .with(DateParts::new("day"))
        .with(TfidfVectorizer::new("note").with_max_features(4))
        .with(StandardScaler::new("visits"))
        .then(LogisticRegression::new())
        .fit(&df, "churn")
        .unwrap();
    let predictor = Predictor::new(model.clone()).unwrap().with_reference(&df).unwrap();
    let signature = Signature::new(predictor.schema());
    let fields = &signature.row_schema()["properties"];
    assert_eq!(fields["day"], json!({"type": "string", "format": "date"}));
    assert_eq!(fields["note"], json!({"type": "string"}));
    assert_eq!(fields["plan"]["enum"], json!(["basic", "pro"]));
    let example = signature.example();
    assert_eq!(example["day"], "2024-01-31");
    let (frame, single) = body::predict(example, predictor.schema(), LIMIT).unwrap();
    assert!(single);
    assert_eq!(predictor.predict(&frame).unwrap().json_values().len(), 1);
    // A row of the training frame, as JSON has it, is that row.
    let row = json!({"visits": 4, "plan": "basic", "note": "order number4 was fine", "day": "2024-01-05"});
    let (frame, _) = body::predict(row, predictor.schema(), LIMIT).unwrap();
    let expected = model.predict_proba(&df.slice(4, 1)).unwrap();
    assert!(model.predict_proba(&frame).unwrap().equals(&expected));
}
