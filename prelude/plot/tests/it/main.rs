//! Every plot as Vega-Lite and as pixels, on real and on awkward data.

use std::io::Cursor;

use oxilab_display::Render;
use oxilab_plot::{Chart, PlotExt, evaluate};
use polars::prelude::*;
use serde_json::Value;

fn iris() -> DataFrame {
    CsvReadOptions::default()
        .into_reader_with_file_handle(Cursor::new(include_str!("../../../data/datasets/iris.csv")))
        .finish()
        .unwrap()
}

/// Pixels that are neither white nor grey: the marks.
fn coloured(chart: &Chart) -> usize {
    let png = image::load_from_memory(&chart.to_png().unwrap()).unwrap().to_rgb8();
    png.pixels()
        .filter(|pixel| {
            let [red, green, blue] = pixel.0.map(i32::from);
            (red - green).abs().max((green - blue).abs()).max((red - blue).abs()) > 30
        })
        .count()
}

/// What every chart must be: titled axes, data without raw floods, both representations.
#[track_caller]
fn sound(chart: &Chart) -> Value {
    let spec = chart.to_json();
    assert_eq!(spec["$schema"], "https://vega.github.io/schema/vega-lite/v5.json");
    let panels = match spec["concat"].as_array() {
        Some(panels) => panels.clone(),
        None => vec![spec.clone()],
    };
    for panel in &panels {
        let layers = panel["layer"].as_array().unwrap();
        assert!(!layers.is_empty());
        for layer in layers {
            let rows = layer["data"]["values"].as_array().unwrap().len();
            assert!(rows <= 50_000, "{rows} rows");
            assert!(layer["encoding"]["tooltip"].is_array());
            for axis in ["x", "y"] {
                assert!(layer["encoding"][axis]["title"].is_string());
                let domain = layer["encoding"][axis]["scale"]["domain"].as_array().unwrap();
                assert!(domain[0].as_f64().unwrap() < domain[1].as_f64().unwrap(), "{domain:?}");
            }
        }
    }
    assert!(coloured(chart) > 50, "nothing was drawn");
    assert!(chart.to_svg().unwrap().trim_end().ends_with("</svg>"));
    let bundle = chart.render();
    assert!(bundle.data.contains_key("image/png"));
    assert!(bundle.data["application/vnd.vegalite.v5+json"].is_object());
    assert!(!bundle.plain().is_empty());
    spec
}

fn first_layer(spec: &Value) -> &Value {
    &spec["layer"][0]
}

#[test]
fn every_plot_of_a_frame_draws() {
    let df = iris();
    let plot = || df.plot().color("species");
    let charts = [
        ("scatter", plot().title("Iris").scatter("petal_length", "petal_width").unwrap()),
        ("scatter classes", plot().scatter("species", "petal_width").unwrap()),
        ("line", plot().line("petal_length", "petal_width").unwrap()),
        ("lines", df.plot().lines("petal_length", ["petal_width", "sepal_width"]).unwrap()),
        ("area", df.plot().area("petal_length", "petal_width").unwrap()),
        (
            "band",
            plot().band("petal_length", "sepal_width", "petal_width", "sepal_length").unwrap(),
        ),
        ("bar", df.plot().bar("species", "petal_width").unwrap()),
        ("bar groups", plot().bar("petal_width", "petal_length").unwrap()),
        ("count", df.plot().count("species").unwrap()),
        ("histogram", plot().histogram("petal_length").unwrap()),
        ("histogram classes", plot().histogram("species").unwrap()),
        ("density", plot().density("petal_length").unwrap()),
        ("boxplot", plot().boxplot("species", "sepal_width").unwrap()),
        ("violin", plot().violin("species", "sepal_width").unwrap()),
        ("heatmap", df.plot().heatmap("species", "petal_width", "petal_length").unwrap()),
        ("correlation", df.plot().correlation().unwrap()),
        ("pair", plot().pair(["petal_length", "petal_width", "sepal_width"]).unwrap()),
        ("facets", df.plot().facet("species").scatter("petal_length", "petal_width").unwrap()),
        ("log", plot().log_x().log_y().scatter("petal_length", "petal_width").unwrap()),
    ];
    let folder = std::env::var_os("OXILAB_PLOT_FOLDER");
    for (name, chart) in &charts {
        sound(chart);
        if let Some(folder) = &folder {
            chart.save(std::path::Path::new(folder).join(format!("{name}.png"))).unwrap();
            chart.save(std::path::Path::new(folder).join(format!("{name}.json"))).unwrap();
        }
    }
}

#[test]
fn colours_stand_for_classes_and_axes_for_columns() {
    let df = iris();
    let spec = sound(&df.plot().color("species").scatter("petal_length", "petal_width").unwrap());
    let layer = first_layer(&spec);
    assert_eq!(layer["encoding"]["x"]["title"], "petal_length");
    assert_eq!(layer["data"]["values"].as_array().unwrap().len(), 150);
    assert_eq!(layer["data"]["values"][0]["group"], "setosa");
    assert_eq!(layer["encoding"]["color"]["scale"]["range"][1], "#E69F00");
    assert_eq!(layer["encoding"]["color"]["title"], "species");
    let tooltip: Vec<&str> = layer["encoding"]["tooltip"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["title"].as_str().unwrap())
        .collect();
    assert_eq!(tooltip, ["petal_length", "petal_width", "species"]);
    assert!(spec["background"] == "transparent");
}

#[test]
fn bars_are_means_and_counts() {
    let df = df!("k" => ["b", "a", "b"], "v" => [1.0, 5.0, 2.0]).unwrap();
    let spec = sound(&df.plot().bar("k", "v").unwrap());
    let bars = &first_layer(&spec)["data"]["values"];
    assert_eq!((bars[0]["y2"].as_f64(), bars[1]["y2"].as_f64()), (Some(5.0), Some(1.5)));
    assert_eq!(first_layer(&spec)["encoding"]["y"]["title"], "mean of v");
    let spec = sound(&df.plot().count("k").unwrap());
    assert_eq!(first_layer(&spec)["data"]["values"][1]["y2"].as_f64(), Some(2.0));
    let labels = first_layer(&spec)["encoding"]["x"]["axis"]["labelExpr"].as_str().unwrap();
    assert_eq!(labels, r#"["a","b"][datum.value]"#);
}

#[test]
fn dates_make_a_time_axis() {
    let days = ["2024-01-01", "2024-02-01", "2024-03-01"].map(|day| day.parse().unwrap());
    let days = DateChunked::from_naive_date("day".into(), days).into_series().into_column();
    let df = DataFrame::new_infer_height(vec![days, Column::new("v".into(), [1, 3, 2])]).unwrap();
    let spec = sound(&df.plot().line("day", "v").unwrap());
    assert_eq!(first_layer(&spec)["encoding"]["x"]["type"], "temporal");
    assert_eq!(first_layer(&spec)["data"]["values"][0]["x"].as_f64(), Some(1_704_067_200_000.0));
}

#[test]
fn many_points_are_binned_and_the_chart_says_so() {
    let n = 120_000_u32;
    let df = df!(
        "x" => (0..n).map(|i| f64::from(i % 997)).collect::<Vec<_>>(),
        "y" => (0..n).map(|i| f64::from(i % 991)).collect::<Vec<_>>(),
        "t" => (0..n).map(f64::from).collect::<Vec<_>>(),
    )
    .unwrap();
    let chart = df.plot().scatter("x", "y").unwrap();
    let spec = sound(&chart);
    assert!(chart.note().starts_with("120,000 points"), "{}", chart.note());
    assert_eq!(spec["title"]["subtitle"].as_str(), Some(chart.note()));
    let counts: f64 = first_layer(&spec)["data"]["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| cell["value"].as_f64().unwrap())
        .sum();
    assert_eq!(counts, 120_000.0);
    let line = df.plot().line("t", "y").unwrap();
    sound(&line);
    assert!(line.note().contains("120,000 points"));
    // Every kind of plot stays below the limit in all, and says what it left out.
    let wide = df
        .clone()
        .lazy()
        .with_columns([
            (col("y") + lit(1.0)).alias("high"),
            (col("x").cast(DataType::Int64) % lit(7)).cast(DataType::String).alias("k"),
            when((col("t") % lit(20.0)).gt(lit(0.0)))
                .then(lit(0.0))
                .otherwise(lit(1e6))
                .alias("far"),
        ])
        .collect()
        .unwrap();
    let plot = || wide.plot().color("k");
    let truth: Vec<f64> = (0..n).map(|i| f64::from(i % 2)).collect();
    let scores: Vec<f64> = (0..n).map(f64::from).collect();
    for (name, chart) in [
        ("line", plot().facet("k").line("t", "y").unwrap()),
        ("lines", wide.plot().lines("t", ["x", "y", "high"]).unwrap()),
        ("area", plot().area("t", "y").unwrap()),
        ("band", plot().band("t", "y", "x", "high").unwrap()),
        ("pair", plot().pair(["x", "y", "t", "high", "far"]).unwrap()),
        ("boxplot", plot().boxplot("k", "far").unwrap()),
        ("learning", evaluate::learning_curve(&scores, &[("a", &truth), ("b", &scores)]).unwrap()),
        ("roc", evaluate::roc(&[("m", &truth, &scores)]).unwrap()),
        ("residuals", evaluate::residuals(&truth, &scores).unwrap()),
    ] {
        let spec = sound(&chart);
        assert!(!chart.note().is_empty(), "{name}");
        let panels = spec["concat"].as_array().cloned().unwrap_or_else(|| vec![spec.clone()]);
        let rows: usize = panels
            .iter()
            .flat_map(|panel| panel["layer"].as_array().unwrap())
            .map(|layer| layer["data"]["values"].as_array().unwrap().len())
            .sum();
        assert!(rows <= 50_000, "{name}: {rows}");
    }
}

#[test]
fn missing_and_infinite_values_and_constants_do_no_harm() {
    let df = df!(
        "x" => [Some(1.0), None, Some(f64::NAN), Some(3.0), Some(f64::INFINITY)],
        "y" => [2.0, 2.0, 2.0, 2.0, 2.0],
        "c" => [Some("a"), None, Some("b"), Some("a"), Some("b")],
    )
    .unwrap();
    for chart in [
        df.plot().color("c").scatter("x", "y").unwrap(),
        df.plot().histogram("x").unwrap(),
        df.plot().histogram("y").unwrap(),
        df.plot().line("x", "y").unwrap(),
        df.plot().boxplot("c", "x").unwrap(),
        df.plot().bar("c", "y").unwrap(),
    ] {
        sound(&chart);
    }
}

#[test]
fn curves_agree_with_scikit_learn() {
    // roc_auc_score, average_precision_score of scikit-learn 1.9.1 on the same values.
    let truth = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
    let scores = [0.1, 0.9, 0.4, 0.4, 0.8, 0.3, 0.2, 0.7];
    let chart = evaluate::roc(&[("m", &truth, &scores)]).unwrap();
    sound(&chart);
    assert!(chart.describe().contains("AUC 0.719"), "{}", chart.describe());
    let chart = evaluate::pr(&[("m", &truth, &scores)]).unwrap();
    sound(&chart);
    assert!(chart.describe().contains("AP 0.793"), "{}", chart.describe());
    sound(&evaluate::calibration(&[("m", &truth, &scores), ("n", &truth, &truth)]).unwrap());
    let df = df!(
        "y" => ["no", "yes", "yes", "no", "yes", "no", "yes", "no"], "p" => scores,
        "guess" => ["no", "yes", "no", "no", "yes", "no", "no", "yes"],
    )
    .unwrap();
    let chart = df.plot().roc("y", "p").unwrap();
    assert!(chart.describe().contains("AUC 0.719"), "{}", chart.describe());
    let spec = sound(&df.plot().title("Mine").confusion("y", "guess").unwrap());
    let counts: Vec<f64> = first_layer(&spec)["data"]["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| cell["value"].as_f64().unwrap())
        .collect();
    assert_eq!((counts, spec["title"]["text"].as_str()), (vec![3.0, 1.0, 2.0, 2.0], Some("Mine")));
    sound(&evaluate::residuals(&[1.0, 2.0, 3.0], &[1.1, 1.9, 3.3]).unwrap());
    sound(
        &evaluate::learning_curve(&[1.0, 2.0], &[("train", &[0.5, 0.7]), ("valid", &[0.4, 0.5])])
            .unwrap(),
    );
}

#[test]
fn errors_say_what_is_wrong() {
    let df = iris();
    let text = |chart: oxilab_plot::Result<Chart>| chart.unwrap_err().to_string();
    assert!(text(df.plot().scatter("petal", "petal_width")).contains("columns are sepal_length"));
    assert!(text(df.plot().line("petal_width", "species")).contains("\"species\" is str"));
    assert!(
        text(df.head(Some(0)).plot().scatter("petal_length", "petal_width")).contains("no rows")
    );
    assert!(text(df.plot().roc("species", "petal_width")).contains("3 classes"));
    assert!(
        text(evaluate::roc(&[("m", &[1.0, 1.0], &[0.1, 0.2])]))
            .contains("all 2 rows are of one class")
    );
    let chart = df.plot().count("species").unwrap();
    assert!(chart.save("x.doc").unwrap_err().to_string().contains("use png, svg or json"));
}

#[test]
fn files_hold_what_their_extension_says() {
    let folder = std::env::temp_dir().join(format!("oxilab-plot-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let chart = iris().plot().count("species").unwrap().with_size(200, 100);
    for (name, start) in [("c.png", b"\x89PNG".as_slice()), ("c.svg", b"<svg"), ("c.json", b"{")] {
        chart.save(folder.join(name)).unwrap();
        assert!(std::fs::read(folder.join(name)).unwrap().starts_with(start), "{name}");
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3);
    std::fs::remove_dir_all(&folder).unwrap();
}
