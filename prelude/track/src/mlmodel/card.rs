//! The model card: what a model's file says of it, in Markdown.

use std::fmt::Write as _;

use oxilab_model_format::Header;

/// The card of a model.
pub(super) fn of(header: &Header) -> String {
    let schema = &header.schema;
    let mut card = format!(
        "# {}\n\n{} trained on {} rows",
        header.learner,
        sentence(&schema.task.to_string()),
        header.training_rows
    );
    // Writing to a string cannot fail.
    if let Some(target) = &schema.target {
        let _ = write!(card, ", for `{target}`");
    }
    card.push_str(".\n\n## Input\n\n| column | type | kind | missing |\n|---|---|---|---|\n");
    for column in &schema.columns {
        let kind = match column.categories.len() {
            0 => format!("{:?}", column.kind).to_lowercase(),
            count => format!("one of {count} categories"),
        };
        let missing = if column.nullable { "allowed" } else { "no" };
        let name = column.name.replace('|', "\\|");
        let _ = writeln!(card, "| {name} | {} | {kind} | {missing} |", column.dtype);
    }
    if !schema.classes.is_empty() {
        let _ = write!(card, "\nClasses: {}.\n", schema.classes.join(", "));
    }
    if !header.metrics.is_empty() {
        card.push_str("\n## Metrics\n\n| metric | value |\n|---|---|\n");
        for (name, value) in &header.metrics {
            let _ = writeln!(card, "| {name} | {value} |");
        }
    }
    card.push_str("\n## Parameters\n\n| parameter | value |\n|---|---|\n");
    for (name, value) in header.params.as_object().into_iter().flatten() {
        let _ = writeln!(card, "| {name} | {value} |");
    }
    let _ = write!(card, "\n## Origin\n\nTraining data (SHA-256): `{}`.\n", header.training_data);
    for (library, version) in &header.libraries {
        let _ = writeln!(card, "\n{library} {version}");
    }
    card
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
