//! The report: a table in text, a page without scripts in HTML.

use std::fmt::Write as _;

use oxilab_display::{MimeBundle, Render};

use super::{ColumnProfile, Kind, Profile, Target};
use crate::html::{count, escape, number, sparkline};
use crate::stats::float;

/// Alerts shown.
const ALERTS: usize = 40;
/// Columns of a matrix shown.
const MATRIX: usize = 20;

impl Render for Profile {
    fn render(&self) -> MimeBundle {
        MimeBundle::text(self.to_string()).with_html(html(self))
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

fn percent(part: usize, whole: usize) -> String {
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
fn moment(value: f64, dtype: &str) -> String {
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

pub(super) fn html(profile: &Profile) -> String {
    let mut html = format!("<div><p><b>{}</b></p>", escape(&headline(profile)));
    if !profile.alerts.is_empty() {
        html.push_str("<ul>");
        for alert in profile.alerts.iter().take(ALERTS) {
            let _ = write!(
                html,
                "<li>⚠ <b>{}</b> {} {}</li>",
                escape(&alert.kind),
                escape(&alert.column),
                escape(&alert.message)
            );
        }
        if profile.alerts.len() > ALERTS {
            let _ = write!(html, "<li>… and {} more</li>", profile.alerts.len() - ALERTS);
        }
        html.push_str("</ul>");
    }
    html.push_str(
        "<table><thead><tr><th>column</th><th>type</th><th>missing</th><th>distinct</th><th>min</th>\
         <th>5 %</th><th>25 %</th><th>median</th><th>75 %</th><th>95 %</th><th>max</th><th>mean</th>\
         <th>std</th><th>distribution</th><th>top values</th></tr></thead><tbody>",
    );
    for column in &profile.columns {
        let _ = write!(
            html,
            "<tr><td><b>{}</b></td><td>{}</td><td>{}</td><td>{}</td>",
            escape(&column.name),
            escape(&column.dtype),
            percent(column.missing, column.rows),
            count(float(column.distinct))
        );
        match &column.numbers {
            Some(n) => {
                let show = |value: f64| {
                    if column.kind == Kind::Time {
                        moment(value, &column.dtype)
                    } else {
                        number(value)
                    }
                };
                for value in n.quantiles.iter().chain([&n.mean]) {
                    let _ = write!(html, "<td>{}</td>", show(*value));
                }
                let std = if column.kind == Kind::Time { String::new() } else { number(n.std) };
                let _ = write!(html, "<td>{std}</td><td>{}</td>", sparkline(&n.histogram));
            }
            None => html.push_str(&"<td></td>".repeat(10)),
        }
        let top: Vec<String> = column
            .top
            .iter()
            .map(|(value, times)| format!("{} ({times})", escape(&clip(value))))
            .collect();
        let _ = write!(html, "<td>{}</td></tr>", top.join(", "));
    }
    html.push_str("</tbody></table>");
    if let Some(target) = &profile.target {
        html.push_str(&relations(target));
    }
    let c = &profile.correlations;
    matrix(&mut html, "Pearson's correlation", &c.numbers, &c.pearson);
    matrix(&mut html, "Spearman's correlation", &c.numbers, &c.spearman);
    matrix(&mut html, "Cramér's V", &c.classes, &c.cramers_v);
    html.push_str("</div>");
    html
}

fn relations(target: &Target) -> String {
    let mut html = format!(
        "<p><b>Relation with {}</b></p><table><thead><tr><th>column</th><th>measure</th>\
         <th>strength</th></tr></thead><tbody>",
        escape(&target.column)
    );
    for relation in target.relations.iter().take(MATRIX) {
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{:.3}</td></tr>",
            escape(&relation.column),
            escape(&relation.measure),
            relation.strength
        );
    }
    html.push_str("</tbody></table>");
    html
}

impl Render for Target {
    fn render(&self) -> MimeBundle {
        let lines =
            self.relations.iter().map(|r| format!("{}: {} {:.3}", r.column, r.measure, r.strength));
        let plain =
            format!("relation with {}\n{}", self.column, lines.collect::<Vec<_>>().join("\n"));
        MimeBundle::text(plain).with_html(relations(self))
    }
}

fn clip(text: &str) -> String {
    if text.chars().count() > 40 {
        text.chars().take(39).chain(['…']).collect()
    } else {
        text.to_owned()
    }
}

/// A matrix whose cells are shaded blue for positive and orange for negative values.
fn matrix(html: &mut String, title: &str, names: &[String], values: &[f64]) {
    if names.len() < 2 {
        return;
    }
    let shown = names.len().min(MATRIX);
    let _ = write!(html, "<details><summary>{title}</summary><table><thead><tr><th></th>");
    for name in &names[..shown] {
        let _ = write!(html, "<th>{}</th>", escape(&clip(name)));
    }
    html.push_str("</tr></thead><tbody>");
    for (row, name) in names[..shown].iter().enumerate() {
        let _ = write!(html, "<tr><th>{}</th>", escape(&clip(name)));
        for column in 0..shown {
            let value = values[row * names.len() + column];
            if value.is_nan() {
                html.push_str("<td>–</td>");
                continue;
            }
            let colour = if value < 0.0 { "213,94,0" } else { "0,114,178" };
            let _ = write!(
                html,
                "<td style=\"background:rgba({colour},{:.2})\">{value:.2}</td>",
                value.abs() * 0.7
            );
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></details>");
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
        assert!(std::fs::read_to_string(path).unwrap().ends_with("</html>\n"));
    }

    #[test]
    fn estimates_of_a_large_frame_are_marked_and_close() {
        let n = 300_000_i32;
        let df = df!(
            "i" => (0..n).map(|i| f64::from(i * 31 % 1000)).collect::<Vec<_>>(),
            "g" => (0..n).map(|i| ["x", "y"][(i % 2) as usize]).collect::<Vec<_>>(),
        )
        .unwrap();
        let found = profile(&df).unwrap();
        assert!(found.sampled.is_some());
        let i = found.column("i").unwrap();
        assert!((i.distinct as f64 - 1000.0).abs() < 50.0, "{}", i.distinct);
        assert_eq!(i.numbers.as_ref().unwrap().quantiles[0], 0.0);
        assert_eq!(i.numbers.as_ref().unwrap().histogram.iter().sum::<u64>(), 300_000);
        assert!(found.to_string().contains("random rows"));
    }

    #[test]
    fn empty_frames_have_a_profile() {
        assert_eq!(profile(&DataFrame::empty()).unwrap().rows, 0);
        let df = df!("x" => Vec::<f64>::new()).unwrap();
        assert_eq!(profile(&df).unwrap().columns[0].missing, 0);
    }
}
