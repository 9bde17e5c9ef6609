//! Syntax colours of what is being typed, and the bracket that belongs to the one at the cursor.

use crate::syntax::tokens::{Token, tokens};
use console::{Style, style};
use ra_ap_syntax::{Edition, SyntaxKind};

/// `text` with colours; with a cursor (a byte of `text`), the bracket there and its partner stand out.
pub fn highlight(text: &str, cursor: Option<usize>) -> String {
    if text.starts_with(':') {
        let (name, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
        return format!("{}{rest}", style(name).cyan().bold());
    }
    let tokens = tokens(text);
    let pair = cursor.and_then(|cursor| pair_at(&tokens, cursor));
    let mut coloured = String::with_capacity(2 * text.len());
    for (number, token) in tokens.iter().enumerate() {
        let in_pair = pair.is_some_and(|(one, other)| number == one || number == other);
        let style = if in_pair {
            Style::new().bold().underlined()
        } else {
            style_of(token)
        };
        coloured.push_str(&style.apply_to(token.text).to_string());
    }
    coloured
}

/// The bracket under the cursor, or else right before it, and its partner, by their places among the tokens.
fn pair_at(tokens: &[Token], cursor: usize) -> Option<(usize, usize)> {
    let bracket_at = |at: usize| {
        let found = tokens.iter().position(|token| token.start == at)?;
        (tokens[found].opens() || tokens[found].closes()).then_some(found)
    };
    let here = bracket_at(cursor).or_else(|| bracket_at(cursor.checked_sub(1)?))?;
    let mut open = Vec::new();
    for (number, token) in tokens.iter().enumerate() {
        if token.opens() {
            open.push(number);
        } else if token.closes() {
            let partner = open.pop()?;
            if here == number || here == partner {
                return Some((partner, number));
            }
        }
    }
    None
}

fn style_of(token: &Token) -> Style {
    let plain = Style::new();
    match token.kind {
        SyntaxKind::COMMENT => plain.dim(),
        SyntaxKind::STRING
        | SyntaxKind::BYTE_STRING
        | SyntaxKind::C_STRING
        | SyntaxKind::CHAR
        | SyntaxKind::BYTE => plain.green(),
        SyntaxKind::INT_NUMBER | SyntaxKind::FLOAT_NUMBER | SyntaxKind::LIFETIME_IDENT => {
            plain.yellow()
        }
        SyntaxKind::IDENT if token.text.starts_with(char::is_uppercase) => plain.cyan(),
        SyntaxKind::IDENT if token.is_called => plain.blue(),
        kind if kind.is_keyword(Edition::Edition2024) => plain.magenta(),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the bracket at the cursor and its partner stand.
    fn pair(text: &str, cursor: usize) -> Option<(usize, usize)> {
        let tokens = tokens(text);
        let (one, other) = pair_at(&tokens, cursor)?;
        Some((tokens[one].start, tokens[other].start))
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        for text in [
            "",
            "let é = \"ü(\"; // [",
            "f(&[1, 2.5], 'a', b\"x\")? }",
            "let s = \"open",
            "r#\"raw\n\"#; /* open",
            "a\n  + b\n\n",
            "'static: loop { break }",
            ":load a b's.rs",
            "}{)(",
            "#![allow(x)] \\ ` § 1..=2",
        ] {
            assert_eq!(console::strip_ansi_codes(&highlight(text, None)), text);
            for cursor in 0..=text.len() {
                assert_eq!(
                    console::strip_ansi_codes(&highlight(text, Some(cursor))),
                    text
                );
            }
        }
    }

    #[test]
    fn a_bracket_finds_its_partner_past_strings_and_others() {
        let text = "f(a[1], \")\", (b))";
        assert_eq!(pair(text, 1), Some((1, 16)));
        assert_eq!(pair(text, 17), Some((1, 16)));
        assert_eq!(pair(text, 13), Some((13, 15)));
        assert_eq!(pair(text, 9), None);
        assert_eq!(pair("f(", 2), None);
        assert_eq!(pair(")(", 1), None);
    }

    #[test]
    fn each_kind_of_word_has_its_colour() {
        let text = "let v: Vec<u8> = load(\"x\")?; 7 // ok";
        let tokens = tokens(text);
        let style = |word: &str| {
            let token = tokens.iter().find(|token| token.text == word).unwrap();
            style_of(token).force_styling(true).apply_to("").to_string()
        };
        let plain = style("v");
        let coloured = ["let", "Vec", "load", "\"x\"", "7", "// ok"].map(style);
        for (at, one) in coloured.iter().enumerate() {
            assert_ne!(*one, plain);
            assert!(!coloured[..at].contains(one), "{one:?}");
        }
    }
}
