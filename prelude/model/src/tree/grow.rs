//! Growing one tree: [`grow`].
//!
//! Classes and numbers share one split rule. A node has channels (weight per class, or weight times
//! value); the best split maximises `Σ L² / w(L) + Σ R² / w(R)` over the channels, which is the same as
//! minimising Gini impurity for classes and squared error for numbers.

use crate::error::{Result, check_interrupt};
use crate::rng::Rng;
use crate::target::Target;

use super::bins::{Bins, MISSING};

/// Nodes with at most this many rows sort their bins instead of filling a histogram.
const SORTED: usize = 48;

/// When to stop and where to look.
pub(super) struct Limits {
    pub(super) max_depth: usize,
    pub(super) min_split: usize,
    pub(super) min_leaf: usize,
    pub(super) features: usize,
    pub(super) random_cuts: bool,
}

/// The rows of one tree; those of weight 0 are left out.
pub(super) struct Rows<'a> {
    pub(super) bins: &'a Bins,
    pub(super) y: &'a Target,
    pub(super) weights: Vec<f64>,
}

/// A node; a leaf has `feature == u32::MAX` and its values at `left`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) threshold: f64,
    pub(super) feature: u32,
    pub(super) left: u32,
    pub(super) right: u32,
    pub(super) missing_left: bool,
}

/// A grown tree.
pub(super) struct Grown {
    pub(super) nodes: Vec<Node>,
    /// The leaves' class shares or means, leaf after leaf.
    pub(super) values: Vec<f64>,
    /// Per feature, how much its splits lowered the impurity.
    pub(super) importance: Vec<f64>,
}

struct Split {
    feature: usize,
    bin: u8,
    missing_left: bool,
    score: f64,
}

struct Pending {
    start: usize,
    end: usize,
    depth: usize,
    node: usize,
}

pub(super) fn grow(rows: &Rows<'_>, limits: &Limits, rng: Rng) -> Result<Grown> {
    let channels = match rows.y {
        Target::Classes(_, count) => *count,
        Target::Values(_) => 1,
    };
    let features = rows.bins.features();
    let samples: Vec<u32> = (0..u32::try_from(rows.weights.len()).unwrap_or(u32::MAX))
        .filter(|row| rows.weights[*row as usize] > 0.0)
        .collect();
    let mut grower = Grower {
        rows,
        limits,
        rng,
        channels,
        samples,
        features: (0..features).collect(),
        histogram: Vec::new(),
        sorted: Vec::new(),
        left: vec![0.0; channels + 2],
        out: Grown { nodes: Vec::new(), values: Vec::new(), importance: vec![0.0; features] },
    };
    grower.run()?;
    Ok(grower.out)
}

struct Grower<'a> {
    rows: &'a Rows<'a>,
    limits: &'a Limits,
    rng: Rng,
    channels: usize,
    /// Row numbers; every node owns a range.
    samples: Vec<u32>,
    features: Vec<usize>,
    /// Per bin: weight, rows, channels.
    histogram: Vec<f64>,
    sorted: Vec<(u8, u32)>,
    left: Vec<f64>,
    out: Grown,
}

impl Grower<'_> {
    fn run(&mut self) -> Result<()> {
        self.out.nodes.push(leaf());
        let mut pending = vec![Pending { start: 0, end: self.samples.len(), depth: 0, node: 0 }];
        let mut steps = 0_usize;
        while let Some(task) = pending.pop() {
            steps += 1;
            if steps.is_multiple_of(256) {
                check_interrupt()?;
            }
            let (totals, pure) = self.totals(&task);
            let stop = pure
                || task.depth >= self.limits.max_depth
                || task.end - task.start < self.limits.min_split;
            let split = if stop { None } else { self.best_split(&task, &totals) };
            let Some(split) = split else {
                self.make_leaf(task.node, &totals);
                continue;
            };
            let middle = self.partition(&task, &split);
            let gain = split.score - score(&totals[2..], totals[0]);
            self.out.importance[split.feature] += gain.max(0.0);
            let left = self.out.nodes.len();
            self.out.nodes.extend([leaf(), leaf()]);
            self.out.nodes[task.node] = Node {
                // Beyond the last cut lies nothing but missing values.
                threshold: *self
                    .rows
                    .bins
                    .cuts(split.feature)
                    .get(usize::from(split.bin))
                    .unwrap_or(&f64::INFINITY),
                feature: u32::try_from(split.feature).unwrap_or(u32::MAX - 1),
                left: number(left),
                right: number(left + 1),
                missing_left: split.missing_left,
            };
            let depth = task.depth + 1;
            pending.push(Pending { start: middle, end: task.end, depth, node: left + 1 });
            pending.push(Pending { start: task.start, end: middle, depth, node: left });
        }
        Ok(())
    }

    /// Weight, rows and channels of a node, and whether all its targets are equal.
    fn totals(&self, task: &Pending) -> (Vec<f64>, bool) {
        let mut totals = vec![0.0; self.channels + 2];
        let samples = &self.samples[task.start..task.end];
        for row in samples {
            self.add(&mut totals, *row);
        }
        let pure = match self.rows.y {
            Target::Classes(codes, _) => {
                samples.windows(2).all(|pair| codes[pair[0] as usize] == codes[pair[1] as usize])
            }
            #[expect(clippy::float_cmp, reason = "equal targets, not close ones")]
            Target::Values(values) => {
                samples.windows(2).all(|pair| values[pair[0] as usize] == values[pair[1] as usize])
            }
        };
        (totals, pure)
    }

    #[inline]
    fn add(&self, to: &mut [f64], row: u32) {
        let row = row as usize;
        let weight = self.rows.weights[row];
        to[0] += weight;
        to[1] += 1.0;
        match self.rows.y {
            Target::Classes(codes, _) => to[2 + codes[row] as usize] += weight,
            Target::Values(values) => to[2] += weight * values[row],
        }
    }

    fn make_leaf(&mut self, node: usize, totals: &[f64]) {
        let at = number(self.out.values.len() / self.channels);
        let weight = totals[0];
        self.out.values.extend(totals[2..].iter().map(|channel| channel / weight));
        self.out.nodes[node] = Node { left: at, ..leaf() };
    }

    fn best_split(&mut self, task: &Pending, totals: &[f64]) -> Option<Split> {
        let mut best: Option<Split> = None;
        let mut looked_at = 0;
        let count = self.features.len();
        for drawn in 0..count {
            if looked_at == self.limits.features {
                break;
            }
            // Features are drawn without replacement; constant ones do not count, as in scikit-learn.
            if self.limits.features < count {
                let other = drawn + self.rng.below(count - drawn);
                self.features.swap(drawn, other);
            }
            let feature = self.features[drawn];
            let Some(found) = self.look_at(task, feature, totals) else { continue };
            looked_at += 1;
            let Some(split) = found else { continue };
            if best.as_ref().is_none_or(|best| split.score > best.score) {
                best = Some(split);
            }
        }
        best
    }

    /// The best split on a feature: `None` if it is constant here, `Some(None)` if leaves would be too
    /// small.
    fn look_at(&mut self, task: &Pending, feature: usize, totals: &[f64]) -> Option<Option<Split>> {
        let rows = self.rows;
        let bins = rows.bins.column(feature);
        let (mut low, mut high, mut missing) = (MISSING, 0, 0_usize);
        for row in &self.samples[task.start..task.end] {
            let bin = bins[*row as usize];
            if bin == MISSING {
                missing += 1;
            } else {
                low = low.min(bin);
                high = high.max(bin);
            }
        }
        let present = task.end - task.start - missing;
        if present == 0 || (low == high && missing == 0) {
            return None;
        }
        let stride = self.channels + 2;
        let size = task.end - task.start;
        let sort = size <= SORTED && !self.limits.random_cuts;
        if sort {
            self.sorted.clear();
            let samples = &self.samples[task.start..task.end];
            self.sorted.extend(samples.iter().map(|row| (bins[*row as usize], *row)));
            self.sorted.sort_unstable();
        } else {
            let mut histogram = std::mem::take(&mut self.histogram);
            histogram.clear();
            histogram.resize(256 * stride, 0.0);
            for row in &self.samples[task.start..task.end] {
                let at = usize::from(bins[*row as usize]) * stride;
                self.add(&mut histogram[at..at + stride], *row);
            }
            self.histogram = histogram;
        }
        let only = self.limits.random_cuts.then(|| self.random_bin(feature, low, high));
        let mut best = self.scan(feature, totals, sort, (low, high), only, false);
        if missing > 0 {
            let other = self.scan(feature, totals, sort, (low, high), only, true);
            let better = match (&best, &other) {
                (Some(best), Some(other)) => other.score > best.score,
                (None, other) => other.is_some(),
                _ => false,
            };
            if better {
                best = other;
            }
        }
        Some(best)
    }

    /// A bin between the lowest and highest, cut at a uniformly random value between them.
    fn random_bin(&mut self, feature: usize, low: u8, high: u8) -> u8 {
        if low == high {
            return low;
        }
        let cuts = self.rows.bins.cuts(feature);
        let (first, last) = (cuts[usize::from(low)], cuts[usize::from(high) - 1]);
        let value = self.rng.between(first, last);
        let bin = cuts.partition_point(|cut| *cut < value);
        u8::try_from(bin).unwrap_or(high).clamp(low, high - 1)
    }

    /// Moves rows from right to left bin by bin and keeps the best place. With `missing_left`, missing
    /// rows start on the left; else they stay on the right.
    fn scan(
        &mut self,
        feature: usize,
        totals: &[f64],
        sort: bool,
        (low, high): (u8, u8),
        only: Option<u8>,
        missing_left: bool,
    ) -> Option<Split> {
        let mut left = std::mem::take(&mut self.left);
        left.fill(0.0);
        let stride = left.len();
        if missing_left {
            if sort {
                for (_, row) in self.sorted.iter().rev().take_while(|(bin, _)| *bin == MISSING) {
                    self.add(&mut left, *row);
                }
            } else {
                accumulate(&mut left, &self.histogram[usize::from(MISSING) * stride..]);
            }
        }
        let mut next = 0;
        let mut best: Option<Split> = None;
        for bin in low..=high {
            let before = left[1];
            if sort {
                while next < self.sorted.len() && self.sorted[next].0 == bin {
                    self.add(&mut left, self.sorted[next].1);
                    next += 1;
                }
            } else {
                accumulate(&mut left, &self.histogram[usize::from(bin) * stride..]);
            }
            // A cut after an empty bin is the cut before it.
            if left[1] <= before || only.is_some_and(|only| only != bin) {
                continue;
            }
            #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
            let min_leaf = self.limits.min_leaf as f64;
            if left[1] < min_leaf || totals[1] - left[1] < min_leaf {
                continue;
            }
            let value = split_score(&left, totals);
            if best.as_ref().is_none_or(|best| value > best.score) {
                best = Some(Split { feature, bin, missing_left, score: value });
            }
        }
        self.left = left;
        best
    }

    /// Reorders the node's rows, left ones first, each side in its old order.
    fn partition(&mut self, task: &Pending, split: &Split) -> usize {
        let bins = self.rows.bins.column(split.feature);
        let samples = &mut self.samples[task.start..task.end];
        let mut right = Vec::with_capacity(samples.len());
        let mut left = 0;
        for place in 0..samples.len() {
            let row = samples[place];
            let bin = bins[row as usize];
            let goes_left = if bin == MISSING { split.missing_left } else { bin <= split.bin };
            if goes_left {
                samples[left] = row;
                left += 1;
            } else {
                right.push(row);
            }
        }
        samples[left..].copy_from_slice(&right);
        task.start + left
    }
}

fn leaf() -> Node {
    Node { threshold: 0.0, feature: u32::MAX, left: 0, right: 0, missing_left: false }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[inline]
fn accumulate(to: &mut [f64], from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

#[inline]
fn score(channels: &[f64], weight: f64) -> f64 {
    channels.iter().map(|channel| channel * channel).sum::<f64>() / weight
}

#[inline]
fn split_score(left: &[f64], totals: &[f64]) -> f64 {
    let (mut squares_left, mut squares_right) = (0.0, 0.0);
    for (left, total) in left[2..].iter().zip(&totals[2..]) {
        let right = total - left;
        squares_left += left * left;
        squares_right += right * right;
    }
    squares_left / left[0] + squares_right / (totals[0] - left[0])
}
