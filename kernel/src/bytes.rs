//! Amounts of memory as people read them.

const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];

/// Bytes in decimal units, three figures at most: `30.1 kB`.
#[expect(clippy::cast_precision_loss, reason = "three figures are shown")]
pub(crate) fn bytes(count: u64) -> String {
    let (mut amount, mut unit) = (count as f64, 0);
    while amount >= 999.5 && unit < UNITS.len() - 1 {
        amount /= 1000.0;
        unit += 1;
    }
    let figures = usize::from(unit > 0 && amount < 99.95);
    format!("{amount:.figures$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn there_are_three_figures_at_most() {
        let shown =
            [0, 999, 1000, 30_080, 99_960, 999_600, 2_345_678, 50_000_000_000_000].map(bytes);
        assert_eq!(
            shown,
            ["0 B", "999 B", "1.0 kB", "30.1 kB", "100 kB", "1.0 MB", "2.3 MB", "50.0 TB"]
        );
    }
}
