//! Whatever a person gets wrong is named, with what to do about it, and the session goes on.

mod common;

use candle_core::{Device, Tensor};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use vitrepl_prelude::models::weights::Parameters;
use vitrepl_prelude::models::{Clip, Vit, VitConfig};
use vitrepl_prelude::prelude::*;

fn config() -> VitConfig {
    VitConfig {
        img_size: 16,
        patch_size: 4,
        embed_dim: 64,
        depth: 2,
        num_heads: 1,
        init_values: Some(0.1),
        ..VitConfig::default()
    }
}

/// The tensors of a random ViT under timm's names.
fn vit_tensors() -> HashMap<String, Tensor> {
    let parameters = Parameters::new(3, &Device::Cpu);
    Vit::new(&config(), parameters.builder()).unwrap();
    let variables = parameters.variables();
    variables
        .into_iter()
        .map(|(name, var)| (name, var.as_detached_tensor()))
        .collect()
}

fn write(folder: &Path, name: &str, tensors: &HashMap<String, Tensor>) -> PathBuf {
    let path = folder.join(name);
    candle_core::safetensors::save(tensors, &path).unwrap();
    path
}

/// The message of an error, which must contain each of `parts`; and the session must still work.
fn refused<T>(result: Result<T>, parts: &[&str]) {
    let shown = result.as_ref().err().map(|error| format!("{error:?}"));
    let text = common::refused(result, parts);
    assert_eq!(Some(text), shown, "a prompt shows the same");
    let set = GeneratedSet::new(GeneratedSpec::unbiased(1, 3)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "good.safetensors", &vit_tensors());
    let model = load(path.to_str().unwrap()).unwrap();
    let contributions = decompose(&model, &set, &DecomposeOptions::default()).unwrap();
    assert!(contributions.sum_error().unwrap() < 1e-5);
}

fn load_path(path: &Path) -> Result<Arc<Model>> {
    load(path.to_str().unwrap())
}

#[test]
fn an_unknown_model_is_answered_with_the_known_ones() {
    refused(
        load("no_such_model"),
        &[
            "unknown model \"no_such_model\"",
            "tiny_vit",
            "tiny_clip",
            ".safetensors",
        ],
    );
}

#[test]
fn a_missing_file_is_named() {
    refused(
        load("/nowhere/vit.safetensors"),
        &["reading /nowhere/vit.safetensors", "check the path"],
    );
}

#[test]
fn a_folder_without_weights_is_named() {
    let folder = tempfile::tempdir().unwrap();
    refused(
        load_path(folder.path()),
        &["no weights file", folder.path().to_str().unwrap()],
    );
}

#[test]
fn corrupt_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(write(folder.path(), "whole.safetensors", &vit_tensors())).unwrap();
    for (name, bytes) in [
        ("cut.safetensors", &whole[..whole.len() / 2]),
        ("header.safetensors", &whole[..20]),
        ("empty.safetensors", &[][..]),
        ("text.safetensors", &b"this is no weights file at all"[..]),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        refused(
            load_path(&path),
            &[name, "not a whole safetensors file", "fetch it again"],
        );
    }
}

#[test]
fn keys_of_no_known_family_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let tensors = HashMap::from([("layer1.conv.weight".to_string(), tensor(&[2, 3]))]);
    let path = write(folder.path(), "resnet.safetensors", &tensors);
    refused(
        load_path(&path),
        &[
            "resnet.safetensors",
            "no known family (clip",
            "\"layer1.conv.weight\"",
        ],
    );
}

#[test]
fn every_missing_misshaped_and_unexpected_key_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = vit_tensors();
    let norm = tensors.remove("norm.weight").unwrap();
    tensors.insert("norm.wieght".into(), norm);
    tensors.insert("blocks.1.mlp.fc2.bias".into(), tensor(&[63]));
    let path = write(folder.path(), "typo.safetensors", &tensors);
    refused(
        load_path(&path),
        &[
            "typo.safetensors",
            "missing: norm.weight [64]",
            "not part of the model: norm.wieght",
            "shape of blocks.1.mlp.fc2.bias: [63], the model has [64]",
        ],
    );
}

#[test]
fn a_configuration_that_contradicts_the_weights_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "vit.safetensors", &vit_tensors());
    let path = path.to_str().unwrap();
    refused(
        load_with(path, json!({"num_heads": 7})),
        &["num_heads = 7", "divide"],
    );
    refused(
        load_with(path, json!({"patch_size": 8})),
        &["patch_size = 8", "the weights have 4"],
    );
    refused(
        load_with(path, json!({"number_of_heads": 2})),
        &["number_of_heads", "num_heads"],
    );
    assert!(load_with(path, json!({"num_heads": 4})).is_ok());
}

#[test]
fn a_clip_in_open_clip_names_loads_and_a_vit_is_no_clip() {
    let folder = tempfile::tempdir().unwrap();
    let config = serde_json::from_value(json!({
        "embed_dim": 20,
        "vision_cfg": {"layers": 2, "width": 64, "head_width": 64, "patch_size": 8, "image_size": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 30, "width": 64, "heads": 1, "layers": 1},
    }))
    .unwrap();
    let parameters = Parameters::new(3, &Device::Cpu);
    Clip::new(&config, parameters.builder()).unwrap();
    let variables = parameters.variables();
    let tensors = variables
        .iter()
        .map(|(name, var)| {
            let (key, reshape) = vitrepl_prelude::models::weights::keys::to_open_clip(name);
            (key, reshape.undo(var).unwrap())
        })
        .collect::<HashMap<_, _>>();
    assert_eq!(tensors["visual.proj"].dims(), [64, 20]);
    assert_eq!(tensors["visual.class_embedding"].dims(), [64]);
    let path = write(folder.path(), "clip.safetensors", &tensors);
    let clip = load_clip(path.to_str().unwrap()).unwrap();
    assert_eq!(clip.clip().unwrap().config(), &config);
    refused(
        embed_texts(&clip, &["a photo"]),
        &["no tokenizer", "with_tokenizer"],
    );
    let vit = write(folder.path(), "vit.safetensors", &vit_tensors());
    refused(
        load_clip(vit.to_str().unwrap()),
        &["no text tower", "tiny_clip"],
    );
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    refused(set_device("tpu"), &["device \"tpu\"", "\"cpu\", \"cuda\""]);
    refused(
        set_device("cuda:first"),
        &["device \"cuda:first\"", "cuda:0"],
    );
    if !candle_core::utils::cuda_is_available() {
        refused(set_device("cuda"), &["device \"cuda\"", "--features cuda"]);
    }
    refused(set_tf32(true), &["TF32", "--features cuda"]);
    set_tf32(false).unwrap();
    assert!(set_device("cpu").unwrap().is_cpu());
}

#[test]
fn sets_and_options_out_of_range_are_refused() {
    refused(
        GeneratedSet::new(GeneratedSpec::unbiased(1, 0)),
        &["len = 0"],
    );
    refused(
        GeneratedSet::new(GeneratedSpec::correlated(1, 9, 1.5)),
        &["agreement = 1.5", "between 0 and 1"],
    );
    let folder = tempfile::tempdir().unwrap();
    let empty = FolderSet::open(folder.path(), OnUnreadable::Fail);
    refused(empty, &[folder.path().to_str().unwrap()]);
    let path = write(folder.path(), "vit.safetensors", &vit_tensors());
    let model = load_path(&path).unwrap();
    let set = GeneratedSet::new(GeneratedSpec::unbiased(1, 3)).unwrap();
    let options = DecomposeOptions {
        first_block: Some(Block::at(99)),
        ..DecomposeOptions::default()
    };
    refused(
        decompose(&model, &set, &options),
        &["first_block = block 99", "block 0 to block 1"],
    );
    let options = DecomposeOptions {
        target: DecomposeTarget::Logit(0),
        ..DecomposeOptions::default()
    };
    refused(
        decompose(&model, &set, &options),
        &["logit 0", "no linear head"],
    );
    let contributions = decompose(&model, &set, &DecomposeOptions::default()).unwrap();
    let names = contributions.names();
    let scores = vec![0.5; names.len()];
    refused(score::top(&names, &scores, 1_000_000), &["k = 1000000"]);
}

#[test]
fn pixels_that_are_no_pixels_are_refused() {
    let vit = Vit::random(&config(), 3).unwrap();
    let decomposer = Decomposer::new(&vit, DecomposeOptions::default()).unwrap();
    let pixels = tensor(&[2, 3, 16, 16]);
    assert!(decomposer.run(&pixels).is_ok());
    for dtype in [candle_core::DType::U8, candle_core::DType::F64] {
        let other = pixels.to_dtype(dtype).unwrap();
        refused(decomposer.run(&other), &["pixels", "F32", "normalised"]);
    }
    let nan = (&pixels / 0.0).unwrap();
    refused(decomposer.run(&nan), &["pixels", "NaN or infinity"]);
    refused(
        decomposer.run(&pixels.narrow(0, 0, 0).unwrap()),
        &["[batch, 3, 16, 16]"],
    );
    let bytes = Tensor::zeros((1, 3, 48, 48), candle_core::DType::U8, &Device::Cpu).unwrap();
    refused(
        load("tiny_vit").unwrap().encoder().encode(&bytes),
        &["U8", "f32", "/ 255."],
    );
    let grey = tensor(&[1, 1, 48, 48]);
    refused(
        load("tiny_vit").unwrap().encoder().encode(&grey),
        &["[1, 1, 48, 48]", "[batch, 3, height, width]"],
    );
}

fn tensor(dims: &[usize]) -> Tensor {
    Tensor::zeros(dims, candle_core::DType::F32, &Device::Cpu).unwrap()
}
