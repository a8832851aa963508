//! Shapley values of tree models: [`FittedModel::shap_values`], [`FittedModel::plot_shap`].

use oxilab_plot::Chart;
use oxilab_plot::model::Effects;
use polars::prelude::*;

use crate::error::{Result, While};
use crate::fitted::FittedModel;
use crate::matrix::{Matrix, float};

/// Features that a plot shows.
const SHOWN: usize = 15;

impl FittedModel {
    /// Exact Shapley values of tree models (TreeSHAP; Lundberg et al., 2020): one column per feature and
    /// `expected_value`; a row sums to the raw prediction (log-odds for classes). For several classes,
    /// columns are named `class:feature`.
    ///
    /// # Errors
    /// As [`FittedModel::predict`]; and if the learner is neither [`crate::LightGbm`] nor
    /// [`crate::XgBoost`].
    pub fn shap_values(&self, df: &DataFrame) -> Result<DataFrame> {
        let x = self.encode(df)?;
        let values = self.contributions(&x)?;
        let mut names = self.encoder().feature_names();
        names.push("expected_value".to_owned());
        let outputs = if self.classes().len() > 2 { self.classes().len() } else { 1 };
        let width = names.len() * outputs;
        let mut columns = Vec::with_capacity(width);
        for output in 0..outputs {
            for (feature, name) in names.iter().enumerate() {
                let place = output * names.len() + feature;
                let column: Vec<f64> = values.iter().skip(place).step_by(width).copied().collect();
                let name = if outputs > 1 {
                    format!("{}:{name}", self.classes()[output])
                } else {
                    name.clone()
                };
                columns.push(Column::new(name.into(), column));
            }
        }
        DataFrame::new(x.rows(), columns).doing("making the frame of Shapley values")
    }

    /// What each feature adds to the predictions of a frame: a point per row and feature, coloured by the
    /// feature's value, the features with the largest effects on top. For several classes, bars of the
    /// mean size of the effects over all classes.
    ///
    /// # Errors
    /// As [`FittedModel::shap_values`]; and if the frame has no rows.
    pub fn plot_shap(&self, df: &DataFrame) -> Result<Chart> {
        let x = self.encode(df)?;
        let names = self.encoder().feature_names();
        let values = self.contributions(&x)?;
        let width = names.len() + 1;
        let outputs = values.len() / (width * x.rows()).max(1);
        let mean = |feature: usize| -> f64 {
            let effects = values.iter().skip(feature).step_by(width);
            effects.map(|value| value.abs()).sum::<f64>() / float(x.rows().max(1))
        };
        let mut order: Vec<(usize, f64)> = (0..names.len()).map(|f| (f, mean(f))).collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1));
        order.truncate(SHOWN);
        if outputs != 1 {
            let shown: Vec<&str> =
                order.iter().map(|(feature, _)| names[*feature].as_str()).collect();
            let sizes: Vec<f64> = order.iter().map(|(_, mean)| *mean).collect();
            return Ok(oxilab_plot::model::ranking(&shown, &sizes, "mean size of the effect")?);
        }
        let effects: Vec<Effects> = order
            .iter()
            .map(|(feature, _)| Effects {
                name: names[*feature].clone(),
                effects: values.iter().skip(*feature).step_by(width).copied().collect(),
                values: x.col(*feature).to_vec(),
            })
            .collect();
        Ok(oxilab_plot::model::effects(&effects)?.with_title("Effects on the prediction"))
    }

    /// Per row and output: one value per feature, then the expected value.
    fn contributions(&self, x: &Matrix) -> Result<Vec<f64>> {
        self.predictor().contributions(x).unwrap_or_else(|| {
            Err(self.unsupported(
                "give Shapley values",
                "use a LightGbm or XgBoost model, or `permutation_importance`",
            ))
        })
    }
}
