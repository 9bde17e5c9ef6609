//! Lines that are no Rust: `:commands`, and what users of IPython type for them.

use super::{is_open, is_whole};
use std::ops::Range;

/// Bytes of the lines that are commands: nothing is open before them.
pub fn command_lines(text: &str) -> Vec<Range<usize>> {
    let mut commands: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let range = start..start + line.trim_end().len();
        start += line.len();
        let before = commands.last().map_or(0, |previous| previous.end)..range.start;
        let before = &text[before];
        let is_command = match look(line.trim_end()) {
            Some(Look::Command) => !is_open(before),
            // In the middle of a statement these are Rust.
            Some(Look::Magic) => !is_open(before) && is_whole(before),
            None => false,
        };
        if is_command {
            commands.push(range);
        }
    }
    commands
}

/// What a line looks like.
enum Look {
    /// `:vars`, `?x`, `%time`
    Command,
    /// `x?`, `!ls`
    Magic,
}

fn look(line: &str) -> Option<Look> {
    let begins_with_letter = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphabetic());
    if line.strip_prefix(':').is_some_and(begins_with_letter) {
        return Some(Look::Command);
    }
    let is_magic = match line.chars().next()? {
        '%' if begins_with_letter(line.trim_start_matches('%')) => return Some(Look::Command),
        '?' if is_pattern(line.trim_start_matches('?').trim()) => return Some(Look::Command),
        '!' => is_shell(&line[1..]),
        _ => line.ends_with('?') && is_pattern(line.trim_end_matches('?')),
    };
    is_magic.then_some(Look::Magic)
}

/// A name, perhaps with a path, a field or stars in it.
fn is_pattern(text: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "_:.*!".contains(c);
    let begins = |c: char| c.is_alphabetic() || c == '_' || c == '*';
    text.starts_with(begins) && text.chars().all(is_part)
}

/// Whether what stands behind `!` is a line for the shell, and not the negation of a Rust expression.
fn is_shell(rest: &str) -> bool {
    if !rest.starts_with(|c: char| c.is_ascii_alphabetic() || "./~$".contains(c)) {
        return false;
    }
    let end = rest
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(rest.len());
    let (word, behind) = rest.split_at(end);
    let is_called = !word.is_empty()
        && (behind.starts_with(['(', '!', '[', ';'])
            || behind.starts_with("::")
            || behind.starts_with('.') && behind.contains('('));
    !(is_called || ["true", "false"].contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(text: &str) -> Vec<&str> {
        let lines = command_lines(text);
        lines.into_iter().map(|line| &text[line]).collect()
    }

    #[test]
    fn what_hands_type_is_no_rust() {
        for line in [
            ":vars",
            "?load",
            "load?",
            "load??",
            "??c.head",
            "std::fs?",
            "*select*?",
            "%time f()",
            "%%timeit",
            "!ls -l",
            "!./run.sh",
            "!python3 x.py",
            "vec!?",
        ] {
            assert_eq!(commands(line), [line]);
            let text = format!("let a = 1;\n{line}\na");
            assert_eq!(commands(&text), [line]);
        }
        for line in [
            "!true",
            "!f(x)",
            "!a.is_empty()",
            "!matches!(a, 1)",
            "!(a)",
            "f(x)?",
            "a.b()?",
            "% 2",
            "x",
            "::std::x()",
            "!a::B",
        ] {
            assert_eq!(commands(line), [""; 0], "{line}");
        }
        for text in [
            "let a =\n!ls;",
            "a\n% b",
            "a &&\n!done",
            "f(\nx?\n)",
            "\"\n%time\n\"",
        ] {
            assert_eq!(commands(text), [""; 0], "{text}");
        }
    }
}
