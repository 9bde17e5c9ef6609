//! The word-level tokenizer of the embedded CLIP.
//!
//! Its vocabulary is every word of the captions and of the 80 templates; as in open_clip the text's
//! end is the largest id of its row, and rows are padded with 0.

use super::generated::vocabulary;
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use std::path::Path;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::normalizers::Lowercase;
use tokenizers::pre_tokenizers::whitespace::Whitespace;
use tokenizers::processors::template::TemplateProcessing;

const PAD: &str = "[PAD]";
const UNKNOWN: &str = "[UNK]";
const START: &str = "<start_of_text>";
const END: &str = "<end_of_text>";

/// The committed `tokenizer.json` of the embedded CLIP.
const EMBEDDED: &str = include_str!("tokenizer.json");

/// Turns text into rows of token ids, for the embedded CLIP or any `tokenizer.json`.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    context: usize,
}

/// Token ids, and the words that the vocabulary does not have.
pub struct Tokens {
    /// `B x context`, u32, each row `start, words..., end, 0...`.
    pub ids: Tensor,
    /// Each unknown word once, in order of appearance.
    pub unknown: Vec<String>,
}

impl Tokenizer {
    /// The tokenizer of the embedded CLIP, with rows of `context` ids.
    pub fn embedded(context: usize) -> Result<Self> {
        Self::from_json(
            EMBEDDED.as_bytes(),
            context,
            Path::new("embedded tokenizer.json"),
        )
    }

    /// A `tokenizer.json` file, with rows of `context` ids.
    pub fn from_file(path: impl AsRef<Path>, context: usize) -> Result<Self> {
        let path = path.as_ref();
        let json = std::fs::read(path)
            .map_err(|source| Error::io("reading the tokenizer", path, source))?;
        Self::from_json(&json, context, path)
    }

    fn from_json(json: &[u8], context: usize, path: &Path) -> Result<Self> {
        if context < 3 {
            return Err(Error::argument(
                "context",
                context,
                "room for the start, a word and the end",
            ));
        }
        let inner = tokenizers::Tokenizer::from_bytes(json)
            .map_err(|error| Error::weights(path, format!("not a tokenizer.json: {error}")))?;
        Ok(Self { inner, context })
    }

    /// Length of a row.
    pub fn context(&self) -> usize {
        self.context
    }

    /// The id of the token that ends every text; `None` where the tokenizer puts none there.
    ///
    /// # Errors
    /// When the tokenizer fails on an empty text.
    pub fn end(&self) -> Result<Option<u32>> {
        // Of an empty text nothing but start and end is left, and padding.
        let encoding = self
            .inner
            .encode("", true)
            .map_err(|error| Error::argument("text", "\"\"", format!("text ({error})")))?;
        let tokens = encoding.get_ids().iter().zip(encoding.get_attention_mask());
        let kept: Vec<_> = tokens
            .filter(|(_, kept)| **kept > 0)
            .map(|(id, _)| *id)
            .collect();
        Ok(match kept.as_slice() {
            [_, .., end] => Some(*end),
            _ => None,
        })
    }

    /// Number of different ids.
    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The ids of `texts`, one row each. Fails on no texts, and on a text too long for the context.
    pub fn encode(&self, texts: &[impl AsRef<str>]) -> Result<Tokens> {
        if texts.is_empty() {
            return Err(Error::argument("texts", "[]", "at least one text"));
        }
        let mut ids = Vec::with_capacity(texts.len() * self.context);
        let mut unknown = Vec::new();
        for text in texts {
            let text = text.as_ref();
            let encoding = self.inner.encode(text, true).map_err(|error| {
                Error::argument("text", format!("\"{text}\""), format!("text ({error})"))
            })?;
            let row = encoding.get_ids();
            if row.len() > self.context {
                return Err(Error::argument(
                    "text",
                    format!("\"{text}\""),
                    format!(
                        "at most {} tokens with start and end; it has {}",
                        self.context,
                        row.len()
                    ),
                ));
            }
            for (token, &(from, to)) in encoding.get_tokens().iter().zip(encoding.get_offsets()) {
                let word = &text[from..to];
                if token == UNKNOWN && !unknown.iter().any(|known| known == word) {
                    unknown.push(word.to_string());
                }
            }
            ids.extend_from_slice(row);
            ids.resize(ids.len() + self.context - row.len(), 0);
        }
        let ids = Tensor::from_vec(ids, (texts.len(), self.context), &Device::Cpu)?;
        Ok(Tokens { ids, unknown })
    }
}

/// The `tokenizer.json` of the embedded CLIP, made anew from the words of captions and templates.
pub fn build() -> std::result::Result<String, tokenizers::Error> {
    let words = vocabulary();
    let last = words.len() as u32 + 3;
    let tokens = [PAD, UNKNOWN]
        .map(str::to_string)
        .into_iter()
        .chain(words)
        .chain([START, END].map(str::to_string));
    let vocab = tokens.zip(0..).collect();
    let model = WordLevel::builder()
        .vocab(vocab)
        .unk_token(UNKNOWN.to_string())
        .build()?;
    let ends = TemplateProcessing::builder()
        .try_single(format!("{START} $A {END}"))?
        .special_tokens(vec![(START, last - 1), (END, last)])
        .build()?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(Lowercase))?
        .with_pre_tokenizer(Some(Whitespace {}))
        .with_post_processor(Some(ends));
    tokenizer.to_string(true)
}
