//! Every file that fuzzing (`examples/fuzz_model.rs`) found worth keeping is read or refused, without a panic.

use oxilab_model_format::ModelFile;

#[test]
fn the_corpus_is_read_or_refused() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/model");
    let (mut read, mut refused) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        match ModelFile::from_bytes(&bytes) {
            Ok(_) => read += 1,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
        }
    }
    assert!(refused >= 10, "{read} read, {refused} refused");
}
