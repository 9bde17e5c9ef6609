//! What a configuration says, the model does: values of timm, open_clip and transformers themselves (`make.py`).

use crate::support::*;
use candle_core::{Device, Tensor};
use vitrepl_prelude::data::{CropMode, ModelInput};
use vitrepl_prelude::decompose::{DecomposeOptions, Decomposer, Granularity, Sharing};
use vitrepl_prelude::models::weights::Checkpoint;

/// The ids of `make.py`: the end token of some cases, 5, is neither the highest id nor the last.
fn ids() -> Tensor {
    let ids: [[u32; 8]; 2] = [[28, 29, 6, 5, 27, 1, 0, 0], [28, 1, 5, 3, 29, 7, 8, 26]];
    Tensor::new(&ids, &Device::Cpu).unwrap()
}

fn expected(name: &str) -> Tensor {
    let file = Checkpoint::open(of_tests("configurations/expected.safetensors")).unwrap();
    file.tensor(name).unwrap().clone()
}

fn cases() -> Vec<(String, Folder)> {
    let cases = json_of(&of_tests("configurations/cases.json"));
    let folder = |case: &Value| {
        let (name, change) = case["config"].as_object().unwrap().iter().next().unwrap();
        let weights = match name.starts_with("open_clip") {
            true => "open_clip_model.safetensors",
            false => "model.safetensors",
        };
        Folder::of(case["base"].as_str().unwrap())
            .with(name, change)
            .changed(weights, &case["tensors"])
    };
    let cases = cases["cases"].as_array().unwrap().iter();
    cases
        .map(|case| (case["name"].as_str().unwrap().to_string(), folder(case)))
        .collect()
}

#[test]
fn every_case_is_what_its_library_makes_of_it() {
    let mut wrong = Vec::new();
    for (name, folder) in cases() {
        let model = match folder.load() {
            Ok(model) => model,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let mut compare = |what: &str, got: &Tensor| {
            let error = apart(got, &expected(&format!("{name}.{what}")));
            if error.is_nan() || error > 1e-4 {
                wrong.push(format!("{name}.{what}: {error:.1e}"))
            }
        };
        compare("representation", &represented(&model));
        if let Ok(clip) = model.clip() {
            compare("text", &clip.encode_text(&ids()).unwrap())
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn components_of_every_case_sum_to_its_representation() {
    for (name, folder) in cases() {
        let model = folder.load().unwrap();
        let encoder = model.encoder();
        let input = pixels(2, encoder.image_size());
        let input = encoder.normalisation().apply(&input).unwrap();
        for sharing in [Sharing::Equal, Sharing::Own] {
            let options = DecomposeOptions {
                sharing,
                granularity: Granularity::Tokens,
                ..DecomposeOptions::default()
            };
            let c = Decomposer::new(encoder, options)
                .unwrap()
                .run(&input)
                .unwrap();
            let error = c.sum_error().unwrap();
            assert!(error < 1e-5, "{name}: {error:.1e}");
        }
    }
}

#[test]
fn pictures_are_prepared_as_transformers_prepares_them() {
    let cases = json_of(&of_tests("configurations/cases.json"));
    let picture = image::open(of_tests("pictures/rocket_part.png"))
        .unwrap()
        .to_rgb8();
    let mut wrong = Vec::new();
    for (name, fields) in cases["processors"].as_object().unwrap() {
        let folder = Folder::of("transformers_clip");
        let path = folder.path().join("preprocessor_config.json");
        std::fs::write(path, fields.to_string()).unwrap();
        let model = match folder.load() {
            Ok(model) => model,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let ModelInput { size, preprocess } = model.input();
        let prepared = preprocess.apply(&picture, size);
        let values: Vec<f32> = (0..3)
            .flat_map(|channel| {
                prepared
                    .pixels()
                    .map(move |p| f32::from(p.0[channel]) / 255.)
            })
            .collect();
        let values = Tensor::from_vec(values, (1, 3, size, size), &Device::Cpu).unwrap();
        let got = model.encoder().normalisation().apply(&values).unwrap();
        let error = apart(&got, &expected(&format!("processor.{name}")));
        if error.is_nan() || error > 1e-4 {
            wrong.push(format!("{name}: {error:.1e}"))
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn bars_have_open_clips_colour() {
    for (fill, want) in [
        (json!(null), [0; 3]),
        (json!(7), [7; 3]),
        (json!([1, 2, 3]), [1, 2, 3]),
    ] {
        let change = json!({"preprocess_cfg": {"resize_mode": "longest", "fill_color": fill}});
        let model = Folder::of("open_clip")
            .with("open_clip_config.json", &change)
            .load()
            .unwrap();
        let preprocess = model.preprocess();
        assert_eq!((preprocess.mode, preprocess.fill), (CropMode::Border, want));
    }
}

/// Trials with a reference: each is as the library has it, or refused by the field's name.
#[test]
fn trials_are_as_their_reference_or_refused_by_name() {
    let Some(trials) = shared("trials") else {
        return;
    };
    let reference = |name: &str, width: usize| {
        let bytes = std::fs::read(trials.join(format!("references/{name}.f32"))).unwrap();
        let values: Vec<f32> = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect();
        Tensor::from_vec(values, (2, width), &Device::Cpu).unwrap()
    };
    let load = |name: &str| load(trials.join("checkpoints").join(name).to_str().unwrap());
    for (name, width) in [
        ("args_vit_act_layer_relu", 24),
        ("args_vit_avg_fc_norm_False", 24),
        ("oc_avg_pool", 16),
        ("b12_clip", 16),
    ] {
        let error = apart(&represented(&load(name).unwrap()), &reference(name, width));
        assert!(error < 1e-4, "{name}: {error:.1e}");
    }
    refused(
        load("args_vit_rpn"),
        &[
            "config.json",
            "architecture = \"vit_base_patch16_rpn_224\"",
            "ResPostBlock",
        ],
    );
    let ids: [[u32; 8]; 2] = [[28, 5, 6, 29, 0, 0, 0, 0], [28, 1, 2, 3, 4, 7, 8, 29]];
    let text = load("tx_last")
        .unwrap()
        .clip()
        .unwrap()
        .encode_text(&Tensor::new(&ids, &Device::Cpu).unwrap());
    let error = apart(&text.unwrap(), &reference("tx_last", 16));
    assert!(error < 1e-4, "tx_last: {error:.1e}");
    for (name, mean, std) in [
        ("c6_mean_number", [0.5; 3], [0.5; 3]),
        ("c6_no_normalize", [0.; 3], [1.; 3]),
        ("c6_rescale_127", [0.2, 0.25, 0.3], [0.1, 0.15, 0.125]),
        ("c6_resample_name", [0.4, 0.5, 0.6], [0.2, 0.3, 0.25]),
    ] {
        let model = load(name).unwrap();
        let normalisation = model.encoder().normalisation();
        for (got, want) in [(normalisation.mean, mean), (normalisation.std, std)] {
            let near = got
                .iter()
                .zip(want)
                .all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6);
            assert!(near, "{name}: {got:?}");
        }
    }
    let filter = load("c6_resample_name").unwrap().preprocess().interpolation;
    assert_eq!(filter, vitrepl_prelude::data::Interpolation::Bilinear);
    refused(
        load("c6_no_resize"),
        &["preprocessor_config.json", "do_resize = false"],
    );
}
