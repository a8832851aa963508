//! A front end over real sockets, for a kernel in this process or in its own.
//!
//! Every receive has a deadline. Dropping a [`Frontend`] fails the test if messages were not read.

#![expect(clippy::missing_panics_doc, reason = "whatever is not as expected fails the test")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jupyter_protocol::connection_info::{ConnectionInfo, Transport};
use jupyter_protocol::messaging::{JupyterMessage, UnknownMessage};
use jupyter_zmq_client::{
    ClientHeartbeatConnection, Connection, DealerSendConnection, RawMessage,
    create_client_control_connection, create_client_heartbeat_connection,
    create_client_iopub_connection, create_client_shell_connection_with_identity,
    create_client_stdin_connection_with_identity, peek_ports, peer_identity_for_session,
};
use oxilab_kernel::server::handler::CellRunner;
use oxilab_kernel::server::{ServerConfig, serve};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zeromq::SocketRecv;

/// How long a receive waits by default; a kernel under test shares two cores with others.
const DEADLINE: Duration = Duration::from_secs(30);

/// A message from the kernel.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its type.
    pub msg_type: String,
    /// `msg_id` of the request it belongs to; empty without one.
    pub parent: String,
    /// Header as it came.
    pub header: Value,
    /// Metadata.
    pub metadata: Value,
    /// Content.
    pub content: Value,
    /// Binary parts.
    pub buffers: Vec<Bytes>,
}

impl Message {
    fn of(raw: &RawMessage) -> Self {
        let part = |index: usize| -> Value {
            serde_json::from_slice(&raw.jparts[index]).expect("the kernel sends JSON")
        };
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let (header, parent) = (part(0), part(1));
        Self {
            msg_type: text(&header, "msg_type"),
            parent: text(&parent, "msg_id"),
            header,
            metadata: part(2),
            content: part(3),
            buffers: raw.jparts[4..].to_vec(),
        }
    }
}

/// What an executed cell brought.
#[derive(Debug)]
pub struct Executed {
    /// Content of the reply.
    pub reply: Value,
    /// Messages on iopub between `execute_input` (or busy, where there is none) and idle.
    pub outputs: Vec<Message>,
}

impl Executed {
    /// All text of a stream.
    #[must_use]
    pub fn stream(&self, name: &str) -> String {
        let streams =
            self.outputs.iter().filter(|m| m.msg_type == "stream" && m.content["name"] == name);
        streams.filter_map(|message| message.content["text"].as_str()).collect()
    }

    /// `text/plain` of the result; empty without one.
    #[must_use]
    pub fn result(&self) -> &str {
        let result = self.outputs.iter().find(|message| message.msg_type == "execute_result");
        result.and_then(|m| m.content["data"]["text/plain"].as_str()).unwrap_or_default()
    }
}

/// Where a kernel listens and keeps its history.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Unix sockets in this folder instead of TCP.
    pub ipc: Option<PathBuf>,
    /// The history file.
    pub history: Option<PathBuf>,
}

enum Kernel {
    /// In this process.
    Task(JoinHandle<()>),
    /// In its own; its folder holds the connection file.
    Process(std::process::Child, tempfile::TempDir),
    /// Somebody else's.
    Foreign,
}

/// The front end.
pub struct Frontend {
    /// How to reach the kernel.
    pub info: ConnectionInfo,
    shell: DealerSendConnection,
    control: DealerSendConnection,
    stdin: DealerSendConnection,
    heartbeat: ClientHeartbeatConnection,
    shell_rx: UnboundedReceiver<Message>,
    control_rx: UnboundedReceiver<Message>,
    stdin_rx: UnboundedReceiver<Message>,
    iopub_rx: UnboundedReceiver<Message>,
    kernel: Kernel,
    readers: Vec<JoinHandle<()>>,
}

/// Which channel a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Ordinary requests.
    Shell,
    /// Interrupt and shutdown.
    Control,
    /// Answers to input requests.
    Stdin,
}

impl Frontend {
    /// Starts a kernel with this runner in this process and connects.
    pub async fn start(runner: Arc<dyn CellRunner>) -> Self {
        Self::start_with(runner, Setup::default()).await
    }

    /// [`Self::start`] with other places.
    pub async fn start_with(runner: Arc<dyn CellRunner>, setup: Setup) -> Self {
        let info = connection_info(setup.ipc.as_deref()).await;
        let mut config = ServerConfig::new("1.95.0");
        config.history = setup.history;
        let kernel = tokio::spawn({
            let info = info.clone();
            async move { serve(&info, config, move || Ok(runner)).await.expect("the kernel serves") }
        });
        Self::connect(info, Kernel::Task(kernel)).await
    }

    /// Starts `program kernel --connection-file …` and connects; `environment` is added.
    pub async fn spawn(program: &Path, environment: &[(&str, &str)]) -> Self {
        let info = connection_info(None).await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("kernel.json");
        std::fs::write(&file, serde_json::to_vec(&info).expect("serialises")).expect("writes");
        let child = std::process::Command::new(program)
            .args(["kernel", "--connection-file"])
            .arg(&file)
            .envs(environment.iter().copied())
            .spawn()
            .expect("the kernel starts");
        Self::connect(info, Kernel::Process(child, folder)).await
    }

    /// Connects to a kernel that somebody else has started.
    pub async fn attach(info: ConnectionInfo) -> Self {
        Self::connect(info, Kernel::Foreign).await
    }

    /// A second front end of the same kernel.
    pub async fn another(&self) -> Self {
        Self::connect(self.info.clone(), Kernel::Foreign).await
    }

    async fn connect(info: ConnectionInfo, kernel: Kernel) -> Self {
        let session = uuid::Uuid::new_v4().to_string();
        let connected = timeout(DEADLINE, async {
            loop {
                if let Some(sockets) = sockets(&info, &session).await {
                    return sockets;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let (shell, control, stdin, iopub, heartbeat) =
            connected.await.expect("the kernel listens in time");
        let (shell, shell_recv) = shell.split();
        let (control, control_recv) = control.split();
        let (stdin, stdin_recv) = stdin.split();
        let (shell_tx, shell_rx) = unbounded_channel();
        let (control_tx, control_rx) = unbounded_channel();
        let (stdin_tx, stdin_rx) = unbounded_channel();
        let (iopub_tx, iopub_rx) = unbounded_channel();
        let readers = vec![
            tokio::spawn(read(shell_recv, shell_tx)),
            tokio::spawn(read(control_recv, control_tx)),
            tokio::spawn(read(stdin_recv, stdin_tx)),
            tokio::spawn(read(iopub, iopub_tx)),
        ];
        let mut frontend = Self {
            info,
            shell,
            control,
            stdin,
            heartbeat,
            shell_rx,
            control_rx,
            stdin_rx,
            iopub_rx,
            kernel,
            readers,
        };
        // The subscription stands once this has come; nothing is lost afterwards.
        let welcome = frontend.iopub().await;
        assert_eq!(welcome.msg_type, "iopub_welcome");
        frontend
    }

    /// Sends a request; returns its `msg_id`.
    pub async fn send(&mut self, channel: Channel, msg_type: &str, content: Value) -> String {
        self.send_with(channel, msg_type, content, json!({}), Vec::new()).await
    }

    /// Sends a request with metadata and binary parts; returns its `msg_id`.
    pub async fn send_with(
        &mut self,
        channel: Channel,
        msg_type: &str,
        content: Value,
        metadata: Value,
        buffers: Vec<Bytes>,
    ) -> String {
        let content = UnknownMessage { msg_type: msg_type.to_owned(), content };
        let message =
            JupyterMessage::new(content, None).with_metadata(metadata).with_buffers(buffers);
        let id = message.header.msg_id.clone();
        let connection = match channel {
            Channel::Shell => &mut self.shell,
            Channel::Control => &mut self.control,
            Channel::Stdin => &mut self.stdin,
        };
        timeout(DEADLINE, connection.send(message)).await.expect("sent in time").expect("sent");
        id
    }

    /// Answers an input request.
    pub async fn answer(&mut self, request: &Message, text: &str) {
        let content = json!({"value": text, "status": "ok"});
        let content = UnknownMessage { msg_type: "input_reply".to_owned(), content };
        let mut message = JupyterMessage::new(content, None);
        let parent = serde_json::from_value(request.header.clone());
        message.parent_header = Some(parent.expect("the request has a header"));
        timeout(DEADLINE, self.stdin.send(message)).await.expect("in time").expect("sent");
    }

    /// Sends a control request signed with another key, and waits until the kernel has read it: a
    /// well-signed request behind it on the same connection is answered.
    pub async fn send_forged(&mut self, msg_type: &str, content: Value) {
        let forger = uuid::Uuid::new_v4().to_string();
        let wrong = ConnectionInfo { key: "wrong".to_owned(), ..self.info.clone() };
        let mut connection =
            create_client_control_connection(&wrong, &forger).await.expect("connects");
        let message = |msg_type: &str, content| {
            JupyterMessage::new(UnknownMessage { msg_type: msg_type.to_owned(), content }, None)
        };
        connection.send(message(msg_type, content)).await.expect("sent");
        connection.mac = self.control.mac.clone();
        let behind = message("kernel_info_request", json!({}));
        let id = behind.header.msg_id.clone();
        connection.send(behind).await.expect("sent");
        let reply = timeout(DEADLINE, connection.read()).await.expect("in time").expect("a reply");
        assert_eq!(reply.parent_header.map(|header| header.msg_id).as_deref(), Some(id.as_str()));
        self.expect_status(&id, "busy").await;
        self.expect_status(&id, "idle").await;
    }

    /// The next message on iopub.
    pub async fn iopub(&mut self) -> Message {
        next(&mut self.iopub_rx, "iopub").await
    }

    /// The next message on iopub, which has this type and belongs to this request.
    pub async fn expect(&mut self, parent: &str, msg_type: &str) -> Value {
        let message = self.iopub().await;
        assert_eq!(
            (message.msg_type.as_str(), message.parent.as_str()),
            (msg_type, parent),
            "{message:?}"
        );
        message.content
    }

    /// The next message on iopub, a status of this request.
    pub async fn expect_status(&mut self, parent: &str, state: &str) {
        assert_eq!(self.expect(parent, "status").await["execution_state"], state);
    }

    /// The next message on a channel.
    pub async fn receive(&mut self, channel: Channel) -> Message {
        match channel {
            Channel::Shell => next(&mut self.shell_rx, "shell").await,
            Channel::Control => next(&mut self.control_rx, "control").await,
            Channel::Stdin => next(&mut self.stdin_rx, "stdin").await,
        }
    }

    /// The next message on a channel, the reply to this request.
    pub async fn reply(&mut self, channel: Channel, parent: &str) -> Message {
        let message = self.receive(channel).await;
        assert_eq!(message.parent, parent, "{message:?}");
        message
    }

    /// Sends a request that shows nothing: checks busy, reply, idle; returns the reply's content.
    pub async fn ask(&mut self, channel: Channel, msg_type: &str, content: Value) -> Value {
        let id = self.send(channel, msg_type, content).await;
        let reply = self.reply(channel, &id).await;
        let expected = msg_type.replace("_request", "_reply");
        assert_eq!(reply.msg_type, expected);
        self.expect_status(&id, "busy").await;
        self.expect_status(&id, "idle").await;
        reply.content
    }

    /// Sends a cell as a notebook does, without input; returns its `msg_id`.
    pub async fn send_cell(&mut self, code: &str) -> String {
        self.send(Channel::Shell, "execute_request", execute_content(code)).await
    }

    /// Runs a cell and checks the order: busy, `execute_input`, outputs, idle last; one reply.
    pub async fn execute(&mut self, code: &str) -> Executed {
        let id = self.send_cell(code).await;
        self.finish(&id).await
    }

    /// Reads everything of a cell that was sent and not read.
    pub async fn finish(&mut self, id: &str) -> Executed {
        self.expect_status(id, "busy").await;
        let mut outputs = Vec::new();
        loop {
            let message = self.iopub().await;
            assert_eq!(message.parent, id, "{message:?}");
            if message.msg_type == "status" {
                assert_eq!(message.content["execution_state"], "idle");
                break;
            }
            outputs.push(message);
        }
        if outputs.first().is_some_and(|first| first.msg_type == "execute_input") {
            outputs.remove(0);
        }
        let reply = self.reply(Channel::Shell, id).await;
        assert_eq!(reply.msg_type, "execute_reply");
        Executed { reply: reply.content, outputs }
    }

    /// One heartbeat.
    pub async fn heartbeat(&mut self) {
        let beat = timeout(DEADLINE, self.heartbeat.single_heartbeat()).await;
        beat.expect("the heart beats in time").expect("the heart beats");
    }

    /// The kernel's process, where it has its own.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        match &self.kernel {
            Kernel::Process(child, _) => Some(child.id()),
            Kernel::Task(_) | Kernel::Foreign => None,
        }
    }

    /// Asks the kernel to end, and waits until it has.
    pub async fn shut_down(mut self) {
        let id = self.send(Channel::Control, "shutdown_request", json!({"restart": false})).await;
        let reply = self.reply(Channel::Control, &id).await;
        assert_eq!(reply.content, json!({"status": "ok", "restart": false}));
        self.expect_status(&id, "busy").await;
        self.expect_status(&id, "idle").await;
        self.ended().await;
    }

    /// Waits until the kernel has ended.
    pub async fn ended(&mut self) {
        match std::mem::replace(&mut self.kernel, Kernel::Foreign) {
            Kernel::Task(task) => {
                timeout(DEADLINE, task).await.expect("ends in time").expect("ends well");
            }
            Kernel::Process(mut child, _folder) => {
                let status = tokio::task::spawn_blocking(move || child.wait());
                let status = timeout(DEADLINE, status).await.expect("ends in time");
                assert!(status.expect("is joined").expect("ends").success());
            }
            Kernel::Foreign => {}
        }
    }
}

/// Content of an `execute_request` with the defaults of a notebook without input.
#[must_use]
pub fn execute_content(code: &str) -> Value {
    json!({
        "code": code,
        "silent": false,
        "store_history": true,
        "user_expressions": Map::new(),
        "allow_stdin": false,
        "stop_on_error": true,
    })
}

impl Drop for Frontend {
    fn drop(&mut self) {
        match &mut self.kernel {
            Kernel::Task(task) => task.abort(),
            Kernel::Process(child, _) => {
                // It may have ended by itself.
                let _ = child.kill();
                let _ = child.wait();
            }
            Kernel::Foreign => {}
        }
        for reader in &self.readers {
            reader.abort();
        }
        if std::thread::panicking() {
            return;
        }
        let mut unread: HashMap<&str, Vec<String>> = HashMap::new();
        for (name, receiver) in [
            ("shell", &mut self.shell_rx),
            ("control", &mut self.control_rx),
            ("stdin", &mut self.stdin_rx),
            ("iopub", &mut self.iopub_rx),
        ] {
            while let Ok(message) = receiver.try_recv() {
                unread
                    .entry(name)
                    .or_default()
                    .push(format!("{} {}", message.msg_type, message.content));
            }
        }
        assert!(unread.is_empty(), "messages were not read: {unread:?}");
    }
}

async fn next(receiver: &mut UnboundedReceiver<Message>, channel: &str) -> Message {
    let Ok(message) = timeout(DEADLINE, receiver.recv()).await else {
        panic!("nothing came on {channel} within {DEADLINE:?}")
    };
    message.unwrap_or_else(|| panic!("{channel} was closed"))
}

async fn read<S: SocketRecv>(mut connection: Connection<S>, sender: UnboundedSender<Message>) {
    while let Ok(parts) = connection.socket.recv().await {
        let raw = RawMessage::from_multipart(parts, &connection.mac).expect("the kernel signs");
        if sender.send(Message::of(&raw)).is_err() {
            return;
        }
    }
}

type Sockets = (
    jupyter_zmq_client::ClientShellConnection,
    jupyter_zmq_client::ClientControlConnection,
    jupyter_zmq_client::ClientStdinConnection,
    jupyter_zmq_client::ClientIoPubConnection,
    ClientHeartbeatConnection,
);

async fn sockets(info: &ConnectionInfo, session: &str) -> Option<Sockets> {
    // A kernel binds iopub first and the heartbeat last.
    let heartbeat = create_client_heartbeat_connection(info).await.ok()?;
    let identity = || peer_identity_for_session(session).expect("is an identity");
    Some((
        create_client_shell_connection_with_identity(info, session, identity()).await.ok()?,
        create_client_control_connection(info, session).await.ok()?,
        create_client_stdin_connection_with_identity(info, session, identity()).await.ok()?,
        create_client_iopub_connection(info, "", session).await.ok()?,
        heartbeat,
    ))
}

/// A connection to nobody yet.
pub async fn connection_info(ipc: Option<&Path>) -> ConnectionInfo {
    let (transport, ip, ports) = if let Some(folder) = ipc {
        let prefix = folder.join("kernel").to_string_lossy().into_owned();
        (Transport::IPC, prefix, vec![1, 2, 3, 4, 5])
    } else {
        let ip = std::net::Ipv4Addr::LOCALHOST.into();
        let ports = peek_ports(ip, 5).await.expect("there are ports");
        (Transport::TCP, ip.to_string(), ports)
    };
    ConnectionInfo {
        ip,
        transport,
        shell_port: ports[0],
        iopub_port: ports[1],
        stdin_port: ports[2],
        control_port: ports[3],
        hb_port: ports[4],
        key: uuid::Uuid::new_v4().to_string(),
        signature_scheme: "hmac-sha256".to_owned(),
        kernel_name: None,
    }
}
