//! What a cell finds in scope: `use oxilab::prelude::*;`.
//!
//! An explicit list, pinned by a test: no third-party prelude is passed on whole, because a name that
//! it gains later would break cells that were written before. Being a glob itself, it gives way to
//! every name that the user defines or imports. It never holds `Result`, `Option`, `min`, `max` or
//! another name of std's prelude. Traits whose names say nothing to a user come in as `_`.

// Crates, as paths: `polars::prelude::…`, `candle_core::…`.
pub use ::{
    anyhow, candle_core, candle_nn, candle_transformers, chrono, image, itertools, ndarray,
    plotters, polars, rand, rayon, regex, serde, serde_json, tokio,
};

// oxilab's own modules.
pub use crate::{data, gates, hub, llm, model, nn, plot, rows, serve, track, train, widgets};

// Showing, asking, waiting.
pub use oxilab_display::canvas::Canvas;
pub use oxilab_display::containers::html_of;
pub use oxilab_display::image::image_of;
pub use oxilab_display::plot::{Figure, figure};
pub use oxilab_display::render::{MimeBundle, Render};
pub use oxilab_display::settings::{set_columns, set_rows, set_str_len};
pub use oxilab_display::show;
pub use oxilab_display::tail::{display, display_live};
pub use oxilab_display::text::{Rich, html, image, json, latex, markdown, mermaid, svg, vega_lite};
pub use oxilab_runtime::display::{Display, clear};
pub use oxilab_runtime::input::{input, password};
pub use oxilab_runtime::progress::{Progress, progress};

// Data: verbs on frames, preparation, splits. The rest is at `data::`.
pub use oxilab_data::{
    DataFrameExt, ExprExt as _, Imputer, KFold, MinMaxScaler, OneHotEncoder, OrdinalEncoder,
    Pipeline, StandardScaler, c, train_test_split,
};

// Models: `pipeline.then(learner)`. The rest is at `model::`.
pub use oxilab_model::PipelineExt as _;

// Controls with callbacks. The rest is at `widgets::`.
pub use oxilab_widgets::{
    Button, Checkbox, Dropdown, FloatSlider, HBox, IntSlider, VBox, interact,
};

// Plots: `df.plot()`.
pub use oxilab_plot::PlotExt;

// Rows of structs and frames.
pub use crate::rows::{from_frame, to_frame};

// Polars: frames, series, types.
pub use polars::df;
pub use polars::prelude::{
    AnyValue, BinaryChunked, BooleanChunked, CategoricalPhysical, Categories, ChunkedArray, Column,
    DataFrame, DataType, DateChunked, DatetimeChunked, DurationChunked, Field, Float32Chunked,
    Float64Chunked, IdxSize, Int8Chunked, Int16Chunked, Int32Chunked, Int64Chunked, ListChunked,
    PlSmallStr, PolarsError, PolarsResult, Scalar, Schema, SchemaRef, Series, StringChunked,
    StructChunked, TimeChunked, TimeUnit, UInt8Chunked, UInt16Chunked, UInt32Chunked,
    UInt64Chunked,
};
pub use polars::prelude::{
    BinaryType, BooleanType, DateType, DatetimeType, DurationType, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, ListType, PolarsDataType, PolarsNumericType,
    StringType, TimeType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
// Polars: builders and options.
pub use polars::prelude::{
    AsofStrategy, BooleanChunkedBuilder, ClosedWindow, Duration as PlDuration, DynamicGroupOptions,
    EWMOptions, FillNullStrategy, JoinArgs, JoinBuilder, JoinCoalesce, JoinType, JoinValidation,
    Label, MaintainOrderJoin, NullValues, PrimitiveChunkedBuilder, QuantileMethod, RankMethod,
    RankOptions, RollingGroupOptions, RollingOptionsFixedWindow, RoundMode, SortMultipleOptions,
    SortOptions, StartBy, StringChunkedBuilder, StrptimeOptions, UnionArgs, UniqueKeepStrategy,
    UnpivotArgsDSL,
};
// Polars: lazy queries.
pub use polars::prelude::{
    Expr, IpcScanOptions, LazyCsvReader, LazyFrame, LazyGroupBy, LazyJsonLineReader, LiteralValue,
    NULL, ScanArgsParquet, Selector, UnifiedScanArgs, all, all_horizontal, any_horizontal,
    arg_where, as_struct, coalesce, col, cols, concat, concat_list, concat_str, cov, datetime,
    dtype_col, dtype_cols, duration, element, fold_exprs, int_range, len, lit, nth, pearson_corr,
    spearman_rank_corr, ternary_expr, when,
};
// These names are ambiguous in `polars::prelude`.
pub use polars::lazy::dsl::{
    date_range, datetime_range, max_horizontal, mean_horizontal, min_horizontal, sum_horizontal,
};
pub use polars::sql::SQLContext;
// Polars: files.
pub use polars::prelude::{
    CsvParseOptions, CsvReadOptions, CsvReader, CsvWriter, IpcReader, IpcStreamReader,
    IpcStreamWriter, IpcWriter, JsonFormat, JsonReader, JsonWriter, ParquetCompression,
    ParquetReader, ParquetWriteOptions, ParquetWriter, PlRefPath,
};
// Polars: traits.
pub use polars::prelude::{
    ArithmeticChunked as _, AsList as _, AsString as _, AsofJoin as _, AsofJoinBy as _,
    BinaryNameSpaceImpl as _, ChunkAgg as _, ChunkApply as _, ChunkApproxNUnique as _,
    ChunkBitwiseReduce as _, ChunkCast as _, ChunkCompareEq as _, ChunkCompareIneq as _,
    ChunkExpandAtIndex as _, ChunkExplode as _, ChunkFillNullValue as _, ChunkFilter as _,
    ChunkFull as _, ChunkFullNull as _, ChunkQuantile as _, ChunkReverse as _, ChunkSet as _,
    ChunkShift as _, ChunkShiftFill as _, ChunkSort as _, ChunkTake as _, ChunkUnique as _,
    ChunkVar as _, ChunkZip as _, ChunkedBuilder as _, ChunkedSet as _, DataFrameJoinOps as _,
    DataFrameOps as _, DateMethods as _, DatetimeMethods as _, DurationMethods as _, IntoColumn,
    IntoLazy, IntoSeries, IntoVec as _, IsFirstDistinct as _, IsLastDistinct as _,
    LazyFileListReader, LhsNumOps as _, ListBuilderTrait as _, ListNameSpaceImpl as _, Literal,
    LogSeries as _, MinMaxHorizontal as _, MomentSeries as _, NamedFrom, NamedFromOwned as _,
    NewChunkedArray, NumOpsDispatchChecked as _, NumericNative, PolarsMonthEnd as _,
    PolarsMonthStart as _, PolarsObject, PolarsRound as _, PolarsTemporalGroupby as _,
    PolarsTruncate as _, PolarsUpsample as _, RoundSeries as _, SchemaExtPl as _,
    SchemaNamesAndDtypes as _, SerReader, SerWriter, SeriesJoin as _, SeriesMethods as _,
    SeriesOpsTime as _, SeriesRank as _, SeriesTrait, StringMethods as _, StringNameSpaceImpl as _,
    SumMeanHorizontal as _, TakeChunked as _, TemporalMethods as _, TimeMethods as _,
    ToDummies as _, UdfSchema as _, UnpivotDF as _,
};

// Candle: tensors, layers, optimisers.
pub use candle_core::{D, DType, Device, IndexOp, Shape, Tensor, TensorId, Var, WithDType};
pub use candle_nn::{
    Activation, AdamW, BatchNorm, BatchNormConfig, Conv1dConfig, Conv2dConfig, Dropout, Embedding,
    GRU, Init, LSTM, LayerNormConfig, Linear, Module, ModuleT, Optimizer, ParamsAdamW, RNN, SGD,
    Sequential, VarBuilder, VarMap, batch_norm, embedding, linear, linear_no_bias, loss, seq,
};

pub use oxilab_nn::DeviceExt as _;
// Those of candle's layers and operations that candle cannot train.
pub use oxilab_nn::built::{
    Conv1d, Conv2d, LayerNorm, RmsNorm, conv1d, conv2d, layer_norm, rms_norm,
};
pub use oxilab_nn::ops;

// Serialisation, errors.
pub use crate::{bail, ensure};
pub use anyhow::{Context, anyhow};
pub use serde::{Deserialize, Serialize};
pub use serde_json::json;

// Everyday crates.
pub use chrono::{
    DateTime, Datelike as _, Days, FixedOffset, Local, Months, NaiveDate, NaiveDateTime, NaiveTime,
    SubsecRound as _, TimeDelta, TimeZone as _, Timelike as _, Utc, Weekday,
};
pub use itertools::Itertools;
pub use ndarray::{
    Array, Array1, Array2, Array3, ArrayD, ArrayView1, ArrayView2, Axis, Ix1, Ix2, IxDyn, array,
    azip, s,
};
pub use ndarray::{NdFloat as _, ShapeBuilder as _};
pub use rand::prelude::{
    Distribution, IndexedMutRandom as _, IndexedRandom as _, IteratorRandom as _, Rng, RngExt as _,
    SeedableRng, SliceRandom as _, SmallRng, StdRng,
};
pub use rayon::prelude::{
    FromParallelIterator as _, IndexedParallelIterator as _, IntoParallelIterator as _,
    IntoParallelRefIterator as _, IntoParallelRefMutIterator as _, ParallelBridge as _,
    ParallelExtend as _, ParallelIterator as _, ParallelSlice as _, ParallelSliceMut as _,
    ParallelString as _,
};
pub use regex::Regex;

// Std's everyday names that its own prelude leaves out.
pub use std::cell::{Cell, RefCell};
pub use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
pub use std::path::{Path, PathBuf};
pub use std::rc::Rc;
pub use std::sync::{Arc, Mutex, OnceLock, RwLock};
pub use std::time::{Duration, Instant};
