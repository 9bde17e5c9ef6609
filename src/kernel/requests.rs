//! Requests of the shell socket, one after the other, each between `busy` and `idle`.

use super::display::Notebook;
use super::execute::Executor;
use super::message::Message;
use super::replies::{State, answer_at_once, publish_state, shut_down, tell};
use super::stdin::Asked;
use super::wire::{Channel, Wire};
use crate::session::{Session, Surroundings, commands};
use crate::syntax::cursor;
use crate::syntax::statements::{Source, is_incomplete};
use crossbeam_channel::{Receiver, bounded, select};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Starts the session and serves it until it is shut down.
pub fn serve(
    wire: Wire,
    shell: Receiver<Message>,
    notebook: Notebook,
    asked: Asked,
    surroundings: Surroundings,
) {
    publish_state(&wire, &Value::Null, State::Starting);
    let (mut session, waiting) = start(&wire, &shell, &notebook, surroundings);
    if let Ok(session) = &mut session {
        session.history.keep();
    }
    let mut kernel = Kernel {
        executor: Executor::new(session, notebook, asked),
        wire,
        shell,
        waiting,
    };
    while let Some(request) = kernel.next() {
        tell(&kernel.wire, &request, State::Busy);
        kernel.answer(&request);
        tell(&kernel.wire, &request, State::Idle);
    }
}

/// Starts the session; clients that ask what this is get their answer meanwhile, other requests wait. What
/// the start has to say (the library may have to be compiled) goes to the first cell that waits for it.
fn start(
    wire: &Wire,
    shell: &Receiver<Message>,
    notebook: &Notebook,
    surroundings: Surroundings,
) -> (Result<Session, String>, VecDeque<Message>) {
    let (started, has_started) = bounded::<()>(1);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut waiting = VecDeque::new();
            loop {
                select! {
                    recv(shell) -> request => match request {
                        Ok(request) if request.kind() == "kernel_info_request" => {
                            tell(wire, &request, State::Busy);
                            answer_at_once(wire, Channel::Shell, &request);
                            tell(wire, &request, State::Idle);
                        }
                        Ok(request) => {
                            if waiting.is_empty() && request.kind() == "execute_request" {
                                notebook.begin(&request.header, false);
                            }
                            waiting.push_back(request);
                        }
                        Err(_) => return waiting,
                    },
                    recv(has_started) -> _ => return waiting,
                }
            }
        });
        let session = Session::start(surroundings).map_err(|error| format!("{error:#}"));
        drop(started);
        let waiting = waiting.join().unwrap_or_default();
        (session, waiting)
    })
}

struct Kernel {
    wire: Wire,
    shell: Receiver<Message>,
    /// Requests that came earlier than those of `shell`.
    waiting: VecDeque<Message>,
    executor: Executor,
}

impl Kernel {
    fn next(&mut self) -> Option<Message> {
        self.waiting.pop_front().or_else(|| self.shell.recv().ok())
    }

    fn answer(&mut self, request: &Message) {
        let content = match request.kind() {
            "execute_request" => {
                let (reply, failed) = self.executor.execute(request);
                self.reply(request, reply);
                if failed && request.content["stop_on_error"].as_bool().unwrap_or(true) {
                    self.abort_waiting();
                }
                return;
            }
            "complete_request" => self.complete(&request.content),
            "inspect_request" => self.inspect(&request.content),
            "is_complete_request" => is_complete(&request.content),
            "history_request" => {
                let history = self.executor.history.find(&request.content);
                json!({"status": "ok", "history": history})
            }
            "shutdown_request" => shut_down(&self.wire, Channel::Shell, request),
            _ => return answer_at_once(&self.wire, Channel::Shell, request),
        };
        self.reply(request, content);
    }

    fn reply(&self, request: &Message, content: Value) {
        let kind = request.kind().replace("_request", "_reply");
        self.wire
            .reply(Channel::Shell, request.reply(&kind, content));
    }

    /// Cells that were already on their way when one failed are not run.
    fn abort_waiting(&mut self) {
        self.waiting.extend(self.shell.try_iter());
        let (aborted, kept): (Vec<_>, Vec<_>) = self
            .waiting
            .drain(..)
            .partition(|request| request.kind() == "execute_request");
        self.waiting.extend(kept);
        for request in aborted {
            tell(&self.wire, &request, State::Busy);
            let count = self.executor.count;
            self.reply(
                &request,
                json!({"status": "aborted", "execution_count": count}),
            );
            tell(&self.wire, &request, State::Idle);
        }
    }

    fn complete(&mut self, request: &Value) -> Value {
        let (code, at) = code_and_cursor(request);
        let line_start = code[..at].rfind('\n').map_or(0, |end| end + 1);
        let line = &code[line_start..at];
        let (start, candidates) = if line.starts_with(':') && !line.contains(' ') {
            (line_start, commands::candidates(line))
        } else {
            match &mut self.executor.session {
                Ok(session) => session.completions(code, at),
                Err(_) => (at, Vec::new()),
            }
        };
        let (start, end) = (cursor::position(code, start), cursor::position(code, at));
        let matches: Vec<&str> = candidates.iter().map(|one| one.text.as_str()).collect();
        let described = candidates.iter().map(|one| {
            json!({
                "text": one.text, "type": one.kind, "signature": one.signature(),
                "start": start, "end": end,
            })
        });
        json!({
            "status": "ok",
            "matches": matches,
            "cursor_start": start,
            "cursor_end": end,
            // JupyterLab shows these beside the matches.
            "metadata": {"_jupyter_types_experimental": described.collect::<Vec<_>>()},
        })
    }

    fn inspect(&mut self, request: &Value) -> Value {
        let (code, at) = code_and_cursor(request);
        let found = cursor::name_at(code, at).and_then(|name| self.documentation(name));
        match found {
            Some((text, markdown)) => json!({
                "status": "ok",
                "found": true,
                "data": {"text/plain": text, "text/markdown": markdown},
                "metadata": {},
            }),
            None => json!({"status": "ok", "found": false, "data": {}, "metadata": {}}),
        }
    }

    /// Documentation as text and as Markdown.
    fn documentation(&mut self, name: &str) -> Option<(String, String)> {
        let session = self.executor.session.as_mut().ok()?;
        let is_variable = session
            .variables()
            .iter()
            .any(|(variable, _)| variable == name);
        let items = if is_variable {
            Vec::new()
        } else {
            session.docs().find(name)
        };
        if items.is_empty() {
            let text = session.explain(name)?;
            let markdown = format!("```rust\n{text}\n```");
            return Some((text, markdown));
        }
        let join = |texts: Vec<String>| texts.join("\n\n");
        Some((
            session.docs().text(&items),
            join(items.iter().map(|item| item.markdown()).collect()),
        ))
    }
}

fn is_complete(request: &Value) -> Value {
    let code = request["code"].as_str().unwrap_or_default();
    if is_incomplete(code) {
        let opened = code.matches(['(', '[', '{']).count();
        let closed = code.matches([')', ']', '}']).count();
        let indent = "    ".repeat(opened.saturating_sub(closed));
        return json!({"status": "incomplete", "indent": indent});
    }
    let invalid = !Source::new("cell", code).syntax_errors.is_empty();
    json!({"status": if invalid { "invalid" } else { "complete" }})
}

fn code_and_cursor(request: &Value) -> (&str, usize) {
    let code = request["code"].as_str().unwrap_or_default();
    let position = request["cursor_pos"].as_u64().unwrap_or(u64::MAX);
    let position = usize::try_from(position).unwrap_or(usize::MAX);
    (code, cursor::byte(code, position))
}
