//! Every protocol on one model.

use oxilab_serve::{get_json, get_text, post_json};
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
        metrics.contains("oxilab_request_seconds_bucket{model=\"m\",le=\"+Inf\"} 11\n"),
        "{metrics}"
    );
    assert!(metrics.contains("oxilab_batch_rows_count{model=\"m\"} 11\n"), "{metrics}");
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
