//! The monitor as HTML, for a cell and for the page `/monitor`: [`html`].

use std::fmt::Write;

use oxilab_display::table::escape;

use crate::drift::ColumnDrift;
use crate::monitor::{ModelStatus, Monitor};

const WIDTH: u32 = 240;
const HEIGHT: u32 = 44;

/// Tiles, two small charts and the drift of every column, model by model.
pub(crate) fn html(monitor: &Monitor) -> String {
    let mut out = format!(
        "<div style=\"font-family:sans-serif;max-width:60em\"><div style=\"font-size:115%\">\
         <b>{}</b> <span style=\"opacity:.6\">up for {}</span></div>",
        escape(&monitor.name),
        duration(monitor.uptime)
    );
    for status in &monitor.models {
        model(&mut out, status);
    }
    out.push_str("</div>");
    out
}

// Writing to a string cannot fail, so its results are dropped below.

fn model(out: &mut String, status: &ModelStatus) {
    let _ = write!(
        out,
        "<div style=\"border:1px solid #8884;border-radius:6px;padding:10px 14px;margin:10px 0\">\
         <div><b>{}</b> <span style=\"opacity:.6\">version {}</span></div>\
         <div style=\"display:flex;flex-wrap:wrap;gap:8px 26px;margin:8px 0\">",
        escape(&status.model),
        escape(&status.version)
    );
    let ms = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2} ms"));
    tile(out, "requests", &status.requests.to_string(), false);
    tile(out, "errors", &status.errors.to_string(), status.errors > 0);
    let rows = if status.language.is_some() { "texts" } else { "rows" };
    tile(out, rows, &status.rows.to_string(), false);
    if let Some(made) = status.language.filter(|made| made.tokens > 0) {
        tile(out, "tokens", &made.tokens.to_string(), false);
        let speed =
            made.tokens_per_second().map_or("–".to_owned(), |speed| format!("{speed:.1}"));
        tile(out, "tokens/s", &speed, false);
    }
    tile(out, "p50", &ms(status.p50_ms), false);
    tile(out, "p99", &ms(status.p99_ms), false);
    tile(out, "swaps", &status.swaps.to_string(), false);
    if status.reload_failures > 0 {
        tile(out, "failed reloads", &status.reload_failures.to_string(), true);
    }
    if let Some(why) = &status.behind {
        tile(out, "not the newest version", why, true);
    }
    if let Some(seen) = &status.performance {
        let worse = status.usual.as_ref().is_some_and(|usual| seen.worse_than(usual.value));
        let usual =
            status.usual.as_ref().map_or(String::new(), |u| format!(" (was {:.3})", u.value));
        let value = format!("{:.3}{usual}, {} rows", seen.value, seen.rows);
        tile(out, &seen.metric, &value, worse);
    }
    out.push_str("</div><div style=\"display:flex;flex-wrap:wrap;gap:8px 26px\">");
    let requests: Vec<f64> = status.history.iter().map(|(count, _)| f64::from(*count)).collect();
    let slowest: Vec<f64> = status.history.iter().map(|(_, ms)| *ms).collect();
    chart(out, "requests/s", &requests);
    chart(out, "slowest answer, ms", &slowest);
    out.push_str("</div>");
    if status.language.is_none() {
        drift(out, status);
    }
    out.push_str("</div>");
}

fn tile(out: &mut String, name: &str, value: &str, alarming: bool) {
    let colour = if alarming { ";color:#c33" } else { "" };
    let _ = write!(
        out,
        "<div><div style=\"font-size:80%;opacity:.6\">{}</div><div style=\"font-size:115%{colour}\">\
         {}</div></div>",
        escape(name),
        escape(value)
    );
}

/// A line over the last two minutes.
fn chart(out: &mut String, name: &str, values: &[f64]) {
    let top = values.iter().copied().fold(0.0, f64::max);
    let count = u32::try_from(values.len().max(2) - 1).unwrap_or(1);
    let mut points = String::new();
    for (at, value) in (0_u32..).zip(values) {
        let x = f64::from(at) * f64::from(WIDTH) / f64::from(count);
        let y = f64::from(HEIGHT) - 2.0 - value / top.max(1e-9) * f64::from(HEIGHT - 4);
        let _ = write!(points, "{x:.1},{y:.1} ");
    }
    let _ = write!(
        out,
        "<div><div style=\"font-size:80%;opacity:.6\">{}, at most {top:.1}</div>\
         <svg width=\"{WIDTH}\" height=\"{HEIGHT}\" style=\"background:#8881\">\
         <polyline points=\"{points}\" fill=\"none\" stroke=\"#36c\" stroke-width=\"1.5\"/></svg></div>",
        escape(name)
    );
}

fn drift(out: &mut String, status: &ModelStatus) {
    let Some(report) = &status.drift else {
        out.push_str(
            "<div style=\"font-size:85%;opacity:.6;margin-top:8px\">No drift is measured: the model has \
             no reference (<code>serve::save_reference</code>), or no requests came yet.</div>",
        );
        return;
    };
    let drifted = report.drifted_columns().len();
    let few = if report.rows < report.minimum {
        format!(", too few to judge (at least {})", report.minimum)
    } else {
        String::new()
    };
    let _ = write!(
        out,
        "<div style=\"margin-top:10px\">Drift: <b{}>{drifted} of {} columns</b> \
         <span style=\"opacity:.6\">{} rows against {} of the reference{few}</span></div>\
         <table style=\"border-collapse:collapse;font-size:90%\"><tr style=\"opacity:.6\">\
         <td>column</td><td>PSI</td><td></td><td>test</td><td>p (Holm)</td><td>Wasserstein</td>\
         <td style=\"padding-left:12px\">missing</td></tr>",
        if drifted > 0 { " style=\"color:#c33\"" } else { "" },
        report.columns.len(),
        report.rows,
        report.reference_rows,
    );
    let mut columns: Vec<&ColumnDrift> = report.columns.iter().collect();
    columns.sort_by(|a, b| b.psi.unwrap_or(0.0).total_cmp(&a.psi.unwrap_or(0.0)));
    for column in columns {
        row(out, column);
    }
    out.push_str("</table>");
}

fn row(out: &mut String, column: &ColumnDrift) {
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.4}"));
    // Half a bar is a PSI of 0.25, a large shift.
    let width = (column.psi.unwrap_or(0.0) * 240.0).clamp(0.0, 120.0);
    let colour = if column.drifted { "#c33" } else { "#36c" };
    let _ = write!(
        out,
        "<tr><td style=\"padding:1px 12px 1px 0\">{}{}</td><td style=\"text-align:right\">{}</td>\
         <td style=\"padding:0 12px\"><svg width=\"120\" height=\"10\"><rect width=\"{width:.0}\" \
         height=\"10\" fill=\"{colour}\"/></svg></td><td style=\"padding-right:12px\">{}</td>\
         <td style=\"text-align:right;padding-right:12px\">{}</td><td style=\"text-align:right\">{}</td>\
         <td style=\"text-align:right;padding-left:12px\">{}</td></tr>",
        escape(&column.column),
        if column.drifted { " <b style=\"color:#c33\">drift</b>" } else { "" },
        number(column.psi),
        escape(&column.test),
        number(column.p_adjusted),
        number(column.wasserstein),
        column.missing_text().unwrap_or_else(|| "–".to_owned()),
    );
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}
