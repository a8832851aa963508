//! A graph of ONNX operators while it is put together: [`Graph`].

use crate::wire::Message;

/// The version of the file's layout, and of the two sets of operators that are used.
const IR: i64 = 8;
const OPERATORS: i64 = 15;
const LEARNERS: i64 = 3;
/// The set of operators for trees and categories.
const ML: &str = "ai.onnx.ml";
/// Protocol buffers end here.
pub(crate) const MOST: usize = i32::MAX as usize;

/// ONNX's numbers of the types that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    F32 = 1,
    I64 = 7,
    Text = 8,
    Bool = 9,
    F64 = 11,
}

/// The values of a tensor.
pub(crate) enum Values<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
    I64(&'a [i64]),
    Bool(&'a [bool]),
    Text(&'a [String]),
}

/// A setting of an operator.
pub(crate) enum Setting<'a> {
    Int(i64),
    Float(f32),
    Text(&'a str),
    Ints(&'a [i64]),
    Floats(&'a [f32]),
    Texts(Vec<&'a str>),
    Tensor(&'a [f64]),
}

/// The name of a value within a graph.
pub(crate) type Name = String;

/// Operators in the order of their work.
#[derive(Default)]
pub(crate) struct Graph {
    nodes: Vec<Message>,
    constants: Vec<Message>,
    inputs: Vec<(String, Message)>,
    outputs: Vec<Message>,
    count: usize,
}

impl Graph {
    /// A name that no column has.
    fn fresh(&mut self) -> Name {
        self.count += 1;
        let mut name = format!("oxilab:{}", self.count);
        while self.inputs.iter().any(|(input, _)| *input == name) {
            name.push(':');
        }
        name
    }

    /// A value that the caller gives: one for each row, or with `width` so many.
    pub(crate) fn input(&mut self, name: &str, kind: Type, width: Option<usize>) -> Name {
        self.inputs.push((name.to_owned(), value_info(name, kind, width)));
        name.to_owned()
    }

    /// A value that the graph gives.
    pub(crate) fn output(&mut self, name: &str, value: &str, kind: Type, width: Option<usize>) {
        let mut name = name.to_owned();
        while self.inputs.iter().any(|(input, _)| *input == name) {
            name.push('_');
        }
        self.outputs.push(value_info(&name, kind, width));
        self.add("Identity", "", &[value], &name, &[]);
    }

    /// A constant.
    pub(crate) fn constant(&mut self, dims: &[usize], values: &Values<'_>) -> Name {
        let name = self.fresh();
        self.constants.push(tensor(&name, dims, values));
        name
    }

    /// One number.
    pub(crate) fn number(&mut self, value: f64) -> Name {
        self.constant(&[1], &Values::F64(&[value]))
    }

    /// The result of an operator.
    pub(crate) fn op(
        &mut self,
        operator: &str,
        inputs: &[&str],
        settings: &[(&str, Setting<'_>)],
    ) -> Name {
        let name = self.fresh();
        self.add(operator, "", inputs, &name, settings);
        name
    }

    /// The result of an operator for trees or categories.
    pub(crate) fn ml(
        &mut self,
        operator: &str,
        input: &str,
        settings: &[(&str, Setting<'_>)],
    ) -> Name {
        let name = self.fresh();
        self.add(operator, ML, &[input], &name, settings);
        name
    }

    /// As another type.
    pub(crate) fn cast(&mut self, value: &str, kind: Type) -> Name {
        self.op("Cast", &[value], &[("to", Setting::Int(kind as i64))])
    }

    /// As rows of `width`, or with 0 as one row of all.
    pub(crate) fn rows_of(&mut self, value: &str, width: usize) -> Name {
        let dims: &[i64] = if width == 0 { &[-1] } else { &[-1, count(width)] };
        let shape = self.constant(&[dims.len()], &Values::I64(dims));
        self.op("Reshape", &[value, &shape], &[])
    }

    /// One column of rows.
    pub(crate) fn column(&mut self, rows: &str, column: usize) -> Name {
        let place = self.constant(&[1], &Values::I64(&[count(column)]));
        self.op("Gather", &[rows, &place], &[("axis", Setting::Int(1))])
    }

    /// Columns beside each other.
    pub(crate) fn beside(&mut self, columns: &[Name]) -> Name {
        if let [only] = columns {
            return only.clone();
        }
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        self.op("Concat", &columns, &[("axis", Setting::Int(1))])
    }

    fn add(
        &mut self,
        operator: &str,
        domain: &str,
        inputs: &[&str],
        output: &str,
        settings: &[(&str, Setting<'_>)],
    ) {
        let mut node = Message::default();
        for input in inputs {
            node = node.text(1, input);
        }
        node = node.text(2, output).text(3, output).text(4, operator);
        for (name, setting) in settings {
            node = node.message(5, &attribute(name, setting));
        }
        self.nodes.push(if domain.is_empty() { node } else { node.text(7, domain) });
    }

    /// The file. `notes` are names and values that describe the model.
    pub(crate) fn finish(self, title: &str, notes: &[(&str, String)]) -> Vec<u8> {
        let mut graph = Message::default();
        for node in &self.nodes {
            graph = graph.message(1, node);
        }
        graph = graph.text(2, title);
        for constant in &self.constants {
            graph = graph.message(5, constant);
        }
        for (_, input) in &self.inputs {
            graph = graph.message(11, input);
        }
        for output in &self.outputs {
            graph = graph.message(12, output);
        }
        let set = |domain: &str, version| Message::default().text(1, domain).int(2, version);
        let mut model = Message::default()
            .int(1, IR)
            .text(2, "oxilab")
            .text(3, env!("CARGO_PKG_VERSION"))
            .message(7, &graph)
            .message(8, &set("", OPERATORS))
            .message(8, &set(ML, LEARNERS));
        for (name, value) in notes {
            model = model.message(14, &Message::default().text(1, name).text(2, value));
        }
        model.into_bytes()
    }
}

/// A count or a place, as ONNX has it.
pub(crate) fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn value_info(name: &str, kind: Type, width: Option<usize>) -> Message {
    let rows = Message::default().text(2, "rows");
    let mut shape = Message::default().message(1, &rows);
    if let Some(width) = width {
        shape = shape.message(1, &Message::default().int(1, count(width)));
    }
    let tensor = Message::default().int(1, kind as i64).message(2, &shape);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
}

fn tensor(name: &str, dims: &[usize], values: &Values<'_>) -> Message {
    let dims: Vec<i64> = dims.iter().map(|size| count(*size)).collect();
    let (kind, raw): (Type, Vec<u8>) = match values {
        Values::F32(values) => (Type::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Values::F64(values) => (Type::F64, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Values::I64(values) => (Type::I64, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Values::Bool(values) => (Type::Bool, values.iter().map(|v| u8::from(*v)).collect()),
        Values::Text(_) => (Type::Text, Vec::new()),
    };
    let mut tensor = Message::default().ints(1, &dims).int(2, kind as i64);
    if let Values::Text(texts) = values {
        for text in *texts {
            tensor = tensor.text(6, text);
        }
        return tensor.text(8, name);
    }
    tensor.text(8, name).bytes(9, &raw)
}

fn attribute(name: &str, setting: &Setting<'_>) -> Message {
    const FLOAT: i64 = 1;
    const INT: i64 = 2;
    const STRING: i64 = 3;
    const TENSOR: i64 = 4;
    const FLOATS: i64 = 6;
    const INTS: i64 = 7;
    const STRINGS: i64 = 8;
    let attribute = Message::default().text(1, name);
    match setting {
        Setting::Int(value) => attribute.int(3, *value).int(20, INT),
        Setting::Float(value) => attribute.float(2, *value).int(20, FLOAT),
        Setting::Text(text) => attribute.text(4, text).int(20, STRING),
        Setting::Ints(values) => attribute.ints(8, values).int(20, INTS),
        Setting::Floats(values) => attribute.floats(7, values).int(20, FLOATS),
        Setting::Texts(texts) => {
            texts.iter().fold(attribute, |to, text| to.text(9, text)).int(20, STRINGS)
        }
        Setting::Tensor(values) => {
            let tensor = tensor("", &[values.len()], &Values::F64(values));
            attribute.message(5, &tensor).int(20, TENSOR)
        }
    }
}
