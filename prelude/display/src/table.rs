//! Small tables of strings as plain text and as script-free HTML.
//!
//! [`Table`] knows nothing of frames: whoever builds one has already cut rows, columns and strings.
//! The HTML inherits colours from the page and styles itself inline, so that it reads well in light
//! and dark themes, in exported notebooks and where style sheets are taken out.

use std::fmt::Write as _;

use oxilab_runtime::MimeBundle;

use crate::render::Render;

/// What stands for rows, columns and characters that were cut.
pub const ELLIPSIS: &str = "…";

const BORDER: &str = "var(--jp-border-color2,rgba(128,128,128,.35))";

/// The head of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The column's name.
    pub name: String,
    /// Its type, shown in small print under the name; nothing when empty.
    pub dtype: String,
    /// Whether its values are aligned to the right.
    pub numeric: bool,
}

impl Heading {
    /// A heading without a type, aligned to the left.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), dtype: String::new(), numeric: false }
    }

    /// Aligns the column to the right.
    #[must_use]
    pub fn numeric(mut self) -> Self {
        self.numeric = true;
        self
    }
}

/// A table of strings.
///
/// ```
/// use oxilab_display::{Render, table::{Heading, Table}};
///
/// let mut table = Table::new(vec![Heading::new("name"), Heading::new("n").numeric()]);
/// table.push(vec![Some("a".to_owned()), None]);
/// let bundle = table.render();
/// assert!(bundle.plain().contains("│ a    ┆ null │"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The columns.
    pub headings: Vec<Heading>,
    /// The rows, each as wide as `headings`; `None` is null.
    pub rows: Vec<Vec<Option<String>>>,
    /// A line above the plain text, for example the shape.
    pub title: String,
    /// A line below the HTML table, for example the number of rows.
    pub caption: String,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(headings: Vec<Heading>) -> Self {
        Self { headings, ..Self::default() }
    }

    /// Adds a row; missing cells at its end are null.
    pub fn push(&mut self, mut row: Vec<Option<String>>) {
        row.resize(self.headings.len(), None);
        self.rows.push(row);
    }

    /// The table in box-drawing characters, as polars prints frames.
    #[must_use]
    pub fn to_text(&self) -> String {
        let typed = self.headings.iter().any(|heading| !heading.dtype.is_empty());
        let widths = self.widths();
        let mut text = String::new();
        if !self.title.is_empty() {
            text.push_str(&self.title);
            text.push('\n');
        }
        rule(&mut text, &widths, ['┌', '─', '┬', '┐']);
        line(&mut text, &widths, self.headings.iter().map(|heading| heading.name.as_str()));
        if typed {
            let dashes = |heading: &Heading| if heading.dtype.is_empty() { "" } else { "---" };
            line(&mut text, &widths, self.headings.iter().map(dashes));
            line(&mut text, &widths, self.headings.iter().map(|heading| heading.dtype.as_str()));
        }
        if !self.rows.is_empty() {
            rule(&mut text, &widths, ['╞', '═', '╪', '╡']);
        }
        for row in &self.rows {
            line(&mut text, &widths, row.iter().map(|cell| cell.as_deref().unwrap_or("null")));
        }
        rule(&mut text, &widths, ['└', '─', '┴', '┘']);
        text.pop();
        text
    }

    /// The width of the plain text in columns of the screen.
    #[must_use]
    pub fn text_width(&self) -> usize {
        self.widths().iter().map(|width| width + 3).sum::<usize>() + 1
    }

    /// The table as HTML without scripts or style sheets.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut html = String::from(
            "<div style=\"max-width:100%;overflow-x:auto\">\
             <table class=\"dataframe\" style=\"border-collapse:collapse;margin:0;color:inherit\"><thead><tr>",
        );
        for heading in &self.headings {
            let align = alignment(heading.numeric);
            let _ = write!(
                html,
                "<th style=\"text-align:{align};border-bottom:1px solid {BORDER};\
                 padding:2px 8px\">{}",
                escape(&heading.name)
            );
            if !heading.dtype.is_empty() {
                let _ = write!(
                    html,
                    "<br><span style=\"font-weight:normal;font-size:85%;opacity:.65\">{}</span>",
                    escape(&heading.dtype)
                );
            }
            html.push_str("</th>");
        }
        html.push_str("</tr></thead><tbody>");
        for row in &self.rows {
            html.push_str("<tr>");
            for (heading, cell) in self.headings.iter().zip(row) {
                let align = alignment(heading.numeric);
                let _ = write!(
                    html,
                    "<td style=\"text-align:{align};padding:2px 8px;white-space:pre\">"
                );
                match cell {
                    Some(value) => html.push_str(&escape(value)),
                    None => {
                        html.push_str("<span style=\"opacity:.5;font-style:italic\">null</span>");
                    }
                }
                html.push_str("</td>");
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table>");
        if !self.caption.is_empty() {
            let _ = write!(
                html,
                "<div style=\"font-size:85%;opacity:.7;padding:2px 8px\">{}</div>",
                escape(&self.caption)
            );
        }
        html.push_str("</div>");
        html
    }

    fn widths(&self) -> Vec<usize> {
        self.headings
            .iter()
            .enumerate()
            .map(|(column, heading)| {
                let dtype = if heading.dtype.is_empty() { 0 } else { width(&heading.dtype).max(3) };
                let cells = self
                    .rows
                    .iter()
                    .map(|row| row.get(column).and_then(Option::as_deref).map_or(4, width));
                cells.chain([width(&heading.name), dtype]).max().unwrap_or(0)
            })
            .collect()
    }
}

impl Render for Table {
    fn render(&self) -> MimeBundle {
        MimeBundle::text(self.to_text()).with_html(self.to_html())
    }
}

fn alignment(numeric: bool) -> &'static str {
    if numeric { "right;font-variant-numeric:tabular-nums" } else { "left" }
}

fn rule(text: &mut String, widths: &[usize], [left, fill, middle, right]: [char; 4]) {
    text.push(left);
    for (column, width) in widths.iter().enumerate() {
        if column > 0 {
            text.push(middle);
        }
        text.extend(std::iter::repeat_n(fill, width + 2));
    }
    text.push(right);
    text.push('\n');
}

fn line<'a>(text: &mut String, widths: &[usize], cells: impl Iterator<Item = &'a str>) {
    text.push('│');
    for (column, (cell, wide)) in cells.zip(widths).enumerate() {
        if column > 0 {
            text.push('┆');
        }
        text.push(' ');
        text.push_str(cell);
        text.extend(std::iter::repeat_n(' ', wide.saturating_sub(width(cell)) + 1));
    }
    text.push_str("│\n");
}

/// Columns that a string takes on a terminal; wide East Asian characters and emoji count twice.
fn width(text: &str) -> usize {
    text.chars()
        .map(|character| match character {
            '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' => 0,
            '\u{1100}'..='\u{115f}'
            | '\u{2e80}'..='\u{a4cf}'
            | '\u{ac00}'..='\u{d7a3}'
            | '\u{f900}'..='\u{faff}'
            | '\u{fe30}'..='\u{fe6f}'
            | '\u{ff00}'..='\u{ff60}'
            | '\u{1f300}'..='\u{1faff}'
            | '\u{20000}'..='\u{3fffd}' => 2,
            _ => 1,
        })
        .sum()
}

/// Escapes text for HTML, in elements and in quoted attributes.
///
/// ```
/// assert_eq!(oxilab_display::table::escape("<a b=\"c\">&"), "&lt;a b=&quot;c&quot;&gt;&amp;");
/// ```
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Cuts a string to `limit` characters on one line: control characters are written as escapes.
#[must_use]
pub fn cut(text: &str, limit: usize) -> String {
    let mut short = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == limit {
            short.push_str(ELLIPSIS);
            break;
        }
        match character {
            '\n' => short.push_str("\\n"),
            '\r' => short.push_str("\\r"),
            '\t' => short.push_str("\\t"),
            control if control.is_control() => short.extend(control.escape_unicode()),
            plain => short.push(plain),
        }
    }
    short
}

/// A number with a comma between thousands.
///
/// ```
/// assert_eq!(oxilab_display::table::thousands(1_234_567), "1,234,567");
/// ```
#[must_use]
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(vec![Heading::new("<i>"), Heading::new("日本").numeric()]);
        table.push(vec![Some("a&b".into()), Some("1".into())]);
        table.push(vec![None]);
        table
    }

    #[test]
    fn html_escapes_names_and_values_and_marks_nulls() {
        let html = table().to_html();
        assert!(html.contains("&lt;i&gt;") && html.contains("a&amp;b"), "{html}");
        assert!(!html.contains("<i>"), "{html}");
        assert_eq!(html.matches("font-style:italic\">null<").count(), 2, "{html}");
        assert!(html.contains("text-align:right"), "{html}");
        assert!(!html.contains("<script") && !html.contains("<style"), "{html}");
    }

    #[test]
    fn plain_text_lines_up_with_wide_characters() {
        assert_eq!(
            table().to_text(),
            "┌──────┬──────┐\n│ <i>  ┆ 日本 │\n╞══════╪══════╡\n│ a&b  ┆ 1    │\n\
             │ null ┆ null │\n└──────┴──────┘"
        );
    }

    #[test]
    fn cutting_counts_characters_and_keeps_one_line() {
        assert_eq!(cut("añb\nc", 4), "añb\\n…");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1000), "1,000");
    }
}
