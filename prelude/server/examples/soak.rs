//! Ten minutes of load through two hot swaps, a crash of the model process and an outage of the registry:
//! `soak SERVER [SECONDS]`, `SERVER` the program `oxilab-server`.
//!
//! First the most that the server takes is measured, then it is asked at 80 % of that. A request that
//! meets 503 or a broken connection is sent again, as `Retry-After` says; one that is not answered right
//! within ten seconds failed. Prints the failures, the latencies, and how memory moved.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oxilab_model::LogisticRegression;
use oxilab_serve::{Server, get_json, monitor, save_reference};
use polars::prelude::{DataFrame, df};

const CLIENTS: u32 = 4;
const BODY: &str = "{\"age\": 90, \"city\": \"Oslo\"}";

#[derive(Default)]
struct Counts {
    asked: AtomicU64,
    again: AtomicU64,
    failed: AtomicU64,
    stop: AtomicBool,
    slowest: Mutex<Vec<f64>>,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let program = words.first().expect("the program oxilab-server is needed");
    let seconds: u64 = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(600);
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for (name, low, high) in [("one.oxi", "young", "old"), ("two.oxi", "kid", "adult")] {
        let rows = rows(low, high);
        let model = LogisticRegression::new().fit(&rows, "group").expect("a model");
        model.save(path(name)).expect("saved");
        save_reference(path(name), &rows).expect("saved");
    }
    let alias = path("live.alias");
    point(&alias, "one.oxi");
    let server = Server::new("soak", alias.display().to_string())
        .with_program(program)
        .with_state_folder(path("state"))
        .start()
        .expect("the server starts");
    let url = server.url().to_owned();

    let most = load(&url, Duration::from_secs(5), None, &mut |_| {}).0;
    println!("at most {most:.0} requests a second; {:.0} from now on", most * 0.8);
    let mut memory = Vec::new();
    let mut at = |second: u64| {
        // The model process is another one after the crash.
        if let Some(bytes) = worker(&url).and_then(resident) {
            memory.push((second, bytes));
        }
        let part = |share: u64| second == seconds * share / 10;
        if part(2) {
            point(&alias, "two.oxi");
        } else if part(4) {
            let pid = worker(&url).expect("a model process");
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        } else if part(6) {
            fs::remove_file(&alias).expect("removed");
        } else if part(7) {
            point(&alias, "one.oxi");
        }
    };
    let (rate, counts) = load(&url, Duration::from_secs(seconds), Some(most * 0.8), &mut at);
    let swaps = monitor(&url).expect("it answers").models[0].swaps;
    server.stop().expect("it stops");

    let mut latencies = counts.slowest.lock().expect("a list").clone();
    latencies.sort_by(f64::total_cmp);
    let quantile =
        |share: usize| latencies.get(latencies.len() * share / 1000).copied().unwrap_or(0.0) * 1e3;
    println!(
        "{} requests, {rate:.0} a second; {} failed, {} sent again; p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms; {swaps} swaps since the crash",
        counts.asked.load(Ordering::Relaxed),
        counts.failed.load(Ordering::Relaxed),
        counts.again.load(Ordering::Relaxed),
        quantile(500),
        quantile(990),
        quantile(999),
    );
    for (name, from, to) in [("before the crash", 1, 4), ("after it", 5, 10)] {
        let part: Vec<f64> = memory
            .iter()
            .filter(|(second, _)| (seconds * from / 10..seconds * to / 10).contains(second))
            .map(|(_, bytes)| *bytes)
            .collect();
        let (first, last) = (mean(&part[..part.len() / 3]), mean(&part[part.len() * 2 / 3..]));
        println!(
            "memory {name}: {:.1} MB, then {:.1} MB ({:+.1} %)",
            first / 1e6,
            last / 1e6,
            (last / first - 1.0) * 100.0
        );
    }
    std::process::exit(i32::from(counts.failed.load(Ordering::Relaxed) > 0));
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

fn point(alias: &Path, target: &str) {
    let aside: PathBuf = alias.with_extension("new");
    fs::write(&aside, target).expect("written");
    fs::rename(&aside, alias).expect("renamed");
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
