//! Isolation forests: the mean depth at which rows end up alone.

use crate::ensemble::{Compare, Ensemble, Node};
use crate::error::{Result, consistent};
use crate::graph::Graph;
use crate::input;
use crate::output;
use crate::parts::Parts;

/// The feature of a leaf.
const LEAF: u32 = u32::MAX;

#[expect(clippy::cast_precision_loss, reason = "fewer trees and levels than 2⁵²")]
pub(crate) fn write(graph: &mut Graph, parts: &Parts<'_>) -> Result<()> {
    let samples = parts.size("sizes", 1)?;
    let (feature, value, right) = (parts.u32("feature")?, parts.f64("value")?, parts.u32("right")?);
    consistent(value.len() == feature.len() && right.len() == feature.len())?;
    let features = input::features(graph, parts)?;
    let roots = parts.u32("roots")?;
    consistent(!roots.is_empty())?;
    let mut ensemble = Ensemble::default();
    for root in roots {
        let mut order = vec![(*root as usize, 0_usize)];
        let mut tree = Vec::new();
        let mut next = 0;
        while let Some((at, depth)) = order.get(next).copied() {
            next += 1;
            consistent(at < feature.len())?;
            if feature[at] == LEAF {
                let share = (depth as f64 + value[at]) / roots.len() as f64;
                tree.push(Node::Leaf(vec![(0, share)]));
                continue;
            }
            consistent((feature[at] as usize) < features.width && right[at] as usize > at)?;
            let yes = order.len();
            order.extend([(at + 1, depth + 1), (right[at] as usize, depth + 1)]);
            tree.push(Node::Split {
                feature: feature[at] as usize,
                compare: Compare::AtMost,
                value: value[at],
                yes,
                no: yes + 1,
                missing_yes: false,
            });
        }
        ensemble.push(&tree);
    }
    let mean = ensemble.sums(graph, &features, 1);
    let rate = graph.number(-std::f64::consts::LN_2 / mean_depth(samples).max(1.0));
    let power = graph.op("Mul", &[&mean, &rate], &[]);
    let score = graph.op("Exp", &[&power], &[]);
    output::anomalies(graph, &score);
    Ok(())
}

/// The mean depth of an unsuccessful search in a binary tree of `n` values.
#[expect(clippy::cast_precision_loss, reason = "fewer rows than 2⁵²")]
fn mean_depth(n: usize) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    match n {
        0 | 1 => 0.0,
        2 => 1.0,
        n => {
            let n = n as f64;
            2.0 * ((n - 1.0).ln() + EULER) - 2.0 * (n - 1.0) / n
        }
    }
}
