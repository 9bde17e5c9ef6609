//! Brackets that do not match.

use ra_ap_syntax::{Edition, SourceFile, T};

/// The first bracket of a text that has no partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imbalance {
    /// One that closes nothing, at this byte.
    Closed(usize),
    /// One that nothing closes.
    Open(usize),
}

/// Looks for a bracket without a partner; those in strings and comments do not count.
pub fn imbalance(text: &str) -> Option<Imbalance> {
    let parsed = SourceFile::parse(text, Edition::Edition2024);
    let mut open = Vec::new();
    for element in parsed.syntax_node().descendants_with_tokens() {
        let Some(token) = element.as_token() else {
            continue;
        };
        let at = usize::from(token.text_range().start());
        match token.kind() {
            T!['('] | T!['['] | T!['{'] => open.push(at),
            T![')'] | T![']'] | T!['}'] if open.pop().is_none() => {
                return Some(Imbalance::Closed(at));
            }
            _ => {}
        }
    }
    open.first().copied().map(Imbalance::Open)
}
