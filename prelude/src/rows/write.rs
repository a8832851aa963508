//! A serde serialiser whose output is polars' own value type.

use std::fmt::{self, Display};

use polars::prelude::{AnyValue, Field, PlSmallStr, Series};
use serde::ser::{
    self, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// A serialised value.
pub(super) enum Cell {
    Plain(AnyValue<'static>),
    List(Vec<Cell>),
    Struct(Vec<(String, Cell)>),
}

impl Cell {
    /// The value as a row: columns by name.
    pub(super) fn into_fields(self) -> Vec<(String, AnyValue<'static>)> {
        match self {
            Self::Struct(fields) => {
                fields.into_iter().map(|(name, cell)| (name, cell.into_value())).collect()
            }
            Self::List(items) => items
                .into_iter()
                .enumerate()
                .map(|(index, cell)| (format!("column_{index}"), cell.into_value()))
                .collect(),
            Self::Plain(value) => vec![("value".to_owned(), value)],
        }
    }

    fn into_value(self) -> AnyValue<'static> {
        match self {
            Self::Plain(value) => value,
            Self::List(items) => {
                let values: Vec<_> = items.into_iter().map(Self::into_value).collect();
                Series::from_any_values(PlSmallStr::EMPTY, &values, false)
                    .map_or(AnyValue::Null, AnyValue::List)
            }
            Self::Struct(fields) => {
                let (names, values): (Vec<_>, Vec<_>) =
                    fields.into_iter().map(|(name, cell)| (name, cell.into_value())).unzip();
                let fields = names
                    .iter()
                    .zip(&values)
                    .map(|(name, value)| Field::new(PlSmallStr::from_str(name), value.dtype()))
                    .collect();
                AnyValue::StructOwned(Box::new((values, fields)))
            }
        }
    }
}

/// Why a value cannot be written: serde's message.
#[derive(Debug)]
pub(super) struct WriteError(String);

impl Display for WriteError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for WriteError {}

impl ser::Error for WriteError {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

type Written = Result<Cell, WriteError>;

/// Writes one value.
pub(super) struct CellWriter;

macro_rules! plain {
    ($($method:ident: $kind:ty => $variant:ident),* $(,)?) => {$(
        fn $method(self, value: $kind) -> Written {
            Ok(Cell::Plain(AnyValue::$variant(value)))
        }
    )*};
}

impl Serializer for CellWriter {
    type Ok = Cell;
    type Error = WriteError;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    plain! {
        serialize_bool: bool => Boolean,
        serialize_i8: i8 => Int8,
        serialize_i16: i16 => Int16,
        serialize_i32: i32 => Int32,
        serialize_i64: i64 => Int64,
        serialize_i128: i128 => Int128,
        serialize_u8: u8 => UInt8,
        serialize_u16: u16 => UInt16,
        serialize_u32: u32 => UInt32,
        serialize_u64: u64 => UInt64,
        serialize_f32: f32 => Float32,
        serialize_f64: f64 => Float64,
    }

    /// Frames have no column type beyond 127 bits.
    fn serialize_u128(self, value: u128) -> Written {
        i128::try_from(value)
            .map(|value| Cell::Plain(AnyValue::Int128(value)))
            .map_err(|_| WriteError(format!("{value} is beyond what a column of numbers holds")))
    }

    fn serialize_char(self, value: char) -> Written {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Written {
        Ok(Cell::Plain(AnyValue::StringOwned(PlSmallStr::from_str(value))))
    }

    fn serialize_bytes(self, value: &[u8]) -> Written {
        Ok(Cell::Plain(AnyValue::BinaryOwned(value.to_vec())))
    }

    fn serialize_none(self) -> Written {
        Ok(Cell::Plain(AnyValue::Null))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Written {
        self.serialize_none()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        Ok(Cell::Struct(vec![(variant.to_owned(), value.serialize(self)?)]))
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Items, WriteError> {
        Ok(Items { variant: None, items: Vec::new() })
    }

    fn serialize_tuple(self, length: usize) -> Result<Items, WriteError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Items, WriteError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items, WriteError> {
        Ok(Items { variant: Some(variant), items: Vec::new() })
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Fields, WriteError> {
        Ok(Fields { variant: None, key: None, written: Vec::new() })
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Fields, WriteError> {
        self.serialize_map(Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields, WriteError> {
        Ok(Fields { variant: Some(variant), key: None, written: Vec::new() })
    }
}

/// A list or tuple being written.
pub(super) struct Items {
    variant: Option<&'static str>,
    items: Vec<Cell>,
}

impl Items {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
        self.items.push(value.serialize(CellWriter)?);
        Ok(())
    }

    fn finish(self) -> Cell {
        named(self.variant, Cell::List(self.items))
    }
}

/// A struct or map being written.
pub(super) struct Fields {
    variant: Option<&'static str>,
    key: Option<String>,
    written: Vec<(String, Cell)>,
}

impl Fields {
    fn push<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), WriteError> {
        self.written.push((name.to_owned(), value.serialize(CellWriter)?));
        Ok(())
    }

    fn finish(self) -> Cell {
        named(self.variant, Cell::Struct(self.written))
    }
}

fn named(variant: Option<&'static str>, cell: Cell) -> Cell {
    match variant {
        Some(variant) => Cell::Struct(vec![(variant.to_owned(), cell)]),
        None => cell,
    }
}

/// The traits of sequences differ in the name of one method.
macro_rules! sequence {
    ($($kind:ident::$method:ident),*) => {$(
        impl $kind for Items {
            type Ok = Cell;
            type Error = WriteError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
                self.push(value)
            }

            fn end(self) -> Written {
                Ok(self.finish())
            }
        }
    )*};
}
sequence!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

macro_rules! structure {
    ($($kind:ident),*) => {$(
        impl $kind for Fields {
            type Ok = Cell;
            type Error = WriteError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), WriteError> {
                self.push(name, value)
            }

            fn end(self) -> Written {
                Ok(self.finish())
            }
        }
    )*};
}
structure!(SerializeStruct, SerializeStructVariant);

impl SerializeMap for Fields {
    type Ok = Cell;
    type Error = WriteError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), WriteError> {
        self.key = match key.serialize(CellWriter)? {
            Cell::Plain(AnyValue::StringOwned(name)) => Some(name.to_string()),
            Cell::Plain(value) => Some(value.to_string()),
            _ => return Err(WriteError("a map's keys must be texts or numbers".to_owned())),
        };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
        let name = self.key.take().unwrap_or_default();
        self.push(&name, value)
    }

    fn end(self) -> Written {
        Ok(self.finish())
    }
}
