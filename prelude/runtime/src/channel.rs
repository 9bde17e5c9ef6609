//! The private pipes between the cells and the program that shows what comes of them.
//!
//! The folder that the environment names holds two named pipes. A message goes into one as a line `KIND NUMBER
//! LENGTH` and that many bytes; the program answers with a line that repeats the number. Before it answers it has
//! read all that the cell had written to its standard output and error, so that messages keep their place among that
//! output, and neither can be taken for the other.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Names the folder of the pipes.
const VARIABLE: &str = "VITREPL_CHANNELS";

struct Channel {
    messages: File,
    answers: BufReader<File>,
    number: u64,
}

static CHANNEL: LazyLock<Option<Mutex<Channel>>> = LazyLock::new(|| {
    let folder = std::env::var_os(VARIABLE)?;
    let folder = Path::new(&folder);
    let messages = File::options()
        .write(true)
        .open(folder.join("messages"))
        .ok()?;
    let answers = BufReader::new(File::open(folder.join("answers")).ok()?);
    // A process that takes over after another has died must not take that one's answers for its own.
    let number = u64::from(std::process::id()) << 32;
    Some(Mutex::new(Channel {
        messages,
        answers,
        number,
    }))
});

/// Sends a message and waits until it has been taken; says whether a program listens at all.
pub(crate) fn send(kind: &str, text: &str) -> bool {
    // What was printed before the message is shown before it. A reader that has gone away is no concern here.
    let _ = std::io::stdout().flush();
    let Some(channel) = &*CHANNEL else {
        return false;
    };
    let mut channel = channel.lock().unwrap_or_else(PoisonError::into_inner);
    channel.number += 1;
    let number = channel.number;
    let message = format!("{kind} {number} {}\n{text}", text.len());
    if channel.messages.write_all(message.as_bytes()).is_err() {
        return false;
    }
    let mut answer = String::new();
    while answer.trim_end() != number.to_string() {
        answer.clear();
        // The end of the pipe is the end of the program, which ends this process too.
        if !channel
            .answers
            .read_line(&mut answer)
            .is_ok_and(|length| length > 0)
        {
            return false;
        }
    }
    true
}
