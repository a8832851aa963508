//! [`TextClassifier`]: classes of texts, and fine-tuning for classes of your own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{D, DType, Device, Result as TensorResult, Tensor, Var};
use oxilab_display::{MimeBundle, Render};
use oxilab_nn::layers::{dropout, softmax};
use oxilab_nn::{DataLoader, DeviceExt as _, History, Loss, Mode, NnError, Optimizer};
use oxilab_nn::{Schedule, Trainable, Trainer};
use polars::prelude::{DataFrame, DataType, NamedFrom as _, Series};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::json;

use super::config::Kind;
use super::dataset::{self, TextDataset};
use super::net::{Encoder, Pair, Source, lengths_of};
use super::texts::{Files, Texts};
use crate::bar::Bar;
use crate::error::{LlmError, Result};
use crate::files::Together;
use crate::weights::source::WHOLE;

/// What the values of the head say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// Nothing: the head has not been trained.
    Nothing,
    /// Which of the classes a text has.
    One,
    /// Of each class whether a text has it.
    Each,
}

/// Encoder and head: the first token's state through a dense layer, then one value for each class.
#[derive(Clone, Debug)]
struct ClassifierNet {
    encoder: Encoder,
    dense: Pair,
    output: Pair,
    frozen: bool,
}

impl ClassifierNet {
    /// The names of the head's two layers.
    fn names(kind: Kind) -> (&'static str, &'static str) {
        match kind {
            Kind::Bert => ("bert.pooler.dense", "classifier"),
            Kind::Roberta => ("classifier.dense", "classifier.out_proj"),
            Kind::DistilBert => ("pre_classifier", "classifier"),
        }
    }

    /// Takes what the file has of a head, and starts the rest anew. A layer that the file has in another
    /// size is not one to start anew: what was trained would be thrown away, and predictions be chance.
    fn load(encoder: Encoder, source: &Source, seed: u64) -> Result<Self> {
        let (dense, output) = Self::names(encoder.config.kind);
        let (width, classes) = (encoder.config.width, encoder.config.labels.len());
        let unprefixed = format!("{}pooler.dense", encoder.prefix());
        let mut rng = StdRng::seed_from_u64(seed);
        let mut layer = |names: &[&str], to: usize| -> Result<Pair, String> {
            let found = names.iter().find(|name| source.has(&format!("{name}.weight")));
            match found {
                Some(name) => source.linear(name, to, width),
                None => fresh(names[0], to, width, &mut rng).map_err(|e| e.to_string()),
            }
        };
        let dense =
            layer(&[dense, unprefixed.as_str()], width).map_err(|why| source.damaged(why))?;
        let output = layer(&[output], classes).map_err(|why| {
            source.damaged(format!(
                "{why}; config.json names {classes} classes: give its id2label one name for each row of \
                 the head"
            ))
        })?;
        Ok(Self { encoder, dense, output, frozen: false })
    }

    /// Whether the file has both layers of a head. Models that name tokens have one of them.
    fn is_trained(encoder: &Encoder, source: &Source) -> bool {
        let (dense, output) = Self::names(encoder.config.kind);
        let has = |name: &str| source.has(&format!("{name}.weight"));
        has(output) && (has(dense) || has(&format!("{}pooler.dense", encoder.prefix())))
    }

    /// The same net with another last layer; the others are shared.
    fn with_new_output(&self, classes: usize, seed: u64) -> TensorResult<Self> {
        let (_, output) = Self::names(self.encoder.config.kind);
        let width = self.encoder.config.width;
        let output = fresh(output, classes, width, &mut StdRng::seed_from_u64(seed))?;
        Ok(Self { output: output.to_device(self.encoder.device())?, ..self.clone() })
    }

    /// The net on a device: its variables themselves where they are there.
    fn to_device(&self, device: &Device) -> TensorResult<Self> {
        Ok(Self {
            encoder: self.encoder.to_device(device)?,
            dense: self.dense.to_device(device)?,
            output: self.output.to_device(device)?,
            frozen: self.frozen,
        })
    }

    fn logits(&self, ids: &[u32], lengths: &[usize], mode: Mode) -> TensorResult<Tensor> {
        let train = mode.train;
        let states = self.encoder.forward(ids, lengths, mode, train && !self.frozen)?;
        let starts = lengths.iter().scan(0u32, |at, length| {
            let start = *at;
            *at += u32::try_from(*length).unwrap_or(0);
            Some(start)
        });
        let starts = Tensor::from_vec(starts.collect(), lengths.len(), self.encoder.device())?;
        let config = &self.encoder.config;
        let drop = |x: Tensor, layer: u64| {
            if train && config.head_dropout > 0.0 {
                dropout(&x, config.head_dropout, &mut mode.rng(1000 + layer))
            } else {
                Ok(x)
            }
        };
        let mut first = states.index_select(&starts, 0)?;
        if config.kind == Kind::Roberta {
            first = drop(first, 0)?;
        }
        let dense = self.dense.linear(&first, train)?;
        let dense = if config.kind == Kind::DistilBert { dense.relu()? } else { dense.tanh()? };
        self.output.linear(&drop(dense, 1)?, train)
    }

    fn head(&self) -> Vec<(String, Var)> {
        self.dense.vars().into_iter().chain(self.output.vars()).collect()
    }
}

fn sigmoid(logits: &Tensor) -> TensorResult<Tensor> {
    (logits.neg()?.exp()? + 1.0)?.recip()
}

/// A layer that has learned nothing.
fn fresh(name: &str, to: usize, from: usize, rng: &mut StdRng) -> TensorResult<Pair> {
    let weight = oxilab_nn::init::normal(&[to, from], 0.02, rng, &Device::Cpu)?;
    let bias = Var::zeros(to, DType::F32, &Device::Cpu)?;
    Ok(Pair::new(name, Var::from_tensor(&weight)?, bias))
}

impl Trainable for ClassifierNet {
    fn forward(&self, input: &Tensor, mode: Mode) -> TensorResult<Tensor> {
        let (ids, lengths) = lengths_of(input)?;
        self.logits(&ids, &lengths, mode)
    }

    fn vars(&self) -> Vec<(String, Var)> {
        let mut vars = if self.frozen { Vec::new() } else { self.encoder.vars() };
        vars.extend(self.head());
        vars
    }
}

/// Texts that are computed at a time.
const BATCH: usize = 32;

/// Tells texts apart with BERT, RoBERTa or DistilBERT. A model that was fine-tuned elsewhere predicts
/// at once; [`TextClassifier::fit`] fine-tunes one for the classes of a frame.
///
/// ```no_run
/// use oxilab_llm::TextClassifier;
/// use polars::prelude::df;
/// let reviews = df!("text" => ["a fine film", "a waste of time"], "mood" => ["good", "bad"])?;
/// let mut model = TextClassifier::load("distilbert/distilbert-base-uncased")?.with_epochs(3);
/// model.fit(&reviews, "text", "mood")?;
/// println!("{:?}", model.predict(&reviews, "text")?);
/// model.save("mood")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TextClassifier {
    net: ClassifierNet,
    texts: Texts,
    files: (PathBuf, serde_json::Value),
    labels: Vec<String>,
    says: Says,
    epochs: usize,
    learning_rate: f64,
    batch_size: usize,
    weight_decay: f64,
    warmup: f64,
    seed: u64,
    quiet: bool,
}

impl TextClassifier {
    /// Loads a folder with `config.json`, `tokenizer.json` and `model.safetensors` or
    /// `pytorch_model.bin`, or a model of the hub. A head that the file does not have starts anew, and
    /// wants [`TextClassifier::fit`]. Classes that `config.json` has no names for are called `LABEL_0`,
    /// `LABEL_1` and so on, as in transformers. The model is on the [best device](oxilab_nn::DeviceExt::best).
    ///
    /// # Errors
    /// When a file is missing or damaged, the model is of another family, its head is not of as many classes
    /// as `config.json` says, or the device has no room for it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_on(path, &Device::best())
    }

    /// As [`TextClassifier::load`], on a device.
    ///
    /// # Errors
    /// As [`TextClassifier::load`].
    pub fn load_on(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let files = Files::open(path.as_ref())?;
        let (encoder, source) = files.load()?;
        let texts = Texts::open(&files.folder, encoder.config.longest().min(512))?;
        let labels = encoder.config.labels.clone();
        let says = match encoder.config.multi_label {
            _ if !ClassifierNet::is_trained(&encoder, &source) => Says::Nothing,
            true => Says::Each,
            false => Says::One,
        };
        let net = ClassifierNet::load(encoder, &source, 0)?.to_device(device)?;
        Ok(Self {
            net,
            texts,
            files: (files.folder, files.json),
            labels,
            says,
            epochs: 3,
            learning_rate: 5e-5,
            batch_size: 16,
            weight_decay: 0.01,
            warmup: 0.1,
            seed: 0,
            quiet: false,
        })
    }

    /// Moves the model to a device, where it predicts and is trained from here on.
    ///
    /// # Errors
    /// When the device has no room for it.
    pub fn to_device(mut self, device: &Device) -> Result<Self> {
        self.net = self.net.to_device(device)?;
        Ok(self)
    }

    /// Sets the number of epochs; 3 unless set.
    #[must_use]
    pub fn with_epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Sets AdamW's learning rate; 0.00005 unless set.
    #[must_use]
    pub fn with_learning_rate(mut self, rate: f64) -> Self {
        self.learning_rate = rate;
        self
    }

    /// Sets the texts of a batch; 16 unless set.
    #[must_use]
    pub fn with_batch_size(mut self, texts: usize) -> Self {
        self.batch_size = texts;
        self
    }

    /// Cuts texts at this number of tokens; the model's own limit, at most 512, unless set.
    #[must_use]
    pub fn with_max_length(mut self, tokens: usize) -> Self {
        self.texts.longest = tokens.clamp(2, self.net.encoder.config.longest());
        self
    }

    /// Sets the weight decay, which spares biases and norms; 0.01 unless set.
    #[must_use]
    pub fn with_weight_decay(mut self, decay: f64) -> Self {
        self.weight_decay = decay;
        self
    }

    /// Sets the share of the steps in which the learning rate rises; 0.1 unless set.
    #[must_use]
    pub fn with_warmup(mut self, share: f64) -> Self {
        self.warmup = share;
        self
    }

    /// Trains the head only: much faster, often a little worse.
    #[must_use]
    pub fn with_frozen_encoder(mut self, frozen: bool) -> Self {
        self.net.frozen = frozen;
        self
    }

    /// Sets the seed of the head, of order and of dropout.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Trains without progress bar and chart.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// The classes, in the order of the probabilities' columns.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Fine-tunes on a column of texts and a column of classes. Classes that the model does not know
    /// give it a new head, and so does one class for each text where it has told of several. Interrupted,
    /// the model keeps what it has learned.
    ///
    /// # Errors
    /// When a column is missing or has missing values, there are no two classes, a setting is out of range
    /// (the model then is as before), the loss is not finite, or the user interrupts.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a share of some steps"
    )]
    pub fn fit(&mut self, df: &DataFrame, text: &str, label: &str) -> Result<History> {
        let (texts, classes) = (column(df, text)?, column(df, label)?);
        let mut known = classes.clone();
        known.sort_unstable();
        known.dedup();
        // One of the classes is another question than each of them.
        let renewed =
            self.says == Says::Each || known.iter().any(|class| !self.labels.contains(class));
        let labels = if renewed { known } else { self.labels.clone() };
        if labels.len() < 2 {
            let reason = format!("its classes are {labels:?}; a classifier needs two at least");
            return Err(dataset::bad(label, reason));
        }
        let number = |class: &String| labels.iter().position(|label| label == class);
        let numbers = classes.iter().filter_map(number).filter_map(|n| u32::try_from(n).ok());
        let data = TextDataset::new(self.texts.ids(&texts)?, numbers.collect());
        let loader = DataLoader::new(data, self.batch_size).with_shuffle(self.seed);
        let steps = (loader.batches() * self.epochs) as f64;
        let optimizer = Optimizer::adamw(self.learning_rate)
            .with_weight_decay(self.weight_decay)
            .without_decay_for(&["bias", "LayerNorm", "layer_norm"]);
        // The clone shares the variables with this model.
        let net = if renewed {
            self.net.with_new_output(labels.len(), self.seed)?
        } else {
            self.net.clone()
        };
        let mut trainer = Trainer::new(net, optimizer, Loss::CrossEntropy)
            .with_epochs(self.epochs)
            .with_schedule(Schedule::Linear { warmup: (steps * self.warmup) as usize })
            .with_clip_norm(1.0)
            .with_seed(self.seed);
        if self.quiet {
            trainer = trainer.quiet();
        }
        let fitted = trainer.fit(&loader);
        // What is refused has trained nothing, and the old head stays.
        if !matches!(fitted, Err(NnError::Setting { .. } | NnError::NoData)) {
            (self.net, self.labels, self.says) = (trainer.into_model(), labels, Says::One);
        }
        Ok(fitted?)
    }

    /// One value for each text and class, before they become probabilities, on the CPU.
    ///
    /// # Errors
    /// When the tokenizer fails or the user interrupts.
    pub fn logits<S: AsRef<str>>(&self, texts: &[S]) -> Result<Tensor> {
        let ids = self.texts.ids(texts)?;
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_by_key(|row| ids[*row].len());
        let mut rows = vec![Vec::new(); ids.len()];
        let bar = Bar::new("classifying", ids.len());
        for (number, part) in order.chunks(BATCH).enumerate() {
            bar.set(number * BATCH)?;
            let lengths: Vec<usize> = part.iter().map(|row| ids[*row].len()).collect();
            let packed: Vec<u32> = part.iter().flat_map(|row| ids[*row].iter().copied()).collect();
            let logits = self.net.logits(&packed, &lengths, Mode::eval())?.to_vec2::<f32>()?;
            part.iter().zip(logits).for_each(|(row, logits)| rows[*row] = logits);
        }
        bar.set(ids.len())?;
        Ok(Tensor::from_vec(rows.concat(), (ids.len(), self.labels.len()), &Device::Cpu)?)
    }

    /// The logits of a column, where there are classes to choose from.
    fn choice(&self, df: &DataFrame, text: &str) -> Result<Tensor> {
        if let [only] = &self.labels[..]
            && self.says == Says::One
        {
            return Err(LlmError::Unsupported {
                what: format!(
                    "telling texts apart by a model of one value ({only:?}: a regression model or a \
                     cross-encoder)"
                ),
                supported: "models of two classes at least; `logits` gives each text's value, and `fit` \
                            makes a classifier of the model",
            });
        }
        if self.says == Says::Nothing {
            return Err(LlmError::NotTrained { folder: self.files.0.clone() });
        }
        self.logits(&column(df, text)?)
    }

    /// The most likely class of each row's text, under the name `prediction`.
    ///
    /// # Errors
    /// When the column is missing or has missing values, the model has one value instead of classes, a text
    /// may have several of its classes, its head is not trained, and as [`TextClassifier::logits`].
    pub fn predict(&self, df: &DataFrame, text: &str) -> Result<Series> {
        if self.says == Says::Each {
            return Err(LlmError::Unsupported {
                what: "one class for each text by a model whose texts may have several".to_owned(),
                supported: "`predict_proba`, which gives each class's own probability",
            });
        }
        let numbers = self.choice(df, text)?.argmax(D::Minus1)?.to_vec1::<u32>()?;
        let labels: Vec<&str> = numbers
            .iter()
            .map(|number| self.labels.get(*number as usize).map_or("?", String::as_str))
            .collect();
        Ok(Series::new("prediction".into(), labels))
    }

    /// The probability of each class, one column for each. Those of a row add up to one, unless the model
    /// is one whose texts may have several classes (`multi_label_classification` in its `config.json`).
    ///
    /// # Errors
    /// As [`TextClassifier::predict`], but also of models for several classes.
    pub fn predict_proba(&self, df: &DataFrame, text: &str) -> Result<DataFrame> {
        let logits = self.choice(df, text)?;
        let p = if self.says == Says::Each { sigmoid(&logits)? } else { softmax(&logits)? };
        let columns = p.t()?.to_vec2::<f32>()?;
        let named = self.labels.iter().zip(columns);
        let columns = named.map(|(label, p)| Series::new(label.as_str().into(), p).into());
        Ok(DataFrame::new(df.height(), columns.collect())?)
    }

    /// The share of rows whose class is predicted.
    ///
    /// # Errors
    /// As [`TextClassifier::predict`].
    #[expect(clippy::cast_precision_loss, reason = "rows are far below 2^52")]
    pub fn score(&self, df: &DataFrame, text: &str, label: &str) -> Result<f64> {
        let (truth, said) = (column(df, label)?, self.predict(df, text)?);
        let said = said.str()?.iter().map(Option::unwrap_or_default);
        let hits = truth.iter().zip(said).filter(|(truth, said)| truth.as_str() == *said).count();
        Ok(hits as f64 / truth.len().max(1) as f64)
    }

    /// Writes a folder that transformers' `AutoModelForSequenceClassification` and
    /// [`TextClassifier::load`] read. All files are written aside and then renamed.
    ///
    /// # Errors
    /// When a file cannot be written; an older model there stays.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        let mut files = Together::begin(folder.as_ref())?;
        let kind = self.net.encoder.config.kind;
        let (prefix, with) = (self.net.encoder.prefix().to_owned(), kind.prefix());
        let encoder = self.net.encoder.vars().into_iter().map(|(name, var)| {
            let bare = name.strip_prefix(&prefix).unwrap_or(&name);
            (format!("{with}{bare}"), var)
        });
        let (dense, _) = ClassifierNet::names(kind);
        // Saved, a layer that has learned nothing would be taken for one that has.
        let head = self.net.head().into_iter().filter(|_| self.says != Says::Nothing);
        let head = head.map(|(name, var)| {
            let pooler = name.rsplit_once("pooler.dense").map(|(_, part)| format!("{dense}{part}"));
            (pooler.unwrap_or(name), var)
        });
        let tensors: HashMap<String, Tensor> =
            encoder.chain(head).map(|(name, var)| (name, var.as_detached_tensor())).collect();
        files.write_tensors(WHOLE, &tensors)?;
        let mut config = self.files.1.clone();
        if let Some(config) = config.as_object_mut() {
            let names = self.labels.iter().enumerate();
            let ids: serde_json::Map<_, _> =
                names.clone().map(|(id, name)| (name.clone(), json!(id))).collect();
            let names: serde_json::Map<_, _> =
                names.map(|(id, name)| (id.to_string(), json!(name))).collect();
            let class = match kind {
                Kind::Bert => "BertForSequenceClassification",
                Kind::Roberta => "RobertaForSequenceClassification",
                Kind::DistilBert => "DistilBertForSequenceClassification",
            };
            // Of the model as it was loaded; transformers counts the names.
            config.remove("num_labels");
            if self.says == Says::One {
                config.remove("problem_type");
            }
            config.insert("id2label".to_owned(), names.into());
            config.insert("label2id".to_owned(), ids.into());
            config.insert("architectures".to_owned(), json!([class]));
        }
        let text = serde_json::to_vec_pretty(&config).unwrap_or_default();
        files.write("config.json", &text)?;
        let from = self.files.0.join("tokenizer.json");
        let bytes = std::fs::read(&from).map_err(|e| LlmError::file("read", &from, e))?;
        files.write("tokenizer.json", &bytes)?;
        files.finish()
    }
}

/// A column as texts, none missing.
fn column(df: &DataFrame, name: &str) -> Result<Vec<String>> {
    let text = dataset::column(df, name)?.cast(&DataType::String)?;
    Ok(text.str()?.iter().map(|text| text.unwrap_or_default().to_owned()).collect())
}

impl Render for TextClassifier {
    fn render(&self) -> MimeBundle {
        MimeBundle::text(format!("{self:?}"))
    }
}

impl std::fmt::Debug for TextClassifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let config = &self.net.encoder.config;
        let (kind, layers) = (config.kind, config.layers);
        write!(f, "TextClassifier({kind:?}, {layers} layers, {:?})", self.labels)
    }
}
