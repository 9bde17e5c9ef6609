//! What stands in a cell's standard output: text, and what evcxr's and the library's protocols put between it.
//!
//! | line | meaning |
//! | --- | --- |
//! | `EVCXR_BEGIN_CONTENT MIME`, data, `EVCXR_END_CONTENT` | one form of a displayed value |
//! | `EVCXR_INPUT_REQUEST:PROMPT` | the crate `evcxr_input` is about to read a line |
//! | `VITREPL_PROGRESS {...}` | how far a call has got (see [`super::progress`]) |
//! | `VITREPL_REPEAT` | the statement is worth running again in a new process |
//!
//! Anything else is text, which is passed on as it comes: a line that is not yet complete too, unless it may still
//! become one of these. What only looks like one of them is text as well, at the latest when the cell ends.

use super::progress::Step;

const BEGIN: &str = "EVCXR_BEGIN_CONTENT ";
const END: &[u8] = b"EVCXR_END_CONTENT";
const PASSWORD: &str = "EVCXR_INPUT_REQUEST_PASSWORD:";
const INPUT: &str = "EVCXR_INPUT_REQUEST:";
const PROGRESS: &str = "VITREPL_PROGRESS {";
const REPEAT: &str = "VITREPL_REPEAT";

/// A part of a cell's output.
pub enum Part {
    Text(String),
    /// One form of a displayed value.
    Content {
        mime: String,
        data: String,
    },
    Step(Step),
    Repeat,
    /// A line is about to be read.
    Prompt(Prompt),
}

/// What `evcxr_input` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    pub text: String,
    pub is_password: bool,
    /// The line that asks, to be shown where nothing is read after all.
    pub line: String,
}

/// Cuts output into its parts.
#[derive(Default)]
pub struct Parser {
    /// Bytes that may be the beginning of something.
    held: Vec<u8>,
    /// Begun and not ended: the line that begins it, its MIME type, and the data so far.
    open: Option<(Vec<u8>, String, Vec<u8>)>,
}

impl Parser {
    /// The parts that are complete with these bytes.
    pub fn feed(&mut self, bytes: &[u8], parts: &mut Vec<Part>) {
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let lines = held.split_inclusive(|byte| *byte == b'\n');
        let mut text = Vec::new();
        for line in lines {
            if line.ends_with(b"\n") {
                self.line(line, &mut text, parts);
            } else if self.open.is_some() {
                self.held = line.to_vec();
            } else {
                let shown = line.len() - undecided(line);
                text.extend_from_slice(&line[..shown]);
                self.held = line[shown..].to_vec();
            }
        }
        push_text(&mut text, parts);
    }

    /// Nothing more belongs to what is held: it is text.
    pub fn flush(&mut self, parts: &mut Vec<Part>) {
        let mut text = Vec::new();
        if let Some((line, _, data)) = self.open.take() {
            text.extend(line);
            text.extend(data);
        }
        text.append(&mut self.held);
        push_text(&mut text, parts);
    }

    /// Whether a displayed value has begun and not ended.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether something is held that may be text.
    pub fn holds(&self) -> bool {
        self.open.is_some() || !self.held.is_empty()
    }

    /// Takes a complete line.
    fn line(&mut self, line: &[u8], text: &mut Vec<u8>, parts: &mut Vec<Part>) {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        if let Some((_, mime, data)) = &mut self.open {
            if content != END {
                data.extend_from_slice(line);
                return;
            }
            let data = String::from_utf8_lossy(data);
            parts.push(Part::Content {
                mime: std::mem::take(mime),
                data: data.strip_suffix('\n').unwrap_or(&data).to_owned(),
            });
            self.open = None;
            return;
        }
        let decoded = String::from_utf8_lossy(content);
        // Text without a line end may stand before it.
        if let Some((before, rest)) = cut(&decoded, BEGIN)
            && is_mime(rest)
        {
            text.extend_from_slice(before.as_bytes());
            push_text(text, parts);
            self.open = Some((line[before.len()..].to_vec(), rest.to_owned(), Vec::new()));
            return;
        }
        let marked = cut(&decoded, PROGRESS)
            .and_then(|(before, _)| {
                Some((before, Part::Step(Step::parse(&decoded[before.len()..])?)))
            })
            .or_else(|| Some((decoded.strip_suffix(REPEAT)?, Part::Repeat)))
            .or_else(|| prompt(&decoded, PASSWORD, true))
            .or_else(|| prompt(&decoded, INPUT, false));
        match marked {
            Some((before, part)) => {
                text.extend_from_slice(before.as_bytes());
                push_text(text, parts);
                parts.push(part);
            }
            None => text.extend_from_slice(line),
        }
    }
}

fn cut<'a>(line: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    line.rsplit_once(mark)
}

fn prompt<'a>(line: &'a str, mark: &str, is_password: bool) -> Option<(&'a str, Part)> {
    let (before, text) = line.split_once(mark)?;
    let prompt = Prompt {
        text: text.to_owned(),
        is_password,
        line: format!("{}\n", &line[before.len()..]),
    };
    Some((before, Part::Prompt(prompt)))
}

/// Whether a text is a type with a subtype, and nothing else.
fn is_mime(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.;=".contains(c))
    };
    text.split_once('/')
        .is_some_and(|(kind, subtype)| is_word(kind) && is_word(subtype))
}

/// How many bytes at the end of an unfinished line may still become something else than text.
fn undecided(line: &[u8]) -> usize {
    let marks = [BEGIN, PASSWORD, INPUT, PROGRESS, REPEAT];
    let mut starts = (0..line.len()).filter(|at| matches!(line[*at], b'E' | b'V'));
    let begun = starts.find(|at| {
        let rest = &line[*at..];
        marks.iter().any(|mark| {
            let mark = mark.as_bytes();
            rest.starts_with(mark) || mark.starts_with(rest)
        })
    });
    begun.map_or_else(|| cut_character(line), |at| line.len() - at)
}

/// How many bytes at the end are the beginning of a character.
pub fn cut_character(bytes: &[u8]) -> usize {
    for length in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - length];
        let needed = match byte {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            0x80..=0xbf => continue,
            _ => return 0,
        };
        return if needed > length { length } else { 0 };
    }
    0
}

fn push_text(text: &mut Vec<u8>, parts: &mut Vec<Part>) {
    if !text.is_empty() {
        parts.push(Part::Text(String::from_utf8_lossy(text).into_owned()));
        text.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of an output that comes in these pieces.
    fn parts(pieces: &[&[u8]]) -> Vec<String> {
        let mut parser = Parser::default();
        let mut parts = Vec::new();
        for piece in pieces {
            parser.feed(piece, &mut parts);
        }
        parser.flush(&mut parts);
        let told = parts.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Content { mime, data } => format!("<{mime}: {data}>"),
            Part::Step(step) => format!("<{} {}>", step.label, step.done),
            Part::Repeat => "<repeat>".to_owned(),
            Part::Prompt(prompt) => format!("<{}? {}>", prompt.text, prompt.is_password),
        });
        told.collect()
    }

    #[test]
    fn text_comes_as_it_is_written_and_characters_stay_whole() {
        assert_eq!(parts(&[b"10%\r", b"20%\r"]), ["10%\r", "20%\r"]);
        let (first, rest) = "é".as_bytes().split_at(1);
        assert_eq!(parts(&[b"a", first, rest, b"\n"]), ["a", "é", "\n"]);
        assert_eq!(
            parts(&[b"\xff\xfe\n", b"after\n"]),
            ["\u{fffd}\u{fffd}\n", "after\n"]
        );
        assert_eq!(parts(&[b"VE"]), ["V", "E"]);
    }

    #[test]
    fn content_is_found_behind_an_unfinished_line_and_in_pieces() {
        let block = "abcEVCXR_BEGIN_CONTENT text/html\n<b>\n\nx\nEVCXR_END_CONTENT\nafter";
        assert_eq!(
            parts(&[block.as_bytes()]),
            ["abc", "<text/html: <b>\n\nx>", "after"]
        );
        let bytes: Vec<&[u8]> = block.as_bytes().chunks(1).collect();
        assert_eq!(parts(&bytes).concat(), "abc<text/html: <b>\n\nx>after");
    }

    #[test]
    fn what_only_looks_like_a_mark_is_text() {
        for text in [
            "EVCXR_END_CONTENT\n",
            "EVCXR_EXECUTION_COMPLETE\n",
            "EVCXR_BEGIN_CONTENT\n",
            "EVCXR_BEGIN_CONTENT text/plain\nnever ended\n",
            "EVCXR_BEGIN_CONTENT of a talk/lecture\n",
            "VITREPL_PROGRESS {soon}\n",
            "VITREPL_PROGRESS\n",
            "VITREPL_LINE_ENDED\nVITREPL_END_OF_CELL\n",
        ] {
            assert_eq!(parts(&[text.as_bytes()]).concat(), text);
        }
    }

    #[test]
    fn steps_and_prompts_are_taken_out_and_the_line_before_them_stays_open() {
        let step = b"abVITREPL_PROGRESS {\"label\":\"fit\",\"done\":1}\nVITREPL_REPEAT\n";
        assert_eq!(parts(&[step]), ["ab", "<fit 1>", "<repeat>"]);
        assert_eq!(
            parts(&[b"EVCXR_INPUT_REQUEST:Name: \n"]),
            ["<Name: ? false>"]
        );
        assert_eq!(parts(&[b"EVCXR_INPUT_REQUEST_PASSWORD:?\n"]), ["<?? true>"]);
    }
}
