//! The report as HTML: no scripts, no files beside it, pictures inside, readable on light and dark.
//!
//! Styles stand in the elements and histograms are `img` elements, because notebooks strip style sheets
//! and SVG of pages they do not trust.

use std::fmt::Write as _;

use super::show::{ALERTS, moment, percent};
use super::{Alert, ColumnProfile, Kind, Numbers, Profile, Target};
use crate::html::{count, escape, number};
use crate::stats::float;

/// Columns of a matrix shown.
const MATRIX: usize = 20;
/// Columns of the table shown.
const COLUMNS: usize = 500;
const BLUE: &str = "#0072B2";
const ORANGE: &str = "#D55E00";
const YELLOW: &str = "#E69F00";
const GREY: &str = "#808080";

/// The report, for a cell and for the body of a page.
pub(super) fn html(profile: &Profile) -> String {
    let mut html = String::from("<div style=\"font-size:13px\">");
    overview(&mut html, profile);
    alerts(&mut html, &profile.alerts);
    html.push_str(
        "<table style=\"border-collapse:collapse\"><thead><tr>\
         <th style=\"text-align:left\">column</th><th>missing</th><th>distinct</th>\
         <th style=\"text-align:left\">distribution</th><th>min</th><th>median</th><th>max</th>\
         <th>mean</th><th>std</th><th style=\"text-align:left\">most frequent</th></tr></thead><tbody>",
    );
    for column in profile.columns.iter().take(COLUMNS) {
        row(&mut html, column);
    }
    html.push_str("</tbody></table>");
    if profile.columns.len() > COLUMNS {
        let _ = write!(html, "<p>… and {} more columns</p>", profile.columns.len() - COLUMNS);
    }
    if let Some(target) = &profile.target {
        html.push_str(&relations(target));
    }
    let c = &profile.correlations;
    matrix(&mut html, "Pearson's correlation", &c.numbers, &c.pearson);
    matrix(&mut html, "Spearman's correlation", &c.numbers, &c.spearman);
    matrix(&mut html, "Cramér's V", &c.classes, &c.cramers_v);
    details(&mut html, profile);
    html.push_str("</div>");
    html
}

/// A whole page.
pub(super) fn page(profile: &Profile) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Profile</title><style>\
         :root{{color-scheme:light dark}}\
         body{{font:13px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1200px;padding:0 1em}}\
         h1{{font-size:22px}} table{{border-collapse:collapse}}\
         th,td{{padding:4px 10px;text-align:right;border-bottom:1px solid rgba(128,128,128,.25);vertical-align:middle}}\
         thead th{{color:{GREY};font-weight:600}} summary{{cursor:pointer;margin:.8em 0}}\
         </style></head><body><h1>Profile</h1>{}</body></html>\n",
        html(profile)
    )
}

/// The frame in a line of figures.
fn overview(html: &mut String, profile: &Profile) {
    let cells = profile.rows * profile.columns.len();
    let missing: usize = profile.columns.iter().map(|column| column.missing).sum();
    let of = |kind: Kind| profile.columns.iter().filter(|column| column.kind == kind).count();
    let kinds: Vec<String> = [
        (Kind::Number, "numbers"),
        (Kind::Class, "classes"),
        (Kind::Time, "times"),
        (Kind::Other, "other"),
    ]
    .into_iter()
    .filter(|(kind, _)| of(*kind) > 0)
    .map(|(kind, name)| format!("{} {name}", of(kind)))
    .collect();
    let figures = [
        ("rows", count(float(profile.rows))),
        ("columns", format!("{} ({})", profile.columns.len(), kinds.join(", "))),
        ("missing cells", percent(missing, cells)),
        ("duplicate rows", count(float(profile.duplicate_rows))),
        ("in memory", format!("{:.1} MB", float(profile.bytes) / 1e6)),
    ];
    html.push_str("<div style=\"margin-bottom:8px\">");
    for (name, figure) in figures {
        let _ = write!(
            html,
            "<span style=\"display:inline-block;margin-right:28px\">\
             <span style=\"color:{GREY}\">{name}</span><br>\
             <b style=\"font-size:16px\">{figure}</b></span>"
        );
    }
    html.push_str("</div>");
    if let Some(sampled) = profile.sampled {
        let _ = write!(
            html,
            "<p style=\"color:{GREY}\">Duplicates, most frequent values, Spearman's correlation and \
             Cramér's V come from {} random rows; distinct values are estimated. All else is exact.</p>",
            count(float(sampled))
        );
    }
}

fn alerts(html: &mut String, alerts: &[Alert]) {
    if alerts.is_empty() {
        return;
    }
    html.push_str("<p style=\"margin:8px 0\">");
    for alert in alerts.iter().take(ALERTS) {
        let colour = match alert.kind.as_str() {
            "leak suspect" | "infinite" | "constant" => ORANGE,
            "missing" | "duplicates" | "identifier" | "high cardinality" => YELLOW,
            _ => GREY,
        };
        let _ = write!(
            html,
            "<span style=\"color:{colour}\">▌</span><b>{}</b> {} \
             <span style=\"color:{GREY}\">{}</span><br>",
            escape(&alert.kind),
            escape(&alert.column),
            escape(&alert.message)
        );
    }
    if alerts.len() > ALERTS {
        let _ = write!(html, "… and {} more", alerts.len() - ALERTS);
    }
    html.push_str("</p>");
}

/// A column in a line of the table.
fn row(html: &mut String, column: &ColumnProfile) {
    let warn =
        if column.missing > 0 { format!(" style=\"color:{YELLOW}\"") } else { String::new() };
    let _ = write!(
        html,
        "<tr><td style=\"text-align:left\"><b>{}</b><br><span style=\"color:{GREY}\">{}</span></td>\
         <td{warn}>{}</td><td>{}</td><td style=\"text-align:left\">{}</td>",
        escape(&clip(&column.name)),
        escape(&clip(&column.dtype)),
        percent(column.missing, column.rows),
        if column.kind == Kind::Other { "–".to_owned() } else { count(float(column.distinct)) },
        picture(column),
    );
    match &column.numbers {
        Some(n) => {
            let quantiles = [n.quantiles[0], n.quantiles[3], n.quantiles[6], n.mean];
            for value in quantiles.map(|value| shown(column, value)) {
                let _ = write!(html, "<td>{value}</td>");
            }
            let std = if column.kind == Kind::Time { String::new() } else { number(n.std) };
            let _ = write!(html, "<td>{std}</td>");
        }
        None => html.push_str(&"<td></td>".repeat(5)),
    }
    let top: Vec<String> = column
        .top
        .iter()
        .take(3)
        .filter(|(_, times)| *times > 1)
        .map(|(value, times)| {
            let times = count(float(*times));
            format!("{} <span style=\"color:{GREY}\">({times})</span>", escape(&clip(value)))
        })
        .collect();
    let _ = write!(html, "<td style=\"text-align:left\">{}</td></tr>", top.join(", "));
}

fn shown(column: &ColumnProfile, value: f64) -> String {
    if column.kind == Kind::Time { moment(value, &column.dtype) } else { number(value) }
}

/// A histogram for numbers and times, bars of the most frequent values for classes.
fn picture(column: &ColumnProfile) -> String {
    const WIDTH: f64 = 120.0;
    const HEIGHT: f64 = 30.0;
    let mut marks = String::new();
    let mut bar = |x: f64, y: f64, width: f64, height: f64, opacity: f64| {
        let _ = write!(
            marks,
            "<rect x='{x:.1}' y='{y:.1}' width='{width:.1}' height='{height:.1}' fill='{BLUE}' \
             fill-opacity='{opacity}'/>"
        );
    };
    if let Some(Numbers { histogram, .. }) = &column.numbers {
        let most = histogram.iter().copied().max().unwrap_or(0).max(1);
        let width = WIDTH / float(histogram.len().max(1));
        for (place, bin) in histogram.iter().enumerate().filter(|(_, bin)| **bin > 0) {
            let share = float(usize::try_from(*bin).unwrap_or(0))
                / float(usize::try_from(most).unwrap_or(1));
            // A bin that is not empty is seen.
            let height = (share * HEIGHT).max(1.0);
            bar(float(place) * width, HEIGHT - height, width - 0.8, height, 0.9);
        }
    } else if let Some((_, most)) = column.top.first().filter(|_| column.distinct <= 50) {
        let height = HEIGHT / 5.0;
        for (place, (_, times)) in column.top.iter().take(5).enumerate() {
            let width = float(*times) / float((*most).max(1)) * WIDTH;
            bar(0.0, float(place) * height, width.max(1.0), height - 1.2, 0.6);
        }
    } else {
        return String::new();
    }
    let svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{HEIGHT}'>{marks}</svg>"
    );
    let encoded =
        svg.replace('%', "%25").replace('#', "%23").replace('<', "%3C").replace('>', "%3E");
    format!(
        "<img width=\"{WIDTH}\" height=\"{HEIGHT}\" alt=\"distribution of {}\" \
         src=\"data:image/svg+xml,{encoded}\">",
        escape(&clip(&column.name))
    )
}

/// All that is known of each column, folded away.
fn details(html: &mut String, profile: &Profile) {
    html.push_str("<details><summary>All figures of each column</summary><table><tbody>");
    for column in profile.columns.iter().take(COLUMNS) {
        let mut facts = vec![
            ("missing", count(float(column.missing))),
            ("distinct", count(float(column.distinct))),
        ];
        if let Some(n) = &column.numbers {
            let names = ["min", "5 %", "25 %", "50 %", "75 %", "95 %", "max"];
            facts.extend(names.into_iter().zip(n.quantiles.map(|q| shown(column, q))));
            if column.kind == Kind::Number {
                facts.extend([
                    ("skewness", number(n.skewness)),
                    ("kurtosis", number(n.kurtosis)),
                    ("zeros", count(float(n.zeros))),
                    ("negative", count(float(n.negative))),
                    ("infinite", count(float(n.infinite))),
                ]);
            }
        }
        if let Some(t) = &column.texts {
            facts.extend([
                ("characters", format!("{} to {}", t.shortest, t.longest)),
                ("blank", count(float(t.blank))),
                ("differ only in case", count(float(t.mixed_case))),
            ]);
        }
        let facts: Vec<String> = facts
            .into_iter()
            .map(|(name, value)| format!("<span style=\"color:{GREY}\">{name}</span> {value}"))
            .collect();
        let top: Vec<String> = column
            .top
            .iter()
            .map(|(value, times)| format!("{} ({})", escape(&clip(value)), count(float(*times))))
            .collect();
        let _ = write!(
            html,
            "<tr><td style=\"text-align:left\"><b>{}</b></td><td style=\"text-align:left\">{}</td>\
             <td style=\"text-align:left\">{}</td></tr>",
            escape(&clip(&column.name)),
            facts.join(" · "),
            top.join(", ")
        );
    }
    html.push_str("</tbody></table></details>");
}

/// How strongly each column goes with the target.
pub(super) fn relations(target: &Target) -> String {
    let mut html = format!(
        "<p style=\"margin:12px 0 4px\"><b>Relation with {}</b></p><table><thead><tr>\
         <th style=\"text-align:left\">column</th><th style=\"text-align:left\">measure</th>\
         <th>strength</th><th></th></tr></thead><tbody>",
        escape(&target.column)
    );
    for relation in target.relations.iter().take(MATRIX) {
        let colour = if relation.strength < 0.0 { ORANGE } else { BLUE };
        let _ = write!(
            html,
            "<tr><td style=\"text-align:left\">{}</td><td style=\"text-align:left\">{}</td><td>{:.3}</td>\
             <td style=\"text-align:left\"><span style=\"display:inline-block;height:10px;\
             width:{:.0}px;background-color:{colour}\"></span></td></tr>",
            escape(&clip(&relation.column)),
            escape(&relation.measure),
            relation.strength,
            relation.strength.abs() * 160.0,
        );
    }
    html.push_str("</tbody></table>");
    html
}

/// A matrix whose cells are shaded blue for positive and orange for negative values.
fn matrix(html: &mut String, title: &str, names: &[String], values: &[f64]) {
    if names.len() < 2 {
        return;
    }
    let shown = names.len().min(MATRIX);
    let more = if names.len() > MATRIX {
        format!(" (the first {MATRIX} of {} columns)", names.len())
    } else {
        String::new()
    };
    let _ = write!(html, "<details><summary>{title}{more}</summary><table><thead><tr><th></th>");
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
                value.abs() * 0.6
            );
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></details>");
}

fn clip(text: &str) -> String {
    if text.chars().count() > 40 {
        text.chars().take(39).chain(['…']).collect()
    } else {
        text.to_owned()
    }
}
