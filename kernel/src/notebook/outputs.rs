//! From what cells show to the outputs of a notebook file: streams merged, updates and clears applied.

use serde_json::{Map, Value, json};

use crate::notebook::format::split_lines;
use crate::server::handler::{CellError, Output, StreamName};

/// Outputs of all cells of a notebook.
#[derive(Debug, Default)]
pub struct Outputs {
    cells: Vec<CellOutputs>,
}

#[derive(Debug, Default)]
struct CellOutputs {
    shown: Vec<Shown>,
    /// A clear that waits for the next output.
    clear: bool,
}

#[derive(Debug)]
enum Shown {
    Stream { name: StreamName, text: String },
    Bundle { value: Value, display_id: Option<String> },
}

impl Outputs {
    /// Outputs of `cells` cells, none yet.
    #[must_use]
    pub fn new(cells: usize) -> Self {
        Self { cells: (0..cells).map(|_| CellOutputs::default()).collect() }
    }

    /// Applies an output of the cell at `index`. Input requests and comms leave nothing behind.
    pub fn apply(&mut self, index: usize, count: u32, output: Output) {
        match output {
            Output::Stream { name, text } => self.stream(index, name, &text),
            Output::Display { bundle, display_id: Some(id), update: true } => {
                let (data, metadata) = content(bundle.data, bundle.metadata);
                self.update(&id, &data, &metadata);
            }
            Output::Display { bundle, display_id, .. } => {
                let (data, metadata) = content(bundle.data, bundle.metadata);
                let value =
                    json!({ "output_type": "display_data", "data": data, "metadata": metadata });
                self.push(index, Shown::Bundle { value, display_id });
            }
            Output::Result { bundle } => {
                let (data, metadata) = content(bundle.data, bundle.metadata);
                let value = json!({
                    "output_type": "execute_result",
                    "execution_count": count,
                    "data": data,
                    "metadata": metadata,
                });
                self.push(index, Shown::Bundle { value, display_id: None });
            }
            Output::Clear { wait } => {
                if let Some(cell) = self.cells.get_mut(index) {
                    cell.clear = wait;
                    if !wait {
                        cell.shown.clear();
                    }
                }
            }
            Output::Error(error) => self.error(index, &error),
            Output::Input { .. } | Output::Comm(_) => {}
        }
    }

    /// Adds the error that ended the cell at `index`.
    pub fn error(&mut self, index: usize, error: &CellError) {
        let value = json!({
            "output_type": "error",
            "ename": error.ename,
            "evalue": error.evalue,
            "traceback": error.traceback,
        });
        self.push(index, Shown::Bundle { value, display_id: None });
    }

    /// The outputs of each cell in the form of nbformat; nothing is left.
    #[must_use]
    pub fn take(&mut self) -> Vec<Vec<Value>> {
        let cells = std::mem::take(&mut self.cells);
        cells
            .into_iter()
            .map(|cell| cell.shown.into_iter().map(Shown::into_value).collect())
            .collect()
    }

    fn stream(&mut self, index: usize, name: StreamName, text: &str) {
        let Some(cell) = self.cells.get_mut(index) else { return };
        cell.clear_now();
        if let Some(Shown::Stream { name: last, text: so_far }) = cell.shown.last_mut()
            && *last == name
        {
            so_far.push_str(text);
        } else {
            cell.shown.push(Shown::Stream { name, text: text.to_owned() });
        }
    }

    fn push(&mut self, index: usize, shown: Shown) {
        let Some(cell) = self.cells.get_mut(index) else { return };
        cell.clear_now();
        cell.shown.push(shown);
    }

    fn update(&mut self, id: &str, data: &Value, metadata: &Value) {
        for shown in self.cells.iter_mut().flat_map(|cell| &mut cell.shown) {
            if let Shown::Bundle { value, display_id } = shown
                && display_id.as_deref() == Some(id)
            {
                value["data"] = data.clone();
                value["metadata"] = metadata.clone();
            }
        }
    }
}

impl CellOutputs {
    fn clear_now(&mut self) {
        if std::mem::take(&mut self.clear) {
            self.shown.clear();
        }
    }
}

impl Shown {
    fn into_value(self) -> Value {
        match self {
            Self::Stream { name, text } => json!({
                "output_type": "stream", "name": name.as_str(), "text": split_lines(&text),
            }),
            Self::Bundle { value, .. } => value,
        }
    }
}

/// `data` and `metadata` of a bundle: texts as lists of lines, JSON as it is, pictures as one string.
fn content(data: Map<String, Value>, metadata: Map<String, Value>) -> (Value, Value) {
    let line = |(mime, value): (String, Value)| {
        let value = match value {
            Value::String(text) if is_text(&mime) => split_lines(&text),
            other => other,
        };
        (mime, value)
    };
    (Value::Object(data.into_iter().map(line).collect()), Value::Object(metadata))
}

fn is_text(mime: &str) -> bool {
    mime.starts_with("text/") || mime == "image/svg+xml" || mime == "application/javascript"
}

#[cfg(test)]
mod tests {
    use oxilab_protocol::MimeBundle;

    use super::*;

    fn out(text: &str) -> Output {
        Output::Stream { name: StreamName::Stdout, text: text.into() }
    }

    fn display(text: &str, id: Option<&str>, update: bool) -> Output {
        let display_id = id.map(str::to_owned);
        Output::Display { bundle: MimeBundle::text(text), display_id, update }
    }

    #[test]
    fn streams_merge_by_name_while_they_follow_each_other() {
        let mut outputs = Outputs::new(1);
        outputs.apply(0, 1, out("a\nb"));
        outputs.apply(0, 1, out("c\n"));
        outputs.apply(0, 1, Output::Stream { name: StreamName::Stderr, text: "e".into() });
        outputs.apply(0, 1, out("d"));
        let shown = outputs.take().remove(0);
        assert_eq!(shown.len(), 3);
        assert_eq!(
            shown[0],
            json!({"output_type": "stream", "name": "stdout", "text": ["a\n", "bc\n"]})
        );
    }

    #[test]
    fn updates_reach_displays_of_earlier_cells() {
        let mut outputs = Outputs::new(2);
        outputs.apply(0, 1, display("0 %", Some("bar"), false));
        outputs.apply(1, 2, display("100 %", Some("bar"), true));
        outputs.apply(1, 2, display("x", Some("unknown"), true));
        let shown = outputs.take();
        assert_eq!(shown[0][0]["data"]["text/plain"], json!(["100 %"]));
        assert_eq!(shown[1], Vec::<Value>::new());
    }

    #[test]
    fn a_clear_that_waits_keeps_the_output_until_the_next() {
        let mut outputs = Outputs::new(3);
        for index in 0..3 {
            outputs.apply(index, 1, out("old"));
        }
        outputs.apply(0, 1, Output::Clear { wait: false });
        outputs.apply(1, 1, Output::Clear { wait: true });
        outputs.apply(2, 1, Output::Clear { wait: true });
        outputs.apply(2, 1, Output::Result { bundle: MimeBundle::text("new") });
        let shown = outputs.take();
        assert_eq!(shown[0].len(), 0);
        assert_eq!(shown[1].len(), 1);
        assert_eq!(shown[2].len(), 1);
        assert_eq!(shown[2][0]["execution_count"], 1);
    }

    #[test]
    fn pictures_stay_strings_and_json_stays_json() {
        let bundle = MimeBundle::text("t")
            .with("image/png", "iVBOR")
            .with_html("<b>\n</b>")
            .with("application/vnd.vegalite.v5+json", json!({"mark": "bar"}));
        let mut outputs = Outputs::new(1);
        outputs.apply(0, 1, Output::Result { bundle });
        let data = &outputs.take()[0][0]["data"];
        assert_eq!(data["image/png"], "iVBOR");
        assert_eq!(data["text/html"], json!(["<b>\n", "</b>"]));
        assert_eq!(data["application/vnd.vegalite.v5+json"]["mark"], "bar");
    }
}
