//! The chart crates that people bring along work by themselves: what their own documentation writes
//! shows in a cell, without anything of this workbench between.

use std::time::Duration;

use oxilab_kernel::session::Config;
use oxilab_tests::engine;
use oxilab_tests::frontend::Message;
use serde_json::Value;

use crate::engine::{run, shown, start};

/// What a cell has shown, whether as its value or in passing.
fn html(outputs: &[Message]) -> String {
    let data = outputs.iter().map(|message| &message.content["data"]["text/html"]);
    data.filter_map(Value::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn plotters_draws_in_its_own_ways() {
    let mut frontend = engine::start().await;
    engine::run(&mut frontend, "use plotters::prelude::*;").await;
    let own_figure = "evcxr_figure((320, 240), |root| {\n\
                          root.fill(&WHITE)?;\n\
                          let mut chart = ChartBuilder::on(&root).caption(\"squares\", (\"Arial\", 20))\n\
                              .build_cartesian_2d(0f32..3f32, 0f32..9f32)?;\n\
                          chart.draw_series(LineSeries::new((0..=3).map(|x| (x as f32, (x * x) as f32)), &RED))?;\n\
                          Ok(())\n\
                      })";
    let done = engine::run(&mut frontend, own_figure).await;
    let drawn = html(&done.outputs);
    assert!(drawn.contains("<svg") && drawn.contains("squares"), "{:?}", done.outputs);
    let own_backend = "let mut drawn = String::new();\n\
                       {\n\
                           let root = SVGBackend::with_string(&mut drawn, (200, 100)).into_drawing_area();\n\
                           root.fill(&WHITE)?;\n\
                           root.draw(&Circle::new((100, 50), 20, BLUE.filled()))?;\n\
                           root.present()?;\n\
                       }\n\
                       svg(drawn)";
    let done = engine::run(&mut frontend, own_backend).await;
    let data = &done.outputs.last().expect("shows").content["data"];
    assert!(data["image/svg+xml"].as_str().is_some_and(|svg| svg.contains("<circle")), "{data}");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes plotly and charming from crates.io; `cargo xtask peers` runs it"]
async fn plotly_and_charming_are_added_and_show_their_charts() {
    /// Fetching and building both, on a busy machine.
    const BUILD: Duration = Duration::from_mins(9);
    const CELL: Duration = Duration::from_mins(1);

    let folder = tempfile::tempdir().expect("a folder");
    let config = Config { directory: folder.path().to_owned(), ..Config::default() };
    let runner = start(config).await;
    let add = "%%dep\nplotly = \"0.14\"\ncharming = \"0.6\"";
    shown(&runner, add, BUILD).await;

    run(&runner, "use plotly::{Plot, Scatter};").await.expect("imports");
    let code = "let mut plot = Plot::new();\n\
                plot.add_trace(Scatter::new(vec![1, 2, 3], vec![4, 9, 16]).name(\"squares\"));\n\
                plot";
    let bundles = shown(&runner, code, CELL).await;
    let [bundle] = bundles.as_slice() else { panic!("not one value: {bundles:?}") };
    let chart = bundle.data["application/vnd.plotly.v1+json"].to_string();
    assert!(chart.contains("squares") && chart.contains("16"), "{chart}");
    // For front ends without plotly's own extension.
    let bundles = shown(&runner, "plot.notebook_display();", CELL).await;
    let page = bundles[0].data["text/html"].as_str().expect("is text");
    assert!(page.contains("squares") && page.contains("<script"), "{page}");

    run(
        &runner,
        "use charming::{Chart, HtmlRenderer, component::Axis, element::AxisType, series::Bar};",
    )
    .await
    .expect("imports");
    let code = "let bars = Chart::new()\n\
                    .x_axis(Axis::new().type_(AxisType::Category).data(vec![\"a\", \"b\"]))\n\
                    .y_axis(Axis::new().type_(AxisType::Value))\n\
                    .series(Bar::new().name(\"heights\").data(vec![3, 5]));\n\
                html(HtmlRenderer::new(\"bars\", 400, 300).render(&bars)?)";
    let bundles = shown(&runner, code, CELL).await;
    let page = bundles[0].data["text/html"].as_str().expect("is text");
    assert!(page.contains("heights") && page.contains("echarts"), "{page}");
    runner.shutdown(false).await;
}
