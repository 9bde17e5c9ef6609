//! Errors of the compiler and of the parser, drawn over the text the user wrote.

use crate::eval::cell::{Cell, LostVariables};
use crate::syntax::last_result::RESULT;
use crate::syntax::statements::{Piece, Source};
use ariadne::{Color, Config, Label, Report, ReportKind};
use evcxr::CompilationError;
use std::ops::Range;

/// A marked place: characters of the source, and what to say there.
struct Mark {
    at: Range<usize>,
    message: String,
}

/// Errors as they are shown.
pub struct Drawn {
    pub text: String,
    /// The line of the first, where it is in the source.
    pub line: Option<usize>,
}

/// Draws `errors` of the cell made of `pieces`. Variables that are `lost` are found missing with the reason.
pub fn of_compiler(
    errors: &[CompilationError],
    source: &Source,
    pieces: &[Piece],
    cell: &Cell,
    lost: &LostVariables,
) -> Drawn {
    let mut drawn = Drawn {
        text: String::new(),
        line: None,
    };
    // Warnings, too, come with the errors of a cell.
    for error in errors.iter().filter(|error| error.level() == "error") {
        if !error.is_from_user_code() {
            drawn.text += error.rendered().trim_end();
            drawn.text.push('\n');
            continue;
        }
        let mut marks = Vec::new();
        let mut notes = Vec::new();
        for spanned in error.spanned_messages().iter().chain(error.help_spanned()) {
            match spanned.span.and_then(|span| {
                let start = offset(
                    source,
                    cell.source_line(span.start_line)?,
                    span.start_column,
                )?;
                let end = offset(source, cell.source_line(span.end_line)?, span.end_column)?;
                Some(start..end.max(start))
            }) {
                Some(at) => marks.push(Mark {
                    at,
                    message: spanned.label.clone(),
                }),
                None if spanned.span.is_none() && !spanned.label.is_empty() => {
                    notes.push(spanned.label.clone());
                }
                None => {}
            }
        }
        let mut message = error.message();
        if message.contains("evcxr_display") || error.code() == Some("E0599") && marks.is_empty() {
            message = "the value has no `Debug` and cannot be displayed".to_owned();
            notes = vec!["End the statement with `;`, or bind the value with `let`.".to_owned()];
            marks.clear();
        }
        if error.code() == Some("E0425")
            && let Some(name) = message.split('`').nth(1)
        {
            let lost = lost.get(name);
            if name == RESULT {
                let how = lost.map_or("is the last result: there is none yet", |lost| &lost.how);
                message = format!("`_` {how}");
                notes.clear();
            } else if let Some(lost) = lost {
                message = format!("`{name}` {}", lost.how);
                notes = vec!["Assign to it or define it again.".to_owned()];
            }
        }
        notes.extend(hint(error));
        if marks.is_empty()
            && let Some(last) = pieces.last()
        {
            marks.push(Mark {
                at: char_offset(source, last.code.start)..char_offset(source, last.code.end),
                message: String::new(),
            });
        }
        // The compiler names the main place first; ariadne draws lines twice that come in another order.
        let start = marks.first().map_or(0, |mark| mark.at.start);
        marks.sort_by_key(|mark| mark.at.start);
        drawn.line = drawn.line.or(Some(line_at(source, start)));
        drawn.text += &draw(source, start, error.code(), &message, &marks, &notes);
    }
    drawn
}

/// What usually helps.
fn hint(error: &CompilationError) -> Option<String> {
    let message = error.message();
    if message.contains("`await` is only allowed inside `async`") {
        let runs = "A cell is no `async` function: \
                    `tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async { ... })` runs one.";
        return Some(runs.to_owned());
    }
    let hint = match error.code()? {
        "E0384" | "E0594" | "E0596" => "An existing variable becomes mutable by: let mut x = x;",
        "E0277" if message.contains('?') && message.contains("Option") => {
            "`?` takes a `Result`; of an `Option` make one: `.ok_or(\"what is missing\")?`"
        }
        "E0277" if message.contains("couldn't convert the error") => {
            "`?` takes text and every error (`std::error::Error`); of something else make text: `.map_err(|e| format!(\"{e:?}\"))?`"
        }
        "E0308" if message.contains("mismatched types") && wants_value(error) => {
            "The call gives a `Result`; `?` behind it takes the value out, or shows the error."
        }
        "E0382" => {
            "A value is used up when it is passed by itself; pass `&x`, or `x.clone()`, to keep it."
        }
        "E0599"
            if message.contains("enum `Result<")
                || message.contains("enum `std::result::Result<") =>
        {
            "The call gives a `Result`; `?` behind it takes the value out, or shows the error."
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Whether a `Result` was given where its value is wanted.
fn wants_value(error: &CompilationError) -> bool {
    let mut spans = error.spanned_messages().iter();
    spans.any(|spanned| {
        let found = spanned.label.split_once("found ").map(|(_, found)| found);
        found.is_some_and(|found| found.trim_start_matches('`').starts_with("Result<"))
    })
}

/// Draws what the parser found wrong in `source`.
pub fn of_parser(source: &Source) -> String {
    let errors = source.syntax_errors.iter();
    errors
        .map(|error| {
            let at = char_offset(source, error.at.start)..char_offset(source, error.at.end);
            let mark = Mark {
                at,
                message: String::new(),
            };
            draw(source, mark.at.start, None, &error.message, &[mark], &[])
        })
        .collect()
}

/// Draws one error; `start` is where it is said to be.
fn draw(
    source: &Source,
    start: usize,
    code: Option<&str>,
    message: &str,
    marks: &[Mark],
    notes: &[String],
) -> String {
    let name = source.name.as_str();
    let color = console::colors_enabled_stderr();
    let mut report = Report::build(ReportKind::Error, (name, start..start))
        .with_config(Config::default().with_color(color))
        .with_message(message);
    if let Some(code) = code {
        report = report.with_code(code);
    }
    for mark in marks {
        let label = Label::new((name, mark.at.clone())).with_color(Color::Red);
        report = report.with_label(if mark.message.is_empty() {
            label
        } else {
            label.with_message(&mark.message)
        });
    }
    if !notes.is_empty() {
        report = report.with_note(notes.join("\n"));
    }
    let mut drawn = Vec::new();
    let written = report.finish().write(
        (name, ariadne::Source::from(source.text.as_str())),
        &mut drawn,
    );
    match written {
        Ok(()) => legible(&String::from_utf8_lossy(&drawn)),
        Err(_) => format!("{message}\n"),
    }
}

/// The drawing without the two greys that it has for what is quoted: on one background or another each is hard to read.
fn legible(drawn: &str) -> String {
    let without = |text: String, grey: &&str| text.replace(grey, "");
    let text = GREYS.iter().fold(drawn.to_owned(), without);
    text.replace(PALE_GREEN, CYAN)
}

/// The colour of notes, which is as pale, and one that a terminal's theme chooses.
const PALE_GREEN: &str = "\u{1b}[38;5;115m";
const CYAN: &str = "\u{1b}[36m";

/// How ariadne begins text in its greys.
const GREYS: [&str; 3] = ["\u{1b}[38;5;249m", "\u{1b}[38;5;246m", "\u{1b}[38;5;240m"];

/// Characters before a line (from 1) and column (from 1, in characters).
fn offset(source: &Source, line: usize, column: usize) -> Option<usize> {
    let before: usize = source
        .text
        .split_inclusive('\n')
        .take(line.checked_sub(1)?)
        .map(|line| line.chars().count())
        .sum();
    Some((before + column.checked_sub(1)?).min(source.text.chars().count()))
}

fn char_offset(source: &Source, byte: usize) -> usize {
    source.text[..byte].chars().count()
}

fn line_at(source: &Source, char: usize) -> usize {
    source
        .text
        .chars()
        .take(char)
        .filter(|c| *c == '\n')
        .count()
        + 1
}
