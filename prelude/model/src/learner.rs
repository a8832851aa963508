//! From a config to a fitted model: the trait [`Estimator`], and what all learners share.

use std::borrow::Cow;
use std::collections::BTreeMap;

use oxilab_data::FittedPipeline;
use oxilab_model_format::{Header, Schema, Task};
use polars::prelude::*;
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::encode::{Encoder, Encoding};
use crate::error::{Result, While};
use crate::fitted::FittedModel;
use crate::matrix::{Matrix, float};
use crate::observed;
use crate::predictor::Predictor;
use crate::target::{Goal, Target, TargetReader};
use crate::weights;

/// A learner with its parameters, ready to be fitted.
///
/// Every learner has `fit` as a method of its own as well; the trait is for code that takes any of
/// them, for example [`crate::cross_validate`].
///
/// ```
/// use oxilab_model::{Dummy, Estimator, LinearRegression};
/// let learners: Vec<Box<dyn Estimator>> = vec![Box::new(Dummy::new()), Box::new(LinearRegression::new())];
/// assert_eq!(learners[1].name(), "LinearRegression");
/// ```
pub trait Estimator: Send + Sync {
    /// The learner's name, as in code.
    fn name(&self) -> &str;

    /// Its parameters.
    fn params(&self) -> serde_json::Value;

    /// Fits it to all columns of `train` but `target`.
    ///
    /// # Errors
    /// If a column or the target cannot be used; the message says which and what to do.
    fn fit(&self, train: &DataFrame, target: &str) -> Result<FittedModel>;

    /// Whether fits of this learner may run at the same time: not where it has threads of its own.
    fn parallel(&self) -> bool {
        true
    }

    /// The column of the training frame that says how much each row counts; see
    /// [`SampleWeight`](crate::SampleWeight).
    fn sample_weight(&self) -> Option<&str> {
        None
    }

    /// As `fit`, of a frame that a pipeline transformed: a learner that holds frames of its own, to
    /// validate on, transforms them as well.
    #[doc(hidden)]
    fn fit_behind(
        &self,
        _pipeline: &FittedPipeline,
        train: &DataFrame,
        target: &str,
    ) -> Result<FittedModel> {
        self.fit(train, target)
    }
}

impl<E: Estimator + ?Sized> Estimator for Box<E> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn params(&self) -> serde_json::Value {
        (**self).params()
    }

    fn fit(&self, train: &DataFrame, target: &str) -> Result<FittedModel> {
        (**self).fit(train, target)
    }

    fn parallel(&self) -> bool {
        (**self).parallel()
    }

    fn sample_weight(&self) -> Option<&str> {
        (**self).sample_weight()
    }

    fn fit_behind(
        &self,
        pipeline: &FittedPipeline,
        train: &DataFrame,
        target: &str,
    ) -> Result<FittedModel> {
        (**self).fit_behind(pipeline, train, target)
    }
}

/// How much the rows of a class count.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeight {
    /// All the same.
    #[default]
    Equal,
    /// Every class as much as every other: rows count `rows / (classes × rows of the class)`.
    Balanced,
    /// These classes count this much, others 1.
    Of(BTreeMap<String, f64>),
}

/// A training frame as numbers.
pub(crate) struct Problem<'a> {
    pub(crate) x: Matrix,
    pub(crate) y: Target,
    /// Per row, if not all 1: the weight of its class times its own.
    pub(crate) weights: Option<Vec<f64>>,
    /// Per row its own alone, and the column that holds it.
    pub(crate) own_weights: Option<Vec<f64>>,
    pub(crate) weight_column: Option<&'a str>,
    pub(crate) encoder: &'a Encoder,
    pub(crate) reader: &'a TargetReader,
    /// What the training frame went through before.
    pub(crate) pipeline: Option<&'a FittedPipeline>,
}

impl Problem<'_> {
    /// Another frame as the training frame is: raw frames go through the pipeline.
    pub(crate) fn prepared<'f>(&self, df: &'f DataFrame) -> Result<Cow<'f, DataFrame>> {
        match self.pipeline {
            Some(pipeline) => crate::piped::transform(pipeline, df).map(Cow::Owned),
            None => Ok(Cow::Borrowed(df)),
        }
    }
}

/// What a learner hands back.
pub(crate) struct Learned {
    pub(crate) predictor: Box<dyn Predictor>,
    pub(crate) metrics: BTreeMap<String, f64>,
    /// Named series over the iterations.
    pub(crate) history: Vec<(String, Vec<f64>)>,
}

impl Learned {
    pub(crate) fn new(predictor: impl Predictor) -> Self {
        Self { predictor: Box::new(predictor), metrics: BTreeMap::new(), history: Vec::new() }
    }
}

/// The crate's own side of [`Estimator`]: supervised learners implement this, and [`estimator`] the
/// rest.
pub(crate) trait Learner: Serialize + Send + Sync {
    const NAME: &'static str;
    const PARALLEL: bool = true;

    fn goal(&self) -> Goal;
    fn encoding(&self) -> Encoding;
    fn class_weight(&self) -> ClassWeight {
        ClassWeight::Equal
    }
    /// The column that says how much each row counts.
    fn sample_weight(&self) -> Option<&str> {
        None
    }
    /// Whether a target of one value only makes sense.
    fn allows_constant_target(&self) -> bool {
        false
    }
    /// Checks the parameters.
    fn check(&self) -> Result<()> {
        Ok(())
    }
    fn learn(&self, problem: &Problem<'_>) -> Result<Learned>;
}

pub(crate) fn params_of(learner: &impl Serialize) -> serde_json::Value {
    // Configs are plain structs, which always serialise.
    serde_json::to_value(learner).unwrap_or(serde_json::Value::Null)
}

pub(crate) fn fit_supervised<L: Learner>(
    learner: &L,
    train: &DataFrame,
    target: &str,
    pipeline: Option<&FittedPipeline>,
) -> Result<FittedModel> {
    let fit = || fit_untold(learner, train, target, pipeline);
    observed::fit(L::NAME, || params_of(learner), train, fit)
}

fn fit_untold<L: Learner>(
    learner: &L,
    train: &DataFrame,
    target: &str,
    pipeline: Option<&FittedPipeline>,
) -> Result<FittedModel> {
    learner.check()?;
    let weight_column = learner.sample_weight();
    let (rows, own_weights) = weights::split(train, weight_column, Some(target))?;
    let (reader, y) = TargetReader::of(&rows, target, learner.goal())?;
    if let Target::Values(values) = &y
        && !learner.allows_constant_target()
        && values.iter().all(|value| value.total_cmp(&values[0]).is_eq())
    {
        return Err(crate::error::ModelError::target(
            target,
            format!("all {} values are {}", values.len(), values[0]),
            "there is nothing to learn; check the filter, or use `Dummy`",
        ));
    }
    if let Some(own) = &own_weights {
        weights::check_classes(own, &y, target, &reader.classes)?;
    }
    let (encoder, x) = Encoder::fit(&rows, Some(target), learner.encoding())?;
    let own = own_weights.as_deref();
    let weights = class_weights(&learner.class_weight(), &y, &reader.classes, own)
        .or_else(|| own_weights.clone());
    let problem = Problem {
        x,
        y,
        weights,
        own_weights,
        weight_column,
        encoder: &encoder,
        reader: &reader,
        pipeline,
    };
    let found = learner.learn(&problem)?;
    drop(problem);
    supervised(L::NAME, params_of(learner), (train, target), encoder, reader, found)
}

/// The model of a target: what was learned, with what reads the frame and the target.
pub(crate) fn supervised(
    name: &str,
    params: serde_json::Value,
    (train, target): (&DataFrame, &str),
    encoder: Encoder,
    reader: TargetReader,
    learned: Learned,
) -> Result<FittedModel> {
    let schema = Schema {
        task: reader.task,
        columns: encoder.columns.clone(),
        target: Some(target.to_owned()),
        target_dtype: Some(reader.dtype.to_string()),
        classes: reader.classes.clone(),
    };
    let header = header(name, params, schema, train, &learned)?;
    Ok(FittedModel::assemble(header, encoder, Some(reader), learned))
}

/// As [`fit_supervised`], for learners without a target; `learn` gets features and weights.
pub(crate) fn fit_unsupervised(
    name: &'static str,
    params: &serde_json::Value,
    (task, encoding): (Task, Encoding),
    df: &DataFrame,
    weight_column: Option<&str>,
    learn: impl FnOnce(&Matrix, Option<&[f64]>) -> Result<Learned>,
) -> Result<FittedModel> {
    let fit = || {
        let (rows, weights) = weights::split(df, weight_column, None)?;
        let (encoder, x) = Encoder::fit(&rows, None, encoding)?;
        let learned = learn(&x, weights.as_deref())?;
        let schema = Schema {
            task,
            columns: encoder.columns.clone(),
            target: None,
            target_dtype: None,
            classes: Vec::new(),
        };
        let header = header(name, params.clone(), schema, df, &learned)?;
        Ok(FittedModel::assemble(header, encoder, None, learned))
    };
    observed::fit(name, || params.clone(), df, fit)
}

pub(crate) fn header(
    learner: &str,
    params: serde_json::Value,
    schema: Schema,
    df: &DataFrame,
    found: &Learned,
) -> Result<Header> {
    Ok(Header {
        learner: learner.to_owned(),
        kind: found.predictor.kind().to_owned(),
        schema,
        params,
        metrics: found.metrics.clone(),
        libraries: libraries(found.predictor.as_ref()),
        training_rows: df.height() as u64,
        training_data: hash_frame(df)?,
    })
}

/// The versions of the libraries that decide what a model is.
pub(crate) fn libraries(predictor: &dyn Predictor) -> BTreeMap<String, String> {
    let ours = [("oxilab-model", env!("CARGO_PKG_VERSION")), ("polars", polars::VERSION)];
    let ours = ours.map(|(name, version)| (name, version.to_owned()));
    let all = ours.into_iter().chain(predictor.library());
    all.map(|(name, version)| (name.to_owned(), version)).collect()
}

/// SHA-256 of a frame's names, types and values, in hexadecimal. The chunks of a frame do not matter.
///
/// # Errors
/// If a column cannot be read as numbers or text.
pub fn hash_frame(df: &DataFrame) -> Result<String> {
    let parts: Vec<[u8; 32]> =
        df.columns().par_iter().map(hash_column).collect::<Result<Vec<_>>>()?;
    let mut hash = Sha256::new();
    hash.update((df.height() as u64).to_le_bytes());
    for part in parts {
        hash.update(part);
    }
    Ok(hex::encode(hash.finalize()))
}

fn hash_column(column: &Column) -> Result<[u8; 32]> {
    let mut hash = Sha256::new();
    hash.update(column.name().as_bytes());
    hash.update([0]);
    hash.update(column.dtype().to_string().as_bytes());
    let dtype = column.dtype();
    if let DataType::List(_) = dtype {
        const DOING: &str = "hashing the training frame";
        let lists = column.list().doing(DOING)?;
        for row in 0..column.len() {
            let list = lists.get_as_series(row);
            hash.update(list.as_ref().map_or(u64::MAX, |list| list.len() as u64).to_le_bytes());
            if let Some(list) = list {
                hash.update(hash_column(&list.into())?);
            }
        }
        return Ok(hash.finalize().into());
    }
    if dtype.is_primitive_numeric() || dtype.is_bool() || dtype.is_temporal() {
        let physical = column.to_physical_repr();
        // Whole numbers of 64 bits do not all fit into a float.
        if physical.dtype().is_integer() {
            let cast = physical.cast(&DataType::Int64).doing("hashing the training frame")?;
            let values = cast.i64().doing("hashing the training frame")?;
            if let Ok(slice) = values.cont_slice() {
                hash_numbers(&mut hash, slice, i64::to_le_bytes);
            } else {
                let all: Vec<i64> = values.iter().map(|v| v.unwrap_or(i64::MIN)).collect();
                hash_numbers(&mut hash, &all, i64::to_le_bytes);
            }
        } else {
            let values = crate::encode::numbers(column)?;
            hash_numbers(&mut hash, &values, |value| value.to_bits().to_le_bytes());
        }
    } else if let Ok(text) = column.cast(&DataType::String) {
        for value in text.str().doing("hashing the training frame")?.iter() {
            match value {
                Some(value) => {
                    hash.update((value.len() as u64).to_le_bytes());
                    hash.update(value.as_bytes());
                }
                None => hash.update(u64::MAX.to_le_bytes()),
            }
        }
    }
    Ok(hash.finalize().into())
}

fn hash_numbers<T: Copy>(hash: &mut Sha256, values: &[T], bytes: impl Fn(T) -> [u8; 8]) {
    let mut block = [[0; 8]; 512];
    for values in values.chunks(block.len()) {
        for (place, value) in block.iter_mut().zip(values) {
            *place = bytes(*value);
        }
        hash.update(block[..values.len()].as_flattened());
    }
}

/// The weight of every row's class times the row's own, unless classes count the same. Balanced classes
/// are so by the sums of their rows' own weights, as in scikit-learn's logistic regression.
fn class_weights(
    rule: &ClassWeight,
    y: &Target,
    classes: &[String],
    own: Option<&[f64]>,
) -> Option<Vec<f64>> {
    let Target::Classes(codes, count) = y else { return None };
    let own = |row: usize| own.map_or(1.0, |own| own[row]);
    let per_class: Vec<f64> = match rule {
        ClassWeight::Equal => return None,
        ClassWeight::Balanced => {
            let mut sums = vec![0.0; *count];
            for (row, code) in codes.iter().enumerate() {
                sums[*code as usize] += own(row);
            }
            let all: f64 = sums.iter().sum();
            sums.iter().map(|sum| all / (float(*count) * sum)).collect()
        }
        ClassWeight::Of(weights) => {
            classes.iter().map(|class| weights.get(class).copied().unwrap_or(1.0)).collect()
        }
    };
    let weight = |(row, code): (usize, &u32)| per_class[*code as usize] * own(row);
    Some(codes.iter().enumerate().map(weight).collect())
}

/// A config struct with `new()`, `Default` and one `with_*` per field; `as` names the type that it
/// takes where that is not the field's: `Option<usize> as impl Into<Option<usize>>` takes `4` and
/// `Some(4)`, so that nobody has to know which parameter of which learner may be left open.
macro_rules! config {
    (@takes $ty:ty) => { $ty };
    (@takes $ty:ty, $taken:ty) => { $taken };
    (@value $field:ident) => { $field };
    (@value $field:ident, $taken:ty) => { $field.into() };
    (
        $(#[$meta:meta])*
        $name:ident {
            $( $(#[$doc:meta])* $with:ident $field:ident: $ty:ty $(as $taken:ty)? = $default:expr; )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, serde::Serialize)]
        pub struct $name {
            $( $field: $ty, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $name {
            /// With default parameters.
            #[must_use]
            pub fn new() -> Self {
                Self::default()
            }

            $(
                $(#[$doc])*
                #[must_use]
                pub fn $with(mut self, $field: config!(@takes $ty $(, $taken)?)) -> Self {
                    self.$field = config!(@value $field $(, $taken)?);
                    self
                }
            )*
        }
    };
}
pub(crate) use config;

/// `fit` as a method, and [`Estimator`], for a [`Learner`].
macro_rules! estimator {
    ($name:ident) => {
        impl $name {
            /// Fits the learner to all columns of `train` but `target`.
            ///
            /// # Errors
            /// If a parameter, a column or the target cannot be used; the message says which and what
            /// to do.
            pub fn fit(
                &self,
                train: &polars::prelude::DataFrame,
                target: &str,
            ) -> crate::error::Result<crate::fitted::FittedModel> {
                crate::learner::fit_supervised(self, train, target, None)
            }
        }

        impl crate::learner::Estimator for $name {
            fn name(&self) -> &str {
                <Self as crate::learner::Learner>::NAME
            }

            fn params(&self) -> serde_json::Value {
                crate::learner::params_of(self)
            }

            fn fit(
                &self,
                train: &polars::prelude::DataFrame,
                target: &str,
            ) -> crate::error::Result<crate::fitted::FittedModel> {
                crate::learner::fit_supervised(self, train, target, None)
            }

            fn parallel(&self) -> bool {
                <Self as crate::learner::Learner>::PARALLEL
            }

            fn sample_weight(&self) -> Option<&str> {
                crate::learner::Learner::sample_weight(self)
            }

            fn fit_behind(
                &self,
                pipeline: &oxilab_data::FittedPipeline,
                train: &polars::prelude::DataFrame,
                target: &str,
            ) -> crate::error::Result<crate::fitted::FittedModel> {
                crate::learner::fit_supervised(self, train, target, Some(pipeline))
            }
        }
    };
}
pub(crate) use estimator;
