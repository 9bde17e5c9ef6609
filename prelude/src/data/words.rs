//! What is said of a text that cannot be embedded for what it says.

use crate::{Error, Result};

/// Characters of a text that a message shows.
const SHOWN: usize = 60;

/// Unknown words and known ones near them that a message names.
const NAMED: usize = 8;
const NEAR: usize = 3;

/// Likeness, from 0 to 1, at which a known word is named beside an unknown one.
const LIKE: f64 = 0.65;

/// A word that a tokenizer does not know, and a text it is in.
pub(super) struct Unknown<'a> {
    pub word: &'a str,
    pub text: &'a str,
}

/// Refuses the text at place `at` of `texts`.
pub(super) fn refuse(at: usize, text: &str, why: impl Into<String>) -> Error {
    Error::argument("text", format!("{} (text {})", quoted(text), at + 1), why)
}

/// Refuses a text that is empty, has no word, or holds one of a tokenizer's own `marks`.
pub(super) fn check_text(at: usize, text: &str, marks: &[String]) -> Result<()> {
    if text.trim().is_empty() {
        return Err(refuse(at, text, "a text that is not empty"));
    }
    if text
        .chars()
        .all(|c| c.is_whitespace() || c.is_control() || is_punctuation(c))
    {
        let why = "a text with a word in it; punctuation alone says nothing of an image";
        return Err(refuse(at, text, why));
    }
    match marks.iter().find(|mark| text.contains(mark.as_str())) {
        None => Ok(()),
        Some(mark) => {
            let why = format!(
                "a text without the tokenizer's own mark {mark}, which would end or begin it there"
            );
            Err(refuse(at, text, why))
        }
    }
}

/// ASCII punctuation and symbols, and the blocks of Unicode that hold nothing else.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(c, '\u{a1}'..='\u{a9}' | '\u{ab}'..='\u{b1}' | '\u{b4}' | '\u{b6}'..='\u{b8}' | '\u{bb}' | '\u{bf}')
        || matches!(c, '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{3003}' | '\u{3008}'..='\u{3020}' | '\u{ff01}'..='\u{ff0f}')
}

/// Refuses words that are unknown: each with a text it is in, and the known words spelled most like it.
pub(super) fn refuse_unknown(unknown: &[Unknown], known: Option<&[String]>) -> Error {
    let named = unknown.iter().take(NAMED);
    let mut words: Vec<String> = named
        .map(|u| format!("\"{}\" in {}", u.word, quoted(u.text)))
        .collect();
    if unknown.len() > NAMED {
        words.push(format!("and {} more", unknown.len() - NAMED));
    }
    let expected = match known {
        None => "what its tokenizer knows: all that it does not know would be embedded as one and the same".to_owned(),
        Some(known) => {
            let near: Vec<String> = unknown
                .iter()
                .take(NAMED)
                .filter_map(|u| nearest(u.word, known))
                .collect();
            let near = match near.is_empty() {
                true => String::new(),
                false => format!(" (spelled most like {})", near.join("; ")),
            };
            format!(
                "words out of the {} that this model learned{near}: all others would be embedded as one and the same. \
                 Its .vocabulary()? lists them; a published CLIP, such as load_clip(\"ViT-L-14\")?, takes any word",
                known.len()
            )
        }
    };
    Error::argument("texts", words.join(", "), expected)
}

/// `"lkae": "lake", "large"`, if any known word is like it.
fn nearest(word: &str, known: &[String]) -> Option<String> {
    let lower = word.to_lowercase();
    let mut like: Vec<(f64, &String)> = known
        .iter()
        .map(|k| (strsim::normalized_damerau_levenshtein(&lower, k), k))
        .filter(|(like, _)| *like >= LIKE)
        .collect();
    like.sort_by(|a, b| b.0.total_cmp(&a.0));
    let names: Vec<String> = like
        .iter()
        .take(NEAR)
        .map(|(_, k)| format!("\"{k}\""))
        .collect();
    (!names.is_empty()).then(|| format!("\"{word}\": {}", names.join(", ")))
}

/// The text in quotes, shortened if it is long, with line ends and tabs as they are written.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => {
            let start = format!("{:?}", &text[..end]);
            format!("{}…\"", start.trim_end_matches('"'))
        }
    }
}
