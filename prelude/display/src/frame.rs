//! Frames, series and columns of polars.
//!
//! Only the rows that are shown are read, so a frame of ten million rows costs what one of ten costs.

use oxilab_runtime::MimeBundle;
use polars::prelude::{AnyValue, Column, DataFrame, DataType, Series};

use crate::render::Render;
use crate::settings;
use crate::table::{ELLIPSIS, Heading, Table, cut, thousands};

/// The widest plain-text table; columns are cut out of its middle until it fits.
const TEXT_WIDTH: usize = 120;

impl Render for DataFrame {
    fn render(&self) -> MimeBundle {
        let rows = settings::rows();
        let mut columns = settings::text_columns();
        let mut text = frame_table(self, rows, columns);
        while text.text_width() > TEXT_WIDTH && columns.min(self.width()) > 2 {
            columns = columns.min(self.width()) - 1;
            text = frame_table(self, rows, columns);
        }
        let html = frame_table(self, rows, settings::html_columns());
        MimeBundle::text(text.to_text()).with_html(html.to_html())
    }
}

impl Render for Series {
    fn render(&self) -> MimeBundle {
        column(self.name(), self.dtype(), self.len(), "Series", &|row| self.get(row).ok())
    }
}

impl Render for Column {
    fn render(&self) -> MimeBundle {
        column(self.name(), self.dtype(), self.len(), "Column", &|row| self.get(row).ok())
    }
}

/// Head and tail of a frame as a [`Table`] of at most `rows` rows and `columns` columns, strings cut
/// to [`settings::str_len`]; a row and a column of `…` stand for what was cut.
///
/// ```
/// use oxilab_display::frame_table;
/// use polars::prelude::*;
///
/// let frame = df!("n" => [1, 2, 3], "s" => ["a", "b", "c"])?;
/// let table = frame_table(&frame, 2, 8);
/// assert_eq!(table.rows[1][0].as_deref(), Some("…"));
/// assert_eq!(table.title, "shape: (3, 2)");
/// # Ok::<(), PolarsError>(())
/// ```
#[must_use]
pub fn frame_table(frame: &DataFrame, rows: usize, columns: usize) -> Table {
    let (height, width) = (frame.height(), frame.width());
    let limit = settings::str_len();
    let shown = kept(width, columns);
    let mut table = Table::new(
        shown
            .iter()
            .map(|index| match index {
                Some(index) => heading(&frame.columns()[*index], limit),
                None => Heading::new(ELLIPSIS),
            })
            .collect(),
    );
    for row in kept(height, rows) {
        let cells = shown.iter().map(|column| match (column, row) {
            (Some(column), Some(row)) => frame.columns()[*column]
                .get(row)
                .map_or_else(|error| Some(format!("<{error}>")), |value| cell(&value, limit)),
            _ => Some(ELLIPSIS.to_owned()),
        });
        table.push(cells.collect());
    }
    table.title = format!("shape: ({height}, {width})");
    table.caption = format!("{} rows × {} columns", thousands(height), thousands(width));
    table
}

/// One value as a table shows it: strings without quotes, on one line, cut; `None` for null.
#[must_use]
pub fn cell(value: &AnyValue<'_>, limit: usize) -> Option<String> {
    match value {
        AnyValue::Null => None,
        value => Some(match value.get_str() {
            Some(text) => cut(text, limit),
            None => cut(&value.to_string(), limit),
        }),
    }
}

fn heading(column: &Column, limit: usize) -> Heading {
    Heading {
        name: cut(column.name(), limit),
        dtype: cut(&column.dtype().to_string(), limit),
        numeric: is_numeric(column.dtype()),
    }
}

fn is_numeric(dtype: &DataType) -> bool {
    dtype.is_numeric() || dtype.is_temporal()
}

/// Which of `count` things are shown when at most `limit` may be: indices, and `None` for the gap.
fn kept(count: usize, limit: usize) -> Vec<Option<usize>> {
    if count <= limit {
        return (0..count).map(Some).collect();
    }
    let head = (0..limit.div_ceil(2)).map(Some);
    let tail = (count - limit / 2..count).map(Some);
    head.chain([None]).chain(tail).collect()
}

fn column<'a>(
    name: &str,
    dtype: &DataType,
    length: usize,
    kind: &str,
    get: &dyn Fn(usize) -> Option<AnyValue<'a>>,
) -> MimeBundle {
    let limit = settings::str_len();
    let mut heading = Heading::new(cut(name, limit));
    heading.dtype = cut(&dtype.to_string(), limit);
    heading.numeric = is_numeric(dtype);
    let mut table = Table::new(vec![heading]);
    table.caption = format!("{kind} of {} values", thousands(length));
    let mut text = format!("shape: ({length},)\n{kind}: '{name}' [{dtype}]\n[\n");
    for row in kept(length, settings::rows()) {
        let Some(row) = row else {
            table.push(vec![Some(ELLIPSIS.to_owned())]);
            text.push_str("\t…\n");
            continue;
        };
        let value = get(row).unwrap_or(AnyValue::Null);
        let shown = cell(&value, limit);
        let plain = shown.as_deref().unwrap_or("null");
        text.push('\t');
        match value.get_str() {
            Some(_) => text.extend(["\"", plain, "\""]),
            None => text.push_str(plain),
        }
        text.push('\n');
        table.push(vec![shown]);
    }
    text.push(']');
    MimeBundle::text(text).with_html(table.to_html())
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;

    use super::*;

    fn html(bundle: &MimeBundle) -> &str {
        bundle.data["text/html"].as_str().expect("html")
    }

    #[test]
    fn a_frame_shows_shape_types_nulls_and_escaped_strings() {
        let frame = df!(
            "x" => [Some(1.5), None],
            "<s>" => ["<script>alert(1)</script>", "two\nlines"],
        )
        .expect("frame");
        let bundle = frame.render();
        let page = html(&bundle);
        assert!(bundle.plain().starts_with("shape: (2, 2)\n┌"), "{}", bundle.plain());
        assert!(bundle.plain().contains("│ null ┆ two\\nlines"), "{}", bundle.plain());
        assert!(page.contains("f64") && page.contains("2 rows × 2 columns"), "{page}");
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
        assert!(page.contains("italic\">null</span>"), "{page}");
        let first = page.find("<td style=\"text-align:right").expect("numbers to the right");
        assert!(first < page.find("<td style=\"text-align:left").expect("strings to the left"));
    }

    #[test]
    fn long_and_wide_frames_are_cut_in_the_middle() {
        let columns = (0..40)
            .map(|index| Column::new(format!("c{index}").into(), (0..1000).collect::<Vec<i64>>()));
        let frame = DataFrame::new(1000, columns.collect()).expect("frame");
        let table = frame_table(&frame, 10, 8);
        assert_eq!((table.rows.len(), table.headings.len()), (11, 9));
        assert_eq!(table.headings[4].name, "…");
        assert_eq!(table.headings[8].name, "c39");
        assert_eq!(table.rows[4][0].as_deref(), Some("4"));
        assert_eq!(table.rows[5][0].as_deref(), Some("…"));
        assert_eq!(table.rows[6][0].as_deref(), Some("995"));
        let longest = frame.render().plain().lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(TEXT_WIDTH), "{longest:?}");
    }

    #[test]
    fn an_empty_frame_and_nested_values_have_a_display() {
        assert!(DataFrame::empty().render().plain().starts_with("shape: (0, 0)"));
        let lists = Series::new(
            "l".into(),
            [Series::new("".into(), [1i32, 2]), Series::new("".into(), [3i32])],
        );
        let bundle = lists.render();
        assert!(bundle.plain().contains("\t[1, 2]\n\t[3]\n]"), "{}", bundle.plain());
        assert!(bundle.plain().contains("[list[i32]]"), "{}", bundle.plain());
    }

    #[test]
    fn ten_million_rows_show_at_once() {
        let frame = df!("x" => (0..10_000_000i64).collect::<Vec<_>>()).expect("frame");
        let start = std::time::Instant::now();
        let bundle = frame.render();
        assert!(start.elapsed().as_millis() < 200, "{:?}", start.elapsed());
        assert!(html(&bundle).contains("10,000,000 rows"));
    }

    #[test]
    fn a_series_quotes_strings_and_cuts_rows() {
        let series = Series::new("s".into(), (0..30).map(|n| format!("v{n}")).collect::<Vec<_>>());
        let bundle = series.render();
        assert!(bundle.plain().starts_with("shape: (30,)\nSeries: 's' [str]\n[\n\t\"v0\"\n"));
        assert!(bundle.plain().contains("\t…\n\t\"v25\""), "{}", bundle.plain());
        let column = Column::new("c".into(), [true, false]);
        assert!(column.render().plain().contains("Column: 'c' [bool]"));
    }
}
