//! What `cargo xtask bench nn` measures on this side: `measure_nn MINILM_FOLDER TEXTS.json` prints one line
//! of JSON for each of a perceptron's training step, a convolutional net's, and sentence embeddings.
//!
//! The nets, batches and optimisers are those of `benches/nn_peers.py`.

use std::time::Instant;

use candle_core::{Device, Tensor};
use oxilab_llm::Embedder;
use oxilab_nn::{
    Cnn, Consumer, DataLoader, Event, Flow, History, Loss, Mlp, Optimizer, TensorDataset,
    Trainable, Trainer,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const WARM_UP: usize = 10;

fn main() -> Result<()> {
    // As the worker does, in whose cells people train.
    oxilab_runtime::memory::keep_freed();
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(texts)) = (arguments.next(), arguments.next()) else {
        return Err("usage: measure_nn MINILM_FOLDER TEXTS.json".into());
    };
    let mlp = Mlp::new(784, &[512, 256], 10, 0)?;
    report("mlp", step(mlp, &[784], 128, 110)?);
    report("cnn", step(Cnn::new(1, 28, &[32, 64], 10, 0)?, &[1, 28, 28], 64, 30)?);

    let texts: Vec<String> = serde_json::from_slice(&std::fs::read(texts)?)?;
    let embedder = Embedder::load(folder)?;
    embedder.embed(&texts[..64.min(texts.len())])?;
    let start = Instant::now();
    let vectors = embedder.embed(&texts)?;
    report("embed", start.elapsed().as_secs_f64());
    let first = vectors.get(0)?.narrow(0, 0, 8)?.to_vec1::<f32>()?;
    println!("{}", serde_json::json!({"name": "vector", "values": first}));
    Ok(())
}

fn report(name: &str, seconds: f64) {
    println!("{}", serde_json::json!({"name": name, "seconds": seconds}));
}

/// The median seconds of a training step: batch, forward, loss, backward, `AdamW`.
fn step(model: impl Trainable, shape: &[usize], batch: usize, steps: usize) -> Result<f64> {
    let rows = batch * 8;
    let mut rng = StdRng::seed_from_u64(0);
    let count = rows * shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    let classes: Vec<u32> = (0..rows).map(|_| rng.random_range(0..10)).collect();
    let input = Tensor::from_vec(values, [&[rows], shape].concat(), &Device::Cpu)?;
    let target = Tensor::from_vec(classes, rows, &Device::Cpu)?;
    let loader = DataLoader::new(TensorDataset::new(input, target)?, batch).with_shuffle(0);
    let times = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let clock = Clock { last: Instant::now(), times: std::sync::Arc::clone(&times) };
    Trainer::new(model, Optimizer::adamw(1e-3), Loss::CrossEntropy)
        .with_epochs(steps.div_ceil(8))
        .quiet()
        .with_consumer(clock)
        .fit(&loader)?;
    let mut times = times.lock().map_err(|_| "a listener panicked")?.split_off(WARM_UP);
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

struct Clock {
    last: Instant,
    times: std::sync::Arc<std::sync::Mutex<Vec<f64>>>,
}

impl Consumer for Clock {
    fn on_event(&mut self, event: &Event, _: &History) -> oxilab_nn::error::Result<Flow> {
        if matches!(event, Event::Step { .. }) {
            if let Ok(mut times) = self.times.lock() {
                times.push(self.last.elapsed().as_secs_f64());
            }
            self.last = Instant::now();
        }
        Ok(Flow::Continue)
    }
}
