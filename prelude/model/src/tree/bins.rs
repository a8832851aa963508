//! Features cut into at most 255 bins: [`Bins`].

use rayon::prelude::*;

use crate::matrix::Matrix;

/// The bin of missing values.
pub(super) const MISSING: u8 = 255;

/// The most bins of present values.
const MOST: usize = 255;

/// Every value as the number of its bin.
pub(super) struct Bins {
    columns: Vec<Vec<u8>>,
    /// Per feature, the least and the greatest value in every bin.
    ends: Vec<Vec<(f64, f64)>>,
}

impl Bins {
    pub(super) fn new(x: &Matrix) -> Self {
        let found: Vec<_> = (0..x.cols())
            .into_par_iter()
            .map(|col| {
                let cuts = cuts_of(x.col(col));
                let bins: Vec<u8> = x.col(col).iter().map(|value| bin_of(&cuts, *value)).collect();
                let mut ends = vec![(f64::INFINITY, f64::NEG_INFINITY); cuts.len() + 1];
                for (bin, value) in bins.iter().zip(x.col(col)).filter(|(bin, _)| **bin != MISSING)
                {
                    let (low, high) = &mut ends[usize::from(*bin)];
                    *low = low.min(*value);
                    *high = high.max(*value);
                }
                (bins, ends)
            })
            .collect();
        let (columns, ends) = found.into_iter().unzip();
        Self { columns, ends }
    }

    /// The least and the greatest value in every bin; each bin holds some.
    pub(super) fn ends(&self, feature: usize) -> &[(f64, f64)] {
        &self.ends[feature]
    }

    pub(super) fn features(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn column(&self, feature: usize) -> &[u8] {
        &self.columns[feature]
    }

    /// A number between the values of two bins: the middle. Beyond the last bin lies nothing but
    /// missing values.
    pub(super) fn between(&self, feature: usize, left: u8, right: u8) -> f64 {
        let ends = self.ends(feature);
        match ends.get(usize::from(right)) {
            Some((least, _)) => middle(ends[usize::from(left)].1, *least),
            None => f64::INFINITY,
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "there are fewer than 255 cuts")]
fn bin_of(cuts: &[f64], value: f64) -> u8 {
    if value.is_nan() { MISSING } else { cuts.partition_point(|cut| *cut < value) as u8 }
}

/// The middle between neighbouring values; where there are too many values, at equal counts.
fn cuts_of(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut distinct = sorted.clone();
    distinct.dedup();
    if distinct.len() <= MOST {
        return distinct.windows(2).map(|pair| middle(pair[0], pair[1])).collect();
    }
    let mut cuts = Vec::with_capacity(MOST - 1);
    for part in 1..MOST {
        let place = part * sorted.len() / MOST;
        let low = sorted[place - 1];
        // The cut lies above all values equal to `low`.
        let next = distinct.partition_point(|value| *value <= low);
        if let Some(high) = distinct.get(next) {
            cuts.push(middle(low, *high));
        }
    }
    cuts.dedup();
    cuts
}

/// A number in `[low, high)`: the middle, unless rounding makes it `high`.
fn middle(low: f64, high: f64) -> f64 {
    let middle = f64::midpoint(low, high);
    if middle < high { middle } else { low }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_are_kept_apart_and_many_are_cut_evenly() {
        let bins = Bins::new(&Matrix::new(4, 1, vec![3.0, f64::NAN, 1.0, 3.0]));
        assert_eq!(bins.column(0), [1, MISSING, 0, 1]);
        assert_eq!(bins.ends(0), [(1.0, 1.0), (3.0, 3.0)]);
        assert_eq!((bins.between(0, 0, 1), bins.between(0, 1, MISSING)), (2.0, f64::INFINITY));
        let many: Vec<f64> = (0..10_000).map(f64::from).collect();
        let bins = Bins::new(&Matrix::new(10_000, 1, many));
        assert_eq!(bins.ends(0).len(), 255);
        let mut counts = [0; 255];
        bins.column(0).iter().for_each(|bin| counts[usize::from(*bin)] += 1);
        assert!(counts.iter().all(|count| (39..=40).contains(count)), "{counts:?}");
    }
}
