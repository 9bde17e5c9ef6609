//! A field that changes the forward pass or the pixels and is not built, is not known, or contradicts the weights is
//! refused by file, field and value; the remedy works.

use crate::support::*;
use candle_core::Device;
use std::collections::HashMap;
use vitrepl_prelude::models::weights::Parameters;
use vitrepl_prelude::models::{Vit, VitConfig};

#[test]
fn a_timm_argument_that_is_not_built_is_refused_by_name() {
    let args = |args: Value| json!({ "model_args": args });
    all_refused(
        "timm_vit",
        "config.json",
        &[
            (
                args(json!({"act_layer": "mish"})),
                &["model_args.act_layer = \"mish\"", "gelu_tanh"],
            ),
            (
                args(json!({"norm_layer": "rmsnorm"})),
                &["model_args.norm_layer = \"rmsnorm\"", "layernorm"],
            ),
            (
                args(json!({"global_pool": "max"})),
                &["model_args.global_pool = \"max\"", "maximum"],
            ),
            (
                args(json!({"global_pool": "map"})),
                &["model_args.global_pool = \"map\"", "attention"],
            ),
            (
                args(json!({"global_pool": ""})),
                &["model_args.global_pool = \"\"", "tokens"],
            ),
            (
                args(json!({"qk_norm": true})),
                &["model_args.qk_norm = true", "only false"],
            ),
            (
                args(json!({"scale_mlp_norm": true})),
                &["model_args.scale_mlp_norm = true"],
            ),
            (
                args(json!({"pos_embed": "none"})),
                &["model_args.pos_embed = \"none\"", "learn"],
            ),
            (
                args(json!({"embed_layer": "hybrid"})),
                &["model_args.embed_layer = \"hybrid\""],
            ),
            (
                args(json!({"block_fn": "ResPostBlock"})),
                &["model_args.block_fn"],
            ),
            (
                args(json!({"mlp_layer": "SwiGLU"})),
                &["model_args.mlp_layer"],
            ),
            (
                args(json!({"in_chans": 1})),
                &["model_args.in_chans = 1", "only 3"],
            ),
            (
                args(json!({"patch_size": [4, 2]})),
                &["model_args.patch_size = [4,2]", "square"],
            ),
            (
                args(json!({"img_size": [16, 32]})),
                &["model_args.img_size = [16,32]", "square"],
            ),
            (
                args(json!({"dynamic_img_pad": true})),
                &["model_args.dynamic_img_pad = true"],
            ),
            (
                args(json!({"rotary": 3})),
                &["model_args.rotary = 3", "no rule", "take it out"],
            ),
            (
                json!({"act_layer": "relu"}),
                &["act_layer = \"relu\"", "no rule"],
            ),
            (
                json!({"global_pool": "avg"}),
                &["global_pool = \"avg\" at the root", "\"token\""],
            ),
            (
                json!({"pretrained_cfg": {"input_size": [1, 16, 16]}}),
                &["input_size = [1,16,16]"],
            ),
            (
                json!({"pretrained_cfg": {"interpolation": "random"}}),
                &["preparation of images", "random"],
            ),
            (
                json!({"pretrained_cfg": {"mean": [0.5]}}),
                &["preparation of images"],
            ),
            (
                json!({"pretrained_cfg": {"squeeze": 2}}),
                &["pretrained_cfg.squeeze = 2", "no rule"],
            ),
        ],
    );
    all_refused(
        "timm_swin",
        "config.json",
        &[
            (args(json!({"ape": true})), &["model_args.ape = true"]),
            (
                args(json!({"patch_norm": false})),
                &["model_args.patch_norm = false"],
            ),
            (
                args(json!({"window_size": [4, 2]})),
                &["model_args.window_size = [4,2]"],
            ),
            (
                args(json!({"always_partition": true})),
                &["model_args.always_partition"],
            ),
            (
                args(json!({"norm_layer": "rmsnorm"})),
                &["model_args.norm_layer"],
            ),
            (
                args(json!({"global_pool": ""})),
                &["model_args.global_pool"],
            ),
        ],
    );
}

#[test]
fn an_architecture_is_what_timm_makes_of_its_name() {
    for (name, parts) in [
        ("vit_base_patch16_rpn_224", &["ResPostBlock"][..]),
        ("vit_relpos_base_patch16_224", &["VisionTransformerRelPos"]),
        ("vit_so400m_patch14_siglip_384", &["pools by attention"]),
        ("beit_base_patch16_224.in22k_ft_in22k", &["Beit"]),
        ("eva02_base_patch14_224.mim_in22k", &["Eva"]),
        ("deit_base_distilled_patch16_224", &["Distilled"]),
        ("vit_base_mine", &["none that timm had", "load_with"]),
        (
            "swin_base_patch4_window7_224",
            &["family swin", "family vit", "another model"],
        ),
        // 768 wide, 12 blocks: the arguments put that right, but for LayerScale, positions and registers.
        ("deit3_base_patch16_224", &["no_embed_class", "init_values"]),
        ("vit_base_patch14_reg4_dinov2", &["reg_tokens", "4"]),
    ] {
        let folder = Folder::of("timm_vit").with("config.json", &json!({"architecture": name}));
        let text = refused(folder.load(), parts);
        assert!(
            text.contains("config.json") && text.contains(&format!("architecture = \"{name}\"")),
            "{text}"
        );
    }
    // The remedy for a name of one's own.
    let folder = Folder::of("timm_vit").with("config.json", &json!({"architecture": "vit_mine"}));
    let known = Folder::of("timm_vit").load().unwrap();
    refused(folder.load(), &["take the file away"]);
    let said =
        json!({"num_heads": 3, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25], "crop_pct": 0.8});
    let model = folder.removed("config.json").load_with(said).unwrap();
    assert_eq!(apart(&represented(&model), &represented(&known)), 0.);
    // A tag behind the name, and fields without meaning here, change nothing.
    let harmless = json!({
        "architecture": "vit_base_patch16_224.mine", "license": "mit", "_note": 3, "labels": ["a"],
        "model_args": {"drop_rate": 0.3, "drop_path_rate": 0.1, "weight_init": "jax", "dynamic_img_size": true},
        "pretrained_cfg": {"test_crop_pct": 1.0, "first_conv": "elsewhere", "hf_hub_id": "timm/"},
    });
    let model = Folder::of("timm_vit")
        .with("config.json", &harmless)
        .load()
        .unwrap();
    assert_eq!(apart(&represented(&model), &represented(&known)), 0.);
}

#[test]
fn a_pooling_that_is_not_built_can_be_replaced_by_one_that_is() {
    let max = json!({"global_pool": "max", "model_args": {"global_pool": "max"}});
    let folder = Folder::of("timm_vit").with("config.json", &max);
    refused(
        folder.load(),
        &[
            "max",
            "json!({\"global_pool\": \"avg\"})",
            "taken out of the file",
        ],
    );
    let none = json!({"global_pool": null, "model_args": {"global_pool": null}});
    let given = json!({"global_pool": "avg"});
    let model = folder.with("config.json", &none).load_with(given).unwrap();
    assert!(
        model.to_string().contains("mean of normed tokens"),
        "{model}"
    );
}

/// Before timm 0.9 the fields of `pretrained_cfg` were at the root.
#[test]
fn a_timm_file_without_pretrained_cfg_is_read() {
    let config = VitConfig {
        img_size: 160,
        embed_dim: 64,
        depth: 6,
        num_heads: 2,
        mlp_ratio: 3.,
        ..VitConfig::default()
    };
    let parameters = Parameters::new(1, &Device::Cpu);
    Vit::new(&config, parameters.builder()).unwrap();
    let variables = parameters.variables().into_iter();
    let tensors: HashMap<_, _> = variables
        .map(|(name, var)| (name, var.as_detached_tensor()))
        .collect();
    let folder = Folder::of("timm_vit").removed("config.json");
    candle_core::safetensors::save(&tensors, folder.path().join("model.safetensors")).unwrap();
    let legacy = json!({
        "architecture": "test_vit", "num_classes": 0, "num_features": 64, "global_pool": "token",
        "input_size": [3, 160, 160], "interpolation": "bicubic", "crop_pct": 0.95, "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.3, 0.25], "first_conv": "patch_embed.proj", "classifier": "head", "pool_size": null,
        "fixed_input_size": true, "url": "", "labels": [],
    });
    let folder = folder.with("config.json", &legacy);
    let model = folder.load().unwrap();
    assert!(model.to_string().contains("2 heads"), "{model}");
    assert_eq!(
        (
            model.preprocess().crop,
            model.encoder().normalisation().mean
        ),
        (0.95, [0.4, 0.5, 0.6])
    );
    assert!(model.assumed().is_empty(), "{:#?}", model.assumed());
    refused(
        folder
            .with("config.json", &json!({"rope": 1}))
            .load_with(json!({"num_heads": 2})),
        &["rope = 1", "no rule"],
    );
}

#[test]
fn an_open_clip_field_that_is_not_built_is_refused_by_name() {
    let vision = |fields: Value| json!({"model_cfg": {"vision_cfg": fields}});
    let text = |fields: Value| json!({"model_cfg": {"text_cfg": fields}});
    all_refused(
        "open_clip",
        "open_clip_config.json",
        &[
            (
                vision(json!({"attentional_pool": true})),
                &["model_cfg.vision_cfg.attentional_pool = true"],
            ),
            (
                vision(json!({"attentional_pool": "cascade"})),
                &["attentional_pool = \"cascade\""],
            ),
            (
                vision(json!({"pool_type": "none"})),
                &["model_cfg.vision_cfg.pool_type = \"none\""],
            ),
            (
                vision(json!({"pos_embed_type": "rope"})),
                &["pos_embed_type = \"rope\""],
            ),
            (
                vision(json!({"layers": [2, 2, 2, 2]})),
                &["layers = [2,2,2,2]", "ResNet"],
            ),
            (
                vision(json!({"timm_model_name": "resnet50"})),
                &["timm_model_name = \"resnet50\""],
            ),
            (
                vision(json!({"qk_norm": true})),
                &["vision_cfg.qk_norm = true"],
            ),
            (
                vision(json!({"scale_fc": true})),
                &["vision_cfg.scale_fc = true"],
            ),
            (
                vision(json!({"norm_kwargs": {"bias": false}})),
                &["norm_kwargs.bias = false"],
            ),
            (
                vision(json!({"act_kwargs": {"approximate": "tanh"}})),
                &["act_kwargs.approximate", "quick_gelu"],
            ),
            (
                vision(json!({"image_size": [16, 24]})),
                &["image_size = [16,24]", "square"],
            ),
            (
                vision(json!({"input_patchnorm": true})),
                &["input_patchnorm = true"],
            ),
            (
                vision(json!({"headwidth": 8})),
                &["model_cfg.vision_cfg.headwidth = 8", "no rule"],
            ),
            (
                text(json!({"pool_type": "none"})),
                &["model_cfg.text_cfg.pool_type = \"none\""],
            ),
            (
                text(json!({"pool_type": "eos", "eos_id": 30})),
                &["text_cfg.eos_id = 30", "vocab_size = 30"],
            ),
            (
                text(json!({"embed_cls": true})),
                &["text_cfg.embed_cls = true"],
            ),
            (
                text(json!({"proj_bias": true})),
                &["text_cfg.proj_bias = true"],
            ),
            (
                text(json!({"proj_type": "none"})),
                &["text_cfg.proj_type = \"none\""],
            ),
            (
                text(json!({"hf_model_name": "roberta"})),
                &["text_cfg.hf_model_name = \"roberta\""],
            ),
            (
                text(json!({"tokenizer_kwargs": {"clean": "canonicalize"}})),
                &["text_cfg.tokenizer_kwargs"],
            ),
            (
                json!({"model_cfg": {"multimodal_cfg": {}}}),
                &["model_cfg.multimodal_cfg"],
            ),
            (
                json!({"preprocess_cfg": {"mode": "L"}}),
                &["preprocess_cfg.mode = \"L\"", "RGB"],
            ),
            (
                json!({"preprocess_cfg": {"size": [16, 24]}}),
                &["preprocess_cfg.size = [16,24]"],
            ),
            (
                json!({"preprocess_cfg": {"interpolation": "random"}}),
                &["preparation of images", "random"],
            ),
            (
                json!({"preprocess_cfg": {"fill_color": 300}}),
                &["preprocess_cfg.fill_color = 300"],
            ),
            (
                json!({"preprocess_cfg": {"sharpen": 1}}),
                &["preprocess_cfg.sharpen = 1", "no rule"],
            ),
        ],
    );
    let harmless = json!({"model_cfg": {
        "custom_text": false, "init_logit_bias": -10, "nonscalar_logit_scale": true,
        "vision_cfg": {"patch_dropout": 0.5, "output_tokens": true, "pos_embed_type": "sin_cos_2d"},
        "text_cfg": {"pad_id": 3, "hf_tokenizer_name": "gpt", "final_ln_after_pool": true, "block_type": null},
    }});
    let model = Folder::of("open_clip")
        .with("open_clip_config.json", &harmless)
        .load()
        .unwrap();
    let known = Folder::of("open_clip").load().unwrap();
    assert_eq!(apart(&represented(&model), &represented(&known)), 0.);
}

#[test]
fn a_transformers_field_that_is_not_built_is_refused_by_name() {
    all_refused(
        "transformers_vit",
        "config.json",
        &[
            (json!({"hidden_act": "mish"}), &["hidden_act = \"mish\""]),
            (json!({"num_channels": 4}), &["num_channels = 4"]),
            (
                json!({"rope_theta": 100.0}),
                &["rope_theta = 100.0", "no rule"],
            ),
            (
                json!({"model_type": "ijepa"}),
                &["model_type = \"ijepa\"", "dinov2"],
            ),
            (
                json!({"model_type": "dinov2", "mlp_ratio": 2}),
                &["model_type = \"dinov2\"", "null", "another model"],
            ),
            (
                json!({"model_type": "clip"}),
                &["model_type = \"clip\"", "another model"],
            ),
        ],
    );
    all_refused(
        "transformers_dinov2",
        "config.json",
        &[(json!({"use_swiglu_ffn": true}), &["use_swiglu_ffn = true"])],
    );
    all_refused(
        "transformers_swin",
        "config.json",
        &[
            (
                json!({"use_absolute_embeddings": true}),
                &["use_absolute_embeddings = true"],
            ),
            (json!({"patch_norm": false}), &["patch_norm = false"]),
        ],
    );
    all_refused(
        "transformers_clip",
        "config.json",
        &[
            (
                json!({"vision_config": {"hidden_act": "mish"}}),
                &["vision_config.hidden_act = \"mish\""],
            ),
            (
                json!({"text_config": {"rotary": 1}}),
                &["text_config.rotary = 1", "no rule"],
            ),
            (
                json!({"text_config": {"eos_token_id": [5, 6]}}),
                &["text_config.eos_token_id = [5,6]"],
            ),
            (
                json!({"text_config": {"eos_token_id": 49407}}),
                &["text_cfg.eos_id = 49407"],
            ),
        ],
    );
    let harmless = json!({
        "_name_or_path": "x", "hidden_dropout_prob": 0.3, "id2label": {"0": "a"}, "torch_dtype": "float16",
        "pooler_act": "relu", "initializer_range": 2.0, "problem_type": "single_label_classification", "odd": null,
    });
    let model = Folder::of("transformers_vit")
        .with("config.json", &harmless)
        .load()
        .unwrap();
    let known = Folder::of("transformers_vit").load().unwrap();
    assert_eq!(apart(&represented(&model), &represented(&known)), 0.);
    // Old files of OpenAI's have the towers twice, and the second one whole.
    let old = json!({"text_config_dict": {
        "hidden_size": 20, "intermediate_size": 80, "num_attention_heads": 5, "num_hidden_layers": 2,
        "vocab_size": 30, "max_position_embeddings": 8, "eos_token_id": 7,
    }});
    let model = Folder::of("transformers_clip")
        .with("config.json", &old)
        .load()
        .unwrap();
    assert_eq!(model.clip().unwrap().config().text_cfg.eos_id, Some(7));
}

#[test]
fn a_step_of_a_processor_that_is_not_built_is_refused_by_name() {
    let file = "preprocessor_config.json";
    for (change, parts) in [
        (
            json!({"do_resize": false}),
            &["do_resize = false", "only true"][..],
        ),
        (json!({"do_pad": true}), &["do_pad = true"]),
        (
            json!({"do_flip_channel_order": true}),
            &["do_flip_channel_order = true"],
        ),
        (
            json!({"pad_size": {"height": 20, "width": 20}}),
            &["pad_size"],
        ),
        (json!({"resample": 9}), &["resample = 9", "bicubic"]),
        (
            json!({"resample": "cubist"}),
            &["resample = \"cubist\"", "bicubic"],
        ),
        (json!({"rescale_factor": 0}), &["rescale_factor = 0"]),
        (
            json!({"image_mean": [0.5, 0.5]}),
            &["image_mean = [0.5,0.5]"],
        ),
        (
            json!({"image_std": [0.5, 0.0, 0.5]}),
            &["image_std = [0.5,0.0,0.5]"],
        ),
        (
            json!({"size": {"shortest_edge": null, "longest_edge": 20}}),
            &["size = {", "longest_edge"],
        ),
        (
            json!({"size": {"shortest_edge": 20, "longest_edge": 30}}),
            &["size = {", "longest_edge"],
        ),
        (
            json!({"size": {"shortest_edge": null, "height": 20, "width": 24}}),
            &["size = [20,24]", "square"],
        ),
        (
            json!({"size": {"max_height": 20}}),
            &["size.max_height = 20"],
        ),
        (
            json!({"crop_size": {"height": 24, "width": 24}}),
            &["crop_size", "bars"],
        ),
        (json!({"crop_pct": 0.9}), &["crop_pct = 0.9", "ConvNext"]),
        (
            json!({"do_center_crop": "yes"}),
            &["do_center_crop = \"yes\""],
        ),
        (
            json!({"image_processor_type": "CLIPImageProcessor", "do_center_crop": false}),
            &["size", "not square"],
        ),
        (
            json!({"do_sharpen": true}),
            &["do_sharpen = true", "no rule"],
        ),
    ] {
        let folder = Folder::of("transformers_clip").with(file, &change);
        let text = refused(folder.load(), parts);
        assert!(text.contains(file), "{text}");
    }
    let harmless =
        json!({"do_convert_rgb": true, "do_pad": false, "processor_class": "CLIPProcessor"});
    assert!(
        Folder::of("transformers_clip")
            .with(file, &harmless)
            .load()
            .is_ok()
    );
}
