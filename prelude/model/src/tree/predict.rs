//! A fitted tree or forest as flat arrays: [`ForestPredictor`].

use rayon::prelude::*;

use crate::error::Result;
use crate::matrix::{Matrix, float};
use crate::predictor::{Output, Predictor, Reader, Sections, consistent, expect_features};

use super::grow::{Grown, Node};

/// Rows that are predicted together.
const BLOCK: usize = 128;

/// All trees in one array of nodes; leaves point into one array of values.
#[derive(Debug)]
pub(crate) struct ForestPredictor {
    features: usize,
    /// Classes, or 1.
    outputs: usize,
    classes: bool,
    roots: Vec<u32>,
    nodes: Vec<Node>,
    values: Vec<f64>,
    importance: Vec<f64>,
}

impl ForestPredictor {
    pub(super) fn new(trees: Vec<Grown>, features: usize, outputs: usize, classes: bool) -> Self {
        let mut forest = Self {
            features,
            outputs,
            classes,
            roots: Vec::with_capacity(trees.len()),
            nodes: Vec::new(),
            values: Vec::new(),
            importance: vec![0.0; features],
        };
        for tree in trees {
            let first = number(forest.nodes.len());
            let first_leaf = number(forest.values.len() / outputs);
            forest.roots.push(first);
            forest.nodes.extend(tree.nodes.into_iter().map(|mut node| {
                let is_leaf = node.feature == u32::MAX;
                node.left += if is_leaf { first_leaf } else { first };
                node.right += if is_leaf { 0 } else { first };
                node
            }));
            forest.values.extend(tree.values);
            // Every tree counts the same, as in scikit-learn.
            let total: f64 = tree.importance.iter().sum();
            if total > 0.0 {
                for (sum, part) in forest.importance.iter_mut().zip(&tree.importance) {
                    *sum += part / total;
                }
            }
        }
        forest
    }

    pub(crate) fn read(from: &Reader<'_>) -> Result<Self> {
        let (features, outputs) = (from.size("sizes", 0)?, from.size("sizes", 1)?);
        let classes = from.size("sizes", 2)? == 1;
        let (feature, threshold) = (from.u32("feature")?, from.f64("threshold")?);
        let (left, right) = (from.u32("left")?, from.u32("right")?);
        let missing_left = from.u32("missing_left")?;
        let count = feature.len();
        consistent(
            outputs > 0
                && [threshold.len(), left.len(), right.len(), missing_left.len()] == [count; 4],
        )?;
        let nodes: Vec<Node> = (0..count)
            .map(|node| Node {
                threshold: threshold[node],
                feature: feature[node],
                left: left[node],
                right: right[node],
                missing_left: missing_left[node] == 1,
            })
            .collect();
        let (roots, values, importance) =
            (from.u32("roots")?, from.f64("values")?, from.f64("importance")?);
        let leaves = values.len() / outputs;
        // Children come after their parents, so that no path runs in a circle.
        let sound = nodes.iter().enumerate().all(|(at, node)| {
            if node.feature == u32::MAX {
                (node.left as usize) < leaves
            } else {
                let children = [node.left as usize, node.right as usize];
                (node.feature as usize) < features
                    && children.iter().all(|child| *child > at && *child < count)
            }
        });
        let rooted = !roots.is_empty() && roots.iter().all(|root| (*root as usize) < count);
        consistent(sound && rooted && importance.len() == features)?;
        Ok(Self { features, outputs, classes, roots, nodes, values, importance })
    }

    /// The leaf that a row of features falls into.
    #[inline]
    fn leaf(&self, root: u32, row: &[f64]) -> usize {
        let mut at = root as usize;
        loop {
            let node = &self.nodes[at];
            if node.feature == u32::MAX {
                return node.left as usize;
            }
            let value = row[node.feature as usize];
            let left = if value.is_nan() { node.missing_left } else { value <= node.threshold };
            at = if left { node.left } else { node.right } as usize;
        }
    }

    fn predict_block(&self, x: &Matrix, start: usize, out: &mut [f64]) {
        let rows = out.len() / self.outputs;
        let mut block = vec![0.0; rows * self.features];
        for feature in 0..self.features {
            for (row, value) in x.col(feature)[start..start + rows].iter().enumerate() {
                block[row * self.features + feature] = *value;
            }
        }
        for root in &self.roots {
            for row in 0..rows {
                let features = &block[row * self.features..(row + 1) * self.features];
                let leaf = self.leaf(*root, features);
                let values = &self.values[leaf * self.outputs..(leaf + 1) * self.outputs];
                let out = &mut out[row * self.outputs..(row + 1) * self.outputs];
                out.iter_mut().zip(values).for_each(|(out, value)| *out += value);
            }
        }
        let trees = float(self.roots.len());
        for value in out.iter_mut() {
            *value /= trees;
        }
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

impl Predictor for ForestPredictor {
    fn kind(&self) -> &'static str {
        "forest"
    }

    fn predict(&self, x: &Matrix) -> Result<Output> {
        expect_features(x, self.features)?;
        let mut out = vec![0.0; x.rows() * self.outputs];
        let size = BLOCK * self.outputs;
        if x.rows() <= BLOCK {
            self.predict_block(x, 0, &mut out);
        } else {
            out.par_chunks_mut(size)
                .enumerate()
                .for_each(|(block, out)| self.predict_block(x, block * BLOCK, out));
        }
        Ok(if self.classes { Output::Probabilities(out) } else { Output::Values(out) })
    }

    fn write(&self, out: &mut Sections<'_>) {
        let nodes = &self.nodes;
        let kind = u32::from(self.classes);
        out.u32("sizes", &[number(self.features), number(self.outputs), kind]);
        out.u32("roots", &self.roots);
        out.u32("feature", &nodes.iter().map(|node| node.feature).collect::<Vec<_>>());
        out.f64("threshold", &nodes.iter().map(|node| node.threshold).collect::<Vec<_>>());
        out.u32("left", &nodes.iter().map(|node| node.left).collect::<Vec<_>>());
        out.u32("right", &nodes.iter().map(|node| node.right).collect::<Vec<_>>());
        let missing: Vec<u32> = nodes.iter().map(|node| u32::from(node.missing_left)).collect();
        out.u32("missing_left", &missing);
        out.f64("values", &self.values);
        out.f64("importance", &self.importance);
    }

    fn importance(&self) -> Option<Vec<f64>> {
        Some(self.importance.clone())
    }
}
