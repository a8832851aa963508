//! [`lines`]: a small line chart as SVG, which browsers, notebooks and MLflow's own pages show.

use std::fmt::Write as _;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 40.0;
/// More points than a line has pixels are not drawn.
const MOST: usize = 800;
/// Colours that differ for the colour-blind as well.
const COLORS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933"];

/// A named line of points.
pub(crate) type Series = (String, Vec<(f64, f64)>);

/// Lines over a common axis. Points that are not finite are left out.
#[expect(clippy::cast_precision_loss, reason = "four names stand side by side")]
pub(crate) fn lines(title: &str, series: &[Series]) -> String {
    let finite = |point: &&(f64, f64)| point.0.is_finite() && point.1.is_finite();
    let points = || series.iter().flat_map(|(_, points)| points).filter(finite);
    let range = |pick: fn(&(f64, f64)) -> f64| {
        let (low, high) =
            points().map(pick).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        match (low.is_finite(), high > low) {
            (false, _) => (0.0, 1.0),
            (true, true) => (low, high),
            (true, false) => (low - 0.5, low + 0.5),
        }
    };
    let (x, y) = (range(|point| point.0), range(|point| point.1));
    let place = |point: &(f64, f64)| {
        let across = (point.0 - x.0) / (x.1 - x.0) * (WIDTH - LEFT - RIGHT) + LEFT;
        let up = HEIGHT - BOTTOM - (point.1 - y.0) / (y.1 - y.0) * (HEIGHT - TOP - BOTTOM);
        (across, up)
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\">\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\
         <text x=\"{LEFT}\" y=\"15\" font-weight=\"bold\" fill=\"#222\">{}</text>",
        escape(title)
    );
    // Writing to a string cannot fail.
    for share in [0.0, 0.5, 1.0] {
        let (across, value) = (x.0 + share * (x.1 - x.0), y.0 + share * (y.1 - y.0));
        let (left, up) = place(&(x.0, value));
        let (middle, floor) = place(&(across, y.0));
        let _ = write!(
            svg,
            "<path d=\"M{left:.1} {up:.1}H{:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555\">{}</text>\
             <text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">{}</text>",
            WIDTH - RIGHT,
            left - 5.0,
            up + 4.0,
            number(value),
            floor + 14.0,
            number(across)
        );
    }
    for (index, (name, points)) in series.iter().enumerate() {
        let color = COLORS[index % COLORS.len()];
        let every = points.len().div_ceil(MOST).max(1);
        let last = points.len().saturating_sub(1);
        let shown = points.iter().enumerate().filter(|(at, _)| at % every == 0 || *at == last);
        let places: Vec<String> = shown
            .map(|(_, point)| point)
            .filter(finite)
            .map(place)
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = write!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/>",
            places.join(" ")
        );
        if let [only] = places.as_slice()
            && let Some((x, y)) = only.split_once(',')
        {
            let _ = write!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"2.5\" fill=\"{color}\"/>");
        }
        let across = LEFT + 90.0 * (index % 4) as f64;
        let _ = write!(
            svg,
            "<text x=\"{across:.1}\" y=\"{:.1}\" fill=\"{color}\">{}</text>",
            HEIGHT - 8.0,
            escape(&name.chars().take(14).collect::<String>())
        );
    }
    svg + "</svg>"
}

fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e5).contains(&size) {
        format!("{value:.1e}")
    } else {
        let text = format!("{value:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_inside_and_what_is_not_finite_outside() {
        let series = [
            ("a<b".to_owned(), vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)]),
            ("one".to_owned(), vec![(1.0, 2.0)]),
        ];
        let svg = lines("loss & more", &series);
        assert!(svg.contains("loss &amp; more") && svg.contains("a&lt;b"), "{svg}");
        assert!(svg.contains("points=\"58.0,180.0 408.0,24.0\""), "{svg}");
        assert!(svg.contains("<circle") && !svg.contains("NaN"), "{svg}");
        assert!(!lines("empty", &[]).contains("NaN"));
        let long = [("x".to_owned(), (0..100_000).map(|i| (f64::from(i), 0.0)).collect())];
        assert!(lines("long", &long).len() < 30_000);
    }
}
