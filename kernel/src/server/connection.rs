//! Reads connection files and binds the five sockets they name.
//!
//! Only this machine may connect: TCP on a loopback address, or Unix sockets (`ipc`).

use std::collections::HashSet;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jupyter_protocol::connection_info::{ConnectionInfo, Transport};
use jupyter_zmq_client::{
    KernelControlConnection, KernelHeartbeatConnection, KernelIoPubXPubConnection,
    KernelShellConnection, KernelStdinConnection, RuntimeError, create_kernel_control_connection,
    create_kernel_heartbeat_connection, create_kernel_iopub_xpub_connection,
    create_kernel_shell_connection, create_kernel_stdin_connection,
};
use thiserror::Error;

/// Why a kernel could not start listening.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The file could not be read.
    #[error("could not read the connection file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not a connection file.
    #[error(
        "{} is not a Jupyter connection file: {source}. Jupyter writes this file when it starts a \
         kernel; start oxilab from Jupyter rather than by hand", path.display()
    )]
    Parse {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
    /// The address can be reached from other machines, or is none.
    #[error(
        "the connection file asks to listen on `{ip}`; oxilab listens on this machine only: use \
         127.0.0.1, ::1 or localhost, or the ipc transport"
    )]
    Address {
        /// The address.
        ip: String,
    },
    /// Two sockets with the same port, or port 0.
    #[error("the connection file gives {channel} the port {port}, which is {problem}")]
    Port {
        /// Which socket.
        channel: &'static str,
        /// Its port.
        port: u16,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A signature scheme other than `hmac-sha256`.
    #[error("the connection file asks for the signature scheme `{scheme}`; oxilab has hmac-sha256")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// A socket could not be bound.
    #[error("could not listen on {url}: {source}. Is another kernel using it?")]
    Bind {
        /// The address.
        url: String,
        /// The cause.
        source: RuntimeError,
    },
}

/// Reads and checks a connection file.
///
/// # Errors
/// When it cannot be read, is not a connection file, or asks for something that oxilab refuses.
pub fn read_connection_file(path: &Path) -> Result<ConnectionInfo, ConnectionError> {
    let bytes = std::fs::read(path)
        .map_err(|source| ConnectionError::Read { path: path.to_owned(), source })?;
    let mut info: ConnectionInfo = serde_json::from_slice(&bytes)
        .map_err(|source| ConnectionError::Parse { path: path.to_owned(), source })?;
    if info.transport == Transport::TCP && info.ip == "localhost" {
        "127.0.0.1".clone_into(&mut info.ip);
    }
    check(&info)?;
    Ok(info)
}

fn check(info: &ConnectionInfo) -> Result<(), ConnectionError> {
    if info.signature_scheme != "hmac-sha256" {
        return Err(ConnectionError::Scheme { scheme: info.signature_scheme.clone() });
    }
    if info.transport == Transport::TCP
        && !info.ip.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    {
        return Err(ConnectionError::Address { ip: info.ip.clone() });
    }
    let mut seen = HashSet::new();
    for (channel, port) in ports(info) {
        if port == 0 {
            return Err(ConnectionError::Port { channel, port, problem: "no port" });
        }
        if !seen.insert(port) {
            return Err(ConnectionError::Port { channel, port, problem: "given twice" });
        }
    }
    Ok(())
}

fn ports(info: &ConnectionInfo) -> [(&'static str, u16); 5] {
    [
        ("shell", info.shell_port),
        ("iopub", info.iopub_port),
        ("stdin", info.stdin_port),
        ("control", info.control_port),
        ("heartbeat", info.hb_port),
    ]
}

/// The bound sockets of a kernel.
pub(crate) struct Sockets {
    pub(crate) shell: KernelShellConnection,
    pub(crate) control: KernelControlConnection,
    pub(crate) stdin: KernelStdinConnection,
    pub(crate) iopub: KernelIoPubXPubConnection,
    pub(crate) heartbeat: KernelHeartbeatConnection,
    files: SocketFiles,
}

impl Sockets {
    /// Binds all sockets of `info`.
    pub(crate) async fn bind(
        info: &ConnectionInfo,
        session: &str,
    ) -> Result<Self, ConnectionError> {
        check(info)?;
        let files = SocketFiles::of(info);
        files.remove_stale();
        let failed = |url: String| move |source| ConnectionError::Bind { url, source };
        let sockets = Self {
            iopub: create_kernel_iopub_xpub_connection(info, session)
                .await
                .map_err(failed(info.iopub_url()))?,
            shell: create_kernel_shell_connection(info, session)
                .await
                .map_err(failed(info.shell_url()))?,
            control: create_kernel_control_connection(info, session)
                .await
                .map_err(failed(info.control_url()))?,
            stdin: create_kernel_stdin_connection(info, session)
                .await
                .map_err(failed(info.stdin_url()))?,
            heartbeat: create_kernel_heartbeat_connection(info)
                .await
                .map_err(failed(info.hb_url()))?,
            files,
        };
        sockets.files.make_private();
        Ok(sockets)
    }

    /// What removes the socket files when the kernel ends, apart from the sockets.
    pub(crate) fn into_parts(
        self,
    ) -> (
        KernelShellConnection,
        KernelControlConnection,
        KernelStdinConnection,
        KernelIoPubXPubConnection,
        KernelHeartbeatConnection,
        SocketFiles,
    ) {
        (self.shell, self.control, self.stdin, self.iopub, self.heartbeat, self.files)
    }
}

/// The files of Unix sockets; none for TCP. Removed when dropped.
pub(crate) struct SocketFiles {
    paths: Vec<PathBuf>,
}

impl SocketFiles {
    fn of(info: &ConnectionInfo) -> Self {
        let paths = match info.transport {
            Transport::TCP => Vec::new(),
            Transport::IPC => ports(info)
                .iter()
                .map(|(_, port)| PathBuf::from(format!("{}-{port}", info.ip)))
                // A relative path must still be right when the working directory has changed.
                .map(|path| std::path::absolute(&path).unwrap_or(path))
                .collect(),
        };
        Self { paths }
    }

    /// Removes sockets that a killed kernel left behind. Only sockets nobody answers on.
    fn remove_stale(&self) {
        for path in &self.paths {
            let is_socket =
                std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
            if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
                remove(path);
            }
        }
    }

    fn make_private(&self) {
        for path in &self.paths {
            let mode = std::fs::Permissions::from_mode(0o600);
            if let Err(error) = std::fs::set_permissions(path, mode) {
                tracing::warn!(%error, path = %path.display(), "could not make a socket private");
            }
        }
    }
}

impl Drop for SocketFiles {
    fn drop(&mut self) {
        for path in &self.paths {
            remove(path);
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "could not remove a socket");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<ConnectionInfo, ConnectionError> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), json).expect("writes");
        read_connection_file(file.path())
    }

    fn file(ip: &str, shell: u16, scheme: &str) -> String {
        format!(
            r#"{{"ip": "{ip}", "transport": "tcp", "shell_port": {shell}, "iopub_port": 2,
                "stdin_port": 3, "control_port": 4, "hb_port": 5, "key": "k",
                "signature_scheme": "{scheme}", "jupyter_session": "x.ipynb"}}"#
        )
    }

    #[test]
    fn only_loopback_addresses_are_accepted() {
        for ip in ["127.0.0.1", "127.8.0.1", "::1", "localhost"] {
            assert!(read(&file(ip, 1, "hmac-sha256")).is_ok(), "{ip}");
        }
        for ip in ["0.0.0.0", "*", "10.0.0.5", "example.org", ""] {
            let error = read(&file(ip, 1, "hmac-sha256")).expect_err(ip);
            assert!(matches!(error, ConnectionError::Address { .. }), "{error}");
        }
    }

    #[test]
    fn broken_files_say_what_is_wrong() {
        let message = |json: &str| read(json).expect_err("is refused").to_string();
        assert!(message("{").contains("is not a Jupyter connection file"));
        assert!(message("{}").contains("missing field `ip`"));
        assert!(message(&file("127.0.0.1", 0, "hmac-sha256")).contains("shell the port 0"));
        assert!(message(&file("127.0.0.1", 3, "hmac-sha256")).contains("given twice"));
        assert!(message(&file("127.0.0.1", 1, "hmac-md5")).contains("hmac-md5"));
        let missing = read_connection_file(Path::new("/nowhere/kernel.json"));
        assert!(matches!(missing, Err(ConnectionError::Read { .. })));
    }
}
