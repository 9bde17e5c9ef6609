//! Texts as token ids, by the word-level tokenizer of the embedded CLIP or any `tokenizer.json`.
//!
//! The embedded one's vocabulary is every word of the captions and of the 80 templates; as in open_clip the text's
//! end is the largest id of its row, and rows are padded with 0.
//!
//! A word-level tokenizer has one id for all words it does not know, so that two texts about two of them would be the
//! same text: [`Tokenizer::encode`] lists such words, [`Tokenizer::encode_known`] refuses them. The byte-level
//! tokenizers of published CLIPs split any word into pieces they know.

use super::generated::vocabulary;
use super::words::{self, Unknown};
use crate::facts::{self, Facts};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use std::path::Path;
use tokenizers::models::ModelWrapper;
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
    hash: String,
}

facts::shows!(Tokenizer, |it| Facts::new(format!(
    "tokenizer, {} of {} ids a text",
    facts::count(it.vocabulary_size(), "token"),
    it.context
)));

/// Token ids, and the words that the vocabulary does not have.
pub struct Tokens {
    /// `B x context`, u32, each row `start, words..., end, 0...`.
    pub ids: Tensor,
    /// Each unknown word once, in order of appearance.
    pub unknown: Vec<String>,
    /// For each unknown word the first text it is in.
    unknown_in: Vec<usize>,
}

facts::shows!(Tokens, |it| Facts::new("tokenized texts")
    .row("ids", facts::tensor(&it.ids))
    .row("unknown words", facts::list(&it.unknown, 110)));

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
        let refuse = |error| Error::weights(path, format!("not a tokenizer.json: {error}"));
        let mut inner = tokenizers::Tokenizer::from_bytes(json).map_err(refuse)?;
        // A file may say how to cut and fill up rows. Here a text that is too long is refused, and rows end in zeros.
        inner.with_truncation(None).map_err(refuse)?;
        inner.with_padding(None);
        let hash = blake3::hash(json).to_hex().to_string();
        Ok(Self {
            inner,
            context,
            hash,
        })
    }

    /// Length of a row.
    pub fn context(&self) -> usize {
        self.context
    }

    /// blake3 of its `tokenizer.json` and the length of its rows: the same texts become the same ids.
    pub fn hash(&self) -> String {
        format!("{}-{}", self.hash, self.context)
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

    /// The words it knows, in alphabetical order: those of a word-level tokenizer, without its marks for start, end,
    /// padding and unknown words. None for one that splits words into pieces.
    pub fn words(&self) -> Option<Vec<String>> {
        let ModelWrapper::WordLevel(model) = self.inner.get_model() else {
            return None;
        };
        let marks = [PAD, START, END, model.unk_token.as_str()];
        let vocabulary = self.inner.get_vocab(false).into_keys();
        let mut words: Vec<String> = vocabulary
            .filter(|word| !marks.contains(&word.as_str()))
            .collect();
        words.sort();
        Some(words)
    }

    /// The ids of `texts`, one row each, and the words it does not know.
    ///
    /// # Errors
    /// No texts; a text that is empty, has no word, is too long for the context, or holds one of the tokenizer's own
    /// marks.
    pub fn encode(&self, texts: &[impl AsRef<str>]) -> Result<Tokens> {
        if texts.is_empty() {
            return Err(Error::argument("texts", "[]", "at least one text"));
        }
        let (unknown_id, marks) = (self.unknown_id(), self.marks());
        let mut ids = Vec::with_capacity(texts.len() * self.context);
        let (mut unknown, mut unknown_in) = (Vec::<String>::new(), Vec::new());
        for (at, text) in texts.iter().enumerate() {
            let text = text.as_ref();
            words::check_text(at, text, &marks)?;
            let encoding = self.inner.encode(text, true).map_err(|error| {
                let why = format!("a text that its tokenizer can split: {error}");
                words::refuse(at, text, why)
            })?;
            let row = encoding.get_ids();
            if row.len() > self.context {
                let (most, has) = (self.context, row.len());
                let why = format!(
                    "at most {most} tokens, start and end among them; it has {has}, so shorten it or split it into several"
                );
                return Err(words::refuse(at, text, why));
            }
            let mut found = false;
            for (i, &(from, to)) in encoding.get_offsets().iter().enumerate() {
                if encoding.get_special_tokens_mask()[i] == 1 {
                    continue;
                }
                found = true;
                let word = text.get(from..to).unwrap_or_default();
                if Some(row[i]) == unknown_id && !unknown.iter().any(|known| known == word) {
                    unknown.push(word.to_string());
                    unknown_in.push(at);
                }
            }
            if !found {
                let why = "a text that its tokenizer knows something of; it has no token for any part of this one";
                return Err(words::refuse(at, text, why));
            }
            ids.extend_from_slice(row);
            ids.resize(ids.len() + self.context - row.len(), 0);
        }
        let ids = Tensor::from_vec(ids, (texts.len(), self.context), &Device::Cpu)?;
        Ok(Tokens {
            ids,
            unknown,
            unknown_in,
        })
    }

    /// The ids of `texts`, one row each, all of whose words it knows.
    ///
    /// # Errors
    /// As [`Self::encode`]; an unknown word, named with the text it is in and the known words spelled most like it.
    pub fn encode_known(&self, texts: &[impl AsRef<str>]) -> Result<Tensor> {
        let tokens = self.encode(texts)?;
        if tokens.unknown.is_empty() {
            return Ok(tokens.ids);
        }
        let places = tokens.unknown.iter().zip(&tokens.unknown_in);
        let unknown: Vec<Unknown> = places
            .map(|(word, &at)| Unknown {
                word,
                text: texts[at].as_ref(),
            })
            .collect();
        Err(words::refuse_unknown(&unknown, self.words().as_deref()))
    }

    /// The id of what it does not know; none where it knows every text.
    fn unknown_id(&self) -> Option<u32> {
        let token = match self.inner.get_model() {
            ModelWrapper::WordLevel(model) => Some(model.unk_token.as_str()),
            ModelWrapper::WordPiece(model) => Some(model.unk_token.as_str()),
            ModelWrapper::BPE(model) => model.unk_token.as_deref(),
            ModelWrapper::Unigram(_) => Some("<unk>"),
        };
        self.inner.token_to_id(token?)
    }

    /// Its marks that it would take for what they are inside of a text, such as CLIP's `<|endoftext|>`: the text would
    /// be read to there only.
    fn marks(&self) -> Vec<String> {
        let added = self.inner.get_added_tokens_decoder().into_values();
        let mut marks: Vec<String> = added.filter(|t| t.special).map(|t| t.content).collect();
        marks.sort();
        marks
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
