//! Lines over a number, such as accuracy over the count of components switched off.

use super::color::{self, EMPHASIS, FAINT, GRID, INK};
use super::font;
use super::number::{Axis, Format, precise};
use super::render::Chart;
use super::scene::{Anchor, Rgb, Scene, Shape, plain};
use super::table::Table;
use crate::{Error, Result};

/// One line a series, points marked; upright marks name places on the x axis. A series may have a control, a dashed line
/// in its colour.
#[derive(Clone)]
pub struct LineChart {
    title: String,
    x: String,
    y: String,
    series: Vec<Series>,
    /// What the dashed lines are.
    control: String,
    marks: Vec<(f64, String)>,
}

#[derive(Clone)]
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    /// The dashed line that belongs to it.
    control: Vec<(f64, f64)>,
    /// Where its points are rings.
    rings: Vec<f64>,
}

const WIDTH: f64 = 900.0;
const EDGE: f64 = 24.0;
const LEGEND: f64 = 12.5;
/// More points than this are a line only.
const DOTS: usize = 60;
const WHITE: Rgb = Rgb(0xff, 0xff, 0xff);
/// Lengths of a dash and of the gap after it.
const DASH: (f64, f64) = (6.0, 4.0);
/// How near to a point the pointer finds it.
const REACH: f64 = 6.0;

impl LineChart {
    /// An empty chart: title and what the axes are.
    pub fn new(title: impl Into<String>, x: impl Into<String>, y: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            x: x.into(),
            y: y.into(),
            series: Vec::new(),
            control: String::new(),
            marks: Vec::new(),
        }
    }

    /// With one more line through `points`, in the order given.
    pub fn line(
        mut self,
        name: impl Into<String>,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        self.series.push(Series {
            name: name.into(),
            points: points.into_iter().collect(),
            control: Vec::new(),
            rings: Vec::new(),
        });
        self
    }

    /// With a dashed line for the series added last, in its colour: what it is to be compared with. All dashed lines of a
    /// chart are of one kind, called `name` in the legend.
    pub fn control(
        mut self,
        name: impl Into<String>,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        self.control = name.into();
        if let Some(series) = self.series.last_mut() {
            series.control = points.into_iter().collect();
        }
        self
    }

    /// With rings for points of the series added last: where x is one of these.
    pub fn rings(mut self, at: impl IntoIterator<Item = f64>) -> Self {
        if let Some(series) = self.series.last_mut() {
            series.rings = at.into_iter().collect();
        }
        self
    }

    /// With an upright mark at `x`, named.
    pub fn mark(mut self, x: f64, name: impl Into<String>) -> Self {
        self.marks.push((x, name.into()));
        self
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        let all = |s: &'_ Series| {
            s.points
                .iter()
                .chain(&s.control)
                .copied()
                .collect::<Vec<_>>()
        };
        self.series.iter().flat_map(all)
    }

    fn check(&self) -> Result<()> {
        let empty = |name: &str| {
            Err(Error::Chart(format!(
                "\"{name}\" has no points; add some with .line(name, points)"
            )))
        };
        if self.series.is_empty() {
            return empty(&self.title);
        }
        for series in &self.series {
            let name = &series.name;
            if series.points.is_empty() {
                return empty(name);
            }
            let mut points = series.points.iter().chain(&series.control);
            if let Some((x, y)) = points.find(|(x, y)| !(x.is_finite() && y.is_finite())) {
                return Err(Error::Chart(format!(
                    "\"{name}\" has a point ({x}, {y}), which has no place on the axes; leave it out"
                )));
            }
        }
        match self.marks.iter().find(|m| !m.0.is_finite()) {
            Some((x, name)) => Err(Error::Chart(format!("mark \"{name}\" is at {x}"))),
            None => Ok(()),
        }
    }

    /// The legend, in as many rows as it needs from `y` down; the y below it.
    fn legend(&self, scene: &mut Scene, mut y: f64) -> f64 {
        let mut x = EDGE;
        let mut place = |name: &str, scene: &mut Scene| {
            let name = font::fit(name, LEGEND, false, WIDTH - 2.0 * EDGE - 32.0);
            let wide = 32.0 + font::width(&name, LEGEND, false) + 22.0;
            if x > EDGE && x + wide - 22.0 > WIDTH - EDGE {
                (x, y) = (EDGE, y + 20.0);
            }
            scene.text(&name, (x + 32.0, y), Anchor::Start, plain(LEGEND, INK));
            let at = (x, y - 4.5);
            x += wide;
            at
        };
        let mut lowest = 0.0;
        for (i, series) in self.series.iter().enumerate() {
            let (x, y) = place(&series.name, scene);
            let hue = color::series(i);
            scene.line(vec![(x, y), (x + 25.0, y)], hue, 2.0);
            point(scene, (x + 12.5, y), i, false);
            lowest = y;
        }
        if self.has_control() && !self.control.is_empty() {
            let (x, y) = place(&self.control, scene);
            dashed(scene, &[(x, y), (x + 26.0, y)], FAINT);
            lowest = y;
        }
        lowest + 18.5
    }

    fn has_control(&self) -> bool {
        self.series.iter().any(|s| !s.control.is_empty())
    }
}

/// The mark of a point of series `i`: a dot, and a square once the colours repeat. A ring is white inside.
fn point(scene: &mut Scene, (x, y): (f64, f64), i: usize, ring: bool) {
    let mut mark = |radius: f64, color: Rgb| match color::repeats(i) {
        false => scene.shapes.push(Shape::Dot {
            x,
            y,
            radius,
            color,
        }),
        true => scene.rect(
            (x - 0.9 * radius, y - 0.9 * radius),
            (1.8 * radius, 1.8 * radius),
            color,
        ),
    };
    match ring {
        true => {
            mark(4.5, color::series(i));
            mark(2.7, WHITE);
        }
        false => mark(3.5, color::series(i)),
    }
}

/// A line through `points` in dashes, each a line of its own.
fn dashed(scene: &mut Scene, points: &[(f64, f64)], color: Rgb) {
    let (dash, gap) = DASH;
    // How far the line has come within a dash and its gap.
    let mut along = 0.0;
    for pair in points.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let length = (x1 - x0).hypot(y1 - y0);
        let at = |s: f64| (x0 + (x1 - x0) * s / length, y0 + (y1 - y0) * s / length);
        let mut from = 0.0;
        while from < length {
            let end = if along < dash { dash } else { dash + gap };
            let to = (from + end - along).min(length);
            if along < dash {
                scene.line(vec![at(from), at(to)], color, 1.6);
            }
            along += to - from;
            if along >= dash + gap - 1e-9 {
                along = 0.0;
            } else if along < dash && dash - along < 1e-9 {
                along = dash;
            }
            from = to;
        }
    }
}

impl Chart for LineChart {
    fn scene(&self) -> Result<Scene> {
        self.check()?;
        let xs = self
            .points()
            .map(|p| p.0)
            .chain(self.marks.iter().map(|m| m.0));
        let x_axis = Axis::tight(xs, false, 10);
        let y_axis = Axis::round(self.points().map(|p| p.1), false, 6);
        let y_ticks = y_axis.ticks();
        let tick_width = y_ticks
            .iter()
            .map(|t| font::width(&t.1, 11.5, false))
            .fold(0.0, f64::max);

        let mut scene = Scene::new(WIDTH, 0.0);
        let second_line = scene.heading(&self.title, EDGE);
        let marks = if self.marks.is_empty() { 0.0 } else { 18.0 };
        let top = self.legend(&mut scene, 62.0 + second_line) + 8.0 + marks;
        let bottom = top + 350.0;
        scene.height = bottom + 58.0;
        // The last tick's label is centred on the frame's end.
        let (left, right) = (EDGE + 22.0 + tick_width + 8.0, WIDTH - EDGE - 14.0);
        let x = |v: f64| left + (right - left) * x_axis.place(v);
        let y = |v: f64| bottom - (bottom - top) * y_axis.place(v);

        for (value, text) in &y_ticks {
            scene.line(vec![(left, y(*value)), (right, y(*value))], GRID, 1.0);
            let place = (left - 8.0, y(*value) + 4.0);
            scene.text(text, place, Anchor::End, plain(11.5, FAINT));
        }
        for (value, text) in x_axis.ticks() {
            scene.line(
                vec![(x(value), bottom), (x(value), bottom + 5.0)],
                FAINT,
                1.0,
            );
            let place = (x(value), bottom + 19.0);
            scene.text(&text, place, Anchor::Middle, plain(11.5, FAINT));
        }
        scene.line(vec![(left, bottom), (right, bottom)], FAINT, 1.0);
        let name = font::fit(&self.y, 12.5, false, bottom - top);
        scene.upwards(&name, (EDGE + 10.0, (top + bottom) / 2.0), plain(12.5, INK));
        let name = font::fit(&self.x, 12.5, false, right - left);
        let place = ((left + right) / 2.0, bottom + 42.0);
        scene.text(&name, place, Anchor::Middle, plain(12.5, INK));

        for (value, name) in &self.marks {
            scene.line(
                vec![(x(*value), top - 6.0), (x(*value), bottom)],
                EMPHASIS,
                1.5,
            );
            let title = format!("{name} ({} {})", self.x, precise(*value));
            scene.hover(
                (x(*value) - 3.0, top - 6.0),
                (6.0, bottom - top + 6.0),
                title,
            );
            let name = font::fit(name, 12.0, false, 300.0);
            let half = font::width(&name, 12.0, false) / 2.0;
            let middle = x(*value).clamp(left + half, WIDTH - EDGE - half);
            scene.text(
                &name,
                (middle, top - 11.0),
                Anchor::Middle,
                plain(12.0, EMPHASIS),
            );
        }
        for (i, series) in self.series.iter().enumerate() {
            let on_chart = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
                points.iter().map(|p| (x(p.0), y(p.1))).collect()
            };
            let hue = color::series(i);
            dashed(&mut scene, &on_chart(&series.control), hue);
            let places = on_chart(&series.points);
            if places.len() > 1 {
                scene.line(places.clone(), hue, 2.0);
            }
            let dots = places.len() <= DOTS;
            for (place, value) in places.iter().zip(&series.points) {
                let title = format!(
                    "{}: {} at {} {}",
                    series.name,
                    precise(value.1),
                    self.x,
                    precise(value.0)
                );
                scene.hover_circle(*place, REACH, title);
                let ring = series.rings.contains(&value.0);
                if dots || ring {
                    point(&mut scene, *place, i, ring);
                }
            }
        }
        Ok(scene)
    }

    fn text(&self) -> String {
        let mut xs: Vec<f64> = self.points().map(|p| p.0).collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        let format = Format::of(self.points().map(|p| p.1));
        // A control is a column beside its series.
        let mut columns: Vec<(String, &[(f64, f64)])> = Vec::new();
        for series in &self.series {
            columns.push((series.name.clone(), &series.points));
            if !series.control.is_empty() {
                columns.push((
                    format!("{}, {}", series.name, self.control),
                    &series.control,
                ));
            }
        }
        let names = columns.iter().map(|column| column.0.clone());
        let mut table = Table::new(format!("{} ({})", self.title, self.y))
            .columns(std::iter::once(self.x.clone()).chain(names));
        for &x in &xs {
            let mark = self.marks.iter().find(|m| m.0 == x);
            let at = mark.map_or(format!("{x}"), |m| format!("{x} ({})", m.1));
            let cell = |(_, points): &(String, &[(f64, f64)])| {
                let point = points.iter().find(|p| p.0 == x);
                point.map_or(String::new(), |p| format.write(p.1))
            };
            table = table.row(std::iter::once(at).chain(columns.iter().map(cell)));
        }
        table.text()
    }
}

super::chart!(LineChart);
