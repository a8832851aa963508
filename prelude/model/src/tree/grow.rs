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
    /// The last bin on the left.
    bin: u8,
    /// The first bin of the node's rows on the right; `MISSING` if these have no value.
    next: u8,
    missing_left: bool,
    score: f64,
}

/// What a feature has to offer in a node.
enum Seen {
    /// All rows have the same value.
    Constant,
    /// Leaves would be too small.
    NoSplit,
    Split(Split),
}

impl Seen {
    fn of(best: Option<Split>) -> Self {
        best.map_or(Self::NoSplit, Self::Split)
    }
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
    let samples: Vec<Sample> = (0_u32..)
        .zip(&rows.weights)
        .filter(|(_, weight)| **weight > 0.0)
        .map(|(row, weight)| match rows.y {
            Target::Classes(codes, _) => {
                Sample { row, channel: codes[row as usize], weight: *weight, value: 1.0 }
            }
            Target::Values(values) => {
                Sample { row, channel: 0, weight: *weight, value: values[row as usize] }
            }
        })
        .collect();
    let mut grower = Grower {
        rows,
        limits,
        rng,
        channels,
        samples,
        bins: Vec::new(),
        right: Vec::new(),
        features: (0..features).collect(),
        histogram: Vec::new(),
        sorted: Vec::new(),
        left: vec![0.0; channels + 2],
        missing: vec![0.0; channels + 2],
        out: Grown { nodes: Vec::new(), values: Vec::new(), importance: vec![0.0; features] },
    };
    grower.run()?;
    Ok(grower.out)
}

/// A row as it stands in a node: what is added up lies together.
#[derive(Clone, Copy)]
struct Sample {
    row: u32,
    /// The class; 0 for numbers.
    channel: u32,
    weight: f64,
    /// 1 for classes.
    value: f64,
}

struct Grower<'a> {
    rows: &'a Rows<'a>,
    limits: &'a Limits,
    rng: Rng,
    channels: usize,
    /// Every node owns a range.
    samples: Vec<Sample>,
    /// The bins of a node's samples.
    bins: Vec<u8>,
    /// Samples on their way to the right.
    right: Vec<Sample>,
    features: Vec<usize>,
    /// Per bin: weight, rows, channels.
    histogram: Vec<f64>,
    /// Bins and places of samples.
    sorted: Vec<(u8, usize)>,
    left: Vec<f64>,
    missing: Vec<f64>,
    out: Grown,
}

impl Grower<'_> {
    fn run(&mut self) -> Result<()> {
        self.out.nodes.push(leaf());
        let mut pending = vec![Pending { start: 0, end: self.samples.len(), depth: 0, node: 0 }];
        let mut steps = 0_usize;
        let mut totals = vec![0.0; self.channels + 2];
        while let Some(task) = pending.pop() {
            steps += 1;
            if steps.is_multiple_of(256) {
                check_interrupt()?;
            }
            let pure = self.totals(&task, &mut totals);
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
                threshold: self.rows.bins.between(split.feature, split.bin, split.next),
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
    #[expect(clippy::float_cmp, reason = "equal targets, not close ones")]
    fn totals(&self, task: &Pending, totals: &mut [f64]) -> bool {
        totals.fill(0.0);
        let samples = &self.samples[task.start..task.end];
        let mut pure = true;
        for sample in samples {
            add(totals, sample);
            pure &= sample.channel == samples[0].channel && sample.value == samples[0].value;
        }
        pure
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
            let split = match self.look_at(task, feature, totals) {
                Seen::Constant => continue,
                Seen::NoSplit => None,
                Seen::Split(split) => Some(split),
            };
            looked_at += 1;
            let Some(split) = split else { continue };
            if best.as_ref().is_none_or(|best| split.score > best.score) {
                best = Some(split);
            }
        }
        best
    }

    /// The best split on a feature.
    fn look_at(&mut self, task: &Pending, feature: usize, totals: &[f64]) -> Seen {
        let column = self.rows.bins.column(feature);
        let samples = &self.samples[task.start..task.end];
        let (mut low, mut high, mut missing) = (MISSING, 0, 0_usize);
        self.bins.clear();
        for sample in samples {
            let bin = column[sample.row as usize];
            self.bins.push(bin);
            let absent = bin == MISSING;
            missing += usize::from(absent);
            low = low.min(bin);
            high = high.max(if absent { 0 } else { bin });
        }
        let present = samples.len() - missing;
        if present == 0 || (low == high && missing == 0) {
            return Seen::Constant;
        }
        if self.limits.random_cuts {
            return Seen::of(self.cut_at_random(task, feature, totals, (low, high)));
        }
        let stride = self.channels + 2;
        let sort = samples.len() <= SORTED;
        if sort {
            self.sorted.clear();
            self.sorted.extend(self.bins.iter().copied().zip(task.start..));
            self.sorted.sort_unstable();
        } else {
            let mut histogram = std::mem::take(&mut self.histogram);
            histogram.resize(256 * stride, 0.0);
            // Only these bins are read.
            histogram[usize::from(low) * stride..(usize::from(high) + 1) * stride].fill(0.0);
            histogram[usize::from(MISSING) * stride..].fill(0.0);
            for (sample, bin) in samples.iter().zip(&self.bins) {
                let at = usize::from(*bin) * stride;
                add(&mut histogram[at..at + stride], sample);
            }
            self.histogram = histogram;
        }
        let mut best = self.scan(feature, totals, sort, (low, high), false);
        if missing > 0 {
            let other = self.scan(feature, totals, sort, (low, high), true);
            let better = match (&best, &other) {
                (Some(best), Some(other)) => other.score > best.score,
                (None, other) => other.is_some(),
                _ => false,
            };
            if better {
                best = other;
            }
        }
        Seen::of(best)
    }

    /// One random cut of a feature, with missing rows on either side: no histogram is needed.
    fn cut_at_random(
        &mut self,
        task: &Pending,
        feature: usize,
        totals: &[f64],
        (low, high): (u8, u8),
    ) -> Option<Split> {
        let bin = self.random_bin(feature, low, high);
        let mut left = std::mem::take(&mut self.left);
        let mut missing = std::mem::take(&mut self.missing);
        left.fill(0.0);
        missing.fill(0.0);
        for (sample, own) in self.samples[task.start..task.end].iter().zip(&self.bins) {
            if *own <= bin {
                add(&mut left, sample);
            } else if *own == MISSING {
                add(&mut missing, sample);
            }
        }
        let mut best: Option<Split> = None;
        for missing_left in [false, true] {
            if missing_left {
                if missing[1] <= 0.0 {
                    break;
                }
                accumulate(&mut left, &missing);
            }
            let one_side = left[1] <= 0.0 || left[1] >= totals[1];
            if one_side || self.too_small(&left, totals) {
                continue;
            }
            let value = split_score(&left, totals);
            if best.as_ref().is_none_or(|best| value > best.score) {
                best = Some(Split { feature, bin, next: bin + 1, missing_left, score: value });
            }
        }
        (self.left, self.missing) = (left, missing);
        best
    }

    fn too_small(&self, left: &[f64], totals: &[f64]) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
        let min_leaf = self.limits.min_leaf as f64;
        left[1] < min_leaf || totals[1] - left[1] < min_leaf
    }

    /// A bin between the lowest and highest, cut at a uniformly random value between them.
    fn random_bin(&mut self, feature: usize, low: u8, high: u8) -> u8 {
        if low == high {
            return low;
        }
        let ends = self.rows.bins.ends(feature);
        let value = self.rng.between(ends[usize::from(low)].0, ends[usize::from(high)].1);
        // The last bin that begins at or below the value: cuts lie between values, not on them.
        let above = ends.partition_point(|(least, _)| *least <= value);
        u8::try_from(above.saturating_sub(1)).unwrap_or(high).clamp(low, high - 1)
    }

    /// Moves rows from right to left bin by bin and keeps the best place. With `missing_left`, missing
    /// rows start on the left; else they stay on the right.
    fn scan(
        &mut self,
        feature: usize,
        totals: &[f64],
        sort: bool,
        (low, high): (u8, u8),
        missing_left: bool,
    ) -> Option<Split> {
        let mut left = std::mem::take(&mut self.left);
        left.fill(0.0);
        let stride = left.len();
        if missing_left {
            if sort {
                for (_, at) in self.sorted.iter().rev().take_while(|(bin, _)| *bin == MISSING) {
                    add(&mut left, &self.samples[*at]);
                }
            } else {
                accumulate(&mut left, &self.histogram[usize::from(MISSING) * stride..]);
            }
        }
        let mut next = 0;
        let mut best: Option<Split> = None;
        // Whether the bin behind the best cut is still to come.
        let mut open = false;
        for bin in low..=high {
            let before = left[1];
            if sort {
                while next < self.sorted.len() && self.sorted[next].0 == bin {
                    add(&mut left, &self.samples[self.sorted[next].1]);
                    next += 1;
                }
            } else {
                accumulate(&mut left, &self.histogram[usize::from(bin) * stride..]);
            }
            // A cut after an empty bin is the cut before it.
            if left[1] <= before {
                continue;
            }
            if let Some(best) = best.as_mut().filter(|_| open) {
                best.next = bin;
                open = false;
            }
            if self.too_small(&left, totals) {
                continue;
            }
            let value = split_score(&left, totals);
            if best.as_ref().is_none_or(|best| value > best.score) {
                best = Some(Split { feature, bin, next: MISSING, missing_left, score: value });
                open = true;
            }
        }
        self.left = left;
        best
    }

    /// Reorders the node's rows, left ones first, each side in its old order.
    fn partition(&mut self, task: &Pending, split: &Split) -> usize {
        let column = self.rows.bins.column(split.feature);
        let samples = &mut self.samples[task.start..task.end];
        self.right.clear();
        let mut left = 0;
        for place in 0..samples.len() {
            let sample = samples[place];
            let bin = column[sample.row as usize];
            let goes_left = if bin == MISSING { split.missing_left } else { bin <= split.bin };
            if goes_left {
                samples[left] = sample;
                left += 1;
            } else {
                self.right.push(sample);
            }
        }
        samples[left..].copy_from_slice(&self.right);
        task.start + left
    }
}

#[inline]
fn add(to: &mut [f64], sample: &Sample) {
    to[0] += sample.weight;
    to[1] += 1.0;
    to[2 + sample.channel as usize] += sample.weight * sample.value;
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
