//! Carrying out a cell.

use super::display::{Left, Notebook};
use super::history::History;
use super::message::Message;
use super::stdin::Asked;
use crate::output::failure::Failure;
use crate::session::Session;
use crate::session::interpreter::{self, Next};
use crate::syntax::statements::Source;
use serde_json::{Map, Value, json};

/// Runs cells in a session, if it could be started.
pub struct Executor {
    pub session: Result<Session, String>,
    pub history: History,
    /// Number of the last cell.
    pub count: u32,
    notebook: Notebook,
    asked: Asked,
}

/// Why a cell failed, as the protocol tells it.
struct Reason {
    name: &'static str,
    text: String,
}

impl Executor {
    pub fn new(session: Result<Session, String>, notebook: Notebook, asked: Asked) -> Self {
        Executor {
            session,
            history: History::default(),
            count: 0,
            notebook,
            asked,
        }
    }

    /// The content of the reply to an `execute_request`, and whether it failed.
    pub fn execute(&mut self, request: &Message) -> (Value, bool) {
        let asked =
            |key: &str, otherwise: bool| request.content[key].as_bool().unwrap_or(otherwise);
        let code = request.content["code"].as_str().unwrap_or_default();
        let silent = asked("silent", false);
        let stored = asked("store_history", true) && !silent && !code.trim().is_empty();
        if stored {
            self.count += 1;
        }
        self.notebook.begin(&request.header, silent);
        self.asked.begin(request);
        let input = json!({"code": code, "execution_count": self.count});
        self.notebook.publish("execute_input", input);
        let recorded = self.recorded();
        if stored && let Ok(session) = &mut self.session {
            session.history.enter(code);
        }
        let result = self.run(code);
        if silent {
            self.forget(recorded);
        }
        let left = self.notebook.end(result.is_err());
        if stored {
            let text = left
                .value
                .as_ref()
                .and_then(|value| value["text/plain"].as_str());
            self.history.add(self.count, code, text.map(str::to_owned));
        }
        match result {
            Ok(next) => {
                let expressions = self.expressions(request);
                let content = json!({
                    "status": "ok",
                    "execution_count": self.count,
                    "payload": payload(&left, next),
                    "user_expressions": expressions,
                });
                (content, false)
            }
            Err(failure) => {
                let mut content = Reason::new(&failure, left).content();
                self.notebook.publish("error", content.clone());
                content["status"] = json!("error");
                content["execution_count"] = json!(self.count);
                (content, true)
            }
        }
    }

    fn run(&mut self, code: &str) -> Result<Next, Failure> {
        let session = match &mut self.session {
            Ok(session) => session,
            Err(reason) => return Err(format!("the session cannot be started: {reason}").into()),
        };
        let source = Source::new(format!("cell {}", self.count), code);
        let (notebook, count) = (&self.notebook, self.count);
        interpreter::run(session, &source, |is_last| {
            notebook.expect_result(is_last.then_some(count));
        })
    }

    /// How much `:save` would write.
    fn recorded(&self) -> usize {
        self.session
            .as_ref()
            .map_or(0, |session| session.record.len())
    }

    /// What a client asks for itself is not the user's session.
    fn forget(&mut self, recorded: usize) {
        if let Ok(session) = &mut self.session {
            session.record.truncate(recorded);
        }
    }

    /// Values that the client wants besides, by its names for them.
    fn expressions(&mut self, request: &Message) -> Value {
        let Some(asked) = request.content["user_expressions"].as_object() else {
            return json!({});
        };
        let mut answers = Map::new();
        for (name, code) in asked {
            self.notebook.begin(&request.header, true);
            let recorded = self.recorded();
            let result = self.run(code.as_str().unwrap_or_default());
            self.forget(recorded);
            let mut left = self.notebook.end(result.is_err());
            let answer = match result {
                Ok(_) => json!({
                    "status": "ok", "data": left.value.take().unwrap_or_default(), "metadata": {},
                }),
                Err(failure) => {
                    let mut content = Reason::new(&failure, left).content();
                    content["status"] = json!("error");
                    content
                }
            };
            answers.insert(name.clone(), answer);
        }
        Value::Object(answers)
    }
}

impl Reason {
    fn new(failure: &Failure, left: Left) -> Self {
        let (name, text) = match failure {
            // What the cell wrote last stays below it.
            Failure::Message(message) => ("Error", format!("{message}\n{}", left.complaint)),
            Failure::ShownAt(_) => ("CompileError", left.complaint),
            Failure::Shown if left.complaint.starts_with("panicked") => ("Panic", left.complaint),
            Failure::Shown => ("Error", left.complaint),
        };
        Reason { name, text }
    }

    fn content(&self) -> Value {
        let plain = console::strip_ansi_codes(&self.text);
        let first = plain.lines().find(|line| !line.trim().is_empty());
        let mut lines: Vec<&str> = self.text.lines().collect();
        if lines.is_empty() {
            lines.push("the cell failed without a reason");
        }
        json!({
            "ename": self.name,
            "evalue": first.unwrap_or("the cell failed without a reason"),
            "traceback": lines,
        })
    }
}

/// What the client is asked to do: show texts to be read, or leave.
fn payload(left: &Left, next: Next) -> Vec<Value> {
    let pages = left
        .pages
        .iter()
        .map(|text| json!({"source": "page", "data": {"text/plain": text}, "start": 0}));
    let leave = (next == Next::Quit).then(|| json!({"source": "ask_exit", "keepkernel": false}));
    pages.chain(leave).collect()
}
