//! The trainer on small nets: what it promises about resuming, bad batches and stopping.

mod events;
mod going_on;
mod optimizers;
mod panics;
mod schedules;

use candle_core::{Device, Tensor};
use oxilab_nn::error::Result;
use oxilab_nn::{
    Cnn, DataLoader, Loss, Mlp, NnError, Optimizer, Schedule, TensorDataset, Trainable as _,
    Trainer,
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

/// A listener that ends the run with an error, as a full disk or an interrupt does.
struct FailAt(usize);

impl oxilab_nn::Consumer for FailAt {
    fn on_event(
        &mut self,
        event: &oxilab_nn::Event,
        _history: &oxilab_nn::History,
    ) -> Result<oxilab_nn::Flow> {
        match event {
            oxilab_nn::Event::Step { step, .. } if *step == self.0 => Err(NnError::NoData),
            _ => Ok(oxilab_nn::Flow::Continue),
        }
    }
}

fn pictures() -> Result<DataLoader> {
    let pixels: Vec<f32> = (0..24 * 16u16).map(|i| f32::from(i * 37 % 101) / 101.0).collect();
    let pixels = Tensor::from_vec(pixels, (24, 1, 4, 4), &Device::Cpu)?;
    let classes =
        Tensor::from_vec((0..24u32).map(|i| i % 3).collect::<Vec<_>>(), 24, &Device::Cpu)?;
    Ok(DataLoader::new(TensorDataset::new(pixels, classes)?, 4).with_shuffle(1))
}

fn cnn() -> Result<Trainer<Cnn>> {
    let net = Cnn::new(1, 4, &[4], 3, 1)?.with_dropout(0.2);
    let optimizer = Optimizer::sgd(0.05).with_momentum(0.9);
    Ok(Trainer::new(net, optimizer, Loss::CrossEntropy).with_epochs(4).quiet())
}

fn everything(trainer: &Trainer<Cnn>) -> Result<Vec<Vec<u32>>> {
    let model = trainer.model();
    let vars = model.vars().into_iter().chain(model.buffers());
    let bits = |var: candle_core::Var| -> Result<Vec<u32>> {
        Ok(var.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f32::to_bits).collect())
    };
    vars.map(|(_, var)| bits(var)).collect()
}

#[test]
fn a_run_that_broke_off_inside_an_epoch_resumes_with_the_same_bits_and_statistics() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut whole = cnn()?;
    whole.fit(&pictures()?)?;
    for step in [2, 8, 13] {
        let mut first = cnn()?.with_consumer(FailAt(step));
        assert!(first.fit(&pictures()?).is_err());
        first.save(folder.path().join("last"))?;
        let mut second = cnn()?;
        second.resume(folder.path().join("last"))?;
        second.fit(&pictures()?)?;
        assert_eq!(everything(&whole)?, everything(&second)?, "step {step}");
    }
    Ok(())
}

#[test]
fn a_bad_batch_leaves_the_running_statistics_as_they_were() -> Result<()> {
    let mut run = cnn()?;
    run.fit(&pictures()?)?;
    let before = everything(&run)?;
    let pixels = Tensor::full(f32::NAN, (4, 1, 4, 4), &Device::Cpu)?;
    let classes = Tensor::zeros(4, candle_core::DType::U32, &Device::Cpu)?;
    let bad = DataLoader::new(TensorDataset::new(pixels, classes)?, 4);
    let mut run = run.with_epochs(5);
    let error = run.fit(&bad).expect_err("stopped");
    assert!(matches!(error, NnError::NotFinite { .. }), "{error}");
    assert_eq!(before, everything(&run)?);
    Ok(())
}

#[test]
fn early_stopping_waits_on_over_a_resume_and_knows_the_best_of_before() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let make = |epochs: usize| -> Result<Trainer<Mlp>> {
        let net = Mlp::new(1, &[16], 1, 1)?;
        Ok(Trainer::new(net, Optimizer::adam(0.02), Loss::Mse)
            .with_epochs(epochs)
            .with_validation(loader(false)?)
            .quiet()
            .with_early_stopping(2))
    };
    let mut whole = make(80)?.with_checkpoints(folder.path().join("whole"));
    let history = whole.fit(&loader(false)?)?;
    let stopped = history.epochs().len();
    assert!(stopped < 80, "it never stopped");
    // The constant schedule does not look at the planned epochs.
    let mut first = make(stopped - 2)?.with_checkpoints(folder.path().join("half"));
    first.fit(&loader(false)?)?;
    let mut second = make(80)?.with_checkpoints(folder.path().join("half"));
    second.resume(folder.path().join("half/last"))?;
    assert_eq!(second.fit(&loader(false)?)?.epochs().len(), stopped);
    assert_eq!(weights(&whole)?, weights(&second)?);
    Ok(())
}

/// A limit on the size of files stands for a full disk. It holds for the whole process, so the test
/// starts itself anew for it.
#[test]
fn a_full_disk_leaves_the_old_checkpoint() -> Result<()> {
    const CHILD: &str = "OXILAB_TEST_FULL_DISK";
    if let Some(folder) = std::env::var_os(CHILD) {
        return on_a_full_disk(folder.as_ref());
    }
    let folder = tempfile::tempdir().expect("a folder");
    trainer(1)?.save(folder.path().join("last"))?;
    let name = "a_full_disk_leaves_the_old_checkpoint";
    let child = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, folder.path())
        .output()
        .expect("started");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .expect("readable")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["last"], "nothing is left over");
    trainer(1)?.resume(folder.path().join("last"))
}

#[expect(unsafe_code, reason = "the limit is the system's")]
fn on_a_full_disk(folder: &std::path::Path) -> Result<()> {
    let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
    // SAFETY: both calls take plain values; the limit is read before the call returns.
    let set = unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit)
    };
    assert_eq!(set, 0);
    let net = Mlp::new(1, &[16, 400], 1, 1)?;
    let mut run = Trainer::new(net, Optimizer::adam(0.01), Loss::Mse)
        .with_epochs(1)
        .with_checkpoints(folder)
        .quiet();
    let error = run.fit(&loader(false)?).expect_err("the disk is full").to_string();
    assert!(error.contains("large") || error.contains("space"), "{error}");
    assert!(run.evaluate(&loader(false)?)?[0].1.is_finite(), "the model is usable");
    Ok(())
}

#[test]
fn a_checkpoint_that_was_cut_off_is_refused_by_name() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let last = folder.path().join("last");
    trainer(1)?.save(&last)?;
    for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
        let path = last.join(file);
        let whole = std::fs::read(&path).expect("readable");
        std::fs::write(&path, &whole[..whole.len() / 2]).expect("written");
        let error = trainer(1)?.resume(&last).expect_err("damaged").to_string();
        assert!(error.contains(file), "{error}");
        std::fs::write(&path, whole).expect("written");
    }
    trainer(1)?.resume(&last)
}

#[test]
fn pytorch_files_give_tensors_and_weights_survive_a_file() -> Result<()> {
    let goldens = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../hub/tests/goldens");
    let tensors = oxilab_nn::load_tensors(goldens.join("state.pt"))?;
    let transposed = tensors["transposed"].to_vec2::<f32>()?;
    assert_eq!(transposed[1], [1.0, 5.0, 9.0]);
    assert_eq!(tensors["int"].to_vec1::<i64>()?, [7, -7]);
    assert_eq!(tensors["half"].to_dtype(candle_core::DType::F32)?.to_vec1::<f32>()?, [1.5, -2.0]);
    let error =
        oxilab_nn::load_tensors(goldens.join("module.pt")).expect_err("a module").to_string();
    assert!(error.contains("state_dict()"), "{error}");

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("net.safetensors");
    let net = Mlp::new(2, &[3], 1, 7)?;
    oxilab_nn::save_weights(&net, &path)?;
    let other = Mlp::new(2, &[3], 1, 8)?;
    oxilab_nn::assign(&other, &oxilab_nn::load_tensors(&path)?, &[])?;
    for ((name, ours), (_, theirs)) in net.vars().into_iter().zip(other.vars()) {
        let [ours, theirs] = [ours, theirs].map(|var| var.flatten_all()?.to_vec1::<f32>());
        assert_eq!(ours?, theirs?, "{name}");
    }
    Ok(())
}

#[test]
fn a_loss_that_is_not_a_number_names_the_rows_and_keeps_the_parameters_finite() -> Result<()> {
    let mut run = trainer(3)?;
    let error = run.fit(&loader(true)?).expect_err("stopped");
    let NnError::NotFinite { rows, epoch, .. } = &error else { panic!("{error}") };
    assert_eq!(*epoch, 1);
    assert!(rows.split(", ").any(|row| row == "17"), "{error}");
    assert!(error.to_string().contains("those before this batch"), "{error}");
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

#[test]
fn quiet_leaves_early_stopping_and_other_listeners() -> Result<()> {
    let make = || -> Result<Trainer<Mlp>> {
        let net = Mlp::new(1, &[4], 1, 1)?;
        Ok(Trainer::new(net, Optimizer::sgd(0.0), Loss::Mse).with_epochs(9))
    };
    let mut run = make()?.with_consumer(StopAfter(1)).quiet();
    assert_eq!(run.fit(&loader(false)?)?.epochs().len(), 1);
    let mut run = make()?.with_early_stopping(2).with_validation(loader(false)?).quiet();
    // A rate of zero: the loss never moves, so it is the best once and waits for two epochs.
    assert_eq!(run.fit(&loader(false)?)?.epochs().len(), 3);
    Ok(())
}

#[test]
fn early_stopping_follows_the_watched_metric_and_its_least_change() -> Result<()> {
    // Nothing is learned, so that the accuracy stays; only its direction and name could stop the run.
    let make = |rate: f64| -> Result<Trainer<Cnn>> {
        let net = Cnn::new(1, 4, &[4], 3, 1)?;
        Ok(Trainer::new(net, Optimizer::adam(rate), Loss::CrossEntropy)
            .with_epochs(6)
            .with_validation(pictures()?)
            .quiet())
    };
    let mut run = make(0.0)?.with_early_stopping(1).with_watched("valid_accuracy", true);
    assert!(run.fit(&pictures()?)?.epochs().len() < 6, "it never stopped");
    let mut run =
        make(0.01)?.with_early_stopping(1).with_watched("train_loss", false).with_min_delta(1e9);
    assert_eq!(run.fit(&pictures()?)?.epochs().len(), 2);
    Ok(())
}

#[test]
fn a_metric_that_cannot_be_watched_is_refused_before_training() -> Result<()> {
    let make = || -> Result<Trainer<Mlp>> {
        let net = Mlp::new(1, &[4], 1, 1)?;
        Ok(Trainer::new(net, Optimizer::sgd(0.1), Loss::Mse).with_epochs(2).quiet())
    };
    let refused = |mut run: Trainer<Mlp>| -> Result<String> {
        let error = run.fit(&loader(false)?).expect_err("refused").to_string();
        assert!(run.history().is_empty(), "it trained: {error}");
        Ok(error)
    };
    let error = refused(make()?.with_early_stopping(2))?;
    assert!(error.contains("with_validation"), "{error}");
    let error =
        refused(make()?.with_watched("valid_acuracy", true).with_validation(loader(false)?))?;
    assert!(error.contains("valid_acuracy") && error.contains("\"valid_mae\""), "{error}");
    make()?.with_early_stopping(2).with_watched("train_loss", false).fit(&loader(false)?)?;
    // A listener of one's own with the same mistake ends the run rather than never.
    let mut run = make()?.with_consumer(oxilab_nn::EarlyStopping::new(1));
    let error = run.fit(&loader(false)?).expect_err("refused").to_string();
    assert!(error.contains("valid_loss"), "{error}");
    Ok(())
}

#[test]
fn a_checkpoint_of_another_optimizer_is_refused_by_both_names() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let last = folder.path().join("last");
    trainer(1)?.save(&last)?;
    let net = Mlp::new(1, &[16, 16], 1, 1)?;
    let mut other = Trainer::new(net, Optimizer::sgd(0.1), Loss::Mse).quiet();
    let error = other.resume(&last).expect_err("refused").to_string();
    assert!(error.contains("AdamW") && error.contains("SGD"), "{error}");
    Ok(())
}

#[test]
fn a_net_of_a_closure_has_a_type_with_a_name() -> Result<()> {
    use candle_nn::Module as _;
    let vars = candle_nn::VarMap::new();
    let builder = candle_nn::VarBuilder::from_varmap(&vars, candle_core::DType::F32, &Device::Cpu);
    let layers = candle_nn::seq().add(candle_nn::linear(1, 1, builder)?);
    let net = oxilab_nn::Net::new(&vars, move |x, _| layers.forward(x));
    let mut run: Trainer<oxilab_nn::Net> =
        Trainer::new(net, Optimizer::sgd(0.1), Loss::Mse).with_epochs(1).quiet();
    run.fit(&loader(false)?)?;
    Ok(())
}

#[test]
fn a_run_that_diverges_goes_back_to_the_start_of_its_epoch() -> Result<()> {
    let make = |rate: f64| -> Result<Trainer<Mlp>> {
        let net = Mlp::new(1, &[16], 1, 1)?;
        Ok(Trainer::new(net, Optimizer::adam(rate), Loss::Mse).with_epochs(2).quiet())
    };
    let fresh = weights(&make(0.1)?)?;
    let mut run = make(1e30)?;
    let error = run.fit(&loader(false)?).expect_err("diverges");
    let NnError::NotFinite { epoch: 1, batch: 2, .. } = &error else { panic!("{error}") };
    assert!(error.to_string().contains("this epoch's start"), "{error}");
    assert_eq!(weights(&run)?, fresh);
    assert!(run.history().is_empty(), "the epoch is to be done again");
    assert!(run.evaluate(&loader(false)?)?[0].1.is_finite());

    // A good epoch, and then one at a rate that no run survives.
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = make(0.01)?.with_epochs(1);
    first.fit(&loader(false)?)?;
    first.save(folder.path().join("last"))?;
    let mut second = make(1e30)?;
    second.resume(folder.path().join("last"))?;
    second.fit(&loader(false)?).expect_err("diverges");
    assert_eq!(weights(&second)?, weights(&first)?);
    assert_eq!(second.history(), first.history());
    Ok(())
}

/// A net of one weight and no noise, of which every step can be followed by hand.
fn line(steps: &std::sync::Arc<std::sync::Mutex<Vec<(f64, f64)>>>) -> Result<Trainer<Mlp>> {
    let net = Mlp::new(1, &[], 1, 4)?;
    let steps = std::sync::Arc::clone(steps);
    let keep = Steps(steps);
    Ok(Trainer::new(net, Optimizer::sgd(0.1), Loss::Mse).with_epochs(3).with_consumer(keep).quiet())
}

/// Keeps the gradient's norm and the rate of each step.
struct Steps(std::sync::Arc<std::sync::Mutex<Vec<(f64, f64)>>>);

impl oxilab_nn::Consumer for Steps {
    fn on_event(
        &mut self,
        event: &oxilab_nn::Event,
        _history: &oxilab_nn::History,
    ) -> Result<oxilab_nn::Flow> {
        if let oxilab_nn::Event::Step { grad_norm, learning_rate, .. } = event {
            self.0.lock().expect("not poisoned").push((*grad_norm, *learning_rate));
        }
        Ok(oxilab_nn::Flow::Continue)
    }
}

fn numbers(trainer: &Trainer<Mlp>) -> Result<Vec<f64>> {
    Ok(weights(trainer)?.into_iter().map(|bits| f64::from(f32::from_bits(bits))).collect())
}

fn far(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

#[test]
fn a_clipped_step_is_as_long_as_its_norm_allows() -> Result<()> {
    let steps = std::sync::Arc::default();
    let mut run = line(&steps)?.with_clip_norm(0.05).with_epochs(1);
    let before = numbers(&run)?;
    // One batch of all rows: one step.
    let x = Tensor::arange(0f32, 8.0, &Device::Cpu)?.reshape((8, 1))?;
    run.fit(&DataLoader::new(TensorDataset::new(x.clone(), (x * 9.0)?)?, 8))?;
    let taken = steps.lock().expect("not poisoned").clone();
    let [(norm, rate)] = taken[..] else { panic!("one step: {taken:?}") };
    assert!(norm > 1.0, "the norm that is told is the one before clipping: {norm}");
    let moved = far(&numbers(&run)?, &before);
    assert!((moved - 0.05 * rate).abs() < 1e-6, "{moved} at a rate of {rate}");
    Ok(())
}

/// The weights after each epoch of one step.
struct Weights(std::path::PathBuf, std::sync::Arc<std::sync::Mutex<Vec<Vec<f64>>>>);

impl oxilab_nn::Consumer for Weights {
    fn on_event(
        &mut self,
        event: &oxilab_nn::Event,
        _history: &oxilab_nn::History,
    ) -> Result<oxilab_nn::Flow> {
        if let oxilab_nn::Event::Saved { path } = event
            && *path == self.0
        {
            let tensors = oxilab_nn::load_tensors(path.join("model.safetensors"))?;
            let mut values = Vec::new();
            for name in ["layers.0.weight", "layers.0.bias"] {
                let tensor = tensors[name].flatten_all()?.to_vec1::<f32>()?;
                values.extend(tensor.into_iter().map(f64::from));
            }
            self.1.lock().expect("not poisoned").push(values);
        }
        Ok(oxilab_nn::Flow::Continue)
    }
}

#[test]
fn the_average_that_is_left_is_that_of_all_steps() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let x = Tensor::arange(0f32, 8.0, &Device::Cpu)?.reshape((8, 1))?;
    let loader = DataLoader::new(TensorDataset::new((&x * 0.1)?, (x * 0.3)?)?, 8);
    let walked = std::sync::Arc::default();
    let keep = Weights(folder.path().join("last"), std::sync::Arc::clone(&walked));
    let plain = || line(&std::sync::Arc::default());
    plain()?.with_checkpoints(folder.path()).with_consumer(keep).fit(&loader)?;
    let walked = walked.lock().expect("not poisoned").clone();
    assert_eq!(walked.len(), 3, "one step an epoch");
    let mut average = walked[0].clone();
    for weights in &walked[1..] {
        let moved = average.iter().zip(weights).map(|(old, new)| 0.8 * old + 0.2 * new);
        average = moved.collect();
    }
    let mut run = plain()?.with_average(0.8);
    run.fit(&loader)?;
    assert!(far(&numbers(&run)?, &average) < 1e-6, "{:?} {average:?}", numbers(&run)?);
    assert!(far(&average, &walked[2]) > 1e-3, "the average is not the last step");
    Ok(())
}
