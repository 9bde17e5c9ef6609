//! Lines over a number, such as accuracy over the count of components switched off.

use super::color::{self, EMPHASIS, FAINT, GRID, INK};
use super::font;
use super::number::{Axis, Format, precise};
use super::render::Chart;
use super::scene::{Anchor, Scene, plain};
use super::table::Table;
use crate::{Error, Result};

/// One line a series, points marked; upright marks name places on the x axis.
#[derive(Clone)]
pub struct LineChart {
    title: String,
    x: String,
    y: String,
    series: Vec<(String, Vec<(f64, f64)>)>,
    marks: Vec<(f64, String)>,
}

const WIDTH: f64 = 900.0;
const EDGE: f64 = 24.0;
const LEGEND: f64 = 12.5;
/// More points than this are a line only.
const DOTS: usize = 60;
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
            marks: Vec::new(),
        }
    }

    /// With one more line through `points`, in the order given.
    pub fn line(
        mut self,
        name: impl Into<String>,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        self.series
            .push((name.into(), points.into_iter().collect()));
        self
    }

    /// With an upright mark at `x`, named.
    pub fn mark(mut self, x: f64, name: impl Into<String>) -> Self {
        self.marks.push((x, name.into()));
        self
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.series.iter().flat_map(|s| s.1.iter().copied())
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
        for (name, points) in &self.series {
            if points.is_empty() {
                return empty(name);
            }
            if let Some((x, y)) = points
                .iter()
                .find(|(x, y)| !(x.is_finite() && y.is_finite()))
            {
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

    fn legend(&self, scene: &mut Scene, mut y: f64) -> f64 {
        let mut x = EDGE;
        for (i, (name, _)) in self.series.iter().enumerate() {
            let name = font::fit(name, LEGEND, false, WIDTH - 2.0 * EDGE - 32.0);
            let wide = 32.0 + font::width(&name, LEGEND, false) + 22.0;
            if x > EDGE && x + wide - 22.0 > WIDTH - EDGE {
                (x, y) = (EDGE, y + 20.0);
            }
            let hue = color::series(i);
            scene.line(vec![(x, y - 4.5), (x + 25.0, y - 4.5)], hue, 2.0);
            scene.dot((x + 12.5, y - 4.5), 3.5, hue);
            scene.text(&name, (x + 32.0, y), Anchor::Start, plain(LEGEND, INK));
            x += wide;
        }
        y + 14.0
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
        for (i, (name, points)) in self.series.iter().enumerate() {
            let places: Vec<_> = points.iter().map(|p| (x(p.0), y(p.1))).collect();
            let hue = color::series(i);
            if places.len() <= DOTS {
                for place in &places {
                    scene.dot(*place, 3.5, hue);
                }
            }
            for (place, (at, value)) in places.iter().zip(points) {
                let title = format!("{name}: {} at {} {}", precise(*value), self.x, precise(*at));
                scene.hover_circle(*place, REACH, title);
            }
            if places.len() > 1 {
                scene.line(places, hue, 2.0);
            }
        }
        Ok(scene)
    }

    fn text(&self) -> String {
        let mut xs: Vec<f64> = self.points().map(|p| p.0).collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        let format = Format::of(self.points().map(|p| p.1));
        let mut table = Table::new(format!("{} ({})", self.title, self.y)).columns(
            std::iter::once(self.x.clone()).chain(self.series.iter().map(|s| s.0.clone())),
        );
        for &x in &xs {
            let mark = self.marks.iter().find(|m| m.0 == x);
            let at = mark.map_or(format!("{x}"), |m| format!("{x} ({})", m.1));
            let cell = |(_, points): &(String, Vec<(f64, f64)>)| {
                let point = points.iter().find(|p| p.0 == x);
                point.map_or(String::new(), |p| format.write(p.1))
            };
            table = table.row(std::iter::once(at).chain(self.series.iter().map(cell)));
        }
        table.text()
    }
}

super::chart!(LineChart);
