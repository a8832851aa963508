//! The statistics that plots show: quantiles, densities, bins.

/// A count as a number.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) fn float(count: usize) -> f64 {
    count as f64
}

/// The whole part of a number that is not negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, checked by callers"
)]
pub(crate) fn floor(value: f64) -> usize {
    value.floor() as usize
}

/// A quantile of sorted values by linear interpolation.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place within the values"
)]
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = q * float(last);
    let low = place.floor() as usize;
    let high = (low + 1).min(last);
    sorted[low] + (sorted[high] - sorted[low]) * (place - float(low))
}

/// Lowest and highest of the values that are finite; `None` if there are none.
pub(crate) fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    finite.fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

/// The number of bins by Freedman and Diaconis' or Sturges' rule, whichever has more, at most 60.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 60")]
pub(crate) fn bin_count(values: &[f64]) -> usize {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = float(sorted.len());
    let sturges = n.max(1.0).log2().ceil() + 1.0;
    let width = 2.0 * (quantile(&sorted, 0.75) - quantile(&sorted, 0.25)) / n.cbrt();
    let range = sorted.last().zip(sorted.first()).map_or(0.0, |(high, low)| high - low);
    let freedman = if width > 0.0 { (range / width).ceil() } else { 1.0 };
    sturges.max(freedman).clamp(1.0, 60.0) as usize
}

/// Counts in `bins` bins of equal width from `low` to `high`.
pub(crate) fn histogram(values: &[f64], low: f64, high: f64, bins: usize) -> Vec<f64> {
    let mut counts = vec![0.0; bins];
    for value in values.iter().filter(|value| value.is_finite()) {
        counts[bin_of(*value, low, high, bins)] += 1.0;
    }
    counts
}

/// The bin of a value; the last bin includes its upper edge.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the bins")]
pub(crate) fn bin_of(value: f64, low: f64, high: f64, bins: usize) -> usize {
    let place = if high > low { (value - low) / (high - low) * float(bins) } else { 0.0 };
    (place.max(0.0) as usize).min(bins.saturating_sub(1))
}

/// A Gaussian kernel density with Scott's bandwidth (as `scipy.stats.gaussian_kde`) at the points.
/// Beyond 20,000 values they are gathered in 2,048 bins first.
pub(crate) fn density(values: &[f64], at: &[f64]) -> Vec<f64> {
    let n = float(values.len());
    let mean = values.iter().sum::<f64>() / n;
    let variance =
        values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    let bandwidth = if variance > 0.0 { variance.sqrt() * n.powf(-0.2) } else { 1.0 };
    let weighed: Vec<(f64, f64)> = if values.len() <= 20_000 {
        values.iter().map(|value| (*value, 1.0)).collect()
    } else {
        let (low, high) = extent(values.iter().copied()).unwrap_or((0.0, 1.0));
        let width = (high - low) / 2048.0;
        let counts = histogram(values, low, high, 2048).into_iter().enumerate();
        counts.map(|(bin, count)| (low + (float(bin) + 0.5) * width, count)).collect()
    };
    let scale = 1.0 / (n * bandwidth * std::f64::consts::TAU.sqrt());
    at.iter()
        .map(|x| {
            let kernel = |(value, weight): &(f64, f64)| {
                weight * (-0.5 * ((x - value) / bandwidth).powi(2)).exp()
            };
            scale * weighed.iter().map(kernel).sum::<f64>()
        })
        .collect()
}

/// `count` points from `low` to `high`.
pub(crate) fn grid(low: f64, high: f64, count: usize) -> Vec<f64> {
    let last = float(count.saturating_sub(1).max(1));
    (0..count).map(|index| low + (high - low) * float(index) / last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn density_agrees_with_scipy() {
        // scipy.stats.gaussian_kde([1, 2, 2.5, 4, 7])([0, 2, 5])
        let own = density(&[1.0, 2.0, 2.5, 4.0, 7.0], &[0.0, 2.0, 5.0]);
        for (own, scipy) in own.iter().zip(GOLDEN) {
            assert!((own - scipy).abs() < 1e-9, "{own} and not {scipy}");
        }
    }

    const GOLDEN: [f64; 3] = [0.08177224422831424, 0.15594529545733615, 0.09155585863475951];

    #[test]
    fn quantiles_and_bins() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(histogram(&[0.0, 0.5, 1.0, f64::NAN], 0.0, 1.0, 2), [1.0, 2.0]);
        assert_eq!(extent([f64::NAN, 2.0, -1.0]), Some((-1.0, 2.0)));
    }
}
