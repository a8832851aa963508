//! Settings that cannot be meant are errors that name them, not panics and not silence.

use candle_core::{Device, Tensor};
use oxilab_nn::error::Result;
use oxilab_nn::{
    Cnn, DataLoader, Forecaster, Loss, Mlp, MlpClassifier, Optimizer, ResNet, SequenceClassifier,
    TensorDataset, Trainer,
};
use polars::prelude::df;

fn loader(batch: usize) -> Result<DataLoader> {
    let x = Tensor::arange(0f32, 8.0, &Device::Cpu)?.reshape((8, 1))?;
    Ok(DataLoader::new(TensorDataset::new(x.clone(), x)?, batch))
}

fn said<T>(result: std::result::Result<T, impl std::fmt::Display>, words: &[&str]) {
    let Err(error) = result else { panic!("accepted: {words:?}") };
    let error = error.to_string();
    assert!(words.iter().all(|word| error.contains(word)), "{error}: {words:?}");
}

#[test]
fn nets_of_no_width_are_refused() -> Result<()> {
    said(Mlp::new(0, &[], 0, 0), &["number of inputs is 0", "at least 1"]);
    said(Mlp::new(2, &[4, 0], 1, 0), &["hidden width is 0"]);
    said(Cnn::new(1, 8, &[0], 3, 0), &["width of a stage is 0"]);
    said(ResNet::small(3, &[0], 1, 2, 0), &["convolution", "0"]);
    let df = df!("x" => [0.0, 1.0, 2.0, 3.0], "kind" => ["a", "b", "a", "b"])?;
    let net = MlpClassifier::new().quiet().with_epochs(1);
    said(net.clone().with_hidden(&[0]).fit(&df, "kind"), &["hidden width is 0"]);
    said(net.clone().with_batch_size(0).fit(&df, "kind"), &["batch size is 0"]);
    said(net.clone().with_learning_rate(-1.0).fit(&df, "kind"), &["learning rate is -1"]);
    said(net.clone().with_dropout(f64::NAN).fit(&df, "kind"), &["dropout is NaN"]);
    said(net.with_epochs(0).fit(&df, "kind"), &["number of epochs is 0"]);
    let net = SequenceClassifier::gru().quiet();
    said(net.with_hidden(0).fit(&df, "kind"), &["hidden values is 0"]);
    let numbers = df!("x" => [0.0, 1.0, 2.0, 3.0])?;
    said(Forecaster::lstm(0).quiet().fit(&numbers, "x"), &["window is 0"]);
    said(Forecaster::lstm(2).with_horizon(0).quiet().fit(&numbers, "x"), &["horizon is 0"]);
    said(Forecaster::lstm(2).with_layers(0).quiet().fit(&numbers, "x"), &["layers is 0"]);
    Ok(())
}

#[test]
fn runs_that_cannot_be_meant_are_refused() -> Result<()> {
    let make = |optimizer| -> Result<Trainer<Mlp>> {
        Ok(Trainer::new(Mlp::new(1, &[2], 1, 0)?, optimizer, Loss::Mse).quiet().with_epochs(1))
    };
    let sgd = || make(Optimizer::sgd(0.1));
    said(sgd()?.fit(&loader(0)?), &["batch size is 0"]);
    said(sgd()?.evaluate(&loader(0)?), &["batch size is 0"]);
    said(sgd()?.fit(&loader(2)?.with_workers(0)), &["number of workers is 0"]);
    said(sgd()?.with_epochs(0).fit(&loader(2)?), &["epochs is 0"]);
    said(sgd()?.with_accumulation(0).fit(&loader(2)?), &["accumulated batches is 0"]);
    for norm in [0.0, -1.0, f64::NAN] {
        said(sgd()?.with_clip_norm(norm).fit(&loader(2)?), &["clip norm is"]);
    }
    for rate in [-0.1, f64::NAN, f64::INFINITY] {
        said(make(Optimizer::adam(rate))?.fit(&loader(2)?), &["learning rate is"]);
    }
    said(make(Optimizer::sgd(0.1).with_momentum(1.5))?.fit(&loader(2)?), &["momentum is 1.5"]);
    sgd()?.fit(&loader(2)?)?;
    Ok(())
}

#[test]
fn nets_show_their_layers_and_parameters() -> Result<()> {
    use oxilab_display::Render as _;
    let mlp = Mlp::new(784, &[512], 10, 0)?.with_dropout(0.1).render();
    let text = mlp.plain();
    for part in ["784 → 512", "401,920", "dropout 0.1", "512 → 10", "407,050"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let cnn = Cnn::new(1, 8, &[4, 8], 3, 0)?.render();
    let text = cnn.plain();
    for part in ["1 → 4, 3 × 3", "maximum pool", "8 → 3", "total"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    Ok(())
}
