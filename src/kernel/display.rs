//! The notebook as a [`Front`]: what a cell says becomes messages that belong to its request.

use super::message::Message;
use super::wire::Wire;
use crate::notebook::bundle;
use crate::output::progress::Step;
use crate::output::{Front, Stream, Value as Displayed};
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines are gathered this long, so that a loop that prints does not flood the notebook.
const GATHER: Duration = Duration::from_millis(100);

/// How long messages of the session itself on standard error are gathered: where the cell fails, it becomes its error instead.
const GATHER_COMPLAINT: Duration = Duration::from_secs(2);

/// Between two updates of a bar.
const BAR_PAUSE: Duration = Duration::from_millis(250);

/// A call that takes less needs no bar.
const BAR_DELAY: Duration = Duration::from_millis(500);

/// When a cell has gone on for so long after a call has returned, the call did not make it fail.
const BAR_DOUBT: Duration = Duration::from_millis(300);

/// What terminals take for "clear the screen".
const CLEAR_SCREEN: &str = "\u{1b}[2J";

/// Where a text comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Cell(Stream),
    /// The session says something; on standard error that may be why the cell fails.
    Session(Stream),
}

/// What the session says of a cell, or why it fails.
const COMPLAINT: Origin = Origin::Session(Stream::Err);

impl Origin {
    fn stream(self) -> Stream {
        match self {
            Origin::Cell(stream) | Origin::Session(stream) => stream,
        }
    }
}

#[derive(Default)]
struct State {
    /// Header of the request that is being worked on.
    parent: Value,
    /// Nothing is published.
    silent: bool,
    /// While nothing is published: header of the request before it, to which text of a thread that is still at work belongs
    /// again afterwards.
    spoken: Value,
    /// Number of the cell if what is displayed now is its result.
    result: Option<u32>,
    /// Lines not yet published, and since when they wait.
    lines: Vec<(Origin, String)>,
    since: Option<Instant>,
    /// Whether a line of standard output, and of standard error, was published without its end.
    open: [bool; 2],
    /// Standard error that was published last, if nothing came after it.
    complained: String,
    bars: HashMap<String, Bar>,
    bars_made: u64,
    /// Bars whose call has returned, and since when: a call ends its bar however it returns, so they are drawn as
    /// complete only when the cell goes on.
    returned: Vec<(Instant, Step, Bar)>,
    /// The cell has failed: what ends after that was not completed.
    has_failed: bool,
    /// The last value displayed.
    value: Option<Map<String, Value>>,
    pages: Vec<String>,
}

struct Bar {
    id: String,
    started: Instant,
    updated: Option<Instant>,
    /// Done when it began, by an earlier call.
    before: u64,
    total: u64,
}

/// One notebook; the clones are the same.
#[derive(Clone)]
pub struct Notebook {
    wire: Wire,
    state: Arc<Mutex<State>>,
}

/// What a cell leaves besides its messages.
pub struct Left {
    /// The last value that it displayed.
    pub value: Option<Map<String, Value>>,
    /// Texts to be read.
    pub pages: Vec<String>,
    /// What it complained of at its end.
    pub complaint: String,
}

impl Notebook {
    pub fn new(wire: Wire) -> Self {
        let notebook = Notebook {
            wire,
            state: Arc::default(),
        };
        let publisher = notebook.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(GATHER / 2);
                let mut state = publisher.state();
                let patience = match state.lines.first() {
                    Some((COMPLAINT, _)) => GATHER_COMPLAINT,
                    _ => GATHER,
                };
                if state.since.is_some_and(|since| since.elapsed() > patience) {
                    publisher.publish_lines(&mut state);
                }
                let returned = state.returned.first();
                if returned.is_some_and(|(since, ..)| since.elapsed() > BAR_DOUBT) {
                    publisher.complete_bars(&mut state);
                }
            }
        });
        notebook
    }

    /// From now on everything belongs to the request with this header.
    pub fn begin(&self, parent: &Value, silent: bool) {
        let mut state = self.state();
        // A thread of the cell before may have printed since that has ended.
        self.publish_lines(&mut state);
        let spoken = match (silent, state.silent) {
            (false, _) => Value::Null,
            (true, false) => std::mem::take(&mut state.parent),
            (true, true) => std::mem::take(&mut state.spoken),
        };
        *state = State {
            parent: parent.clone(),
            silent,
            spoken,
            ..State::default()
        };
    }

    /// A value displayed from now on is the result of the cell `number`, or a mere display.
    pub fn expect_result(&self, number: Option<u32>) {
        self.state().result = number;
    }

    /// The request is done; `failed` keeps back what was said last, as the reason.
    pub fn end(&self, failed: bool) -> Left {
        let mut state = self.state();
        let mut complaint = Vec::new();
        if failed {
            while let Some((COMPLAINT, _)) = state.lines.last() {
                complaint.extend(state.lines.pop().map(|(_, line)| line));
            }
            complaint.reverse();
            if complaint.is_empty() && state.lines.is_empty() {
                // On a slow machine it was published before the cell ended.
                complaint.push(std::mem::take(&mut state.complained));
            }
        }
        self.publish_lines(&mut state);
        if !state.spoken.is_null() {
            state.parent = std::mem::take(&mut state.spoken);
            state.silent = false;
        }
        Left {
            value: state.value.take(),
            pages: std::mem::take(&mut state.pages),
            complaint: complaint.concat().trim_end().to_owned(),
        }
    }

    /// Publishes a message that belongs to the request being worked on.
    pub fn publish(&self, kind: &str, content: Value) {
        self.publish_for(&self.state(), kind, content);
    }

    /// Publishes the lines that are being gathered.
    pub fn publish_waiting(&self) {
        self.publish_lines(&mut self.state());
    }

    fn publish_for(&self, state: &State, kind: &str, content: Value) {
        if !state.silent {
            self.wire
                .publish(Message::published(kind, content, &state.parent));
        }
    }

    fn say(&self, origin: Origin, text: &str) {
        let mut state = self.state();
        if origin != COMPLAINT {
            self.complete_bars(&mut state);
        }
        let mut text = text;
        if origin.stream() == Stream::Out
            && let Some(at) = text.rfind(CLEAR_SCREEN)
        {
            self.publish_lines(&mut state);
            self.publish_for(&state, "clear_output", json!({"wait": false}));
            state.open = [false; 2];
            text = without_escapes(&text[at + CLEAR_SCREEN.len()..]);
            if text.is_empty() {
                return;
            }
        }
        state.lines.push((origin, text.to_owned()));
        state.since.get_or_insert_with(Instant::now);
    }

    fn publish_lines(&self, state: &mut State) {
        let lines = std::mem::take(&mut state.lines);
        state.since = None;
        for run in lines.chunk_by(|one, next| one.0 == next.0) {
            let origin = run[0].0;
            let mut text: String = run.iter().map(|(_, line)| line.as_str()).collect();
            state.complained.clear();
            if origin == COMPLAINT {
                state.complained.clone_from(&text);
            }
            let open = &mut state.open[origin.stream() as usize];
            if matches!(origin, Origin::Session(_)) && *open {
                text.insert(0, '\n');
            }
            *open = !text.ends_with('\n');
            let name = match origin.stream() {
                Stream::Out => "stdout",
                Stream::Err => "stderr",
            };
            self.publish_for(state, "stream", json!({"name": name, "text": text}));
        }
    }

    fn publish_bar(&self, state: &State, bar: &Bar, form: &Form, first: bool) {
        let kind = if first {
            "display_data"
        } else {
            "update_display_data"
        };
        let content = json!({
            "data": {"text/plain": form.text(), "text/html": form.html()},
            "metadata": {},
            "transient": {"display_id": bar.id},
        });
        self.publish_for(state, kind, content);
    }

    /// Draws the bars whose call has returned as complete.
    fn complete_bars(&self, state: &mut State) {
        for (_, step, bar) in std::mem::take(&mut state.returned) {
            let form = Form::new(&step, &bar);
            self.publish_bar(state, &bar, &form, false);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A holder that panicked leaves valid data here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Front for Notebook {
    fn write(&self, stream: Stream, text: &str) {
        self.say(Origin::Cell(stream), text);
    }

    fn line(&self, stream: Stream, text: &str) {
        self.say(Origin::Session(stream), &format!("{text}\n"));
    }

    fn failed(&self, text: &str) {
        {
            // The bars show how far the calls came.
            let mut state = self.state();
            state.has_failed = true;
            state.returned.clear();
        }
        // The notebook draws errors in colours of its own.
        self.say(COMPLAINT, &format!("{text}\n"));
    }

    fn step(&self, step: Step) {
        let mut state = self.state();
        let state = &mut *state;
        let bars_made = &mut state.bars_made;
        let mut bar = state.bars.remove(&step.label).unwrap_or_else(|| {
            *bars_made += 1;
            Bar {
                id: format!("{}-{bars_made}", uuid::Uuid::new_v4()),
                started: Instant::now(),
                updated: None,
                before: step.done,
                total: step.total,
            }
        });
        bar.total = bar.total.max(step.total);
        let now = Instant::now();
        if step.is_last() {
            if bar.updated.is_some() && !state.has_failed {
                state.returned.push((now, step, bar));
            }
            return;
        }
        let due = match bar.updated {
            Some(updated) => now.duration_since(updated) >= BAR_PAUSE,
            None => now.duration_since(bar.started) >= BAR_DELAY,
        };
        if due {
            // What was said before it stands above it.
            self.publish_lines(state);
            self.complete_bars(state);
            let form = Form::new(&step, &bar);
            self.publish_bar(state, &bar, &form, bar.updated.is_none());
            bar.updated = Some(now);
        }
        state.bars.insert(step.label, bar);
    }

    fn cell_ended(&self) {
        let mut state = self.state();
        self.complete_bars(&mut state);
        // Bars that were not finished stay as they are: they show how far the call came.
        state.bars.clear();
    }

    fn show(&self, value: &Displayed, _: &str, is_result: bool) -> Result<()> {
        let data = bundle(value.forms());
        let mut state = self.state();
        self.publish_lines(&mut state);
        match state.result.filter(|_| is_result) {
            Some(number) => self.publish_for(
                &state,
                "execute_result",
                json!({"execution_count": number, "data": data, "metadata": {}}),
            ),
            None => {
                let content = json!({"data": data, "metadata": {}, "transient": {}});
                self.publish_for(&state, "display_data", content);
            }
        }
        if is_result {
            state.value = Some(data);
        }
        Ok(())
    }

    fn page(&self, text: &str) {
        self.state().pages.push(text.to_owned());
    }
}

/// A bar to look at.
struct Form {
    label: String,
    done: u64,
    total: u64,
    behind: String,
}

impl Form {
    fn new(step: &Step, bar: &Bar) -> Self {
        let seconds = bar.started.elapsed().as_secs_f64();
        let rate = step.done.saturating_sub(bar.before) as f64 / seconds.max(1e-3);
        let mut behind = if step.is_last() {
            format!("in {seconds:.1} s")
        } else if bar.total > 0 && rate > 0.0 {
            let left = bar.total.saturating_sub(step.done) as f64 / rate;
            format!("{rate:.1}/s, {left:.0} s left")
        } else {
            format!("{rate:.1}/s")
        };
        if !step.note.is_empty() {
            behind = format!("{behind}  {}", step.note);
        }
        Form {
            label: step.label.clone(),
            done: step.done,
            total: bar.total,
            behind,
        }
    }

    fn count(&self) -> String {
        match self.total {
            0 => self.done.to_string(),
            total => format!("{}/{total}", self.done),
        }
    }

    fn text(&self) -> String {
        format!("{} {} {}", self.label, self.count(), self.behind)
    }

    fn html(&self) -> String {
        let escape = |text: &str| {
            text.replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
        };
        let bar = match self.total {
            0 => "<progress></progress>".to_owned(),
            total => format!(
                "<progress value=\"{}\" max=\"{total}\"></progress>",
                self.done
            ),
        };
        format!(
            "<div>{} {bar} {} {}</div>",
            escape(&self.label),
            self.count(),
            escape(&self.behind)
        )
    }
}

/// What is left of a text without the escape sequences at its beginning.
fn without_escapes(mut text: &str) -> &str {
    while let Some(rest) = text.strip_prefix("\u{1b}[") {
        let end = rest.find(|c: char| c.is_ascii_alphabetic());
        text = end.map_or("", |end| &rest[end + 1..]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleared_screen_leaves_what_comes_after() {
        assert_eq!(without_escapes("\u{1b}[1;1Hnew"), "new");
        assert_eq!(without_escapes("\u{1b}[H"), "");
    }

    #[test]
    fn a_bar_says_how_far_and_how_long() {
        let bar = Bar {
            id: String::new(),
            started: Instant::now().checked_sub(Duration::from_secs(2)).unwrap(),
            updated: None,
            before: 4,
            total: 40,
        };
        let line = r#"VITREPL_PROGRESS {"label":"fit <a>","done":10,"total":40,"note":"loss 1"}"#;
        let form = Form::new(&Step::parse(line).unwrap(), &bar);
        assert!(
            form.text()
                .starts_with("fit <a> 10/40 3.0/s, 10 s left  loss 1")
        );
        assert!(
            form.html()
                .contains("fit &lt;a&gt; <progress value=\"10\" max=\"40\">")
        );
    }
}
