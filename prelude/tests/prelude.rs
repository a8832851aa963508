//! What a cell finds in scope: the list of names is pinned, and typical names work together.

use std::collections::BTreeSet;

/// Names that no glob may take from a user: std's prelude and what people write unqualified.
const NEVER: [&str; 16] = [
    "Result", "Option", "Some", "None", "Ok", "Err", "min", "max", "sum", "first", "last", "Vec",
    "String", "Box", "drop", "Error",
];

/// All names of `prelude.rs`, traits without a name as `Trait as _`.
fn names() -> BTreeSet<String> {
    let source: String = include_str!("../src/prelude.rs")
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    source
        .split("pub use ")
        .skip(1)
        .flat_map(|item| {
            let item = item.split(';').next().unwrap_or_default();
            let leaves =
                item.rsplit_once('{').map_or(item, |(_, inner)| inner.trim_end_matches('}'));
            leaves.split(',').map(str::trim).filter(|leaf| !leaf.is_empty()).collect::<Vec<_>>()
        })
        .map(|leaf| match leaf.split_once(" as ") {
            Some((_, "_")) => leaf.to_owned(),
            Some((_, name)) => name.to_owned(),
            None => leaf.rsplit("::").next().unwrap_or(leaf).to_owned(),
        })
        .collect()
}

#[test]
fn the_list_of_names_is_the_committed_one() {
    let names: Vec<_> = names().into_iter().collect();
    assert!(!names.iter().any(|name| name.contains('*')), "a glob in the prelude");
    for never in NEVER {
        assert!(!names.iter().any(|name| name == never), "the prelude takes `{never}`");
    }
    let found = names.join("\n") + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/prelude-names.txt");
    if std::env::var_os("OXILAB_UPDATE").is_some() {
        std::fs::write(path, &found).expect("writes");
    }
    let pinned = std::fs::read_to_string(path).expect("the committed list");
    assert_eq!(found, pinned, "run once with OXILAB_UPDATE=1 and commit {path} if this is meant");
}

/// Written as a cell is: one glob, then code of all crates side by side.
mod cell {
    use oxilab::prelude::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: f64,
        label: Option<String>,
    }

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn polars_queries() -> Outcome {
        let frame = df!("g" => ["a", "b", "a"], "x" => [1.0, 2.0, 3.0], "n" => [1, 2, 3])?;
        let grouped = frame
            .clone()
            .lazy()
            .group_by([col("g")])
            .agg([
                col("x").mean().alias("mean"),
                len().alias("rows"),
                col("n").last().name().suffix("_l"),
            ])
            .sort(["g"], SortMultipleOptions::default())
            .collect()?;
        assert_eq!(grouped.column("mean")?.f64()?.get(0), Some(2.0));
        let joined = frame.join(&grouped, ["g"], ["g"], JoinArgs::new(JoinType::Left), None)?;
        assert_eq!(joined.height(), 3);
        let flagged = frame.clone().lazy().with_column(
            when(col("n").gt(lit(1))).then(lit("many")).otherwise(lit("one")).alias("how"),
        );
        let both = concat([flagged.clone(), flagged], UnionArgs::default())?.collect()?;
        assert_eq!(both.shape(), (6, 4));
        let series = Series::new("s".into(), &[1i64, 2, 3]);
        let doubled: Int64Chunked = series.i64()?.apply(|value| value.map(|value| value * 2));
        assert_eq!(doubled.into_series().sum::<i64>()?, 12);
        let mut bytes = Vec::new();
        CsvWriter::new(&mut bytes).finish(&mut frame.clone())?;
        let back = CsvReader::new(std::io::Cursor::new(bytes)).finish()?;
        assert_eq!(back.shape(), (3, 3));
        let filtered = frame.filter(&frame.column("x")?.f64()?.gt(1.5))?;
        assert_eq!(filtered.height(), 2);
        let mut context = SQLContext::new();
        context.register("t", frame.lazy());
        assert_eq!(context.execute("SELECT g FROM t WHERE n > 1")?.collect()?.height(), 2);
        Ok(())
    }

    #[test]
    fn candle_training() -> Outcome {
        let device = Device::Cpu;
        let variables = VarMap::new();
        let builder = VarBuilder::from_varmap(&variables, DType::F32, &device);
        let model = seq()
            .add(linear(2, 8, builder.pp("first"))?)
            .add(Activation::Relu)
            .add(linear(8, 1, builder.pp("second"))?);
        let x = Tensor::new(&[[0f32, 0.], [0., 1.], [1., 0.], [1., 1.]], &device)?;
        let y = Tensor::new(&[[0f32], [1.], [1.], [2.]], &device)?;
        let mut optimizer =
            AdamW::new(variables.all_vars(), ParamsAdamW { lr: 0.05, ..Default::default() })?;
        let first = loss::mse(&model.forward(&x)?, &y)?.to_scalar::<f32>()?;
        for _ in 0..100 {
            optimizer.backward_step(&loss::mse(&model.forward(&x)?, &y)?)?;
        }
        assert!(loss::mse(&model.forward(&x)?, &y)?.to_scalar::<f32>()? < first);
        assert_eq!(x.i((1, ..))?.dims(), [2]);
        assert_eq!(ops::softmax(&x, D::Minus1)?.dims(), [4, 2]);
        Ok(())
    }

    #[test]
    fn everyday_crates() -> Outcome {
        let points = vec![Point { x: 1.0, label: None }, Point { x: 2.0, label: Some("b".into()) }];
        assert_eq!(from_frame::<Point>(&to_frame(&points)?)?, points);
        assert_eq!(json!({"a": [1, null]})["a"][0], 1);
        let squares: Vec<i32> = (0..10).collect::<Vec<_>>().par_iter().map(|n| n * n).collect();
        assert_eq!(squares.iter().sum::<i32>(), 285);
        let mut rng = StdRng::seed_from_u64(7);
        let draw: f64 = rng.random();
        let mut order: Vec<_> = (0..10).collect();
        order.shuffle(&mut rng);
        assert!((0.0..1.0).contains(&draw) && order.choose(&mut rng).is_some());
        assert_eq!((1..4).tuple_windows().map(|(a, b): (i32, i32)| a * b).join(","), "2,6");
        let matrix: Array2<f64> = array![[1., 2.], [3., 4.]];
        assert_eq!(matrix.sum_axis(Axis(0))[1], 6.);
        assert_eq!(matrix.slice(s![.., 0]).sum(), 4.);
        let day = NaiveDate::from_ymd_opt(2024, 2, 29).context("no such day")?;
        assert_eq!((day.year(), day.weekday()), (2024, Weekday::Thu));
        assert!(Regex::new(r"^\d+$")?.is_match("123"));
        let mut counts: HashMap<char, usize> = HashMap::new();
        for letter in "hello".chars() {
            *counts.entry(letter).or_default() += 1;
        }
        assert_eq!(counts[&'l'], 2);
        let shared = Arc::new(Mutex::new(1));
        *shared.lock().map_err(|_| anyhow!("poisoned"))? += 1;
        let _elapsed: Duration = Instant::now().elapsed();
        let checked = || -> anyhow::Result<()> {
            ensure!(*shared.lock().map_err(|_| anyhow!("poisoned"))? == 2, "not two");
            bail!("done")
        };
        assert_eq!(checked().expect_err("bails").to_string(), "done");
        Ok(())
    }

    #[test]
    fn showing() -> Outcome {
        let frame = df!("a" => [1])?;
        display(&frame);
        show!(1 + 1);
        oxilab::__rt::show!(frame);
        let drawing = figure((60, 40), |root| {
            use plotters::prelude::*;
            root.fill(&WHITE)?;
            Ok(())
        })?;
        assert_eq!(drawing.render().plain(), "Figure 60×40");
        assert!(html("<b>x</b>").render().data.contains_key("text/html"));
        assert!(
            image(image::DynamicImage::new_rgb8(1, 1))?.render().data.contains_key("image/png")
        );
        Ok(())
    }

    #[test]
    fn crates_are_paths() {
        let _ = polars::prelude::Duration::parse("1d");
        let _ = candle_core::utils::cuda_is_available();
        let _ = candle_nn::Activation::Relu;
        let _ = candle_transformers::generation::Sampling::ArgMax;
        let _ = serde_json::Value::Null;
        let _ = tokio::time::Duration::from_secs(1);
        let _ = itertools::min([1]);
        let _ = chrono::Utc::now();
        let _: u8 = rand::random();
        let _ = rayon::current_num_threads();
    }

    /// The user's own items and imports win over the glob.
    mod shadowing {
        use std::fmt::Result;

        #[allow(unused_imports, reason = "a cell has it whether it needs it or not")]
        use oxilab::prelude::*;
        use polars::prelude::Duration;

        fn len() -> usize {
            7
        }
        struct Tensor;

        #[test]
        fn own_names_win() {
            let nothing: Result = Ok(());
            assert!(nothing.is_ok());
            assert_eq!(len(), 7);
            assert_eq!(Duration::parse("2d").days(), 2);
            let Tensor = Tensor;
        }
    }
}
