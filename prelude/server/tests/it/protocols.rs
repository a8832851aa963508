//! Every protocol on one model.

use oxilab_model::LogisticRegression;
use oxilab_serve::{get_json, get_text, post_json};
use polars::prelude::*;
use serde_json::{Value, json};

use crate::setting::{Setting, old, raw, train};

#[test]
fn every_protocol_answers() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server());
    let post = |path: &str, value: &Value| post_json(format!("{url}{path}"), value).unwrap();
    assert_eq!(post("/predict", &old())["prediction"], "old");
    assert_eq!(post("/predict", &json!([old(), old()]))["predictions"], json!(["old", "old"]));
    assert_eq!(post("/predict/m", &json!({"features": [[1, "Oslo"]]}))["predictions"][0], "young");
    let row = json!({"dataframe_records": [old()]});
    assert_eq!(post("/invocations", &row), json!({"predictions": ["old"]}));
    let instances = json!({"instances": [old()]});
    assert_eq!(post("/v1/models/m:predict", &instances), json!({"predictions": ["old"]}));
    assert_eq!(post("/predictions/m", &json!([old()])), json!(["old"]));
    let infer = json!({"id": "a", "inputs": [
        {"name": "age", "datatype": "FP64", "shape": [1], "data": [90]},
        {"name": "city", "datatype": "BYTES", "shape": [1], "data": ["Oslo"]}]});
    let answer = post("/v2/models/m/infer", &infer);
    assert_eq!(answer["outputs"][0]["data"], json!(["old"]));
    let version = answer["model_version"].as_str().unwrap();
    assert_eq!(post(&format!("/v2/models/m/versions/{version}/infer"), &infer)["id"], "a");
    assert_eq!(
        post(&format!("/v1/models/m/versions/{version}:predict"), &instances)["predictions"][0],
        "old"
    );
    // TorchServe's version, the Open Inference Protocol's question for one, and the server's own.
    assert_eq!(post(&format!("/predictions/m/{version}"), &json!([old()])), json!(["old"]));
    let ready = get_json(format!("{url}/v2/models/m/versions/{version}/ready")).unwrap();
    assert_eq!(ready, json!({"name": "m", "ready": true}));
    for path in ["/predictions/m/none", "/v2/models/m/versions/none/ready"] {
        let verb = if path.starts_with("/v2") { "GET" } else { "POST" };
        let (status, _, text) = raw(&url, &format!("{verb} {path} HTTP/1.1"), b"[]");
        assert_eq!(status, 404, "{text}");
        assert!(text.contains("this version of the model is not loaded"), "{text}");
    }
    assert_eq!(get_text(format!("{url}/version")).unwrap(), env!("CARGO_PKG_VERSION"));
    let csv = "POST /invocations HTTP/1.1\r\ncontent-type: text/csv";
    let (status, head, body) = raw(&url, csv, b"age,city\n1,Rome\n");
    assert_eq!((status, body.as_str()), (200, "{\"predictions\":[\"young\"]}"));
    assert!(head.contains("x-request-id: "), "{head}");
    let named =
        raw(&url, "POST /predict HTTP/1.1\r\nx-request-id: mine", old().to_string().as_bytes());
    assert!(named.1.contains("x-request-id: mine"), "{}", named.1);

    let (status, head, _) = raw(&url, "GET / HTTP/1.1", b"");
    assert!(status == 307 && head.contains("location: /docs"), "{status} {head}");
    for path in [
        "/v2",
        "/v2/models/m",
        "/v2/models/m/ready",
        "/v2/models/m/config",
        "/v1/models/m",
        "/health",
    ] {
        get_json(format!("{url}{path}")).unwrap();
    }
    assert_eq!(get_text(format!("{url}/ping")).unwrap(), "\n");
    assert!(get_text(format!("{url}/docs")).unwrap().contains("POST /predict/m"));
    let openapi = get_json(format!("{url}/openapi.json")).unwrap();
    assert_eq!(openapi["components"]["schemas"]["mRow"]["required"], json!(["age", "city"]));
    let metrics = get_text(format!("{url}/metrics")).unwrap();
    let sample = "oxilab_requests_total{model=\"m\",route=\"/predict\",status=\"200\"} 4\n";
    assert!(metrics.contains(sample), "{metrics}");
    assert!(
        metrics.contains("oxilab_request_seconds_bucket{model=\"m\",le=\"+Inf\"} 12\n"),
        "{metrics}"
    );
    assert!(metrics.contains("oxilab_batch_rows_count{model=\"m\"} 12\n"), "{metrics}");
}

#[test]
fn tensorflow_serving_answers_in_the_form_that_was_asked_in() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server());
    let post = |path: &str, value: &Value| post_json(format!("{url}{path}"), value).unwrap();
    let columns = json!({"inputs": {"age": [90, 1], "city": ["Oslo", "Rome"]}});
    let rows = json!({"instances": [[90, "Oslo"], [1, "Rome"]]});
    let version = get_json(format!("{url}/v2/models/m")).unwrap()["versions"][0].clone();
    let versioned = format!("/v1/models/m/versions/{}:predict", version.as_str().unwrap());
    for path in ["/v1/models/m:predict", versioned.as_str()] {
        assert_eq!(post(path, &columns), json!({"outputs": ["old", "young"]}));
        assert_eq!(post(path, &rows), json!({"predictions": ["old", "young"]}));
    }
    // MLflow's clients read `predictions` whatever they sent, TorchServe's a list.
    assert_eq!(post("/invocations", &columns), json!({"predictions": ["old", "young"]}));
    assert_eq!(post("/predictions/m", &columns), json!(["old", "young"]));
}

#[test]
fn the_openapi_document_has_every_path_and_each_answers_its_example() {
    let mut setting = Setting::new();
    train("kid", "adult", setting.path("two.oxi"));
    let two = setting.path("two.oxi");
    let server = setting.server().with_model("m", two.to_str().unwrap());
    let url = setting.start(server.with_model("lm", crate::completions::TINY));
    let document = get_json(format!("{url}/openapi.json")).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let versions = get_json(format!("{url}/v2/models/m")).unwrap()["versions"].clone();
    let mut expected: Vec<String> = [
        "/ping /version /health /metrics /monitor.json /v2 /v2/health/live /v2/health/ready",
        "/v2/repository/index /predict/m /invocations/m /feedback/m /predictions/m",
        "/v1/models /v1/models/lm /v1/completions /v1/chat/completions",
        "/v1/models/m /v1/models/m:predict",
        "/v2/models/m /v2/models/m/ready /v2/models/m/config /v2/models/m/infer",
    ]
    .iter()
    .flat_map(|paths| paths.split(' ').map(str::to_owned))
    .collect();
    for version in versions.as_array().unwrap() {
        let version = version.as_str().unwrap();
        let path = format!("/v2/models/m/versions/{version}");
        expected.extend([format!("{path}/ready"), format!("{path}/infer"), path]);
        expected.push(format!("/v1/models/m/versions/{version}:predict"));
        expected.push(format!("/predict/m/versions/{version}"));
        expected.push(format!("/predictions/m/{version}"));
    }
    expected.sort();
    let mut found: Vec<String> = paths.keys().cloned().collect();
    found.sort();
    assert_eq!(found, expected);

    let mut ids = std::collections::BTreeSet::new();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].to_string()), "{path}");
            let example = &operation["requestBody"]["content"]["application/json"]["example"];
            let body = if example.is_null() { String::new() } else { example.to_string() };
            let verb = method.to_ascii_uppercase();
            let (status, head, text) =
                raw(&url, &format!("{verb} {path} HTTP/1.1"), body.as_bytes());
            // The tiny model has no template for a chat, and says so.
            let wanted = if path == "/v1/chat/completions" { 400 } else { 200 };
            assert_eq!(status, wanted, "{verb} {path} {body}: {text}");
            let status = status.to_string();
            let kinds = operation["responses"][&status]["content"].as_object().unwrap();
            let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap();
            let kind = kind.split(';').next().unwrap();
            assert!(kinds.contains_key(kind), "{path} is {kind}");
        }
    }
}

#[test]
fn tensors_in_bytes_are_read() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server());
    let (age, city) = (90.0_f64.to_le_bytes(), b"\x04\x00\x00\x00Oslo");
    let head = json!({"inputs": [
        {"name": "age", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}},
        {"name": "city", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 8}}]})
    .to_string();
    let body = [head.as_bytes(), &age, city].concat();
    let request = |length: usize| {
        let line = "POST /v2/models/m/infer HTTP/1.1\r\ninference-header-content-length";
        raw(&url, &format!("{line}: {length}"), &body)
    };
    let (status, _, answer) = request(head.len());
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("\"data\":[\"old\"]"), "{answer}");
    assert_eq!(request(head.len() - 1).0, 400);
    assert_eq!(request(body.len() + 1).0, 400);
}

#[test]
fn several_models_and_versions_are_served_at_once() {
    let mut setting = Setting::new();
    train("kid", "adult", setting.path("two.oxi"));
    let two = setting.path("two.oxi");
    let server = setting.server().with_model("m", two.to_str().unwrap());
    let url = setting.start(server.with_model("other", two.to_str().unwrap()));
    let versions = get_json(format!("{url}/v2/models/m")).unwrap()["versions"].clone();
    assert_eq!(versions.as_array().unwrap().len(), 2);
    let said =
        |path: &str| post_json(format!("{url}{path}"), &old()).unwrap()["prediction"].clone();
    assert_eq!(said("/predict/m"), "old");
    let second = versions[1].as_str().unwrap();
    assert_eq!(said(&format!("/predict/m/versions/{second}")), "adult");
    assert_eq!(said("/predict/other"), "adult");
    let metrics = get_text(format!("{url}/metrics")).unwrap();
    assert!(metrics.contains("oxilab_rows_total{model=\"m#2\"} 1\n"), "{metrics}");
}

/// Numbers, some of them missing, a flag and categories. `cargo test … -- --ignored` writes it again.
#[test]
#[ignore = "writes tests/data/people.oxm, which tests/python/test_serve.py serves"]
fn the_model_of_the_python_tests() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/people.oxm");
    let frame = df!(
        "age" => (0..400).map(|i| f64::from(i * 7 % 100)).collect::<Vec<_>>(),
        "visits" => (0..400).map(|i| (i % 9 > 0).then_some(i % 9)).collect::<Vec<_>>(),
        "member" => (0..400).map(|i| i % 3 == 0).collect::<Vec<_>>(),
        "city" => (0..400_usize).map(|i| ["Rome", "Oslo", "Bonn"][i % 3]).collect::<Vec<_>>(),
        "group" => (0..400).map(|i| if i * 7 % 100 > 50 { "old" } else { "young" }).collect::<Vec<_>>(),
    );
    LogisticRegression::new().fit(&frame.unwrap(), "group").unwrap().save(path).unwrap();
}
