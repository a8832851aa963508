//! [`TextDataset`]: texts and their classes for a training loop.

use candle_core::{Device, Tensor};
use oxilab_nn::error::Result as NnResult;
use oxilab_nn::{Batch, Dataset, NnError};
use polars::prelude::{Column, DataFrame, DataType};

use super::net::FILLER;
use super::texts::Texts;
use crate::error::{LlmError, Result};
use crate::text::Tokenizer;

/// Token ids and classes for a [`DataLoader`](oxilab_nn::DataLoader): batches are `(texts, longest)`,
/// shorter texts filled up with `u32::MAX`.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/encoders/bert");
/// use oxilab_llm::{encoder::TextDataset, text::Tokenizer};
/// use oxilab_nn::{DataLoader, Dataset as _};
/// use polars::prelude::df;
/// let reviews = df!("text" => ["a good film", "bad"], "mood" => ["praise", "blame"])?;
/// let tokenizer = Tokenizer::from_folder(folder.as_ref())?;
/// let data = TextDataset::from_frame(&reviews, "text", "mood", &tokenizer, 32)?;
/// assert_eq!((data.len(), data.classes()), (2, &["blame".to_owned(), "praise".to_owned()][..]));
/// let batch = DataLoader::new(data, 2).epoch(0, 0).next().expect("a batch")?;
/// assert_eq!(batch.target.to_vec1::<u32>()?, [1, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TextDataset {
    ids: Vec<Vec<u32>>,
    labels: Vec<u32>,
    classes: Vec<String>,
}

impl TextDataset {
    /// As many classes as texts.
    #[must_use]
    pub fn new(ids: Vec<Vec<u32>>, labels: Vec<u32>) -> Self {
        Self { ids, labels, classes: Vec::new() }
    }

    /// A column of texts, cut at `max_length` tokens with the closing token kept, and one of classes: whole
    /// numbers from 0, Booleans, or names, which are numbered in their order.
    ///
    /// # Errors
    /// When a column is missing, is of another type or has missing values, or the tokenizer fails.
    pub fn from_frame(
        df: &DataFrame,
        text: &str,
        label: &str,
        tokenizer: &Tokenizer,
        max_length: usize,
    ) -> Result<Self> {
        if max_length < 2 {
            return Err(LlmError::Setting {
                setting: "the maximum length",
                value: max_length.to_string(),
                expected: "a text has at least 2 tokens, those that open and close it".to_owned(),
            });
        }
        let texts = column(df, text)?;
        if texts.dtype() != &DataType::String {
            return Err(bad(text, format!("it is {}; it must hold texts", texts.dtype())));
        }
        let texts: Vec<&str> = texts.str()?.iter().flatten().collect();
        let (labels, classes) = labels(column(df, label)?, label)?;
        let ids = Texts::new(tokenizer.inner().clone(), max_length)?.ids(&texts)?;
        Ok(Self { ids, labels, classes })
    }

    /// The names of the classes in the order of their numbers; none where the classes are numbers.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }
}

/// A column without missing values.
pub(super) fn column<'a>(df: &'a DataFrame, name: &str) -> Result<&'a Column> {
    let column = df.column(name).map_err(|_| {
        let names = df.get_column_names();
        bad(name, format!("the frame has no such column; it has {names:?}"))
    })?;
    match column.null_count() {
        0 => Ok(column),
        missing => Err(bad(name, format!("{missing} values are missing; drop these rows first"))),
    }
}

/// The number of each row's class, and the classes' names.
fn labels(column: &Column, name: &str) -> Result<(Vec<u32>, Vec<String>)> {
    let kind = column.dtype();
    if kind.is_integer() || kind == &DataType::Boolean {
        let numbers = column.cast(&DataType::UInt32)?;
        if numbers.null_count() > 0 {
            return Err(bad(name, "a class is negative or huge; classes count from 0".to_owned()));
        }
        return Ok((numbers.u32()?.iter().flatten().collect(), Vec::new()));
    }
    if !kind.is_string() && !kind.is_categorical() && !kind.is_enum() {
        return Err(bad(name, format!("it is {kind}; classes are names or whole numbers")));
    }
    let names = column.cast(&DataType::String)?;
    let names: Vec<&str> = names.str()?.iter().flatten().collect();
    let mut classes = names.clone();
    classes.sort_unstable();
    classes.dedup();
    let number = |name: &&str| classes.binary_search(name).ok().and_then(|n| u32::try_from(n).ok());
    let labels = names.iter().filter_map(number).collect();
    Ok((labels, classes.into_iter().map(str::to_owned).collect()))
}

/// The error that says why a column cannot be used.
pub(super) fn bad(column: &str, reason: String) -> LlmError {
    NnError::Column { column: column.to_owned(), reason }.into()
}

impl Dataset for TextDataset {
    fn len(&self) -> usize {
        self.ids.len().min(self.labels.len())
    }

    fn batch(&self, rows: &[usize]) -> NnResult<Batch> {
        let longest = rows.iter().map(|row| self.ids[*row].len()).max().unwrap_or(0);
        let mut filled = Vec::with_capacity(rows.len() * longest);
        for row in rows {
            let ids = &self.ids[*row];
            filled.extend_from_slice(ids);
            filled.extend(std::iter::repeat_n(FILLER, longest - ids.len()));
        }
        let labels: Vec<u32> = rows.iter().map(|row| self.labels[*row]).collect();
        Ok(Batch {
            input: Tensor::from_vec(filled, (rows.len(), longest), &Device::Cpu)?,
            target: Tensor::from_vec(labels, rows.len(), &Device::Cpu)?,
            rows: rows.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use polars::prelude::{Categories, df};

    use super::*;

    fn tokenizer() -> Result<Tokenizer> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/encoders/bert");
        Tokenizer::from_folder(&folder)
    }

    #[test]
    fn a_frame_becomes_ids_and_classes() -> Result<()> {
        let tokenizer = tokenizer()?;
        let texts = ["a good film", "bad", "a good film and a bad end"];
        let df = df!("text" => texts, "mood" => ["up", "down", "up"], "number" => [2i64, 0, 1],
                     "flag" => [true, false, true])?;
        let named = TextDataset::from_frame(&df, "text", "mood", &tokenizer, 6)?;
        assert_eq!(
            (&named.labels[..], named.classes()),
            (&[1, 0, 1][..], &["down".to_owned(), "up".to_owned()][..])
        );
        for (text, ids) in texts.iter().zip(&named.ids) {
            let mut whole = tokenizer.encode(text, true)?;
            let end = whole[whole.len() - 1];
            whole.truncate(6);
            whole[ids.len() - 1] = end;
            assert_eq!(ids, &whole, "{text:?}");
        }
        let batch = named.batch(&[1, 2])?;
        let rows = batch.input.to_vec2::<u32>()?;
        assert_eq!((rows[0][3], rows[0].len(), rows[1][5]), (FILLER, 6, named.ids[2][5]));
        let number = |column: &str| TextDataset::from_frame(&df, "text", column, &tokenizer, 6);
        assert_eq!(number("number")?.labels, [2, 0, 1]);
        assert_eq!(number("flag")?.labels, [1, 0, 1]);
        let categories = DataType::from_categories(Categories::global());
        let mut df = df.clone();
        let moods = df.column("mood")?.cast(&categories)?;
        df.with_column(moods)?;
        assert_eq!(TextDataset::from_frame(&df, "text", "mood", &tokenizer, 6)?.labels, [1, 0, 1]);
        Ok(())
    }

    #[test]
    fn what_cannot_be_used_is_named() -> Result<()> {
        let tokenizer = tokenizer()?;
        let df = df!("text" => [Some("a"), None], "full" => ["a", "b"], "mood" => ["x", "y"],
                     "share" => [0.5, 1.0], "below" => [0i64, -1])?;
        for (text, label, length, expected) in [
            ("body", "mood", 8, "column \"body\" cannot be used: the frame has no such column"),
            ("text", "mood", 8, "column \"text\" cannot be used: 1 values are missing"),
            ("share", "mood", 8, "column \"share\" cannot be used: it is f64"),
            ("full", "text", 8, "column \"text\" cannot be used: 1 values are missing"),
            ("full", "share", 8, "classes are names or whole numbers"),
            ("full", "below", 8, "classes count from 0"),
            ("full", "mood", 1, "the maximum length is 1"),
        ] {
            let made = TextDataset::from_frame(&df, text, label, &tokenizer, length);
            let error = made.expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        Ok(())
    }
}
