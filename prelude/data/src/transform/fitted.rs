//! A pipeline that has learnt: transforms, saves, loads, and refuses frames it does not know.

use std::fmt::Write as _;
use std::path::Path;

use oxilab_display::{MimeBundle, Render};
use polars::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Custom, Fitted, conform};
use crate::error::{DataError, Result};
use crate::html::escape;

/// The version of the file format.
const VERSION: u32 = 1;

/// What a [`Pipeline`](super::Pipeline) learnt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FittedPipeline {
    version: u32,
    schema: Vec<Field>,
    steps: Vec<Fitted>,
}

/// A column the pipeline was fitted on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Field {
    name: String,
    dtype: String,
    #[serde(default)]
    optional: bool,
}

impl FittedPipeline {
    pub(super) fn new(train: &DataFrame, steps: Vec<Fitted>, optional: &[String]) -> Self {
        let field = |column: &Column| Field {
            name: column.name().to_string(),
            dtype: column.dtype().to_string(),
            optional: optional.iter().any(|name| name == column.name()),
        };
        Self { version: VERSION, schema: train.columns().iter().map(field).collect(), steps }
    }

    /// Transforms rows by what was learnt in fitting; columns are taken by name, in the order of
    /// fitting.
    ///
    /// # Errors
    /// When a column is missing, extra or of another type, or a step refuses a value.
    pub fn transform(&self, df: &DataFrame) -> Result<DataFrame> {
        self.check(df)?;
        let known = self.schema.iter().map(|field| field.name.as_str());
        let mut df = df.select(known.filter(|name| df.get_column_index(name).is_some()))?;
        for step in &self.steps {
            oxilab_runtime::cancel::poll();
            df = step.transform(&df)?;
        }
        Ok(df)
    }

    /// A frame as [`transform`](Self::transform) takes it: without the columns that fitting did not
    /// have, and cast to the types of fitting where that changes no value (`3` and `3.0`, text of a
    /// date and the date), as what was read from JSON or typed in needs.
    ///
    /// ```
    /// use oxilab_data::{Pipeline, StandardScaler};
    /// use polars::prelude::*;
    /// let fitted = Pipeline::new().with(StandardScaler::new("x")).fit(&df!("x" => [1.0, 3.0])?)?;
    /// let typed_in = df!("x" => [5], "note" => ["new"])?;
    /// let out = fitted.transform(&fitted.conform(&typed_in)?)?;
    /// assert_eq!(out.column("x")?.f64()?.get(0), Some(3.0));
    /// # Ok::<(), oxilab_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// When a column is missing, or of a type whose values would change.
    pub fn conform(&self, df: &DataFrame) -> Result<DataFrame> {
        let known =
            self.schema.iter().filter_map(|field| Some((field, df.column(&field.name).ok()?)));
        let columns = known.map(|(field, column)| conform::column(column, &field.dtype)).collect();
        let df = DataFrame::new(df.height(), columns)?;
        self.check(&df)?;
        Ok(df)
    }

    /// The columns and types that [`transform`](Self::transform) expects.
    #[must_use]
    pub fn schema(&self) -> Vec<(String, String)> {
        self.schema.iter().map(|field| (field.name.clone(), field.dtype.clone())).collect()
    }

    /// What each step learnt.
    #[must_use]
    pub fn steps(&self) -> &[Fitted] {
        &self.steps
    }

    /// The hash of schema and everything learnt: equal for equal pipelines.
    ///
    /// # Errors
    /// When something learnt cannot be written as JSON.
    pub fn hash(&self) -> Result<String> {
        Ok(hex::encode(Sha256::digest(self.json()?.as_bytes())))
    }

    fn json(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|e| DataError::invalid("saving a pipeline", e.to_string()))
    }

    /// The pipeline as JSON with its hash, as [`save`](Self::save) writes it.
    ///
    /// # Errors
    /// When something learnt cannot be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        Ok(format!("{{\"hash\":\"{}\",\"pipeline\":{}}}\n", self.hash()?, self.json()?))
    }

    /// Reads what [`to_json`](Self::to_json) gave.
    ///
    /// # Errors
    /// When the text is no pipeline of this version, or does not match its hash.
    pub fn from_json(text: &str) -> Result<Self> {
        parse(text).map_err(|problem| DataError::invalid("reading a pipeline", problem))
    }

    /// Writes the pipeline as JSON with its hash; the file appears whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let text = self.to_json()?;
        crate::read::write::replace(path.as_ref(), |file| {
            std::io::Write::write_all(file, text.as_bytes())
                .map_err(|e| DataError::io("writing", path.as_ref().to_string_lossy(), e))
        })
    }

    /// Reads what [`save`](Self::save) wrote. A function of a [`Custom`] step is not in the file:
    /// give it with [`with_custom`](Self::with_custom).
    ///
    /// # Errors
    /// When the file is not there, is no pipeline, or its content does not match its hash.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let name = path.as_ref().to_string_lossy();
        let text =
            std::fs::read_to_string(&path).map_err(|e| DataError::io("reading", &*name, e))?;
        parse(&text).map_err(|problem| DataError::read(&*name, problem))
    }

    /// Gives the function of a custom step of a loaded pipeline; steps are matched by name.
    #[must_use]
    pub fn with_custom(mut self, custom: &Custom) -> Self {
        for step in &mut self.steps {
            if let Fitted::Custom(own) = step
                && own.name() == custom.name()
            {
                *own = custom.clone();
            }
        }
        self
    }

    fn check(&self, df: &DataFrame) -> Result<()> {
        let mut problems = Vec::new();
        for field in &self.schema {
            match df.column(&field.name) {
                Err(_) if field.optional => {}
                Err(_) => {
                    problems.push(format!("column {:?} ({}) is missing", field.name, field.dtype));
                }
                Ok(column) if column.dtype().to_string() != field.dtype => problems.push(format!(
                    "column {:?} is {} and was {}, cast it",
                    field.name,
                    column.dtype(),
                    field.dtype
                )),
                Ok(_) => {}
            }
        }
        for name in df.get_column_names() {
            if !self.schema.iter().any(|field| field.name == name.as_str()) {
                problems.push(format!("column {name:?} is extra, drop it"));
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(DataError::Schema { problems: problems.join("; ") })
        }
    }
}

/// The pipeline in a text, or why there is none.
fn parse(text: &str) -> std::result::Result<FittedPipeline, String> {
    #[derive(Deserialize)]
    struct Saved {
        hash: String,
        pipeline: FittedPipeline,
    }
    let saved: Saved = serde_json::from_str(text)
        .map_err(|e| format!("line {}: not a pipeline: {e}", e.line()))?;
    if saved.pipeline.version != VERSION {
        let version = saved.pipeline.version;
        return Err(format!("pipeline format {version}, this version reads {VERSION}"));
    }
    if saved.pipeline.hash().map_err(|e| e.to_string())? != saved.hash {
        return Err("the content does not match its hash; the file was changed".to_owned());
    }
    Ok(saved.pipeline)
}

impl Render for FittedPipeline {
    fn render(&self) -> MimeBundle {
        let hash = self.hash().unwrap_or_default();
        let short = hash.get(..12).unwrap_or_default();
        let steps: Vec<String> = self.steps.iter().map(Fitted::describe).collect();
        let mut plain = format!("pipeline {short} on {} columns", self.schema.len());
        for (index, step) in steps.iter().enumerate() {
            let _ = write!(plain, "\n{}. {step}", index + 1);
        }
        let items: Vec<String> =
            steps.iter().map(|step| format!("<li>{}</li>", escape(step))).collect();
        let items = items.concat();
        let html = format!(
            "<b>pipeline</b> <code>{short}</code> on {} columns<ol>{items}</ol>",
            self.schema.len()
        );
        MimeBundle::text(plain).with_html(html)
    }
}
