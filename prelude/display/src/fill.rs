//! Several elements in a line: `{:#?}` gives each a line of its own, a thousand numbers a thousand.

/// Puts the elements of each list of a `{:#?}` text together, as far as lines of `columns` go. A text
/// that was cut, or that was not indented by `{:#?}`, keeps what cannot be told apart.
pub(crate) fn fill(pretty: &str, columns: usize) -> String {
    let mut filled = Filled { lines: Vec::new(), columns, leaf: false };
    let mut open: Vec<usize> = Vec::new();
    for line in pretty.lines() {
        let text = line.trim_start();
        if text.ends_with(['[', '{', '(']) {
            open.push(filled.lines.len());
            filled.line(line);
        } else if text.starts_with([']', '}', ')']) {
            filled.line(line);
            if let Some(start) = open.pop() {
                filled.fold(start);
            }
        } else if text.ends_with(',') {
            filled.element(line);
        } else {
            filled.line(line);
        }
    }
    filled.lines.join("\n")
}

struct Filled {
    lines: Vec<String>,
    columns: usize,
    /// Whether the last line holds elements and takes more.
    leaf: bool,
}

impl Filled {
    fn line(&mut self, line: &str) {
        self.lines.push(line.to_owned());
        self.leaf = false;
    }

    fn element(&mut self, line: &str) {
        let (before, text) = (self.lines.last_mut().filter(|_| self.leaf), line.trim_start());
        if let Some(last) = before
            && indent(last) == indent(line)
            && last.chars().count() + 1 + text.chars().count() <= self.columns
        {
            last.push(' ');
            last.push_str(text);
        } else {
            self.lines.push(line.to_owned());
        }
        self.leaf = true;
    }

    /// A group of three lines, brackets and what is inside, becomes one where it fits, and an element
    /// of the group around it.
    fn fold(&mut self, start: usize) {
        let [open, inside, close] = &self.lines[start..] else { return };
        let inside = inside.trim().trim_end_matches(',');
        let space = if open.ends_with(" {") { " " } else { "" };
        let line = format!("{open}{space}{inside}{space}{}", close.trim_start());
        if line.chars().count() > self.columns {
            return;
        }
        self.lines.truncate(start);
        // The line above may be one that elements were put into.
        self.leaf = self.lines.last().is_some_and(|last| {
            last.ends_with(',') && indent(last) == indent(&line) && line.ends_with(',')
        });
        self.element(&line);
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "its Debug is what is tested")]
    struct Point {
        x: i32,
        tags: Vec<&'static str>,
    }

    fn filled(value: &dyn std::fmt::Debug, columns: usize) -> String {
        fill(&format!("{value:#?}"), columns)
    }

    #[test]
    fn elements_share_lines() {
        assert_eq!(
            filled(&(100..110).collect::<Vec<_>>(), 20),
            "[\n    100, 101, 102,\n    103, 104, 105,\n    106, 107, 108,\n    109,\n]"
        );
    }

    #[test]
    fn groups_that_fit_stand_in_a_line() {
        let points = vec![Point { x: 1, tags: vec!["a", "b"] }, Point { x: 2, tags: vec![] }];
        assert_eq!(
            filled(&points, 40),
            "[\n    Point { x: 1, tags: [\"a\", \"b\"] },\n    Point { x: 2, tags: [] },\n]"
        );
        assert_eq!(filled(&vec![(1, 2); 4], 19), "[\n    (1, 2), (1, 2),\n    (1, 2), (1, 2),\n]");
    }

    #[test]
    fn what_fits_as_a_whole_is_one_line() {
        assert_eq!(filled(&vec![Some(1), None], 40), "[Some(1), None]");
        let map: std::collections::BTreeMap<_, _> = [(1, "x"), (2, "y")].into();
        assert_eq!(filled(&map, 40), "{1: \"x\", 2: \"y\"}");
    }

    #[test]
    fn other_texts_keep_their_lines() {
        assert_eq!(fill("one\ntwo\n  three", 40), "one\ntwo\n  three");
        assert_eq!(fill("[\n    1,\n    2,", 40), "[\n    1, 2,");
    }
}
