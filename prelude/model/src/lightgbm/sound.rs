//! Whether the trees of a model text lead anywhere: [`is_sound`]. LightGBM itself does not check, and
//! follows a damaged tree out of its memory.

use std::collections::HashMap;

use crate::native::paths_end;

/// Whether every tree of the text has all its arrays, and its nodes stay within them.
pub(super) fn is_sound(text: &str) -> bool {
    let (head, trees) = text.split_once("\nTree=").unwrap_or((text, ""));
    let trees = trees.split("\nend of trees").next().unwrap_or_default();
    let odd = |c: char| c.is_control() && c != '\t';
    let plain = head.lines().all(|line| !line.contains(odd));
    let grouped = lines(head).get("num_tree_per_iteration").is_none_or(|each| {
        let count = text.matches("\nTree=").count();
        each.parse().is_ok_and(|each: usize| each > 0 && count.is_multiple_of(each))
    });
    if !plain || !grouped {
        return false;
    }
    let Some(last) = lines(head).get("max_feature_idx").and_then(|n| n.parse::<usize>().ok())
    else {
        return false;
    };
    sizes_are_sound(text, lines(head).get("tree_sizes").copied())
        && (trees.is_empty()
            || trees
                .split("\nTree=")
                .all(|tree| tree_lines(tree).is_some_and(|tree| tree_is_sound(&tree, last))))
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

/// The lines of a tree, behind its number, if `LightGBM` reads the same ones: it takes at most 22 until
/// an empty one, looks for a `=` beyond the line's end where there is none, and ends the process at
/// what is no number.
fn tree_lines(tree: &str) -> Option<HashMap<&str, &str>> {
    const MOST: usize = 22;
    let number = |text: &str| match text {
        "inf" | "-inf" | "nan" | "-nan" => true,
        _ => {
            text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
                && text.parse::<f64>().is_ok()
        }
    };
    let name = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let mut all = tree.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    all.next()?.parse::<usize>().ok()?;
    let mut found = HashMap::new();
    for line in all.by_ref().take_while(|line| !line.is_empty()) {
        let (key, values) = line.split_once('=')?;
        let numbers = values.is_empty() || values.split(' ').filter(|v| !v.is_empty()).all(number);
        if !name(key) || !numbers || found.insert(key, values).is_some() {
            return None;
        }
    }
    (found.len() <= MOST && all.all(str::is_empty)).then_some(found)
}

/// A leaf of a linear tree weighs features of its own.
fn linear_is_sound(tree: &HashMap<&str, &str>, leaves: usize, last_feature: usize) -> bool {
    let values = |name: &str| -> Vec<&str> {
        tree.get(name).copied().unwrap_or_default().split_whitespace().collect()
    };
    let whole = |name: &str| -> Option<Vec<usize>> {
        values(name).iter().map(|value| value.parse().ok()).collect()
    };
    let (Some(counts), Some(features)) = (whole("num_features"), whole("leaf_features")) else {
        return false;
    };
    values("leaf_const").len() == leaves
        && counts.len() == leaves
        && counts.iter().try_fold(0_usize, |sum, n| sum.checked_add(*n)) == Some(features.len())
        && values("leaf_coeff").len() == features.len()
        && features.iter().all(|feature| *feature <= last_feature)
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
    let weights = count("leaf_weight");
    if leaves == 0
        || count("leaf_value") != leaves
        || tree.contains_key("leaf_weight") && weights != leaves && leaves > 1
    {
        return false;
    }
    let linear = numbers("is_linear").first().is_some_and(|linear| *linear != 0);
    if linear && !linear_is_sound(tree, leaves, last_feature) {
        return false;
    }
    let nodes = leaves - 1;
    let (features, left, right) =
        (numbers("split_feature"), numbers("left_child"), numbers("right_child"));
    let sized =
        [features.len(), left.len(), right.len(), count("threshold"), count("decision_type")];
    if nodes == 0 {
        // A linear tree of one leaf is read to its end.
        let nodes = ["left_child", "right_child", "split_feature", "threshold"];
        return !linear || nodes.iter().all(|name| tree.contains_key(name));
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
            ("threshold=0.5 0", "threshold=0.5\r0"),
            ("threshold=0.5 0", "thresholds=0.5 0"),
            ("threshold=0.5 0", "threshold=0.5 x"),
            ("threshold=0.5 0", "threshold 0.5 0"),
            ("num_cat=1", "num_cat=1\nis_linear=1"),
            ("\ndecision_type", "\n\ndecision_type"),
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
