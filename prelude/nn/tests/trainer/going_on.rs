//! A second `fit` goes on where the first one's last step was, whatever the model was left with.

use oxilab_nn::error::Result;
use oxilab_nn::{Cnn, Loss, Mlp, Optimizer, Trainer, assign, load_tensors, save_weights};

use super::{StopAfter, everything, loader, pictures, weights};

fn averaged(epochs: usize) -> Result<Trainer<Mlp>> {
    let net = Mlp::new(1, &[16], 1, 1)?.with_dropout(0.1);
    Ok(Trainer::new(net, Optimizer::adam(0.02), Loss::Mse)
        .with_epochs(epochs)
        .with_average(0.8)
        .with_validation(loader(false)?)
        .with_seed(5)
        .quiet())
}

#[test]
fn three_epochs_and_then_six_are_a_run_of_six() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut whole = averaged(6)?;
    let history = whole.fit(&loader(false)?)?;

    let mut run = averaged(3)?;
    run.fit(&loader(false)?)?;
    let left = weights(&run)?;
    // A call that has nothing to do changes nothing.
    run.fit(&loader(false)?)?;
    assert_eq!(weights(&run)?, left);
    run.save(folder.path().join("last"))?;
    let mut run = run.with_epochs(6);
    assert_eq!(run.fit(&loader(false)?)?, history);
    assert_eq!(weights(&run)?, weights(&whole)?);

    // The checkpoint holds where the run goes on and the average beside it.
    let mut resumed = averaged(6)?;
    resumed.resume(folder.path().join("last"))?;
    assert_ne!(weights(&resumed)?, left, "the model had been left with the average");
    assert_eq!(resumed.fit(&loader(false)?)?, history);
    assert_eq!(weights(&resumed)?, weights(&whole)?);
    Ok(())
}

/// Pictures told apart with a rate that overshoots, so that the best epoch is not the last.
fn overshooting(epochs: usize) -> Result<Trainer<Cnn>> {
    let net = Cnn::new(1, 4, &[4], 3, 1)?;
    let optimizer = Optimizer::sgd(0.4).with_momentum(0.9);
    Ok(Trainer::new(net, optimizer, Loss::CrossEntropy)
        .with_epochs(epochs)
        .with_validation(pictures()?)
        .quiet())
}

#[test]
fn a_run_that_was_stopped_goes_on_from_its_last_step_and_not_from_its_best() -> Result<()> {
    let mut whole = overshooting(9)?;
    let history = whole.fit(&pictures()?)?;
    let losses = history.metric("valid_loss");
    // An epoch that is worse than one before it.
    let mut best = f64::INFINITY;
    let worse = losses.iter().position(|loss| {
        let worse = *loss > best;
        best = best.min(*loss);
        worse
    });
    let worse = worse.expect("the rate overshoots") + 1;
    assert!(worse < 9, "{losses:?}");

    let mut run = overshooting(9)?.with_consumer(StopAfter(worse));
    run.fit(&pictures()?)?;
    let mut straight = overshooting(worse)?;
    straight.fit(&pictures()?)?;
    assert_ne!(everything(&run)?, everything(&straight)?, "it has the best parameters now");
    let last = run.evaluate(&pictures()?)?[0].1;
    assert!(last < losses[worse - 1], "{last} {losses:?}");
    // The listener stops the run behind each epoch from now on.
    while run.history().epochs().len() < 9 {
        run.fit(&pictures()?)?;
    }
    assert_eq!(run.history(), &history);
    let folder = tempfile::tempdir().expect("a folder");
    run.save(folder.path().join("last"))?;
    let mut resumed = overshooting(9)?;
    resumed.resume(folder.path().join("last"))?;
    assert_eq!(everything(&resumed)?, everything(&whole)?);
    Ok(())
}

#[test]
fn parameters_set_by_hand_in_between_are_where_it_goes_on() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("net.safetensors");
    save_weights(&Mlp::new(1, &[16], 1, 77)?, &path)?;
    // A rate of zero: the parameters stay what they are.
    let net = Mlp::new(1, &[16], 1, 1)?;
    let mut run = Trainer::new(net, Optimizer::sgd(0.0), Loss::Mse)
        .with_epochs(1)
        .with_average(0.5)
        .with_checkpoints(folder.path())
        .quiet();
    run.fit(&loader(false)?)?;
    assign(run.model(), &load_tensors(&path)?, &[])?;
    run.save(folder.path().join("now"))?;
    run.with_epochs(2).fit(&loader(false)?)?;
    for held in ["now", "last"] {
        let held = load_tensors(folder.path().join(held).join("model.safetensors"))?;
        for (name, theirs) in load_tensors(&path)? {
            let [ours, theirs] = [&held[&name], &theirs].map(|t| t.flatten_all()?.to_vec1::<f32>());
            assert_eq!(ours?, theirs?, "{name}");
        }
    }
    Ok(())
}
