//! Calls of the prelude that take long or wait for somebody: one press ends each, and what they worked
//! on is there afterwards.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use oxilab_tests::engine::run;
use serde_json::{Value, json};

use super::{Ready, SOON, interrupt, session, survives};

#[tokio::test(flavor = "multi_thread")]
async fn one_press_ends_training_generating_and_a_query_of_many_steps() {
    let mut frontend = session().await;
    let folder = tempfile::tempdir().expect("a folder");
    endless_model(folder.path());
    let load = format!("let mut tiny = llm::Llm::load({:?})?;", folder.path());
    // What is made before, the call, and what is asked of it afterwards.
    let calls = [
        (
            "a trainer",
            "let x = Tensor::arange(0f32, 64.0, &Device::Cpu)?.reshape((64, 1))?.affine(0.02, 0.0)?;\n\
             let loader = nn::DataLoader::new(nn::TensorDataset::new(x.clone(), x.sqr()?)?, 16);\n\
             let net = nn::Mlp::new(1, &[8], 1, 1)?;\n\
             let mut trainer = nn::Trainer::new(net, nn::Optimizer::adam(0.001), nn::Loss::Mse)\
                 .with_epochs(1_000_000_000);",
            "println!(\"go\");\ntrainer.fit(&loader)?;",
            ("trainer.history().last(\"train_loss\").is_some()", "true"),
        ),
        (
            "a language model",
            load.as_str(),
            "println!(\"go\");\n\
             tiny.generate(\"the cat\", &llm::Sampling::greedy().with_max_tokens(1_000_000_000))?;",
            (
                "tiny.generate(\"the cat\", &llm::Sampling::greedy().with_max_tokens(4))?.tokens.len()",
                "4",
            ),
        ),
        (
            "a query",
            "let frame = df!(\"x\" => (0..1_000_000i64).collect::<Vec<_>>())?;",
            "let mut query = frame.clone().lazy();\n\
             for step in 0..300 {\n\
                 let next = (col(\"x\") * lit(7919) + lit(step)) % lit(1_000_003);\n\
                 query = query.with_column(next).sort([\"x\"], SortMultipleOptions::default());\n\
             }\n\
             println!(\"go\");\nquery.collect()?",
            ("frame.height()", "1000000"),
        ),
    ];
    for (what, setup, code, (question, answer)) in calls {
        run(&mut frontend, setup).await;
        let ended = interrupt(&mut frontend, code, Ready::Printed).await;
        println!("{what}: {:?}", ended.took);
        assert!(ended.took < SOON, "{what}: {:?}", ended.took);
        survives(&mut frontend, what).await;
        assert_eq!(run(&mut frontend, question).await.result(), answer, "{what}");
    }
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_press_ends_a_download_that_does_not_come() {
    let mut frontend = session().await;
    let (cache, hub) = (tempfile::tempdir().expect("a folder"), Hub::start());
    let setup = format!(
        "let mirror = hub::Hub::new().with_endpoint({:?}).with_cache({:?})\
             .with_token(\"\").with_offline(false);",
        hub.endpoint(),
        cache.path()
    );
    run(&mut frontend, &setup).await;
    let download = "std::fs::metadata(mirror.get(\"org/tiny\", \"model.bin\")?)?.len()";
    for (what, stalls) in [
        ("a hub that is silent", Behaviour::Silent),
        ("a file that stops coming", Behaviour::Breaks),
    ] {
        hub.behaves(stalls);
        let is_waited_for = || hub.is_waited_for();
        let ended = interrupt(&mut frontend, download, Ready::When(&is_waited_for)).await;
        println!("{what}: {:?}", ended.took);
        assert!(ended.took < SOON, "{what}: {:?}", ended.took);
        survives(&mut frontend, what).await;
    }
    hub.behaves(Behaviour::Well);
    assert_eq!(run(&mut frontend, download).await.result(), LENGTH.to_string());
    frontend.shut_down().await;
}

/// The small model of the library's tests, with endless room for text and nothing that ends it.
fn endless_model(folder: &Path) {
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../prelude/llm/tests/goldens/tiny/llama");
    for file in ["model.safetensors", "tokenizer.json"] {
        fs::copy(source.join(file), folder.join(file)).expect("copies");
    }
    let config = fs::read(source.join("config.json")).expect("is there");
    let mut config: Value = serde_json::from_slice(&config).expect("JSON");
    config["max_position_embeddings"] = json!(1_000_000_000);
    config["eos_token_id"] = Value::Null;
    fs::write(folder.join("config.json"), config.to_string()).expect("writes");
}

/// Bytes of the [`Hub`]'s file.
const LENGTH: usize = 5000;

/// How a [`Hub`] treats who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Behaviour {
    /// It answers.
    #[default]
    Well,
    /// It takes the question and sends nothing.
    Silent,
    /// It stops in the middle of the file.
    Breaks,
}

/// A hub of one file on loopback; ends when dropped.
struct Hub {
    port: u16,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    behaviour: Mutex<Behaviour>,
    /// Whether somebody has asked for what does not come.
    is_waited_for: AtomicBool,
    stop: AtomicBool,
}

impl Hub {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            // Connections that are kept waiting stay open until the end.
            let mut open = Vec::new();
            for connection in listener.incoming() {
                if shared.stop.load(Ordering::SeqCst) {
                    return;
                }
                let mut connection = connection.expect("a connection");
                let behaviour = *shared.behaviour.lock().expect("nobody panicked");
                // One who asked and has gone is nobody to answer.
                if serve(&mut connection, behaviour).is_ok_and(|sent_all| !sent_all) {
                    shared.is_waited_for.store(true, Ordering::SeqCst);
                    open.push(connection);
                }
            }
        });
        Self { port, state, thread: Some(thread) }
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn behaves(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().expect("nobody panicked") = behaviour;
        self.state.is_waited_for.store(false, Ordering::SeqCst);
    }

    fn is_waited_for(&self) -> bool {
        self.state.is_waited_for.load(Ordering::SeqCst)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Answers one request; false where something is left to be sent.
fn serve(connection: &mut TcpStream, behaviour: Behaviour) -> io::Result<bool> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") && reader.read_line(&mut request)? > 0 {}
    if behaviour == Behaviour::Silent {
        return Ok(false);
    }
    let commit = "01".repeat(20);
    connection.write_all(
        format!(
            "HTTP/1.1 200 OK\r\nETag: \"one\"\r\nX-Repo-Commit: {commit}\r\n\
             Content-Length: {LENGTH}\r\nConnection: close\r\n\r\n"
        )
        .as_bytes(),
    )?;
    if !request.starts_with("GET") {
        return Ok(true);
    }
    let sent = if behaviour == Behaviour::Breaks { LENGTH / 2 } else { LENGTH };
    connection.write_all(&vec![7; sent])?;
    Ok(sent == LENGTH)
}
