//! XGBoost's trees, from the JSON that its models are kept in.

use serde_json::Value;

use crate::ensemble::{Compare, Ensemble, Plan, placed};
use crate::error::{Result, consistent, damaged};
use crate::graph::{Graph, Name, Setting, Type, Values};
use crate::input::{self, Features};
use crate::output;
use crate::parts::Parts;

pub(crate) fn write(graph: &mut Graph, parts: &Parts<'_>) -> Result<()> {
    let model: Value = serde_json::from_str(parts.text("text")?)
        .map_err(|error| damaged(format!("its model is no JSON: {error}")))?;
    let learner = &model["learner"];
    let link = Link::of(parts, learner["objective"]["name"].as_str().unwrap_or_default())?;
    let booster = &learner["gradient_booster"];
    // `dart` wraps the trees of `gbtree`, and weighs them.
    let (booster, weights) = match &booster["gbtree"] {
        Value::Null => (booster, Vec::new()),
        inner => (inner, floats(&booster["weight_drop"])),
    };
    let trees = list(&booster["model"]["trees"]);
    if trees.is_empty() && booster["model"]["weights"].is_array() {
        return Err(parts.unsupported("it is XGBoost's linear booster"));
    }
    let outputs = match parts.size("task", 0)? {
        1 => parts.schema().classes.len(),
        _ => 1,
    };
    let mut features = input::features(graph, parts)?;
    // XGBoost keeps values in 32 bits, and compares those.
    let narrow = graph.cast(&features.name, Type::F32);
    features.name = graph.cast(&narrow, Type::F64);
    let sums = sums(graph, parts, &features, (trees, &weights), &booster["model"], outputs)?;
    let margins = link.margins(&base_scores(learner)?);
    consistent(margins.len() == 1 || margins.len() == outputs)?;
    let margins = graph.constant(&[margins.len()], &Values::F64(&margins));
    let sums = graph.op("Add", &[&sums, &margins], &[]);
    let found = link.apply(graph, &sums);
    output::of_task(graph, parts, &found)
}

fn sums(
    graph: &mut Graph,
    parts: &Parts<'_>,
    features: &Features,
    (trees, weights): (&[Value], &[f64]),
    model: &Value,
    outputs: usize,
) -> Result<Name> {
    let groups = list(&model["tree_info"]);
    consistent(
        groups.len() == trees.len() && (weights.is_empty() || weights.len() == trees.len()),
    )?;
    let mut ensemble = Ensemble::default();
    for (number, (tree, group)) in trees.iter().zip(groups).enumerate() {
        let group = group.as_u64().and_then(|group| usize::try_from(group).ok());
        let group = group.filter(|group| *group < outputs);
        let group = group.ok_or_else(|| damaged("a tree belongs to no output"))?;
        let weight = weights.get(number).copied().unwrap_or(1.0);
        let plans = plans(parts, tree, (group, weight), features.width)?;
        ensemble.push(&placed(&plans));
    }
    Ok(ensemble.sums(graph, features, outputs))
}

/// How sums become predictions.
enum Link {
    Identity,
    Log,
    Logit,
    Softmax,
}

impl Link {
    fn of(parts: &Parts<'_>, objective: &str) -> Result<Self> {
        Ok(match objective {
            "reg:squarederror"
            | "reg:linear"
            | "reg:squaredlogerror"
            | "reg:pseudohubererror"
            | "reg:absoluteerror"
            | "reg:quantileerror" => Self::Identity,
            "count:poisson" | "reg:gamma" | "reg:tweedie" => Self::Log,
            "binary:logistic" | "reg:logistic" => Self::Logit,
            "multi:softprob" => Self::Softmax,
            other => return Err(parts.unsupported(format!("its objective is {other}"))),
        })
    }

    /// What the trees are added to; the file has it as a prediction.
    fn margins(&self, scores: &[f64]) -> Vec<f64> {
        let margin = |score: &f64| match self {
            Self::Identity | Self::Softmax => *score,
            Self::Log => score.ln(),
            Self::Logit => -(1.0 / score - 1.0).ln(),
        };
        scores.iter().map(margin).collect()
    }

    fn apply(&self, graph: &mut Graph, sums: &str) -> Name {
        match self {
            Self::Identity => sums.to_owned(),
            Self::Log => graph.op("Exp", &[sums], &[]),
            Self::Logit => graph.op("Sigmoid", &[sums], &[]),
            Self::Softmax => graph.op("Softmax", &[sums], &[("axis", Setting::Int(1))]),
        }
    }
}

/// The score before any tree: a number as text, or a list of them for each output.
fn base_scores(learner: &Value) -> Result<Vec<f64>> {
    let text = learner["learner_model_param"]["base_score"].as_str().unwrap_or("0.5");
    let inside = text.trim_start_matches('[').trim_end_matches(']');
    let scores: std::result::Result<_, std::num::ParseFloatError> =
        inside.split(',').map(|score| score.trim().parse()).collect();
    scores.map_err(|_| damaged("its base score is no number"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Numbers of 32 bits, as they are meant.
#[expect(clippy::cast_possible_truncation, reason = "XGBoost's numbers have 32 bits")]
fn floats(value: &Value) -> Vec<f64> {
    let narrow = |value: &Value| f64::from(value.as_f64().unwrap_or(f64::NAN) as f32);
    list(value).iter().map(narrow).collect()
}

fn whole(value: &Value) -> Vec<i64> {
    let one = |value: &Value| value.as_i64().or(value.as_bool().map(i64::from));
    list(value).iter().map(|value| one(value).unwrap_or(i64::MIN)).collect()
}

fn plans(
    parts: &Parts<'_>,
    tree: &Value,
    (output, weight): (usize, f64),
    width: usize,
) -> Result<Vec<Plan>> {
    let several = tree["tree_param"]["size_leaf_vector"].as_str().unwrap_or("1");
    if !matches!(several, "0" | "1") {
        return Err(parts.unsupported("its leaves hold several values (multi_strategy)"));
    }
    let (left, right) = (whole(&tree["left_children"]), whole(&tree["right_children"]));
    let (features, defaults) = (whole(&tree["split_indices"]), whole(&tree["default_left"]));
    let (values, kinds) = (floats(&tree["split_conditions"]), whole(&tree["split_type"]));
    let count = left.len();
    let sizes = [right.len(), features.len(), defaults.len(), values.len()];
    consistent(count > 0 && sizes == [count; 4] && (kinds.is_empty() || kinds.len() == count))?;
    let mut plans = Vec::with_capacity(count);
    for at in 0..count {
        // −1 marks a leaf.
        if left[at] == -1 {
            plans.push(Plan::Leaf(vec![(output, values[at] * weight)]));
            continue;
        }
        let child = |child: i64| usize::try_from(child).ok().filter(|child| *child < count);
        let feature = usize::try_from(features[at]).ok().filter(|feature| *feature < width);
        let (Some(left), Some(right), Some(feature)) = (child(left[at]), child(right[at]), feature)
        else {
            return Err(damaged("a tree leads out of itself"));
        };
        let missing_left = defaults[at] == 1;
        plans.push(if kinds.get(at) == Some(&1) {
            // Members go right, where others go left.
            let (yes, no, missing_yes) = (right, left, !missing_left);
            Plan::Members { feature, members: members(tree, at)?, yes, no, missing_yes }
        } else {
            let (compare, value) = (Compare::Below, values[at]);
            Plan::Number {
                feature,
                compare,
                value,
                yes: left,
                no: right,
                missing_yes: missing_left,
            }
        });
    }
    Ok(plans)
}

/// The categories of a node.
#[expect(clippy::cast_precision_loss, reason = "categories are small whole numbers")]
fn members(tree: &Value, node: usize) -> Result<Vec<f64>> {
    let nodes = whole(&tree["categories_nodes"]);
    let place = nodes.iter().position(|known| usize::try_from(*known) == Ok(node));
    let size = |name: &str| {
        let sizes = whole(&tree[name]);
        usize::try_from(*sizes.get(place?)?).ok()
    };
    let all = whole(&tree["categories"]);
    let found = size("categories_segments").zip(size("categories_sizes"));
    let found = found.and_then(|(from, count)| all.get(from..from.checked_add(count)?));
    let found = found.ok_or_else(|| damaged("a set of categories is missing"))?;
    Ok(found.iter().map(|category| *category as f64).collect())
}
