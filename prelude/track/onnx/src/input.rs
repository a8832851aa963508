//! From columns by name to the numbers that predictors read.

use oxilab_model_format::{Column, ColumnKind};

use crate::error::{Result, consistent};
use crate::graph::{Graph, Name, Setting, Type, Values};
use crate::parts::Parts;

/// The features of the rows: a matrix of `double`.
pub(crate) struct Features {
    pub(crate) name: Name,
    pub(crate) width: usize,
}

/// How a column is given: as MLflow's signature has it, too.
fn type_of(column: &Column) -> Type {
    match (column.kind, column.dtype.as_str()) {
        (ColumnKind::Categorical, _) => Type::Text,
        (ColumnKind::Boolean, _) if !column.nullable => Type::Bool,
        (ColumnKind::Numeric, dtype) if !column.nullable && !dtype.starts_with('f') => {
            if dtype.starts_with(['i', 'u']) { Type::I64 } else { Type::F64 }
        }
        _ => Type::F64,
    }
}

/// All inputs of the graph, before anything is computed.
fn given(graph: &mut Graph, parts: &Parts<'_>) -> Result<Vec<(Name, Type)>> {
    let columns = &parts.schema().columns;
    if columns.is_empty() || columns.iter().any(|column| column.name.is_empty()) {
        return Err(parts.unsupported("ONNX's inputs have names, and one of its columns has none"));
    }
    // MLflow gives a frame of one column as a matrix, and of several a list of values for each.
    let width = (columns.len() == 1).then_some(1);
    let input = |column: &Column| {
        let kind = type_of(column);
        (graph.input(&column.name, kind, width), kind)
    };
    Ok(columns.iter().map(input).collect())
}

/// The columns as trees read them, each a matrix of one column: NaN where a value is missing, a category as
/// its number.
pub(crate) fn codes(graph: &mut Graph, parts: &Parts<'_>) -> Result<Vec<Name>> {
    let given = given(graph, parts)?;
    let mut columns = Vec::with_capacity(given.len());
    for (column, (name, kind)) in parts.schema().columns.iter().zip(given) {
        let rows = graph.rows_of(&name, 1);
        columns.push(match kind {
            Type::Text => {
                consistent(!column.categories.is_empty())?;
                #[expect(clippy::cast_precision_loss, reason = "fewer categories than 2²⁴")]
                let numbers: Vec<f32> = (0..column.categories.len()).map(|n| n as f32).collect();
                let settings = [
                    ("keys_strings", Setting::Texts(texts(column))),
                    ("values_floats", Setting::Floats(&numbers)),
                    ("default_float", Setting::Float(f32::NAN)),
                ];
                let code = graph.ml("LabelEncoder", &rows, &settings);
                graph.cast(&code, Type::F64)
            }
            Type::F64 => rows,
            _ => graph.cast(&rows, Type::F64),
        });
    }
    Ok(columns)
}

fn texts(column: &Column) -> Vec<&str> {
    column.categories.iter().map(String::as_str).collect()
}

/// The features of a predictor, encoded as its file says.
pub(crate) fn features(graph: &mut Graph, parts: &Parts<'_>) -> Result<Features> {
    const CODES: u32 = 0;
    match parts.file.u32("model/flags")?.first() {
        Some(&CODES) => {
            let columns = codes(graph, parts)?;
            Ok(Features { name: graph.beside(&columns), width: columns.len() })
        }
        _ => dense(graph, parts),
    }
}

/// Missing numbers filled, categories one-hot, standardised where the file holds means.
fn dense(graph: &mut Graph, parts: &Parts<'_>) -> Result<Features> {
    let fill = parts.file.f64("encoder/fill")?;
    let columns = &parts.schema().columns;
    consistent(fill.is_empty() || fill.len() == columns.len())?;
    let given = given(graph, parts)?;
    let (mut found, mut width) = (Vec::with_capacity(given.len()), 0);
    for (at, (column, (name, kind))) in columns.iter().zip(given).enumerate() {
        let rows = graph.rows_of(&name, usize::from(kind != Type::Text));
        width += if kind == Type::Text { column.categories.len() } else { 1 };
        found.push(match kind {
            Type::Text => {
                consistent(!column.categories.is_empty())?;
                let settings =
                    [("cats_strings", Setting::Texts(texts(column))), ("zeros", Setting::Int(1))];
                let hot = graph.ml("OneHotEncoder", &rows, &settings);
                graph.cast(&hot, Type::F64)
            }
            Type::F64 => {
                let missing = graph.op("IsNaN", &[&rows], &[]);
                let fill = graph.number(fill.get(at).copied().unwrap_or(0.0));
                graph.op("Where", &[&missing, &fill, &rows], &[])
            }
            _ => graph.cast(&rows, Type::F64),
        });
    }
    let mut name = graph.beside(&found);
    let (mean, scale) = (parts.file.f64("encoder/mean")?, parts.file.f64("encoder/scale")?);
    if !mean.is_empty() {
        consistent(mean.len() == width && scale.len() == width)?;
        let mean = graph.constant(&[width], &Values::F64(mean));
        let scale = graph.constant(&[width], &Values::F64(scale));
        let centred = graph.op("Sub", &[&name, &mean], &[]);
        name = graph.op("Div", &[&centred, &scale], &[]);
    }
    Ok(Features { name, width })
}
