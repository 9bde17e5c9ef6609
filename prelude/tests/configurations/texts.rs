//! A text is read out at its end token, by the id of the tokenizer or the configuration.

use crate::support::*;
use candle_core::{Device, Tensor};
use vitrepl_prelude::data::Tokenizer;

/// A word-level tokenizer whose end token, 3, has a lower id than its words.
const TOKENIZER: &str = r#"{
  "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
  "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "decoder": null,
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
      {"SpecialToken": {"id": "</s>", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [2], "tokens": ["<s>"]},
      "</s>": {"id": "</s>", "ids": [3], "tokens": ["</s>"]}}},
  "model": {"type": "WordLevel", "unk_token": "<unk>",
    "vocab": {"<pad>": 0, "<unk>": 1, "<s>": 2, "</s>": 3, "sea": 20, "forest": 21, "green": 10}}
}"#;

/// An open_clip model with this tokenizer.
fn with_tokenizer() -> Folder {
    let folder = Folder::of("open_clip");
    std::fs::write(folder.path().join("tokenizer.json"), TOKENIZER).unwrap();
    folder
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn ids(rows: &[[u32; 8]; 2]) -> Tensor {
    Tensor::new(rows, &Device::Cpu).unwrap()
}

#[test]
fn texts_are_read_out_at_their_tokenizers_end() {
    let folder = with_tokenizer();
    let model = folder.load().unwrap();
    let clip = model.clip().unwrap();
    let rows = ids(&[[2, 10, 20, 3, 0, 0, 0, 0], [2, 10, 21, 3, 0, 0, 0, 0]]);
    let texts = model.encode_text(&["green sea", "green forest"]).unwrap();
    let at_end = clip.encode_text_ending(&rows, 3).unwrap();
    assert_eq!(values(&texts), values(&at_end));
    // Causal attention: at the highest id, the last word's, the end token is not seen.
    let highest = clip.encode_text(&rows).unwrap();
    assert!(apart(&texts, &highest) > 1e-3);
    // A configuration that says where a text is read out has the last word.
    let first = json!({"model_cfg": {"text_cfg": {"pool_type": "first"}}});
    let folder = with_tokenizer().with("open_clip_config.json", &first);
    let model = folder.load().unwrap();
    let texts = model.encode_text(&["green sea", "green forest"]).unwrap();
    assert_eq!(
        values(&texts.narrow(0, 0, 1).unwrap()),
        values(&texts.narrow(0, 1, 1).unwrap())
    );
}

#[test]
fn the_embedded_clips_end_is_its_highest_id_and_so_nothing_changes() {
    let model = load("tiny_clip").unwrap();
    let tokenizer = Tokenizer::embedded(24).unwrap();
    let texts = ["a red circle", "a photo of the sea"];
    let tokens = tokenizer.encode(&texts).unwrap();
    assert_eq!(
        tokenizer.end().unwrap(),
        Some(tokenizer.vocabulary_size() as u32 - 1)
    );
    let by_highest = model.clip().unwrap().encode_text(&tokens.ids).unwrap();
    assert_eq!(
        values(&model.encode_text(&texts).unwrap()),
        values(&by_highest)
    );
}

#[test]
fn a_text_without_the_end_token_is_named() {
    let eos = json!({"text_config": {"eos_token_id": 5}});
    let model = Folder::of("transformers_clip")
        .with("config.json", &eos)
        .load()
        .unwrap();
    let rows = ids(&[[28, 5, 6, 29, 0, 0, 0, 0], [28, 1, 2, 3, 4, 7, 8, 29]]);
    refused(
        model.clip().unwrap().encode_text(&rows),
        &["row 1", "end token", "id is 5"],
    );
}
