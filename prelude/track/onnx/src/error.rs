//! Why a model does not become ONNX: [`OnnxError`].

use oxilab_model_format::FormatError;

/// What stands against writing a model as ONNX.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// ONNX's operators do not say what the model does.
    #[error(
        "a {learner} model cannot be written as ONNX: {reason}; other programs reach it through \
         `oxilab serve`, MLflow's `pyfunc`, or the native files of LightGBM and XGBoost"
    )]
    Unsupported {
        /// The learner's name.
        learner: String,
        /// What ONNX lacks.
        reason: String,
    },
    /// Parts of the model's file are missing or contradict each other.
    #[error("the model file is damaged: {problem}; copy it again from where it was saved")]
    Damaged {
        /// What does not fit.
        problem: String,
    },
    /// A section of the file is missing.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, OnnxError>;

pub(crate) fn damaged(problem: impl Into<String>) -> OnnxError {
    OnnxError::Damaged { problem: problem.into() }
}

/// Refuses parts that do not fit together.
pub(crate) fn consistent(ok: bool) -> Result<()> {
    if ok { Ok(()) } else { Err(damaged("the sizes of its parts contradict each other")) }
}
