//! The heartbeat: what comes goes back.

use jupyter_zmq_client::KernelHeartbeatConnection;
use zeromq::{SocketRecv as _, SocketSend as _};

/// Echoes for as long as it is polled.
pub(crate) async fn run(mut connection: KernelHeartbeatConnection) {
    loop {
        let echoed = match connection.socket.recv().await {
            Ok(ping) => connection.socket.send(ping).await,
            Err(error) => Err(error),
        };
        if let Err(error) = echoed {
            tracing::debug!(%error, "a heartbeat failed");
            tokio::task::yield_now().await;
        }
    }
}
