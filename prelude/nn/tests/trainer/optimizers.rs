//! Optimisers against PyTorch's formulas; `goldens/optimizers.py` made the numbers.

use candle_core::{Device, Var};
use oxilab_nn::Optimizer;
use oxilab_nn::error::Result;
use oxilab_nn::optim::Gradients;
use serde::Deserialize;

#[derive(Deserialize)]
struct Goldens {
    start: Vec<f32>,
    coefficients: Vec<f32>,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    name: String,
    /// The rate of each step.
    rates: Vec<f64>,
    /// The values behind each step.
    values: Vec<Vec<f32>>,
}

fn optimizer(name: &str) -> Optimizer {
    match name {
        "sgd, decay" => Optimizer::sgd(0.1).with_weight_decay(0.1),
        "sgd, momentum" => Optimizer::sgd(0.1).with_momentum(0.9),
        "sgd, momentum, decay" => Optimizer::sgd(0.1).with_momentum(0.9).with_weight_decay(0.1),
        "sgd, nesterov, decay" => {
            Optimizer::sgd(0.1).with_momentum(0.9).with_nesterov().with_weight_decay(0.1)
        }
        "adam, decay" => Optimizer::adam(0.1).with_weight_decay(0.1),
        "adam, betas" => Optimizer::adam(0.1).with_betas(0.8, 0.95),
        "adamw" => Optimizer::adamw(0.1).with_weight_decay(0.1),
        "rmsprop" => Optimizer::rmsprop(0.1),
        "rmsprop, momentum" => Optimizer::rmsprop(0.1).with_momentum(0.9),
        "rmsprop, momentum, decay" => {
            Optimizer::rmsprop(0.1).with_momentum(0.9).with_weight_decay(0.1)
        }
        name => panic!("no optimiser for {name:?}"),
    }
}

#[test]
fn every_step_is_pytorchs() -> Result<()> {
    let goldens: Goldens =
        serde_json::from_str(include_str!("../goldens/optimizers.json")).expect("committed JSON");
    assert_eq!(goldens.runs.len(), 10);
    for run in goldens.runs {
        let mut optimizer = optimizer(&run.name);
        let var = Var::new(goldens.start.as_slice(), &Device::Cpu)?;
        let vars = [("w".to_owned(), var.clone())];
        for (step, (rate, theirs)) in run.rates.iter().zip(&run.values).enumerate() {
            // That of Σ c x⁴ / 4.
            let values = var.to_vec1::<f32>()?;
            let grad = values.iter().zip(&goldens.coefficients).map(|(x, c)| c * x.powi(3));
            let grads = Gradients::from([("w".to_owned(), grad.collect())]);
            optimizer.step(&vars, &grads, *rate)?;
            let ours = var.to_vec1::<f32>()?;
            let apart = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-5, "{}, step {step}: {ours:?} {theirs:?}", run.name);
        }
    }
    Ok(())
}
