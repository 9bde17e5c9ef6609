//! Empty lines that end a statement.
//!
//! To Rust an empty line is like any other space: `x`, an empty line and `-y` are a difference. In a notebook the two
//! are cells of their own, and in a script paragraphs. So an empty line ends what is complete before it, where what
//! comes behind could begin a statement as well as go on with one.

use super::is_whole;
use ra_ap_syntax::{Edition, SourceFile, T};
use std::ops::Range;

/// The parts of a text that are parsed by themselves.
pub fn paragraphs(text: &str) -> Vec<Range<usize>> {
    let parsed = SourceFile::parse(text, Edition::Edition2024);
    let tokens = parsed.syntax_node().descendants_with_tokens();
    let mut parts = Vec::new();
    let mut start = 0;
    let mut depth = 0i64;
    let mut empty_line = None;
    for token in tokens.filter_map(|element| element.into_token()) {
        let kind = token.kind();
        let at = usize::from(token.text_range().start());
        if kind.is_trivia() {
            if token.text().matches('\n').count() > 1 && empty_line.is_none() {
                empty_line = Some(at);
            }
            continue;
        }
        let is_either =
            [T![-], T![&], T![*], T!['('], T!['['], T![|], T![!], T![<]].contains(&kind);
        if let Some(end) = empty_line.take()
            && depth == 0
            && is_either
            && is_whole(&text[start..end])
        {
            parts.push(start..end);
            start = end;
        }
        match kind {
            T!['('] | T!['['] | T!['{'] => depth += 1,
            T![')'] | T![']'] | T!['}'] => depth -= 1,
            _ => {}
        }
    }
    parts.push(start..text.len());
    parts
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    #[test]
    fn an_empty_line_ends_what_is_complete_before_something_that_could_go_on() {
        let parts = |text: &str| paragraphs(text).len();
        for text in [
            "x\n\n-y",
            "let a = x\n\n// why\n(1, 2).0",
            "f()\n\n[1]",
            "x\n\n&y",
            "x\n\n*y\n",
        ] {
            assert_eq!(parts(text), 2, "{text}");
        }
        let source = Source::new("test", "x // of x\n\n// why\n-y");
        let whole: Vec<&str> = source
            .pieces
            .iter()
            .map(|piece| &source.text[piece.whole.clone()])
            .collect();
        assert_eq!(whole, ["x // of x", "// why\n-y"]);
        for text in [
            "x\n-y",
            "x\n\n.y()",
            "let a =\n\n-y;",
            "f(\n\n-y)",
            "x +\n\n-y",
            "\"\n\n-y\"",
            "x\n\ny",
        ] {
            assert_eq!(parts(text), 1, "{text}");
        }
    }
}
