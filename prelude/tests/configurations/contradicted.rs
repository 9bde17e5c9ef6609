//! A configuration or an argument that contradicts the weights is told by field and both values.

use crate::support::*;

#[test]
fn a_configuration_of_another_model_is_told_by_both_values() {
    let args = |args: Value| json!({ "model_args": args });
    all_refused(
        "timm_vit",
        "config.json",
        &[
            (
                args(json!({"embed_dim": 48})),
                &["model_args.embed_dim = 48", "24", "another model"],
            ),
            (
                args(json!({"depth": 3})),
                &["model_args.depth = 3", "have 2", "another model"],
            ),
            (
                args(json!({"patch_size": 8})),
                &["model_args.patch_size = 8", "have 4"],
            ),
            (
                args(json!({"mlp_ratio": 4})),
                &["model_args.mlp_ratio = 4", "2.0"],
            ),
            (
                args(json!({"num_heads": 5})),
                &["model_args.num_heads = 5", "24 channels"],
            ),
            (args(json!({"num_heads": 0})), &["model_args.num_heads = 0"]),
            (
                json!({"global_pool": "avg", "model_args": {"class_token": false, "global_pool": "avg"}}),
                &["model_args.class_token = false", "true", "another model"],
            ),
            (
                args(json!({"reg_tokens": 2})),
                &["model_args.reg_tokens = 2", "have 0"],
            ),
            (
                args(json!({"qkv_bias": false})),
                &["model_args.qkv_bias = false", "true"],
            ),
            (
                args(json!({"pre_norm": true})),
                &["model_args.pre_norm = true"],
            ),
            (
                args(json!({"init_values": 0.1})),
                &["model_args.init_values = 0.1", "null"],
            ),
            (
                args(json!({"no_embed_class": true})),
                &["model_args.no_embed_class = true"],
            ),
            (
                args(json!({"final_norm": false})),
                &["model_args.final_norm = false"],
            ),
            (
                args(json!({"fc_norm": true})),
                &["model_args.fc_norm = true"],
            ),
            (
                args(json!({"img_size": 32})),
                &["model_args.img_size = 32", "have 16", "load_with"],
            ),
            (
                json!({"num_features": 25}),
                &["num_features = 25", "have 24"],
            ),
        ],
    );
    all_refused(
        "timm_swin",
        "config.json",
        &[
            (
                args(json!({"depths": [2, 3]})),
                &["model_args.depths = [2,3]", "[2,2]"],
            ),
            (
                args(json!({"num_heads": [4, 4]})),
                &["model_args.num_heads = [4,4]", "[2,4]"],
            ),
            (
                args(json!({"window_size": 2})),
                &["model_args.window_size = 2", "have 4"],
            ),
        ],
    );
    all_refused(
        "open_clip",
        "open_clip_config.json",
        &[
            (
                json!({"model_cfg": {"embed_dim": 17}}),
                &["model_cfg.embed_dim = 17", "have 16"],
            ),
            (
                json!({"model_cfg": {"vision_cfg": {"layers": 3}}}),
                &["vision_cfg.layers = 3", "have 2"],
            ),
            (
                json!({"model_cfg": {"vision_cfg": {"head_width": 7}}}),
                &["vision_cfg.head_width = 7", "24 channels"],
            ),
            (
                json!({"model_cfg": {"vision_cfg": {"no_ln_pre": true}}}),
                &["vision_cfg.no_ln_pre = true"],
            ),
            (
                json!({"model_cfg": {"vision_cfg": {"image_size": 32}}}),
                &["image_size = 32", "have 16", "load_with"],
            ),
            (
                json!({"model_cfg": {"text_cfg": {"vocab_size": 31}}}),
                &["text_cfg.vocab_size = 31", "have 30"],
            ),
            (
                json!({"model_cfg": {"text_cfg": {"context_length": 77}}}),
                &["context_length = 77", "have 8"],
            ),
            (
                json!({"model_cfg": {"text_cfg": {"heads": 3}}}),
                &["text_cfg.heads = 3", "20 channels"],
            ),
            (
                json!({"model_cfg": {"text_cfg": {"mlp_ratio": 2.0}}}),
                &["text_cfg.mlp_ratio = 2.0", "4.0"],
            ),
        ],
    );
    all_refused(
        "transformers_clip",
        "config.json",
        &[
            (
                json!({"projection_dim": 17}),
                &["projection_dim = 17", "have 16"],
            ),
            (
                json!({"vision_config": {"hidden_size": 48}}),
                &["vision_config.hidden_size = 48", "have 24"],
            ),
            (
                json!({"vision_config": {"num_attention_heads": 5}}),
                &["vision_config.num_attention_heads = 5"],
            ),
            (
                json!({"text_config": {"intermediate_size": 40}}),
                &["text_config.intermediate_size = 40", "80"],
            ),
            (
                json!({"text_config": {"num_attention_heads": 3}}),
                &["text_config.num_attention_heads = 3"],
            ),
            (
                json!({"text_config": {"max_position_embeddings": 77}}),
                &["max_position_embeddings = 77", "have 8"],
            ),
        ],
    );
    // What is left out is transformers' default, and of another model too.
    let less = Folder::of("transformers_vit").less("config.json", "num_hidden_layers");
    refused(
        less.load(),
        &["num_hidden_layers left out, which is 12", "have 2"],
    );
    // A size of one's own is the remedy for a size.
    let folder = Folder::of("timm_vit").with("config.json", &args(json!({"img_size": 32})));
    let model = folder.load_with(json!({"img_size": 32})).unwrap();
    assert_eq!(model.encoder().image_size(), 32);
}

#[test]
fn an_argument_that_contradicts_the_weights_is_refused() {
    for (format, given, parts) in [
        (
            "timm_vit",
            json!({"depth": 3}),
            &["depth = 3", "have 2", "leave it out"][..],
        ),
        (
            "timm_vit",
            json!({"embed_dim": 48}),
            &["embed_dim = 48", "have 24"],
        ),
        (
            "timm_vit",
            json!({"num_heads": 5}),
            &["num_heads = 5", "divide"],
        ),
        ("timm_vit", json!({"act_layer": "mish"}), &["mish", "gelu"]),
        ("timm_vit", json!({"global_pool": "max"}), &["max", "avg"]),
        (
            "timm_swin",
            json!({"num_heads": [4, 4]}),
            &["num_heads = [4,4]", "[2,4]"],
        ),
        (
            "open_clip",
            json!({"vision_cfg": {"layers": 3}}),
            &["vision_cfg.layers = 3", "have 2"],
        ),
        (
            "open_clip",
            json!({"text_cfg": {"context_length": 77}}),
            &["context_length = 77", "have 8"],
        ),
        (
            "open_clip",
            json!({"embed_dim": 17}),
            &["embed_dim = 17", "have 16"],
        ),
        (
            "open_clip",
            json!({"text_cfg": {"eos_id": 30, "pool_type": "eos"}}),
            &["eos_id = 30"],
        ),
    ] {
        refused(Folder::of(format).load_with(given), parts);
    }
    refused(
        load_with("tiny_vit", json!({"depth": 3})),
        &["depth = 3", "have 6"],
    );
}
