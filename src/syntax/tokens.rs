//! The tokens of a text that may stop anywhere, as something being typed does.

use ra_ap_syntax::{Edition, SourceFile, SyntaxKind, SyntaxToken, T};

/// The parser wants a function around statements.
const BEFORE: &str = "fn f(){";
const AFTER: &str = "\n}";

/// One token.
pub struct Token<'a> {
    /// Byte at which it starts.
    pub start: usize,
    pub text: &'a str,
    pub kind: SyntaxKind,
    /// A name that stands before its arguments, or a macro's.
    pub is_called: bool,
}

/// All of `text`, token by token.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let parsed = SourceFile::parse(&format!("{BEFORE}{text}{AFTER}"), Edition::Edition2024);
    let all = parsed.syntax_node().descendants_with_tokens();
    let tokens = all.filter_map(|element| element.into_token());
    let placed = tokens.filter_map(|token| {
        let range = token.text_range();
        let start = usize::from(range.start()).checked_sub(BEFORE.len())?;
        // What is left open at the end of the text takes along what was put behind it.
        let end = (usize::from(range.end()) - BEFORE.len()).min(text.len());
        (start < end).then(|| Token {
            start,
            text: &text[start..end],
            kind: token.kind(),
            is_called: is_called(&token),
        })
    });
    placed.collect()
}

fn is_called(token: &SyntaxToken) -> bool {
    let mut next = token.next_token();
    while let Some(token) = next {
        match token.kind() {
            SyntaxKind::WHITESPACE => next = token.next_token(),
            kind => return kind == T!['('] || kind == T![!],
        }
    }
    false
}

impl Token<'_> {
    /// Whether it is an opening bracket.
    pub fn opens(&self) -> bool {
        matches!(self.kind, T!['('] | T!['['] | T!['{'])
    }

    /// Whether it is a closing bracket.
    pub fn closes(&self) -> bool {
        matches!(self.kind, T![')'] | T![']'] | T!['}'])
    }
}
