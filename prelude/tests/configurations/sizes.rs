//! Absurd sizes are refused before anything of that size is allocated: these tests would end the process otherwise.

use crate::support::*;
use vitrepl_prelude::models::{
    Clip, ClipConfig, MaxVit, MaxVitConfig, Swin, SwinConfig, Vit, VitConfig,
};

const LARGE: u64 = 1_000_000_000_000;

#[test]
fn absurd_sizes_in_configurations_are_refused() {
    for (format, file, change) in [
        (
            "timm_vit",
            "config.json",
            json!({"model_args": {"img_size": LARGE}}),
        ),
        (
            "timm_vit",
            "config.json",
            json!({"model_args": {"depth": LARGE}}),
        ),
        (
            "timm_vit",
            "config.json",
            json!({"model_args": {"embed_dim": LARGE}}),
        ),
        (
            "timm_vit",
            "config.json",
            json!({"model_args": {"num_heads": LARGE}}),
        ),
        (
            "timm_vit",
            "config.json",
            json!({"model_args": {"mlp_ratio": 1e300}}),
        ),
        (
            "timm_vit",
            "config.json",
            json!({"model_args": {"reg_tokens": LARGE}}),
        ),
        (
            "timm_swin",
            "config.json",
            json!({"model_args": {"img_size": LARGE}}),
        ),
        (
            "timm_swin",
            "config.json",
            json!({"model_args": {"window_size": LARGE}}),
        ),
        (
            "open_clip",
            "open_clip_config.json",
            json!({"model_cfg": {"text_cfg": {"context_length": LARGE}}}),
        ),
        (
            "open_clip",
            "open_clip_config.json",
            json!({"model_cfg": {"text_cfg": {"vocab_size": LARGE}}}),
        ),
        (
            "transformers_clip",
            "config.json",
            json!({"text_config": {"max_position_embeddings": LARGE}}),
        ),
        (
            "transformers_swin",
            "config.json",
            json!({"image_size": LARGE}),
        ),
    ] {
        let text = refused(Folder::of(format).with(file, &change).load(), &[]);
        assert!(
            text.contains("1000000000000") || text.contains("1e300") || text.contains("1e+300"),
            "{text}"
        );
    }
}

#[test]
fn absurd_sizes_in_arguments_are_refused() {
    for name in [
        "tiny_vit",
        "tiny_dinov2",
        "tiny_swin",
        "tiny_maxvit",
        "tiny_clip",
    ] {
        let text = refused(load_with(name, json!({"img_size": LARGE})), &["img_size"]);
        assert!(text.contains("4096"), "{text}");
    }
    refused(
        load_with("tiny_vit", json!({"img_size": 4096})),
        &["img_size = 4096", "262144 patches"],
    );
    refused(
        load_with("tiny_vit", json!({"depth": LARGE})),
        &["depth", "have 6"],
    );
    refused(
        load_with("tiny_vit", json!({"num_heads": LARGE})),
        &["num_heads", "divide"],
    );
    refused(
        load_with("tiny_vit", json!({"norm_eps": -1})),
        &["norm_eps = -1"],
    );
    refused(load_with("tiny_vit", json!({"img_size": -16})), &["-16"]);
    refused(
        load_with("tiny_vit", json!({"img_size": 1e12})),
        &["1000000000000"],
    );
    refused(
        load_with("tiny_maxvit", json!({"transformer_partition_ratio": 0})),
        &["transformer_partition_ratio"],
    );
    refused(
        load_with("tiny_clip", json!({"text_cfg": {"context_length": LARGE}})),
        &["context_length"],
    );
}

#[test]
fn absurd_shapes_of_new_models_are_refused() {
    let large = LARGE as usize;
    let vit = |change: fn(&mut VitConfig, usize)| {
        let mut config = VitConfig::default();
        change(&mut config, large);
        Vit::random(&config, 0)
    };
    refused(vit(|c, n| c.img_size = n), &["img_size"]);
    refused(vit(|c, n| c.embed_dim = n), &["embed_dim"]);
    refused(vit(|c, n| c.depth = n), &["depth"]);
    refused(vit(|c, n| c.reg_tokens = n), &["reg_tokens"]);
    refused(vit(|c, n| c.num_classes = n), &["num_classes"]);
    refused(vit(|c, n| c.mlp_ratio = n as f64), &["mlp_ratio"]);
    refused(vit(|c, _| c.mlp_ratio = f64::NAN), &["mlp_ratio"]);
    refused(
        vit(|c, _| (c.img_size, c.patch_size) = (4096, 1)),
        &["img_size = 4096", "patches"],
    );
    // Each is within bounds, together they are not.
    refused(
        vit(|c, _| (c.embed_dim, c.num_heads, c.depth) = (32768, 512, 100)),
        &["depth", "numbers"],
    );
    let swin = |change: fn(&mut SwinConfig, usize)| {
        let mut config = SwinConfig::default();
        change(&mut config, large);
        Swin::random(&config, 0)
    };
    refused(swin(|c, n| c.img_size = n), &["img_size"]);
    refused(swin(|c, n| c.embed_dim = n), &["embed_dim"]);
    refused(swin(|c, n| c.window_size = n), &["window_size"]);
    refused(swin(|c, n| c.patch_size = n), &["patch_size"]);
    refused(
        swin(|c, _| (c.img_size, c.window_size) = (4096, 64)),
        &["img_size = 4096", "windows of 64", "pairs"],
    );
    refused(swin(|c, n| c.depths[0] = n), &["depths"]);
    let maxvit = |change: fn(&mut MaxVitConfig, usize)| {
        let mut config = MaxVitConfig::default();
        change(&mut config, large);
        MaxVit::random(&config, 0)
    };
    refused(maxvit(|c, n| c.img_size = n), &["img_size"]);
    refused(maxvit(|c, n| c.stem_width = n), &["stem_width"]);
    refused(maxvit(|c, n| c.embed_dim[0] = n), &["embed_dim"]);
    refused(maxvit(|c, n| c.depths[0] = n), &["depths"]);
    let clip = |change: Value| {
        let small = json!({
            "embed_dim": 16, "vision_cfg": {"layers": 1, "width": 64, "image_size": 32}, "text_cfg": {"layers": 1},
        });
        let config: ClipConfig = serde_json::from_value(merged(small, &change)).unwrap();
        Clip::random(&config, 0)
    };
    refused(clip(json!({"embed_dim": LARGE})), &["embed_dim"]);
    refused(
        clip(json!({"text_cfg": {"context_length": LARGE}})),
        &["text_cfg.context_length"],
    );
    refused(
        clip(json!({"text_cfg": {"vocab_size": LARGE}})),
        &["text_cfg.vocab_size"],
    );
    refused(
        clip(json!({"text_cfg": {"layers": LARGE}})),
        &["text_cfg.layers"],
    );
    refused(
        clip(json!({"vision_cfg": {"image_size": LARGE}})),
        &["img_size"],
    );
}
