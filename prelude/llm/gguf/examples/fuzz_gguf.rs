//! Fuzzes the parser: `cargo run --release -p oxilab-gguf --example fuzz_gguf -- 600`; see [`oxilab_fuzz`].
//! `ulimit -v 2000000` before it shows what asks for too much memory.

use std::path::Path;

use oxilab_fuzz::{Answer, Target};
use oxilab_gguf::{Gguf, Type};

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    oxilab_fuzz::main(&[Target::new("gguf", folder, answer).with_seeds([whole()])])
}

fn answer(bytes: &[u8]) -> Answer {
    let gguf = match Gguf::parse(bytes, bytes.len() as u64, Path::new("-")) {
        Ok(gguf) => gguf,
        Err(error) => return Ok(error.to_string()),
    };
    // What was accepted can be asked for.
    for key in gguf.metadata().keys() {
        let _ =
            (gguf.text(key), gguf.number(key), gguf.float(key), gguf.flag(key), gguf.texts(key));
    }
    for info in gguf.tensors().values() {
        let elements: usize = info.shape.iter().product();
        if elements == 0 || elements / info.kind.block().0 > bytes.len() {
            return Err(format!("a tensor of shape {:?} in {} bytes", info.shape, bytes.len()));
        }
    }
    Ok("read".to_owned())
}

/// A whole file with a value and a tensor of each type.
fn whole() -> Vec<u8> {
    fn text(bytes: &mut Vec<u8>, text: &str) {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend((Type::ALL.len() as u64).to_le_bytes());
    bytes.extend(15u64.to_le_bytes());
    for (kind, size) in [(0u32, 1), (1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (6, 4), (7, 1), (10, 8)]
    {
        text(&mut bytes, &format!("v{kind}"));
        bytes.extend(kind.to_le_bytes());
        bytes.extend(vec![1u8; size]);
    }
    for kind in [11u32, 12] {
        text(&mut bytes, &format!("v{kind}"));
        bytes.extend(kind.to_le_bytes());
        bytes.extend([0xff; 8]);
    }
    text(&mut bytes, "general.alignment");
    bytes.extend(4u32.to_le_bytes());
    bytes.extend(32u32.to_le_bytes());
    text(&mut bytes, "name");
    bytes.extend(8u32.to_le_bytes());
    text(&mut bytes, "tiny");
    text(&mut bytes, "texts");
    bytes.extend(9u32.to_le_bytes());
    bytes.extend(8u32.to_le_bytes());
    bytes.extend(2u64.to_le_bytes());
    text(&mut bytes, "a");
    text(&mut bytes, "b");
    text(&mut bytes, "lists");
    bytes.extend(9u32.to_le_bytes());
    bytes.extend(9u32.to_le_bytes());
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(5u32.to_le_bytes());
    bytes.extend(1u64.to_le_bytes());
    bytes.extend((-1i32).to_le_bytes());
    let mut offset = 0u64;
    for kind in Type::ALL {
        let (values, size) = kind.block();
        text(&mut bytes, &format!("{kind:?}"));
        bytes.extend(2u32.to_le_bytes());
        bytes.extend((values as u64).to_le_bytes());
        bytes.extend(2u64.to_le_bytes());
        bytes.extend(kind.code().to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        offset += (2 * size as u64).next_multiple_of(32);
    }
    let start = bytes.len().next_multiple_of(32);
    bytes.resize(start + usize::try_from(offset).unwrap_or(0), 0);
    bytes
}
