//! Small real data sets that come with the library: iris, wine, breast cancer, diabetes, digits.
//!
//! They are scikit-learn's, with columns in snake case and classes as words; source and licence of
//! each are in [`info`] and in `prelude/data/datasets/README.md`.
//!
//! ```
//! let df = oxilab_data::datasets::iris()?;
//! assert_eq!(df.shape(), (150, 5));
//! # Ok::<(), oxilab_data::DataError>(())
//! ```

use std::io::{Cursor, Read as _};

use flate2::read::GzDecoder;
use polars::prelude::*;

use crate::error::{DataError, Result, While};

/// What a data set is and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// The name of the function that loads it.
    pub name: &'static str,
    /// What a row is.
    pub description: &'static str,
    /// The column to predict.
    pub target: &'static str,
    /// Authors and address.
    pub source: &'static str,
    /// Its licence.
    pub licence: &'static str,
}

const INFO: [Info; 5] = [
    Info {
        name: "iris",
        description: "150 iris flowers of three species; lengths and widths in cm",
        target: "species",
        source: "R. A. Fisher (1936), https://doi.org/10.24432/C56C76",
        licence: "CC BY 4.0",
    },
    Info {
        name: "wine",
        description: "178 Italian wines of three cultivars; 13 chemical measurements",
        target: "cultivar",
        source: "S. Aeberhard, M. Forina (1992), https://doi.org/10.24432/C5PC7J",
        licence: "CC BY 4.0",
    },
    Info {
        name: "breast_cancer",
        description: "569 cell samples, malignant or benign; 30 measurements of the nuclei",
        target: "diagnosis",
        source: "W. Wolberg et al. (1995), https://doi.org/10.24432/C5DW2B",
        licence: "CC BY 4.0",
    },
    Info {
        name: "diabetes",
        description: "442 patients; age, sex, mass index, blood pressure, six serum values",
        target: "progression",
        source: "B. Efron et al. (2004), Least Angle Regression, Annals of Statistics 32(2)",
        licence: "published without terms; as shipped in scikit-learn, BSD-3-Clause",
    },
    Info {
        name: "digits",
        description: "1,797 handwritten digits of 8 by 8 pixels with levels 0 to 16",
        target: "digit",
        source: "E. Alpaydin, C. Kaynak (1998), https://doi.org/10.24432/C50P49",
        licence: "CC BY 4.0",
    },
];

/// All data sets with target, source and licence.
#[must_use]
pub fn info() -> &'static [Info] {
    &INFO
}

/// Iris: four measurements in cm and `species`; 150 rows.
///
/// # Errors
/// Only if the library itself is damaged.
pub fn iris() -> Result<DataFrame> {
    parse("iris", include_bytes!("../datasets/iris.csv"))
}

/// Wine: 13 measurements and `cultivar`; 178 rows.
///
/// # Errors
/// Only if the library itself is damaged.
pub fn wine() -> Result<DataFrame> {
    parse("wine", include_bytes!("../datasets/wine.csv"))
}

/// Breast cancer: 30 measurements and `diagnosis`; 569 rows.
///
/// # Errors
/// Only if the library itself is damaged.
pub fn breast_cancer() -> Result<DataFrame> {
    parse("breast_cancer", include_bytes!("../datasets/breast_cancer.csv.gz"))
}

/// Diabetes: ten measurements (not scaled) and `progression`; 442 rows.
///
/// # Errors
/// Only if the library itself is damaged.
pub fn diabetes() -> Result<DataFrame> {
    parse("diabetes", include_bytes!("../datasets/diabetes.csv.gz"))
}

/// Digits: 64 pixels (`pixel_row_column`, 0 to 16) and `digit`; 1,797 rows.
///
/// # Errors
/// Only if the library itself is damaged.
pub fn digits() -> Result<DataFrame> {
    parse("digits", include_bytes!("../datasets/digits.csv.gz"))
}

fn parse(name: &str, bytes: &[u8]) -> Result<DataFrame> {
    let mut text = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(bytes)
            .read_to_end(&mut text)
            .map_err(|source| DataError::io("reading the built-in", name, source))?;
    } else {
        text.extend_from_slice(bytes);
    }
    CsvReadOptions::default()
        .with_infer_schema_length(None)
        .into_reader_with_file_handle(Cursor::new(text))
        .finish()
        .doing(format!("reading the built-in data set {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_data_set_loads_with_its_shape_and_target() {
        let loaded = [
            (iris().unwrap(), (150, 5)),
            (wine().unwrap(), (178, 14)),
            (breast_cancer().unwrap(), (569, 31)),
            (diabetes().unwrap(), (442, 11)),
            (digits().unwrap(), (1797, 65)),
        ];
        for ((df, shape), info) in loaded.iter().zip(info()) {
            assert_eq!(df.shape(), *shape, "{}", info.name);
            let target = df.column(info.target).unwrap();
            assert_eq!(target.null_count(), 0);
            for column in df.columns() {
                let numeric = column.dtype().is_primitive_numeric();
                assert!(numeric || column.name() == info.target, "{} {column:?}", info.name);
            }
        }
        // The mean of scikit-learn's load_iris().data[:, 2].
        let petal = loaded[0].0.column("petal_length").unwrap().f64().unwrap().mean().unwrap();
        assert!((petal - 3.758).abs() < 1e-12, "{petal}");
    }
}
