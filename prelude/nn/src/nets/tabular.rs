//! Perceptrons for frames, with scikit-learn's verbs.

use candle_core::{D, Tensor};
use oxilab_display::{MimeBundle, Render};
use polars::prelude::{DataFrame, DataType, NamedFrom as _, Series};

use super::mlp::Mlp;
use crate::error::{NnError, Result};
use crate::history::History;
use crate::loader::{DataLoader, TensorDataset, frame_to_tensor};
use crate::loss::Loss;
use crate::model::{Mode, Trainable as _};
use crate::optim::Optimizer;
use crate::schedule::Schedule;
use crate::trainer::Trainer;

/// Settings that both nets share.
#[derive(Clone, Debug)]
struct Settings {
    hidden: Vec<usize>,
    epochs: usize,
    batch_size: usize,
    learning_rate: f64,
    weight_decay: f64,
    dropout: f64,
    seed: u64,
    quiet: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hidden: vec![64, 64],
            epochs: 30,
            batch_size: 64,
            learning_rate: 3e-3,
            weight_decay: 1e-4,
            dropout: 0.0,
            seed: 0,
            quiet: false,
        }
    }
}

/// A trained net with the scaling of its inputs.
#[derive(Clone, Debug)]
struct Fitted {
    net: Mlp,
    features: Vec<String>,
    mean: Tensor,
    std: Tensor,
    history: History,
}

impl Fitted {
    fn train(
        settings: &Settings,
        input: &Tensor,
        target: Tensor,
        features: &[&str],
        outputs: usize,
        loss: Loss,
    ) -> Result<Self> {
        let mean = input.mean_keepdim(0)?;
        let std = input.broadcast_sub(&mean)?.sqr()?.mean_keepdim(0)?.sqrt()?;
        // A constant column stays as it is.
        let std = std.eq(0.0)?.where_cond(&std.ones_like()?, &std)?;
        let scaled = input.broadcast_sub(&mean)?.broadcast_div(&std)?;
        let loader = DataLoader::new(TensorDataset::new(scaled, target)?, settings.batch_size)
            .with_shuffle(settings.seed);
        let net = Mlp::new(features.len(), &settings.hidden, outputs, settings.seed)?
            .with_dropout(settings.dropout);
        let optimizer = Optimizer::adamw(settings.learning_rate)
            .with_weight_decay(settings.weight_decay)
            .without_decay_for(&["bias"]);
        let mut trainer = Trainer::new(net, optimizer, loss)
            .with_epochs(settings.epochs)
            .with_schedule(Schedule::Cosine { warmup: 0 })
            .with_seed(settings.seed);
        if settings.quiet {
            trainer = trainer.quiet();
        }
        let history = trainer.fit(&loader)?;
        let features = features.iter().map(|name| (*name).to_owned()).collect();
        Ok(Self { net: trainer.into_model(), features, mean, std, history })
    }

    fn forward(&self, df: &DataFrame) -> Result<Tensor> {
        let names: Vec<&str> = self.features.iter().map(String::as_str).collect();
        let input = frame_to_tensor(df, &names)?;
        let scaled = input.broadcast_sub(&self.mean)?.broadcast_div(&self.std)?;
        Ok(self.net.forward(&scaled, Mode::eval())?)
    }
}

/// The columns that are not the target; all of them must hold numbers.
fn features_of<'a>(df: &'a DataFrame, target: &str) -> Vec<&'a str> {
    df.get_column_names()
        .into_iter()
        .map(|name| name.as_str())
        .filter(|name| *name != target)
        .collect()
}

macro_rules! settings {
    ($net:ident) => {
        impl $net {
            /// Sets the widths of the hidden layers; `[64, 64]` unless set.
            #[must_use]
            pub fn with_hidden(mut self, widths: &[usize]) -> Self {
                self.settings.hidden = widths.to_vec();
                self
            }

            /// Sets the number of epochs; 30 unless set.
            #[must_use]
            pub fn with_epochs(mut self, epochs: usize) -> Self {
                self.settings.epochs = epochs;
                self
            }

            /// Sets the rows of a batch; 64 unless set.
            #[must_use]
            pub fn with_batch_size(mut self, rows: usize) -> Self {
                self.settings.batch_size = rows;
                self
            }

            /// Sets AdamW's learning rate; 0.003 unless set.
            #[must_use]
            pub fn with_learning_rate(mut self, rate: f64) -> Self {
                self.settings.learning_rate = rate;
                self
            }

            /// Sets the weight decay; 0.0001 unless set.
            #[must_use]
            pub fn with_weight_decay(mut self, decay: f64) -> Self {
                self.settings.weight_decay = decay;
                self
            }

            /// Sets the dropout between hidden layers; none unless set.
            #[must_use]
            pub fn with_dropout(mut self, p: f64) -> Self {
                self.settings.dropout = p;
                self
            }

            /// Sets the seed of weights, order and dropout.
            #[must_use]
            pub fn with_seed(mut self, seed: u64) -> Self {
                self.settings.seed = seed;
                self
            }

            /// Trains without progress bar and chart.
            #[must_use]
            pub fn quiet(mut self) -> Self {
                self.settings.quiet = true;
                self
            }

            /// The losses of the training.
            ///
            /// # Errors
            /// When the net is not trained.
            pub fn history(&self) -> Result<&History> {
                Ok(&self.fitted()?.history)
            }

            fn fitted(&self) -> Result<&Fitted> {
                self.fitted.as_ref().ok_or(NnError::NotTrained)
            }
        }

        impl Render for $net {
            fn render(&self) -> MimeBundle {
                let widths = &self.settings.hidden;
                let text = match &self.fitted {
                    Some(fitted) => format!(
                        "{}(hidden {widths:?}, {} features, {} epochs)",
                        stringify!($net),
                        fitted.features.len(),
                        fitted.history.epochs().len()
                    ),
                    None => format!("{}(hidden {widths:?}, not trained)", stringify!($net)),
                };
                MimeBundle::text(text)
            }
        }
    };
}

/// A perceptron that tells classes apart. Inputs are standardised; the target may be text, Boolean or
/// integer.
///
/// ```
/// use oxilab_nn::nets::MlpClassifier;
/// use polars::prelude::df;
///
/// let df = df!("x" => [0.0, 0.1, 0.9, 1.0], "kind" => ["low", "low", "high", "high"])?;
/// let net = MlpClassifier::new().with_epochs(60).quiet().fit(&df, "kind")?;
/// assert_eq!(net.predict(&df)?.str()?.get(3), Some("high"));
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MlpClassifier {
    settings: Settings,
    fitted: Option<Fitted>,
    classes: Vec<String>,
}

settings!(MlpClassifier);

impl MlpClassifier {
    /// A classifier with two hidden layers of 64.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trains on all other columns of the frame.
    ///
    /// # Errors
    /// When a column is not numeric, has missing values, or the loss is not finite.
    pub fn fit(mut self, df: &DataFrame, target: &str) -> Result<Self> {
        let labels = labels(df, target)?;
        let mut classes = labels.clone();
        classes.sort_unstable_by(|a, b| match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(a), Ok(b)) => a.total_cmp(&b),
            _ => a.cmp(b),
        });
        classes.dedup();
        let numbers: Vec<u32> = labels
            .iter()
            .filter_map(|label| classes.iter().position(|class| class == label))
            .filter_map(|number| u32::try_from(number).ok())
            .collect();
        let features = features_of(df, target);
        let input = frame_to_tensor(df, &features)?;
        let target = Tensor::from_vec(numbers, labels.len(), input.device())?;
        let outputs = classes.len();
        let fitted =
            Fitted::train(&self.settings, &input, target, &features, outputs, Loss::CrossEntropy)?;
        self.fitted = Some(fitted);
        self.classes = classes;
        Ok(self)
    }

    /// The most likely class of each row, as text, under the name `prediction`.
    ///
    /// # Errors
    /// When the net is not trained or a column is missing.
    pub fn predict(&self, df: &DataFrame) -> Result<Series> {
        let numbers = self.fitted()?.forward(df)?.argmax(D::Minus1)?.to_vec1::<u32>()?;
        let labels: Vec<&str> =
            numbers.iter().map(|number| self.classes[*number as usize].as_str()).collect();
        Ok(Series::new("prediction".into(), labels))
    }

    /// The probability of each class, one column for each.
    ///
    /// # Errors
    /// When the net is not trained or a column is missing.
    pub fn predict_proba(&self, df: &DataFrame) -> Result<DataFrame> {
        let logits = self.fitted()?.forward(df)?;
        let columns = candle_nn::ops::softmax(&logits, 1)?.t()?.to_vec2::<f32>()?;
        let named = self.classes.iter().zip(columns);
        let columns =
            named.map(|(class, p)| Series::new(class.as_str().into(), p).into()).collect();
        Ok(DataFrame::new(df.height(), columns)?)
    }

    /// The share of rows whose class is predicted.
    ///
    /// # Errors
    /// As [`MlpClassifier::predict`].
    #[expect(clippy::cast_precision_loss, reason = "rows are far below 2^52")]
    pub fn score(&self, df: &DataFrame, target: &str) -> Result<f64> {
        let (truth, said) = (labels(df, target)?, self.predict(df)?);
        let said = said.str()?.iter().map(Option::unwrap_or_default);
        let hits = truth.iter().zip(said).filter(|(truth, said)| truth.as_str() == *said).count();
        Ok(hits as f64 / truth.len().max(1) as f64)
    }

    /// The classes, in the order of the probabilities' columns.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }
}

fn labels(df: &DataFrame, target: &str) -> Result<Vec<String>> {
    let column = df.column(target)?;
    if column.null_count() > 0 {
        return Err(NnError::Column {
            column: target.to_owned(),
            reason: format!("{} values are missing; drop these rows first", column.null_count()),
        });
    }
    if df.height() == 0 {
        return Err(NnError::NoData);
    }
    let text = column.cast(&DataType::String)?;
    Ok(text.str()?.iter().map(|label| label.unwrap_or_default().to_owned()).collect())
}

/// A perceptron that predicts a number. Inputs and target are standardised.
#[derive(Clone, Debug, Default)]
pub struct MlpRegressor {
    settings: Settings,
    fitted: Option<Fitted>,
    target_scale: (f64, f64),
}

settings!(MlpRegressor);

impl MlpRegressor {
    /// A regressor with two hidden layers of 64.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trains on all other columns of the frame.
    ///
    /// # Errors
    /// When a column is not numeric, has missing values, or the loss is not finite.
    pub fn fit(mut self, df: &DataFrame, target: &str) -> Result<Self> {
        let features = features_of(df, target);
        let input = frame_to_tensor(df, &features)?;
        let values = frame_to_tensor(df, &[target])?;
        let mean = f64::from(values.mean_all()?.to_scalar::<f32>()?);
        let spread = (&values - mean)?.sqr()?.mean_all()?.sqrt()?.to_scalar::<f32>()?;
        let std = if spread > 0.0 { f64::from(spread) } else { 1.0 };
        let scaled = ((values - mean)? / std)?;
        self.fitted = Some(Fitted::train(&self.settings, &input, scaled, &features, 1, Loss::Mse)?);
        self.target_scale = (mean, std);
        Ok(self)
    }

    /// The predicted number of each row, under the name `prediction`.
    ///
    /// # Errors
    /// When the net is not trained or a column is missing.
    pub fn predict(&self, df: &DataFrame) -> Result<Series> {
        let (mean, std) = self.target_scale;
        let output = ((self.fitted()?.forward(df)? * std)? + mean)?.flatten_all()?;
        Ok(Series::new("prediction".into(), output.to_vec1::<f32>()?))
    }

    /// The share of the target's variance that is explained (R²).
    ///
    /// # Errors
    /// As [`MlpRegressor::predict`].
    pub fn score(&self, df: &DataFrame, target: &str) -> Result<f64> {
        let truth = frame_to_tensor(df, &[target])?.flatten_all()?;
        let said = Tensor::from_vec(
            self.predict(df)?.f32()?.into_no_null_iter().collect::<Vec<f32>>(),
            df.height(),
            truth.device(),
        )?;
        let rest = (&truth - said)?.sqr()?.sum_all()?.to_scalar::<f32>()?;
        let mean = f64::from(truth.mean_all()?.to_scalar::<f32>()?);
        let total = (truth - mean)?.sqr()?.sum_all()?.to_scalar::<f32>()?;
        Ok(1.0 - f64::from(rest) / f64::from(total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::df;

    #[test]
    fn a_regressor_learns_a_curve_and_refuses_before_training() -> Result<()> {
        let x: Vec<f64> = (0..200).map(|i| f64::from(i) / 100.0 - 1.0).collect();
        let y: Vec<f64> = x.iter().map(|x| 1000.0 + 50.0 * (3.0 * x).sin()).collect();
        let df = df!("x" => x, "y" => y)?;
        assert!(matches!(MlpRegressor::new().predict(&df), Err(NnError::NotTrained)));
        let net =
            MlpRegressor::new().with_epochs(80).with_learning_rate(0.01).quiet().fit(&df, "y")?;
        assert!(net.score(&df, "y")? > 0.98, "{}", net.score(&df, "y")?);
        Ok(())
    }

    #[test]
    fn a_classifier_learns_integer_classes_and_gives_probabilities() -> Result<()> {
        let x: Vec<f64> = (0..90).map(f64::from).collect();
        let kind: Vec<i32> = (0..90).map(|i| i / 30 * 5).collect();
        let df = df!("x" => x, "kind" => kind)?;
        let net = MlpClassifier::new()
            .with_epochs(150)
            .with_learning_rate(0.01)
            .quiet()
            .fit(&df, "kind")?;
        assert_eq!(net.classes(), ["0", "5", "10"]);
        assert!(net.score(&df, "kind")? > 0.95);
        let proba = net.predict_proba(&df)?;
        assert_eq!(proba.shape(), (90, 3));
        Ok(())
    }
}
