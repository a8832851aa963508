//! Naive Bayes, k-means and PCA: distances to a few points, and projections.

use crate::error::{Result, consistent};
use crate::graph::{Graph, Name, Setting, Values};
use crate::input;
use crate::output;
use crate::parts::Parts;

/// Per class a normal distribution of each feature.
pub(crate) fn bayes(graph: &mut Graph, parts: &Parts<'_>) -> Result<()> {
    let (priors, means, variances) =
        (parts.f64("priors")?, parts.f64("means")?, parts.f64("variances")?);
    let features = input::features(graph, parts)?;
    let (classes, width) = (priors.len(), features.width);
    consistent(means.len() == classes * width && variances.len() == means.len())?;
    let precisions: Vec<f64> = variances.iter().map(|variance| 0.5 / variance).collect();
    let constants: Vec<f64> = priors
        .iter()
        .zip(variances.chunks_exact(width.max(1)))
        .map(|(prior, variances)| {
            let spreads = variances.iter().map(|v| (std::f64::consts::TAU * v).ln());
            prior - 0.5 * spreads.sum::<f64>()
        })
        .collect();
    let squares = squares(graph, &features.name, means, classes, width);
    let precisions = graph.constant(&[1, classes, width], &Values::F64(&precisions));
    let weighed = graph.op("Mul", &[&squares, &precisions], &[]);
    let away = summed(graph, &weighed);
    let constants = graph.constant(&[classes], &Values::F64(&constants));
    let scores = graph.op("Sub", &[&constants, &away], &[]);
    let p = graph.op("Softmax", &[&scores], &[("axis", Setting::Int(1))]);
    output::probabilities(graph, parts, &p)
}

/// The nearest centre.
pub(crate) fn kmeans(graph: &mut Graph, parts: &Parts<'_>) -> Result<()> {
    let centres = parts.f64("centres")?;
    let features = input::features(graph, parts)?;
    let width = features.width;
    consistent(!centres.is_empty() && centres.len().is_multiple_of(width))?;
    let squares = squares(graph, &features.name, centres, centres.len() / width, width);
    let away = summed(graph, &squares);
    let settings = [("axis", Setting::Int(1)), ("keepdims", Setting::Int(0))];
    let nearest = graph.op("ArgMin", &[&away], &settings);
    output::labels(graph, &nearest);
    Ok(())
}

/// The projections on the components.
pub(crate) fn pca(graph: &mut Graph, parts: &Parts<'_>) -> Result<()> {
    let (means, components) = (parts.f64("means")?, parts.f64("components")?);
    let features = input::features(graph, parts)?;
    let width = features.width;
    consistent(means.len() == width && components.len().is_multiple_of(width))?;
    let count = components.len() / width;
    let across: Vec<f64> =
        (0..width).flat_map(|col| components.iter().skip(col).step_by(width).copied()).collect();
    let means = graph.constant(&[width], &Values::F64(means));
    let across = graph.constant(&[width, count], &Values::F64(&across));
    let centred = graph.op("Sub", &[&features.name, &means], &[]);
    let found = graph.op("MatMul", &[&centred, &across], &[]);
    output::columns(graph, &found, count);
    Ok(())
}

/// The squared differences of every row to every point: rows × points × features.
fn squares(graph: &mut Graph, rows: &str, points: &[f64], count: usize, width: usize) -> Name {
    let points = graph.constant(&[1, count, width], &Values::F64(points));
    let middle = graph.constant(&[1], &Values::I64(&[1]));
    let apart = graph.op("Unsqueeze", &[rows, &middle], &[]);
    let away = graph.op("Sub", &[&apart, &points], &[]);
    graph.op("Mul", &[&away, &away], &[])
}

/// Sums over features.
fn summed(graph: &mut Graph, values: &str) -> Name {
    let last = graph.constant(&[1], &Values::I64(&[2]));
    graph.op("ReduceSum", &[values, &last], &[("keepdims", Setting::Int(0))])
}
