//! Whether the trees of a model text lead anywhere: [`is_sound`]. LightGBM itself does not check, and
//! follows a damaged tree out of its memory.

use std::collections::HashMap;

use crate::native::paths_end;

/// Whether every tree of the text has all its arrays, and its nodes stay within them.
pub(super) fn is_sound(text: &str) -> bool {
    let (head, trees) = text.split_once("\nTree=").unwrap_or((text, ""));
    let trees = trees.split("\nend of trees").next().unwrap_or_default();
    let Some(last) = lines(head).get("max_feature_idx").and_then(|n| n.parse::<usize>().ok())
    else {
        return false;
    };
    sizes_are_sound(text, lines(head).get("tree_sizes").copied())
        && (trees.is_empty()
            || trees.split("\nTree=").all(|tree| tree_is_sound(&lines(tree), last)))
}

/// Whether every tree starts where the sizes of those before it say: `LightGBM` reads trees there on
/// threads of its own, where what it does not understand ends the process.
fn sizes_are_sound(text: &str, sizes: Option<&str>) -> bool {
    let Some(sizes) = sizes else { return true };
    let mut place = text.find("\nTree=").map_or(text.len(), |place| place + 1);
    let mut count = 0;
    for size in sizes.split_whitespace() {
        let end = size.parse().ok().and_then(|size: usize| place.checked_add(size));
        let Some(tree) = end.and_then(|end| text.get(place..end)) else { return false };
        if !tree.starts_with("Tree=") || tree.contains("\nTree=") {
            return false;
        }
        place += tree.len();
        count += 1;
    }
    count == text.matches("\nTree=").count()
}

fn lines(block: &str) -> HashMap<&str, &str> {
    block.lines().filter_map(|line| line.split_once('=')).collect()
}

fn tree_is_sound(tree: &HashMap<&str, &str>, last_feature: usize) -> bool {
    let numbers = |name: &str| -> Vec<i64> {
        let values = tree.get(name).copied().unwrap_or_default().split_whitespace();
        values.map(|value| value.parse().unwrap_or(i64::MIN)).collect()
    };
    let count = |name: &str| tree.get(name).copied().unwrap_or_default().split_whitespace().count();
    let single = |name: &str| numbers(name).first().and_then(|n| usize::try_from(*n).ok());
    let (Some(leaves), Some(categorical)) = (single("num_leaves"), single("num_cat")) else {
        return false;
    };
    if leaves == 0 || count("leaf_value") != leaves {
        return false;
    }
    let nodes = leaves - 1;
    let (features, left, right) =
        (numbers("split_feature"), numbers("left_child"), numbers("right_child"));
    let sized =
        [features.len(), left.len(), right.len(), count("threshold"), count("decision_type")];
    if nodes == 0 {
        return true;
    }
    let known = |feature: &i64| usize::try_from(*feature).is_ok_and(|f| f <= last_feature);
    if sized != [nodes; 5] || !features.iter().all(known) {
        return false;
    }
    let thresholds: Vec<f64> = tree
        .get("threshold")
        .copied()
        .unwrap_or_default()
        .split_whitespace()
        .map(|value| value.parse().unwrap_or(f64::NAN))
        .collect();
    let kinds = numbers("decision_type");
    // A split of categories has the number of its set as threshold.
    #[expect(clippy::cast_precision_loss, reason = "a small number of sets")]
    let set = |value: f64| value >= 0.0 && value < categorical as f64;
    let sets_known = kinds.iter().zip(&thresholds).all(|(kind, t)| kind & 1 == 0 || set(*t));
    let (bounds, words) = (numbers("cat_boundaries"), count("cat_threshold"));
    let bounded = categorical == 0
        || (bounds.len() == categorical + 1
            && bounds.first() == Some(&0)
            && bounds.windows(2).all(|pair| pair[0] <= pair[1])
            && bounds.last().is_some_and(|end| usize::try_from(*end).is_ok_and(|n| n <= words)));
    sets_known
        && bounded
        && paths_end(nodes, |node| {
            let mut below = Vec::new();
            for child in [left[node], right[node]] {
                match usize::try_from(child) {
                    Ok(inner) => below.push(inner),
                    // −1 is leaf 0, −2 leaf 1, …
                    Err(_) => {
                        usize::try_from(!child).ok().filter(|leaf| *leaf < leaves).map(drop)?;
                    }
                }
            }
            Some(below)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "tree\nmax_feature_idx=1\n\nTree=0\nnum_leaves=3\nnum_cat=1\nsplit_feature=0 1\n\
        threshold=0.5 0\ndecision_type=2 1\nleft_child=1 -1\nright_child=-2 -3\nleaf_value=1 2 3\n\
        cat_boundaries=0 1\ncat_threshold=5\n\n\nTree=1\nnum_leaves=1\nnum_cat=0\nleaf_value=0\n\n\
        end of trees\n";

    #[test]
    fn trees_that_leave_themselves_are_refused() {
        assert!(is_sound(GOOD));
        for (good, bad) in [
            ("left_child=1 -1", "left_child=0 -1"),
            ("left_child=1 -1", "left_child=7 -1"),
            ("right_child=-2 -3", "right_child=-2 -4"),
            ("right_child=-2 -3", "right_child=-2"),
            ("split_feature=0 1", "split_feature=0 2"),
            ("split_feature=0 1", "split_feature=0 -1"),
            ("threshold=0.5 0", "threshold=0.5 1"),
            ("cat_boundaries=0 1", "cat_boundaries=0 2"),
            ("leaf_value=1 2 3", "leaf_value=1 2"),
            ("max_feature_idx=1", "max_feature_idx=x"),
            ("num_leaves=1\n", "num_leaves=0\n"),
        ] {
            assert!(!is_sound(&GOOD.replacen(good, bad, 1)), "{bad}");
        }
        let first = GOOD.find("Tree=1").unwrap() - GOOD.find("Tree=0").unwrap();
        let sized = |sizes: &str| {
            let line = format!("max_feature_idx=1\ntree_sizes={sizes}");
            is_sound(&GOOD.replacen("max_feature_idx=1", &line, 1))
        };
        assert!(sized(&format!("{first} 40")));
        for wrong in [format!("{} 40", first - 1), format!("{first}"), format!("{first} 4000")] {
            assert!(!sized(&wrong), "{wrong}");
        }
    }
}
