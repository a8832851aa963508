//! A runner that follows a script instead of compiling: one command per line of the cell.
//!
//! `print T`, `eprint T`, `result T`, `display ID T`, `update ID T`, `clear`, `clear wait`,
//! `error NAME MESSAGE`, `input PROMPT` (shows the answer), `wait NAME` (until [`Echo::release`] or an
//! interrupt), `flood N` (lines), `later T` (from a task that outlives the cell), `comm TARGET`,
//! `picture` (a bundle without text/plain), `panic`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use oxilab_kernel::server::handler::{
    CellError, CellRunner, CommKind, CommMessage, Completeness, Completion, Completions,
    ExecuteCell, ExecuteReply, Output, OutputSender, StreamName,
};
use oxilab_protocol::MimeBundle;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

/// The scripted runner.
#[derive(Debug, Default)]
pub struct Echo {
    state: Mutex<State>,
    interrupts: watch::Sender<u64>,
    answer: watch::Sender<Option<Result<String, String>>>,
    released: watch::Sender<HashSet<String>>,
}

#[derive(Debug, Default)]
struct State {
    executed: Vec<ExecuteCell>,
    upcoming: Vec<String>,
    shutdowns: Vec<bool>,
}

impl Echo {
    /// A new one.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Lets `wait NAME` go on, also if it comes later.
    pub fn release(&self, name: &str) {
        self.released.send_modify(|released| {
            released.insert(name.to_owned());
        });
    }

    /// All cells executed so far.
    #[must_use]
    pub fn executed(&self) -> Vec<ExecuteCell> {
        self.lock().executed.clone()
    }

    /// All cells announced so far.
    #[must_use]
    pub fn upcoming_cells(&self) -> Vec<String> {
        self.lock().upcoming.clone()
    }

    /// The `restart` flags of all shutdowns.
    #[must_use]
    pub fn shutdowns(&self) -> Vec<bool> {
        self.lock().shutdowns.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self, cell: &ExecuteCell, output: &OutputSender) -> Result<(), CellError> {
        // What comes from now on interrupts this cell.
        let mut interrupted = self.interrupts.subscribe();
        for line in cell.code.lines() {
            let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
            self.line(command, rest, output, &mut interrupted).await?;
        }
        Ok(())
    }

    async fn line(
        &self,
        command: &str,
        rest: &str,
        output: &OutputSender,
        interrupted: &mut watch::Receiver<u64>,
    ) -> Result<(), CellError> {
        match command {
            "print" => output.stream(StreamName::Stdout, format!("{rest}\n")).await,
            "eprint" => output.stream(StreamName::Stderr, format!("{rest}\n")).await,
            "result" => output.send(Output::Result { bundle: MimeBundle::text(rest) }).await,
            "picture" => {
                let mut bundle = MimeBundle::text("").with("image/png", "iVBOR");
                bundle.data.remove("text/plain");
                output.send(Output::Result { bundle }).await;
            }
            "display" | "update" => {
                let (id, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let bundle = MimeBundle::text(text).with_html(format!("<b>{text}</b>"));
                let display_id = Some(id.to_owned());
                output
                    .send(Output::Display { bundle, display_id, update: command == "update" })
                    .await;
            }
            "clear" => output.send(Output::Clear { wait: rest == "wait" }).await,
            "error" => {
                let (name, message) = rest.split_once(' ').unwrap_or((rest, ""));
                return Err(error(name, message));
            }
            "input" => {
                let answer =
                    self.ask(rest, output).await.map_err(|reason| error("InputError", &reason))?;
                output.send(Output::Result { bundle: MimeBundle::text(answer) }).await;
            }
            "wait" => {
                let mut released = self.released.subscribe();
                tokio::select! {
                    _ = released.wait_for(|released| released.contains(rest)) => {}
                    _ = interrupted.changed() => return Err(error("KeyboardInterrupt", "")),
                }
            }
            "flood" => {
                for index in 0..rest.parse().unwrap_or(0) {
                    output.stream(StreamName::Stdout, format!("line {index}\n")).await;
                }
            }
            "later" => {
                let (output, rest) = (output.clone(), rest.to_owned());
                let mut released = self.released.subscribe();
                tokio::spawn(async move {
                    // An error means that the runner is gone; then nobody waits for the text.
                    let _ = released.wait_for(|released| released.contains("later")).await;
                    output.stream(StreamName::Stdout, rest).await;
                });
            }
            "comm" => {
                let open = comm(CommKind::Open, "kernel-comm", rest, json!({}));
                output.send(Output::Comm(open)).await;
            }
            "panic" => panic!("the script says so"),
            _ => return Err(error("SyntaxError", command)),
        }
        Ok(())
    }

    async fn ask(&self, prompt: &str, output: &OutputSender) -> Result<String, String> {
        self.answer.send_replace(None);
        let mut answer = self.answer.subscribe();
        output
            .send(Output::Input { prompt: prompt.to_owned(), password: prompt == "password" })
            .await;
        let answered = answer.wait_for(Option::is_some).await.map(|answer| answer.clone());
        answered.ok().flatten().unwrap_or_else(|| Err("the runner is gone".to_owned()))
    }
}

fn error(name: &str, message: &str) -> CellError {
    CellError {
        ename: name.to_owned(),
        evalue: message.to_owned(),
        traceback: vec![format!("\u{1b}[31m{name}\u{1b}[0m: {message}")],
        html: None,
    }
}

fn comm(kind: CommKind, id: &str, target: &str, data: Value) -> CommMessage {
    CommMessage {
        kind,
        comm_id: id.to_owned(),
        target: target.to_owned(),
        data,
        metadata: json!({}),
        buffers: Vec::new(),
    }
}

impl CellRunner for Echo {
    fn execute(&self, cell: ExecuteCell, output: OutputSender) -> BoxFuture<'_, ExecuteReply> {
        async move {
            self.lock().executed.push(cell.clone());
            match self.run(&cell, &output).await {
                Ok(()) => {
                    let expressions = cell.user_expressions.iter().map(|(name, code)| {
                        let value = match code.as_str() {
                            Some("fail") | None => json!({
                                "status": "error", "ename": "E", "evalue": "v", "traceback": [],
                            }),
                            Some(code) => json!({
                                "status": "ok", "data": {"text/plain": code}, "metadata": {},
                            }),
                        };
                        (name.clone(), value)
                    });
                    let user_expressions: Map<String, Value> = expressions.collect();
                    ExecuteReply::Ok { user_expressions, payload: Vec::new() }
                }
                Err(error) => ExecuteReply::Error(error),
            }
        }
        .boxed()
    }

    fn upcoming(&self, code: &str) {
        self.lock().upcoming.push(code.to_owned());
    }

    fn is_complete(&self, code: &str) -> Completeness {
        match code.chars().last() {
            Some('{') => Completeness::Incomplete { indent: "    ".to_owned() },
            Some('}') => Completeness::Invalid,
            Some(_) => Completeness::Complete,
            None => Completeness::Unknown,
        }
    }

    fn complete(&self, code: &str, cursor: usize) -> BoxFuture<'_, Completions> {
        let before: String = code.chars().take(cursor).collect();
        async move {
            assert!(before != "panic", "the script says so");
            let item = |text: &str| Completion {
                text: text.to_owned(),
                kind: "method".to_owned(),
                signature: "fn()".to_owned(),
            };
            let items = vec![item(&format!("{before}_one")), item(&format!("{before}_two"))];
            Completions { start: 0, end: cursor, items }
        }
        .boxed()
    }

    fn inspect(&self, code: &str, cursor: usize, detail: u8) -> BoxFuture<'_, Option<MimeBundle>> {
        let found = (!code.is_empty())
            .then(|| MimeBundle::text(format!("{code} at {cursor}, detail {detail}")));
        async move { found }.boxed()
    }

    fn interrupt(&self) {
        self.interrupts.send_modify(|count| *count += 1);
    }

    fn input_reply(&self, reply: Result<String, String>) {
        self.answer.send_replace(Some(reply));
    }

    fn comm(&self, message: CommMessage, output: OutputSender) -> BoxFuture<'_, ()> {
        async move {
            let id = &message.comm_id;
            match message.kind {
                CommKind::Open if message.target == "echo" => {}
                CommKind::Open => {
                    output.send(Output::Comm(comm(CommKind::Close, id, "", json!({})))).await;
                }
                CommKind::Message => {
                    let mut answer = comm(CommKind::Message, id, "", message.data);
                    answer.buffers = message.buffers;
                    output.send(Output::Comm(answer)).await;
                }
                CommKind::Close => {}
            }
        }
        .boxed()
    }

    fn shutdown(&self, restart: bool) -> BoxFuture<'_, ()> {
        self.lock().shutdowns.push(restart);
        async {}.boxed()
    }
}
