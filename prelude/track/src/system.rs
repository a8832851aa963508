//! [`Sampler`]: how busy the machine is while a run goes on, under MLflow's names.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Run;

/// How often.
const EVERY: Duration = Duration::from_secs(10);
/// The first sample comes early, so that short runs have one.
const FIRST: Duration = Duration::from_millis(500);

/// Logs `system/…` metrics of a run every ten seconds and at its end. Dropping it stops it.
pub(crate) struct Sampler {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    /// Starts it. Without a thread there are no system metrics.
    pub(crate) fn start(run: &Run) -> Self {
        // Not kept going by its own sampler.
        let run = run.downgrade();
        let (stop, stopped) = channel::<()>();
        let sample = move || {
            let (mut busy, mut number, mut pause) = (processor(), 0_i64, FIRST);
            loop {
                let ended = stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout);
                pause = EVERY;
                let now = processor();
                let metrics = sample(busy, now);
                busy = now;
                match run.upgrade() {
                    // A run that has ended takes no more.
                    Some(run) => drop(run.log_metrics(metrics, number)),
                    None => return,
                }
                number += 1;
                if ended {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("oxilab-track-system".to_owned());
        Self { stop: Some(stop), thread: thread.spawn(sample).ok() }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic of the sampler was printed by the hook already.
            drop(thread.join());
        }
    }
}

/// Ticks that the processors were busy, and all ticks.
fn processor() -> (f64, f64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<f64> =
        line.split_whitespace().skip(1).filter_map(|ticks| ticks.parse().ok()).collect();
    let all: f64 = ticks.iter().take(8).sum();
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    (all - idle, all)
}

fn sample(before: (f64, f64), now: (f64, f64)) -> Vec<(String, f64)> {
    const MEGABYTE: f64 = 1e6;
    let mut metrics = Vec::new();
    let mut push = |name: &str, value: f64| metrics.push((format!("system/{name}"), value));
    let ticks = now.1 - before.1;
    if ticks > 0.0 {
        push("cpu_utilization_percentage", 100.0 * (now.0 - before.0) / ticks);
    }
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let bytes = |name: &str| kilobytes(&memory, name).map(|kilobytes| kilobytes * 1024.0);
    if let (Some(total), Some(free)) = (bytes("MemTotal:"), bytes("MemAvailable:")) {
        push("system_memory_usage_megabytes", (total - free) / MEGABYTE);
        push("system_memory_usage_percentage", 100.0 * (total - free) / total);
    }
    let own = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kilobytes) = kilobytes(&own, "VmRSS:") {
        push("process_memory_usage_megabytes", kilobytes * 1024.0 / MEGABYTE);
    }
    for (index, used, memory) in graphics() {
        push(&format!("gpu_{index}_utilization_percentage"), used);
        push(&format!("gpu_{index}_memory_usage_megabytes"), memory);
    }
    metrics
}

fn kilobytes(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Number, use in percent and memory in megabytes of NVIDIA's cards, where their driver is.
fn graphics() -> Vec<(usize, f64, f64)> {
    if !std::path::Path::new("/proc/driver/nvidia/version").exists() {
        return Vec::new();
    }
    let mut tool = Command::new("nvidia-smi");
    tool.args(["--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]);
    let Ok(output) = tool.stdin(Stdio::null()).stderr(Stdio::null()).output() else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let cards = text.lines().enumerate().filter_map(|(index, line)| {
        let (used, memory) = line.split_once(',')?;
        Some((index, used.trim().parse().ok()?, memory.trim().parse::<f64>().ok()? * 1.048_576))
    });
    cards.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_processor_and_memory() {
        let metrics = sample((0.0, 0.0), (25.0, 100.0));
        let value = |name: &str| metrics.iter().find(|(key, _)| key == name).expect(name).1;
        assert!((value("system/cpu_utilization_percentage") - 25.0).abs() < 1e-9);
        let used = value("system/system_memory_usage_percentage");
        assert!(used > 0.0 && used < 100.0, "{used}");
        assert!(value("system/process_memory_usage_megabytes") > 0.1);
    }
}
