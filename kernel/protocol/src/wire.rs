//! Reading and writing frames.

use std::io::{self, Read, Write};

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// No frame is larger; a larger length means that the pipe carries something else.
pub const MAX_FRAME: u32 = 1 << 30;

/// Why a frame could not be read or written.
#[derive(Debug, Error)]
pub enum WireError {
    /// The pipe failed or was closed in the middle of a frame.
    #[error("the pipe between kernel and worker failed: {source}")]
    Pipe {
        /// The cause.
        #[from]
        source: io::Error,
    },
    /// The frame's content is not what the type expects.
    #[error("a frame between kernel and worker is not valid: {source}")]
    Content {
        /// The cause.
        #[from]
        source: serde_json::Error,
    },
    /// The length is beyond [`MAX_FRAME`].
    #[error("a frame of {length} bytes is beyond the limit of {MAX_FRAME}")]
    TooLarge {
        /// The length that was read or was to be written.
        length: u64,
    },
}

/// Writes one frame with a single `write_all`, so that frames of several threads never mix when the
/// writer is behind a lock.
///
/// # Errors
/// When the pipe fails or the frame is beyond [`MAX_FRAME`].
pub fn write_frame<T: Serialize>(writer: &mut impl Write, frame: &T) -> Result<(), WireError> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, frame)?;
    let length = bytes.len() - 4;
    let header = u32::try_from(length)
        .ok()
        .filter(|length| *length <= MAX_FRAME)
        .ok_or(WireError::TooLarge { length: length as u64 })?;
    bytes[..4].copy_from_slice(&header.to_le_bytes());
    writer.write_all(&bytes)?;
    writer.flush()?;
    Ok(())
}

/// Reads one frame; `None` when the pipe was closed between frames.
///
/// # Errors
/// When the pipe fails or the frame is not a `T`.
pub fn read_frame<T: DeserializeOwned>(reader: &mut impl Read) -> Result<Option<T>, WireError> {
    let mut header = [0; 4];
    let mut filled = 0;
    while filled < header.len() {
        match reader.read(&mut header[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let length = u32::from_le_bytes(header);
    if length > MAX_FRAME {
        return Err(WireError::TooLarge { length: u64::from(length) });
    }
    let mut bytes = vec![0; length as usize];
    reader.read_exact(&mut bytes)?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Request};

    #[test]
    fn a_frame_comes_back_as_it_went() {
        let mut pipe = Vec::new();
        write_frame(&mut pipe, &Request::Input { text: "naïve\n".into() }).expect("writes");
        write_frame(&mut pipe, &Request::Exit).expect("writes");
        let mut reader = pipe.as_slice();
        assert_eq!(
            read_frame::<Request>(&mut reader).expect("reads"),
            Some(Request::Input { text: "naïve\n".into() })
        );
        assert_eq!(read_frame::<Request>(&mut reader).expect("reads"), Some(Request::Exit));
        assert_eq!(read_frame::<Request>(&mut reader).expect("reads"), None);
    }

    #[test]
    fn a_cut_frame_and_a_huge_length_are_errors() {
        let cut = [9, 0, 0, 0, b'{'];
        assert!(read_frame::<Event>(&mut cut.as_slice()).is_err());
        let huge = [255, 255, 255, 255];
        assert!(matches!(
            read_frame::<Event>(&mut huge.as_slice()),
            Err(WireError::TooLarge { .. })
        ));
    }
}
