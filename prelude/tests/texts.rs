//! A text that cannot be embedded for what it says is refused, and the message says what can.

mod common;

use common::refused;
use std::path::PathBuf;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::whitespace::Whitespace;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, TruncationParams};
use vitrepl_prelude::data::Tokenizer;
use vitrepl_prelude::prelude::*;

#[test]
fn unknown_words_fail_by_name_and_the_vocabulary_says_what_is_known() -> Result<()> {
    let clip = load_clip("tiny_clip")?;
    let text = refused(
        embed_texts(
            &clip,
            &["a photo of the sea", "a Lake", "the river and the lake"],
        ),
        &[
            "\"Lake\" in \"a Lake\"",
            "\"river\" in \"the river and the lake\"",
            ".vocabulary()? lists them",
            "load_clip(\"ViT-L-14\")",
        ],
    );
    assert!(!text.contains("\"the\" in"), "{text}");
    refused(
        class_embeddings(&clip, &["sea", "lake"]),
        &["texts = \"lake\" in \"lake\":"],
    );
    // Misspelled, the known word is named.
    refused(
        embed_texts(&clip, &["the forrest"]),
        &["\"forrest\": \"forest\""],
    );
    let words = clip.vocabulary()?;
    for (word, known) in [
        ("sea", true),
        ("forest", true),
        ("lake", false),
        ("[UNK]", false),
    ] {
        assert_eq!(words.contains(&word.to_string()), known, "{word}");
    }
    assert!(
        text.contains(&format!("out of the {} that", words.len())),
        "{text}"
    );
    // Each of them can be embedded, as the message says.
    let plain: Vec<&String> = words
        .iter()
        .filter(|w| w.chars().any(char::is_alphanumeric))
        .collect();
    assert_eq!(embed_texts(&clip, &plain)?.dims()[0], plain.len());
    refused(load("tiny_vit")?.vocabulary(), &["no text tower"]);
    Ok(())
}

#[test]
fn texts_that_say_nothing_are_refused_by_place() -> Result<()> {
    let clip = load_clip("tiny_clip")?;
    refused(
        embed_texts(&clip, &["sea", ""]),
        &["text = \"\" (text 2)", "not empty"],
    );
    refused(embed_texts(&clip, &[" \t"]), &["(text 1)", "not empty"]);
    refused(
        embed_texts(&clip, &["sea", "wood", "..."]),
        &["\"...\" (text 3)", "a word in it"],
    );
    refused(
        embed_texts(&clip, &["\u{2026} \u{2014} !"]),
        &["(text 1)", "a word in it"],
    );
    // In a template these would have words around them.
    refused(
        class_embeddings(&clip, &["sea", ""]),
        &["(text 2)", "not empty"],
    );
    refused(
        class_embeddings(&clip, &["?"]),
        &["(text 1)", "a word in it"],
    );
    let none: [&str; 0] = [];
    refused(clip.encode_text(&none), &["at least one text"]);
    let long = vec!["sea"; 400].join(" ");
    let text = refused(
        embed_texts(&clip, &["sea", &long]),
        &[
            "(text 2)",
            "tokens, start and end among them; it has 402",
            "shorten it",
        ],
    );
    assert!(text.len() < 300, "a message, not the text: {text}");
    Ok(())
}

/// A tokenizer in a file of its own.
fn saved(tokenizer: &tokenizers::Tokenizer) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    tokenizer.save(&path, false).unwrap();
    (folder, path)
}

const END: &str = "<|endoftext|>";

/// As CLIP's: bytes and what is merged of them, the end also as the token for unknown things, of which there are none.
fn byte_level() -> tokenizers::Tokenizer {
    let mut letters: Vec<String> = ByteLevel::alphabet()
        .into_iter()
        .map(String::from)
        .collect();
    letters.sort();
    letters.extend(["<|startoftext|>".to_owned(), END.to_owned()]);
    let vocab = letters.into_iter().zip(0..).collect::<Vocab>();
    let bpe = BPE::builder()
        .vocab_and_merges(vocab, vec![])
        .unk_token(END.into())
        .build()
        .unwrap();
    let mut tokenizer = tokenizers::Tokenizer::new(bpe);
    let ends = TemplateProcessing::builder()
        .try_single(format!("<|startoftext|> $A {END}"))
        .unwrap()
        .special_tokens(vec![("<|startoftext|>", 256), (END, 257)])
        .build()
        .unwrap();
    tokenizer
        .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
        .with_post_processor(Some(ends));
    let mark = AddedToken::from(END, true);
    tokenizer.add_special_tokens([mark]).unwrap();
    tokenizer
}

#[test]
fn a_byte_level_tokenizer_knows_every_word_but_not_its_own_marks() -> Result<()> {
    let (_folder, path) = saved(&byte_level());
    let tokenizer = Tokenizer::from_file(&path, 77)?;
    let texts = ["lake", "r\u{ed}o \u{6e96} \u{1f40b}"];
    assert!(tokenizer.encode(&texts)?.unknown.is_empty());
    assert_eq!(tokenizer.encode_known(&texts)?.dims(), [2, 77]);
    assert_eq!(tokenizer.words(), None);
    refused(
        tokenizer.encode_known(&["lake", "a <|endoftext|> lake"]),
        &["(text 2)", "own mark <|endoftext|>"],
    );
    // A picture in characters is no word, but CLIP learned from such.
    assert!(tokenizer.encode_known(&["\u{1f40b}"]).is_ok());
    let clip = Model::open("tiny_clip", &json!({}), &Device::Cpu)?.with_tokenizer(&path)?;
    refused(clip.vocabulary(), &["tiny_clip", "takes any text"]);
    Ok(())
}

#[test]
fn a_tokenizer_that_would_cut_texts_refuses_long_ones() -> Result<()> {
    let mut tokenizer = byte_level();
    let cut = TruncationParams {
        max_length: 12,
        ..Default::default()
    };
    tokenizer.with_truncation(Some(cut)).unwrap();
    let (_folder, path) = saved(&tokenizer);
    let tokenizer = Tokenizer::from_file(path, 12)?;
    refused(
        tokenizer.encode(&["a text of more than twelve letters"]),
        &["at most 12 tokens", "it has 36"],
    );
    Ok(())
}

#[test]
fn unknown_words_are_found_by_whatever_name_the_tokenizer_has_for_them() -> Result<()> {
    let vocab = ["<unk>", "sea", "wood"]
        .map(String::from)
        .into_iter()
        .zip(0..);
    let words = WordLevel::builder()
        .vocab(vocab.collect())
        .unk_token("<unk>".into())
        .build()
        .unwrap();
    let mut tokenizer = tokenizers::Tokenizer::new(words);
    tokenizer.with_pre_tokenizer(Some(Whitespace {}));
    let (_folder, path) = saved(&tokenizer);
    let tokenizer = Tokenizer::from_file(path, 8)?;
    assert_eq!(tokenizer.words().unwrap(), ["sea", "wood"]);
    assert_eq!(
        tokenizer.encode(&["sea lake", "lake wood"])?.unknown,
        ["lake"]
    );
    refused(
        tokenizer.encode_known(&["sea", "sea lake"]),
        &["\"lake\" in \"sea lake\""],
    );
    Ok(())
}
