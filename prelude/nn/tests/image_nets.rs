//! Image nets against torchvision and transformers, with weights that a formula gives to both sides
//! (`goldens/image_nets.py`), and pictures told apart by nets trained here.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use oxilab_nn::error::Result;
use oxilab_nn::image::{Backbone, ImageDataset, TransferClassifier, Transform};
use oxilab_nn::{Cnn, DataLoader, Loss, Mode, Optimizer, ResNet, Trainable as _, Trainer, assign};
use serde_json::Value;

fn golden(net: &str) -> Value {
    let text = include_str!("goldens/image_nets.json");
    let golden: Value = serde_json::from_str(text).expect("JSON");
    golden[net].clone()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "24 bits")]
fn uniform(name: &str, count: usize) -> Vec<f32> {
    let mut seed = 2_166_136_261u32;
    for byte in name.bytes() {
        seed = (seed ^ u32::from(byte)).wrapping_mul(16_777_619);
    }
    let value = |index: usize| {
        let mut h = (index as u32).wrapping_mul(2_654_435_761).wrapping_add(seed);
        h ^= h >> 16;
        h = h.wrapping_mul(0x85eb_ca6b);
        h ^= h >> 13;
        (f64::from(h >> 8) / 16_777_216.0 - 0.5) as f32
    };
    (0..count).map(value).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "as in numpy")]
fn tensors(golden: &Value) -> Result<HashMap<String, Tensor>> {
    let named: Vec<(String, Vec<usize>)> =
        serde_json::from_value(golden["tensors"].clone()).expect("names and shapes");
    let fill = |(name, shape): (String, Vec<usize>)| {
        let mut values = uniform(&name, shape.iter().product());
        let scale = match shape.len() {
            _ if name.ends_with("running_var") => 1.0,
            2.. => (24.0 / shape[1..].iter().product::<usize>() as f64).sqrt() as f32,
            _ => 0.4,
        };
        let shift =
            if name.ends_with("running_var") || (shape.len() < 2 && name.ends_with("weight")) {
                1.0
            } else {
                0.0
            };
        values.iter_mut().for_each(|value| *value = shift + scale * *value);
        Ok((name, Tensor::from_vec(values, shape, &Device::Cpu)?))
    };
    named.into_iter().map(fill).collect()
}

fn picture(golden: &Value) -> Result<Tensor> {
    let size = usize::try_from(golden["size"].as_u64().expect("a size")).expect("small");
    let values = uniform("picture", 3 * size * size).into_iter().map(|value| value * 2.0).collect();
    Ok(Tensor::from_vec(values, (1, 3, size, size), &Device::Cpu)?)
}

fn close(ours: &Tensor, theirs: &Value, what: &str) -> Result<()> {
    let theirs: Vec<f32> = serde_json::from_value(theirs.clone()).expect("numbers");
    let ours = ours.flatten_all()?.to_vec1::<f32>()?;
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let apart = (ours - theirs).abs() / theirs.abs().max(1.0);
        assert!(apart < 1e-4, "{what}: {ours} {theirs}");
    }
    Ok(())
}

#[test]
fn resnet_is_torchvisions_both_ways() -> Result<()> {
    let golden = golden("resnet18");
    let tensors = tensors(&golden)?;
    let net = ResNet::resnet18(1000, 0)?;
    assign(&net, &tensors, &[])?;
    close(&net.forward(&picture(&golden)?, Mode::eval())?, &golden["logits"], "logits")?;
    // For other classes the last layer stays new.
    let own = ResNet::resnet18(3, 0)?;
    let error = assign(&own, &tensors, &[]).expect_err("another head").to_string();
    assert!(error.contains("fc.weight"), "{error}");
    assign(&own, &tensors, &["fc."])?;

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("resnet18.safetensors");
    candle_core::safetensors::save(&tensors, &path)?;
    let backbone = Backbone::resnet("resnet18", &path)?;
    close(&backbone.features(&picture(&golden)?)?, &golden["features"], "features")?;
    assert_eq!(backbone.width(), 512);
    assert!(Backbone::resnet("resnet34", &path).is_err());
    Ok(())
}

#[test]
fn efficientnet_is_tensorflows() -> Result<()> {
    let golden = golden("efficientnet_b0");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("b0.safetensors");
    candle_core::safetensors::save(&tensors(&golden)?, &path)?;
    let backbone = Backbone::efficientnet("b0", &path)?;
    close(&backbone.features(&picture(&golden)?)?, &golden["features"], "features")?;
    assert_eq!(backbone.width(), 1280);
    Ok(())
}

fn vit(folder: &std::path::Path) -> Result<(Backbone, Value)> {
    let golden = golden("vit");
    candle_core::safetensors::save(&tensors(&golden)?, folder.join("model.safetensors"))?;
    std::fs::write(folder.join("config.json"), golden["config"].to_string()).expect("written");
    Ok((Backbone::vit(folder)?, golden))
}

#[test]
fn vit_is_transformers() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let (backbone, golden) = vit(folder.path())?;
    close(&backbone.features(&picture(&golden)?)?, &golden["features"], "features")
}

/// Pictures of three classes: dark, light, striped.
fn pictures() -> (tempfile::TempDir, Result<ImageDataset>) {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, class) in ["dark", "light", "striped"].into_iter().enumerate() {
        std::fs::create_dir(folder.path().join(class)).expect("writable");
        for sample in 0..8u32 {
            let level = |x: u32| match number {
                0 => 20 + 5 * sample,
                1 => 180 + 5 * sample,
                _ => [30, 220][((x + sample) / 3 % 2) as usize],
            };
            let picture = image::RgbImage::from_fn(24, 20, |x, _| {
                image::Rgb([u8::try_from(level(x)).unwrap_or(255); 3])
            });
            picture.save(folder.path().join(class).join(format!("{sample}.png"))).expect("saved");
        }
    }
    let pictures = ImageDataset::from_folder(folder.path());
    (folder, pictures)
}

#[test]
fn a_backbone_with_a_new_last_layer_tells_pictures_apart() -> Result<()> {
    let weights = tempfile::tempdir().expect("a folder");
    let (backbone, _) = vit(weights.path())?;
    let (_folder, pictures) = pictures();
    let pictures = pictures?;
    let model = TransferClassifier::new(backbone).with_epochs(60).fit(&pictures)?;
    assert!(model.score(&pictures)? > 0.95, "{}", model.score(&pictures)?);
    assert_eq!(model.predict(&pictures)?[0], "dark");
    Ok(())
}

#[test]
fn small_nets_learn_from_scratch() -> Result<()> {
    let (_folder, pictures) = pictures();
    let pictures = pictures?
        .with_augmentation([Transform::HorizontalFlip, Transform::Shift(1)])
        .with_transforms([Transform::Grey, Transform::CenterCrop(12)]);
    let loader = DataLoader::new(pictures, 8).with_shuffle(0);
    let optimizer = || Optimizer::adamw(5e-3);
    let mut cnn = Trainer::new(Cnn::new(1, 12, &[4, 8], 3, 0)?, optimizer(), Loss::CrossEntropy)
        .with_epochs(12)
        .quiet();
    cnn.fit(&loader)?;
    assert!(cnn.evaluate(&loader)?[1].1 > 0.9, "{:?}", cnn.evaluate(&loader)?);
    let net = ResNet::small(1, &[4, 8], 1, 3, 0)?;
    let mut resnet = Trainer::new(net, optimizer(), Loss::CrossEntropy).with_epochs(12).quiet();
    resnet.fit(&loader)?;
    assert!(resnet.evaluate(&loader)?[1].1 > 0.9, "{:?}", resnet.evaluate(&loader)?);
    Ok(())
}
