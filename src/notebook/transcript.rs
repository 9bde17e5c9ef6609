//! What a session has done so far, for `:save`: the statements that went well, in order, and what came of
//! them. What was loaded from a script is kept as its statements, so that what is saved stands alone.

use crate::output::Output;
use crate::syntax::statements::{Piece, Source};

/// Neighbouring statements that were evaluated as one, or a command.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it was written, with its comments.
    pub text: String,
    /// Nothing or an empty line came before it.
    pub separate: bool,
    pub outputs: Vec<Output>,
}

impl Entry {
    /// Pieces of `source` and what came of them.
    pub fn new(source: &Source, pieces: &[Piece], outputs: Vec<Output>) -> Option<Self> {
        let whole = pieces.first()?.whole.start..pieces.last()?.whole.end;
        let before = &source.text[..whole.start];
        let code = before.trim_end();
        Some(Entry {
            text: source.text[whole].trim_end().to_owned(),
            separate: code.is_empty() || before[code.len()..].matches('\n').count() > 1,
            outputs,
        })
    }

    /// Every piece of `source` that has not been run.
    pub fn all(source: &Source) -> Vec<Self> {
        source
            .pieces
            .chunks(1)
            .filter_map(|piece| Entry::new(source, piece, Vec::new()))
            .collect()
    }
}

/// More outputs than this (in bytes) of a session are not kept; the oldest go first.
const MOST_KEPT: usize = 1 << 28;

/// Makes room in what is kept of a session's outputs; the statements stay.
pub fn bound(entries: &mut [Entry]) {
    bound_to(entries, MOST_KEPT);
}

fn bound_to(entries: &mut [Entry], most: usize) {
    let mut kept = 0;
    for entry in entries.iter_mut().rev() {
        kept += entry.outputs.iter().map(Output::size).sum::<usize>();
        if kept > most {
            entry.outputs.clear();
        }
    }
}

/// The text of a script that does what the entries did.
pub fn script(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        if entry.separate && !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&entry.text);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_kept_with_its_comments_and_paragraphs() {
        let text = "// About.\n\n// One.\nlet a = 1;\nlet b = 2; // two\n\n:vars\na + b\n";
        let entries = Entry::all(&Source::new("test", text));
        assert_eq!(script(&entries), text);
        let separate: Vec<bool> = entries.iter().map(|entry| entry.separate).collect();
        assert_eq!(separate, [true, false, true, false]);
    }

    #[test]
    fn the_oldest_outputs_make_room() {
        let mut entries = Entry::all(&Source::new("test", "1\n2\n3\n"));
        for entry in &mut entries {
            entry.outputs = vec![Output::Out("x".repeat(10))];
        }
        bound_to(&mut entries, 25);
        let kept: Vec<usize> = entries.iter().map(|entry| entry.outputs.len()).collect();
        assert_eq!(kept, [0, 1, 1]);
        assert_eq!(script(&entries), "1\n2\n3\n");
    }
}
