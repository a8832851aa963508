//! A symbol that LightGBM's library asks for and lightgbm3-sys does not link.
//!
//! LightGBM reads Arrow tables through nanoarrow, which its build makes as a library of its own and the
//! binding leaves out. Data goes to LightGBM as columns of numbers here, never as Arrow, so the one
//! missing function says that it is not there: LightGBM turns that into an error.

use std::ffi::{c_int, c_void};

/// `ENOTSUP`: "operation not supported".
const NOT_SUPPORTED: c_int = 95;

/// nanoarrow's `ArrowSchemaViewInit`, which always refuses.
#[expect(unsafe_code, reason = "the name is what LightGBM's object files ask the linker for")]
#[unsafe(no_mangle)]
extern "C" fn ArrowSchemaViewInit(
    _view: *mut c_void,
    _schema: *const c_void,
    _error: *mut c_void,
) -> c_int {
    NOT_SUPPORTED
}
