//! Trees as ONNX has them: [`Ensemble`].

use crate::graph::{Graph, Name, Setting, Type, count};
use crate::input::Features;

/// How a node compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    AtMost,
    Below,
    Equal,
}

impl Compare {
    fn name(self) -> &'static str {
        match self {
            Self::AtMost => "BRANCH_LEQ",
            Self::Below => "BRANCH_LT",
            Self::Equal => "BRANCH_EQ",
        }
    }
}

/// A node of a tree; children are places in the tree.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// A value for each of these outputs.
    Leaf(Vec<(usize, f64)>),
    Split {
        feature: usize,
        compare: Compare,
        value: f64,
        yes: usize,
        no: usize,
        /// Where rows without a value go.
        missing_yes: bool,
    },
}

/// Nodes in one list; the first is the root.
pub(crate) type Tree = Vec<Node>;

/// Trees whose leaves are added up.
#[derive(Default)]
pub(crate) struct Ensemble {
    places: [Vec<i64>; 2],
    features: Vec<i64>,
    modes: Vec<&'static str>,
    values: Vec<f64>,
    children: [Vec<i64>; 2],
    missing: Vec<i64>,
    targets: [Vec<i64>; 3],
    weights: Vec<f64>,
    trees: usize,
}

impl Ensemble {
    pub(crate) fn push(&mut self, tree: &Tree) {
        for (at, node) in tree.iter().enumerate() {
            let place = [count(self.trees), count(at)];
            let (feature, mode, value, children, missing) = match node {
                Node::Leaf(values) => {
                    for (output, value) in values {
                        let target = [place[0], place[1], count(*output)];
                        self.targets.iter_mut().zip(target).for_each(|(to, part)| to.push(part));
                        self.weights.push(*value);
                    }
                    (0, "LEAF", 0.0, [0, 0], false)
                }
                Node::Split { feature, compare, value, yes, no, missing_yes } => {
                    (*feature, compare.name(), *value, [count(*yes), count(*no)], *missing_yes)
                }
            };
            self.places.iter_mut().zip(place).for_each(|(to, part)| to.push(part));
            self.features.push(count(feature));
            self.modes.push(mode);
            self.values.push(value);
            self.children.iter_mut().zip(children).for_each(|(to, part)| to.push(part));
            self.missing.push(i64::from(missing));
        }
        self.trees += 1;
    }

    /// The sums, a column for each output.
    pub(crate) fn sums(&self, graph: &mut Graph, features: &Features, outputs: usize) -> Name {
        let settings = [
            ("n_targets", Setting::Int(count(outputs))),
            ("aggregate_function", Setting::Text("SUM")),
            ("post_transform", Setting::Text("NONE")),
            ("nodes_treeids", Setting::Ints(&self.places[0])),
            ("nodes_nodeids", Setting::Ints(&self.places[1])),
            ("nodes_featureids", Setting::Ints(&self.features)),
            ("nodes_modes", Setting::Texts(self.modes.clone())),
            ("nodes_values_as_tensor", Setting::Tensor(&self.values)),
            ("nodes_truenodeids", Setting::Ints(&self.children[0])),
            ("nodes_falsenodeids", Setting::Ints(&self.children[1])),
            ("nodes_missing_value_tracks_true", Setting::Ints(&self.missing)),
            ("target_treeids", Setting::Ints(&self.targets[0])),
            ("target_nodeids", Setting::Ints(&self.targets[1])),
            ("target_ids", Setting::Ints(&self.targets[2])),
            ("target_weights_as_tensor", Setting::Tensor(&self.weights)),
        ];
        let sums = graph.ml("TreeEnsembleRegressor", &features.name, &settings);
        graph.cast(&sums, Type::F64)
    }
}

/// A tree of another library before its nodes have places here: splits on a set of categories become a
/// chain of comparisons that lead to the same node.
pub(crate) enum Plan {
    Leaf(Vec<(usize, f64)>),
    Number {
        feature: usize,
        compare: Compare,
        value: f64,
        yes: usize,
        no: usize,
        missing_yes: bool,
    },
    Members {
        feature: usize,
        members: Vec<f64>,
        yes: usize,
        no: usize,
        missing_yes: bool,
    },
}

/// Gives nodes their places.
pub(crate) fn placed(plans: &[Plan]) -> Tree {
    let mut places = Vec::with_capacity(plans.len());
    let mut next = 0;
    for plan in plans {
        places.push(next);
        next += match plan {
            Plan::Members { members, .. } => members.len().max(1),
            _ => 1,
        };
    }
    let mut tree = Vec::with_capacity(next);
    for plan in plans {
        match plan {
            Plan::Leaf(values) => tree.push(Node::Leaf(values.clone())),
            Plan::Number { feature, compare, value, yes, no, missing_yes } => {
                let (yes, no) = (places[*yes], places[*no]);
                let (feature, compare, missing_yes) = (*feature, *compare, *missing_yes);
                tree.push(Node::Split { feature, compare, value: *value, yes, no, missing_yes });
            }
            Plan::Members { feature, members, yes, no, missing_yes } => {
                let (feature, yes, no) = (*feature, places[*yes], places[*no]);
                // No category is a member: no number is below all others.
                let never = [f64::NEG_INFINITY];
                let members = if members.is_empty() { &never[..] } else { members };
                for (at, value) in members.iter().enumerate() {
                    let last = at + 1 == members.len();
                    let no = if last { no } else { tree.len() + 1 };
                    // A missing value that is no member fails every comparison.
                    let missing_yes = *missing_yes && at == 0;
                    let compare = Compare::Equal;
                    tree.push(Node::Split {
                        feature,
                        compare,
                        value: *value,
                        yes,
                        no,
                        missing_yes,
                    });
                }
            }
        }
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_becomes_a_chain_that_leads_to_one_node() {
        let plans = [
            Plan::Members { feature: 2, members: vec![1.0, 4.0], yes: 1, no: 2, missing_yes: true },
            Plan::Leaf(vec![(0, 1.0)]),
            Plan::Leaf(vec![(0, 2.0)]),
        ];
        let split = |value, no, missing_yes| Node::Split {
            feature: 2,
            compare: Compare::Equal,
            value,
            yes: 2,
            no,
            missing_yes,
        };
        let leaf = |value| Node::Leaf(vec![(0, value)]);
        let expected = vec![split(1.0, 1, true), split(4.0, 3, false), leaf(1.0), leaf(2.0)];
        assert_eq!(placed(&plans), expected);
    }
}
