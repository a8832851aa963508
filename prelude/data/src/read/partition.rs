//! Folders whose names hold values (`year=2024/month=01/x.csv`), for formats that polars reads without
//! them.

use std::path::Path;

use polars::prelude::*;

use super::source::Source;
use super::{Plan, ReadOptions, infer};
use crate::error::{Result, While};

/// What Hive writes for a value that is missing.
const MISSING: &str = "__HIVE_DEFAULT_PARTITION__";

/// Plans each file with the values of its folders as columns, and stacks them.
pub(super) fn plan(found: &Source, root: &Path, options: &ReadOptions) -> Result<Plan> {
    let values: Vec<Vec<(String, Option<String>)>> =
        found.files().iter().map(|file| values(root, file)).collect();
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in values.iter().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    // One type for all files, as if the values stood in a column.
    let types: Vec<DataType> = names
        .iter()
        .map(|name| {
            let of = |file: &Vec<(String, Option<String>)>| {
                file.iter().find(|(own, _)| own == *name).and_then(|(_, value)| value.clone())
            };
            let texts: Vec<Option<String>> = values.iter().map(of).collect();
            infer::column(name, &texts).dtype().clone()
        })
        .collect();
    let (mut quick, mut careful) = (Vec::new(), Vec::new());
    for (file, values) in found.files().iter().zip(&values) {
        let columns: Vec<Expr> = names
            .iter()
            .zip(&types)
            .map(|(name, dtype)| {
                let value = values.iter().find(|(own, _)| own == *name);
                let text = value.and_then(|(_, value)| value.as_deref());
                let text = text.map_or_else(|| lit(NULL), lit);
                text.cast(dtype.clone()).alias(name.as_str())
            })
            .collect();
        let one = super::plan_files(&found.only(file), options)?;
        careful.push(one.careful.unwrap_or_else(|| one.frame.clone()).with_columns(&columns));
        quick.push(one.frame.with_columns(&columns));
    }
    let stacked = |frames: Vec<LazyFrame>| {
        let args = UnionArgs { diagonal: true, to_supertypes: true, ..UnionArgs::default() };
        concat(frames, args).doing(found.doing())
    };
    Ok(Plan { frame: stacked(quick)?, careful: Some(stacked(careful)?), explain: None })
}

/// The values in the folders between the root and a file.
fn values(root: &Path, file: &Path) -> Vec<(String, Option<String>)> {
    let Some(folders) = file.strip_prefix(root).ok().and_then(Path::parent) else { return vec![] };
    folders
        .components()
        .filter_map(|folder| {
            let folder = folder.as_os_str().to_string_lossy();
            let (name, value) = folder.split_once('=')?;
            let value = (value != MISSING).then(|| unescape(value));
            Some((name.to_owned(), value))
        })
        .collect()
}

/// `a%2Fb` → `a/b`: what a file system does not allow in a name.
fn unescape(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| byte == b'%');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        if let Some(code) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            bytes.push(code);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
