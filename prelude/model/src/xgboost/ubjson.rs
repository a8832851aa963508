//! Universal Binary JSON (draft 12), which Python's `xgboost` saves models in: [`read`].
//!
//! Read here and not by XGBoost, whose reader ends the process on some damaged files.

use serde_json::{Map, Number, Value};

/// Objects and arrays within each other at most.
const DEEPEST: usize = 100;

/// The value that the bytes hold, or what is wrong with them.
pub(super) fn read(bytes: &[u8]) -> Result<Value, String> {
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.value(0)?;
    match reader.bytes.get(reader.at) {
        None => Ok(value),
        Some(_) => Err(format!("it goes on after its end at byte {}", reader.at)),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, String> {
        let marker = self.byte()?;
        self.of(marker, depth)
    }

    /// The value behind a marker.
    fn of(&mut self, marker: u8, depth: usize) -> Result<Value, String> {
        if depth > DEEPEST {
            return Err(format!("it is nested deeper than {DEEPEST} levels"));
        }
        Ok(match marker {
            b'{' => self.object(depth)?,
            b'[' => self.array(depth)?,
            b'S' => Value::String(self.string()?),
            b'C' => Value::String(char::from(self.byte()?).to_string()),
            b'T' => Value::Bool(true),
            b'F' => Value::Bool(false),
            b'Z' => Value::Null,
            b'd' => number(f64::from(f32::from_be_bytes(self.array_of()?))),
            b'D' => number(f64::from_be_bytes(self.array_of()?)),
            integer => Value::from(self.integer(integer)?),
        })
    }

    fn integer(&mut self, marker: u8) -> Result<i64, String> {
        Ok(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.array_of()?)),
            b'U' => i64::from(self.byte()?),
            b'I' => i64::from(i16::from_be_bytes(self.array_of()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array_of()?)),
            b'L' => i64::from_be_bytes(self.array_of()?),
            other => return Err(format!("byte {} is {other:#04x}, no type", self.at - 1)),
        })
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        let mut object = Map::new();
        loop {
            let marker = self.byte()?;
            if marker == b'}' {
                return Ok(Value::Object(object));
            }
            let length = self.integer(marker)?;
            let key = self.text(length)?;
            let value = self.value(depth + 1)?;
            object.insert(key, value);
        }
    }

    /// Arrays end with a bracket, or say their type and length first.
    fn array(&mut self, depth: usize) -> Result<Value, String> {
        let mut values = Vec::new();
        let mut marker = self.byte()?;
        let mut kind = None;
        if marker == b'$' {
            kind = Some(self.byte()?);
            marker = self.byte()?;
            if marker != b'#' {
                return Err(format!("byte {} should say how long the array is", self.at - 1));
            }
        }
        if marker == b'#' {
            let marker = self.byte()?;
            let length = self.length(marker)?;
            for _ in 0..length {
                let marker = match kind {
                    Some(kind) => kind,
                    None => self.byte()?,
                };
                values.push(self.of(marker, depth + 1)?);
            }
            return Ok(Value::Array(values));
        }
        while marker != b']' {
            values.push(self.of(marker, depth + 1)?);
            marker = self.byte()?;
        }
        Ok(Value::Array(values))
    }

    /// A length that the rest of the bytes can hold.
    fn length(&mut self, marker: u8) -> Result<usize, String> {
        let length = self.integer(marker)?;
        usize::try_from(length)
            .ok()
            .filter(|length| *length <= self.bytes.len() - self.at)
            .ok_or_else(|| {
                format!("a length of {length} at byte {} is more than there is", self.at)
            })
    }

    fn string(&mut self) -> Result<String, String> {
        let marker = self.byte()?;
        let length = self.integer(marker)?;
        self.text(length)
    }

    fn text(&mut self, length: i64) -> Result<String, String> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        String::from_utf8(self.take(length)?.to_vec())
            .map_err(|_| format!("the text before byte {} is not UTF-8", self.at))
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            return Err(format!("it ends early, at byte {}", self.bytes.len()));
        };
        let start = std::mem::replace(&mut self.at, end);
        Ok(&self.bytes[start..end])
    }
}

/// A number; null if it is not finite, which JSON cannot say.
fn number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_types_are_read() {
        let bytes = b"{i\x01aSi\x02hii\x01b[$d#i\x02\x3f\x80\0\0\xbf\0\0\0i\x01c[TFZU\xffl\xff\xff\xff\xfe]i\x01d[#U\x01I\x01\0}";
        let expected = json!({
            "a": "hi", "b": [1.0, -0.5], "c": [true, false, null, 255, -2], "d": [256],
        });
        assert_eq!(read(bytes).unwrap(), expected);
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_an_error_or_a_value() {
        let bytes =
            b"{i\x01aSi\x02hii\x01b[$d#L\0\0\0\0\0\0\0\x02\x3f\x80\0\0\xbf\0\0\0i\x01c[TF]}";
        assert!(read(bytes).is_ok());
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err());
            for value in 0..=255 {
                let mut changed = bytes.to_vec();
                changed[length] = value;
                let _ = read(&changed);
            }
        }
        assert!(read(&[b'['; 1000]).unwrap_err().contains("nested"));
        let huge = b"[$i#L\x7f\xff\xff\xff\xff\xff\xff\xff";
        assert!(read(huge).unwrap_err().contains("more than there is"));
        // Types without bytes do not make arrays longer than the file.
        assert!(read(b"[$T#l\x7f\xff\xff\xff").is_err());
    }
}
