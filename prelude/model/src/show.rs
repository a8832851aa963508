//! How a fitted model shows itself, and tables with a chart below: [`table_and_chart`].

use std::fmt::{self, Write as _};

use oxilab_display::Render;
use oxilab_display::table::{Heading, Table, escape};
use oxilab_plot::Chart;
use oxilab_runtime::MimeBundle;

use crate::evaluate::figure;
use crate::fitted::FittedModel;

impl fmt::Debug for FittedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.learner(), self.task())?;
        if let Some(target) = &self.schema().target {
            write!(f, " of `{target}`")?;
        }
        write!(f, ", {} columns, {} rows", self.schema().columns.len(), self.header().training_rows)
    }
}

impl Render for FittedModel {
    fn render(&self) -> MimeBundle {
        let mut table = Table::new(vec![Heading::new("property"), Heading::new("value")]);
        table.title = format!("{self:?}");
        let mut row =
            |name: &str, value: String| table.push(vec![Some(name.to_owned()), Some(value)]);
        if !self.classes().is_empty() {
            row("classes", shortened(self.classes().iter().map(String::as_str)));
        }
        row("columns", shortened(self.schema().names().into_iter()));
        if let Some(params) = self.params().as_object() {
            let set = params.iter().filter(|(_, value)| !value.is_null());
            row("parameters", set.map(|(k, v)| format!("{k} {v}")).collect::<Vec<_>>().join(", "));
        }
        for (name, value) in self.metrics() {
            row(name, figure(*value));
        }
        if let Ok(importance) = self.importance()
            && let (Ok(names), Ok(values)) =
                (importance.column("feature"), importance.column("importance"))
            && let (Ok(names), Ok(values)) = (names.str(), values.f64())
        {
            let pairs = names.iter().flatten().zip(values.iter().flatten()).take(5);
            let text = pairs.map(|(n, v)| format!("{n} {:.0} %", 100.0 * v)).collect::<Vec<_>>();
            row("most important", text.join(", "));
        }
        MimeBundle::text(table.to_text()).with_html(titled(&table))
    }
}

fn shortened<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let length = names.len();
    let mut shown: Vec<&str> = names.take(12).collect();
    let more = format!("and {} more", length.saturating_sub(12));
    if length > 12 {
        shown.push(&more);
    }
    shown.join(", ")
}

/// A table as HTML with its title above.
pub(crate) fn titled(table: &Table) -> String {
    format!("<div><b>{}</b></div>{}", escape(&table.title), table.to_html())
}

/// A table and a chart below it. Front ends show one representation, and most prefer HTML: so the
/// picture stands in the HTML.
pub(crate) fn table_and_chart(table: &Table, chart: oxilab_plot::Result<Chart>) -> MimeBundle {
    let mut html = titled(table);
    let bundle = MimeBundle::text(table.to_text());
    let Ok(chart) = chart else { return bundle.with_html(html) };
    let drawn = chart.render();
    let width = drawn.metadata.get("image/png").and_then(|png| png["width"].as_u64());
    if let Some(png) = drawn.data.get("image/png").and_then(|png| png.as_str()) {
        let (alt, width) = (escape(&chart.describe()), width.unwrap_or(480));
        let _ = write!(
            html,
            "<img alt=\"{alt}\" width=\"{width}\" src=\"data:image/png;base64,{png}\">"
        );
    }
    bundle.with_html(html).with("application/vnd.vegalite.v5+json", chart.to_json())
}
