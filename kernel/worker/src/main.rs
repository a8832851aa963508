//! The process that holds a user's values: a thin shell around the prelude's shared library.
//!
//! It loads the standard library and the prelude by absolute path and calls the prelude's entry. All
//! work is done there, against the same standard library as the cells; the one that is linked into
//! this executable only starts it. The executable's own part is what must come first in the symbol
//! search of every library: [`interpose`].

mod interpose;

use std::env;
use std::ffi::{CStr, CString, OsString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStringExt as _;
use std::process::ExitCode;

/// Environment variables that the kernel process sets; the names stand in `oxilab-protocol` as well.
const REQUESTS: &str = "OXILAB_REQUEST_FD";
const EVENTS: &str = "OXILAB_EVENT_FD";
const NOTE: &str = "OXILAB_NOTE_FD";
const STANDARD_LIBRARY: &str = "OXILAB_STD";
const PRELUDE: &str = "OXILAB_PRELUDE";

/// The prelude's entry; see `oxilab_runtime::worker::Start` for the other side of it.
type Entry = unsafe extern "C" fn(*const Start) -> c_int;
const ENTRY: &CStr = c"oxilab_worker_main";

#[repr(C)]
struct Start {
    requests: c_int,
    events: c_int,
    note: c_int,
    set_hooks: Option<extern "C" fn(interpose::Hooks)>,
}

fn main() -> ExitCode {
    let note = descriptor(NOTE).ok();
    // Bad values and missing libraries have statuses of their own: 64 usage, 69 unavailable.
    match start() {
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(1)),
        Err((status, message)) => {
            eprintln!("oxilab-worker: {message}");
            if let Some(note) = note {
                // SAFETY: the bytes outlive the call; a failed write has no remedy here.
                #[expect(unsafe_code, reason = "a descriptor that was given by number")]
                unsafe {
                    libc::write(note, message.as_ptr().cast(), message.len());
                }
            }
            ExitCode::from(status)
        }
    }
}

fn start() -> Result<c_int, (u8, String)> {
    let start = Start {
        requests: descriptor(REQUESTS)?,
        events: descriptor(EVENTS)?,
        note: descriptor(NOTE).unwrap_or(-1),
        set_hooks: Some(interpose::set_hooks),
    };
    let standard_library = env::var_os(STANDARD_LIBRARY);
    let prelude = env::var_os(PRELUDE)
        .ok_or_else(|| usage(&format!("{PRELUDE} is not set: the kernel process starts this")))?;
    for name in [REQUESTS, EVENTS, NOTE, STANDARD_LIBRARY, PRELUDE] {
        // SAFETY: no other thread runs yet.
        #[expect(unsafe_code, reason = "what cells start must not inherit these")]
        #[expect(clippy::disallowed_methods, reason = "the process is made for this")]
        unsafe {
            env::remove_var(name);
        }
    }
    if let Some(path) = standard_library {
        load(path)?;
    }
    let entry = symbol(load(prelude)?, ENTRY)?;
    // SAFETY: the symbol is the prelude's entry, which has this type.
    #[expect(unsafe_code, reason = "a symbol has no type")]
    unsafe {
        let entry: Entry = std::mem::transmute::<*mut c_void, Entry>(entry);
        Ok(entry(&raw const start))
    }
}

fn descriptor(name: &str) -> Result<c_int, (u8, String)> {
    env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| usage(&format!("{name} is no descriptor: the kernel process starts this")))
}

/// Loads a library for everything that comes after it.
fn load(path: OsString) -> Result<*mut c_void, (u8, String)> {
    let path = CString::new(path.into_vec()).map_err(|_| usage("a path holds a NUL byte"))?;
    // SAFETY: the path is a C string; initialisers of the prelude are ours.
    #[expect(unsafe_code, reason = "loading a library runs its initialisers")]
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if handle.is_null() { Err((69, last_error())) } else { Ok(handle) }
}

fn symbol(library: *mut c_void, name: &CStr) -> Result<*mut c_void, (u8, String)> {
    // SAFETY: the handle comes from dlopen and is never closed.
    #[expect(unsafe_code, reason = "the loader's interface")]
    let address = unsafe { libc::dlsym(library, name.as_ptr()) };
    if address.is_null() { Err((69, last_error())) } else { Ok(address) }
}

fn last_error() -> String {
    // SAFETY: dlerror gives a C string or null, valid until the next call of the loader.
    #[expect(unsafe_code, reason = "the loader's interface")]
    unsafe {
        let message: *const c_char = libc::dlerror();
        if message.is_null() {
            "the loader gave no reason".to_owned()
        } else {
            CStr::from_ptr(message).to_string_lossy().into_owned()
        }
    }
}

fn usage(message: &str) -> (u8, String) {
    (64, message.to_owned())
}
