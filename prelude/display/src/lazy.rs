//! Lazy frames (schema and optimised plan) and schemas of polars.

use oxilab_runtime::MimeBundle;
use polars::prelude::{LazyFrame, Schema};

use crate::render::Render;
use crate::settings;
use crate::table::{ELLIPSIS, Heading, Table, cut, escape};

impl Render for LazyFrame {
    fn render(&self) -> MimeBundle {
        let schema = self.clone().collect_schema();
        let plan = self.describe_optimized_plan().or_else(|_| self.describe_plan());
        let (columns, columns_html) = match &schema {
            Ok(schema) => (schema_line(schema), schema_table(schema).to_html()),
            Err(error) => (error.to_string(), pre(&error.to_string())),
        };
        let plan = plan.unwrap_or_else(|error| error.to_string());
        MimeBundle::text(format!("LazyFrame: {columns}\nplan:\n{plan}")).with_html(format!(
            "<div><b>LazyFrame</b> <span style=\"opacity:.7\">(collect() runs it)</span>\
             {columns_html}<b>Plan</b>{}</div>",
            pre(&plan)
        ))
    }
}

impl Render for Schema {
    fn render(&self) -> MimeBundle {
        let lines: Vec<_> = self.iter().map(|(name, dtype)| format!("{name}: {dtype}")).collect();
        MimeBundle::text(format!("Schema of {} columns\n{}", self.len(), lines.join("\n")))
            .with_html(schema_table(self).to_html())
    }
}

fn schema_table(schema: &Schema) -> Table {
    let limit = settings::str_len();
    let mut table = Table::new(vec![Heading::new("column"), Heading::new("dtype")]);
    for (name, dtype) in schema.iter() {
        table.push(vec![Some(cut(name, limit)), Some(cut(&dtype.to_string(), limit))]);
    }
    table
}

fn schema_line(schema: &Schema) -> String {
    let limit = settings::text_columns();
    let mut fields: Vec<_> =
        schema.iter().take(limit).map(|(name, dtype)| format!("{name}: {dtype}")).collect();
    if schema.len() > limit {
        fields.push(ELLIPSIS.to_owned());
    }
    format!("[{}]", fields.join(", "))
}

fn pre(text: &str) -> String {
    format!("<pre style=\"margin:0;padding:2px 8px\">{}</pre>", escape(text))
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;

    use crate::render::Render;

    #[test]
    fn a_lazy_frame_shows_its_schema_and_the_optimised_plan() {
        let lazy = df!("a" => [1, 2], "b" => ["x", "y"])
            .expect("frame")
            .lazy()
            .filter(col("a").gt(lit(1)))
            .select([col("b")]);
        let bundle = lazy.render();
        assert!(bundle.plain().starts_with("LazyFrame: [b: str]\nplan:\n"), "{}", bundle.plain());
        assert!(bundle.plain().contains("FILTER"), "{}", bundle.plain());
        let html = bundle.data["text/html"].as_str().expect("html");
        assert!(html.contains("&gt;") && html.contains("<b>Plan</b>"), "{html}");
    }

    #[test]
    fn a_plan_that_cannot_be_resolved_says_why() {
        let lazy = df!("a" => [1]).expect("frame").lazy().select([col("missing")]);
        assert!(lazy.render().plain().contains("missing"), "{}", lazy.render().plain());
    }

    #[test]
    fn a_schema_lists_its_columns() {
        let frame = df!("a" => [1i64], "b" => ["x"]).expect("frame");
        assert_eq!(frame.schema().render().plain(), "Schema of 2 columns\na: i64\nb: str");
    }
}
