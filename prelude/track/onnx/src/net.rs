//! Nets for frames: embeddings beside numbers, linear layers with `ReLU` between them, in `float`.

use crate::error::{Result, consistent};
use crate::graph::{Graph, Name, Setting, Type, Values};
use crate::input;
use crate::output;
use crate::parts::Parts;

pub(crate) fn write(graph: &mut Graph, parts: &Parts<'_>) -> Result<()> {
    let (classes, layers) = (parts.size("sizes", 0)?, parts.size("sizes", 1)?);
    let (mut x, mut width) = inputs(graph, parts)?;
    consistent(layers > 0 && layers <= 1000)?;
    for number in 0..layers {
        let weight = narrow(parts.f64(&format!("weight{number}"))?);
        let bias = narrow(parts.f64(&format!("bias{number}"))?);
        consistent(bias.len().checked_mul(width) == Some(weight.len()))?;
        let weight = graph.constant(&[bias.len(), width], &Values::F32(&weight));
        width = bias.len();
        let bias = graph.constant(&[width], &Values::F32(&bias));
        x = graph.op("Gemm", &[&x, &weight, &bias], &[("transB", Setting::Int(1))]);
        if number + 1 < layers {
            x = graph.op("Relu", &[&x], &[]);
        }
    }
    consistent(width == classes.max(1))?;
    let x = graph.cast(&x, Type::F64);
    if classes > 0 {
        let p = graph.op("Softmax", &[&x], &[("axis", Setting::Int(1))]);
        return output::probabilities(graph, parts, &p);
    }
    let target = parts.f64("target")?;
    consistent(target.len() == 2)?;
    let [mean, scale] = [target[0], target[1]].map(|value| graph.number(value));
    let scaled = graph.op("Mul", &[&x, &scale], &[]);
    let values = graph.op("Add", &[&scaled, &mean], &[]);
    output::values(graph, &values);
    Ok(())
}

/// What the first layer reads, and how wide it is: standardised numbers, for each column that may miss
/// values whether it does, and the vectors of categories.
fn inputs(graph: &mut Graph, parts: &Parts<'_>) -> Result<(Name, usize)> {
    let columns = input::codes(graph, parts)?;
    let place = |index: &u32| columns.get(*index as usize).cloned();
    let (mean, scale) = (parts.f64("mean")?, parts.f64("scale")?);
    let numeric: Option<Vec<Name>> = parts.u32("numeric")?.iter().map(place).collect();
    let categorical: Option<Vec<Name>> = parts.u32("categorical")?.iter().map(place).collect();
    let (Some(numeric), Some(categorical)) = (numeric, categorical) else {
        return consistent(false).map(|()| (Name::new(), 0));
    };
    consistent(mean.len() == numeric.len() && scale.len() == numeric.len())?;
    let (mut found, mut width) = (Vec::new(), 0);
    for ((column, mean), scale) in numeric.iter().zip(mean).zip(scale) {
        let (mean, scale, zero) = (graph.number(*mean), graph.number(*scale), graph.number(0.0));
        let centred = graph.op("Sub", &[column, &mean], &[]);
        let scaled = graph.op("Div", &[&centred, &scale], &[]);
        let missing = graph.op("IsNaN", &[column], &[]);
        let number = graph.op("Where", &[&missing, &zero, &scaled], &[]);
        found.push(graph.cast(&number, Type::F32));
        width += 1;
    }
    for index in parts.u32("nullable")? {
        let column = numeric.get(*index as usize);
        consistent(column.is_some())?;
        let missing = graph.op("IsNaN", &[column.map_or("", String::as_str)], &[]);
        found.push(graph.cast(&missing, Type::F32));
        width += 1;
    }
    let counts = parts.u32("categories")?;
    consistent(counts.len() == categorical.len())?;
    for (number, (column, count)) in categorical.iter().zip(counts).enumerate() {
        let vectors = narrow(parts.f64(&format!("embedding{number}"))?);
        let count = *count as usize;
        consistent(count > 0 && vectors.len().is_multiple_of(count))?;
        let each = vectors.len() / count;
        found.push(embedded(graph, column, &vectors, count));
        width += each;
    }
    Ok((graph.beside(&found), width))
}

/// The vector of each row's category; the first stands for a missing one.
fn embedded(graph: &mut Graph, column: &str, vectors: &[f32], count: usize) -> Name {
    let each = vectors.len() / count;
    let (zero, one) = (graph.number(0.0), graph.number(1.0));
    let missing = graph.op("IsNaN", &[column], &[]);
    let next = graph.op("Add", &[column, &one], &[]);
    let code = graph.op("Where", &[&missing, &zero, &next], &[]);
    let code = graph.cast(&code, Type::I64);
    let code = graph.rows_of(&code, 0);
    let vectors = graph.constant(&[count, each], &Values::F32(vectors));
    graph.op("Gather", &[&vectors, &code], &[("axis", Setting::Int(0))])
}

#[expect(clippy::cast_possible_truncation, reason = "they were written from f32")]
fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| *value as f32).collect()
}
