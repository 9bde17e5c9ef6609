//! An independent forward pass: candle-transformers' ViT, DINOv2 with registers and CLIP on the very weights.

use candle_core::{DType, Device, Tensor};
use candle_nn::{Module, VarBuilder};
use candle_transformers::models::clip::text_model::{self, ClipTextConfig};
use candle_transformers::models::clip::vision_model::ClipVisionConfig;
use candle_transformers::models::clip::{ClipConfig, ClipModel};
use candle_transformers::models::{dinov2reg4, vit};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use vitrepl_prelude::models::layers::Activation;
use vitrepl_prelude::models::weights::Parameters;
use vitrepl_prelude::models::{Features, ImageEncoder, Model, Vit, VitConfig};
use vitrepl_prelude::trace::Tape;

/// The classes of candle-transformers' DINOv2: its head cannot be left out.
const DINOV2_CLASSES: usize = 7806;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/formats")
        .join(name)
}

fn open(name: &str) -> (Model, VarBuilder<'static>, serde_json::Value) {
    let folder = folder(name);
    let given = serde_json::json!({});
    let model = Model::open(folder.to_str().unwrap(), &given, &Device::Cpu).unwrap();
    let tensors = candle_core::safetensors::load(folder.join("model.safetensors"), &Device::Cpu);
    let builder = VarBuilder::from_tensors(tensors.unwrap(), DType::F32, &Device::Cpu);
    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    (model, builder, serde_json::from_str(&config).unwrap())
}

/// B x 3 x size x size, no two rows alike.
fn pixels(batch: usize, size: usize) -> Tensor {
    let count = batch * 3 * size * size;
    let values: Vec<f32> = (0..count).map(|i| (i as f32 * 0.37).sin()).collect();
    Tensor::from_vec(values, (batch, 3, size, size), &Device::Cpu).unwrap()
}

/// What the model makes of normalised pixels.
fn features(model: &dyn ImageEncoder, pixels: &Tensor) -> Features {
    model.forward(pixels, &Tape::off()).unwrap()
}

#[track_caller]
fn agree(ours: &Tensor, theirs: &Tensor) {
    assert_eq!(ours.dims(), theirs.dims());
    let largest = |x: &Tensor| {
        let x = x.abs().unwrap().max_all().unwrap();
        x.to_scalar::<f32>().unwrap()
    };
    let apart = largest(&(ours - theirs).unwrap()) / largest(theirs);
    assert!(apart < 1e-5, "{apart:.1e} apart");
}

#[test]
fn a_vit_of_transformers_agrees() {
    let (model, builder, config) = open("transformers_vit");
    let width = config["hidden_size"].as_u64().unwrap() as usize;
    assert!(builder.get((2, width), "classifier.weight").is_ok());
    let config = serde_json::from_value(config).unwrap();
    let theirs = vit::Model::new(&config, 2, builder).unwrap();
    let pixels = pixels(3, config.image_size);
    let logits = features(model.encoder(), &pixels).logits.unwrap();
    agree(logits.value(), &theirs.forward(&pixels).unwrap());
}

#[test]
fn a_dinov2_with_registers_agrees() {
    let config = VitConfig {
        img_size: 518,
        patch_size: 14,
        embed_dim: 32,
        depth: 2,
        num_heads: 4,
        init_values: Some(0.3),
        reg_tokens: 4,
        no_embed_class: true,
        // candle-transformers has the approximation here, where DINOv2 was trained with the exact function.
        act_layer: Activation::GeluTanh,
        ..VitConfig::default()
    };
    let parameters = Parameters::new(5, &Device::Cpu);
    let ours = Vit::new(&config, parameters.builder()).unwrap();
    let mut tensors: HashMap<String, Tensor> = parameters
        .variables()
        .into_iter()
        .map(|(name, variable)| (name, variable.as_tensor().clone()))
        .collect();
    // A head that hands the representation on.
    let unit = Tensor::eye(32, DType::F32, &Device::Cpu).unwrap();
    let head = unit.pad_with_zeros(0, 0, DINOV2_CLASSES - 32).unwrap();
    tensors.insert("head.weight".to_owned(), head);
    let bias = Tensor::zeros(DINOV2_CLASSES, DType::F32, &Device::Cpu).unwrap();
    tensors.insert("head.bias".to_owned(), bias);
    let builder = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let theirs = dinov2reg4::DinoVisionTransformer::new(builder, 2, 32, 4).unwrap();
    // Their position embeddings are added without broadcasting: one image at a time.
    let pixels = pixels(1, 518);
    let logits = theirs.forward(&pixels).unwrap();
    agree(
        features(&ours, &pixels).representation.value(),
        &logits.narrow(1, 0, 32).unwrap(),
    );
}

#[test]
fn both_towers_of_a_clip_of_transformers_agree() {
    let (model, builder, config) = open("transformers_clip");
    let number = |tower: &str, field: &str| config[tower][field].as_u64().unwrap() as usize;
    let (text, vision) = ("text_config", "vision_config");
    let projection_dim = config["projection_dim"].as_u64().unwrap() as usize;
    let sizes = ClipConfig {
        text_config: ClipTextConfig {
            vocab_size: number(text, "vocab_size"),
            embed_dim: number(text, "hidden_size"),
            activation: text_model::Activation::QuickGelu,
            intermediate_size: number(text, "intermediate_size"),
            max_position_embeddings: number(text, "max_position_embeddings"),
            pad_with: None,
            num_hidden_layers: number(text, "num_hidden_layers"),
            num_attention_heads: number(text, "num_attention_heads"),
            projection_dim,
        },
        vision_config: ClipVisionConfig {
            embed_dim: number(vision, "hidden_size"),
            activation: text_model::Activation::QuickGelu,
            intermediate_size: number(vision, "intermediate_size"),
            num_hidden_layers: number(vision, "num_hidden_layers"),
            num_attention_heads: number(vision, "num_attention_heads"),
            projection_dim,
            num_channels: 3,
            image_size: number(vision, "image_size"),
            patch_size: number(vision, "patch_size"),
        },
        logit_scale_init_value: 2.6592,
        image_size: number(vision, "image_size"),
    };
    let theirs = ClipModel::new(builder, &sizes).unwrap();
    let pixels = pixels(3, sizes.image_size);
    agree(
        features(model.encoder(), &pixels).representation.value(),
        &theirs.get_image_features(&pixels).unwrap(),
    );
    // Start, words, end: both read a text out at its end token, which has the highest number.
    let ids = [[28u32, 3, 7, 29, 0, 0, 0, 0], [28, 11, 2, 5, 17, 29, 0, 0]];
    let ids = Tensor::new(&ids, &Device::Cpu).unwrap();
    agree(
        &model.clip().unwrap().encode_text(&ids).unwrap(),
        &theirs.get_text_features(&ids).unwrap(),
    );
}
