//! From the values of a pickle to named tensors, each checked to lie inside its storage.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Plain;
use super::pickle::Node;

/// The type of a tensor's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dtype {
    /// `torch.float32`.
    F32,
    /// `torch.float64`.
    F64,
    /// `torch.float16`.
    F16,
    /// `torch.bfloat16`.
    BF16,
    /// `torch.int64`.
    I64,
    /// `torch.int32`.
    I32,
    /// `torch.int16`.
    I16,
    /// `torch.int8`.
    I8,
    /// `torch.uint8`.
    U8,
    /// `torch.bool`, a byte of 0 or 1.
    Bool,
}

impl Dtype {
    /// Bytes of a value.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "FloatStorage" | "float32" => Self::F32,
            "DoubleStorage" | "float64" => Self::F64,
            "HalfStorage" | "float16" => Self::F16,
            "BFloat16Storage" | "bfloat16" => Self::BF16,
            "LongStorage" | "int64" => Self::I64,
            "IntStorage" | "int32" => Self::I32,
            "ShortStorage" | "int16" => Self::I16,
            "CharStorage" | "int8" => Self::I8,
            // Without a type of its own a storage is counted in bytes.
            "ByteStorage" | "UntypedStorage" | "uint8" => Self::U8,
            "BoolStorage" | "bool" => Self::Bool,
            _ => return None,
        })
    }
}

/// A tensor of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name; names of nested dictionaries are joined with `.`.
    pub name: String,
    /// The type of its values.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
    strides: Vec<usize>,
    /// The place of its first value in the file.
    start: u64,
}

impl TensorInfo {
    /// The number of values.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Place and length of the bytes from the first value to the last.
    pub(super) fn extent(&self) -> (u64, usize) {
        (self.start, reach(&self.shape, &self.strides).unwrap_or(0) * self.dtype.width())
    }

    /// The bytes of the values in order.
    pub(super) fn gather(&self, bytes: Vec<u8>) -> Vec<u8> {
        let width = self.dtype.width();
        if bytes.is_empty() {
            return bytes;
        }
        let mut dense = 1;
        let ordered = self.shape.iter().zip(&self.strides).rev().all(|(size, stride)| {
            let fits = *size == 1 || *stride == dense;
            dense *= size;
            fits
        });
        if ordered {
            return bytes;
        }
        let mut values = Vec::with_capacity(self.count() * width);
        let mut index = vec![0usize; self.shape.len()];
        for _ in 0..self.count() {
            let at = index.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum::<usize>();
            values.extend_from_slice(&bytes[at * width..(at + 1) * width]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                if index[axis] < self.shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        values
    }
}

/// Values from the first to the last, both counted; `None` when that overflows.
fn reach(shape: &[usize], strides: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape
        .iter()
        .zip(strides)
        .try_fold(1usize, |sum, (size, stride)| sum.checked_add((size - 1).checked_mul(*stride)?))
}

/// A storage as the pickle names it.
pub(super) struct Storage {
    pub(super) key: String,
    dtype: Dtype,
}

/// Nesting beyond which dictionaries are not searched, and tensors beyond which a file is not believed.
const DEPTH: usize = 8;
const TENSORS: usize = 1_000_000;

/// All tensors below `root`; `locate` gives place and size in bytes of a storage.
pub(super) fn tensors_of(
    nodes: &[Node],
    root: u32,
    locate: &dyn Fn(&Storage) -> Plain<(u64, u64)>,
) -> Plain<Vec<TensorInfo>> {
    let mut walk = Walk { nodes, locate, tensors: Vec::new(), places: HashMap::new(), visits: 0 };
    walk.visit(root, "", 0)?;
    if walk.tensors.is_empty() {
        return Err(match nodes.get(root as usize) {
            Some(Node::Call { what, .. }) => match nodes.get(*what as usize) {
                Some(Node::Global(module, name)) => format!(
                    "it holds an object of class {module}.{name}, which only Python could rebuild; save \
                     its tensors instead: torch.save(model.state_dict(), path)"
                ),
                _ => "it holds no dictionary of tensors".to_owned(),
            },
            _ => "it holds no tensors under names".to_owned(),
        });
    }
    Ok(walk.tensors)
}

/// Bytes of a value, by storage key.
pub(super) fn storage_widths(nodes: &[Node]) -> HashMap<String, u64> {
    let ids = nodes.iter().filter_map(|node| match node {
        Node::Persistent(id) => storage(nodes, *id).ok(),
        _ => None,
    });
    ids.map(|storage| (storage.key, storage.dtype.width() as u64)).collect()
}

struct Walk<'a> {
    nodes: &'a [Node],
    locate: &'a dyn Fn(&Storage) -> Plain<(u64, u64)>,
    tensors: Vec<TensorInfo>,
    places: HashMap<String, usize>,
    visits: usize,
}

impl Walk<'_> {
    fn visit(&mut self, id: u32, name: &str, depth: usize) -> Plain<()> {
        self.visits += 1;
        if self.visits > TENSORS || name.len() > 4096 {
            return Err("its dictionaries are nested without end".to_owned());
        }
        match self.nodes.get(id as usize) {
            Some(Node::Dict(pairs)) if depth < DEPTH => {
                for pair in pairs.chunks_exact(2) {
                    let key = match self.nodes.get(pair[0] as usize) {
                        Some(Node::Text(key)) => key.clone(),
                        Some(Node::Int(key)) => key.to_string(),
                        _ => continue,
                    };
                    let name = if name.is_empty() { key } else { format!("{name}.{key}") };
                    self.visit(pair[1], &name, depth + 1)?;
                }
                Ok(())
            }
            Some(Node::List(items) | Node::Tuple(items)) if depth < DEPTH => {
                for (number, item) in items.iter().enumerate() {
                    let number = number.to_string();
                    let name = if name.is_empty() { number } else { format!("{name}.{number}") };
                    self.visit(*item, &name, depth + 1)?;
                }
                Ok(())
            }
            Some(Node::Call { what, arguments }) => self.call(*what, *arguments, name, depth),
            _ => Ok(()),
        }
    }

    fn call(&mut self, what: u32, arguments: u32, name: &str, depth: usize) -> Plain<()> {
        let Some(Node::Global(module, function)) = self.nodes.get(what as usize) else {
            return Ok(());
        };
        let Some(Node::Tuple(arguments)) = self.nodes.get(arguments as usize) else {
            return Ok(());
        };
        match (module.as_str(), function.as_str()) {
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state")
                if depth < DEPTH =>
            {
                arguments.first().map_or(Ok(()), |inner| self.visit(*inner, name, depth + 1))
            }
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3") => {
                let info = self
                    .tensor(arguments, name)
                    .map_err(|reason| format!("tensor {name:?}: {reason}"))?;
                // As in a dictionary, the last one of a name counts.
                match self.places.entry(info.name.clone()) {
                    Entry::Occupied(place) => self.tensors[*place.get()] = info,
                    Entry::Vacant(place) => {
                        place.insert(self.tensors.len());
                        self.tensors.push(info);
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// `(storage, offset, shape, strides, …)`; the third form has the type at place 6.
    fn tensor(&self, arguments: &[u32], name: &str) -> Plain<TensorInfo> {
        let [source, offset, shape, strides, ..] = arguments else {
            return Err("it has too few arguments".to_owned());
        };
        let Some(Node::Persistent(id)) = self.nodes.get(*source as usize) else {
            return Err("its storage is inside the pickle".to_owned());
        };
        let storage = storage(self.nodes, *id)?;
        let dtype = match arguments.get(6).and_then(|at| self.nodes.get(*at as usize)) {
            Some(Node::Global(_, dtype)) => {
                Dtype::of(dtype).ok_or_else(|| format!("its type {dtype} is not known"))?
            }
            _ => storage.dtype,
        };
        let (shape, strides) = (self.sizes(*shape)?, self.sizes(*strides)?);
        let offset = self.size(*offset)?;
        if shape.len() != strides.len() || shape.len() > 16 {
            return Err(format!("a shape {shape:?} with strides {strides:?}"));
        }
        let (start, size) = (self.locate)(&storage)?;
        let held = usize::try_from(size).unwrap_or(usize::MAX) / dtype.width();
        let count = shape.iter().try_fold(1usize, |sum, size| sum.checked_mul(*size));
        let end = reach(&shape, &strides).and_then(|reach| reach.checked_add(offset));
        // A tensor of more values than its storage repeats some; no training writes that.
        if end.is_none_or(|end| end > held) || count.is_none_or(|count| count > held) {
            return Err(format!(
                "shape {shape:?}, strides {strides:?} and offset {offset} go beyond the {held} values of \
                 its storage"
            ));
        }
        let start = start + (offset * dtype.width()) as u64;
        Ok(TensorInfo { name: name.to_owned(), dtype, shape, strides, start })
    }

    fn sizes(&self, id: u32) -> Plain<Vec<usize>> {
        match self.nodes.get(id as usize) {
            Some(Node::Tuple(items)) => items.iter().map(|item| self.size(*item)).collect(),
            // torch.Size is a call with one tuple.
            Some(Node::Call { arguments, .. }) => match self.nodes.get(*arguments as usize) {
                Some(Node::Tuple(items)) if items.len() == 1 => {
                    match self.nodes.get(items[0] as usize) {
                        Some(Node::Tuple(items)) => {
                            items.iter().map(|item| self.size(*item)).collect()
                        }
                        _ => Err("its shape is no tuple".to_owned()),
                    }
                }
                _ => Err("its shape is no tuple".to_owned()),
            },
            _ => Err("its shape is no tuple".to_owned()),
        }
    }

    fn size(&self, id: u32) -> Plain<usize> {
        match self.nodes.get(id as usize) {
            Some(Node::Int(value)) => {
                usize::try_from(*value).map_err(|_| format!("a size of {value}"))
            }
            _ => Err("a size is no number".to_owned()),
        }
    }
}

/// `("storage", type, key, device, count)`.
fn storage(nodes: &[Node], id: u32) -> Plain<Storage> {
    let Some(Node::Tuple(parts)) = nodes.get(id as usize) else {
        return Err("its storage has no description".to_owned());
    };
    let at = |place: usize| parts.get(place).and_then(|id| nodes.get(*id as usize));
    let (Some(Node::Global(_, kind)), Some(Node::Text(key))) = (at(1), at(2)) else {
        return Err("the description of its storage is damaged".to_owned());
    };
    let dtype = Dtype::of(kind).ok_or_else(|| format!("storages of type {kind} are not known"))?;
    Ok(Storage { key: key.clone(), dtype })
}
