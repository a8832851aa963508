//! The rate of every step under every schedule, in a run and in one that is taken up again.

use candle_core::{Device, Tensor};
use oxilab_nn::error::Result;
use oxilab_nn::{DataLoader, Loss, Mlp, Optimizer, Schedule, TensorDataset, Trainer};

use super::StopAfter;

const BASE: f64 = 0.02;

/// Five steps an epoch.
fn loader() -> Result<DataLoader> {
    let x = Tensor::arange(0f32, 20.0, &Device::Cpu)?.reshape((20, 1))?;
    Ok(DataLoader::new(TensorDataset::new(x.clone(), x)?, 4).with_shuffle(1))
}

fn trainer(schedule: Schedule, epochs: usize) -> Result<Trainer<Mlp>> {
    let net = Mlp::new(1, &[], 1, 1)?;
    // A loss that never falls, for a plateau.
    let loss = Loss::custom(|output, _| (output.sum_all()? * 0.0)? + 1.0);
    Ok(Trainer::new(net, Optimizer::sgd(BASE), loss)
        .with_epochs(epochs)
        .with_schedule(schedule)
        .quiet())
}

fn rates(trainer: &Trainer<Mlp>) -> Vec<f64> {
    trainer.history().steps().iter().map(|step| step.learning_rate).collect()
}

/// Compares the rates of all steps, as parts of the base rate.
fn has_rates(schedule: Schedule, expected: &[f64]) -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let epochs = expected.len() / 5;
    let mut whole = trainer(schedule, epochs)?;
    whole.fit(&loader()?)?;
    let found = rates(&whole);
    assert_eq!(found.len(), expected.len());
    for (step, (rate, expected)) in found.iter().zip(expected).enumerate() {
        let apart = (rate / BASE - expected).abs();
        assert!(apart < 1e-8, "{schedule:?}, step {step}: {} {expected}", rate / BASE);
    }
    for stop in 1..epochs {
        let mut first = trainer(schedule, epochs)?
            .with_checkpoints(folder.path())
            .with_consumer(StopAfter(stop));
        first.fit(&loader()?)?;
        let mut second = trainer(schedule, epochs)?;
        second.resume(folder.path().join("last"))?;
        second.fit(&loader()?)?;
        assert_eq!(rates(&second), found, "{schedule:?}, resumed behind epoch {stop}");
    }
    Ok(())
}

#[test]
fn a_warm_up_rises_by_equal_steps() -> Result<()> {
    let mut expected = [1.0; 20];
    expected[..4].copy_from_slice(&[0.2, 0.4, 0.6, 0.8]);
    has_rates(Schedule::Warmup { warmup: 4 }, &expected)?;
    // Sixteen steps down to zero, which is the step behind the last.
    for (step, rate) in (0u8..).zip(&mut expected[4..]) {
        *rate = 1.0 - f64::from(step) / 16.0;
    }
    has_rates(Schedule::Linear { warmup: 4 }, &expected)
}

#[test]
fn a_cosine_falls_from_the_base_rate_to_nothing() -> Result<()> {
    // (1 + cos(π s / 16)) / 2 behind the warm-up.
    let expected = [
        0.2,
        0.4,
        0.6,
        0.8,
        1.0,
        0.990_392_64,
        0.961_939_766,
        0.915_734_806,
        0.853_553_391,
        0.777_785_117,
        0.691_341_716,
        0.597_545_161,
        0.5,
        0.402_454_839,
        0.308_658_284,
        0.222_214_883,
        0.146_446_609,
        0.084_265_194,
        0.038_060_234,
        0.009_607_36,
    ];
    has_rates(Schedule::Cosine { warmup: 4 }, &expected)
}

#[test]
fn one_cycle_is_pytorchs() -> Result<()> {
    // `OneCycleLR(max_lr=1, total_steps=20)` by the formulas of its documentation (`pct_start` 0.3,
    // `div_factor` 25, `final_div_factor` 1e4): from 1 / 25 along a cosine to the peak at step
    // 0.3 · 20 - 1, and along another to 1 / 25 / 1e4 at the last step.
    let expected = [
        0.04,
        0.131_671_843,
        0.371_671_843,
        0.668_328_157,
        0.908_328_157,
        1.0,
        0.987_464_006,
        0.950_484_632,
        0.890_916_178,
        0.811_745_654,
        0.716_943_002,
        0.611_262_022,
        0.500_002,
        0.388_741_978,
        0.283_060_998,
        0.188_258_346,
        0.109_087_822,
        0.049_519_368,
        0.012_539_994,
        4e-6,
    ];
    has_rates(Schedule::OneCycle, &expected)
}

#[test]
fn steps_and_plateaus_drop_between_epochs() -> Result<()> {
    let by_epoch = |factors: &[f64]| factors.iter().flat_map(|f| [*f; 5]).collect::<Vec<f64>>();
    let steps = Schedule::Step { every: 2, factor: 0.1 };
    has_rates(steps, &by_epoch(&[1.0, 1.0, 0.1, 0.1, 0.01]))?;
    // The first epoch is the best; the second bad one behind it is one more than is waited for.
    let plateau = Schedule::Plateau { patience: 1, factor: 0.5 };
    has_rates(plateau, &by_epoch(&[1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25]))
}
