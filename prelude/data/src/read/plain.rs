//! Blocks of a text table without quotes, whose fields are what their columns' types say: [`parsed`].
//!
//! polars looks for the ends of a field first and at its bytes then, and parses a block into buffers of its
//! own before columns. Here each number finds its own end.

use memchr::{memchr, memchr2, memrchr};
use polars::prelude::*;
use polars_arrow::array::{BooleanArray, MutablePlString, PrimitiveArray};
use polars_arrow::bitmap::{Bitmap, MutableBitmap};
use polars_arrow::types::NativeType;
use rayon::prelude::*;

use super::iso;

/// Parts of a block for each thread: one that is slowed down holds up less.
const PARTS: usize = 2;

/// The frame of whole lines; those columns are [`iso`] dates or times. `None` where a field has quotes or is
/// not written as its column's type, and for rows of another width: polars knows what to do.
pub(super) fn parsed(
    block: &[u8],
    separator: u8,
    schema: &Schema,
    times: &[PlSmallStr],
) -> Option<DataFrame> {
    let columns = |rows| -> Option<Vec<Values>> {
        let columns = schema.iter();
        columns.map(|(name, dtype)| Values::of(dtype, times.contains(name), rows)).collect()
    };
    if columns(0)?.len() < 2 || memchr(b'"', block).is_some() {
        return None;
    }
    let text = std::str::from_utf8(block).ok()?;
    let count = rayon::current_num_threads() * PARTS;
    let parts: Vec<Vec<Column>> = parts(text, text.len().div_ceil(count).max(1))
        .into_par_iter()
        .map(|text| {
            let part = Part { text, separator, at: 0 };
            let columns = columns(part.rows())?;
            let columns = part.read(columns)?.into_iter().zip(schema.iter());
            columns.map(|(values, (name, dtype))| values.into_column(name, dtype)).collect()
        })
        .collect::<Option<_>>()?;
    let mut parts = parts.into_iter().map(DataFrame::new_infer_height);
    let mut frame = parts.next()?.ok()?;
    for part in parts {
        frame.vstack_mut_owned(part.ok()?).ok()?;
    }
    Some(frame)
}

/// Cuts behind the ends of lines.
fn parts(text: &str, size: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > size {
        let Some(end) = memchr(b'\n', &rest.as_bytes()[size..]) else { break };
        let (part, others) = rest.split_at(size + end + 1);
        parts.push(part);
        rest = others;
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

/// Whole lines.
struct Part<'a> {
    text: &'a str,
    separator: u8,
    at: usize,
}

impl Part<'_> {
    fn read(mut self, mut columns: Vec<Values>) -> Option<Vec<Values>> {
        let (last, others) = columns.split_last_mut()?;
        while self.at < self.text.len() {
            for column in &mut *others {
                column.read(&mut self)?;
                if self.next()? != self.separator {
                    return None;
                }
                self.at += 1;
            }
            last.read(&mut self)?;
            self.end_of_line()?;
        }
        Some(columns)
    }

    /// About as many as there are, rather more, by the first ones.
    fn rows(&self) -> usize {
        let start = &self.text.as_bytes()[..self.text.len().min(1 << 14)];
        let lines = memchr::memchr_iter(b'\n', start).count();
        let bytes = memrchr(b'\n', start).unwrap_or(start.len()).max(1);
        self.text.len() / bytes * (lines + lines / 32 + 1)
    }

    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        &self.text.as_bytes()[self.at..]
    }

    /// No field begins here.
    fn is_end(&self) -> bool {
        self.next().is_none_or(|byte| byte == self.separator || matches!(byte, b'\n' | b'\r'))
    }

    fn end_of_line(&mut self) -> Option<()> {
        if self.next() == Some(b'\r') {
            self.at += 1;
        }
        match self.next() {
            Some(b'\n') => self.at += 1,
            Some(_) => return None,
            None => {}
        }
        Some(())
    }

    /// The bytes up to the field's end.
    fn field(&mut self) -> &str {
        let rest = self.rest();
        let mut len = memchr2(self.separator, b'\n', rest).unwrap_or(rest.len());
        if len > 0 && rest[len - 1] == b'\r' {
            len -= 1;
        }
        let start = self.at;
        self.at += len;
        &self.text[start..self.at]
    }
}

/// A column of a part.
struct Values {
    of: Of,
    /// The rows without a value.
    missing: Vec<usize>,
}

enum Of {
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(MutableBitmap),
    Text(MutablePlString),
    Date(Vec<i32>),
    /// And the bytes that the latest one took.
    Time(Vec<i64>, usize),
}

impl Values {
    /// None yet, of a column's type; `iso`: it is written so. `None` if that is for polars.
    fn of(dtype: &DataType, iso: bool, rows: usize) -> Option<Self> {
        let of = match dtype {
            DataType::Int64 => Of::Int(Vec::with_capacity(rows)),
            DataType::Float64 => Of::Float(Vec::with_capacity(rows)),
            DataType::Boolean => Of::Bool(MutableBitmap::with_capacity(rows)),
            DataType::String => Of::Text(MutablePlString::with_capacity(rows)),
            DataType::Date if iso => Of::Date(Vec::with_capacity(rows)),
            DataType::Datetime(..) if iso => Of::Time(Vec::with_capacity(rows), 0),
            _ => return None,
        };
        Some(Self { of, missing: Vec::new() })
    }

    /// The next field of a part.
    #[inline]
    fn read(&mut self, part: &mut Part<'_>) -> Option<()> {
        if part.is_end() {
            self.missing.push(self.len());
            self.nothing();
            return Some(());
        }
        match &mut self.of {
            Of::Int(values) => {
                let (value, len) = int(part.rest())?;
                values.push(value);
                part.at += len;
            }
            Of::Float(values) => {
                let (value, len) = fast_float2::parse_partial(part.rest()).ok()?;
                values.push(value);
                part.at += len;
            }
            Of::Bool(values) => {
                let value = part.rest().starts_with(b"true");
                if !value && !part.rest().starts_with(b"false") {
                    return None;
                }
                values.push(value);
                part.at += if value { 4 } else { 5 };
            }
            Of::Text(values) => values.push_value_ignore_validity(part.field()),
            Of::Date(values) => values.push(iso::days(part.field().as_bytes())?),
            Of::Time(values, width) => {
                // As wide as the one before, mostly.
                let value = match part.rest().split_at_checked(*width) {
                    Some((field, [end, ..])) if *end == part.separator => iso::micros(field),
                    _ => None,
                };
                let value = if let Some(value) = value {
                    part.at += *width;
                    value
                } else {
                    let field = part.field();
                    *width = field.len();
                    iso::micros(field.as_bytes())?
                };
                values.push(value);
            }
        }
        Some(())
    }

    fn len(&self) -> usize {
        match &self.of {
            Of::Int(values) | Of::Time(values, _) => values.len(),
            Of::Float(values) => values.len(),
            Of::Bool(values) => values.len(),
            Of::Text(values) => values.len(),
            Of::Date(values) => values.len(),
        }
    }

    /// What stands in a row without a value.
    fn nothing(&mut self) {
        match &mut self.of {
            Of::Int(values) | Of::Time(values, _) => values.push(0),
            Of::Float(values) => values.push(0.0),
            Of::Bool(values) => values.push(false),
            Of::Text(values) => values.push_value_ignore_validity(""),
            Of::Date(values) => values.push(0),
        }
    }

    fn into_column(self, name: &PlSmallStr, dtype: &DataType) -> Option<Column> {
        let validity = self.validity();
        let array: ArrayRef = match self.of {
            Of::Int(values) | Of::Time(values, _) => primitive(values, validity),
            Of::Float(values) => primitive(values, validity),
            Of::Bool(values) => {
                Box::new(BooleanArray::new(ArrowDataType::Boolean, values.freeze(), validity))
            }
            Of::Text(values) => Box::new(values.freeze().with_validity(validity)),
            Of::Date(values) => primitive(values, validity),
        };
        let values = Series::from_arrow(name.clone(), array).ok()?;
        // Dates and times are numbers until here.
        values.cast(dtype).ok().map(Series::into_column)
    }

    fn validity(&self) -> Option<Bitmap> {
        if self.missing.is_empty() {
            return None;
        }
        let mut validity = MutableBitmap::from_len_set(self.len());
        self.missing.iter().for_each(|row| validity.set(*row, false));
        Some(validity.freeze())
    }
}

fn primitive<T: NativeType>(values: Vec<T>, validity: Option<Bitmap>) -> ArrayRef {
    Box::new(PrimitiveArray::from_vec(values).with_validity(validity))
}

/// The number at the start of a text and its bytes; one that may not fit is left to polars.
fn int(text: &[u8]) -> Option<(i64, usize)> {
    const DIGITS: usize = 18;
    let negative = text[0] == b'-';
    let sign = usize::from(negative);
    let mut value = 0;
    let mut len = 0;
    for byte in &text[sign..] {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        if len == DIGITS {
            return None;
        }
        value = value * 10 + i64::from(digit);
        len += 1;
    }
    (len > 0).then_some((if negative { -value } else { value }, sign + len))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn schema() -> Schema {
        Schema::from_iter([
            Field::new("i".into(), DataType::Int64),
            Field::new("f".into(), DataType::Float64),
            Field::new("b".into(), DataType::Boolean),
            Field::new("s".into(), DataType::String),
            Field::new("d".into(), DataType::Date),
            Field::new("t".into(), DataType::Datetime(TimeUnit::Microseconds, None)),
        ])
    }

    fn ours(text: &str) -> Option<DataFrame> {
        parsed(text.as_bytes(), b',', &schema(), &["d".into(), "t".into()])
    }

    fn polars(text: &str) -> PolarsResult<DataFrame> {
        CsvReadOptions::default()
            .with_has_header(false)
            .with_schema(Some(Arc::new(schema())))
            .into_reader_with_file_handle(Cursor::new(text))
            .finish()
    }

    fn line(number: usize) -> String {
        let day = number % 28 + 1;
        match number % 5 {
            0 => format!("{number},-{number}.25,true,née,2024-02-{day:02},2024-02-03T04:05:06.5"),
            1 => format!(
                "-{number},{number}e-3,false,a text longer than a view holds,1999-12-31,2024-02-03 04:05"
            ),
            2 => ",,,,,".to_owned(),
            3 => format!("00{number},{number},true, x ,,1969-12-31T23:59:59.999999"),
            _ => "-0,-0,false,\\,2000-02-29,".to_owned(),
        }
    }

    #[test]
    fn the_frame_is_that_of_polars() {
        for (rows, end) in [(1, "\n"), (1, ""), (7, "\r\n"), (1000, "\n"), (2003, "")] {
            let between = if end.is_empty() { "\n" } else { end };
            let text = (0..rows).map(line).collect::<Vec<_>>().join(between) + end;
            let frame = ours(&text).expect("nothing stands in the way");
            let theirs = polars(&text).unwrap();
            assert!(frame.equals_missing(&theirs), "{rows} {end:?} {frame} {theirs}");
            assert_eq!((frame.schema(), frame.height()), (theirs.schema(), rows));
        }
        assert!(ours("").is_none());
    }

    #[test]
    fn what_is_written_otherwise_is_left_to_polars() {
        let all = "1,2.5,true,x,2024-01-31,2024-01-31T10:00";
        assert!(ours(all).is_some());
        for (field, other) in [
            ("1,", "1.0,"),
            ("1,", "+1,"),
            ("1,", " 1,"),
            ("1,", "-,"),
            ("1,", "1234567890123456789,"),
            ("2.5", "2.5x"),
            ("2.5", "x"),
            ("true", "TRUE"),
            ("true", "trues"),
            ("x", "\"x\""),
            ("x", "x\r"),
            ("x", "x,y"),
            ("2024-01-31,", "2024-01-32,"),
            ("T10:00", "T25:00"),
            ("T10:00", "T10:00,"),
            (",2024-01-31T10:00", ""),
            ("1,", "\n1,"),
        ] {
            let text = format!("{all}\n{}\n{all}\n", all.replacen(field, other, 1));
            assert!(ours(&text).is_none(), "{text}");
        }
        let one = Schema::from_iter([Field::new("i".into(), DataType::Int64)]);
        assert!(parsed(b"1\n2\n", b',', &one, &[]).is_none());
    }
}
