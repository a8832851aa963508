//! One side of `cargo xtask bench llm`, a process for each figure so that its memory is its own:
//!
//! * `measure speed MODEL [llama-cpp]`: prompt and generation, 256 and 64 tokens; by llama.cpp, if built
//!   with the feature `llama-cpp`.
//! * `measure train MODEL STEPS`: LoRA steps at 1 × 256 tokens with gradient checkpointing; on a GGUF
//!   model this is QLoRA.
//! * `measure save MODEL FOLDER`: the model as `f32` safetensors, for the other side.
//!
//! Prints one line of JSON.

use std::time::{Duration, Instant};

use oxilab_llm::error::Result;
use oxilab_llm::{Example, Llm, LlmError, Lora, SftTrainer, benchmark};
use oxilab_nn::{Consumer, Event, Flow, History};
use serde_json::json;

fn main() -> Result<()> {
    // As the worker does, in whose cells people generate and train.
    oxilab_runtime::memory::keep_freed();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let line = match arguments[..] {
        ["speed", model] => speed(Llm::load(model)?)?,
        #[cfg(feature = "llama-cpp")]
        ["speed", model, "llama-cpp"] => speed(Llm::load(model)?.with_llama_cpp()?)?,
        ["train", model, steps] => train(model, steps.parse().unwrap_or(6))?,
        ["save", model, folder] => {
            Llm::load(model)?.save(folder)?;
            json!({"saved": folder})
        }
        _ => {
            return Err(LlmError::Setting {
                setting: "arguments",
                value: arguments.join(" "),
                expected: "speed MODEL, train MODEL STEPS or save MODEL FOLDER".to_owned(),
            });
        }
    };
    println!("{line}");
    Ok(())
}

fn speed(mut llm: Llm) -> Result<serde_json::Value> {
    let measured = benchmark(&mut llm)?;
    Ok(json!({"prompt": measured.prompt_speed, "generation": measured.speed,
              "peak": measured.peak, "weights": measured.weights}))
}

struct Clock {
    last: Instant,
    times: std::sync::mpsc::Sender<Duration>,
}

impl Consumer for Clock {
    fn on_event(&mut self, event: &Event, _: &History) -> oxilab_nn::error::Result<Flow> {
        match event {
            Event::Started { .. } => self.last = Instant::now(),
            Event::Step { .. } => {
                let _ = self.times.send(self.last.elapsed());
                self.last = Instant::now();
            }
            _ => {}
        }
        Ok(Flow::Continue)
    }
}

fn train(model: &str, steps: usize) -> Result<serde_json::Value> {
    let mut llm = Llm::load(model)?;
    let text = "The lamp over the door of the Blue Lantern burns all night, and the cat sleeps. "
        .repeat(30);
    let examples = vec![Example::completion("The", text); steps];
    let (times, received) = std::sync::mpsc::channel();
    let history = SftTrainer::new(Lora::new(8))
        .with_epochs(1)
        .with_batch_size(1)
        .with_max_length(256)
        .with_gradient_checkpointing()
        .quiet()
        .with_consumer(Clock { last: Instant::now(), times })
        .fit(&mut llm, &examples)?;
    // The first step warms up.
    let mut times: Vec<f64> = received.into_iter().skip(1).map(|time| time.as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    let losses: Vec<f64> = history.steps().iter().map(|step| step.loss).collect();
    Ok(json!({"step": times.get(times.len() / 2), "losses": losses,
              "peak": oxilab_nn::memory::peak_resident(), "weights": llm.model().bytes()}))
}
