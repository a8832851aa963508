//! Ten minutes of load through two hot swaps, a crash of the model process and an outage of the registry:
//! `soak SERVER [SECONDS [PYTHON [RESULT.md]]]`, `SERVER` the program `oxilab-server`, `PYTHON` one that has
//! MLflow. `cargo xtask bench serve --soak` runs it so.
//!
//! First the most that the server takes is measured, then it is asked at 80 % of that. The model is that of
//! an alias in an MLflow server of the soak's own, which is killed and started again for the outage; without
//! `PYTHON` a file stands for the alias. A request that meets 503 or a broken connection is sent again, as
//! `Retry-After` says; one that is not answered right within ten seconds failed. Prints the failures, the
//! latencies, and how memory moved; a request that failed, a swap that did not happen or memory that moved
//! by more than 3 % ends it with status 1.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oxilab_model::{FittedModel, LogisticRegression};
use oxilab_serve::{Server, get_json, get_text, monitor, save_reference};
use polars::prelude::{DataFrame, df};

const CLIENTS: u32 = 16;
const NAME: &str = "soak";
const ALIAS: &str = "champion";
/// The labels that the two versions know.
const LABELS: [(&str, &str); 2] = [("young", "old"), ("kid", "adult")];
const BODY: &str = "{\"age\": 90, \"city\": \"Oslo\"}";

#[derive(Default)]
struct Counts {
    asked: AtomicU64,
    again: AtomicU64,
    failed: AtomicU64,
    stop: AtomicBool,
    slowest: Mutex<Vec<f64>>,
}

/// What the command line says.
struct Options {
    program: String,
    seconds: u64,
    python: Option<String>,
    result: Option<PathBuf>,
}

impl Options {
    fn parse() -> Self {
        let mut words = std::env::args().skip(1);
        Self {
            program: words.next().expect("the program oxilab-server is needed"),
            seconds: words.next().map_or(600, |word| word.parse().expect("a number of seconds")),
            python: words.next(),
            result: words.next().map(absolute),
        }
    }
}

fn absolute(path: impl AsRef<Path>) -> PathBuf {
    std::path::absolute(path).expect("a working directory")
}

fn main() {
    let options = Options::parse();
    let folder = tempfile::tempdir().expect("a folder");
    let program = absolute(&options.program);
    // The journal that a registry's session keeps lies in the working directory.
    std::env::set_current_dir(folder.path()).expect("a folder of its own");
    let registry = match &options.python {
        Some(python) => Registry::mlflow(python, folder.path()),
        None => Registry::file(folder.path()),
    };
    let server = Server::new("soak", registry.address())
        .with_program(program)
        .with_state_folder(folder.path().join("state"))
        .start()
        .expect("the server starts");
    let url = server.url().to_owned();
    let most = load(&url, Duration::from_secs(5), None, &mut |_| {}).0;
    println!("at most {most:.0} requests a second; {:.0} from now on", most * 0.8);

    let mut told = Told::default();
    let seconds = options.seconds;
    let registry = Arc::new(registry);
    let mut promoting = None;
    let mut each_second = |second: u64| {
        // The model process is another one after the crash.
        if let Some(bytes) = worker(&url).and_then(resident) {
            told.memory.push((second, bytes));
            if second.is_multiple_of(10) {
                println!("{second} s: {:.1} MB", bytes / 1e6);
            }
        }
        let part = |share: u64| second == seconds * share / 10;
        if part(2) {
            registry.point(2);
        } else if part(4) {
            // What the process has counted dies with it.
            told.swaps = swaps(&url);
            kill(worker(&url).expect("a model process"));
        } else if part(6) {
            registry.down();
        } else if part(7) {
            // MLflow takes long to start: requests go on.
            let registry = Arc::clone(&registry);
            promoting = Some(std::thread::spawn(move || {
                registry.up();
                registry.point(1);
            }));
        }
    };
    let (rate, counts) =
        load(&url, Duration::from_secs(seconds), Some(most * 0.8), &mut each_second);
    promoting.expect("the outage ended").join().expect("the registry is back");
    let begun = Instant::now();
    while swaps(&url) == 0 && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(100));
    }
    told.swaps += swaps(&url);
    server.stop().expect("it stops");
    registry.down();

    let (text, holds) = told.report(&options, most, rate, &counts);
    println!("{text}");
    if let Some(path) = &options.result {
        fs::write(path, text).expect("the result can be written");
    }
    std::process::exit(i32::from(!holds));
}

/// Where the model comes from.
enum Registry {
    /// A file that says which of two model files is meant.
    File(PathBuf),
    /// An alias on an MLflow server.
    Mlflow { command: Vec<String>, uri: String, server: Mutex<Option<Child>> },
}

impl Registry {
    fn file(folder: &Path) -> Self {
        for (number, (low, high)) in (1..).zip(LABELS) {
            let path = folder.join(format!("{number}.oxi"));
            model(low, high).save(&path).expect("saved");
            save_reference(&path, &rows(low, high)).expect("saved");
        }
        let registry = Self::File(folder.join("live.alias"));
        registry.point(1);
        registry
    }

    fn mlflow(python: &str, folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("a port").port().to_string();
        drop(listener);
        let database = format!("sqlite:///{}/mlflow.db", folder.display());
        let artifacts = folder.join("artifacts").display().to_string();
        let words = [python, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"];
        let more = ["--port", port.as_str(), "--backend-store-uri", database.as_str()];
        let rest = ["--artifacts-destination", artifacts.as_str()];
        let command = words.iter().chain(&more).chain(&rest).map(ToString::to_string).collect();
        let uri = format!("http://127.0.0.1:{port}");
        let registry = Self::Mlflow { command, uri: uri.clone(), server: Mutex::new(None) };
        registry.up();
        oxilab_track::set_uri(&uri).expect("the registry");
        for (low, high) in LABELS {
            let registered = oxilab_serve::register(&model(low, high), NAME, &rows(low, high));
            println!("registered version {}", registered.expect("registered").version);
        }
        registry.point(1);
        registry
    }

    fn address(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Mlflow { .. } => format!("models:/{NAME}@{ALIAS}"),
        }
    }

    /// Version 1 or 2 is meant from now on.
    fn point(&self, version: u32) {
        match self {
            Self::File(path) => {
                let aside = path.with_extension("new");
                fs::write(&aside, format!("{version}.oxi")).expect("written");
                fs::rename(&aside, path).expect("renamed");
            }
            Self::Mlflow { .. } => {
                oxilab_serve::promote(NAME, version, ALIAS).expect("the alias moves");
            }
        }
        println!("version {version} is meant");
    }

    /// Nobody can tell any more which version is meant.
    fn down(&self) {
        match self {
            Self::File(path) => fs::remove_file(path).expect("removed"),
            Self::Mlflow { server, .. } => {
                let server = server.lock().expect("a server").take();
                end(server.expect("it runs"));
            }
        }
        println!("the registry is down");
    }

    fn up(&self) {
        if let Self::Mlflow { command, uri, server } = self {
            let log = fs::File::create("mlflow.log").expect("a log");
            let started = Command::new(&command[0])
                .args(&command[1..])
                .env("MLFLOW_DISABLE_TELEMETRY", "true")
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("a log"))
                .stderr(log)
                .process_group(0)
                .spawn();
            *server.lock().expect("a server") = Some(started.expect("MLflow starts"));
            let begun = Instant::now();
            while get_text(format!("{uri}/health")).is_err() {
                assert!(begun.elapsed() < Duration::from_secs(180), "MLflow answers");
                std::thread::sleep(Duration::from_millis(200));
            }
        }
        println!("the registry is up");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Self::Mlflow { server, .. } = self
            && let Ok(mut server) = server.lock()
            && let Some(server) = server.take()
        {
            end(server);
        }
    }
}

/// Ends a server with its workers, which are of its group.
fn end(mut server: Child) {
    let group = format!("-{}", server.id());
    let _ = Command::new("kill").args(["-9", "--", &group]).status();
    let _ = server.wait();
}

/// What was seen.
#[derive(Default)]
struct Told {
    /// Second and resident bytes of the model process.
    memory: Vec<(u64, f64)>,
    swaps: u64,
}

impl Told {
    /// The text, and whether all bars hold.
    fn report(&self, options: &Options, most: f64, rate: f64, counts: &Counts) -> (String, bool) {
        let mut latencies = counts.slowest.lock().expect("a list").clone();
        latencies.sort_by(f64::total_cmp);
        let quantile = |share: usize| {
            latencies.get(latencies.len() * share / 1000).copied().unwrap_or(0.0) * 1e3
        };
        let [asked, failed, again] = [&counts.asked, &counts.failed, &counts.again]
            .map(|count| count.load(Ordering::Relaxed));
        let registry = if options.python.is_some() { "an MLflow server" } else { "a file" };
        let mut text = format!(
            "# Soak\n\n{} s at {rate:.0} requests a second, 80 % of the {most:.0} that the server took at most \
             ({CLIENTS} clients on the same machine); the registry is {registry}. Events: a swap at 2/10 of the \
             time, the model process killed at 4/10, the registry away from 6/10 to 7/10, then a swap back.\n\n\
             {asked} requests, {again} sent again (503 or a connection of the killed process); p50 {:.2} ms, \
             p99 {:.2} ms, p99.9 {:.2} ms.\n\n| | | bar | |\n|---|---|---|---|\n",
            options.seconds,
            quantile(500),
            quantile(990),
            quantile(999),
        );
        let mut holds = true;
        let mut row = |name: &str, value: String, bar: &str, held: bool| {
            holds &= held;
            let verdict = if held { "held" } else { "**missed**" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| {name} | {value} | {bar} | {verdict} |");
        };
        row("failed requests", failed.to_string(), "0", failed == 0);
        row("hot swaps", self.swaps.to_string(), "2", self.swaps == 2);
        for (name, from, to) in [("before the crash", 1, 4), ("after it", 5, 10)] {
            let (first, last) = self.memory(options.seconds * from / 10, options.seconds * to / 10);
            let moved = (last / first - 1.0) * 100.0;
            let value = format!("{:.1} MB, then {:.1} MB ({moved:+.1} %)", first / 1e6, last / 1e6);
            row(&format!("memory {name}"), value, "± 3 %", moved.abs() <= 3.0);
        }
        (text, holds)
    }

    /// The mean of the first and of the last third of a time.
    fn memory(&self, from: u64, to: u64) -> (f64, f64) {
        let within = self.memory.iter().filter(|(second, _)| (from..to).contains(second));
        let part: Vec<f64> = within.map(|(_, bytes)| *bytes).collect();
        (mean(&part[..part.len() / 3]), mean(&part[part.len() * 2 / 3..]))
    }
}

fn swaps(url: &str) -> u64 {
    monitor(url).map_or(0, |seen| seen.models[0].swaps)
}

fn kill(pid: u64) {
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
}

fn model(low: &str, high: &str) -> FittedModel {
    LogisticRegression::new().fit(&rows(low, high), "group").expect("a model")
}

fn rows(low: &str, high: &str) -> DataFrame {
    let age = |i: i32| f64::from(i * 7 % 100);
    df!(
        "age" => (0..400).map(age).collect::<Vec<_>>(),
        "city" => (0..400).map(|i| if i % 2 == 0 { "Rome" } else { "Oslo" }).collect::<Vec<_>>(),
        "group" => (0..400).map(|i| if age(i) > 50.0 { high } else { low }).collect::<Vec<_>>(),
    )
    .expect("a frame")
}

/// Asks for a while; the requests a second and what came of them. `each_second` is told the second.
fn load(
    url: &str,
    time: Duration,
    rate: Option<f64>,
    each_second: &mut dyn FnMut(u64),
) -> (f64, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let address = url.trim_start_matches("http://").to_owned();
    let begun = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (counts, address) = (Arc::clone(&counts), address.clone());
            std::thread::spawn(move || {
                client(&address, &counts, rate.map(|rate| rate / f64::from(CLIENTS)))
            })
        })
        .collect();
    for second in 0.. {
        if begun.elapsed() >= time {
            break;
        }
        each_second(second);
        std::thread::sleep(
            (begun + Duration::from_secs(second + 1)).saturating_duration_since(Instant::now()),
        );
    }
    counts.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("no panic");
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let rate = counts.asked.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    (rate, counts)
}

fn client(address: &str, counts: &Counts, rate: Option<f64>) {
    let mut connection = None;
    let mut due = Instant::now();
    while !counts.stop.load(Ordering::Relaxed) {
        if let Some(rate) = rate {
            due += Duration::from_secs_f64(1.0 / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let begun = Instant::now();
        let number = counts.asked.fetch_add(1, Ordering::Relaxed);
        loop {
            match ask(&mut connection, address) {
                Ok(200) => break,
                Ok(503) | Err(_) if begun.elapsed() < Duration::from_secs(10) => {
                    counts.again.fetch_add(1, Ordering::Relaxed);
                    connection = None;
                    std::thread::sleep(Duration::from_millis(20));
                    due = Instant::now();
                }
                _ => {
                    counts.failed.fetch_add(1, Ordering::Relaxed);
                    connection = None;
                    break;
                }
            }
        }
        if number % 16 == 0 {
            counts.slowest.lock().expect("a list").push(begun.elapsed().as_secs_f64());
        }
    }
}

/// One request on a connection that is kept; the status.
fn ask(connection: &mut Option<BufReader<TcpStream>>, address: &str) -> std::io::Result<u16> {
    if connection.is_none() {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        *connection = Some(BufReader::new(stream));
    }
    let Some(reader) = connection else { return Err(std::io::ErrorKind::NotConnected.into()) };
    let head = format!(
        "POST /predict HTTP/1.1\r\nhost: soak\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    reader.get_mut().write_all(head.as_bytes())?;
    let (mut status, mut length, mut closes) = (0, 0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest.split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(0);
        } else if let Some(rest) = line.strip_prefix("content-length: ") {
            length = rest.parse().unwrap_or(0);
        } else if line == "connection: close" {
            closes = true;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if closes {
        *connection = None;
    }
    let right = status != 200
        || body.windows(5).any(|w| w == b"\"old\"")
        || body.windows(7).any(|w| w == b"\"adult\"");
    if right { Ok(status) } else { Ok(0) }
}

fn worker(url: &str) -> Option<u64> {
    get_json(format!("{url}/health")).ok()?["worker"].as_u64()
}

/// Resident bytes of a process.
fn resident(pid: u64) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kb| kb * 1024.0)
}

#[expect(clippy::cast_precision_loss, reason = "a count of seconds")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
