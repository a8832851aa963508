//! The inside of a fitted model: [`Predictor`], and how it reads and writes its numbers.

use std::any::Any;

use oxilab_model_format::{FormatError, ModelFile, Section};

use crate::error::{ModelError, Result};
use crate::matrix::Matrix;

/// What a predictor says about rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    /// Probabilities, row after row, one per class.
    Probabilities(Vec<f64>),
    /// One number per row.
    Values(Vec<f64>),
    /// One cluster per row.
    Labels(Vec<u32>),
    /// New columns.
    Columns(Matrix),
}

/// A fitted learner without its frame side. `x` is encoded as the learner asked and has the features of
/// the training frame.
pub(crate) trait Predictor: Any + Send + Sync + std::fmt::Debug {
    /// Which reader in [`read`] restores it.
    fn kind(&self) -> &'static str;
    /// Predicts rows.
    fn predict(&self, x: &Matrix) -> Result<Output>;
    /// Writes everything needed to restore it.
    fn write(&self, out: &mut Sections<'_>);
    /// Importance per feature in the learner's own measure, if it has one.
    fn importance(&self) -> Option<Vec<f64>> {
        None
    }
    /// Exact Shapley values, row after row: features then the expected value; per class if several.
    fn contributions(&self, _x: &Matrix) -> Option<Result<Vec<f64>>> {
        None
    }
    /// The model in the format of the library that made it.
    fn native(&self) -> Option<&str> {
        None
    }
    /// The library that made the model, and its version.
    fn library(&self) -> Option<(&'static str, String)> {
        None
    }
    /// Numbers a person may want to see, for example coefficients.
    fn details(&self) -> Vec<(&'static str, Vec<f64>)> {
        Vec::new()
    }
}

/// Writes the sections of one predictor, which may hold another.
pub(crate) struct Sections<'a> {
    pub(crate) file: &'a mut ModelFile,
    pub(crate) prefix: String,
}

impl Sections<'_> {
    pub(crate) fn f64(&mut self, name: &str, values: &[f64]) {
        self.file.put(format!("{}{name}", self.prefix), Section::F64(values.to_vec()));
    }

    pub(crate) fn u32(&mut self, name: &str, values: &[u32]) {
        self.file.put(format!("{}{name}", self.prefix), Section::U32(values.to_vec()));
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.file.put(format!("{}{name}", self.prefix), Section::Bytes(text.as_bytes().to_vec()));
    }

    pub(crate) fn inner(&mut self, name: &str) -> Sections<'_> {
        Sections { prefix: format!("{}{name}/", self.prefix), file: self.file }
    }
}

/// Reads the sections of one predictor.
pub(crate) struct Reader<'a> {
    pub(crate) file: &'a ModelFile,
    pub(crate) prefix: String,
}

impl Reader<'_> {
    pub(crate) fn f64(&self, name: &str) -> Result<Vec<f64>> {
        Ok(self.file.f64(&format!("{}{name}", self.prefix))?.to_vec())
    }

    pub(crate) fn u32(&self, name: &str) -> Result<Vec<u32>> {
        Ok(self.file.u32(&format!("{}{name}", self.prefix))?.to_vec())
    }

    pub(crate) fn text(&self, name: &str) -> Result<String> {
        let bytes = self.file.bytes(&format!("{}{name}", self.prefix))?;
        String::from_utf8(bytes.to_vec()).map_err(|_| damaged("a text section is not UTF-8"))
    }

    /// The first number of a section of sizes.
    pub(crate) fn size(&self, name: &str, index: usize) -> Result<usize> {
        let sizes = self.u32(name)?;
        sizes.get(index).map(|size| *size as usize).ok_or_else(|| damaged("a size is missing"))
    }

    pub(crate) fn inner(&self, name: &str) -> Reader<'_> {
        Reader { prefix: format!("{}{name}/", self.prefix), file: self.file }
    }
}

/// Restores a predictor. New learners add a line.
pub(crate) fn read(kind: &str, from: &Reader<'_>) -> Result<Box<dyn Predictor>> {
    Ok(match kind {
        "dummy" => Box::new(crate::dummy::DummyPredictor::read(from)?),
        "linear" => Box::new(crate::linear::LinearPredictor::read(from)?),
        "logistic" => Box::new(crate::logistic::LogisticPredictor::read(from)?),
        "neighbors" => Box::new(crate::neighbors::NeighborsPredictor::read(from)?),
        "bayes" => Box::new(crate::bayes::BayesPredictor::read(from)?),
        "forest" => Box::new(crate::tree::ForestPredictor::read(from)?),
        "kmeans" => Box::new(crate::kmeans::KMeansPredictor::read(from)?),
        "net" => Box::new(crate::net::NetPredictor::read(from)?),
        "recurrent" => Box::new(crate::recurrent::RecurrentPredictor::read(from)?),
        "pca" => Box::new(crate::pca::PcaPredictor::read(from)?),
        "isolation" => Box::new(crate::isolation::IsolationPredictor::read(from)?),
        "lightgbm" => Box::new(crate::lightgbm::LightGbmPredictor::read(from)?),
        "xgboost" => Box::new(crate::xgboost::XgBoostPredictor::read(from)?),
        "calibrated" => Box::new(crate::calibrate::CalibratedPredictor::read(from)?),
        other => {
            return Err(damaged(format!("this library has no learner of kind `{other}`")));
        }
    })
}

pub(crate) fn damaged(problem: impl Into<String>) -> ModelError {
    ModelError::Format(FormatError::Damaged { problem: problem.into() })
}

/// Refuses a restored predictor whose parts do not fit together.
pub(crate) fn consistent(ok: bool) -> Result<()> {
    if ok { Ok(()) } else { Err(damaged("the sizes of its parts contradict each other")) }
}

/// Refuses rows that are not as wide as the training frame.
pub(crate) fn expect_features(x: &Matrix, features: usize) -> Result<()> {
    if x.cols() == features {
        return Ok(());
    }
    Err(damaged(format!("it has {features} features, its schema {}", x.cols())))
}
