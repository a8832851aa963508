//! Products of columns: polynomial and interaction terms.

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::select::Select;
use super::step::{self, Step};
use crate::columns;
use crate::error::{DataError, Result};

const DOING: &str = "PolynomialFeatures";

/// Adds all products of up to `degree` of the columns, named as scikit-learn names them: `a^2`, `a b`.
#[derive(Clone, Debug)]
pub struct PolynomialFeatures {
    select: Select,
    degree: usize,
    interactions: bool,
}

impl PolynomialFeatures {
    /// Degree 2, powers included.
    pub fn new(columns: impl Into<Select>) -> Self {
        Self { select: columns.into(), degree: 2, interactions: false }
    }

    /// Another degree, at most 5.
    #[must_use]
    pub fn with_degree(mut self, degree: usize) -> Self {
        self.degree = degree;
        self
    }

    /// Only products of different columns.
    #[must_use]
    pub fn with_interaction_only(mut self) -> Self {
        self.interactions = true;
        self
    }
}

/// Which products.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fitted {
    columns: Vec<String>,
    degree: usize,
    interactions: bool,
}

impl Step for PolynomialFeatures {
    fn fit(&self, train: &DataFrame) -> Result<step::Fitted> {
        let columns = self.select.resolve(train)?;
        let fitted = Fitted { columns, degree: self.degree, interactions: self.interactions };
        fitted.check()?;
        let terms = fitted.terms().len();
        if terms > 10_000 {
            return Err(DataError::invalid(
                DOING,
                format!(
                    "{} columns give {terms} products; choose fewer columns",
                    fitted.columns.len()
                ),
            ));
        }
        Ok(step::Fitted::Polynomial(fitted))
    }
}

impl Fitted {
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Checks the degree, which a file may say as well as a person.
    fn check(&self) -> Result<()> {
        if (2..=5).contains(&self.degree) {
            return Ok(());
        }
        Err(DataError::invalid(DOING, format!("degree {}; give 2 to 5", self.degree)))
    }

    /// Products as lists of column numbers, by degree.
    fn terms(&self) -> Vec<Vec<usize>> {
        let mut terms: Vec<Vec<usize>> = (0..self.columns.len()).map(|index| vec![index]).collect();
        let mut all = Vec::new();
        for _ in 1..self.degree {
            let mut longer = Vec::new();
            for term in &terms {
                let last = term.last().copied().unwrap_or(0);
                for next in last + usize::from(self.interactions)..self.columns.len() {
                    longer.push(term.iter().copied().chain([next]).collect());
                }
            }
            all.extend(longer.iter().cloned());
            terms = longer;
        }
        all
    }

    fn name(&self, term: &[usize]) -> String {
        let power = |run: &[usize]| {
            let name = &self.columns[run[0]];
            if run.len() == 1 { name.clone() } else { format!("{name}^{}", run.len()) }
        };
        term.chunk_by(|a, b| a == b).map(power).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn transform(&self, df: &DataFrame) -> Result<DataFrame> {
        self.check()?;
        let values = self
            .columns
            .iter()
            .map(|name| columns::dense(columns::column(df, name)?, DOING))
            .collect::<Result<Vec<_>>>()?;
        let products = self.terms().into_iter().map(|term| {
            let product =
                |row: usize| term.iter().map(|index| values[*index][row]).product::<f64>();
            let product: Vec<Option<f64>> =
                (0..df.height()).map(product).map(|v| (!v.is_nan()).then_some(v)).collect();
            Column::new(self.name(&term).into(), product)
        });
        step::put(df, products.collect::<Vec<_>>())
    }
}
