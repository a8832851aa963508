//! LightGBM's C library behind safe types: [`Dataset`], [`Booster`].
//!
//! The only place of the crate with `unsafe` code. Every call's return value is checked; handles are
//! freed when their owner is dropped.
#![expect(unsafe_code, reason = "LightGBM has a C interface")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::{Once, OnceLock};

use lightgbm3_sys as sys;

use crate::error::{ModelError, Result};
use crate::matrix::Matrix;

use super::LIBRARY;

/// The kinds of prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predict {
    Normal,
    Contributions,
}

fn check(doing: &'static str, code: c_int) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: LightGBM returns a pointer to a NUL-terminated text of this thread that lives until its
    // next call on it.
    let message = unsafe { CStr::from_ptr(sys::LGBM_GetLastError()) };
    Err(ModelError::Library {
        library: LIBRARY,
        doing,
        message: message.to_string_lossy().into_owned(),
    })
}

fn text(doing: &'static str, value: &str) -> Result<CString> {
    CString::new(value).map_err(|_| ModelError::Library {
        library: LIBRARY,
        doing,
        message: "a parameter or name holds a zero byte; remove it".to_owned(),
    })
}

fn count(doing: &'static str, value: usize) -> Result<i32> {
    i32::try_from(value).map_err(|_| ModelError::Library {
        library: LIBRARY,
        doing,
        message: format!("{value} is more than LightGBM counts; use fewer rows or columns"),
    })
}

/// LightGBM prints to stdout unless told otherwise; errors come back as errors anyway.
fn quiet() {
    static QUIET: Once = Once::new();
    unsafe extern "C" fn nothing(_message: *const c_char) {}
    QUIET.call_once(|| {
        // SAFETY: the callback lives for ever and ignores its argument.
        unsafe { sys::LGBM_RegisterLogCallback(Some(nothing)) };
    });
}

/// A frame as LightGBM's bins.
pub(super) struct Dataset {
    handle: sys::DatasetHandle,
}

impl Dataset {
    /// Copies and bins a matrix; a validation set is binned as its `reference`.
    pub(super) fn new(x: &Matrix, parameters: &str, reference: Option<&Self>) -> Result<Self> {
        const DOING: &str = "reading the frame";
        quiet();
        let parameters = text(DOING, parameters)?;
        let mut handle = ptr::null_mut();
        // SAFETY: the data holds rows × cols doubles, column after column, as the flags say; LightGBM
        // copies it before it returns. The reference, if any, is a live handle.
        let code = unsafe {
            sys::LGBM_DatasetCreateFromMat(
                x.as_slice().as_ptr().cast::<c_void>(),
                sys::C_API_DTYPE_FLOAT64.cast_signed(),
                count(DOING, x.rows())?,
                count(DOING, x.cols())?,
                0,
                parameters.as_ptr(),
                reference.map_or(ptr::null_mut(), |dataset| dataset.handle),
                &raw mut handle,
            )
        };
        check(DOING, code)?;
        Ok(Self { handle })
    }

    /// Sets `label` or `weight`.
    pub(super) fn set(&mut self, field: &'static CStr, values: &[f32]) -> Result<()> {
        const DOING: &str = "setting labels or weights";
        // SAFETY: the field name is NUL-terminated, the data holds as many floats as said and is
        // copied; LightGBM checks the number against its rows.
        let code = unsafe {
            sys::LGBM_DatasetSetField(
                self.handle,
                field.as_ptr(),
                values.as_ptr().cast::<c_void>(),
                count(DOING, values.len())?,
                sys::C_API_DTYPE_FLOAT32.cast_signed(),
            )
        };
        check(DOING, code)
    }

    pub(super) fn set_names(&mut self, names: &[String]) -> Result<()> {
        const DOING: &str = "naming features";
        let owned: Vec<CString> = names.iter().map(|n| text(DOING, n)).collect::<Result<_>>()?;
        let mut pointers: Vec<*const c_char> = owned.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: the pointers are NUL-terminated texts that live through the call, which copies them.
        let code = unsafe {
            sys::LGBM_DatasetSetFeatureNames(
                self.handle,
                pointers.as_mut_ptr(),
                count(DOING, names.len())?,
            )
        };
        check(DOING, code)
    }
}

impl Drop for Dataset {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and is not used again.
        unsafe { sys::LGBM_DatasetFree(self.handle) };
    }
}

/// A model, in training or loaded.
pub(super) struct Booster {
    handle: sys::BoosterHandle,
    /// Made for the first prediction of a single row.
    single: OnceLock<SingleRow>,
}

// SAFETY: a booster is not bound to the thread that made it.
unsafe impl Send for Booster {}
// SAFETY: through a shared reference only predictions, importance and text are asked for, which
// LightGBM guards with locks of its own; training needs a mutable reference.
unsafe impl Sync for Booster {}

/// What predicts a single row: LightGBM reads all its parameters anew in every other prediction, which
/// takes longer than the row. Holds a pointer to its booster, and is of the trees that this has when it is
/// made.
struct SingleRow {
    handle: sys::FastConfigHandle,
}

impl Drop for SingleRow {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and is not used again.
        unsafe { sys::LGBM_FastConfigFree(self.handle) };
    }
}

impl std::fmt::Debug for Booster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Booster")
    }
}

impl Booster {
    /// An empty model on a data set. The data set and those added later must outlive the training:
    /// the caller keeps them.
    pub(super) fn new(train: &Dataset, parameters: &str) -> Result<Self> {
        const DOING: &str = "starting to train";
        let parameters = text(DOING, parameters)?;
        let mut handle = ptr::null_mut();
        // SAFETY: the data set is live, the text NUL-terminated.
        let code =
            unsafe { sys::LGBM_BoosterCreate(train.handle, parameters.as_ptr(), &raw mut handle) };
        check(DOING, code)?;
        Ok(Self { handle, single: OnceLock::new() })
    }

    /// Reads LightGBM's text format.
    pub(super) fn from_text(model: &str) -> Result<Self> {
        const DOING: &str = "reading the model text";
        quiet();
        let model = text(DOING, model)?;
        let (mut handle, mut iterations) = (ptr::null_mut(), 0);
        // SAFETY: the text is NUL-terminated.
        let code = unsafe {
            sys::LGBM_BoosterLoadModelFromString(
                model.as_ptr(),
                &raw mut iterations,
                &raw mut handle,
            )
        };
        check(DOING, code)?;
        Ok(Self { handle, single: OnceLock::new() })
    }

    pub(super) fn add_validation(&mut self, data: &Dataset) -> Result<()> {
        // SAFETY: both handles are live.
        check("adding a validation set", unsafe {
            sys::LGBM_BoosterAddValidData(self.handle, data.handle)
        })
    }

    /// Grows the trees of one iteration; whether no more can be grown.
    pub(super) fn update(&mut self) -> Result<bool> {
        self.single = OnceLock::new();
        let mut finished = 0;
        // SAFETY: the handle is live and its data sets are kept by the caller.
        let code = unsafe { sys::LGBM_BoosterUpdateOneIter(self.handle, &raw mut finished) };
        check("training", code)?;
        Ok(finished != 0)
    }

    /// The names of the metrics.
    pub(super) fn metric_names(&self) -> Result<Vec<String>> {
        const DOING: &str = "naming metrics";
        const LENGTH: usize = 256;
        let mut metrics = 0;
        // SAFETY: the handle is live.
        check(DOING, unsafe { sys::LGBM_BoosterGetEvalCounts(self.handle, &raw mut metrics) })?;
        let size = usize::try_from(metrics).unwrap_or(0);
        let mut buffers = vec![[0_u8; LENGTH]; size];
        let mut pointers: Vec<*mut c_char> =
            buffers.iter_mut().map(|buffer| buffer.as_mut_ptr().cast::<c_char>()).collect();
        let (mut written, mut longest) = (0, 0);
        // SAFETY: there are as many buffers of LENGTH bytes as said; LightGBM writes at most that and
        // a zero byte into each.
        let code = unsafe {
            sys::LGBM_BoosterGetEvalNames(
                self.handle,
                metrics,
                &raw mut written,
                LENGTH,
                &raw mut longest,
                pointers.as_mut_ptr(),
            )
        };
        check(DOING, code)?;
        let name = |buffer: &[u8; LENGTH]| {
            CStr::from_bytes_until_nul(buffer)
                .map(|t| t.to_string_lossy().into_owned())
                .unwrap_or_default()
        };
        Ok(buffers.iter().map(name).collect())
    }

    /// The metrics on data set `data`: 0 is the training set, then validation sets.
    pub(super) fn metrics(&self, data: usize, size: usize) -> Result<Vec<f64>> {
        const DOING: &str = "computing metrics";
        let (mut out, mut written) = (vec![0.0; size], 0);
        // SAFETY: LightGBM writes one double per metric, which `size` counts.
        let code = unsafe {
            sys::LGBM_BoosterGetEval(
                self.handle,
                count(DOING, data)?,
                &raw mut written,
                out.as_mut_ptr(),
            )
        };
        check(DOING, code)?;
        Ok(out)
    }

    /// The model's text, of its first iterations if asked.
    pub(super) fn to_text(&self, iterations: Option<usize>) -> Result<String> {
        const DOING: &str = "writing the model text";
        let iterations = iterations.map_or(Ok(-1), |n| count(DOING, n))?;
        let mut buffer = vec![0_u8; 1 << 20];
        loop {
            let size = i64::try_from(buffer.len()).unwrap_or(i64::MAX);
            let mut needed = 0;
            // SAFETY: the buffer has `size` bytes; LightGBM writes only if the text fits.
            let code = unsafe {
                sys::LGBM_BoosterSaveModelToString(
                    self.handle,
                    0,
                    iterations,
                    0,
                    size,
                    &raw mut needed,
                    buffer.as_mut_ptr().cast::<c_char>(),
                )
            };
            check(DOING, code)?;
            if needed <= size {
                break;
            }
            buffer = vec![0; usize::try_from(needed).unwrap_or(0)];
        }
        let text = CStr::from_bytes_until_nul(&buffer).map(CStr::to_string_lossy);
        Ok(text.unwrap_or_default().into_owned())
    }

    fn number(
        &self,
        ask: unsafe extern "C" fn(sys::BoosterHandle, *mut c_int) -> c_int,
    ) -> Result<usize> {
        let mut number = 0;
        // SAFETY: the handle is live, and the function writes one integer.
        check("asking for a number", unsafe { ask(self.handle, &raw mut number) })?;
        Ok(usize::try_from(number).unwrap_or(0))
    }

    /// How many numbers a prediction has per row.
    pub(super) fn outputs(&self) -> Result<usize> {
        self.number(sys::LGBM_BoosterGetNumClasses)
    }

    pub(super) fn features(&self) -> Result<usize> {
        self.number(sys::LGBM_BoosterGetNumFeature)
    }

    /// Total gain of the splits on each feature.
    pub(super) fn gains(&self) -> Result<Vec<f64>> {
        let mut out = vec![0.0; self.features()?];
        // SAFETY: LightGBM writes one double per feature; 1 asks for gains.
        let code =
            unsafe { sys::LGBM_BoosterFeatureImportance(self.handle, 0, 1, out.as_mut_ptr()) };
        check("computing importance", code)?;
        Ok(out)
    }

    /// Predictions, row after row.
    pub(super) fn predict(&self, x: &Matrix, what: Predict) -> Result<Vec<f64>> {
        const DOING: &str = "predicting";
        let (kind, width) = match what {
            Predict::Normal => (sys::C_API_PREDICT_NORMAL, 1),
            Predict::Contributions => (sys::C_API_PREDICT_CONTRIB, self.features()? + 1),
        };
        if x.rows() == 0 {
            return Ok(Vec::new());
        }
        let mut out = vec![0.0; x.rows() * self.outputs()? * width];
        if x.rows() == 1 && what == Predict::Normal && x.cols() == self.features()? {
            self.predict_row(x.as_slice(), &mut out)?;
            return Ok(out);
        }
        // A few rows are not worth waking threads for.
        let parameters = if x.rows() < 64 { c"num_threads=1" } else { c"" };
        let mut written = 0;
        // SAFETY: the data is as the flags say; LightGBM checks the number of columns and writes
        // rows × outputs (× features + 1 for contributions) doubles, which `out` has.
        let code = unsafe {
            sys::LGBM_BoosterPredictForMat(
                self.handle,
                x.as_slice().as_ptr().cast::<c_void>(),
                sys::C_API_DTYPE_FLOAT64.cast_signed(),
                count(DOING, x.rows())?,
                count(DOING, x.cols())?,
                0,
                kind.cast_signed(),
                0,
                -1,
                parameters.as_ptr(),
                &raw mut written,
                out.as_mut_ptr(),
            )
        };
        check(DOING, code)?;
        Ok(out)
    }

    /// A row of all features; `out` has as many numbers as outputs.
    fn predict_row(&self, row: &[f64], out: &mut [f64]) -> Result<()> {
        let single = if let Some(single) = self.single.get() {
            single
        } else {
            let new = self.single_row(row.len())?;
            self.single.get_or_init(|| new)
        };
        let mut written = 0;
        // SAFETY: the handle is live, and so is its booster; the row has as many doubles as the handle was
        // made for, and LightGBM writes one double per output.
        check("predicting a row", unsafe {
            sys::LGBM_BoosterPredictForMatSingleRowFast(
                single.handle,
                row.as_ptr().cast::<c_void>(),
                &raw mut written,
                out.as_mut_ptr(),
            )
        })
    }

    fn single_row(&self, columns: usize) -> Result<SingleRow> {
        const DOING: &str = "making ready to predict a row";
        let mut handle = ptr::null_mut();
        // SAFETY: the booster's handle is live; the parameters are a C string.
        check(DOING, unsafe {
            sys::LGBM_BoosterPredictForMatSingleRowFastInit(
                self.handle,
                sys::C_API_PREDICT_NORMAL.cast_signed(),
                0,
                -1,
                sys::C_API_DTYPE_FLOAT64.cast_signed(),
                count(DOING, columns)?,
                c"num_threads=1".as_ptr(),
                &raw mut handle,
            )
        })?;
        Ok(SingleRow { handle })
    }
}

impl Drop for Booster {
    fn drop(&mut self) {
        self.single.take();
        // SAFETY: the handle is ours and is not used again.
        unsafe { sys::LGBM_BoosterFree(self.handle) };
    }
}
