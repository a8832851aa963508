//! The report as text; [`report`](super::report) has it as HTML.

use std::fmt::Write as _;

use oxilab_display::{MimeBundle, Render};

use super::{ColumnProfile, Kind, Profile, Target, report};
use crate::html::{count, number, sparkline};
use crate::stats::float;

/// Alerts shown.
pub(super) const ALERTS: usize = 40;

impl Render for Profile {
    fn render(&self) -> MimeBundle {
        MimeBundle::text(self.to_string()).with_html(report::html(self))
    }
}

impl Render for Target {
    fn render(&self) -> MimeBundle {
        let lines =
            self.relations.iter().map(|r| format!("{}: {} {:.3}", r.column, r.measure, r.strength));
        let plain =
            format!("relation with {}\n{}", self.column, lines.collect::<Vec<_>>().join("\n"));
        MimeBundle::text(plain).with_html(report::relations(self))
    }
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", headline(self))?;
        let width = self.columns.iter().map(|c| c.name.chars().count()).max().unwrap_or(0).min(30);
        for column in &self.columns {
            writeln!(
                f,
                "{:width$}  {:12}  missing {:>6}  distinct {:>8}  {}",
                column.name,
                column.dtype,
                percent(column.missing, column.rows),
                count(float(column.distinct)),
                gist(column),
            )?;
        }
        for alert in self.alerts.iter().take(ALERTS) {
            writeln!(f, "! {}: {} {}", alert.kind, alert.column, alert.message)?;
        }
        Ok(())
    }
}

fn headline(profile: &Profile) -> String {
    let mut line = format!(
        "{} rows × {} columns, {:.1} MB, {} duplicate rows",
        count(float(profile.rows)),
        profile.columns.len(),
        float(profile.bytes) / 1e6,
        count(float(profile.duplicate_rows)),
    );
    if let Some(sampled) = profile.sampled {
        let _ = write!(
            line,
            " (duplicates, top values, Spearman and Cramér's V from {} random rows; distinct estimated)",
            count(float(sampled))
        );
    }
    line
}

pub(super) fn percent(part: usize, whole: usize) -> String {
    if part == 0 {
        "0".to_owned()
    } else {
        format!("{:.1} %", 100.0 * float(part) / float(whole.max(1)))
    }
}

/// A column in a few words.
fn gist(column: &ColumnProfile) -> String {
    match (&column.numbers, column.kind) {
        (Some(n), Kind::Number) => format!(
            "{} … {} … {}, mean {}, std {}  {}",
            number(n.quantiles[0]),
            number(n.quantiles[3]),
            number(n.quantiles[6]),
            number(n.mean),
            number(n.std),
            sparkline(&n.histogram),
        ),
        (Some(n), Kind::Time) => format!(
            "{} … {}  {}",
            moment(n.quantiles[0], &column.dtype),
            moment(n.quantiles[6], &column.dtype),
            sparkline(&n.histogram)
        ),
        _ => {
            let top = column.top.iter().take(3);
            top.map(|(value, times)| format!("{value} ({times})")).collect::<Vec<_>>().join(", ")
        }
    }
}

/// A physical time as text.
pub(super) fn moment(value: f64, dtype: &str) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "times come from integers")]
    let whole = value as i64;
    let time = match dtype {
        "date" => chrono::DateTime::from_timestamp(whole.saturating_mul(86_400), 0),
        _ if dtype.starts_with("datetime[ms") => chrono::DateTime::from_timestamp_millis(whole),
        _ if dtype.starts_with("datetime[μs") || dtype.starts_with("datetime[us") => {
            chrono::DateTime::from_timestamp_micros(whole)
        }
        _ if dtype.starts_with("datetime[ns") => {
            Some(chrono::DateTime::from_timestamp_nanos(whole))
        }
        _ => None,
    };
    let format = if dtype == "date" { "%Y-%m-%d" } else { "%Y-%m-%d %H:%M:%S" };
    time.map_or_else(|| number(value), |time| time.format(format).to_string())
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use oxilab_display::Render as _;

    #[test]
    fn a_report_names_what_deserves_a_look() {
        let n = 200_i64;
        let id: Vec<String> = (0..n).map(|i| format!("row {i}")).collect();
        let x: Vec<Option<f64>> =
            (0..n).map(|i| (i % 10 != 0).then(|| (i * 7919 % 101) as f64)).collect();
        let df = df!(
            "id" => id,
            "x" => &x,
            "twice" => x.iter().map(|v| v.map(|v| 2.0 * v + 1.0)).collect::<Vec<_>>(),
            "flat" => vec![1; 200],
            "word" => (0..n).map(|i| ["a", "b", "A "][(i % 3) as usize]).collect::<Vec<_>>(),
            "odd" => (0..n).map(|i| if i == 5 { f64::INFINITY } else if i == 6 { f64::NAN } else { (i * i) as f64 }).collect::<Vec<_>>(),
            "y" => x.iter().map(|v| v.map(|v| -v)).collect::<Vec<_>>(),
        ).unwrap();
        let found = Profiler::new().with_target("y").run(&df).unwrap();
        let has = |kind: &str, column: &str| {
            found.alerts.iter().any(|a| a.kind == kind && a.column == column)
        };
        assert!(
            has("constant", "flat") && has("identifier", "id") && has("missing", "x"),
            "{found}"
        );
        assert!(
            has("leak suspect", "twice") && has("infinite", "odd") && has("mixed case", "word"),
            "{found}"
        );
        assert!(has("correlated", "x"), "{found}");
        assert_eq!(
            (found.column("x").unwrap().missing, found.column("odd").unwrap().missing),
            (20, 1)
        );
        assert!((found.correlations.pearson_of("x", "twice").unwrap() - 1.0).abs() < 1e-12);
        let bundle = found.render();
        let html = bundle.data["text/html"].as_str().unwrap();
        assert!(html.contains("leak suspect") && !html.contains("<script"), "{html}");
        assert!(bundle.plain().starts_with("200 rows × 7 columns"), "{}", bundle.plain());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        found.save_html(&path).unwrap();
        let page = std::fs::read_to_string(path).unwrap();
        assert!(page.ends_with("</html>\n"));
        // One file by itself: histograms are inside, nothing is fetched or run.
        assert!(page.contains("<img") && page.contains("src=\"data:image/svg+xml,"), "{page}");
        for outside in ["src=\"http", "href", "url(", "<script", "<link"] {
            assert!(!page.contains(outside), "{outside} in {page}");
        }
    }

    #[test]
    fn estimates_of_a_large_frame_are_marked_and_close() {
        let n = 300_000_i32;
        let df = df!(
            "i" => (0..n).map(|i| f64::from(i * 31 % 1000)).collect::<Vec<_>>(),
            "u" => (0..n).map(f64::from).collect::<Vec<_>>(),
            "v" => (0..n).map(|i| i + 7).collect::<Vec<_>>(),
            "w" => (0..n).map(|i| format!("{i}")).collect::<Vec<_>>(),
            "z" => (0..n).map(|i| i64::from(i) * 3).collect::<Vec<_>>(),
            "g" => (0..n).map(|i| ["x", "y"][(i % 2) as usize]).collect::<Vec<_>>(),
        )
        .unwrap();
        let found = profile(&df).unwrap();
        assert!(found.sampled.is_some());
        let i = found.column("i").unwrap();
        assert!((i.distinct as f64 - 1000.0).abs() < 50.0, "{}", i.distinct);
        assert_eq!(i.numbers.as_ref().unwrap().quantiles[0], 0.0);
        assert_eq!(i.numbers.as_ref().unwrap().histogram.iter().sum::<u64>(), 300_000);
        // Estimates of all different values err to both sides.
        assert!(found.columns.iter().all(|column| column.distinct <= column.rows));
        assert!(found.to_string().contains("random rows"));
    }

    #[test]
    fn empty_frames_have_a_profile() {
        assert_eq!(profile(&DataFrame::empty()).unwrap().rows, 0);
        let df = df!("x" => Vec::<f64>::new()).unwrap();
        assert_eq!(profile(&df).unwrap().columns[0].missing, 0);
    }
}
