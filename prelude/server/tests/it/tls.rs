//! TLS with the certificate beside this file, which is for `localhost` and trusted by nobody.

use std::process::Command;

use crate::setting::{PROGRAM, Setting, old};

const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/localhost.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/localhost.key");

#[test]
fn connections_are_tls_and_the_certificate_is_checked() {
    let setting = Setting::new();
    // The starter asks the server whether it lives, and must trust it for that.
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program)
        .args(["--exact", "tls::inside", "--ignored", "--nocapture"])
        .env("OXILAB_CA", CERTIFICATE)
        .env("OXILAB_TLS_TEST", setting.path(""))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
    assert!(said.contains("answered old over https://127.0.0.1:"), "{said}");
}

#[test]
#[ignore = "runs in a process of its own, started by the test above"]
fn inside() {
    let folder = std::path::PathBuf::from(std::env::var_os("OXILAB_TLS_TEST").unwrap());
    let server = oxilab_serve::Server::new("m", folder.join("m.oxi").to_str().unwrap())
        .with_program(PROGRAM)
        .with_state_folder(folder.join("state"))
        .with_tls(CERTIFICATE, KEY)
        .start()
        .unwrap();
    let answer = oxilab_serve::post_json(format!("{}/predict", server.url()), &old()).unwrap();
    println!("answered {} over {}", answer["prediction"].as_str().unwrap(), server.url());
    let plain = server.url().replace("https", "http");
    assert!(oxilab_serve::get_text(format!("{plain}/health")).is_err());
    server.stop().unwrap();
}

#[test]
fn a_key_that_does_not_fit_is_refused() {
    let setting = Setting::new();
    let server = setting.server().with_tls(CERTIFICATE, CERTIFICATE);
    let error = server.start().unwrap_err().to_string();
    assert!(error.contains("private key"), "{error}");
}
