//! Text to numbers: hashed words and TF-IDF.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::*;
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::step::{self, Step};
use crate::columns;
use crate::error::{DataError, Result};
use crate::stats;

/// Words of a text, in lower case, of at least two letters or digits.
fn words(text: &str, pattern: &Regex) -> Vec<String> {
    let text = text.to_lowercase();
    pattern.find_iter(&text).map(|word| word.as_str().to_owned()).collect()
}

/// As scikit-learn's `(?u)\b\w\w+\b`.
fn pattern(doing: &str) -> Result<Regex> {
    Regex::new(r"\b\w\w+\b").map_err(|e| DataError::invalid(doing, e.to_string()))
}

/// Scales a row to length 1.
fn normalise(row: &mut [f64]) {
    let length = row.iter().map(|value| value * value).sum::<f64>().sqrt();
    if length > 0.0 {
        for value in row {
            *value /= length;
        }
    }
}

/// Replaces a text column by columns of numbers.
fn replace(df: &DataFrame, column: &str, names: &[String], rows: &[Vec<f64>]) -> Result<DataFrame> {
    let values = names.iter().enumerate().map(|(index, name)| {
        Column::new(name.as_str().into(), rows.iter().map(|row| row[index]).collect::<Vec<f64>>())
    });
    step::put(&df.drop(column)?, values)
}

/// Counts words in `size` columns chosen by a hash: no vocabulary to learn or keep. Rows have
/// length 1. The same numbers as scikit-learn's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HashingVectorizer {
    column: String,
    size: usize,
}

impl HashingVectorizer {
    /// `size` columns `column_0`, `column_1`, … in place of a text column.
    pub fn new(column: impl Into<String>, size: usize) -> Self {
        Self { column: column.into(), size: size.max(1) }
    }

    pub(super) fn column(&self) -> &str {
        &self.column
    }

    pub(super) fn transform(&self, df: &DataFrame) -> Result<DataFrame> {
        let pattern = pattern("HashingVectorizer")?;
        let texts = columns::texts(columns::column(df, &self.column)?, "HashingVectorizer")?;
        let mut rows = Vec::with_capacity(texts.len());
        // A file may say 0.
        let size = self.size.max(1);
        for text in texts.iter() {
            let mut row = vec![0.0; size];
            for word in words(text.unwrap_or_default(), &pattern) {
                let hash = murmur3(word.as_bytes()).cast_signed();
                row[hash.unsigned_abs() as usize % size] += if hash < 0 { -1.0 } else { 1.0 };
            }
            normalise(&mut row);
            rows.push(row);
        }
        let names: Vec<String> =
            (0..size).map(|index| format!("{}_{index}", self.column)).collect();
        replace(df, &self.column, &names, &rows)
    }
}

impl Step for HashingVectorizer {
    fn fit(&self, train: &DataFrame) -> Result<step::Fitted> {
        columns::column(train, &self.column)?;
        Ok(step::Fitted::Hashing(self.clone()))
    }
}

/// `MurmurHash3` of 32 bits with seed 0 (Austin Appleby, public domain).
fn murmur3(bytes: &[u8]) -> u32 {
    let mix =
        |block: u32| block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = 0_u32;
    let (blocks, rest) = bytes.as_chunks::<4>();
    for block in blocks {
        hash ^= mix(u32::from_le_bytes(*block));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    if !rest.is_empty() {
        let mut block = [0; 4];
        block[..rest.len()].copy_from_slice(rest);
        hash ^= mix(u32::from_le_bytes(block));
    }
    hash ^= u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

/// Weighs words by how often they are in a row and how rare they are in training rows; rows have
/// length 1. The same numbers as scikit-learn's with its defaults.
#[derive(Clone, Debug)]
pub struct TfidfVectorizer {
    column: String,
    most: Option<usize>,
    min_rows: usize,
}

impl TfidfVectorizer {
    /// Columns `column_word` in place of a text column, one per word.
    pub fn new(column: impl Into<String>) -> Self {
        Self { column: column.into(), most: None, min_rows: 1 }
    }

    /// Only this many words, the most frequent.
    #[must_use]
    pub fn with_max_features(mut self, words: usize) -> Self {
        self.most = Some(words);
        self
    }

    /// Only words that are in at least this many training rows.
    #[must_use]
    pub fn with_min_rows(mut self, rows: usize) -> Self {
        self.min_rows = rows;
        self
    }
}

/// Words and how rare they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FittedTfidf {
    column: String,
    words: Vec<(String, f64)>,
}

impl Step for TfidfVectorizer {
    fn fit(&self, train: &DataFrame) -> Result<step::Fitted> {
        let pattern = pattern("TfidfVectorizer")?;
        let texts = columns::texts(columns::column(train, &self.column)?, "TfidfVectorizer")?;
        // Word → times in all, rows it is in.
        let mut seen: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for text in texts.iter() {
            let found = words(text.unwrap_or_default(), &pattern);
            for word in found.iter().collect::<BTreeSet<_>>() {
                seen.entry(word.clone()).or_default().1 += 1;
            }
            for word in found {
                seen.entry(word).or_default().0 += 1;
            }
        }
        seen.retain(|_, (_, rows)| *rows >= self.min_rows);
        let mut kept: Vec<(String, (usize, usize))> = seen.into_iter().collect();
        if let Some(most) = self.most {
            kept.sort_by_key(|(_, (times, _))| std::cmp::Reverse(*times));
            kept.truncate(most);
            kept.sort();
        }
        if kept.is_empty() {
            return Err(DataError::invalid(
                "TfidfVectorizer",
                format!("column {:?} has no words to learn from", self.column),
            ));
        }
        let n = stats::float(texts.len());
        let rarity = |rows: usize| ((1.0 + n) / (1.0 + stats::float(rows))).ln() + 1.0;
        let words = kept.into_iter().map(|(word, (_, rows))| (word, rarity(rows))).collect();
        Ok(step::Fitted::Tfidf(FittedTfidf { column: self.column.clone(), words }))
    }
}

impl FittedTfidf {
    pub(super) fn column(&self) -> &str {
        &self.column
    }

    pub(super) fn transform(&self, df: &DataFrame) -> Result<DataFrame> {
        let pattern = pattern("TfidfVectorizer")?;
        let place: PlHashMap<&str, usize> = self
            .words
            .iter()
            .enumerate()
            .map(|(index, (word, _))| (word.as_str(), index))
            .collect();
        let texts = columns::texts(columns::column(df, &self.column)?, "TfidfVectorizer")?;
        let mut rows = Vec::with_capacity(texts.len());
        for text in texts.iter() {
            let mut row = vec![0.0; self.words.len()];
            for word in words(text.unwrap_or_default(), &pattern) {
                if let Some(index) = place.get(word.as_str()) {
                    row[*index] += self.words[*index].1;
                }
            }
            normalise(&mut row);
            rows.push(row);
        }
        let names: Vec<String> =
            self.words.iter().map(|(word, _)| format!("{}_{word}", self.column)).collect();
        replace(df, &self.column, &names, &rows)
    }
}
