//! What a statement, command or script that failed hands to its caller.

use super::FrontEnd;
use console::style;

/// Why evaluation stopped.
#[derive(Debug)]
pub enum Failure {
    /// The reason is on the screen already (a compile error, or what the cell itself wrote).
    Shown,
    /// The reason is on the screen already; it lies at this line of the source.
    ShownAt(usize),
    /// The reason, still to be shown.
    Message(String),
}

impl Failure {
    /// Says the reason, unless that is done.
    pub fn tell(&self, output: &FrontEnd) {
        if let Failure::Message(message) = self {
            let error = style("error:").red().bold().for_stderr();
            output.err(&format!("{error} {message}"));
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Message(format!("{error:#}"))
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Failure::Message(message)
    }
}
