//! How a fitted model shows itself.

use std::fmt;

use oxilab_display::Render;
use oxilab_display::table::{Heading, Table};
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
        let title = oxilab_display::table::escape(&table.title);
        let html = format!("<div><b>{title}</b></div>{}", table.to_html());
        MimeBundle::text(table.to_text()).with_html(html)
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
