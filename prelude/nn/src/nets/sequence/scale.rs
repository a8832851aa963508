//! Values with mean 0 and deviation 1.

/// Takes each column's mean away and divides by its deviation; a row has a value for each.
pub(super) fn scale_rows(rows: &mut [f32], scale: &[(f32, f32)]) {
    for row in rows.chunks_exact_mut(scale.len().max(1)) {
        row.iter_mut().zip(scale).for_each(|(value, (mean, std))| *value = (*value - mean) / std);
    }
}

/// Mean and deviation; a deviation of nothing counts as 1.
#[expect(clippy::cast_possible_truncation, reason = "scales are f32")]
#[expect(clippy::cast_precision_loss, reason = "far below 2^52 values")]
pub(super) fn moments<'a>(values: impl Iterator<Item = &'a f32> + Clone) -> (f32, f32) {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().map(|v| f64::from(*v)).sum::<f64>() / count;
    let variance = values.map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
    (mean as f32, if variance > 1e-24 { variance.sqrt() as f32 } else { 1.0 })
}
