//! Asks the notebook for a line when a cell reads one: `input_request` and `input_reply`.

use super::display::Notebook;
use super::message::Message;
use super::wire::{Channel, Wire};
use crate::output::content::Prompt;
use crate::session::input::Source;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Between two looks whether the line is still wanted.
const PAUSE: Duration = Duration::from_millis(50);

/// The client whose cell runs; the clones are the same.
#[derive(Clone, Default)]
pub struct Asked(Arc<Mutex<Option<Message>>>);

impl Asked {
    /// From now on the cell of this request runs. A client may have said that it answers no questions.
    pub fn begin(&self, request: &Message) {
        let may_ask = request.content["allow_stdin"].as_bool().unwrap_or(true);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = may_ask.then(|| request.clone());
    }

    fn client(&self) -> Option<Message> {
        let request = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        request.clone()
    }
}

/// Lines that the notebook's user types.
pub struct Questions {
    pub wire: Wire,
    pub replies: Receiver<Message>,
    pub asked: Asked,
    pub notebook: Notebook,
}

impl Source for Questions {
    fn line(&self, prompt: Option<&Prompt>, cancelled: &dyn Fn() -> bool) -> Option<String> {
        let request = self.asked.client()?;
        // Answers to questions that nobody waits for any more.
        self.replies.try_iter().for_each(drop);
        self.notebook.publish_waiting();
        let content = json!({
            "prompt": prompt.map_or("", |prompt| &prompt.text),
            "password": prompt.is_some_and(|prompt| prompt.is_password),
        });
        let question = request.reply("input_request", content);
        self.wire.reply(Channel::Stdin, question);
        while !cancelled() {
            match self.replies.recv_timeout(PAUSE) {
                Ok(reply) if reply.kind() == "input_reply" => {
                    let value = reply.content["value"].as_str().unwrap_or_default();
                    return Some(format!("{value}\n"));
                }
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        None
    }
}
