//! What Python calls things, and how the same is written here.

/// Names and what stands for them.
pub(super) type Spellings = &'static [(&'static [&'static str], &'static str)];

/// Methods and fields of pandas' and Python polars' frames.
pub(super) const FRAME: Spellings = &[
    (
        &["groupby", "group_by", "agg"],
        "`df.group_agg([\"key\"], [col(\"x\").mean()])?`, or lazily \
         `df.clone().lazy().group_by([col(\"key\")]).agg([col(\"x\").mean()]).collect()?`",
    ),
    (
        &["sort_values", "sort_by"],
        "`df.sort([\"x\"], SortMultipleOptions::new().with_order_descending(true))?`",
    ),
    (&["merge"], "`df.join(&other, [\"key\"], [\"key\"], JoinArgs::new(JoinType::Left), None)?`"),
    (
        &["fillna", "fill_na", "fill_nan"],
        "`df.with_columns([col(\"x\").fill_null(lit(0))])?`; `Imputer` learns fill values from training rows",
    ),
    (&["dropna", "drop_na"], "`df.drop_nulls::<String>(None)?`"),
    (
        &["isna", "isnull", "notna", "notnull", "null_count"],
        "`df.null_counts()`, or `col(\"x\").is_null()` in an expression",
    ),
    (
        &[
            "to_csv",
            "write_csv",
            "to_parquet",
            "write_parquet",
            "to_json",
            "write_json",
            "write_ndjson",
            "to_feather",
            "write_ipc",
            "sink_csv",
            "sink_parquet",
        ],
        "`data::write(&df, \"t.csv\")?`: the extension says which format",
    ),
    (
        &["iloc", "loc", "iat", "at", "ix"],
        "rows by place are `df.slice(0, 5)`, by condition `df.filter_expr(col(\"x\").gt(lit(0)))?`; columns are `df.select([\"x\", \"y\"])?`",
    ),
    (&["columns"], "names are `df.get_column_names()`, the columns themselves `df.columns()`"),
    (&["index", "reset_index", "set_index"], "a frame has no index; a column takes its place"),
    (&["plot"], "`df.plot().line(\"x\", \"y\")?`: options come before the kind of plot"),
    (
        &["apply", "map", "applymap", "map_rows"],
        "expressions work on whole columns: `df.with_columns([(col(\"x\") * lit(2)).alias(\"y\")])?`; rows as structs are `from_frame::<Row>(&df)?`",
    ),
    (&["astype", "cast"], "`df.with_columns([col(\"x\").cast(DataType::Float64)])?`"),
    (
        &["pivot", "pivot_table", "crosstab"],
        "`df.pivot_table([\"row\"], \"column\", \"value\", element().sum())?`",
    ),
    (&["melt"], "`df.unpivot(Some([\"x\", \"y\"]), [\"key\"])?`"),
    (
        &["nlargest", "nsmallest", "top_k"],
        "`df.sort([\"x\"], SortMultipleOptions::new().with_order_descending(true))?.head(Some(3))`",
    ),
    (&["nunique", "n_unique"], "`df.column(\"x\")?.n_unique()?`"),
    (
        &["query", "eval", "sql"],
        "`%%sql` asks every frame in scope; or `data::sql(&[(\"df\", &df)], \"select …\")?`",
    ),
    (&["info"], "`data::profile(&df)?`, or `df.describe()?`"),
    (&["corr"], "`data::profile(&df)?.correlations`, or as a picture `df.plot().correlation()?`"),
    (&["drop_duplicates", "unique"], "`df.unique_stable(None, UniqueKeepStrategy::First, None)?`"),
    (
        &["iterrows", "itertuples", "iter_rows", "rows", "to_dict", "to_dicts"],
        "rows as structs: `#[derive(Deserialize)] struct Row { x: f64 }`, then `from_frame::<Row>(&df)?`",
    ),
    (
        &["to_numpy", "values"],
        "`df.to_ndarray::<Float64Type>(IndexOrder::C)?` after `use polars::prelude::IndexOrder;`",
    ),
    (
        &["assign", "with_column", "insert"],
        "`df.with_columns([(col(\"x\") * lit(2)).alias(\"y\")])?`",
    ),
    (
        &["mean", "sum", "std", "var", "median", "max", "quantile"],
        "`df.describe()?` for all columns; for some, `df.select_exprs([col(\"x\").mean()])?`",
    ),
    (&["collect"], "a frame is there already; only a lazy query (`df.lazy()…`) is collected"),
    (
        &["to_pandas", "to_arrow", "to_polars"],
        "other programs read files: `data::write(&df, \"t.parquet\")?`",
    ),
];

/// Methods of columns and series.
pub(super) const COLUMN: Spellings = &[
    (
        &["mean", "median"],
        "`df.column(\"x\")?.as_materialized_series().mean()`, an `Option<f64>`; or `df.select_exprs([col(\"x\").mean()])?`",
    ),
    (
        &["sum", "max", "std", "var", "min"],
        "`df.column(\"x\")?.f64()?.sum()`, an `Option<f64>`; or `df.select_exprs([col(\"x\").sum()])?`",
    ),
    (&["value_counts"], "`df.value_counts(\"x\")?`"),
    (&["nunique"], "`df.column(\"x\")?.n_unique()?`"),
    (
        &["tolist", "to_list", "to_numpy", "values"],
        "`df.column(\"x\")?.f64()?.iter().flatten().collect::<Vec<f64>>()`",
    ),
    (
        &["apply", "map", "map_elements"],
        "expressions work on whole columns: `df.with_columns([(col(\"x\") * lit(2)).alias(\"y\")])?`",
    ),
    (&["isin"], "`df.filter_expr(col(\"x\").one_of([\"a\", \"b\"]))?`"),
];

/// Methods of expressions.
pub(super) const EXPRESSION: Spellings = &[
    (&["isin"], "`col(\"x\").one_of([\"a\", \"b\"])`"),
    (&["fillna"], "`col(\"x\").fill_null(lit(0))`"),
    (&["isna", "isnull"], "`col(\"x\").is_null()`"),
    (&["notna", "notnull"], "`col(\"x\").is_not_null()`"),
    (&["astype"], "`col(\"x\").cast(DataType::Float64)`"),
    (
        &["apply", "map_elements"],
        "`col(\"x\").map(|column| Ok(column), |_, field| Ok(field.clone()))` takes a function of the whole column",
    ),
    (&["nunique"], "`col(\"x\").n_unique()`"),
];

/// Python's modules by their usual short names.
pub(super) const MODULES: Spellings = &[
    (
        &["pd", "pl"],
        "frames need no module here: `data::read(\"t.csv\")?`, `df!(\"x\" => [1, 2])?`, `col(\"x\")`, `lit(1)`, `DataType::Float64`",
    ),
    (
        &["np"],
        "`ndarray` is in scope (`array![1.0, 2.0]`); columns compute with expressions: `col(\"x\").sqrt()`",
    ),
    (
        &["plt", "sns", "px", "alt"],
        "`df.plot().scatter(\"x\", \"y\")?`; `plotters` is in scope for drawings of your own",
    ),
    (
        &["sklearn", "xgb", "lgb"],
        "learners are in `model::`, preparation in `Pipeline::new().with(StandardScaler::new([\"x\"]))`",
    ),
    (
        &["torch", "tf", "F"],
        "tensors are candle's: `Tensor::new(&[1f32, 2.0], &Device::Cpu)?`; layers are in scope too",
    ),
    (&["os", "sys"], "`std::env`, `std::fs` and `std::path::Path`"),
    (&["json"], "`serde_json::from_str(&text)?`, `json!({ \"a\": 1 })`"),
    (&["math"], "methods of numbers: `2.0_f64.sqrt()`, `std::f64::consts::PI`"),
];

/// Learners of scikit-learn, XGBoost and LightGBM.
pub(super) const LEARNERS: Spellings = &[
    (
        &["XGBClassifier", "XGBRegressor"],
        "`model::XgBoost::new().fit(&train, \"y\")?`: the target says whether it is classes or numbers",
    ),
    (
        &["LGBMClassifier", "LGBMRegressor"],
        "`model::LightGbm::new().fit(&train, \"y\")?`: the target says whether it is classes or numbers",
    ),
    (
        &[
            "GradientBoostingClassifier",
            "GradientBoostingRegressor",
            "HistGradientBoostingClassifier",
            "HistGradientBoostingRegressor",
            "CatBoostClassifier",
            "CatBoostRegressor",
        ],
        "boosted trees are `model::LightGbm::new()` and `model::XgBoost::new()`: `.fit(&train, \"y\")?`",
    ),
    (
        &["RandomForestClassifier", "RandomForestRegressor"],
        "`model::RandomForest::new().fit(&train, \"y\")?`: the target says whether it is classes or numbers",
    ),
    (
        &["DecisionTreeClassifier", "DecisionTreeRegressor"],
        "`model::DecisionTree::new().fit(&train, \"y\")?`",
    ),
    (
        &["SVC", "SVR", "LinearSVC", "LinearSVR"],
        "there are no support vector machines; `model::LogisticRegression::new()` and `model::LightGbm::new()` do the same work",
    ),
    (
        &["GridSearchCV", "RandomizedSearchCV"],
        "`model::Study` searches parameters (`%doc model::Study`); `model::cross_validate` judges one choice",
    ),
];

/// Options of learners.
pub(super) const OPTIONS: Spellings = &[
    (&["with_random_state", "random_state", "with_random_seed"], "`.with_seed(1)`"),
    (&["with_n_jobs", "n_jobs", "with_nthread"], "`.with_num_threads(4)`, where a learner has it"),
    (
        &["score"],
        "`model.evaluate(&test)?` has all metrics, `model.evaluate(&test)?.score()` is the main one",
    ),
    (
        &["predict", "predict_proba", "evaluate", "feature_importances_"],
        "`fit` returns the fitted model: `let fitted = learner.fit(&train, \"y\")?; fitted.predict(&test)?`",
    ),
];

/// Kinds of plots.
pub(super) const PLOTS: Spellings = &[
    (&["hist"], "`df.plot().histogram(\"x\")?`"),
    (&["barh"], "`df.plot().bar(\"x\", \"y\")?`"),
    (&["heatmap", "corr"], "`df.plot().correlation()?`"),
];

/// Python's built-in functions.
pub(super) const FUNCTIONS: Spellings = &[
    (
        &[
            "read_csv",
            "read_parquet",
            "read_excel",
            "read_json",
            "read_table",
            "read_ndjson",
            "read_ipc",
            "read_feather",
        ],
        "`data::read(\"t.csv\")?` reads every format",
    ),
    (&["scan_csv", "scan_parquet", "scan_ndjson"], "`data::scan(\"t.csv\")?` reads lazily"),
    (&["read_sql", "read_database"], "`data::read_sql(url, \"select …\")?`, or a `%%sql` cell"),
    (&["range"], "`for i in 0..10`"),
    (&["enumerate"], "`for (i, x) in xs.iter().enumerate()`"),
    (&["zip"], "`for (x, y) in xs.iter().zip(&ys)`"),
    (&["sorted"], "`xs.sort()` in place, or `xs.iter().sorted()` by itertools"),
    (&["int"], "`x as i64` for numbers, `text.parse::<i64>()?` for text"),
    (&["float"], "`x as f64` for numbers, `text.parse::<f64>()?` for text"),
    (&["str", "repr"], "`x.to_string()`, or `format!(\"{x:?}\")`"),
    (&["list"], "`xs.collect::<Vec<_>>()`"),
    (&["dict"], "`HashMap::from([(\"a\", 1)])`"),
    (&["set"], "`HashSet::from([1, 2])`"),
    (&["len"], "`xs.len()`; a frame has `df.height()` and `df.width()`"),
    (&["sum", "any", "map", "filter"], "iterators have it as a method: `xs.iter().sum::<f64>()`"),
    (&["abs", "round", "pow"], "numbers have it as a method: `x.abs()`"),
    (&["open"], "`std::fs::read_to_string(\"t.txt\")?`, `std::fs::write(\"t.txt\", text)?`"),
    (&["type"], "`std::any::type_name_of_val(&x)`; `%who` lists variables with their types"),
];

/// First words of a line that only Python has.
pub(super) const STATEMENTS: Spellings = &[
    (
        &["import", "from"],
        "the workbench is in scope already; a crate comes in with `%dep name = \"1\"`, its names with `use name::Thing;`",
    ),
    (&["def"], "`fn f(x: f64) -> f64 { x + 1.0 }`"),
    (
        &["class"],
        "`struct Point { x: f64 }` with `impl Point { fn norm(&self) -> f64 { self.x } }`",
    ),
    (&["elif"], "`else if x > 0 { … }`"),
    (
        &["with"],
        "values clean up after themselves: `let text = std::fs::read_to_string(\"t.txt\")?;`",
    ),
    (
        &["try", "except", "raise"],
        "errors are values: `?` hands them on, `match result { Ok(x) => …, Err(error) => … }` looks at them, `bail!(\"…\")` makes one",
    ),
    (&["del"], "`drop(x);`"),
    (&["assert"], "`assert!(x > 0);` or `assert_eq!(x, 3);`"),
    (&["pass"], "an empty block `{}`"),
];
