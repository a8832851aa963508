//! Logs metrics to the server that `MLFLOW_TRACKING_URI` names, and says how long it took, as JSON: what
//! `cargo xtask bench track` measures, and what the long fault test kills servers under.
//!
//! `log COUNT [PAUSE_MICROSECONDS]`

use std::time::{Duration, Instant};

use oxilab_track as track;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: u32 = arguments.next().unwrap_or_else(|| "100000".to_owned()).parse()?;
    let pause: u64 = arguments.next().unwrap_or_else(|| "0".to_owned()).parse()?;
    track::experiment("bench")?;
    let run = track::start_run("oxilab")?;
    let start = Instant::now();
    for step in 0..count {
        run.log_metric("loss", 1.0 / f64::from(step + 1), step)?;
        if pause > 0 {
            std::thread::sleep(Duration::from_micros(pause));
        }
    }
    let caller = start.elapsed();
    run.end()?;
    let all = start.elapsed();
    println!(
        "{{\"run\": {:?}, \"caller_us\": {:.3}, \"seconds\": {:.3}}}",
        run.id(),
        caller.as_secs_f64() * 1e6 / f64::from(count.max(1)),
        all.as_secs_f64()
    );
    Ok(())
}
