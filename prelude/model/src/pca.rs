//! Principal components: [`Pca`].

use oxilab_model_format::Task;
use polars::prelude::DataFrame;

use crate::eigen::eigen;
use crate::encode::Encoding;
use crate::error::{Result, require};
use crate::fitted::FittedModel;
use crate::learner::{Learned, config, fit_unsupervised, params_of};
use crate::linalg::{blocked_dot, centre, gram, gram_of_rows};
use crate::matrix::{Matrix, float};
use crate::predictor::{Output, Predictor, Reader, Sections, consistent, expect_features};

config! {
    /// Principal component analysis by the eigenvalues of the covariance. `transform` gives columns
    /// `pc1`, `pc2`, …; `metrics()` holds the share of variance that each explains.
    ///
    /// ```
    /// use polars::prelude::*;
    /// let df = df!("x" => [1.0, 2.0, 3.0], "y" => [2.0, 4.1, 6.0])?;
    /// let model = oxilab_model::Pca::new().with_n_components(1).fit(&df)?;
    /// assert_eq!(model.transform(&df)?.shape(), (3, 1));
    /// assert!(model.metrics()["explained_variance_ratio_1"] > 0.99);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Pca {
        /// How many components (2).
        with_n_components n_components: usize = 2;
        /// Whether features get variance one first (yes).
        with_standardize standardize: bool = true;
    }
}

impl Pca {
    /// Finds the components of a frame.
    ///
    /// # Errors
    /// If a column cannot be used, or there are fewer features than components.
    pub fn fit(&self, df: &DataFrame) -> Result<FittedModel> {
        const NAME: &str = "Pca";
        let count = self.n_components;
        require(count > 0, NAME, "n_components", count, "1 or more")?;
        let kind = (Task::Decomposition, Encoding::Dense { standardize: self.standardize });
        fit_unsupervised(NAME, &params_of(self), kind, df, None, |x, _| {
            require(
                count <= x.cols().min(x.rows()),
                NAME,
                "n_components",
                count,
                "at most the number of features and of rows",
            )?;
            self.learn(x)
        })
    }

    fn learn(&self, x: &Matrix) -> Result<Learned> {
        let (rows, p) = (x.rows(), x.cols());
        // Features with variance one have mean zero already; their values are shared, not copied.
        let (centred, means) =
            if self.standardize { (x.clone(), vec![0.0; p]) } else { centre(x, None) };
        // With more features than rows, the rows' products have the same eigenvalues.
        let over_rows = p > rows;
        let products = if over_rows { gram_of_rows(&centred)? } else { gram(&centred)? };
        let (mut values, vectors) = eigen(&products, p.min(rows))?;
        for value in &mut values {
            *value /= float(rows.saturating_sub(1).max(1));
        }
        let mut components = if over_rows {
            let directions = vectors.chunks_exact(rows).take(self.n_components);
            directions.flat_map(|direction| component_of(&centred, direction)).collect()
        } else {
            vectors[..self.n_components * p].to_vec()
        };
        for component in components.chunks_exact_mut(p) {
            // The sign is free: the largest part is positive, as in scikit-learn.
            let largest = component
                .iter()
                .copied()
                .fold(0.0_f64, |a, b| if b.abs() > a.abs() { b } else { a });
            if largest < 0.0 {
                for value in component.iter_mut() {
                    *value = -*value;
                }
            }
        }
        let total: f64 = values.iter().sum();
        let mut learned = Learned::new(PcaPredictor { means, components });
        for (index, value) in values.iter().take(self.n_components).enumerate() {
            let share = if total > 0.0 { value / total } else { 0.0 };
            learned.metrics.insert(format!("explained_variance_ratio_{}", index + 1), share);
        }
        Ok(learned)
    }
}

/// `Xᵀ u` with length one: the component that belongs to an eigenvector of `X Xᵀ`.
fn component_of(x: &Matrix, direction: &[f64]) -> Vec<f64> {
    let component: Vec<f64> = (0..x.cols()).map(|col| blocked_dot(x.col(col), direction)).collect();
    let length = blocked_dot(&component, &component).sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    component.into_iter().map(|value| value * scale).collect()
}

/// Means and components, component after component.
#[derive(Debug)]
pub(crate) struct PcaPredictor {
    means: Vec<f64>,
    components: Vec<f64>,
}

impl PcaPredictor {
    pub(crate) fn read(from: &Reader<'_>) -> Result<Self> {
        let (means, components) = (from.f64("means")?, from.f64("components")?);
        consistent(!means.is_empty() && components.len().is_multiple_of(means.len()))?;
        Ok(Self { means, components })
    }
}

impl Predictor for PcaPredictor {
    fn kind(&self) -> &'static str {
        "pca"
    }

    fn predict(&self, x: &Matrix) -> Result<Output> {
        let p = self.means.len();
        expect_features(x, p)?;
        let mut values = Vec::with_capacity(x.rows() * self.components.len() / p);
        for component in self.components.chunks_exact(p) {
            let mut column = vec![0.0; x.rows()];
            for ((col, weight), mean) in component.iter().enumerate().zip(&self.means) {
                let source = x.col(col);
                column.iter_mut().zip(source).for_each(|(c, v)| *c += weight * (v - mean));
            }
            values.extend(column);
        }
        Ok(Output::Columns(Matrix::new(x.rows(), self.components.len() / p, values)))
    }

    fn write(&self, out: &mut Sections<'_>) {
        out.f64("means", &self.means);
        out.f64("components", &self.components);
    }
}
