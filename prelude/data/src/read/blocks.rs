//! Large text tables, read block by block: [`read`].
//!
//! polars maps the whole file into memory while it parses, so that reading takes the file's size beside the
//! frame's, and whether a file spells out missing values has to be known before. Blocks need one buffer, and
//! each is looked through while it is in the cache anyway.

use std::fs::File;
use std::io::{Cursor, Read as _};
use std::path::Path;

use oxilab_runtime::progress::Progress;
use polars::prelude::*;

use super::source::{Format, Source};
use super::{ReadOptions, csv, iso, missing, plain, source};
use crate::error::{Result, While};

/// Bytes parsed at a time.
const BLOCK: usize = 64 << 20;

/// Reads one large plain file of text. `None` where that is not the case, and where some block is not what
/// the first rows promise: the careful ways of [`super::collect`] find out why.
pub(super) fn read(found: &Source, options: &ReadOptions) -> Result<Option<DataFrame>> {
    read_by(BLOCK, found, options)
}

fn read_by(block: usize, found: &Source, options: &ReadOptions) -> Result<Option<DataFrame>> {
    let ([path], Format::Csv, None) = (found.files(), found.format(), found.root()) else {
        return Ok(None);
    };
    if options.columns.is_some() || options.rows.is_some() {
        return Ok(None);
    }
    let Some(file) = large(path, block) else { return Ok(None) };
    let csv::Found { dialect, foreign: false } = csv::look(found, options)? else {
        return Ok(None);
    };
    let schema = csv::reader(found, &dialect, true)
        .with_infer_schema_length(Some(1000))
        .finish()
        .and_then(|mut plan| plan.collect_schema())
        .doing(found.doing())?;
    let bar = Progress::new(format!("reading {}", found.name()), Some(file.size as u64));
    let parser = Parser::new(&dialect, schema);
    let read = file.frames(parser, options.null_values.is_some(), &bar);
    bar.finish();
    Ok(read)
}

struct Large {
    file: File,
    size: usize,
    block: usize,
}

/// The file, if it is larger than two blocks and not compressed.
fn large(path: &Path, block: usize) -> Option<Large> {
    let file = File::open(path).ok()?;
    let size = usize::try_from(file.metadata().ok()?.len()).ok()?;
    let head = source::head(path, 4).ok()?;
    (size > 2 * block && !missing::compressed(&head)).then_some(Large { file, size, block })
}

impl Large {
    fn frames(&self, mut parser: Parser<'_>, own_nulls: bool, bar: &Progress) -> Option<DataFrame> {
        let mut all: Option<DataFrame> = None;
        let mut text = self.next(&[], Vec::new()).ok()?;
        // Pages of memory that is new cost as much as the copy from the file.
        let mut spare = Vec::new();
        let mut read = text.len() - 1;
        loop {
            oxilab_runtime::cancel::poll();
            let last = read >= self.size;
            let end = if last { text.len() } else { last_line(&text)? };
            let (this, rest) = text.split_at(end);
            // The next block comes in while this one is parsed.
            let buffer = std::mem::take(&mut spare);
            let (frame, next) = std::thread::scope(|scope| {
                let next = (!last).then(|| scope.spawn(|| self.next(rest, buffer)));
                let nulls = own_nulls || missing::in_text(this, parser.dialect.separator());
                let frame = match &all {
                    None => parser.first(&this[1..], nulls),
                    Some(_) => parser.later(&this[1..], nulls),
                };
                (frame, next.map(std::thread::ScopedJoinHandle::join))
            });
            match &mut all {
                None => all = Some(frame?),
                Some(all) => {
                    all.vstack_mut_owned(frame?).ok()?;
                }
            }
            bar.set((read - rest.len()) as u64);
            let Some(next) = next else { return all };
            let (kept, next) = (rest.len(), next.ok()?.ok()?);
            // A file that has become shorter: whoever called tells of it.
            if next.len() == kept + 1 {
                return None;
            }
            read += next.len() - kept - 1;
            spare = std::mem::replace(&mut text, next);
        }
    }

    /// The next bytes of the file behind `rest`, in a buffer that was used before or not. A line break stands
    /// before them: what the search for missing values looks for.
    fn next(&self, rest: &[u8], mut text: Vec<u8>) -> std::io::Result<Vec<u8>> {
        text.clear();
        text.reserve(1 + rest.len() + self.block);
        text.push(b'\n');
        text.extend_from_slice(rest);
        (&self.file).take(self.block as u64).read_to_end(&mut text)?;
        Ok(text)
    }
}

/// Makes frames of blocks.
struct Parser<'a> {
    dialect: &'a csv::Dialect,
    schema: SchemaRef,
    /// The columns that are read as text and are [`iso`] dates or times.
    times: Vec<PlSmallStr>,
}

impl<'a> Parser<'a> {
    fn new(dialect: &'a csv::Dialect, schema: SchemaRef) -> Self {
        let times = schema.iter().filter(|(_, dtype)| iso::is_for(dtype));
        let times = times.map(|(name, _)| name.clone()).collect();
        Self { dialect, schema, times }
    }

    /// The first block tells whether times are written as expected.
    fn first(&mut self, block: &[u8], nulls: bool) -> Option<DataFrame> {
        self.parse(block, nulls, self.dialect.header()).or_else(|| {
            if self.times.is_empty() {
                return None;
            }
            self.times.clear();
            self.parse(block, nulls, self.dialect.header())
        })
    }

    fn later(&self, block: &[u8], nulls: bool) -> Option<DataFrame> {
        // What polars skips at the start of a file would be rows here.
        let skipped = matches!(block.first(), Some(b'\n' | b'\r'));
        (!skipped).then(|| self.parse(block, nulls, false)).flatten()
    }

    fn parse(&self, block: &[u8], nulls: bool, header: bool) -> Option<DataFrame> {
        if !nulls && !self.dialect.decimal_comma() {
            let lines = if header { after_line(block) } else { block };
            let plain = plain::parsed(lines, self.dialect.separator(), &self.schema, &self.times);
            if plain.is_some() {
                return plain;
            }
        }
        let mut schema = Schema::clone(&self.schema);
        for name in &self.times {
            schema.set_dtype(name, DataType::String);
        }
        let options = self.dialect.options(nulls).with_has_header(header);
        let options = options.with_schema(Some(Arc::new(schema)));
        let mut frame = options.into_reader_with_file_handle(Cursor::new(block)).finish().ok()?;
        for name in &self.times {
            let column = iso::parsed(frame.column(name).ok()?.str().ok()?, self.schema.get(name)?)?;
            frame.with_column(column).ok()?;
        }
        Some(frame)
    }
}

/// What stands behind the header.
fn after_line(text: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', text).map_or(&[], |end| &text[end + 1..])
}

/// Where the last whole line of a text ends that starts outside of quotes; `None` if it has none.
fn last_line(text: &[u8]) -> Option<usize> {
    let mut quoted = text.iter().fold(false, |quoted, byte| quoted ^ (*byte == b'"'));
    let end = text.iter().rposition(|byte| {
        quoted ^= *byte == b'"';
        *byte == b'\n' && !quoted
    })?;
    (end > 0).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// By blocks of that size, and as polars does it at once.
    fn both(text: &str, block: usize) -> (Option<DataFrame>, DataFrame) {
        let file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let found = source::find(&file.path().to_string_lossy()).unwrap();
        let options = ReadOptions::new();
        let whole = super::super::plan(&found, &options)
            .and_then(|plan| super::super::collect(plan, &found))
            .unwrap();
        (read_by(block, &found, &options).unwrap(), whole)
    }

    fn table(row: impl Fn(usize) -> String) -> String {
        let mut text = "id,day,time,name\n".to_owned();
        (0..3000).for_each(|index| writeln!(text, "{}", row(index)).unwrap());
        text
    }

    #[test]
    fn blocks_make_the_frame_that_the_whole_makes() {
        let tables = [
            table(|i| {
                format!("{i},2024-01-{:02},2024-02-03T04:05:{:02}.5,n{i}", i % 31 + 1, i % 60)
            }),
            // Quotes over several lines, longer than a block's end.
            table(|i| format!("{i},2024-01-01,2024-02-03 04:05,\"a, \"\"b\"\"\n{i}\"")),
            // A missing value late, empty fields early.
            table(|i| format!("{},,,{}", i + 1, if i == 2500 { "NA" } else { "x" })),
            table(|i| format!("{i},31/01/2024,31/01/2024 10:11:12,é{i}")),
        ];
        for text in &tables {
            for block in [777, 4096, 9973] {
                let (blocks, whole) = both(text, block);
                let blocks = blocks.expect("nothing stands in the way");
                assert!(blocks.equals_missing(&whole), "{block}: {blocks} {whole}");
                assert_eq!(blocks.schema(), whole.schema());
            }
        }
    }

    #[test]
    fn what_the_first_rows_do_not_promise_is_left_to_the_careful_ways() {
        let (blocks, whole) =
            both(&table(|i| if i < 2900 { format!("{i},,,") } else { format!("{i}.5,,,") }), 512);
        assert!(blocks.is_none());
        assert_eq!(whole.column("id").unwrap().dtype(), &DataType::Float64);
        let late = |i| {
            if i == 2900 {
                "1,2024-01-01,04:05,x".to_owned()
            } else {
                format!("{i},2024-01-01,2024-02-03 04:05,x")
            }
        };
        assert!(both(&table(late), 512).0.is_none());
    }

    #[test]
    fn small_files_are_not_for_blocks() {
        assert!(both(&table(|i| i.to_string()), 1 << 20).0.is_none());
    }

    #[test]
    fn lines_end_outside_of_quotes() {
        assert_eq!(last_line(b"\na,b\n1,2\n3"), Some(9));
        assert_eq!(last_line(b"\na,b\n1,\"x\ny"), Some(5));
        assert_eq!(last_line(b"\n1,\"x\ny\"\n2"), Some(9));
        assert_eq!(last_line(b"\n1,\"x\ny\"\"z\n"), None);
    }
}
