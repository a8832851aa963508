//! Colours that colour-blind people can tell apart.

/// The palette of Okabe and Ito (2008), with grey in the place of black, which a dark theme swallows.
pub const OKABE_ITO: [&str; 8] =
    ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#999999"];

/// Text and lines that read on white and on black.
pub(crate) const GREY: &str = "#808080";

/// From low to high, after viridis.
pub(crate) const SEQUENTIAL: [&str; 5] = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"];

/// From negative to positive.
pub(crate) const DIVERGING: [&str; 3] = ["#D55E00", "#F2F2F2", "#0072B2"];

/// The colour of a group; beyond eight they repeat.
#[must_use]
pub fn colour(group: usize) -> &'static str {
    OKABE_ITO[group % OKABE_ITO.len()]
}

/// Red, green and blue of `#rrggbb`.
pub(crate) fn rgb(hex: &str) -> (u8, u8, u8) {
    let part =
        |range| hex.get(range).and_then(|part| u8::from_str_radix(part, 16).ok()).unwrap_or(128);
    (part(1..3), part(3..5), part(5..7))
}

/// The colour at a place from 0 to 1 of a scale.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places and levels are clamped"
)]
pub(crate) fn between(scale: &[&str], place: f64) -> (u8, u8, u8) {
    let last = scale.len() - 1;
    let place =
        if place.is_nan() { 0.0 } else { place.clamp(0.0, 1.0) } * crate::smooth::float(last);
    let index = (place.floor() as usize).min(last.saturating_sub(1));
    let part = place - crate::smooth::float(index);
    let (from, to) = (rgb(scale[index]), rgb(scale[(index + 1).min(last)]));
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * part).round() as u8;
    (mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_run_from_end_to_end() {
        assert_eq!(between(&DIVERGING, 0.0), rgb("#D55E00"));
        assert_eq!(between(&DIVERGING, 0.5), rgb("#F2F2F2"));
        assert_eq!(between(&SEQUENTIAL, 1.0), rgb("#fde725"));
        assert_eq!(colour(8), colour(0));
    }
}
