//! Bad signatures, bad content, unknown requests, other transports.

use oxilab_kernel::server::{ConnectionError, ServerConfig, serve};
use oxilab_tests::echo::Echo;
use oxilab_tests::frontend::{Channel, Frontend, Setup, connection_info};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_signature_is_dropped() {
    let echo = Echo::new();
    let mut frontend = Frontend::start(echo.clone()).await;
    frontend.send_forged("shutdown_request", json!({"restart": false})).await;
    frontend.send_forged("interrupt_request", json!({})).await;
    assert_eq!(frontend.execute("result 1").await.result(), "1");
    frontend.ask(Channel::Control, "kernel_info_request", json!({})).await;
    assert_eq!(echo.shutdowns(), Vec::<bool>::new());
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_and_unknown_requests_get_an_error_reply() {
    let mut frontend = Frontend::start(Echo::new()).await;
    for (msg_type, content) in [
        ("execute_request", json!({"code": 3})),
        ("complete_request", json!({"code": "x", "cursor_pos": -1})),
        ("history_request", json!({"hist_access_type": "sideways"})),
        ("create_subshell_request", json!({})),
        ("nonsense_request", json!({"x": null})),
    ] {
        let reply = frontend.ask(Channel::Shell, msg_type, content).await;
        assert_eq!(reply["status"], "error", "{msg_type}");
        assert_eq!(reply["ename"], "ProtocolError", "{msg_type}");
    }
    assert_eq!(frontend.execute("result 1").await.result(), "1");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unix_sockets_serve_as_well_and_are_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    // A socket that a killed kernel left behind.
    drop(std::os::unix::net::UnixListener::bind(folder.path().join("kernel-1")).expect("binds"));
    let setup = Setup { ipc: Some(folder.path().to_owned()), ..Setup::default() };
    let mut frontend = Frontend::start_with(Echo::new(), setup).await;
    assert_eq!(frontend.execute("print a\nresult 1").await.result(), "1");
    frontend.heartbeat().await;
    frontend.shut_down().await;
    assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_this_machine_may_connect_and_a_taken_port_is_an_error() {
    let mut info = connection_info(None).await;
    let start =
        || Ok(Echo::new() as std::sync::Arc<dyn oxilab_kernel::server::handler::CellRunner>);
    let taken = std::net::TcpListener::bind(("127.0.0.1", info.stdin_port)).expect("binds");
    let refused = serve(&info, ServerConfig::new("1"), start).await;
    assert!(
        matches!(&refused, Err(ConnectionError::Bind { url, .. }) if url.ends_with(&info.stdin_port.to_string())),
        "{refused:?}"
    );
    drop(taken);
    info.ip = "0.0.0.0".to_owned();
    let refused = serve(&info, ServerConfig::new("1"), start).await;
    assert!(matches!(refused, Err(ConnectionError::Address { .. })));
}
