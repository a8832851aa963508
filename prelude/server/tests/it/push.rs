//! Models from one server to another.

use std::fs;

use oxilab_serve::{Push, Server, kserve, post_json_with_key};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::setting::{PROGRAM, Setting, old, raw, train};

#[test]
fn a_pushed_model_answers_and_is_kept() {
    let mut setting = Setting::new();
    let key = hex::encode(Sha256::digest("k"));
    let receiver = |setting: &Setting| {
        let server = setting.server_of("first", "m.oxi").with_api_key_hash(key.clone());
        server.with_accept(setting.path("pushed"))
    };
    let url = setting.start(receiver(&setting));
    let file = setting.path("m.oxi");
    let push = |name: &str| Push::new(file.to_str().unwrap(), &url).with_key("k").with_name(name);
    let dry = push("churn").dry_run().unwrap();
    assert!(dry.dry && dry.there == "new there" && dry.reference_rows == Some(400), "{dry:?}");
    let said = |url: &str| {
        let answer = post_json_with_key(format!("{url}/predict/churn"), &old(), "k");
        answer.map(|answer| answer["prediction"].clone())
    };
    assert_eq!(said(&url).unwrap_err().status(), 404, "a dry run sends nothing");
    assert_eq!(push("churn").send().unwrap().there, "new there");
    assert_eq!(said(&url).unwrap(), "old");

    train("kid", "adult", &file);
    fs::remove_file(setting.path("m.oxi.reference.parquet")).unwrap();
    let sent = push("churn").send().unwrap();
    assert_eq!(sent.there, "took the place of the one before");
    assert_eq!(said(&url).unwrap(), "adult");

    assert_eq!(push("first").send().unwrap_err().status(), 409, "it comes from elsewhere");
    assert_eq!(push("churn").with_key("wrong").send().unwrap_err().status(), 401);
    let head = "POST /admin/models/churn HTTP/1.1\r\nx-api-key: k\r\nx-oxilab-sha256";
    let sum = hex::encode(Sha256::digest("no model"));
    let (status, _, text) = raw(&url, &format!("{head}: {sum}"), b"no model");
    assert_eq!(status, 422, "{text}");
    assert!(text.contains("the old one keeps answering"), "{text}");
    let (status, _, text) = raw(&url, &format!("{head}: {sum}"), b"other bytes");
    assert!(status == 422 && text.contains("checksum"), "{text}");
    let bad = "POST /admin/models/..%2fx HTTP/1.1\r\nx-api-key: k\r\nx-oxilab-sha256";
    assert_eq!(raw(&url, &format!("{bad}: {sum}"), b"no model").0, 422);
    assert_eq!(said(&url).unwrap(), "adult");

    setting.started.pop().unwrap().stop().unwrap();
    let url = setting.start(receiver(&setting));
    assert_eq!(said(&url).unwrap(), "adult", "a restarted server has what it had");
}

#[test]
fn a_folder_for_kserve() {
    let setting = Setting::new();
    let (model, out) = (setting.path("m.oxi"), setting.path("out"));
    let names = |dry: bool| {
        // The server's program is found beside the test's.
        let paths = kserve(model.to_str().unwrap(), &out, "r.example/m:1", dry).unwrap();
        paths
            .iter()
            .map(|path| path.strip_prefix(&out).unwrap().display().to_string())
            .collect::<Vec<_>>()
    };
    let expected = [
        "inferenceservice.yaml",
        "Containerfile",
        "oxilab-server",
        "model/m.oxm",
        "model/m.oxm.reference.parquet",
    ];
    assert_eq!(names(true), expected);
    assert!(!out.exists(), "a dry run writes nothing");
    assert_eq!(names(false), expected);
    let manifest = fs::read_to_string(out.join("inferenceservice.yaml")).unwrap();
    assert!(
        manifest
            .starts_with("apiVersion: \"serving.kserve.io/v1beta1\"\nkind: \"InferenceService\"\n")
    );
    assert!(manifest.contains("image: \"r.example/m:1\""), "{manifest}");
    assert_eq!(fs::read(out.join("model/m.oxm")).unwrap(), fs::read(&model).unwrap());

    // The container's command line starts a server, as long as there is a key.
    let server = Server::new("k", out.join("model/m.oxm").to_str().unwrap());
    let server =
        server.with_program(out.join("oxilab-server")).with_state_folder(setting.path("state"));
    let started = server.with_flag("--log-json").start().unwrap();
    let line = started.logs().unwrap();
    let first: Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    assert_eq!(first["level"], "INFO");
    started.stop().unwrap();
    assert!(fs::metadata(PROGRAM).is_ok());
}
