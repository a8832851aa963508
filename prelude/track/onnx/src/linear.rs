//! Linear and logistic regression: products of matrices.

use crate::error::{Result, consistent};
use crate::graph::{Graph, Name, Setting, Values};
use crate::input::{self, Features};
use crate::output;
use crate::parts::Parts;

/// `intercept + Σ wᵢ xᵢ`.
pub(crate) fn linear(graph: &mut Graph, parts: &Parts<'_>) -> Result<()> {
    let features = input::features(graph, parts)?;
    let scores = scores(graph, &features, parts.f64("coefficients")?, 1)?;
    output::values(graph, &scores);
    Ok(())
}

/// A linear score per output, then sigmoid or softmax.
pub(crate) fn logistic(graph: &mut Graph, parts: &Parts<'_>) -> Result<()> {
    let outputs = parts.size("outputs", 0)?;
    let features = input::features(graph, parts)?;
    let scores = scores(graph, &features, parts.f64("coefficients")?, outputs)?;
    if outputs == 1 {
        let p = graph.op("Sigmoid", &[&scores], &[]);
        return output::second(graph, parts, &p);
    }
    let p = graph.op("Softmax", &[&scores], &[("axis", Setting::Int(1))]);
    output::probabilities(graph, parts, &p)
}

/// Per output of `coefficients`: the intercept, then one for each feature.
fn scores(
    graph: &mut Graph,
    features: &Features,
    coefficients: &[f64],
    outputs: usize,
) -> Result<Name> {
    let width = features.width;
    consistent(outputs > 0 && coefficients.len() == outputs.saturating_mul(width + 1))?;
    let rows = || coefficients.chunks_exact(width + 1);
    let weights: Vec<f64> =
        (1..=width).flat_map(|feature| rows().map(move |row| row[feature])).collect();
    let intercepts: Vec<f64> = rows().map(|row| row[0]).collect();
    let weights = graph.constant(&[width, outputs], &Values::F64(&weights));
    let intercepts = graph.constant(&[outputs], &Values::F64(&intercepts));
    let products = graph.op("MatMul", &[&features.name, &weights], &[]);
    Ok(graph.op("Add", &[&products, &intercepts], &[]))
}
