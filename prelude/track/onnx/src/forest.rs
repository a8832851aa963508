//! Our own trees and forests: leaves hold a value for each output, a forest their mean.

use crate::ensemble::{Compare, Ensemble, Node, Tree};
use crate::error::{Result, consistent};
use crate::graph::Graph;
use crate::input;
use crate::output;
use crate::parts::Parts;

/// The feature of a leaf.
const LEAF: u32 = u32::MAX;

pub(crate) fn write(graph: &mut Graph, parts: &Parts<'_>) -> Result<()> {
    let forest = Forest::read(parts)?;
    let features = input::features(graph, parts)?;
    consistent(features.width == forest.features)?;
    let mut ensemble = Ensemble::default();
    for root in forest.roots {
        ensemble.push(&forest.tree(*root)?);
    }
    let sums = ensemble.sums(graph, &features, forest.outputs);
    if parts.size("sizes", 2)? == 1 {
        return output::probabilities(graph, parts, &sums);
    }
    output::values(graph, &sums);
    Ok(())
}

struct Forest<'a> {
    features: usize,
    outputs: usize,
    roots: &'a [u32],
    feature: &'a [u32],
    threshold: &'a [f64],
    left: &'a [u32],
    right: &'a [u32],
    missing_left: &'a [u32],
    values: &'a [f64],
}

impl<'a> Forest<'a> {
    fn read(parts: &Parts<'a>) -> Result<Self> {
        let found = Self {
            features: parts.size("sizes", 0)?,
            outputs: parts.size("sizes", 1)?,
            roots: parts.u32("roots")?,
            feature: parts.u32("feature")?,
            threshold: parts.f64("threshold")?,
            left: parts.u32("left")?,
            right: parts.u32("right")?,
            missing_left: parts.u32("missing_left")?,
            values: parts.f64("values")?,
        };
        let count = found.feature.len();
        let lengths = [found.threshold.len(), found.left.len(), found.right.len()];
        consistent(found.outputs > 0 && !found.roots.is_empty())?;
        consistent(lengths == [count; 3] && found.missing_left.len() == count)?;
        Ok(found)
    }

    /// The nodes below a root, the root first.
    fn tree(&self, root: u32) -> Result<Tree> {
        let mut order = vec![root as usize];
        let mut tree = Vec::new();
        let mut next = 0;
        while let Some(at) = order.get(next).copied() {
            next += 1;
            consistent(at < self.feature.len())?;
            if self.feature[at] == LEAF {
                tree.push(Node::Leaf(self.leaf(self.left[at] as usize)?));
                continue;
            }
            let children = [self.left[at] as usize, self.right[at] as usize];
            // Children come after their parents, so that no path runs in a circle.
            consistent(children.iter().all(|child| *child > at))?;
            consistent((self.feature[at] as usize) < self.features)?;
            let yes = order.len();
            order.extend(children);
            tree.push(Node::Split {
                feature: self.feature[at] as usize,
                compare: Compare::AtMost,
                value: self.threshold[at],
                yes,
                no: yes + 1,
                missing_yes: self.missing_left[at] == 1,
            });
        }
        Ok(tree)
    }

    #[expect(clippy::cast_precision_loss, reason = "fewer trees than 2⁵²")]
    fn leaf(&self, leaf: usize) -> Result<Vec<(usize, f64)>> {
        let values = self.values.chunks_exact(self.outputs).nth(leaf);
        consistent(values.is_some())?;
        let trees = self.roots.len() as f64;
        let shares = values.unwrap_or_default().iter().map(|value| value / trees);
        Ok(shares.enumerate().collect())
    }
}
