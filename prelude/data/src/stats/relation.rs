//! How much two columns have to do with each other.

use polars::prelude::*;

use super::{float, quantiles};
use crate::columns;
use crate::error::Result;

/// Pearson's correlation of the pairs in which neither value is NaN; NaN if one side is constant.
#[must_use]
pub fn pearson(x: &[f64], y: &[f64]) -> f64 {
    let pairs = || x.iter().zip(y).filter(|(x, y)| !x.is_nan() && !y.is_nan());
    let (mut n, mut sx, mut sy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs() {
        n += 1.0;
        sx += x;
        sy += y;
    }
    let (mx, my) = (sx / n, sy / n);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs() {
        let (dx, dy) = (x - mx, y - my);
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
    }
    if xx == 0.0 || yy == 0.0 { f64::NAN } else { (xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0) }
}

/// Spearman's correlation: Pearson's of the ranks, over pairs without NaN.
#[must_use]
pub fn spearman(x: &[f64], y: &[f64]) -> f64 {
    let (x, y): (Vec<f64>, Vec<f64>) =
        x.iter().zip(y).filter(|(x, y)| !x.is_nan() && !y.is_nan()).unzip();
    pearson(&ranks(&x), &ranks(&y))
}

/// Ranks from 1; equal values share the mean of their ranks.
#[must_use]
#[expect(clippy::float_cmp, reason = "only equal values are ties")]
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    for tie in order.chunk_by(|a, b| values[*a] == values[*b]) {
        // A chunk is a slice of `order`, so its offset is its place.
        let start = (tie.as_ptr() as usize - order.as_ptr() as usize) / size_of::<usize>();
        let rank = float(start) + float(tie.len() + 1) / 2.0;
        for index in tie {
            ranks[*index] = rank;
        }
    }
    ranks
}

/// Cramér's V of two columns of class numbers, without bias correction
/// (`scipy.stats.contingency.association(…, method="cramer")`); NaN if one side is constant.
#[must_use]
pub fn cramers_v(x: &[u32], y: &[u32]) -> f64 {
    let size = |codes: &[u32]| codes.iter().max().map_or(0, |most| *most as usize + 1);
    let (rows, columns) = (size(x), size(y));
    let mut table = vec![0.0; rows * columns];
    for (x, y) in x.iter().zip(y) {
        table[*x as usize * columns + *y as usize] += 1.0;
    }
    let row_sums: Vec<f64> = table.chunks(columns.max(1)).map(|row| row.iter().sum()).collect();
    let column_sums: Vec<f64> =
        (0..columns).map(|column| table.iter().skip(column).step_by(columns).sum()).collect();
    let total: f64 = row_sums.iter().sum();
    let mut chi2 = 0.0;
    for (row, row_sum) in row_sums.iter().enumerate() {
        for (column, column_sum) in column_sums.iter().enumerate() {
            let expected = row_sum * column_sum / total;
            if expected > 0.0 {
                chi2 += (table[row * columns + column] - expected).powi(2) / expected;
            }
        }
    }
    let used = |sums: &[f64]| sums.iter().filter(|sum| **sum > 0.0).count();
    let smaller = used(&row_sums).min(used(&column_sums));
    if smaller < 2 { f64::NAN } else { (chi2 / total / float(smaller - 1)).sqrt() }
}

/// The correlation ratio η: the share of a number's standard deviation that classes explain.
#[must_use]
pub fn correlation_ratio(classes: &[u32], values: &[f64]) -> f64 {
    let groups = classes.iter().max().map_or(0, |most| *most as usize + 1);
    let (mut sums, mut counts) = (vec![0.0; groups], vec![0.0; groups]);
    let pairs = || classes.iter().zip(values).filter(|(_, value)| !value.is_nan());
    for (class, value) in pairs() {
        sums[*class as usize] += value;
        counts[*class as usize] += 1.0;
    }
    let mean = sums.iter().sum::<f64>() / counts.iter().sum::<f64>();
    let total: f64 = pairs().map(|(_, value)| (value - mean).powi(2)).sum();
    let between: f64 = sums
        .iter()
        .zip(&counts)
        .filter(|(_, count)| **count > 0.0)
        .map(|(sum, count)| count * (sum / count - mean).powi(2))
        .sum();
    if total == 0.0 { f64::NAN } else { (between / total).sqrt() }
}

/// How well one feature alone predicts the target in test rows: 0 as well as knowing nothing, 1
/// perfectly. `None` where that makes no sense (a constant target, types that do not compare).
///
/// The feature is cut into at most 20 groups; the guess is the most frequent class or the mean of
/// the group in the training rows.
pub(crate) fn single_feature_score(
    feature: &Column,
    goal: &Column,
    feature_test: &Column,
    goal_test: &Column,
) -> Result<Option<f64>> {
    const DOING: &str = "comparing a feature with the target";
    let usable = |column: &Column| {
        let dtype = column.dtype();
        columns::is_number(dtype) || columns::is_class(dtype) || columns::is_time(dtype)
    };
    if ![feature, goal, feature_test, goal_test].into_iter().all(usable) {
        return Ok(None);
    }
    let (groups, groups_test, count) = grouped(feature, feature_test)?;
    let number = columns::is_number(goal.dtype()) && goal.n_unique()? > 20;
    if !number {
        let (codes, names) = columns::codes(goal, DOING)?;
        let place: PlHashMap<&Option<String>, usize> =
            names.iter().enumerate().map(|(index, name)| (name, index)).collect();
        let truth: Vec<Option<usize>> = columns::texts(goal_test, DOING)?
            .iter()
            .map(|value| place.get(&value.map(str::to_owned)).copied())
            .collect();
        let mut votes = vec![vec![0_u32; names.len()]; count + 1];
        for (group, code) in groups.iter().zip(&codes) {
            votes[*group][*code as usize] += 1;
            votes[count][*code as usize] += 1;
        }
        let best = |votes: &[u32]| {
            votes
                .iter()
                .enumerate()
                .rev()
                .max_by_key(|(_, votes)| **votes)
                .map_or(0, |(index, _)| index)
        };
        let guess: Vec<usize> = votes.iter().map(|votes| best(votes)).collect();
        let right = |by: &dyn Fn(usize) -> usize| {
            let hits =
                groups_test.iter().zip(&truth).filter(|(g, truth)| Some(guess[by(**g)]) == **truth);
            float(hits.count()) / float(truth.len().max(1))
        };
        let (own, base) = (right(&|group| group), right(&|_| count));
        return Ok((base < 1.0).then(|| (own - base) / (1.0 - base)));
    }
    let (y, truth) = (columns::dense(goal, DOING)?, columns::dense(goal_test, DOING)?);
    let (mut sums, mut counts) = (vec![0.0; count + 1], vec![0.0; count + 1]);
    for (group, y) in groups.iter().zip(&y).filter(|(_, y)| !y.is_nan()) {
        for group in [*group, count] {
            sums[group] += y;
            counts[group] += 1.0;
        }
    }
    let guess = |group: usize| {
        if counts[group] > 0.0 { sums[group] / counts[group] } else { sums[count] / counts[count] }
    };
    let known: Vec<f64> = truth.iter().copied().filter(|y| !y.is_nan()).collect();
    let mean = known.iter().sum::<f64>() / float(known.len().max(1));
    let total: f64 = known.iter().map(|y| (y - mean).powi(2)).sum();
    let rest: f64 = groups_test
        .iter()
        .zip(&truth)
        .filter(|(_, y)| !y.is_nan())
        .map(|(group, y)| (y - guess(*group)).powi(2))
        .sum();
    let explained = if total > 0.0 { 1.0 - rest / total } else { return Ok(None) };
    let monotone = if columns::is_class(feature.dtype()) || known.len() < 10 {
        0.0
    } else {
        spearman(&columns::dense(feature_test, DOING)?, &truth).powi(2)
    };
    Ok(Some(if monotone.is_nan() { explained } else { explained.max(monotone) }))
}

/// Groups of a feature in train and test rows, and how many; values unknown in training are the
/// group past the last.
fn grouped(train: &Column, test: &Column) -> Result<(Vec<usize>, Vec<usize>, usize)> {
    const DOING: &str = "grouping a feature";
    if !columns::is_class(train.dtype()) && train.n_unique()? > 20 {
        let values = columns::dense(train, DOING)?;
        let mut known: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        let cuts: Vec<f64> = (1..20).map(|cut| f64::from(cut) / 20.0).collect();
        let edges = quantiles(&mut known, &cuts);
        let group = |value: &f64| {
            if value.is_nan() { 20 } else { edges.partition_point(|edge| edge < value) }
        };
        let test = columns::dense(test, DOING)?;
        return Ok((values.iter().map(group).collect(), test.iter().map(group).collect(), 21));
    }
    let (codes, names) = columns::codes(train, DOING)?;
    let place: PlHashMap<&Option<String>, usize> =
        names.iter().enumerate().map(|(index, name)| (name, index)).collect();
    let test = columns::texts(test, DOING)?
        .iter()
        .map(|value| place.get(&value.map(str::to_owned)).copied().unwrap_or(names.len()))
        .collect();
    Ok((codes.into_iter().map(|code| code as usize).collect(), test, names.len()))
}
