//! Libraries of cells and items: loaded once, never unloaded, their code ranges known.

use std::collections::HashSet;
use std::ffi::{CStr, CString, OsStr, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

/// Code ranges that a signal handler can search: start and end of each.
static RANGES: [AtomicUsize; 2 * MOST] = [const { AtomicUsize::new(0) }; 2 * MOST];
static KNOWN: AtomicUsize = AtomicUsize::new(0);
/// A session with more libraries is interrupted by a restart where the others do not know better.
const MOST: usize = 8192;

static LOADED: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);

/// Loads a library by absolute path and keeps it; a second time is free.
pub(super) fn load(path: &Path) -> Result<(), String> {
    if loaded(|loaded| loaded.contains(path)) {
        return Ok(());
    }
    open(path).map(|_| ())
}

/// Loads a cell's library and finds its entry.
pub(super) fn entry(path: &Path) -> Result<extern "C" fn(), String> {
    let library = open(path)?;
    // SAFETY: the kernel composes the function with this name and signature.
    #[expect(unsafe_code, reason = "a symbol has no type")]
    let entry = unsafe { library.get::<extern "C" fn()>(oxilab_protocol::CELL_ENTRY.as_bytes()) };
    let entry = entry.map_err(|error| format!("{} is no cell: {error}", path.display()))?;
    let function = *entry;
    Ok(function)
}

/// Whether an address stands in a cell's or items' library. Async-signal-safe.
pub(super) fn contain(address: usize) -> bool {
    let known = KNOWN.load(Ordering::Acquire);
    RANGES[..2 * known].chunks_exact(2).any(|range| {
        (range[0].load(Ordering::Relaxed)..range[1].load(Ordering::Relaxed)).contains(&address)
    })
}

fn open(path: &Path) -> Result<std::mem::ManuallyDrop<Library>, String> {
    // SAFETY: initialisers of a cell's library are the user's code, which may do anything.
    #[expect(unsafe_code, reason = "loading a library runs its initialisers")]
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    // Values and threads may point into it for as long as the process lives.
    let library = std::mem::ManuallyDrop::new(
        library.map_err(|error| format!("cannot load {}: {error}", path.display()))?,
    );
    if loaded(|loaded| loaded.insert(path.to_owned())) {
        learn(path);
    }
    Ok(library)
}

fn loaded<T>(work: impl FnOnce(&mut HashSet<PathBuf>) -> T) -> T {
    let mut held = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    work(held.get_or_insert_with(HashSet::new))
}

/// Adds the code ranges of a library that is loaded.
fn learn(path: &Path) {
    let Ok(mut name) = CString::new(path.as_os_str().as_bytes()) else { return };
    // SAFETY: the callback runs during the call and gets the pointer it is given here.
    #[expect(unsafe_code, reason = "the loader's list has no safe wrapper")]
    unsafe {
        libc::dl_iterate_phdr(Some(visit), (&raw mut name).cast());
    }
}

#[expect(unsafe_code, reason = "a callback of the loader")]
unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    name: *mut c_void,
) -> c_int {
    // SAFETY: the loader passes a valid entry; `name` is the CString of `learn`.
    let (info, wanted) = unsafe { (&*info, &*name.cast::<CString>()) };
    if info.dlpi_name.is_null() || info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the loader's names are C strings, and there are as many headers as it says.
    let (name, headers) = unsafe {
        (
            CStr::from_ptr(info.dlpi_name),
            std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)),
        )
    };
    if OsStr::from_bytes(name.to_bytes()) != OsStr::from_bytes(wanted.to_bytes()) {
        return 0;
    }
    for header in headers {
        if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0 {
            #[expect(clippy::cast_possible_truncation, reason = "addresses of this process")]
            let (from, length) =
                ((info.dlpi_addr + header.p_vaddr) as usize, header.p_memsz as usize);
            let known = KNOWN.load(Ordering::Relaxed);
            if known < MOST {
                RANGES[2 * known].store(from, Ordering::Relaxed);
                RANGES[2 * known + 1].store(from + length, Ordering::Relaxed);
                KNOWN.store(known + 1, Ordering::Release);
            }
        }
    }
    1
}
