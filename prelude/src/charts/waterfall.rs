//! How parts add up to a whole, one after the other.

use super::color::{self, FAINT, GRID, INK, NEUTRAL};
use super::font;
use super::number::{Axis, Format, finite, precise};
use super::render::Chart;
use super::scene::{Anchor, Rgb, Scene, TITLE, bold, plain};
use crate::{Error, Result};

/// Steps from 0 to a total, each a bar that begins where the one before it ended.
///
/// ```
/// use vitrepl_prelude::charts::Waterfall;
///
/// let chart = Waterfall::new("Why a circle?", "logit of circle")
///     .step("block 5 head 3", 2.0)
///     .step("block 5 mlp", -0.5)
///     .rest("41 others", 0.25)
///     .total("circle");
/// assert_eq!(chart.sum(), 1.75);
/// assert!(chart.to_string().contains("+2.000"));
/// # Ok::<(), vitrepl_prelude::Error>(())
/// ```
#[derive(Clone)]
pub struct Waterfall {
    title: String,
    axis: String,
    steps: Vec<Step>,
    total: Option<String>,
}

#[derive(Clone)]
struct Step {
    label: String,
    value: f64,
    /// Several parts taken together.
    rest: bool,
}

const WIDTH: f64 = 900.0;
const EDGE: f64 = 24.0;
const ROW: f64 = 27.0;
const SIZE: f64 = 13.0;
/// Labels take at most this share of the width.
const LABELS: f64 = 0.4;
/// More steps than this would not be read.
const MOST: usize = 60;
/// Characters that the text form's bars are wide.
const CHARACTERS: f64 = 40.0;

impl Waterfall {
    /// An empty chart: its title, and what the values are.
    pub fn new(title: impl Into<String>, axis: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            axis: axis.into(),
            steps: Vec::new(),
            total: None,
        }
    }

    /// With one more step.
    pub fn step(mut self, label: impl Into<String>, value: f64) -> Self {
        self.steps.push(Step {
            label: label.into(),
            value,
            rest: false,
        });
        self
    }

    /// With one more step, grey: several parts together.
    pub fn rest(mut self, label: impl Into<String>, value: f64) -> Self {
        self.steps.push(Step {
            label: label.into(),
            value,
            rest: true,
        });
        self
    }

    /// With a last bar from 0 to where the steps end.
    pub fn total(mut self, label: impl Into<String>) -> Self {
        self.total = Some(label.into());
        self
    }

    /// What the steps come to.
    pub fn sum(&self) -> f64 {
        self.steps.iter().map(|step| step.value).sum()
    }

    /// Where each step begins and ends.
    fn spans(&self) -> Vec<(f64, f64)> {
        let mut at = 0.0;
        let span = |step: &Step| {
            let from = at;
            at += step.value;
            (from, at)
        };
        self.steps.iter().map(span).collect()
    }

    /// Label, span, how its value is written, and colour of every bar, the total last.
    fn bars(&self) -> Vec<(String, (f64, f64), String, Rgb)> {
        let spans = self.spans();
        let ends = spans.iter().map(|span| span.1);
        let format = Format::of(self.steps.iter().map(|step| step.value).chain(ends));
        let signed = |value: f64| match value > 0.0 {
            true => format!("+{}", format.write(value)),
            false => format.write(value),
        };
        let step = |(step, span): (&Step, &(f64, f64))| {
            let hue = match (step.rest, step.value < 0.0) {
                (true, _) => NEUTRAL,
                (false, false) => color::series(0),
                (false, true) => color::series(1),
            };
            (step.label.clone(), *span, signed(step.value), hue)
        };
        let mut bars: Vec<_> = self.steps.iter().zip(&spans).map(step).collect();
        let sum = self.sum();
        let total = self.total.iter();
        bars.extend(total.map(|label| (label.clone(), (0.0, sum), format.write(sum), INK)));
        bars
    }

    fn check(&self) -> Result<()> {
        if self.steps.is_empty() {
            return Err(Error::Chart(format!(
                "\"{}\" has no steps; add one with .step(label, value)",
                self.title
            )));
        }
        if self.steps.len() > MOST {
            return Err(Error::Chart(format!(
                "\"{}\" has {} steps, of which at most {MOST} can be read; put the smallest together with .rest(label, value)",
                self.title,
                self.steps.len()
            )));
        }
        finite(
            self.steps
                .iter()
                .map(|step| (step.label.as_str(), step.value)),
        )
    }

    /// What the colours mean, from (x, y) on.
    fn legend(&self, scene: &mut Scene, (mut x, y): (f64, f64)) {
        let any = |wanted: &dyn Fn(&Step) -> bool| self.steps.iter().any(wanted);
        let entries = [
            (
                "raises it",
                color::series(0),
                any(&|s| !s.rest && s.value >= 0.0),
            ),
            (
                "lowers it",
                color::series(1),
                any(&|s| !s.rest && s.value < 0.0),
            ),
            ("taken together", NEUTRAL, any(&|s| s.rest)),
        ];
        for (name, hue, _) in entries.into_iter().filter(|entry| entry.2) {
            scene.rect((x, y - 10.5), (13.0, 13.0), hue);
            scene.text(name, (x + 20.0, y), Anchor::Start, plain(12.5, INK));
            x += 20.0 + font::width(name, 12.5, false) + 22.0;
        }
    }
}

impl Chart for Waterfall {
    fn scene(&self) -> Result<Scene> {
        self.check()?;
        let bars = self.bars();
        let widest = |widths: &mut dyn Iterator<Item = f64>| widths.fold(0.0, f64::max);
        let is_total = |i: usize| i == self.steps.len();
        let labels = widest(&mut bars.iter().map(|b| font::width(&b.0, SIZE, true)));
        let labels = labels.min(LABELS * WIDTH);
        let values = widest(&mut bars.iter().map(|b| font::width(&b.2, SIZE, true))) + 8.0;
        let ends = bars.iter().flat_map(|b| [b.1.0, b.1.1]);
        let axis = Axis::tight(ends, true, 6);
        // A value stands at the end of its bar that is further from where the bar began, on either side.
        let left = EDGE + labels + 10.0 + values;
        let right = WIDTH - EDGE - values;
        let x = |v: f64| left + (right - left) * axis.place(v);

        let mut scene = Scene::new(WIDTH, 0.0);
        let mut y = 34.0;
        for line in font::wrap(&self.title, TITLE, true, WIDTH - 2.0 * EDGE, 2) {
            scene.text(&line, (EDGE, y), Anchor::Start, bold(TITLE, INK));
            y += 24.0;
        }
        self.legend(&mut scene, (EDGE, y + 4.0));
        let top = y + 20.0;
        let bottom = top + ROW * bars.len() as f64 + 6.0;
        scene.height = bottom + 58.0;
        for (value, text) in axis.ticks() {
            scene.line(vec![(x(value), top), (x(value), bottom)], GRID, 1.0);
            let place = (x(value), bottom + 18.0);
            scene.text(&text, place, Anchor::Middle, plain(11.5, FAINT));
        }
        scene.line(vec![(x(0.0), top), (x(0.0), bottom)], FAINT, 1.0);
        for (i, (label, (from, to), text, hue)) in bars.iter().enumerate() {
            let middle = top + 3.0 + ROW * (i as f64 + 0.5);
            let height = ROW * 0.68;
            let (low, high) = (x(from.min(*to)), x(from.max(*to)));
            scene.rect(
                (low, middle - height / 2.0),
                ((high - low).max(1.0), height),
                *hue,
            );
            if i + 1 < bars.len() {
                // Where this bar ends the next begins; the total begins at 0 and ends here.
                let ends = vec![
                    (x(*to), middle + height / 2.0),
                    (x(*to), middle + ROW - height / 2.0),
                ];
                scene.line(ends, FAINT, 1.0);
            }
            let base = middle + 0.36 * SIZE;
            let ink = if is_total(i) {
                bold(SIZE, INK)
            } else {
                plain(SIZE, INK)
            };
            let shown = font::fit(label, SIZE, is_total(i), labels);
            scene.text(&shown, (EDGE + labels, base), Anchor::End, ink);
            match to < from {
                true => scene.text(text, (low - 5.0, base), Anchor::End, ink),
                false => scene.text(text, (high + 5.0, base), Anchor::Start, ink),
            }
            let title = match is_total(i) {
                true => format!("{label}: {}", precise(*to)),
                false => format!(
                    "{label}: {}, which makes {}",
                    precise(to - from),
                    precise(*to)
                ),
            };
            let corner = (EDGE, top + 3.0 + ROW * i as f64);
            scene.hover(corner, (WIDTH - 2.0 * EDGE, ROW), title);
        }
        let name = font::fit(&self.axis, 12.5, false, right - left);
        let place = ((left + right) / 2.0, bottom + 42.0);
        scene.text(&name, place, Anchor::Middle, plain(12.5, INK));
        Ok(scene)
    }

    fn text(&self) -> String {
        let bars = self.bars();
        let ends = || {
            bars.iter()
                .flat_map(|b| [b.1.0, b.1.1])
                .filter(|v| v.is_finite())
        };
        let (low, high) = (ends().fold(0.0, f64::min), ends().fold(0.0, f64::max));
        let scale = CHARACTERS / (high - low).max(f64::MIN_POSITIVE);
        let place = |v: f64| ((v - low) * scale).round().clamp(0.0, CHARACTERS) as usize;
        let width = bars.iter().map(|b| b.0.chars().count()).max().unwrap_or(0);
        let mut out = format!("{} ({})\n", self.title, self.axis);
        for (label, (from, to), value, _) in &bars {
            let (start, end) = (place(from.min(*to)), place(from.max(*to)));
            let mark = if to < from { "░" } else { "█" };
            let bar = " ".repeat(start) + &mark.repeat((end - start).max(1));
            let pad = " ".repeat(width - label.chars().count());
            let fill = " ".repeat((CHARACTERS as usize + 1).saturating_sub(bar.chars().count()));
            out += &format!("{pad}{label} {bar}{fill} {value}\n");
        }
        out
    }
}

super::chart!(Waterfall);
