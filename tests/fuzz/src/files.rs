//! Folders of inputs.

use std::io;
use std::path::Path;

/// What the files of a folder hold, by their names; nothing if there is no folder.
pub(crate) fn read(folder: &Path) -> io::Result<Vec<Vec<u8>>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let paths = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut paths = paths.collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    paths.iter().map(std::fs::read).collect()
}

/// Writes an input under a name of its own.
pub(crate) fn keep(folder: &Path, input: &[u8]) -> io::Result<()> {
    // FNV-1a.
    let name = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(format!("{name:016x}")), input)
}
