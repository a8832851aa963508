//! The trainer on small nets: what it promises about resuming, bad batches and stopping.

use candle_core::{Device, Tensor};
use oxilab_nn::error::Result;
use oxilab_nn::{
    DataLoader, Loss, Mlp, NnError, Optimizer, Schedule, TensorDataset, Trainable as _, Trainer,
};

fn loader(poison: bool) -> Result<DataLoader> {
    let x: Vec<f32> = (0..64u8).map(|i| f32::from(i) / 32.0 - 1.0).collect();
    let mut y: Vec<f32> = x.iter().map(|x| x * x).collect();
    if poison {
        y[17] = f32::NAN;
    }
    let x = Tensor::from_vec(x, (64, 1), &Device::Cpu)?;
    let y = Tensor::from_vec(y, (64, 1), &Device::Cpu)?;
    Ok(DataLoader::new(TensorDataset::new(x, y)?, 8).with_shuffle(3))
}

fn trainer(epochs: usize) -> Result<Trainer<Mlp>> {
    let net = Mlp::new(1, &[16, 16], 1, 1)?.with_dropout(0.1);
    Ok(Trainer::new(net, Optimizer::adamw(0.01), Loss::Mse)
        .with_epochs(epochs)
        .with_schedule(Schedule::Cosine { warmup: 3 })
        .with_accumulation(3)
        .with_clip_norm(1.0)
        .with_average(0.9)
        .with_seed(5)
        .quiet())
}

fn weights(trainer: &Trainer<Mlp>) -> Result<Vec<u32>> {
    let mut bits = Vec::new();
    for (_, var) in trainer.model().vars() {
        bits.extend(var.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f32::to_bits));
    }
    Ok(bits)
}

#[test]
fn a_resumed_run_ends_with_the_same_bits() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut whole = trainer(6)?;
    let history = whole.fit(&loader(false)?)?;

    // The first run plans six epochs and stops after three, as after a crash.
    let mut first = trainer(6)?.with_checkpoints(folder.path()).with_consumer(StopAfter(3));
    first.fit(&loader(false)?)?;
    let mut second = trainer(6)?;
    second.resume(folder.path().join("last"))?;
    let resumed = second.fit(&loader(false)?)?;
    assert_eq!(weights(&whole)?, weights(&second)?);
    assert_eq!(history, resumed);
    Ok(())
}

struct StopAfter(usize);

impl oxilab_nn::Consumer for StopAfter {
    fn on_event(
        &mut self,
        event: &oxilab_nn::Event,
        _history: &oxilab_nn::History,
    ) -> Result<oxilab_nn::Flow> {
        Ok(match event {
            oxilab_nn::Event::EpochEnded { epoch, .. } if *epoch >= self.0 => oxilab_nn::Flow::Stop,
            _ => oxilab_nn::Flow::Continue,
        })
    }
}

#[test]
fn a_loss_that_is_not_a_number_names_the_rows_and_keeps_the_parameters_finite() -> Result<()> {
    let mut run = trainer(3)?;
    let error = run.fit(&loader(true)?).expect_err("stopped");
    let NnError::NotFinite { rows, epoch, .. } = &error else { panic!("{error}") };
    assert_eq!(*epoch, 1);
    assert!(rows.split(", ").any(|row| row == "17"), "{error}");
    assert!(weights(&run)?.into_iter().all(|bits| f32::from_bits(bits).is_finite()));
    Ok(())
}

#[test]
fn early_stopping_keeps_the_best_parameters() -> Result<()> {
    // A rate that diverges after a good start.
    let net = Mlp::new(1, &[16], 1, 1)?;
    let mut run = Trainer::new(net, Optimizer::adam(0.02), Loss::Mse)
        .with_epochs(60)
        .with_validation(loader(false)?)
        .quiet()
        .with_early_stopping(0);
    let history = run.fit(&loader(false)?)?;
    let losses = history.metric("valid_loss");
    assert!(losses.len() < 60, "it never stopped");
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let now = run.evaluate(&loader(false)?)?[0].1;
    assert!((now - best).abs() < 1e-6, "{now} {best}");
    Ok(())
}

#[test]
fn a_checkpoint_of_another_model_is_refused_by_name() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    trainer(1)?.save(folder.path().join("last"))?;
    let mut other = Trainer::new(Mlp::new(2, &[4], 1, 0)?, Optimizer::adam(0.1), Loss::Mse).quiet();
    let error = other.resume(folder.path().join("last")).expect_err("refused").to_string();
    assert!(error.contains("layers.0.weight"), "{error}");
    Ok(())
}

#[test]
fn accumulated_batches_step_as_one_large_batch() -> Result<()> {
    let run = |batch: usize, accumulate: usize| -> Result<Vec<f32>> {
        let x = Tensor::arange(0f32, 8.0, &Device::Cpu)?.reshape((8, 1))?;
        let loader = DataLoader::new(TensorDataset::new(x.clone(), (x * 0.5)?)?, batch);
        let net = Mlp::new(1, &[4], 1, 2)?;
        let mut trainer = Trainer::new(net, Optimizer::sgd(0.01), Loss::Mse)
            .with_epochs(2)
            .with_accumulation(accumulate)
            .quiet();
        trainer.fit(&loader)?;
        let (_, var) = trainer.model().vars().swap_remove(0);
        Ok(var.flatten_all()?.to_vec1()?)
    };
    for (a, b) in run(8, 1)?.iter().zip(run(2, 4)?) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    Ok(())
}
