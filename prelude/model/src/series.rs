//! Frames of series to numbers: what [`Encoding::Series`] means.
//!
//! A row is a series. Either its columns are lists of numbers, one for each channel, or they are numbers,
//! which are then the steps of one channel in the order of the columns.

use oxilab_model_format::{Column as SchemaColumn, ColumnKind};
use polars::prelude::*;
use rayon::prelude::*;

use crate::encode::{self, Encoder, Encoding};
use crate::error::{ModelError, Result, While};
use crate::matrix::Matrix;
use crate::target::column_of;

/// Steps of a series, and values of a row, beyond which it is no series. A model file that names more is
/// damaged: nothing of that size is allocated for it.
const MOST_STEPS: usize = 1 << 16;
const MOST_VALUES: usize = 1 << 22;

/// The shape of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) time: usize,
    pub(crate) channels: usize,
}

impl Shape {
    /// Of a row of `columns` that are read as series of up to `time` steps, if it can be one.
    pub(crate) fn of(columns: &[SchemaColumn], time: usize) -> Option<Self> {
        let channels = if holds_lists(columns) { columns.len() } else { 1 };
        let shape = Self { time, channels };
        let values = time.checked_mul(channels)?;
        let fits = holds_lists(columns) || time == columns.len();
        (fits && (1..=MOST_STEPS).contains(&time) && values <= MOST_VALUES).then_some(shape)
    }
}

/// Learns from a training frame how its rows are series, and reads them. Feature `channel * time + step`
/// of a row is a step, NaN where a value is missing or a shorter series has not begun.
pub(crate) fn fit(df: &DataFrame, target: &str) -> Result<(Encoder, Matrix, Shape)> {
    let inputs = encode::inputs_of(df, Some(target))?;
    let lists = inputs.iter().filter(|column| is_list(column.dtype())).count();
    let columns: Vec<SchemaColumn> = if lists == 0 {
        inputs.iter().map(|column| number(column)).collect::<Result<_>>()?
    } else {
        inputs.iter().map(|column| list(column)).collect::<Result<_>>()?
    };
    let mut time = inputs.len();
    if lists > 0 {
        let of_column = |(column, schema)| Ok(read(column, schema)?.iter().map(Vec::len).max());
        let longest = inputs.iter().copied().zip(&columns).map(of_column);
        let longest: Vec<Option<usize>> = longest.collect::<Result<_>>()?;
        // Series without a step are one step that is missing.
        time = longest.into_iter().flatten().max().unwrap_or(0).max(1);
    }
    let shape = Shape::of(&columns, time).ok_or_else(|| {
        ModelError::data(
            format!("rows of {} columns with up to {time} steps are too long", columns.len()),
            format!("at most {MOST_STEPS} steps and {MOST_VALUES} values of a row can be read"),
        )
    })?;
    let encoding = Encoding::Series { time };
    let (fill, mean, scale) = (Vec::new(), Vec::new(), Vec::new());
    let encoder = Encoder { columns, encoding, fill, mean, scale };
    let matrix = encode(&encoder.columns, time, df)?;
    Ok((encoder, matrix, shape))
}

/// Reads a frame that has these columns, in any order. Series of more than `time` steps are cut at their
/// front.
pub(crate) fn encode(columns: &[SchemaColumn], time: usize, df: &DataFrame) -> Result<Matrix> {
    let rows = df.height();
    if !holds_lists(columns) {
        let steps = columns
            .par_iter()
            .map(|schema| encode::plain_numbers(column_of(df, &schema.name)?, schema))
            .collect::<Result<Vec<_>>>()?;
        return Ok(Matrix::new(rows, columns.len(), steps.concat()));
    }
    let channels = columns
        .par_iter()
        .map(|schema| read(column_of(df, &schema.name)?, schema))
        .collect::<Result<Vec<_>>>()?;
    let mut values = vec![f64::NAN; rows * columns.len() * time];
    for (number, (lists, schema)) in channels.iter().zip(columns).enumerate() {
        for (row, (list, first)) in lists.iter().zip(&channels[0]).enumerate() {
            if list.len() != first.len() {
                return Err(ModelError::column(
                    &schema.name,
                    format!(
                        "row {row} has {} steps, but {} in `{}`",
                        list.len(),
                        first.len(),
                        columns[0].name
                    ),
                    "the lists of a row are the channels of one series and must be equally long",
                ));
            }
            let kept = list.len().min(time);
            for (step, value) in list[list.len() - kept..].iter().enumerate() {
                values[(number * time + time - kept + step) * rows + row] = *value;
            }
        }
    }
    Ok(Matrix::new(rows, columns.len() * time, values))
}

/// The names of the features of columns of lists: `column[step]`, steps from 0.
pub(crate) fn names(columns: &[SchemaColumn], time: usize) -> Vec<String> {
    let steps = |name: &str| (0..time).map(|step| format!("{name}[{step}]")).collect::<Vec<_>>();
    columns.iter().flat_map(|column| steps(&column.name)).collect()
}

pub(crate) fn holds_lists(columns: &[SchemaColumn]) -> bool {
    columns.first().is_some_and(|column| column.dtype.starts_with("list"))
}

fn is_list(dtype: &DataType) -> bool {
    matches!(dtype, DataType::List(_))
}

/// A column that holds one step.
fn number(column: &Column) -> Result<SchemaColumn> {
    let described = encode::describe(column)?;
    if described.kind == ColumnKind::Categorical {
        return Err(ModelError::column(
            &described.name,
            format!("its type is {}, but a step of a series is a number", described.dtype),
            "drop the column, or use a learner that reads categories",
        ));
    }
    Ok(described)
}

/// A column of lists of numbers.
fn list(column: &Column) -> Result<SchemaColumn> {
    let (name, dtype) = (column.name().to_string(), column.dtype().to_string());
    if !holds_numbers(column.dtype()) {
        return Err(ModelError::column(
            &name,
            format!("its type is {dtype}, but other columns hold lists of numbers"),
            "either all input columns are lists of numbers, or all are numbers: drop the others",
        ));
    }
    Ok(SchemaColumn {
        name,
        dtype,
        kind: ColumnKind::Numeric,
        categories: Vec::new(),
        nullable: true,
    })
}

fn holds_numbers(dtype: &DataType) -> bool {
    matches!(dtype, DataType::List(inner) if inner.is_numeric() || inner.is_bool())
}

/// The lists of a column, null as NaN.
fn read(column: &Column, schema: &SchemaColumn) -> Result<Vec<Vec<f64>>> {
    const DOING: &str = "reading a column as series";
    let bad = |problem: String, hint: &str| ModelError::column(&schema.name, problem, hint);
    if !holds_numbers(column.dtype()) {
        return Err(bad(
            format!("its type is {}, the model was fitted to {}", column.dtype(), schema.dtype),
            "make lists of numbers of it",
        ));
    }
    let floats = column.cast(&DataType::List(Box::new(DataType::Float64))).doing(DOING)?;
    let lists = floats.list().doing(DOING)?;
    (0..column.len())
        .map(|row| {
            let Some(list) = lists.get_as_series(row) else {
                return Err(bad(format!("row {row} has no list"), "drop such rows"));
            };
            let list = list.f64().doing(DOING)?;
            let values: Vec<f64> = list.iter().map(|value| value.unwrap_or(f64::NAN)).collect();
            match values.iter().position(|value| value.is_infinite()) {
                None => Ok(values),
                Some(step) => Err(bad(
                    format!("row {row} is infinite at step {step}"),
                    "replace infinite values with null",
                )),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(values: &[&[f64]]) -> Vec<Series> {
        values.iter().map(|list| Series::new("".into(), *list)).collect()
    }

    fn row(matrix: &Matrix, row: usize) -> Vec<f64> {
        (0..matrix.cols()).map(|col| matrix.col(col)[row]).collect()
    }

    #[test]
    fn lists_end_together_and_longer_ones_lose_their_front() {
        let df = df!(
            "a" => lists(&[&[1.0, 2.0, 3.0], &[4.0]]), "b" => lists(&[&[5.0, 6.0, 7.0], &[8.0]]),
            "kind" => ["x", "y"]
        )
        .unwrap();
        let (encoder, matrix, shape) = fit(&df, "kind").unwrap();
        assert_eq!(shape, Shape { time: 3, channels: 2 });
        assert_eq!(row(&matrix, 0), [1.0, 2.0, 3.0, 5.0, 6.0, 7.0]);
        let short = row(&matrix, 1);
        assert_eq!([short[2], short[5]], [4.0, 8.0]);
        assert!([0, 1, 3, 4].iter().all(|place| short[*place].is_nan()), "{short:?}");
        assert_eq!(encoder.feature_names()[4], "b[1]");
        let long = df!(
            "b" => lists(&[&[0.0, 1.0, 2.0, 3.0]]), "a" => lists(&[&[4.0, 5.0, 6.0, 7.0]])
        );
        let long = encode(&encoder.columns, 3, &long.unwrap()).unwrap();
        assert_eq!(row(&long, 0), [5.0, 6.0, 7.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn frames_of_other_lists_have_another_hash() {
        let hash = |values: &[&[f64]]| {
            let df = df!("a" => lists(values), "y" => [1, 2]).unwrap();
            crate::hash_frame(&df).unwrap()
        };
        let whole = hash(&[&[1.0, 2.0], &[3.0]]);
        assert_eq!(whole, hash(&[&[1.0, 2.0], &[3.0]]));
        for other in [hash(&[&[1.0, 2.0], &[4.0]]), hash(&[&[1.0], &[2.0, 3.0]])] {
            assert_ne!(whole, other);
        }
    }

    #[test]
    fn what_is_no_series_is_named() {
        let two = |a: Vec<Series>, b: Vec<Series>| df!("a" => a, "b" => b, "y" => [1, 2]).unwrap();
        let one = || lists(&[&[1.0, 2.0], &[3.0]]);
        let words = ["x", "y"].map(|word| Series::new("".into(), [word])).to_vec();
        for (df, expected) in [
            (
                two(one(), lists(&[&[1.0, 2.0], &[3.0, 4.0]])),
                "`b`: row 1 has 2 steps, but 1 in `a`",
            ),
            (
                two(one(), lists(&[&[1.0, f64::INFINITY], &[3.0]])),
                "`b`: row 0 is infinite at step 1",
            ),
            (two(one(), words), "`b`: its type is list[str]"),
            (df!("a" => one(), "b" => [1.0, 2.0], "y" => [1, 2]).unwrap(), "`b`: its type is f64"),
            (df!("a" => ["u", "v"], "y" => [1, 2]).unwrap(), "a step of a series is a number"),
            (df!("y" => [1, 2]).unwrap(), "no input columns"),
        ] {
            let error = fit(&df, "y").unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let columns = fit(&two(one(), one()), "y").unwrap().0.columns;
        let error = encode(&columns, 2, &df!("a" => [1.0], "b" => [1.0]).unwrap()).unwrap_err();
        assert!(error.to_string().contains("fitted to list[f64]"), "{error}");
        for time in [0, MOST_STEPS + 1, usize::MAX] {
            assert_eq!(Shape::of(&columns, time), None, "{time}");
        }
    }
}
