//! Small SVG plots: bars for one figure of several contenders, lines for one figure against N.
//!
//! Text and colours read on a light and on a dark page; nothing but SVG 1.1 is used.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const COLOURS: [&str; 6] = ["#2f6fde", "#d9822b", "#3a9d5d", "#b3478c", "#8a8f98", "#c0392b"];
const STYLE: &str = "font-family=\"sans-serif\" font-size=\"13\" fill=\"#808080\"";

/// One group of bars: a label, and a value for each series that has one.
pub(crate) struct Group {
    pub(crate) label: String,
    pub(crate) values: Vec<Option<f64>>,
}

/// Horizontal bars, group under group; every bar carries its value.
pub(crate) fn bars(title: &str, unit: &str, series: &[&str], groups: &[Group]) -> String {
    let top = groups.iter().flat_map(|group| group.values.iter().flatten()).copied().fold(0.0, f64::max);
    let (left, bar) = (190.0, 16.0);
    let scale = (WIDTH - left - 90.0) / top.max(f64::MIN_POSITIVE);
    let mut body = String::new();
    let mut y = 64.0;
    for group in groups {
        let count = group.values.iter().flatten().count() as f64;
        text(&mut body, left - 10.0, y + count * bar / 2.0 + 4.0, "end", &group.label);
        for (index, value) in group.values.iter().enumerate() {
            let Some(value) = value else { continue };
            let colour = COLOURS[index % COLOURS.len()];
            let width = value * scale;
            let _ = writeln!(
                body,
                "<rect x=\"{left}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\"/>",
                bar - 3.0
            );
            text(&mut body, left + width + 6.0, y + bar - 5.0, "start", &format!("{value:.2} {unit}"));
            y += bar;
        }
        y += bar;
    }
    frame(title, series, y, &body)
}

/// One line of a plot.
pub(crate) struct Series {
    pub(crate) label: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Lines over a horizontal axis on which every step is a doubling, from 0 at the foot.
pub(crate) fn lines(title: &str, across: &str, upward: &str, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|line| line.points.iter());
    let top = nice(points().map(|point| point.1).fold(0.0, f64::max));
    let first = points().map(|point| point.0).fold(f64::INFINITY, f64::min).max(1.0).log2();
    let last = points().map(|point| point.0).fold(1.0, f64::max).log2().max(first + 1.0);
    let (left, right, head, foot) = (70.0, WIDTH - 30.0, 60.0, 340.0);
    let x = |value: f64| left + (value.max(1.0).log2() - first) / (last - first) * (right - left);
    let y = |value: f64| foot - value / top * (foot - head);
    let mut body = String::new();
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let _ = writeln!(
            body,
            "<path d=\"M{left} {0:.1}H{right}\" stroke=\"#80808050\" fill=\"none\"/>",
            y(value)
        );
        text(&mut body, left - 8.0, y(value) + 4.0, "end", &format!("{value:.2}"));
    }
    let mut marks: Vec<f64> = points().map(|point| point.0).collect();
    marks.sort_by(f64::total_cmp);
    marks.dedup();
    for mark in marks {
        text(&mut body, x(mark), foot + 18.0, "middle", &format!("{mark}"));
    }
    text(&mut body, f64::midpoint(left, right), foot + 38.0, "middle", across);
    text(&mut body, left - 50.0, head - 12.0, "start", upward);
    for (index, line) in series.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let path: Vec<String> =
            line.points.iter().map(|(a, b)| format!("{:.1} {:.1}", x(*a), y(*b))).collect();
        let _ = writeln!(
            body,
            "<path d=\"M{}\" stroke=\"{colour}\" stroke-width=\"2.5\" fill=\"none\"/>",
            path.join("L")
        );
        for (a, b) in &line.points {
            let _ = writeln!(
                body,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"/>",
                x(*a),
                y(*b)
            );
        }
    }
    let labels: Vec<&str> = series.iter().map(|line| line.label.as_str()).collect();
    frame(title, &labels, foot + 52.0, &body)
}

fn frame(title: &str, series: &[&str], height: f64, body: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\">\n<title>{0}</title>\n",
        escape(title)
    );
    text(&mut svg, 10.0, 20.0, "start", title);
    let mut x = 10.0;
    for (index, label) in series.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let _ = writeln!(svg, "<rect x=\"{x}\" y=\"30\" width=\"12\" height=\"12\" fill=\"{colour}\"/>");
        text(&mut svg, x + 17.0, 41.0, "start", label);
        x += 34.0 + 7.2 * label.chars().count() as f64;
    }
    svg.push_str(body);
    svg.push_str("</svg>\n");
    svg
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let words = escape(words);
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {STYLE}>{words}</text>");
}

fn escape(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The next round number from which four steps divide well.
fn nice(value: f64) -> f64 {
    let unit = 10f64.powf(value.max(1e-9).log10().floor());
    [1.0, 2.0, 4.0, 6.0, 8.0, 10.0]
        .map(|step| step * unit)
        .into_iter()
        .find(|top| *top >= value)
        .unwrap_or(value)
}
