//! What a model's file holds of its predictor: [`Parts`].

use oxilab_model_format::{ModelFile, Schema};

use crate::error::{OnnxError, Result, damaged};

/// The sections of the predictor in a model's file.
pub(crate) struct Parts<'a> {
    pub(crate) file: &'a ModelFile,
}

impl<'a> Parts<'a> {
    pub(crate) fn schema(&self) -> &'a Schema {
        &self.file.header.schema
    }

    pub(crate) fn f64(&self, name: &str) -> Result<&'a [f64]> {
        Ok(self.file.f64(&format!("predictor/{name}"))?)
    }

    pub(crate) fn u32(&self, name: &str) -> Result<&'a [u32]> {
        Ok(self.file.u32(&format!("predictor/{name}"))?)
    }

    /// A number among those of a section of sizes.
    pub(crate) fn size(&self, name: &str, index: usize) -> Result<usize> {
        let size = self.u32(name)?.get(index).ok_or_else(|| damaged("a size is missing"))?;
        Ok(*size as usize)
    }

    pub(crate) fn text(&self, name: &str) -> Result<&'a str> {
        let bytes = self.file.bytes(&format!("predictor/{name}"))?;
        std::str::from_utf8(bytes).map_err(|_| damaged("a text section is not UTF-8"))
    }

    pub(crate) fn unsupported(&self, reason: impl Into<String>) -> OnnxError {
        let learner = self.file.header.learner.clone();
        OnnxError::Unsupported { learner, reason: reason.into() }
    }
}
