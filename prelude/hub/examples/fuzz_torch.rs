//! Fuzzes the reader of PyTorch's files: `cargo run --release -p oxilab-hub --example fuzz_torch -- 600`; see
//! [`oxilab_fuzz`]. An allocation of more than 64 MB, for files of some kilobytes, ends the process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Cursor;
use std::path::Path;

use oxilab_fuzz::{Answer, Target};
use oxilab_hub::torch::TorchFile;

/// Codes of pickles.
const CODES: &[u8] = b"()]}.tlduaesqhRQbcXKMJ\x80\x85\x86\x87\x8a\x94\x93\x95";

/// Refuses what no small file may ask for.
struct Limited;

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: all calls go to the system's allocator unchanged, or give null, which is allowed.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > 64 << 20 {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Limited = Limited;

fn main() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(home.join("tests/goldens")).expect("committed").flatten();
    let files = files.map(|entry| entry.path());
    let archives =
        files.filter(|path| path.extension().is_some_and(|end| end == "pt" || end == "bin"));
    let target = Target::new("torch", home.join("fuzz"), answer)
        .with_seeds(archives.map(|path| std::fs::read(path).expect("readable")))
        .with_words(CODES.chunks(1));
    oxilab_fuzz::main(&[target])
}

fn answer(bytes: &[u8]) -> Answer {
    let mut file = match TorchFile::read(Cursor::new(bytes.to_vec()), "input") {
        Ok(file) => file,
        Err(error) => return Ok(without_names(&error.to_string())),
    };
    for info in file.tensors().to_vec() {
        if let Ok(values) = file.bytes(&info.name)
            && values.len() != info.count() * info.dtype.width()
        {
            return Err(format!("{} bytes of {info:?}", values.len()));
        }
    }
    Ok("read".to_owned())
}

/// A message's reason up to the names out of the input that stand in it without quotes, and without the
/// number of a pickle's code.
fn without_names(message: &str) -> String {
    let message = message.split_once(": ").map_or(message, |(_, reason)| reason);
    let message = match message.split_once(", code ") {
        Some((start, rest)) => {
            let reason = rest.split_once(": ").map_or("", |(_, reason)| reason);
            format!("{start} {reason}")
        }
        None => message.to_owned(),
    };
    [" class ", " type ", "shape "]
        .iter()
        .fold(message.as_str(), |text, word| text.split(word).next().unwrap_or_default())
        .to_owned()
}
