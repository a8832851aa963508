//! Finding and loading XGBoost's library: [`Api::get`].
#![expect(unsafe_code, reason = "a library is loaded at run time")]

use std::ffi::{CStr, c_char, c_float, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use libloading::Library;

use crate::error::{ModelError, Result};

use super::LIBRARY;

const FILE: &str = "libxgboost.so";
/// The first version whose functions are all those used here.
const OLDEST: c_int = 2;

/// XGBoost's handles, to data and to models.
pub(super) type Handle = *mut c_void;

macro_rules! functions {
    ($( fn $name:ident($($argument:ty),*); )*) => {
        /// The functions of a loaded library; all return 0, or −1 and leave a message.
        #[expect(non_snake_case, reason = "the fields are named as the functions")]
        pub(super) struct Api {
            $( pub(super) $name: unsafe extern "C" fn($($argument),*) -> c_int, )*
            last_error: unsafe extern "C" fn() -> *const c_char,
            pub(super) version: String,
        }

        impl Api {
            /// # Safety
            /// The library must be XGBoost's.
            unsafe fn bind(library: &Library) -> Result<Self, libloading::Error> {
                // SAFETY: the types are those of XGBoost's header `c_api.h`.
                unsafe {
                    Ok(Self {
                        $( $name: *library.get(concat!(stringify!($name), "\0"))?, )*
                        last_error: *library.get("XGBGetLastError\0")?,
                        version: String::new(),
                    })
                }
            }
        }
    };
}

functions! {
    fn XGBRegisterLogCallback(unsafe extern "C" fn(*const c_char));
    fn XGDMatrixCreateFromDense(*const c_char, *const c_char, *mut Handle);
    fn XGDMatrixSetInfoFromInterface(Handle, *const c_char, *const c_char);
    fn XGDMatrixSetStrFeatureInfo(Handle, *const c_char, *const *const c_char, u64);
    fn XGDMatrixFree(Handle);
    fn XGBoosterCreate(*const Handle, u64, *mut Handle);
    fn XGBoosterFree(Handle);
    fn XGBoosterSetStrFeatureInfo(Handle, *const c_char, *const *const c_char, u64);
    fn XGBoosterSetParam(Handle, *const c_char, *const c_char);
    fn XGBoosterUpdateOneIter(Handle, c_int, Handle);
    fn XGBoosterEvalOneIter(Handle, c_int, *const Handle, *const *const c_char, u64, *mut *const c_char);
    fn XGBoosterPredictFromDense(Handle, *const c_char, *const c_char, Handle, *mut *const u64, *mut u64, *mut *const c_float);
    fn XGBoosterPredictFromDMatrix(Handle, Handle, *const c_char, *mut *const u64, *mut u64, *mut *const c_float);
    fn XGBoosterSlice(Handle, c_int, c_int, c_int, *mut Handle);
    fn XGBoosterSaveModelToBuffer(Handle, *const c_char, *mut u64, *mut *const c_char);
    fn XGBoosterLoadModelFromBuffer(Handle, *const c_void, u64);
    fn XGBoosterGetNumFeature(Handle, *mut u64);
    fn XGBoosterFeatureScore(Handle, *const c_char, *mut u64, *mut *const *const c_char, *mut u64, *mut *const u64, *mut *const c_float);
}

impl Api {
    /// The library, loaded at the first call. It stays loaded; a failure is tried again at the next
    /// call, so that it can be installed meanwhile.
    pub(super) fn get() -> Result<&'static Self> {
        static LOADED: Mutex<Option<&'static Api>> = Mutex::new(None);
        let mut loaded = LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(api) = *loaded {
            return Ok(api);
        }
        let api: &'static Self = Box::leak(Box::new(load()?));
        *loaded = Some(api);
        Ok(api)
    }

    /// XGBoost's message if a call failed.
    pub(super) fn check(&self, doing: &'static str, code: c_int) -> Result<()> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: XGBoost returns a NUL-terminated text of this thread that lives until its next call
        // on it.
        let message = unsafe { CStr::from_ptr((self.last_error)()) };
        let message = first_lines(&message.to_string_lossy());
        Err(ModelError::Library { library: LIBRARY, doing, message })
    }
}

/// XGBoost puts place and stack around its messages: `[12:00:00] file.cc:12: message\nStack trace: …`.
fn first_lines(message: &str) -> String {
    let message = message.split("Stack trace:").next().unwrap_or_default().trim();
    match message.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((_, rest)) => match rest.split_once(": ") {
            Some((place, said)) if place.starts_with('/') || place.contains(".cc:") => said,
            _ => rest,
        },
        None => message,
    }
    .trim()
    .to_owned()
}

fn load() -> Result<Api> {
    let refuse =
        |message| ModelError::Library { library: LIBRARY, doing: "loading its library", message };
    let places = places();
    let mut failures = Vec::new();
    for place in &places {
        // A bare name is for the system's loader to find.
        if place.is_absolute() && !place.is_file() {
            continue;
        }
        match open(place) {
            Ok(api) => return Ok(api),
            Err(why) if place.is_absolute() => failures.push(why),
            Err(_) => {}
        }
    }
    if !failures.is_empty() {
        return Err(refuse(failures.join("; ")));
    }
    let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    Err(refuse(format!(
        "{FILE} is not on this machine (looked for {}); run `cargo xtask setup`, or \
         `pip install xgboost-cpu` in the environment that Jupyter runs in, or set OXILAB_XGBOOST to \
         the file",
        looked.join(", ")
    )))
}

fn open(path: &Path) -> Result<Api, String> {
    let failed = |error: libloading::Error| format!("{}: {error}", path.display());
    // SAFETY: what stands under this name is XGBoost's library, whose initialisers only set up its own
    // tables.
    let library = unsafe { Library::new(path) }.map_err(failed)?;
    let mut numbers: [c_int; 3] = [0; 3];
    let [first, second, third] = &mut numbers;
    // SAFETY: the function writes three integers; it is there in all versions.
    unsafe {
        let version: libloading::Symbol<
            '_,
            unsafe extern "C" fn(*mut c_int, *mut c_int, *mut c_int),
        > = library.get("XGBoostVersion\0").map_err(failed)?;
        version(first, second, third);
    }
    let version = numbers.map(|number| number.to_string()).join(".");
    if numbers[0] < OLDEST {
        return Err(format!("{} is XGBoost {version}, {OLDEST}.0 is needed", path.display()));
    }
    // SAFETY: the library is XGBoost's.
    let api = unsafe { Api::bind(&library) }.map_err(failed)?;
    // Never unloaded: models hold its functions.
    std::mem::forget(library);
    Ok(Api { version, ..api })
}

/// Where the library may be, best first.
fn places() -> Vec<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(file) = folder("OXILAB_XGBOOST") {
        return vec![file];
    }
    let home = std::env::home_dir();
    let cache = folder("XDG_CACHE_HOME").or_else(|| Some(home.as_ref()?.join(".cache")));
    let models = folder("OXILAB_MODELS_DIR").or_else(|| Some(cache?.join("oxilab/models")));
    let mut places: Vec<PathBuf> =
        models.into_iter().map(|models| models.join("xgboost/xgboost/lib").join(FILE)).collect();
    let conda = folder("CONDA_PREFIX");
    places.extend(conda.iter().map(|conda| conda.join("lib").join(FILE)));
    let roots = [
        folder("VIRTUAL_ENV"),
        conda,
        home.map(|home| home.join(".local")),
        Some("/usr/local".into()),
    ];
    for root in roots.into_iter().flatten() {
        places.extend(of_python(&root.join("lib")));
    }
    places.push(FILE.into());
    places
}

/// `python3.*/{site,dist}-packages/xgboost/lib/libxgboost.so` below a folder.
fn of_python(lib: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(lib).into_iter().flatten().flatten();
    let pythons = entries.filter(|e| e.file_name().to_string_lossy().starts_with("python3"));
    let mut found: Vec<PathBuf> = pythons
        .flat_map(|python| {
            ["site-packages", "dist-packages"]
                .map(|packages| python.path().join(packages).join("xgboost/lib").join(FILE))
        })
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_lose_their_place_and_stack() {
        let raw =
            "[12:00:01] /workspace/src/learner.cc:45: Check failed: a == b\nStack trace:\n  [bt]";
        assert_eq!(first_lines(raw), "Check failed: a == b");
        assert_eq!(first_lines("plain"), "plain");
    }

    #[test]
    fn a_file_that_is_no_library_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let Err(error) = open(file.path()) else { panic!("an empty file was loaded") };
        assert!(error.contains(&file.path().display().to_string()), "{error}");
    }
}
