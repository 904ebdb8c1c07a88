//! SVG plots: bars for one figure of several contenders, lines for one figure against N.
//!
//! Text and colours read on a light and on a dark page.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const SIZE: (u32, u32) = (720, 440);
const GREY: RGBColor = RGBColor(128, 128, 128);
const COLOURS: [RGBColor; 6] = [
    RGBColor(0x2f, 0x6f, 0xde),
    RGBColor(0xd9, 0x82, 0x2b),
    RGBColor(0x3a, 0x9d, 0x5d),
    RGBColor(0xb3, 0x47, 0x8c),
    RGBColor(0x8a, 0x8f, 0x98),
    RGBColor(0xc0, 0x39, 0x2b),
];
/// Height of title and legend.
const HEAD: u32 = 60;
/// Height of a bar with the space to the next.
const BAR: u32 = 18;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

fn font(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&GREY)
}

/// One group of bars: a label, and a value for each series that has one.
pub(crate) struct Group {
    pub(crate) label: String,
    pub(crate) values: Vec<Option<f64>>,
}

/// Horizontal bars, group under group; every bar carries its value.
pub(crate) fn bars(title: &str, unit: &str, series: &[&str], groups: &[Group]) -> Result<String> {
    let rows: usize = groups.iter().map(|group| group.values.iter().flatten().count() + 1).sum();
    draw((SIZE.0, HEAD + BAR * rows as u32), title, series, |area| {
        let most = groups.iter().flat_map(|group| group.values.iter().flatten()).copied().fold(0.0, f64::max);
        let (left, room) = (180, f64::from(SIZE.0) - 180.0 - 90.0);
        let mut y = 0;
        for group in groups {
            let count = group.values.iter().flatten().count() as i32;
            let middle = font(14).pos(Pos::new(HPos::Right, VPos::Center));
            area.draw(&Text::new(group.label.clone(), (left - 10, y + count * BAR as i32 / 2), middle))?;
            for (index, value) in group.values.iter().enumerate() {
                let Some(value) = value else { continue };
                let end = left + (value / most.max(f64::MIN_POSITIVE) * room) as i32;
                let corners = [(left, y), (end, y + BAR as i32 - 4)];
                area.draw(&Rectangle::new(corners, colour(index).filled()))?;
                let beside = font(14).pos(Pos::new(HPos::Left, VPos::Center));
                area.draw(&Text::new(
                    format!("{value:.2} {unit}"),
                    (end + 6, y + BAR as i32 / 2 - 2),
                    beside,
                ))?;
                y += BAR as i32;
            }
            y += BAR as i32;
        }
        Ok(())
    })
}

/// One line of a plot.
pub(crate) struct Series {
    pub(crate) label: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Lines over a horizontal axis on which every step is a doubling, from 0 at the foot.
pub(crate) fn lines(title: &str, across: &str, upward: &str, series: &[Series]) -> Result<String> {
    let labels: Vec<&str> = series.iter().map(|line| line.label.as_str()).collect();
    draw(SIZE, title, &labels, |area| {
        let points = || series.iter().flat_map(|line| line.points.iter());
        let top = points().map(|point| point.1).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let first = points().map(|point| point.0).fold(f64::INFINITY, f64::min).max(1.0);
        let last = points().map(|point| point.0).fold(first * 2.0, f64::max);
        let mut marks: Vec<f64> = points().map(|point| point.0.max(1.0)).collect();
        marks.sort_by(f64::total_cmp);
        marks.dedup();
        let mut chart = ChartBuilder::on(area)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(
            (first..last).log_scale().base(2.0).with_key_points(marks),
            0.0..top * 1.05,
        )?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GREY.mix(0.3))
            .axis_style(GREY)
            .label_style(font(13))
            .axis_desc_style(font(14))
            .x_desc(across)
            .y_desc(upward)
            .x_label_formatter(&|value| format!("{value:.0}"))
            .draw()?;
        for (index, line) in series.iter().enumerate() {
            let (points, colour) = (line.points.iter().map(|(x, y)| (x.max(1.0), *y)), colour(index));
            chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?;
            chart.draw_series(points.map(|point| Circle::new(point, 4, colour.filled())))?;
        }
        Ok(())
    })
}

/// A plot below its title and legend.
fn draw(
    size: (u32, u32),
    title: &str,
    series: &[&str],
    body: impl FnOnce(&Area<'_>) -> Result<(), DrawingAreaErrorKind<std::io::Error>>,
) -> Result<String> {
    let mut svg = String::new();
    let drawing = || {
        let (head, area) = SVGBackend::with_string(&mut svg, size).into_drawing_area().split_vertically(HEAD);
        head.draw(&Text::new(title.to_owned(), (10, 8), font(15)))?;
        let mut x = 10;
        for (index, label) in series.iter().enumerate() {
            head.draw(&Rectangle::new([(x, 32), (x + 12, 44)], colour(index).filled()))?;
            head.draw(&Text::new((*label).to_owned(), (x + 17, 32), font(14)))?;
            x += 34 + 8 * label.chars().count() as i32;
        }
        body(&area)?;
        area.present()
    };
    drawing().map_err(|error| anyhow!("{error}"))?;
    Ok(svg)
}
