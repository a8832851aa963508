//! Data: ingest, validate, explore, transform, split.
//!
//! What a person does with pandas, scikit-learn's preprocessing, ydata-profiling and Great
//! Expectations, on polars frames:
//!
//! | to | use |
//! |---|---|
//! | read a file, folder or URL | [`read()`], [`scan`], [`read_sql`], [`read_images`]; [`datasets`] |
//! | look at it | [`profile()`], [`DataFrameExt::describe`] |
//! | ask SQL | [`sql`] |
//! | check it | [`expect()`] |
//! | cut it | [`split`], [`train_test_split`] |
//! | prepare it | [`transform`], [`Pipeline`] |
//! | write it | [`write()`] |

mod columns;
pub mod datasets;
mod error;
pub mod expect;
mod expr;
mod frame;
mod group;
mod html;
mod join;
pub mod profile;
pub mod read;
mod rng;
pub mod split;
mod sql;
pub mod stats;
mod texts;
pub mod transform;

pub use error::{DataError, Result};
pub use expect::{Suite, expect};
pub use expr::ExprExt;
pub use frame::DataFrameExt;
#[doc(hidden)]
pub use join::FrameJoins;
pub use profile::{Profile, Profiler, profile};
pub use read::{ReadOptions, read, read_images, read_sql, read_with, scan, write};
pub use split::{Fold, KFold, Leakage, LeakageCheck, Split, leakage, train_test_split};
pub use sql::{Table, sql, sql_in_scope};
pub use transform::{
    Binner, Custom, DateParts, FittedPipeline, HashingVectorizer, Imputer, MinMaxScaler,
    OneHotEncoder, OrdinalEncoder, Pca, Pipeline, PolynomialFeatures, QuantileTransformer,
    RobustScaler, Select, StandardScaler, TargetEncoder, TfidfVectorizer,
};

#[doc = include_str!("../FROM-PYTHON.md")]
pub mod from_python {}

#[doc(hidden)]
pub mod __private {
    pub use polars::prelude::col;
}
