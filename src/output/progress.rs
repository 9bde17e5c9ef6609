//! Progress bars, drawn here for code that runs in the child and sees no terminal.
//!
//! The child asks for one by a line of its own on standard output,
//!
//! ```text
//! VITREPL_PROGRESS {"label":"decompose tiny-vit","done":3,"total":40}
//! ```
//!
//! once at the start (`done` 0) and whenever it has gone on, at most some ten times a second. A label is
//! a bar; `done` = `total` ends it, and so does the end of the cell. `total` 0 or absent means unknown. An
//! optional `"note"` is shown behind. A library should write such lines only when the environment
//! variable `VITREPL_PROGRESS` is set, which it is in the child.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde::Deserialize;
use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

/// Set in the child's environment: lines of this protocol are understood.
pub const VARIABLE: &str = "VITREPL_PROGRESS";

const PREFIX: &str = "VITREPL_PROGRESS ";

/// How far a call has got.
#[derive(Deserialize)]
pub struct Step {
    pub label: String,
    pub done: u64,
    /// 0 where it is not known.
    #[serde(default)]
    pub total: u64,
    /// Shown behind the bar.
    #[serde(default)]
    pub note: String,
}

impl Step {
    /// Reads a line of the child, if it is one of this protocol.
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line.strip_prefix(PREFIX)?).ok()
    }

    /// Whether the call has come to its end.
    pub fn is_last(&self) -> bool {
        self.total > 0 && self.done >= self.total
    }
}

/// The bars of the cell that is running.
#[derive(Default)]
pub struct Bars {
    screen: MultiProgress,
    bars: HashMap<String, ProgressBar>,
}

impl Bars {
    /// Begins, moves or ends a bar.
    pub fn step(&mut self, step: Step) {
        if step.is_last() {
            if let Some(bar) = self.bars.remove(&step.label) {
                bar.finish_and_clear();
            }
            return;
        }
        let bar = self.bars.entry(step.label).or_insert_with_key(|label| {
            let bar = self.screen.add(new_bar(label, step.total));
            // What was done before says nothing of the rate.
            bar.set_position(step.done);
            bar.tick();
            bar.reset_eta();
            bar.enable_steady_tick(TICK);
            bar
        });
        if step.total > 0 {
            bar.set_length(step.total);
        }
        bar.set_position(step.done);
        bar.set_message(step.note);
    }

    /// Whether no bar is drawn.
    pub fn is_empty(&self) -> bool {
        self.bars.is_empty()
    }

    /// Writes something to the terminal without tearing a bar.
    pub fn print(&self, write: impl FnOnce()) {
        if self.bars.is_empty() {
            write();
        } else {
            self.screen.suspend(write);
        }
    }

    /// Ends every bar.
    pub fn clear(&mut self) {
        for (_, bar) in self.bars.drain() {
            bar.finish_and_clear();
        }
    }
}

/// Bars show that time passes, this often.
pub const TICK: Duration = Duration::from_millis(200);

/// Columns for what stands beside a bar: count, rate, time left and a note.
const BESIDE_BAR: usize = 45;

/// A bar with rate and time left, or a spinner when the total is not known.
///
/// It does not fill its line: what the terminal adds there (`^C`) would go to the next one, and the bar stay behind.
pub fn new_bar(label: &str, total: u64) -> ProgressBar {
    let columns = usize::from(console::Term::stderr().size().1);
    let width = columns.saturating_sub(console::measure_text_width(label) + BESIDE_BAR);
    let (total, template) = if total > 0 {
        let bar = format!("{{bar:{}}}", width.clamp(4, 30));
        (
            Some(total),
            format!("{{prefix}} {bar} {{pos}}/{{len}} {{rate}}/s {{eta}} left {{msg}}"),
        )
    } else {
        (None, "{prefix} {spinner} {pos} {rate}/s {msg}".to_owned())
    };
    // Drawn when it has its place: before that it would leave a line behind.
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
    if let Ok(style) = ProgressStyle::with_template(&template) {
        let rate = |state: &ProgressState, text: &mut dyn Write| {
            // Text in memory takes all.
            let _ = write!(text, "{:.1}", state.per_sec());
        };
        bar.set_style(style.with_key("rate", rate).progress_chars("=> "));
    }
    bar.set_prefix(label.to_owned());
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_the_protocol_are_taken() {
        let mut bars = Bars::default();
        let step = |line: &str| Step::parse(line).unwrap();
        bars.step(step(
            r#"VITREPL_PROGRESS {"label":"fit","done":1,"total":4}"#,
        ));
        assert!(bars.bars.contains_key("fit"));
        bars.step(step(
            r#"VITREPL_PROGRESS {"label":"fit","done":4,"total":4}"#,
        ));
        assert!(bars.bars.is_empty());
        for line in [
            "fit 1/4",
            "VITREPL_PROGRESS soon",
            r#"{"label":"fit","done":1}"#,
        ] {
            assert!(Step::parse(line).is_none(), "{line}");
        }
    }
}
