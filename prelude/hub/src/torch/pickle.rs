//! A reader of pickles that calls nothing.
//!
//! Values live in one list and name each other by number, so that a memo that is used a thousand times
//! costs a thousand numbers, not a thousand copies: what is held grows with the bytes read.

use std::collections::HashMap;

use super::Plain;

/// A value; numbers are places in [`Machine::nodes`].
#[derive(Clone, Debug)]
pub(super) enum Node {
    None,
    Bool,
    Int(i64),
    Float,
    Text(String),
    Bytes,
    Tuple(Vec<u32>),
    List(Vec<u32>),
    /// Key and value in turn.
    Dict(Vec<u32>),
    /// A name to import: module and name.
    Global(String, String),
    /// What a name would have made of these arguments.
    Call {
        what: u32,
        arguments: u32,
    },
    /// A storage outside the pickle.
    Persistent(u32),
}

/// Values beyond which a pickle is not believed: 16 bytes of pickle are read for a value of PyTorch's,
/// but one byte can make one.
const NODES: u32 = 8 << 20;

/// The state of a reader.
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<u32>,
    marks: Vec<usize>,
    memo: HashMap<u32, u32>,
    pub(super) nodes: Vec<Node>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            nodes: Vec::new(),
        }
    }

    /// How many bytes were read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Reads up to the end of the pickle and says which value is the result.
    pub(super) fn run(&mut self) -> Plain<u32> {
        loop {
            let place = self.at;
            let code = self.take(1)?[0];
            if code == b'.' {
                return self.pop();
            }
            self.step(code).map_err(|reason| {
                format!("its pickle, byte {place}, code {code:#04x}: {reason}")
            })?;
        }
    }

    fn step(&mut self, code: u8) -> Plain<()> {
        match code {
            0x80 => self.skip(1),
            0x95 => self.skip(8),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(|_| ()),
            b'1' => self.marked().map(|_| ()),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
            b'N' => self.push(Node::None),
            0x88 | 0x89 => self.push(Node::Bool),
            b'K' | b'M' | b'J' | 0x8a | 0x8b => self.integer(code),
            b'G' => {
                self.skip(8)?;
                self.push(Node::Float)
            }
            b'X' | 0x8c | 0x8d | b'U' | b'T' | b'B' | b'C' | 0x8e => self.string(code),
            b')' | b']' | b'}' | 0x8f | b't' | b'l' | b'd' | 0x91 | 0x85..=0x87 => {
                self.collection(code)
            }
            b'a' | b'e' | 0x90 | b's' | b'u' => self.fill(code),
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.memory(code),
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Node::Global(module, name))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(Node::Text(module)), Some(Node::Text(name))) =
                    (self.nodes.get(module as usize), self.nodes.get(name as usize))
                else {
                    return Err("a name to import is not text".to_owned());
                };
                let global = Node::Global(module.clone(), name.clone());
                self.push(global)
            }
            b'R' | 0x81 => {
                let (arguments, what) = (self.pop()?, self.pop()?);
                self.push(Node::Call { what, arguments })
            }
            0x92 => {
                let (_, arguments, what) = (self.pop()?, self.pop()?, self.pop()?);
                self.push(Node::Call { what, arguments })
            }
            b'b' => self.pop().map(|_| ()),
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id))
            }
            _ => Err("it is not one that PyTorch writes".to_owned()),
        }
    }

    fn integer(&mut self, code: u8) -> Plain<()> {
        let value = match code {
            b'K' => i64::from(self.take(1)?[0]),
            b'M' => i64::try_from(self.number(2)?).unwrap_or(0),
            b'J' => {
                let bytes = self.take(4)?;
                i64::from(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            }
            _ => {
                let width = self.number(if code == 0x8a { 1 } else { 4 })?;
                let bytes = self.take(width)?;
                // Numbers that do not fit (PyTorch's own magic one) are no sizes.
                let mut wide =
                    [if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 }; 8];
                if bytes.len() <= 8 {
                    wide[..bytes.len()].copy_from_slice(bytes);
                }
                i64::from_le_bytes(wide)
            }
        };
        self.push(Node::Int(value))
    }

    fn string(&mut self, code: u8) -> Plain<()> {
        let width = match code {
            0x8c | b'U' | b'C' => 1,
            0x8d | 0x8e => 8,
            _ => 4,
        };
        let length = self.number(width)?;
        let bytes = self.take(length)?;
        if matches!(code, b'B' | b'C' | 0x8e) {
            return self.push(Node::Bytes);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "a text is not UTF-8".to_owned())?;
        let text = text.to_owned();
        self.push(Node::Text(text))
    }

    fn collection(&mut self, code: u8) -> Plain<()> {
        let node = match code {
            b')' => Node::Tuple(Vec::new()),
            b']' | 0x8f => Node::List(Vec::new()),
            b'}' => Node::Dict(Vec::new()),
            b't' => Node::Tuple(self.marked()?),
            b'l' | 0x91 => Node::List(self.marked()?),
            b'd' => Node::Dict(self.marked()?),
            _ => {
                let from = self.stack.len().checked_sub(usize::from(code - 0x84));
                let from = from.filter(|from| *from >= self.floor()).ok_or("the stack is empty")?;
                Node::Tuple(self.stack.split_off(from))
            }
        };
        self.push(node)
    }

    /// Adds values to the list or dictionary below them.
    fn fill(&mut self, code: u8) -> Plain<()> {
        let values = match code {
            b'a' => vec![self.pop()?],
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                vec![key, value]
            }
            _ => self.marked()?,
        };
        let target = self.top()?;
        match self.nodes.get_mut(target as usize) {
            Some(Node::List(list)) if !matches!(code, b's' | b'u') => list.extend(values),
            Some(Node::Dict(pairs)) if matches!(code, b's' | b'u') => pairs.extend(values),
            Some(Node::Call { .. }) if matches!(code, b's' | b'u') => {
                // A dictionary of a class of its own, for example OrderedDict: the call becomes one.
                let call = self.nodes[target as usize].clone();
                let named = matches!(call, Node::Call { what, .. } if self.is_dict(what));
                if !named {
                    return Ok(());
                }
                self.nodes[target as usize] = Node::Dict(values);
            }
            Some(Node::Call { .. }) => {}
            _ => return Err("values for something that holds none".to_owned()),
        }
        Ok(())
    }

    fn is_dict(&self, what: u32) -> bool {
        let Some(Node::Global(module, name)) = self.nodes.get(what as usize) else { return false };
        matches!(
            (module.as_str(), name.as_str()),
            ("collections", "OrderedDict" | "defaultdict") | ("builtins" | "__builtin__", "dict")
        )
    }

    fn memory(&mut self, code: u8) -> Plain<()> {
        let key = match code {
            0x94 => u32::try_from(self.memo.len()).map_err(|_| "too many values".to_owned())?,
            b'q' | b'h' => u32::from(self.take(1)?[0]),
            _ => u32::try_from(self.number(4)?).unwrap_or(u32::MAX),
        };
        if matches!(code, b'h' | b'j') {
            let value = self.memo.get(&key).copied();
            self.stack.push(value.ok_or_else(|| format!("value {key} was never kept"))?);
        } else {
            let top = self.top()?;
            self.memo.insert(key, top);
        }
        Ok(())
    }

    fn push(&mut self, node: Node) -> Plain<()> {
        let number = u32::try_from(self.nodes.len()).ok().filter(|number| *number < NODES);
        let number = number.ok_or_else(|| format!("more than {NODES} values"))?;
        self.nodes.push(node);
        self.stack.push(number);
        Ok(())
    }

    /// The stack ends at the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Plain<u32> {
        let top = self.stack.last().filter(|_| self.stack.len() > self.floor());
        top.copied().ok_or_else(|| "the stack is empty".to_owned())
    }

    fn pop(&mut self) -> Plain<u32> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn marked(&mut self) -> Plain<Vec<u32>> {
        let from = self.marks.pop().ok_or("there is no mark")?;
        Ok(self.stack.split_off(from.min(self.stack.len())))
    }

    fn take(&mut self, count: usize) -> Plain<&'a [u8]> {
        let end = self.at.checked_add(count);
        let bytes = end.and_then(|end| self.bytes.get(self.at..end));
        let bytes = bytes.ok_or_else(|| {
            format!("{count} bytes wanted, {} are left", self.bytes.len() - self.at)
        })?;
        self.at += count;
        Ok(bytes)
    }

    fn skip(&mut self, count: usize) -> Plain<()> {
        self.take(count).map(|_| ())
    }

    fn number(&mut self, width: usize) -> Plain<usize> {
        let bytes = self.take(width)?;
        let value = bytes.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        usize::try_from(value).map_err(|_| format!("a length of {value}"))
    }

    fn line(&mut self) -> Plain<String> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or("a name has no end")?;
        let line = self.take(end + 1)?;
        let text = std::str::from_utf8(&line[..end]).map_err(|_| "a name is not UTF-8".to_owned());
        text.map(str::to_owned)
    }
}
