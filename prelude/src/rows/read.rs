//! A serde deserialiser over one row of a frame.

use std::fmt::{self, Display};

use polars::prelude::{AnyValue, DataFrame, Series};
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::dates;

/// Why a row does not fit: serde's message, with the column's name.
#[derive(Debug)]
pub(super) struct ReadError(String);

impl Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Plain values are read from the only column.
macro_rules! plain_of_one_column {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            self.only_value()?.$method(visitor)
        }
    )*};
}

/// One row: a map for structs and maps, a sequence for tuples, its only column for plain values.
pub(super) struct RowReader<'a> {
    pub(super) frame: &'a DataFrame,
    pub(super) row: usize,
}

impl<'a> RowReader<'a> {
    fn value(&self, column: usize) -> Result<AnyValue<'a>, ReadError> {
        self.frame.columns()[column].get(self.row).map_err(de::Error::custom)
    }

    fn only_value(&self) -> Result<CellReader<'a>, ReadError> {
        match self.frame.width() {
            1 => Ok(CellReader(self.value(0)?)),
            width => Err(ReadError(format!(
                "a plain value needs a frame of one column, this one has {width}"
            ))),
        }
    }

    fn fields(self) -> Fields<'a> {
        Fields { row: self, next: 0 }
    }
}

impl<'de> Deserializer<'de> for RowReader<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_map(self.fields())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_seq(self.fields())
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_seq(self.fields())
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_seq(self.fields())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.frame.width() {
            1 => self.only_value()?.deserialize_option(visitor),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.only_value()?.deserialize_enum(name, variants, visitor)
    }

    plain_of_one_column! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
    }

    forward_to_deserialize_any! { unit_struct map struct identifier ignored_any }
}

/// The columns of a row, as a map or as a sequence.
struct Fields<'a> {
    row: RowReader<'a>,
    next: usize,
}

impl Fields<'_> {
    fn read<'de, S: DeserializeSeed<'de>>(
        &self,
        column: usize,
        seed: S,
    ) -> Result<S::Value, ReadError> {
        seed.deserialize(CellReader(self.row.value(column)?)).map_err(|error| {
            let name = self.row.frame.columns()[column].name();
            ReadError(format!("column `{name}`: {error}"))
        })
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        let Some(column) = self.row.frame.columns().get(self.next) else { return Ok(None) };
        self.next += 1;
        seed.deserialize(column.name().as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        self.read(self.next - 1, seed)
    }
}

impl<'de> SeqAccess<'de> for Fields<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        if self.next == self.row.frame.width() {
            return Ok(None);
        }
        self.next += 1;
        self.read(self.next - 1, seed).map(Some)
    }
}

/// One value.
struct CellReader<'a>(AnyValue<'a>);

impl<'de> Deserializer<'de> for CellReader<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if let Some(text) = self.0.get_str() {
            return visitor.visit_str(text);
        }
        if let Some(text) = dates::text_of(&self.0) {
            return visitor.visit_string(text);
        }
        match self.0 {
            AnyValue::Null => visitor.visit_unit(),
            AnyValue::Boolean(value) => visitor.visit_bool(value),
            AnyValue::Int8(value) => visitor.visit_i8(value),
            AnyValue::Int16(value) => visitor.visit_i16(value),
            AnyValue::Int32(value) => visitor.visit_i32(value),
            AnyValue::Int64(value) | AnyValue::Duration(value, _) => visitor.visit_i64(value),
            AnyValue::Int128(value) => visitor.visit_i128(value),
            AnyValue::UInt8(value) => visitor.visit_u8(value),
            AnyValue::UInt16(value) => visitor.visit_u16(value),
            AnyValue::UInt32(value) => visitor.visit_u32(value),
            AnyValue::UInt64(value) => visitor.visit_u64(value),
            AnyValue::UInt128(value) => visitor.visit_u128(value),
            AnyValue::Float32(value) => visitor.visit_f32(value),
            AnyValue::Float64(value) => visitor.visit_f64(value),
            AnyValue::Binary(bytes) => visitor.visit_bytes(bytes),
            AnyValue::BinaryOwned(bytes) => visitor.visit_byte_buf(bytes),
            AnyValue::List(values) | AnyValue::Array(values, _) => {
                visitor.visit_seq(Elements { values: &values, next: 0 })
            }
            value @ (AnyValue::Struct(..) | AnyValue::StructOwned(_)) => {
                visitor.visit_map(StructFields::new(value))
            }
            other => match other.extract::<f64>() {
                Some(number) => visitor.visit_f64(number),
                None => Err(ReadError(format!("values of type {} cannot be read", other.dtype()))),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.0 {
            AnyValue::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self.0.get_str() {
            Some(text) => {
                let variant: de::value::StrDeserializer<'_, ReadError> = text.into_deserializer();
                variant.deserialize_enum(name, variants, visitor)
            }
            // A variant with content was written as a struct whose one field is not null.
            None => visitor.visit_enum(de::value::MapAccessDeserializer::new(
                StructFields::new(self.0).without_nulls(),
            )),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Elements<'a> {
    values: &'a Series,
    next: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        if self.next == self.values.len() {
            return Ok(None);
        }
        let value = self.values.get(self.next).map_err(de::Error::custom)?;
        self.next += 1;
        seed.deserialize(CellReader(value)).map(Some)
    }
}

struct StructFields<'a> {
    fields: std::vec::IntoIter<(String, AnyValue<'a>)>,
    value: Option<AnyValue<'a>>,
}

impl<'a> StructFields<'a> {
    fn new(value: AnyValue<'a>) -> Self {
        let owned = value.into_static();
        let fields: Vec<_> = match owned {
            AnyValue::StructOwned(content) => {
                let (values, fields) = *content;
                fields.into_iter().map(|field| field.name.to_string()).zip(values).collect()
            }
            _ => Vec::new(),
        };
        Self { fields: fields.into_iter(), value: None }
    }

    fn without_nulls(mut self) -> Self {
        let kept: Vec<_> = self.fields.filter(|(_, value)| !value.is_null()).collect();
        self.fields = kept.into_iter();
        self
    }
}

impl<'de> MapAccess<'de> for StructFields<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        let Some((name, value)) = self.fields.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        seed.deserialize(CellReader(self.value.take().unwrap_or(AnyValue::Null)))
    }
}
