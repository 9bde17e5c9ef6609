//! What is assumed of a model is said, with an argument that changes it and works; one line shows what it is.

use crate::support::*;

/// The assumption that has `part` in it.
#[track_caller]
fn said(model: &Model, part: &str) -> String {
    let found = model.assumed().iter().find(|line| line.contains(part));
    found
        .unwrap_or_else(|| panic!("{part} is not said: {:#?}", model.assumed()))
        .clone()
}

/// The path and the arguments of the `load_with` in `line`, read as a person would copy them.
fn call(line: &str) -> (String, Value) {
    let (_, rest) = line.split_once("load_with(\"").unwrap();
    let (path, rest) = rest.split_once("\", json!(").unwrap();
    let mut read = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    (path.into(), read.next().unwrap().unwrap())
}

#[test]
fn a_bare_vit_says_its_heads_activation_eps_pooling_and_pictures() {
    let folder = Folder::of("timm_vit").removed("config.json");
    let model = folder.load().unwrap();
    for (part, arguments) in [
        (
            "heads are assumed to be 1 of 24 channels",
            json!({"num_heads": 1}),
        ),
        ("gelu is assumed", json!({"act_layer": "gelu"})),
        ("norm eps 1e-6 is assumed", json!({"norm_eps": 1e-6})),
        ("class token", json!({"global_pool": "token"})),
    ] {
        let line = said(&model, part);
        let (path, given) = call(&line);
        assert_eq!(given, arguments, "{line}");
        assert!(line.len() < 200, "{line}");
        // Followed to the letter it is the same model, and is not said again.
        let again = load_with(&path, given).unwrap();
        assert_eq!(apart(&represented(&again), &represented(&model)), 0.);
        assert!(!again.assumed().contains(&line), "{line}");
    }
    let (path, given) = call(&said(&model, "pictures"));
    assert_eq!(given["crop_pct"], json!(0.9));
    let again = load_with(&path, given).unwrap();
    assert_eq!(again.preprocess(), model.preprocess());
    assert!(!again.assumed().iter().any(|line| line.contains("pictures")));
    // Each changes something.
    for other in [
        json!({"num_heads": 3}),
        json!({"act_layer": "relu"}),
        json!({"norm_eps": 0.1}),
        json!({"global_pool": "avg"}),
    ] {
        let changed = folder.load_with(other.clone()).unwrap();
        assert!(
            apart(&represented(&changed), &represented(&model)) > 1e-3,
            "{other}"
        );
    }
}

#[test]
fn a_bare_clip_says_which_gelu() {
    let folder = Folder::of("open_clip").removed("open_clip_config.json");
    let model = folder.load().unwrap();
    let (path, given) = call(&said(&model, "gelu is assumed"));
    assert_eq!(given, json!({"quick_gelu": true}));
    let quick = load_with(&path, given).unwrap();
    assert!(apart(&represented(&quick), &represented(&model)) > 1e-3);
    assert!(quick.to_string().contains("quick_gelu"), "{quick}");
    for part in [
        "heads for images",
        "heads for texts",
        "norm eps",
        "pictures",
    ] {
        let (path, given) = call(&said(&model, part));
        let again = load_with(&path, given).unwrap();
        assert_eq!(apart(&represented(&again), &represented(&model)), 0.);
        assert!(
            !again.assumed().iter().any(|line| line.contains(part)),
            "{:#?}",
            again.assumed()
        );
    }
    if let Some(bare) = shared("trials/checkpoints/b6_bare") {
        let model = load(bare.to_str().unwrap()).unwrap();
        said(&model, "json!({\"quick_gelu\":true})");
    }
}

#[test]
fn quick_gelu_wins_over_the_towers_own_activations() {
    let acts =
        json!({"vision_config": {"hidden_act": "gelu"}, "text_config": {"hidden_act": "relu"}});
    let folder = Folder::of("transformers_clip").with("config.json", &acts);
    let quick = folder.load_with(json!({"quick_gelu": true})).unwrap();
    let plain = Folder::of("transformers_clip").load().unwrap();
    assert_eq!(apart(&represented(&quick), &represented(&plain)), 0.);
}

#[test]
fn nothing_is_assumed_of_embedded_models_and_whole_folders() {
    for name in [
        "tiny_vit",
        "tiny_dinov2",
        "tiny_swin",
        "tiny_maxvit",
        "tiny_clip",
    ] {
        assert!(load(name).unwrap().assumed().is_empty(), "{name}");
    }
    for format in [
        "timm_vit",
        "timm_swin",
        "timm_clip",
        "open_clip",
        "transformers_vit",
        "transformers_clip",
    ] {
        let model = Folder::of(format).load().unwrap();
        assert!(
            model.assumed().is_empty(),
            "{format}: {:#?}",
            model.assumed()
        );
    }
}

#[test]
fn pictures_without_a_processor_and_of_another_size_are_said() {
    let model = Folder::of("transformers_vit")
        .removed("preprocessor_config.json")
        .load()
        .unwrap();
    said(&model, "pictures are prepared with mean");
    // The processor alone is read, and the rest is assumed.
    let folder = Folder::of("transformers_vit").removed("config.json");
    let model = folder.load().unwrap();
    assert_eq!(model.preprocess().crop, 0.8);
    said(&model, "heads are assumed to be 1");
    assert!(!model.assumed().iter().any(|line| line.contains("pictures")));
    // As facebook's DINOv2 has it: the processor crops to 224, the model is of 518.
    let other = json!({"size": {"shortest_edge": 10}, "crop_size": {"height": 8, "width": 8}});
    let folder = Folder::of("transformers_dinov2").with("preprocessor_config.json", &other);
    let model = folder.load().unwrap();
    assert_eq!(
        (model.encoder().image_size(), model.preprocess().crop),
        (16, 0.8)
    );
    let (path, given) = call(&said(&model, "images of 8 px, and the model takes 16"));
    let small = load_with(&path, given).unwrap();
    assert_eq!(small.encoder().image_size(), 8);
    assert!(small.assumed().is_empty(), "{:#?}", small.assumed());
}

#[test]
fn one_line_shows_what_a_model_is() {
    for (name, parts) in [
        (
            "tiny_vit",
            &[
                "48 px, 6 blocks, 6 heads, width 96, gelu, class token, norm eps 1e-6",
                "embedded",
            ][..],
        ),
        (
            "tiny_swin",
            &["2/4/8 heads", "mean of normed tokens", "1e-5"],
        ),
        ("tiny_maxvit", &["2/4/8 heads", "gelu_tanh", "mean"]),
        (
            "tiny_clip",
            &[
                "6 heads",
                "width 64",
                "class token",
                "texts: 4 heads, gelu, end token",
            ],
        ),
    ] {
        let line = load(name).unwrap().to_string();
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
        assert!(!line.contains('\n') && line.len() < 200, "{line}");
    }
    let avg = json!({"global_pool": "avg", "model_args": {"global_pool": "avg", "fc_norm": false, "act_layer": "relu"}});
    let folder = Folder::of("timm_vit").with("config.json", &avg);
    let line = folder.load().unwrap().to_string();
    for part in [
        "3 heads",
        "relu",
        "mean of normed tokens",
        "file model.safetensors",
    ] {
        assert!(line.contains(part), "{line}");
    }
    let path = folder.path().join("model.safetensors");
    let line = load(path.to_str().unwrap()).unwrap().to_string();
    assert!(line.ends_with("file model.safetensors"), "{line}");
}
