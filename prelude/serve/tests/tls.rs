//! A server that is started from a cell with the certificate beside this file, which is for
//! `models.example` and trusted by nobody. The server is played by a thread, its process by a script.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use oxilab_serve::{Server, get_text};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models.example.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models.example.key");

/// Answers whoever comes with what the file holds; its address.
fn server(pid: std::path::PathBuf) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_file_iter(CERTIFICATE).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(KEY).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // Who verifies the certificate hangs up.
            let _ = answer(stream.unwrap(), &config, &pid);
        }
    });
    url
}

fn answer(stream: TcpStream, config: &Arc<ServerConfig>, pid: &Path) -> std::io::Result<()> {
    let connection = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
    }
    let body = format!("{{\"pid\": {}}}", std::fs::read_to_string(pid)?.trim());
    let length = body.len();
    let stream = stream.get_mut();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )?;
    stream.conn.send_close_notify();
    stream.flush()
}

#[test]
fn a_certificate_for_another_name_starts_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let (state, pid) = (folder.path().join("m.json"), folder.path().join("pid"));
    let url = server(pid.clone());
    // As the server does, it leaves its state for others to read and takes it away when it ends.
    let script = folder.path().join("oxilab-server");
    let text = format!(
        "#!/bin/sh\ntrap 'rm {state}; exit' TERM\necho $$ > {pid}\n\
         echo '{{\"name\": \"m\", \"url\": \"{url}\", \"pid\": '$$', \"models\": [], \"token\": \"t\"}}' \
         > {state}.new\nmv {state}.new {state}\nwhile :; do sleep 0.02; done\n",
        state = state.display(),
        pid = pid.display(),
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(folder.path().join("m.oxi"), "").unwrap();

    let model = folder.path().join("m.oxi");
    let server = Server::new("m", model.to_str().unwrap())
        .with_program(&script)
        .with_state_folder(folder.path())
        .with_tls(CERTIFICATE, KEY)
        .start()
        .unwrap();
    assert!(server.is_alive());
    // Whoever asks for anything else verifies it.
    assert!(get_text(format!("{}/health", server.url())).is_err());
    server.stop().unwrap();
    assert!(!state.exists());
}
