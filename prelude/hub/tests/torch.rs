//! PyTorch's files against what Python says is in them, and files made to do harm.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use oxilab_hub::torch::{Dtype, TorchFile};
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

#[expect(clippy::cast_precision_loss, reason = "the goldens' numbers are small")]
fn numbers(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    let half = |sign: u16, exponent: u16, fraction: u16| {
        let value = f64::from(1024 + fraction) * 2f64.powi(i32::from(exponent) - 25);
        if sign == 0 { value } else { -value }
    };
    match dtype {
        Dtype::F32 => chunks(bytes).map(|b| f64::from(f32::from_le_bytes(b))).collect(),
        Dtype::F64 => chunks(bytes).map(f64::from_le_bytes).collect(),
        Dtype::I64 => chunks(bytes).map(|b| i64::from_le_bytes(b) as f64).collect(),
        Dtype::I32 => chunks(bytes).map(|b| f64::from(i32::from_le_bytes(b))).collect(),
        Dtype::F16 => chunks(bytes)
            .map(u16::from_le_bytes)
            .map(|bits| half(bits >> 15, bits >> 10 & 31, bits & 1023))
            .collect(),
        Dtype::BF16 => chunks(bytes)
            .map(|b| f64::from(f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)))
            .collect(),
        _ => bytes.iter().map(|byte| f64::from(*byte)).collect(),
    }
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.chunks_exact(N).map(|chunk| chunk.try_into().expect("N bytes"))
}

#[test]
fn both_forms_hold_what_python_says() {
    let text = std::fs::read_to_string(golden("expected.json")).expect("committed");
    let expected: Value = serde_json::from_str(&text).expect("JSON");
    let expected = expected.as_object().expect("an object");
    for name in ["state.pt", "legacy.bin"] {
        let mut file = TorchFile::open(golden(name)).expect("readable");
        let infos = file.tensors().to_vec();
        let names: Vec<&str> = infos.iter().map(|info| info.name.as_str()).collect();
        assert_eq!(names, expected.keys().collect::<Vec<_>>(), "{name}");
        for info in infos {
            let golden = &expected[&info.name];
            let shape: Vec<usize> =
                serde_json::from_value(golden["shape"].clone()).expect("numbers");
            let values: Vec<f64> =
                serde_json::from_value(golden["values"].clone()).expect("numbers");
            assert_eq!(info.shape, shape, "{}", info.name);
            let bytes = file.bytes(&info.name).expect("readable");
            assert_eq!(numbers(info.dtype, &bytes), values, "{name} {}", info.name);
        }
    }
}

#[test]
fn nested_dictionaries_join_their_names() {
    let file = TorchFile::open(golden("nested.pt")).expect("readable");
    let names: Vec<&str> = file.tensors().iter().map(|info| info.name.as_str()).collect();
    assert_eq!(names, ["state_dict.w", "optimizer.state.0.m"]);
}

#[test]
fn what_only_python_could_rebuild_is_named_and_not_run() {
    let error = TorchFile::open(golden("module.pt")).expect_err("a module").to_string();
    assert!(error.contains("Module") && error.contains("state_dict()"), "{error}");
    let file = TorchFile::open(golden("evil.pt")).expect("its tensor is readable");
    assert_eq!(file.tensors().len(), 1);
    assert!(!Path::new("pwned").exists());
    let error = TorchFile::open(golden("compressed.pt")).expect_err("compressed").to_string();
    assert!(error.contains("compressed"), "{error}");
}

#[test]
fn every_cut_and_every_changed_byte_is_read_or_refused() {
    for name in ["nested.pt", "legacy.bin", "state.pt"] {
        let bytes = std::fs::read(golden(name)).expect("committed");
        for end in (0..bytes.len()).step_by(7) {
            if let Ok(mut file) = TorchFile::read(Cursor::new(bytes[..end].to_vec()), name) {
                read_all(&mut file);
            }
        }
        for at in (0..bytes.len()).step_by(3) {
            for byte in [0, 0x7f, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = byte;
                if let Ok(mut file) = TorchFile::read(Cursor::new(changed), name) {
                    read_all(&mut file);
                }
            }
        }
    }
}

fn read_all(file: &mut TorchFile) {
    for info in file.tensors().to_vec() {
        if let Ok(bytes) = file.bytes(&info.name) {
            assert_eq!(bytes.len(), info.count() * info.dtype.width());
        }
    }
}

#[test]
fn the_corpus_of_the_fuzzer_is_read_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/torch");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("committed") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("readable");
        if let Ok(mut file) = TorchFile::read(Cursor::new(bytes), "corpus") {
            read_all(&mut file);
        }
        files += 1;
    }
    assert!(files >= 10, "{files} files");
}
