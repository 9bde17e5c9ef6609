//! A session that starts while the first statement is typed.

use crate::output::failure::Failure;
use crate::session::interpreter::PROMPT;
use crate::session::{Prepared, Session, Surroundings};
use crossbeam_channel::{Receiver, bounded};

/// A session that another thread starts.
pub enum Starting {
    Thread(Receiver<anyhow::Result<Session>>),
    Ready(Box<Session>),
    /// Why there is none.
    Failed(String),
}

impl Starting {
    pub fn new(prepared: Prepared, surroundings: Surroundings) -> Self {
        let (sender, receiver) = bounded(1);
        std::thread::spawn(move || {
            let started = prepared.start(surroundings);
            if let Err(error) = &started {
                // Said at once, in the place of the line that is being typed. rustyline's external printer would draw
                // that line again, but an editor that has one loses sight of keys that come many at a time.
                eprint!("\r\x1b[Kerror: the session cannot start: {error:#}\r\n{PROMPT}");
            }
            // Nobody waits any more where the program is at its end.
            let _ = sender.send(started);
            // The child ends with the thread that has started it.
            loop {
                std::thread::park();
            }
        });
        Starting::Thread(receiver)
    }

    /// The session, when it has started.
    pub fn wait(&mut self) -> Result<&mut Session, Failure> {
        if let Starting::Thread(started) = self {
            *self = match started.recv() {
                Ok(Ok(mut session)) => {
                    session.history.keep();
                    Starting::Ready(Box::new(session))
                }
                Ok(Err(error)) => Starting::Failed(format!("{error:#}")),
                Err(_) => Starting::Failed("the thread that started it has ended".to_owned()),
            };
        }
        match self {
            Starting::Ready(session) => Ok(session),
            Starting::Failed(why) => Err(format!("the session cannot start: {why}").into()),
            Starting::Thread(_) => Err("the session has not started".to_owned().into()),
        }
    }

    /// The session, if it has started.
    pub fn if_ready(&mut self) -> Option<&mut Session> {
        if matches!(self, Starting::Thread(started) if started.is_empty()) {
            return None;
        }
        self.wait().ok()
    }
}
