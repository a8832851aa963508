//! Models from one server to another.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use oxilab_serve::{Push, Server, kserve, post_json_with_key};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::setting::{PROGRAM, Setting, crash, old, raw, train};

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

/// A server that takes models, with the key `k`.
fn receiver(setting: &mut Setting, timeout: u64) -> String {
    let server = setting.server_of("first", "m.oxi").with("--timeout", timeout);
    let server = server.with_api_key_hash(hex::encode(Sha256::digest("k")));
    setting.start(server.with_accept(setting.path("pushed")))
}

/// The head of a push of these bytes.
fn head(name: &str, body: &[u8]) -> String {
    let sum = hex::encode(Sha256::digest(body));
    format!("POST /admin/models/{name} HTTP/1.1\r\nx-api-key: k\r\nx-oxilab-sha256: {sum}")
}

#[test]
fn a_push_that_is_refused_leaves_what_answers() {
    let mut setting = Setting::new();
    let url = receiver(&mut setting, 30);
    let (model, kept) = (setting.path("m.oxi"), setting.path("pushed/churn"));
    let push = || Push::new(model.to_str().unwrap(), &url).with_key("k").with_name("churn").send();
    push().unwrap();
    let files = || {
        let entries = fs::read_dir(&kept).unwrap().flatten().map(|entry| entry.path());
        let mut files: Vec<_> =
            entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        files.sort();
        files
    };
    let before = files();
    assert_eq!(before.len(), 2, "the model and its reference");

    let model = fs::read(&model).unwrap();
    let body = [&model[..], b"no reference"].concat();
    let head = format!("{}\r\nx-oxilab-model-bytes: {}", head("churn", &body), model.len());
    let (status, _, text) = raw(&url, &head, &body);
    assert_eq!(status, 422, "{text}");
    assert_eq!(files(), before);
    crash(&url);
    let answer = post_json_with_key(format!("{url}/predict/churn"), &old(), "k").unwrap();
    assert_eq!(answer["prediction"], "old");

    // Without a reference it is another file, which answers from now on.
    let (status, _, text) = raw(&url, &self::head("churn", &model), &model);
    assert_eq!(status, 200, "{text}");
    assert_eq!(files().len(), 3);
    push().unwrap();
    assert_eq!(files(), {
        let mut both = before;
        both.push((
            kept.join(format!("{}.oxm", &hex::encode(Sha256::digest(&model))[..12])),
            model,
        ));
        both.sort();
        both
    });
}

#[test]
fn the_first_of_a_name_is_one_model_however_many_come_at_once() {
    let mut setting = Setting::new();
    let url = receiver(&mut setting, 30);
    let model = setting.path("m.oxi");
    let push = || {
        let push = Push::new(model.to_str().unwrap(), &url).with_key("k").with_name("churn");
        push.send().unwrap().there
    };
    let there: Vec<String> = std::thread::scope(|scope| {
        let pushes: Vec<_> = (0..6).map(|_| scope.spawn(push)).collect();
        pushes.into_iter().map(|push| push.join().unwrap()).collect()
    });
    assert_eq!(there.iter().filter(|there| *there == "new there").count(), 1, "{there:?}");
    let (_, _, metrics) = raw(&url, "GET /metrics HTTP/1.1\r\nx-api-key: k", b"");
    assert_eq!(metrics.matches("oxilab_model_info{model=\"churn\"").count(), 1, "{metrics}");
}

#[test]
fn a_push_has_longer_than_a_request() {
    let mut setting = Setting::new();
    let url = receiver(&mut setting, 1);
    let body = fs::read(setting.path("m.oxi")).unwrap();
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (head, length) = (head("slow", &body), body.len());
    write!(stream, "{head}\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n")
        .unwrap();
    let (first, rest) = body.split_at(100);
    stream.write_all(first).unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    stream.write_all(rest).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_push_that_is_not_wanted_is_refused_before_it_is_sent() {
    let mut setting = Setting::new();
    let (open, taking) = (setting.start(setting.server()), receiver(&mut setting, 30));
    for (url, bytes, status) in [(&open, 4_u64 << 30, "403"), (&taking, (4 << 30) + 1, "413")] {
        let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let line = "POST /admin/models/x HTTP/1.1\r\nhost: x\r\nx-api-key: k";
        write!(stream, "{line}\r\ncontent-length: {bytes}\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("an answer before the body");
        assert_eq!(&answer, format!("HTTP/1.1 {status}").as_bytes());
    }
}
