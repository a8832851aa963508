//! Charts as Vega-Lite, version 5.

use serde_json::{Map, Value, json};

use crate::chart::{Axis, Box4, Chart, Kind, Layer, Panel};
use crate::palette::{DIVERGING, GREY, SEQUENTIAL, colour};

/// The whole specification.
pub(crate) fn spec(chart: &Chart) -> Value {
    let mut spec = Map::new();
    let mut put = |key: &str, value: Value| spec.insert(key.to_owned(), value);
    put("$schema", json!("https://vega.github.io/schema/vega-lite/v5.json"));
    put("description", json!(chart.describe()));
    put("background", json!("transparent"));
    put("config", config());
    if !chart.title.is_empty() || !chart.note.is_empty() {
        let mut title = json!({ "text": chart.title, "anchor": "start" });
        if !chart.note.is_empty() {
            title["subtitle"] = json!(chart.note);
        }
        put("title", title);
    }
    let (width, height) = chart.size;
    if let [panel] = chart.panels.as_slice() {
        put("width", json!(width));
        put("height", json!(height));
        put("layer", layers(chart, panel, 0));
    } else {
        let panels = chart.panels.iter().enumerate().map(|(index, panel)| {
            json!({ "title": panel.title, "width": width, "height": height, "layer": layers(chart, panel, index) })
        });
        put("columns", json!(chart.columns));
        put("concat", panels.collect());
    }
    Value::Object(spec)
}

/// Grey text and lines read on light and dark pages.
fn config() -> Value {
    json!({
        "view": { "stroke": null },
        "axis": {
            "labelColor": GREY, "titleColor": GREY, "domainColor": GREY, "tickColor": GREY,
            "gridColor": GREY, "gridOpacity": 0.25,
        },
        "legend": { "labelColor": GREY, "titleColor": GREY, "symbolOpacity": 1 },
        "title": { "color": GREY, "subtitleColor": GREY },
    })
}

fn layers(chart: &Chart, panel: &Panel, index: usize) -> Value {
    let mut layers: Vec<Value> =
        panel.layers.iter().map(|layer| layer_spec(chart, panel, layer)).collect();
    let zoomable = |axis: &Axis| matches!(axis.kind, Kind::Number | Kind::Log | Kind::Time);
    // Zooming belongs to one layer of the panel and moves the axes that all layers share.
    if zoomable(&panel.x)
        && zoomable(&panel.y)
        && let Some(first) = layers.first_mut()
    {
        // The wheel alone scrolls the notebook.
        let select =
            json!({ "type": "interval", "zoom": "wheel![event.ctrlKey || event.metaKey]" });
        let name = format!("zoom{index}");
        first["params"] = json!([{ "name": name, "select": select, "bind": "scales" }]);
    }
    Value::Array(layers)
}

/// A place as JSON; what is no number is null, which Vega-Lite leaves out.
fn place(value: f64) -> Value {
    json!(value.is_finite().then_some(value))
}

#[expect(clippy::too_many_lines, reason = "one arm per kind of mark")]
fn layer_spec(chart: &Chart, panel: &Panel, layer: &Layer) -> Value {
    let coloured = chart.groups.len() > 1;
    let group = |group: usize| chart.groups.get(group).map_or("", String::as_str);
    let mark = |kind: &str, opacity: f64, group: usize| {
        let mut mark = json!({ "type": kind, "opacity": opacity });
        if !coloured {
            mark["color"] = json!(colour(group));
        }
        mark
    };
    let row = |pairs: &[(&str, f64)], of: Option<usize>| {
        let mut row: Map<String, Value> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), place(*value))).collect();
        for (axis, name) in [(&panel.x, "x"), (&panel.y, "y")] {
            if let (Kind::Classes(names, _), Some(value)) =
                (&axis.kind, row.get(name).and_then(Value::as_f64))
            {
                let nearest = names
                    .iter()
                    .enumerate()
                    .find(|(place, _)| (crate::smooth::float(*place) - value).abs() < 0.5);
                if let Some((_, class)) = nearest {
                    row.insert(format!("{name}_class"), json!(class));
                }
            }
        }
        if let Some(of) = of.filter(|_| coloured) {
            row.insert("group".to_owned(), json!(group(of)));
        }
        Value::Object(row)
    };
    let boxed = |corner: &Box4, of: Option<usize>| {
        row(&[("x", corner[0]), ("y", corner[1]), ("x2", corner[2]), ("y2", corner[3])], of)
    };
    let mut encoding = Map::new();
    encoding.insert("x".to_owned(), axis_spec(panel, true));
    encoding.insert("y".to_owned(), axis_spec(panel, false));
    let mut grouped = coloured;
    let mut corners = false;
    let (mark, values): (Value, Vec<Value>) = match layer {
        Layer::Points { x, y, group, opacity } => {
            let mut mark = mark("circle", *opacity, group.first().copied().unwrap_or(0));
            mark["size"] = json!(36);
            let rows = x.iter().zip(y).zip(group);
            (mark, rows.map(|((x, y), group)| row(&[("x", *x), ("y", *y)], Some(*group))).collect())
        }
        Layer::Line { x, y, group, dashed } => {
            let mut mark = mark("line", 1.0, *group);
            if *dashed {
                mark["strokeDash"] = json!([5, 4]);
                mark["color"] = json!(GREY);
                grouped = false;
            }
            // The order of the data is the order of the line.
            encoding.insert("order".to_owned(), json!({ "field": "n", "type": "quantitative" }));
            let rows = x.iter().zip(y).enumerate().map(|(n, (x, y))| {
                row(
                    &[("x", *x), ("y", *y), ("n", crate::smooth::float(n))],
                    (!dashed).then_some(*group),
                )
            });
            (mark, rows.collect())
        }
        Layer::Area { along, low, high, group, opacity, upright } => {
            let mut mark = mark("area", *opacity, *group);
            let names = if *upright { ["x", "y", "y2"] } else { ["y", "x", "x2"] };
            mark["orient"] = json!(if *upright { "vertical" } else { "horizontal" });
            encoding.insert(names[2].to_owned(), json!({ "field": names[2] }));
            let rows = along.iter().zip(low).zip(high).map(|((along, low), high)| {
                row(&[(names[0], *along), (names[1], *low), (names[2], *high)], Some(*group))
            });
            (mark, rows.collect())
        }
        Layer::Bars { boxes, group, opacity } => {
            corners = true;
            let mark = mark("rect", *opacity, group.first().copied().unwrap_or(0));
            (
                mark,
                boxes
                    .iter()
                    .zip(group)
                    .map(|(corner, group)| boxed(corner, Some(*group)))
                    .collect(),
            )
        }
        Layer::Cells { boxes, values, title, diverging } => {
            corners = true;
            grouped = false;
            encoding.insert("color".to_owned(), cell_scale(values, title, *diverging));
            let cells = boxes.iter().zip(values).map(|(corner, value)| {
                let mut cell = boxed(corner, None);
                cell["value"] = place(*value);
                cell
            });
            (json!({ "type": "rect" }), cells.collect())
        }
        Layer::Segments { ends } => {
            corners = true;
            grouped = false;
            let mark = json!({ "type": "rule", "color": GREY, "strokeWidth": 1.5 });
            (mark, ends.iter().map(|ends| boxed(ends, None)).collect())
        }
        Layer::Text { x, y, text, bright } => {
            grouped = false;
            encoding.insert("text".to_owned(), json!({ "field": "text", "type": "nominal" }));
            encoding.insert(
                "color".to_owned(),
                json!({ "field": "ink", "type": "nominal", "scale": null }),
            );
            let rows = x.iter().zip(y).zip(text).zip(bright).map(|(((x, y), text), bright)| {
                let mut row = row(&[("x", *x), ("y", *y)], None);
                row["text"] = json!(text);
                row["ink"] = json!(if *bright { "#ffffff" } else { "#1a1a1a" });
                row
            });
            (json!({ "type": "text", "fontSize": 11 }), rows.collect())
        }
    };
    if corners {
        encoding.insert("x2".to_owned(), json!({ "field": "x2" }));
        encoding.insert("y2".to_owned(), json!({ "field": "y2" }));
    }
    if grouped {
        let range: Vec<&str> = (0..chart.groups.len()).map(colour).collect();
        encoding.insert(
            "color".to_owned(),
            json!({
                "field": "group", "type": "nominal", "title": chart.legend,
                "scale": { "domain": chart.groups, "range": range },
            }),
        );
    }
    encoding.insert("tooltip".to_owned(), tooltip(chart, panel, layer, grouped));
    json!({ "data": { "values": values }, "mark": mark, "encoding": encoding })
}

/// What a mark says of itself under the pointer: the names of columns, not those of the encoding.
fn tooltip(chart: &Chart, panel: &Panel, layer: &Layer, grouped: bool) -> Value {
    let mut lines = Vec::new();
    let mut line = |field: &str, title: &str, axis: &Axis| {
        let mut line = json!({ "field": field, "title": title });
        match &axis.kind {
            Kind::Time => {
                line["type"] = json!("temporal");
                line["timeUnit"] = json!("utcyearmonthdatehoursminutes");
            }
            Kind::Classes(..) => {
                line["field"] = json!(format!("{}_class", field.trim_end_matches('2')));
                line["type"] = json!("nominal");
            }
            Kind::Number | Kind::Log => {
                line["type"] = json!("quantitative");
                line["format"] = json!(",.6~g");
            }
        }
        lines.push(line);
    };
    let (x, y) = (&panel.x, &panel.y);
    let named = |axis: &Axis, or: &str| {
        if axis.title.is_empty() { or.to_owned() } else { axis.title.clone() }
    };
    let (x_name, y_name) = (named(x, "x"), named(y, "y"));
    match layer {
        Layer::Points { .. } | Layer::Line { .. } | Layer::Text { .. } => {
            line("x", &x_name, x);
            line("y", &y_name, y);
        }
        Layer::Area { upright: true, .. } => {
            line("x", &x_name, x);
            line("y", &format!("{y_name}, low"), y);
            line("y2", &format!("{y_name}, high"), y);
        }
        Layer::Area { upright: false, .. } => line("y", &y_name, y),
        Layer::Bars { .. } | Layer::Cells { .. } => {
            let classes = |axis: &Axis| matches!(axis.kind, Kind::Classes(..));
            if classes(x) {
                line("x", &x_name, x);
            } else {
                line("x", &format!("{x_name} from"), x);
                line("x2", "to", x);
            }
            if classes(y) {
                line("y", &y_name, y);
            } else if y.zero {
                // Bars stand on zero.
                line("y2", &y_name, y);
            } else {
                line("y", &format!("{y_name} from"), y);
                line("y2", "to", y);
            }
            if let Layer::Cells { title, .. } = layer {
                line("value", title, &Axis::number(""));
            }
        }
        Layer::Segments { .. } => {}
    }
    if grouped {
        lines.push(json!({ "field": "group", "type": "nominal", "title": chart.legend }));
    }
    Value::Array(lines)
}

fn cell_scale(values: &[f64], title: &str, diverging: bool) -> Value {
    let range: &[&str] = if diverging { &DIVERGING } else { &SEQUENTIAL };
    let (low, high) = if diverging {
        (-1.0, 1.0)
    } else {
        crate::smooth::extent(values.iter().copied()).unwrap_or((0.0, 1.0))
    };
    let last = crate::smooth::float(range.len() - 1);
    let stops = (0..range.len()).map(|stop| low + (high - low) * crate::smooth::float(stop) / last);
    let domain: Vec<f64> = stops.collect();
    json!({
        "field": "value", "type": "quantitative", "title": title,
        "scale": { "domain": domain, "range": range, "interpolate": "rgb" },
    })
}

fn axis_spec(panel: &Panel, horizontal: bool) -> Value {
    let axis = if horizontal { &panel.x } else { &panel.y };
    let (low, high) = panel.range(horizontal);
    let mut scale = json!({ "domain": [low, high], "nice": false, "zero": false });
    let mut kind = "quantitative";
    let mut look = Map::new();
    match &axis.kind {
        Kind::Number => {}
        Kind::Log => scale["type"] = json!("log"),
        Kind::Time => {
            scale = json!({ "domain": [low, high], "nice": false, "type": "utc" });
            kind = "temporal";
        }
        Kind::Classes(names, down) => {
            let places: Vec<usize> = (0..names.len()).collect();
            look.insert("values".to_owned(), json!(places));
            look.insert("labelExpr".to_owned(), json!(format!("{}[datum.value]", json!(names))));
            look.insert("grid".to_owned(), json!(false));
            if horizontal && names.iter().map(|name| name.chars().count()).sum::<usize>() > 60 {
                look.insert("labelAngle".to_owned(), json!(-40));
            }
            if *down {
                scale["reverse"] = json!(true);
            }
        }
    }
    let field = if horizontal { "x" } else { "y" };
    json!({ "field": field, "type": kind, "title": axis.title, "scale": scale, "axis": look })
}
