//! Small pieces of script-free HTML and text shared by reports.

/// Text that is safe inside HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A number in at most six significant digits.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if !(1e-4..1e9).contains(&size) {
        format!("{value:.3e}")
    } else if value.fract() == 0.0 {
        count(value)
    } else {
        let digits = (5 - exponent(size)).clamp(0, 9);
        let text = format!("{value:.*}", usize::try_from(digits).unwrap_or(0));
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a decimal exponent between -4 and 9")]
fn exponent(size: f64) -> i32 {
    size.log10().floor() as i32
}

/// A whole number with commas at thousands.
pub(crate) fn count(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

/// Counts as a line of blocks.
pub(crate) fn sparkline(counts: &[u64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    counts
        .iter()
        .map(|count| {
            let level = if *count == 0 { 0 } else { (count * 7).div_ceil(most) };
            BLOCKS[usize::try_from(level).unwrap_or(7).min(7)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.1 + 0.2, "0.3"),
            (1_234_567.0, "1,234,567"),
            (-1.5, "-1.5"),
            (1e12, "1.000e12"),
            (123.456_789, "123.457"),
            (0.0, "0"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(sparkline(&[0, 1, 8, 4]), "▁▂█▅");
    }
}
