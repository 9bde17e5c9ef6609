//! Values in the form of `derive(Debug)` laid out for a screen: what fits in a line stays in it, what does not has its
//! fields below one another, and short items of a list fill lines. (`{:#?}` breaks everywhere: a number a line.)

/// Characters of a line.
const LINE: usize = 110;

/// Spaces by which what is within is moved in.
const INDENT: usize = 4;

/// Items of a list up to this length fill lines.
const SHORT: usize = 24;

/// A part of the text.
enum Part<'a> {
    Text(&'a str),
    Group(Group<'a>),
}

/// What stands between brackets, in the order of the text; items are separated by commas.
struct Group<'a> {
    open: char,
    items: Vec<Vec<Part<'a>>>,
    close: char,
}

/// `text` laid out, or as it is where it has lines of its own, fits in one or is in another form. Of a text that was cut
/// off (`is_cut`) the open brackets are closed.
pub fn lay_out(text: String, is_cut: bool) -> String {
    if text.contains('\n') || text.chars().count() <= LINE {
        return text;
    }
    let mut reader = Reader {
        text: &text,
        at: 0,
        is_cut,
    };
    match reader.parts(None) {
        Some(items) if reader.at == text.len() => {
            let mut out = String::new();
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_item(&mut out, item, 0);
            }
            out
        }
        _ => text,
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    is_cut: bool,
}

impl<'a> Reader<'a> {
    /// The items up to `close`, which is read too, or to the end of the text; none if brackets or quotes do not match.
    fn parts(&mut self, close: Option<char>) -> Option<Vec<Vec<Part<'a>>>> {
        let mut items = Vec::new();
        let mut item = Vec::new();
        let mut start = self.at;
        while let Some(c) = self.text[self.at..].chars().next() {
            let here = self.at;
            let before = &self.text[start..here];
            match c {
                '"' => match string(&self.text[here..]) {
                    Some(length) => self.at += length,
                    None if self.is_cut => self.at = self.text.len(),
                    None => return None,
                },
                '\'' => self.at = here + character(&self.text[here..]),
                '(' | '[' | '{' => {
                    item.extend(text(before));
                    self.at += 1;
                    let close = match c {
                        '(' => ')',
                        '[' => ']',
                        _ => '}',
                    };
                    let items = self.parts(Some(close))?;
                    item.push(Part::Group(Group {
                        open: c,
                        items,
                        close,
                    }));
                    start = self.at;
                }
                ')' | ']' | '}' => {
                    if Some(c) != close {
                        return None;
                    }
                    item.extend(text(before));
                    if !item.is_empty() {
                        items.push(item);
                    }
                    self.at += 1;
                    return Some(items);
                }
                ',' if self.text[here..].starts_with(", ") => {
                    item.extend(text(before));
                    items.push(std::mem::take(&mut item));
                    self.at += 2;
                    start = self.at;
                }
                _ => self.at += c.len_utf8(),
            }
        }
        item.extend(text(&self.text[start..]));
        items.push(item);
        (close.is_none() || self.is_cut).then_some(items)
    }
}

/// Text without the spaces that brackets have beside them; none if nothing is left.
fn text(text: &str) -> Option<Part<'_>> {
    let text = text.trim();
    (!text.is_empty()).then_some(Part::Text(text))
}

/// Bytes of the string literal that `text` begins with.
fn string(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(i + 1),
            _ => {}
        }
    }
    None
}

/// Bytes of the character literal that `text` begins with, or 1 for an apostrophe that begins none.
fn character(text: &str) -> usize {
    let mut places = text.char_indices().skip(1);
    let end = match places.next() {
        Some((_, '\\')) => places.skip(1).find(|(_, c)| *c == '\''),
        Some(_) => places.next().filter(|(_, c)| *c == '\''),
        None => None,
    };
    end.map_or(1, |(i, _)| i + 1)
}

/// The item in one line.
fn flat(item: &[Part]) -> String {
    let mut out = String::new();
    for part in item {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Group(group) => {
                let items: Vec<String> = group.items.iter().map(|item| flat(item)).collect();
                let inside = items.join(", ");
                let named = out.chars().next_back().is_some_and(|c| !"&:".contains(c));
                match group.open {
                    '{' if items.is_empty() => out.push_str(if named { " {}" } else { "{}" }),
                    '{' => {
                        let space = if named { " " } else { separator(&out) };
                        out.push_str(&format!("{space}{{ {inside} }}"));
                    }
                    _ => {
                        out.push_str(separator(&out));
                        out.push(group.open);
                        out.push_str(&inside);
                        out.push(group.close);
                    }
                }
            }
        }
    }
    out
}

/// The space after the colon that a field's name ends with.
fn separator(before: &str) -> &'static str {
    if before.ends_with(':') { " " } else { "" }
}

/// Writes an item that begins in a line which is moved in by `indent`.
fn write_item(out: &mut String, item: &[Part], indent: usize) {
    let whole = flat(item);
    if indent + whole.chars().count() < LINE {
        out.push_str(&whole);
        return;
    }
    let mut before = String::new();
    for part in item {
        match part {
            Part::Text(text) => {
                out.push_str(text);
                before = text.to_string();
            }
            Part::Group(group) => {
                let space = match group.open {
                    '{' if !before.is_empty() => " ",
                    _ => separator(&before),
                };
                out.push_str(space);
                write_group(out, group, indent);
            }
        }
    }
}

fn write_group(out: &mut String, group: &Group, indent: usize) {
    let inner = indent + INDENT;
    let new_line = |out: &mut String, indent: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent));
    };
    out.push(group.open);
    let all: Vec<String> = group.items.iter().map(|item| flat(item)).collect();
    if group.open != '{' && all.iter().all(|item| item.chars().count() <= SHORT) {
        let mut used = LINE;
        for item in &all {
            let length = item.chars().count() + 2;
            if used + length > LINE {
                new_line(out, inner);
                used = inner;
            } else {
                out.push(' ');
            }
            out.push_str(item);
            out.push(',');
            used += length;
        }
    } else {
        for item in &group.items {
            new_line(out, inner);
            write_item(out, item, inner);
            out.push(',');
        }
    }
    new_line(out, indent);
    out.push(group.close);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[allow(dead_code)]
    struct Settings {
        name: &'static str,
        values: Vec<f64>,
        inner: Option<Inner>,
        empty: Vec<u8>,
        mark: char,
    }

    #[derive(Debug)]
    #[allow(dead_code)]
    struct Inner {
        words: Vec<(&'static str, [usize; 2])>,
        nothing: (),
    }

    fn settings() -> Settings {
        Settings {
            name: "a, \"quoted\" {name} with ) brackets",
            values: (0..40).map(|i| f64::from(i) / 4.0).collect(),
            inner: Some(Inner {
                words: vec![
                    ("sea", [1, 2]),
                    (
                        "a word that is so long that it has a line of its own",
                        [3, 4],
                    ),
                ],
                nothing: (),
            }),
            empty: Vec::new(),
            mark: '"',
        }
    }

    #[test]
    fn long_values_have_their_fields_below_one_another_and_lists_fill_lines() {
        let shown = lay_out(format!("{:?}", settings()), false);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(
            lines.iter().all(|line| line.chars().count() <= LINE),
            "{shown}"
        );
        assert_eq!(lines[0], "Settings {");
        assert_eq!(
            lines[1],
            r#"    name: "a, \"quoted\" {name} with ) brackets","#
        );
        assert_eq!(lines[2], "    values: [");
        assert!(lines[3].starts_with("        0.0, 0.25, 0.5,"), "{shown}");
        assert!(lines.len() < 20, "{shown}");
        assert!(
            shown.ends_with("    empty: [],\n    mark: '\"',\n}"),
            "{shown}"
        );
        assert!(shown.contains("(\"sea\", [1, 2]),"), "{shown}");
    }

    #[test]
    fn nothing_is_lost_or_added_but_white_space_and_last_commas() {
        let bare = |text: &str| -> String {
            let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            [",)", ",]", ",}"]
                .iter()
                .fold(text, |text, end| text.replace(end, &end[1..]))
        };
        let plain = format!("{:?}", settings());
        assert_eq!(bare(&lay_out(plain.clone(), false)), bare(&plain));
    }

    #[test]
    fn what_is_short_or_in_another_form_stays_as_it_is() {
        let long = "a reading (of words, that do not match ".repeat(6);
        let lines = format!("facts\n  {}", "x".repeat(200));
        for text in ["Some(1)".to_string(), long, lines, "\"".repeat(201)] {
            assert_eq!(lay_out(text.clone(), false), text);
        }
        let text = "it's what one says, and don't one's words stay? ".repeat(4);
        assert_eq!(lay_out(text.trim().to_string(), false), text.trim());
    }

    #[test]
    fn a_text_that_was_cut_off_is_laid_out_as_far_as_it_goes() {
        let plain = format!("{:?}", settings());
        for length in 111..plain.len() {
            let shown = lay_out(plain[..length].to_string(), true);
            assert!(shown.starts_with("Settings {\n"), "{shown}");
            assert!(shown.ends_with('}'), "{shown}");
        }
    }
}
