//! XGBoost's data and models behind safe types: [`Data`], [`Booster`].
#![expect(unsafe_code, reason = "XGBoost has a C interface")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::ops::Range;
use std::ptr;

use rayon::prelude::*;
use serde_json::json;

use crate::error::{ModelError, Result, check_interrupt};
use crate::matrix::Matrix;

use super::LIBRARY;
use super::library::{Api, Handle};

/// The kinds of prediction, by XGBoost's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predict {
    Normal = 0,
    Contributions = 2,
}

fn text(doing: &'static str, value: &str) -> Result<CString> {
    CString::new(value).map_err(|_| ModelError::Library {
        library: LIBRARY,
        doing,
        message: "a parameter or name holds a zero byte; remove it".to_owned(),
    })
}

fn texts<'a>(doing: &'static str, values: impl Iterator<Item = &'a str>) -> Result<Vec<CString>> {
    values.map(|value| text(doing, value)).collect()
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).collect()
}

/// Rows of a matrix as XGBoost reads them where they lie: numpy's array interface.
fn interface(x: &Matrix, rows: &Range<usize>) -> Result<CString> {
    let address = x.as_slice()[rows.start..].as_ptr() as usize;
    let strides = [size_of::<f64>(), size_of::<f64>() * x.rows()];
    let shape = [rows.len(), x.cols()];
    let described = json!({
        "data": (address, true), "shape": shape, "strides": strides, "typestr": "<f8", "version": 3,
    });
    text("reading the frame", &described.to_string())
}

/// The columns' names and kinds, as XGBoost keeps them.
pub(super) struct Features {
    names: Vec<CString>,
    kinds: Vec<CString>,
}

impl Features {
    pub(super) fn new(names: &[String], categorical: &[bool]) -> Result<Self> {
        const DOING: &str = "naming features";
        let kinds = categorical.iter().map(|categorical| if *categorical { "c" } else { "float" });
        Ok(Self {
            names: texts(DOING, names.iter().map(String::as_str))?,
            kinds: texts(DOING, kinds)?,
        })
    }

    fn pass(&self, api: &Api, set: impl Fn(&CStr, &[*const c_char]) -> c_int) -> Result<()> {
        api.check("naming features", set(c"feature_name", &pointers(&self.names)))?;
        api.check("naming features", set(c"feature_type", &pointers(&self.kinds)))
    }
}

/// A frame in XGBoost's layout.
pub(super) struct Data {
    api: &'static Api,
    handle: Handle,
}

impl Data {
    /// Copies a matrix; NaN is missing.
    pub(super) fn new(x: &Matrix, threads: Option<usize>) -> Result<Self> {
        Self::of_rows(x, &(0..x.rows()), threads)
    }

    fn of_rows(x: &Matrix, rows: &Range<usize>, threads: Option<usize>) -> Result<Self> {
        const DOING: &str = "reading the frame";
        let api = Api::get()?;
        let array = interface(x, rows)?;
        let config =
            text(DOING, &format!(r#"{{"missing":NaN,"nthread":{}}}"#, threads.unwrap_or(0)))?;
        let mut handle = ptr::null_mut();
        // SAFETY: both texts are NUL-terminated; the array lies where the first says while the call
        // copies it.
        let code = unsafe {
            (api.XGDMatrixCreateFromDense)(array.as_ptr(), config.as_ptr(), &raw mut handle)
        };
        api.check(DOING, code)?;
        Ok(Self { api, handle })
    }

    /// Sets `label` or `weight`.
    pub(super) fn set(&mut self, field: &'static CStr, values: &[f32]) -> Result<()> {
        const DOING: &str = "setting labels or weights";
        let described = json!({
            "data": (values.as_ptr() as usize, true), "shape": [values.len()],
            "typestr": "<f4", "version": 3,
        });
        let array = text(DOING, &described.to_string())?;
        // SAFETY: the texts are NUL-terminated; the array lies where it says while the call copies it.
        let code = unsafe {
            (self.api.XGDMatrixSetInfoFromInterface)(self.handle, field.as_ptr(), array.as_ptr())
        };
        self.api.check(DOING, code)
    }

    /// Names the columns, and says which are categories.
    pub(super) fn describe(&mut self, features: &Features) -> Result<()> {
        let set = |field: &CStr, values: &[*const c_char]| {
            // SAFETY: there are as many NUL-terminated texts as said; the call copies them.
            unsafe {
                (self.api.XGDMatrixSetStrFeatureInfo)(
                    self.handle,
                    field.as_ptr(),
                    values.as_ptr(),
                    values.len() as u64,
                )
            }
        };
        features.pass(self.api, set)
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and is not used again; boosters hold the data by a count.
        unsafe { (self.api.XGDMatrixFree)(self.handle) };
    }
}

/// A model, in training or loaded.
pub(super) struct Booster {
    api: &'static Api,
    handle: Handle,
}

// SAFETY: a booster is not bound to the thread that made it.
unsafe impl Send for Booster {}
// SAFETY: through a shared reference only predictions, importance and text are asked for, which XGBoost
// allows on several threads at once after a first prediction; training needs a mutable reference.
unsafe impl Sync for Booster {}

impl std::fmt::Debug for Booster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Booster")
    }
}

thread_local! {
    /// What XGBoost said on this thread.
    static SAID: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

unsafe extern "C" fn listen(message: *const c_char) {
    // SAFETY: XGBoost passes a NUL-terminated text.
    let message = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    // An unwinding panic must not reach XGBoost.
    let _ = SAID.try_with(|said| said.try_borrow_mut().map(|mut said| said.push(message)));
}

/// The warnings of this thread since the last call.
pub(super) fn warnings() -> Vec<String> {
    SAID.take()
}

impl Booster {
    /// An empty model that will see these data. Warnings of this thread go to [`warnings`].
    pub(super) fn new(data: &[&Data]) -> Result<Self> {
        let api = Api::get()?;
        let handles: Vec<Handle> = data.iter().map(|data| data.handle).collect();
        let mut handle = ptr::null_mut();
        // SAFETY: the callback lives for ever; the handles are live and as many as said.
        let code = unsafe {
            (api.XGBRegisterLogCallback)(listen);
            (api.XGBoosterCreate)(handles.as_ptr(), handles.len() as u64, &raw mut handle)
        };
        api.check("starting a model", code)?;
        Ok(Self { api, handle })
    }

    /// Reads XGBoost's JSON, which must be JSON.
    pub(super) fn from_json(model: &str) -> Result<Self> {
        let mut booster = Self::new(&[])?;
        // SAFETY: the buffer has as many bytes as said.
        let code = unsafe {
            (booster.api.XGBoosterLoadModelFromBuffer)(
                booster.handle,
                model.as_ptr().cast(),
                model.len() as u64,
            )
        };
        booster.api.check("reading the model", code)?;
        booster.set("nthread", "1")?;
        Ok(booster)
    }

    pub(super) fn version(&self) -> String {
        self.api.version.clone()
    }

    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        const DOING: &str = "reading parameters";
        let (name, value) = (text(DOING, name)?, text(DOING, value)?);
        // SAFETY: the handle is live, the texts are NUL-terminated.
        let code =
            unsafe { (self.api.XGBoosterSetParam)(self.handle, name.as_ptr(), value.as_ptr()) };
        self.api.check(DOING, code)
    }

    /// Grows the trees of one iteration.
    pub(super) fn update(&mut self, number: usize, data: &Data) -> Result<()> {
        // SAFETY: both handles are live.
        let code = unsafe {
            (self.api.XGBoosterUpdateOneIter)(self.handle, iteration(number), data.handle)
        };
        self.api.check("training", code)
    }

    /// The metrics on several data, as `[3]<tab>name-metric:value<tab>…`.
    pub(super) fn evaluate(&mut self, number: usize, sets: &[(&str, &Data)]) -> Result<String> {
        const DOING: &str = "computing metrics";
        let handles: Vec<Handle> = sets.iter().map(|(_, data)| data.handle).collect();
        let names = texts(DOING, sets.iter().map(|(name, _)| *name))?;
        let (names, mut out) = (pointers(&names), ptr::null());
        // SAFETY: handles and names are as many as said and live through the call; XGBoost keeps the
        // NUL-terminated answer until its next call on this thread, and it is copied here.
        unsafe {
            let code = (self.api.XGBoosterEvalOneIter)(
                self.handle,
                iteration(number),
                handles.as_ptr(),
                names.as_ptr(),
                handles.len() as u64,
                &raw mut out,
            );
            self.api.check(DOING, code)?;
            Ok(CStr::from_ptr(out).to_string_lossy().into_owned())
        }
    }

    /// The model of the first iterations.
    pub(super) fn first(&self, iterations: usize) -> Result<Self> {
        let mut handle = ptr::null_mut();
        // SAFETY: the handle is live; XGBoost checks the range.
        let code = unsafe {
            (self.api.XGBoosterSlice)(self.handle, 0, iteration(iterations), 1, &raw mut handle)
        };
        self.api.check("keeping the best iterations", code)?;
        Ok(Self { api: self.api, handle })
    }

    /// Names the columns, and says which are categories: a model file holds both.
    pub(super) fn describe(&mut self, features: &Features) -> Result<()> {
        let set = |field: &CStr, values: &[*const c_char]| {
            // SAFETY: there are as many NUL-terminated texts as said; the call copies them.
            unsafe {
                (self.api.XGBoosterSetStrFeatureInfo)(
                    self.handle,
                    field.as_ptr(),
                    values.as_ptr(),
                    values.len() as u64,
                )
            }
        };
        features.pass(self.api, set)
    }

    /// The model as JSON.
    pub(super) fn to_json(&self) -> Result<String> {
        let (mut length, mut start) = (0, ptr::null());
        // SAFETY: the handle is live; XGBoost keeps the bytes until its next call on this booster and
        // thread, and they are copied here.
        let bytes = unsafe {
            let code = (self.api.XGBoosterSaveModelToBuffer)(
                self.handle,
                c"{\"format\":\"json\"}".as_ptr(),
                &raw mut length,
                &raw mut start,
            );
            self.api.check("writing the model", code)?;
            copied(start.cast::<u8>(), length)
        };
        String::from_utf8(bytes).map_err(|_| ModelError::Library {
            library: LIBRARY,
            doing: "writing the model",
            message: "a name in the model is not UTF-8; name the columns otherwise".to_owned(),
        })
    }

    pub(super) fn features(&self) -> Result<usize> {
        let mut count = 0;
        // SAFETY: the handle is live, and the function writes one number.
        let code = unsafe { (self.api.XGBoosterGetNumFeature)(self.handle, &raw mut count) };
        self.api.check("counting features", code)?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Total gain of the splits on each feature that has any, by name.
    pub(super) fn gains(&self) -> Result<HashMap<String, f64>> {
        let (mut count, mut names) = (0, ptr::null());
        let (mut dimensions, mut shape, mut scores) = (0, ptr::null(), ptr::null());
        // SAFETY: the handle is live; XGBoost gives `count` names and as many scores, which it keeps
        // until its next call on this booster and thread; they are copied here.
        unsafe {
            let code = (self.api.XGBoosterFeatureScore)(
                self.handle,
                c"{\"importance_type\":\"total_gain\"}".as_ptr(),
                &raw mut count,
                &raw mut names,
                &raw mut dimensions,
                &raw mut shape,
                &raw mut scores,
            );
            self.api.check("computing importance", code)?;
            let name = |text: *const c_char| CStr::from_ptr(text).to_string_lossy().into_owned();
            let names = copied(names, count).into_iter().map(name);
            Ok(names.zip(copied(scores, count).into_iter().map(f64::from)).collect())
        }
    }

    /// Predictions, row after row. Blocks of rows go to several threads: XGBoost's own threads, which
    /// [`Booster::from_json`] switches off, are woken for a single row as well.
    pub(super) fn predict(&self, x: &Matrix, what: Predict) -> Result<Vec<f64>> {
        const BLOCK: usize = 4096;
        if x.rows() <= BLOCK {
            return self.predict_rows(x, &(0..x.rows()), what);
        }
        let blocks: Vec<Vec<f64>> = (0..x.rows().div_ceil(BLOCK))
            .into_par_iter()
            .map(|block| {
                check_interrupt()?;
                let end = ((block + 1) * BLOCK).min(x.rows());
                self.predict_rows(x, &(block * BLOCK..end), what)
            })
            .collect::<Result<_>>()?;
        Ok(blocks.concat())
    }

    fn predict_rows(&self, x: &Matrix, rows: &Range<usize>, what: Predict) -> Result<Vec<f64>> {
        const DOING: &str = "predicting";
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let config = text(
            DOING,
            &format!(
                r#"{{"type":{},"training":false,"iteration_begin":0,"iteration_end":0,"strict_shape":true,"cache_id":0,"missing":NaN}}"#,
                what as u8
            ),
        )?;
        let (mut shape, mut dimensions, mut values) = (ptr::null(), 0, ptr::null());
        let data = match what {
            Predict::Normal => None,
            Predict::Contributions => Some(Data::of_rows(x, rows, Some(1))?),
        };
        let array = interface(x, rows)?;
        // SAFETY: handles are live, texts NUL-terminated, and the array lies where it says. XGBoost
        // gives as many values as the product of the shape, which it keeps until its next call on this
        // booster and thread; they are copied here.
        unsafe {
            let code = match &data {
                None => (self.api.XGBoosterPredictFromDense)(
                    self.handle,
                    array.as_ptr(),
                    config.as_ptr(),
                    ptr::null_mut(),
                    &raw mut shape,
                    &raw mut dimensions,
                    &raw mut values,
                ),
                Some(data) => (self.api.XGBoosterPredictFromDMatrix)(
                    self.handle,
                    data.handle,
                    config.as_ptr(),
                    &raw mut shape,
                    &raw mut dimensions,
                    &raw mut values,
                ),
            };
            self.api.check(DOING, code)?;
            let count = copied(shape, dimensions).into_iter().product();
            Ok(copied(values, count).into_iter().map(f64::from).collect())
        }
    }
}

/// The values that XGBoost points at.
///
/// # Safety
/// There must be as many values behind the pointer as said, unless that is none.
unsafe fn copied<T: Copy>(start: *const T, count: u64) -> Vec<T> {
    let count = usize::try_from(count).unwrap_or(0);
    if count == 0 || start.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller vouches for it.
    unsafe { std::slice::from_raw_parts(start, count) }.to_vec()
}

fn iteration(number: usize) -> c_int {
    c_int::try_from(number).unwrap_or(c_int::MAX)
}

impl Drop for Booster {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and is not used again.
        unsafe { (self.api.XGBoosterFree)(self.handle) };
    }
}
