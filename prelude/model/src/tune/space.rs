//! What can be tuned: [`Space`], [`Dimension`], [`Value`].

use serde::{Deserialize, Serialize};

use crate::error::{ModelError, Result, require};

/// The range of one parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// A number between two bounds, both included.
    Float {
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
        /// Whether orders of magnitude are equally likely.
        log: bool,
    },
    /// A whole number between two bounds, both included.
    Int {
        /// The lower bound.
        low: i64,
        /// The upper bound.
        high: i64,
        /// Whether orders of magnitude are equally likely.
        log: bool,
    },
    /// One of these texts.
    Choice(Vec<String>),
}

/// The value of one parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// One of the texts.
    Text(String),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{}", crate::evaluate::figure(*value)),
            Self::Text(value) => f.write_str(value),
        }
    }
}

impl Value {
    /// The number, if it is one.
    #[expect(clippy::cast_precision_loss, reason = "parameters for people")]
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Text(_) => None,
        }
    }
}

/// Named parameters and their ranges.
///
/// ```
/// use oxilab_model::Space;
/// let space = Space::new()
///     .log_float("learning_rate", 1e-3, 0.3)
///     .int("num_leaves", 4, 64)
///     .choice("learner", ["forest", "boosting"]);
/// assert_eq!(space.names(), ["learning_rate", "num_leaves", "learner"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Space {
    pub(crate) dimensions: Vec<(String, Dimension)>,
}

impl Space {
    /// Without parameters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a number.
    #[must_use]
    pub fn float(self, name: impl Into<String>, low: f64, high: f64) -> Self {
        self.with(name, Dimension::Float { low, high, log: false })
    }

    /// Adds a number whose orders of magnitude are equally likely.
    #[must_use]
    pub fn log_float(self, name: impl Into<String>, low: f64, high: f64) -> Self {
        self.with(name, Dimension::Float { low, high, log: true })
    }

    /// Adds a whole number.
    #[must_use]
    pub fn int(self, name: impl Into<String>, low: i64, high: i64) -> Self {
        self.with(name, Dimension::Int { low, high, log: false })
    }

    /// Adds a whole number whose orders of magnitude are equally likely.
    #[must_use]
    pub fn log_int(self, name: impl Into<String>, low: i64, high: i64) -> Self {
        self.with(name, Dimension::Int { low, high, log: true })
    }

    /// Adds a choice among texts.
    #[must_use]
    pub fn choice<T: Into<String>>(
        self,
        name: impl Into<String>,
        choices: impl IntoIterator<Item = T>,
    ) -> Self {
        self.with(name, Dimension::Choice(choices.into_iter().map(Into::into).collect()))
    }

    fn with(mut self, name: impl Into<String>, dimension: Dimension) -> Self {
        self.dimensions.push((name.into(), dimension));
        self
    }

    /// The names of the parameters.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.dimensions.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub(crate) fn check(&self) -> Result<()> {
        const NAME: &str = "Space";
        require(!self.dimensions.is_empty(), NAME, "dimensions", 0, "1 or more")?;
        for (index, (name, dimension)) in self.dimensions.iter().enumerate() {
            if self.dimensions[..index].iter().any(|(other, _)| other == name) {
                return Err(ModelError::data(
                    format!("the space names `{name}` twice"),
                    "give every parameter a name of its own",
                ));
            }
            let sound = match dimension {
                Dimension::Float { low, high, log } => {
                    low.is_finite() && high.is_finite() && low <= high && (!log || *low > 0.0)
                }
                Dimension::Int { low, high, log } => low <= high && (!log || *low > 0),
                Dimension::Choice(choices) => !choices.is_empty(),
            };
            if !sound {
                return Err(ModelError::data(
                    format!(
                        "the range of `{name}` is empty, not finite, or logarithmic and not above 0"
                    ),
                    "give a lower bound that is not above the upper one",
                ));
            }
        }
        Ok(())
    }
}

impl Dimension {
    /// The interval in which samplers think: logarithms where asked, whole numbers widened by a half.
    pub(super) fn interval(&self) -> (f64, f64) {
        #[expect(clippy::cast_precision_loss, reason = "bounds of parameters")]
        let (low, high, log) = match self {
            Self::Float { low, high, log } => (*low, *high, *log),
            Self::Int { low, high, log } => (*low as f64 - 0.5, *high as f64 + 0.5, *log),
            Self::Choice(choices) => (0.0, crate::matrix::float(choices.len()), false),
        };
        if log { (low.ln(), high.ln()) } else { (low, high) }
    }

    /// A value from the samplers' interval.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the bounds"
    )]
    pub(super) fn value(&self, inner: f64) -> Value {
        match self {
            Self::Float { low, high, log } => {
                let value = if *log { inner.exp() } else { inner };
                Value::Float(value.clamp(*low, *high))
            }
            Self::Int { low, high, log } => {
                let value = if *log { inner.exp() } else { inner };
                Value::Int((value.round() as i64).clamp(*low, *high))
            }
            Self::Choice(choices) => {
                Value::Text(choices[(inner.max(0.0) as usize).min(choices.len() - 1)].clone())
            }
        }
    }

    /// Where a value lies in the samplers' interval, if it is of this dimension.
    pub(super) fn inner(&self, value: &Value) -> Option<f64> {
        match (self, value) {
            (Self::Float { log, .. }, Value::Float(value)) => {
                Some(if *log { value.ln() } else { *value })
            }
            #[expect(clippy::cast_precision_loss, reason = "bounds of parameters")]
            (Self::Int { log, .. }, Value::Int(value)) => {
                let value = *value as f64;
                Some(if *log { value.ln() } else { value })
            }
            (Self::Choice(choices), Value::Text(text)) => {
                choices.iter().position(|choice| choice == text).map(crate::matrix::float)
            }
            _ => None,
        }
    }
}
