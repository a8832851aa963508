//! Pretrained nets as readers of pictures: candle-transformers' ResNet, EfficientNet and ViT.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{D, DType, Device, Module, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{efficientnet, resnet, vit};
use oxilab_display::{MimeBundle, Render};

use super::dataset::ImageDataset;
use super::transform::Transform;
use crate::device::DeviceExt as _;
use crate::error::{NnError, Result, plain};
use crate::history::History;
use crate::layers::Linear;
use crate::loader::{DataLoader, TensorDataset};
use crate::loss::Loss;
use crate::model::{Mode, Trainable};
use crate::optim::Optimizer;
use crate::schedule::Schedule;
use crate::trainer::Trainer;
use crate::weights::load_tensors;

type Features = dyn Fn(&Tensor) -> candle_core::Result<Tensor> + Send + Sync;

/// A pretrained net without its last layer: pictures `(rows, 3, size, size)` to features
/// `(rows, width)`. It is not trained itself; [`ResNet`](crate::nets::ResNet) can be, from the same
/// weights.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use oxilab_nn::{ResNet, image::Backbone, save_weights};
/// // A file as torchvision's, here with random weights; from the hub it is one of `hub::get`.
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("resnet18.safetensors");
/// save_weights(&ResNet::resnet18(10, 0)?, &path)?;
/// let backbone = Backbone::resnet("resnet18", &path)?.with_size(32);
/// let pictures = Tensor::zeros((1, 3, 32, 32), DType::F32, &Device::Cpu)?;
/// assert_eq!(backbone.features(&pictures)?.dims(), [1, 512]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Backbone {
    name: String,
    net: Box<Features>,
    width: usize,
    size: usize,
    normal: ([f32; 3], [f32; 3]),
}

impl Backbone {
    /// torchvision's `resnet18`, `resnet34`, `resnet50`, `resnet101` or `resnet152`, from its `.safetensors`
    /// or `.pth` file.
    ///
    /// # Errors
    /// When the name is another, or the file is damaged or of another net.
    pub fn resnet(name: &str, path: impl AsRef<Path>) -> Result<Self> {
        type Build = fn(VarBuilder<'static>) -> candle_core::Result<candle_nn::Func<'static>>;
        let (build, width): (Build, usize) = match name {
            "resnet18" => (resnet::resnet18_no_final_layer, 512),
            "resnet34" => (resnet::resnet34_no_final_layer, 512),
            "resnet50" => (resnet::resnet50_no_final_layer, 2048),
            "resnet101" => (resnet::resnet101_no_final_layer, 2048),
            "resnet152" => (resnet::resnet152_no_final_layer, 2048),
            _ => return Err(unknown(name, "resnet18, resnet34, resnet50, resnet101 or resnet152")),
        };
        let net = build(weights(path.as_ref(), |_| {})?).map_err(|e| unfit(path.as_ref(), e))?;
        Ok(Self::new(name, width, 224, move |x| net.forward(x)))
    }

    /// EfficientNet `b0` to `b7` under torchvision's names for its parts, with squeezed widths as
    /// candle-transformers has them, from its `.safetensors` or `.pth` file.
    ///
    /// # Errors
    /// As [`Backbone::resnet`].
    pub fn efficientnet(name: &str, path: impl AsRef<Path>) -> Result<Self> {
        use efficientnet::MBConvConfig as C;
        let (configs, size) = match name {
            "b0" => (C::b0(), 224),
            "b1" => (C::b1(), 240),
            "b2" => (C::b2(), 260),
            "b3" => (C::b3(), 300),
            "b4" => (C::b4(), 380),
            "b5" => (C::b5(), 456),
            "b6" => (C::b6(), 528),
            "b7" => (C::b7(), 600),
            _ => return Err(unknown(name, "b0 to b7")),
        };
        let mut width = 0;
        let weights = weights(path.as_ref(), |tensors| {
            width = without_head(tensors, "classifier.1");
        })?;
        let net = efficientnet::EfficientNet::new(weights, configs, width)
            .map_err(|e| unfit(path.as_ref(), e))?;
        let name = format!("efficientnet-{name}");
        Ok(Self::new(&name, width, size, move |x| net.forward(x)))
    }

    /// A Vision Transformer of Hugging Face's `ViTForImageClassification`: a folder with `config.json`
    /// and `model.safetensors` or `pytorch_model.bin`.
    ///
    /// # Errors
    /// When a file is missing, damaged, or of another net.
    pub fn vit(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|source| NnError::File {
            action: "read",
            path: path.clone(),
            source,
        })?;
        let fail = |reason: String| NnError::Weights { path: path.clone(), reason };
        let mut json: serde_json::Value =
            serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
        if let Some(json) = json.as_object_mut() {
            // What recent files leave out, at transformers' defaults.
            json.entry("qkv_bias").or_insert(true.into());
            json.entry("layer_norm_eps").or_insert(1e-12.into());
            json.entry("num_channels").or_insert(3.into());
        }
        let config: vit::Config = serde_json::from_value(json).map_err(|e| fail(e.to_string()))?;
        let (size, width) = (config.image_size, config.hidden_size);
        let file = ["model.safetensors", "pytorch_model.bin"].map(|name| folder.join(name));
        let file = file.iter().find(|path| path.is_file()).unwrap_or(&file[0]);
        let weights = weights(file, |tensors| {
            identity(tensors, "classifier", width);
        })?;
        let net = vit::Model::new(&config, width, weights).map_err(|e| unfit(file, e))?;
        let mut backbone = Self::new("vit", width, size, move |x| net.forward(x));
        backbone.normal = ([0.5; 3], [0.5; 3]);
        Ok(backbone)
    }

    fn new(
        name: &str,
        width: usize,
        size: usize,
        net: impl Fn(&Tensor) -> candle_core::Result<Tensor> + Send + Sync + 'static,
    ) -> Self {
        let normal = (super::IMAGENET_MEAN, super::IMAGENET_STD);
        Self { name: name.to_owned(), net: Box::new(net), width, size, normal }
    }

    /// Takes pictures of another size, for example 64 where 224 is slow; not for ViT.
    #[must_use]
    pub fn with_size(mut self, size: usize) -> Self {
        self.size = size;
        self
    }

    /// Values of a picture's features.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The steps that make a picture ready for this net.
    #[must_use]
    pub fn transforms(&self) -> Vec<Transform> {
        let (mean, std) = (self.normal.0.to_vec(), self.normal.1.to_vec());
        vec![Transform::CenterCrop(self.size), Transform::Normalize { mean, std }]
    }

    /// The features `(rows, width)` of prepared pictures `(rows, 3, size, size)`, computed on
    /// [`Device::best()`](crate::DeviceExt::best) and given where the pictures are.
    ///
    /// # Errors
    /// When the shape does not fit.
    pub fn features(&self, pictures: &Tensor) -> Result<Tensor> {
        let features = (self.net)(&pictures.to_device(&Device::best())?)?;
        Ok(features.to_device(pictures.device())?)
    }

    /// The features of all pictures of a data set and their classes.
    fn features_of(&self, pictures: &ImageDataset, batch: usize) -> Result<TensorDataset> {
        let pictures = pictures.clone().with_transforms(self.transforms());
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        for batch in DataLoader::new(pictures, batch).evaluation() {
            let batch = batch?;
            if oxilab_runtime::cancel::requested() {
                return Err(NnError::Interrupted { epoch: 0, step: inputs.len() });
            }
            let input = if batch.input.dim(1)? == 1 {
                let (rows, _, height, width) = batch.input.dims4()?;
                batch.input.broadcast_as((rows, 3, height, width))?.contiguous()?
            } else {
                batch.input
            };
            inputs.push(self.features(&input)?);
            targets.push(batch.target);
        }
        if inputs.is_empty() {
            return Err(NnError::NoData);
        }
        TensorDataset::new(Tensor::cat(&inputs, 0)?, Tensor::cat(&targets, 0)?)
    }
}

impl std::fmt::Debug for Backbone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Backbone({}, {} features, pictures of {})", self.name, self.width, self.size)
    }
}

fn unknown(name: &str, expected: &'static str) -> NnError {
    NnError::Setting { setting: "the name of the net", value: format!("{name:?}"), expected }
}

fn unfit(path: &Path, error: candle_core::Error) -> NnError {
    NnError::Weights { path: path.to_owned(), reason: plain(error).to_string() }
}

fn weights(
    path: &Path,
    change: impl FnOnce(&mut HashMap<String, Tensor>),
) -> Result<VarBuilder<'static>> {
    let mut tensors = load_tensors(path)?;
    change(&mut tensors);
    // Before they move: Metal has no `f64`.
    for tensor in tensors.values_mut().filter(|tensor| tensor.dtype().is_float()) {
        *tensor = tensor.to_dtype(DType::F32)?;
    }
    Ok(VarBuilder::from_tensors(tensors, DType::F32, &Device::best()))
}

/// Replaces the last layer by one that passes its input on, and says how wide that is.
fn without_head(tensors: &mut HashMap<String, Tensor>, name: &str) -> usize {
    let weight = tensors.get(&format!("{name}.weight"));
    let width = weight.and_then(|weight| weight.dim(D::Minus1).ok()).unwrap_or(1);
    identity(tensors, name, width);
    width
}

fn identity(tensors: &mut HashMap<String, Tensor>, name: &str, width: usize) {
    let (eye, zeros) = (
        Tensor::eye(width, DType::F32, &Device::Cpu),
        Tensor::zeros(width, DType::F32, &Device::Cpu),
    );
    if let (Ok(eye), Ok(zeros)) = (eye, zeros) {
        tensors.insert(format!("{name}.weight"), eye);
        tensors.insert(format!("{name}.bias"), zeros);
    }
}

/// A linear layer on a backbone's features: classes of your own from few pictures, trained in seconds
/// because the features are computed once.
///
/// ```no_run
/// use oxilab_nn::image::{Backbone, ImageDataset, TransferClassifier};
/// let backbone = Backbone::resnet("resnet18", "resnet18.safetensors")?;
/// let flowers = ImageDataset::from_folder("flowers")?;
/// let model = TransferClassifier::new(backbone).fit(&flowers)?;
/// println!("{:.3}", model.score(&flowers)?);
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
#[derive(Debug)]
pub struct TransferClassifier {
    backbone: Backbone,
    head: Option<Linear>,
    classes: Vec<String>,
    history: History,
    epochs: usize,
    learning_rate: f64,
    batch_size: usize,
    seed: u64,
}

struct Head(Linear);

impl Trainable for Head {
    fn forward(&self, input: &Tensor, _mode: Mode) -> candle_core::Result<Tensor> {
        self.0.forward(input)
    }

    fn vars(&self) -> Vec<(String, candle_core::Var)> {
        self.0.vars("head")
    }
}

impl TransferClassifier {
    /// 100 epochs of AdamW at 0.01 on features of 32 pictures at a time.
    #[must_use]
    pub fn new(backbone: Backbone) -> Self {
        Self {
            backbone,
            head: None,
            classes: Vec::new(),
            history: History::default(),
            epochs: 100,
            learning_rate: 0.01,
            batch_size: 32,
            seed: 0,
        }
    }

    /// Sets the epochs of the last layer.
    #[must_use]
    pub fn with_epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Sets the learning rate of the last layer.
    #[must_use]
    pub fn with_learning_rate(mut self, rate: f64) -> Self {
        self.learning_rate = rate;
        self
    }

    /// Sets the seed of weights and order.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Computes the features and trains the last layer.
    ///
    /// # Errors
    /// When a picture cannot be read, there are none, or the user interrupts.
    pub fn fit(mut self, pictures: &ImageDataset) -> Result<Self> {
        use rand::SeedableRng as _;
        let features = self.backbone.features_of(pictures, self.batch_size)?;
        let mut rng = rand::rngs::StdRng::seed_from_u64(self.seed);
        let head = Linear::new(self.backbone.width, pictures.classes().len(), &mut rng)?;
        let head = head.to_device(&Device::best())?;
        let loader = DataLoader::new(features, self.batch_size).with_shuffle(self.seed);
        let optimizer = Optimizer::adamw(self.learning_rate).without_decay_for(&["bias"]);
        let mut trainer = Trainer::new(Head(head), optimizer, Loss::CrossEntropy)
            .with_epochs(self.epochs)
            .with_schedule(Schedule::Cosine { warmup: 0 })
            .quiet();
        self.history = trainer.fit(&loader)?;
        self.head = Some(trainer.into_model().0);
        self.classes = pictures.classes().to_vec();
        Ok(self)
    }

    /// The class of each picture.
    ///
    /// # Errors
    /// When the net is not trained or a picture cannot be read.
    pub fn predict(&self, pictures: &ImageDataset) -> Result<Vec<String>> {
        let head = self.head.as_ref().ok_or(NnError::NotTrained)?;
        let features = self.backbone.features_of(pictures, self.batch_size)?;
        let input = features.input().to_device(head.weight().device())?;
        let numbers = head.forward(&input)?.argmax(D::Minus1)?.to_vec1::<u32>()?;
        Ok(numbers.iter().map(|number| self.classes[*number as usize].clone()).collect())
    }

    /// The share of pictures whose class is predicted.
    ///
    /// # Errors
    /// As [`TransferClassifier::predict`].
    #[expect(clippy::cast_precision_loss, reason = "rows are far below 2^52")]
    pub fn score(&self, pictures: &ImageDataset) -> Result<f64> {
        let said = self.predict(pictures)?;
        let truth = pictures.labels().iter().map(|label| &pictures.classes()[*label as usize]);
        let hits = said.iter().zip(truth).filter(|(said, truth)| said == truth).count();
        Ok(hits as f64 / said.len().max(1) as f64)
    }

    /// The losses of the training.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }
}

impl Render for TransferClassifier {
    fn render(&self) -> MimeBundle {
        let classes = self.classes.len();
        MimeBundle::text(format!("TransferClassifier({:?}, {classes} classes)", self.backbone))
    }
}
