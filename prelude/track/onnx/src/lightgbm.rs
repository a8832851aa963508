//! LightGBM's trees, from the text that its models are kept in.

use std::collections::HashMap;

use crate::ensemble::{Compare, Ensemble, Plan, placed};
use crate::error::{Result, consistent, damaged};
use crate::graph::{Graph, Name, Setting};
use crate::input;
use crate::output;
use crate::parts::Parts;

/// Bits of a decision's type.
const CATEGORICAL: u32 = 1;
const DEFAULT_LEFT: u32 = 2;
/// Which values are missing: nothing, zeros, or NaN.
const MISSING: u32 = 3;
const ZEROS: u32 = 1;
const NANS: u32 = 2;

pub(crate) fn write(graph: &mut Graph, parts: &Parts<'_>) -> Result<()> {
    let text = parts.text("text")?;
    let (head, rest) = text.split_once("\nTree=").unwrap_or((text, ""));
    let known = lines(head);
    if head.lines().any(|line| line.trim() == "average_output") {
        return Err(parts.unsupported("its trees are averaged (LightGBM's boosting=rf)"));
    }
    let outputs: usize = match known.get("num_tree_per_iteration") {
        Some(count) => count.parse().map_err(|_| damaged("its trees are not counted"))?,
        None => 1,
    };
    let transform = Transform::of(parts, known.get("objective").copied().unwrap_or_default())?;
    let features = input::features(graph, parts)?;
    let mut ensemble = Ensemble::default();
    let trees = rest.split("\nend of trees").next().unwrap_or_default();
    let blocks = trees.split("\nTree=").filter(|block| !block.trim().is_empty());
    for (number, block) in blocks.enumerate() {
        consistent(outputs > 0)?;
        let plans = tree(parts, &lines(block), number % outputs, features.width)?;
        ensemble.push(&placed(&plans));
    }
    let sums = ensemble.sums(graph, &features, outputs);
    let found = transform.apply(graph, &sums);
    output::of_task(graph, parts, &found)
}

fn lines(block: &str) -> HashMap<&str, &str> {
    block.lines().filter_map(|line| line.split_once('=')).collect()
}

/// What becomes of the sum of the leaves.
enum Transform {
    Nothing,
    /// Its sign and square.
    Square,
    Exp,
    Softplus,
    Sigmoid(f64),
    Softmax,
}

impl Transform {
    fn of(parts: &Parts<'_>, objective: &str) -> Result<Self> {
        let mut words = objective.split(' ');
        let name = words.next().unwrap_or_default();
        let rest: Vec<&str> = words.collect();
        let sigmoid = rest.iter().find_map(|word| word.strip_prefix("sigmoid:"));
        let slope = sigmoid.map_or(Ok(1.0), str::parse);
        let slope = slope.map_err(|_| damaged("the slope of its sigmoid is no number"))?;
        Ok(match name {
            "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" => {
                if rest.contains(&"sqrt") { Self::Square } else { Self::Nothing }
            }
            "" | "lambdarank" | "rank_xendcg" => Self::Nothing,
            "poisson" | "gamma" | "tweedie" => Self::Exp,
            "binary" | "multiclassova" => Self::Sigmoid(slope),
            "cross_entropy" => Self::Sigmoid(1.0),
            "cross_entropy_lambda" => Self::Softplus,
            "multiclass" => Self::Softmax,
            other => return Err(parts.unsupported(format!("its objective is {other}"))),
        })
    }

    fn apply(&self, graph: &mut Graph, sums: &str) -> Name {
        match self {
            Self::Nothing => sums.to_owned(),
            Self::Square => {
                let size = graph.op("Abs", &[sums], &[]);
                graph.op("Mul", &[sums, &size], &[])
            }
            Self::Exp => graph.op("Exp", &[sums], &[]),
            Self::Softplus => {
                let (power, one) = (graph.op("Exp", &[sums], &[]), graph.number(1.0));
                let above = graph.op("Add", &[&power, &one], &[]);
                graph.op("Log", &[&above], &[])
            }
            Self::Sigmoid(slope) => {
                let slope = graph.number(*slope);
                let scaled = graph.op("Mul", &[sums, &slope], &[]);
                graph.op("Sigmoid", &[&scaled], &[])
            }
            Self::Softmax => graph.op("Softmax", &[sums], &[("axis", Setting::Int(1))]),
        }
    }
}

/// A tree whose leaves add to `output`: its splits, then its leaves.
fn tree(
    parts: &Parts<'_>,
    lines: &HashMap<&str, &str>,
    output: usize,
    width: usize,
) -> Result<Vec<Plan>> {
    let linear = lines.get("is_linear").is_some_and(|value| value.trim() != "0");
    if linear {
        return Err(parts.unsupported("its leaves are linear models (linear_tree)"));
    }
    let leaves: Vec<f64> = numbers(lines, "leaf_value")?;
    consistent(!leaves.is_empty())?;
    let splits = leaves.len() - 1;
    let leaf = |value: &f64| Plan::Leaf(vec![(output, *value)]);
    if splits == 0 {
        return Ok(leaves.iter().map(leaf).collect());
    }
    let (features, thresholds) =
        (numbers::<usize>(lines, "split_feature")?, numbers::<f64>(lines, "threshold")?);
    let kinds: Vec<u32> = numbers(lines, "decision_type")?;
    let (left, right): (Vec<i64>, Vec<i64>) =
        (numbers(lines, "left_child")?, numbers(lines, "right_child")?);
    let sizes = [features.len(), thresholds.len(), kinds.len(), left.len(), right.len()];
    consistent(sizes == [splits; 5] && features.iter().all(|feature| *feature < width))?;
    let sets = Sets::read(lines)?;
    // Leaves are counted from −1 downwards.
    let child = |child: i64| {
        let place = usize::try_from(if child < 0 { !child } else { child });
        let place = place.map(|place| if child < 0 { place + splits } else { place });
        place.ok().filter(|place| *place < splits + leaves.len())
    };
    let mut plans = Vec::with_capacity(splits + leaves.len());
    for at in 0..splits {
        let (Some(yes), Some(no)) = (child(left[at]), child(right[at])) else {
            return Err(damaged("a tree leads out of itself"));
        };
        let (feature, threshold, kind) = (features[at], thresholds[at], kinds[at]);
        if kind & CATEGORICAL != 0 {
            let members = sets.members(threshold)?;
            plans.push(Plan::Members { feature, members, yes, no, missing_yes: false });
            continue;
        }
        let default_yes = kind & DEFAULT_LEFT != 0;
        let zero_yes = 0.0 <= threshold;
        let missing_yes = match kind >> 2 & MISSING {
            NANS => default_yes,
            // Zeros go where missing values go, and NaN is a zero: only if that is where the
            // threshold sends zeros is it one comparison.
            ZEROS if default_yes != zero_yes => {
                return Err(parts.unsupported("it takes zeros for missing (zero_as_missing)"));
            }
            _ => zero_yes,
        };
        let (compare, value) = (Compare::AtMost, threshold);
        plans.push(Plan::Number { feature, compare, value, yes, no, missing_yes });
    }
    plans.extend(leaves.iter().map(leaf));
    Ok(plans)
}

fn numbers<T: std::str::FromStr>(lines: &HashMap<&str, &str>, name: &str) -> Result<Vec<T>> {
    let text = lines.get(name).copied().unwrap_or_default();
    let parsed = text.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>();
    parsed.map_err(|_| damaged(format!("{name} of a tree are no numbers")))
}

/// Sets of categories as bits, one behind the other.
struct Sets {
    bounds: Vec<usize>,
    bits: Vec<u32>,
}

impl Sets {
    fn read(lines: &HashMap<&str, &str>) -> Result<Self> {
        Ok(Self {
            bounds: numbers(lines, "cat_boundaries")?,
            bits: numbers(lines, "cat_threshold")?,
        })
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the number of a set is a small whole one, as are categories"
    )]
    fn members(&self, set: f64) -> Result<Vec<f64>> {
        let set = set as usize;
        let bounds = self.bounds.get(set).zip(self.bounds.get(set + 1));
        let words = bounds.and_then(|(from, to)| self.bits.get(*from..*to));
        let words = words.ok_or_else(|| damaged("a set of categories is missing"))?;
        let all = (0..words.len() * 32).filter(|bit| words[bit / 32] >> (bit % 32) & 1 == 1);
        Ok(all.map(|bit| bit as f64).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_categories_are_read_off_their_bits() {
        let sets = Sets { bounds: vec![0, 1, 3], bits: vec![0b101, 0, 1 << 3] };
        assert_eq!(sets.members(0.0).unwrap(), [0.0, 2.0]);
        assert_eq!(sets.members(1.0).unwrap(), [35.0]);
        assert!(sets.members(2.0).is_err());
    }
}
