//! The target of a fit: which task it asks for, and its values as numbers.

use std::collections::{BTreeSet, HashMap, HashSet};

use oxilab_model_format::Task;
use polars::prelude::*;

use crate::encode::numbers;
use crate::error::{ModelError, Result, While};

/// A whole-number target with at most this many distinct values, each on average on ten rows or more,
/// is read as classes when nothing else is asked for.
const MOST_INTEGER_CLASSES: usize = 20;

/// What a learner can be fitted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Classes only.
    Classification,
    /// Numbers only.
    Regression,
    /// Either; the target or the user decides.
    Any(Option<Task>),
}

/// Target values as numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    /// Class numbers and how many classes there are.
    Classes(Vec<u32>, usize),
    /// Numbers.
    Values(Vec<f64>),
}

/// How the target column of a frame is read, found once from the training frame.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TargetReader {
    pub(crate) name: String,
    pub(crate) dtype: DataType,
    pub(crate) task: Task,
    /// Sorted as sklearn sorts them: numbers by value, text by code point.
    pub(crate) classes: Vec<String>,
}

impl TargetReader {
    /// Reads the target of a training frame.
    pub(crate) fn of(df: &DataFrame, name: &str, goal: Goal) -> Result<(Self, Target)> {
        let column = column_of(df, name)?;
        let dtype = column.dtype().clone();
        check_missing(name, column)?;
        if df.height() == 0 {
            return Err(ModelError::data("the frame has no rows", "load some data first"));
        }
        let classify = match goal {
            Goal::Classification => true,
            Goal::Regression => false,
            Goal::Any(Some(task)) => task.is_classification(),
            Goal::Any(None) => looks_like_classes(column)?,
        };
        if !classify {
            let reader =
                Self { name: name.to_owned(), dtype, task: Task::Regression, classes: Vec::new() };
            let target = reader.read(df)?;
            return Ok((reader, target));
        }
        let classes = classes_of(name, column)?;
        if classes.len() < 2 {
            return Err(ModelError::target(
                name,
                format!("it has one class only, `{}`", classes[0]),
                "a classifier needs rows of at least two classes; check the filter or the split",
            ));
        }
        let task = if classes.len() == 2 { Task::Binary } else { Task::Multiclass };
        let reader = Self { name: name.to_owned(), dtype, task, classes };
        let target = reader.read(df)?;
        Ok((reader, target))
    }

    /// Reads the target column of any frame of the same make.
    pub(crate) fn read(&self, df: &DataFrame) -> Result<Target> {
        let column = column_of(df, &self.name)?;
        check_missing(&self.name, column)?;
        if self.task == Task::Regression {
            return self.read_values(column);
        }
        let text = as_text(column)?;
        let text = text.str().doing("reading the target")?;
        let numbers: HashMap<&str, u32> =
            self.classes.iter().zip(0..).map(|(class, code)| (class.as_str(), code)).collect();
        let mut codes = Vec::with_capacity(text.len());
        for value in text.iter() {
            let value = value.unwrap_or_default();
            let Some(code) = numbers.get(value) else {
                return Err(ModelError::target(
                    &self.name,
                    format!("class `{value}` was not in the training frame"),
                    format!("the model knows {}", self.classes.join(", ")),
                ));
            };
            codes.push(*code);
        }
        Ok(Target::Classes(codes, self.classes.len()))
    }

    fn read_values(&self, column: &Column) -> Result<Target> {
        let dtype = column.dtype();
        if !dtype.is_numeric() && !dtype.is_bool() {
            return Err(ModelError::target(
                &self.name,
                format!("its type is {dtype}, regression needs numbers"),
                "use a classifier, or cast the column",
            ));
        }
        let values = numbers(column)?;
        if let Some(row) = values.iter().position(|value| value.is_infinite()) {
            return Err(ModelError::target(
                &self.name,
                format!("row {row} is infinite"),
                "filter such rows or replace the value",
            ));
        }
        Ok(Target::Values(values.into_owned()))
    }

    /// Class numbers as a series of the target's type.
    pub(crate) fn classes_to_series(&self, codes: &[u32]) -> Result<Series> {
        let name = PlSmallStr::from_static("prediction");
        let text: StringChunked =
            codes.iter().map(|code| self.classes.get(*code as usize).map(String::as_str)).collect();
        let series = text.with_name(name.clone()).into_series();
        match &self.dtype {
            DataType::Boolean => {
                Ok(series.equal("true").doing("naming classes")?.with_name(name).into_series())
            }
            dtype if dtype.is_primitive_numeric() => series.cast(dtype).doing("naming classes"),
            _ => Ok(series),
        }
    }
}

/// A column, or an error that names those there are.
pub(crate) fn column_of<'a>(df: &'a DataFrame, name: &str) -> Result<&'a Column> {
    df.column(name).map_err(|_| ModelError::MissingColumn {
        column: name.to_owned(),
        available: list(df.get_column_names().iter().map(|name| name.as_str())),
    })
}

/// At most twenty names, for messages.
pub(crate) fn list<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let length = names.len();
    let mut shown: Vec<String> = names.take(20).map(|name| format!("`{name}`")).collect();
    if length > 20 {
        shown.push(format!("and {} more", length - 20));
    }
    if shown.is_empty() { "no columns".to_owned() } else { shown.join(", ") }
}

fn check_missing(name: &str, column: &Column) -> Result<()> {
    let mut missing = column.null_count();
    if column.dtype().is_float() {
        missing = numbers(column)?.iter().filter(|value| value.is_nan()).count();
    }
    if missing == 0 {
        return Ok(());
    }
    // In polars NaN is a number; it is missing only to a learner.
    let nan = if column.dtype().is_float() { ".and(col(NAME).is_not_nan())" } else { "" }
        .replace("NAME", &format!("{name:?}"));
    Err(ModelError::target(
        name,
        format!("{missing} of {} values are missing", column.len()),
        format!(
            "drop those rows first: `let df = df.filter_expr(col({name:?}).is_not_null(){nan})?;`"
        ),
    ))
}

/// Text, booleans and whole numbers of few values are classes.
fn looks_like_classes(column: &Column) -> Result<bool> {
    let dtype = column.dtype();
    if dtype.is_bool() || dtype.is_string() || dtype.is_categorical() || dtype.is_enum() {
        return Ok(true);
    }
    if !dtype.is_integer() {
        return Ok(false);
    }
    let mut seen = HashSet::new();
    for value in numbers(column)?.iter() {
        seen.insert(value.to_bits());
        if seen.len() > MOST_INTEGER_CLASSES {
            return Ok(false);
        }
    }
    Ok(seen.len() <= 2 || seen.len() * 10 <= column.len())
}

fn classes_of(name: &str, column: &Column) -> Result<Vec<String>> {
    let dtype = column.dtype();
    if dtype.is_float() || dtype.is_nested() || dtype.is_temporal() {
        return Err(ModelError::target(
            name,
            format!("its type is {dtype}, classes are text, booleans or whole numbers"),
            "use a regressor, or cast the column to a whole number or to text",
        ));
    }
    let text = as_text(column)?;
    let text = text.str().doing("reading the target")?;
    let distinct: BTreeSet<&str> = text.iter().flatten().collect();
    if distinct.len() > 10_000 {
        return Err(ModelError::target(
            name,
            format!("it has {} classes", distinct.len()),
            "is this an identifier? choose another target, or a regressor",
        ));
    }
    let mut classes: Vec<String> = distinct.into_iter().map(str::to_owned).collect();
    if dtype.is_primitive_numeric() {
        classes.sort_by_key(|class| class.parse::<i128>().unwrap_or(0));
    }
    Ok(classes)
}

/// Text of a target column; booleans become `false` and `true`.
fn as_text(column: &Column) -> Result<Column> {
    column.cast(&DataType::String).doing("reading the target as text")
}
