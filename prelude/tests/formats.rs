//! Weights in the names of timm, open_clip and transformers give what these libraries give.
//!
//! `formats/make.py` made the files and values, with the libraries themselves.

mod common;

use candle_core::{DType, Device, Tensor};
use common::refused;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use vitrepl_prelude::data::{CropMode, Interpolation};
use vitrepl_prelude::models::weights::keys::{self, Format};
use vitrepl_prelude::models::weights::{Checkpoint, resample};
use vitrepl_prelude::prelude::*;

/// A file or folder of `formats`.
fn made(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/formats")
        .join(name)
}

fn load_path(path: &Path) -> Result<Arc<Model>> {
    load(path.to_str().unwrap())
}

/// What the library made of the input.
fn expected(name: &str) -> Tensor {
    let file = Checkpoint::open(made("expected.safetensors")).unwrap();
    file.tensor(name).unwrap().clone()
}

/// The input of `make.py`: B x 3 x size x size, in [0, 1].
fn pixels(batch: usize, size: usize) -> Tensor {
    let values: Vec<f32> = (0..batch * 3 * size * size)
        .map(|i| (i * 7919 % 256) as f32 / 255.)
        .collect();
    Tensor::from_vec(values, (batch, 3, size, size), &Device::Cpu).unwrap()
}

#[track_caller]
fn equal(got: &Tensor, want: &Tensor, tolerance: f32) {
    assert_eq!(got.dims(), want.dims());
    let largest = |x: &Tensor| {
        x.abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap()
    };
    let error = largest(&(got - want).unwrap()) / largest(want);
    assert!(error < tolerance, "{error:.1e}");
}

#[track_caller]
fn represents(model: &Model, batch: usize, want: &Tensor, tolerance: f32) {
    let encoder = model.encoder();
    let got = encoder
        .encode(&pixels(batch, encoder.image_size()))
        .unwrap();
    equal(&got, want, tolerance);
}

fn tensors(path: impl AsRef<Path>) -> BTreeMap<String, Tensor> {
    let file = Checkpoint::open(path).unwrap();
    let keys = file.keys().map(str::to_string).collect::<Vec<_>>();
    keys.into_iter()
        .map(|key| (key.clone(), file.tensor(&key).unwrap().clone()))
        .collect()
}

/// A new file each time, as the same one may be written twice within a tick of the clock.
fn write(path: &Path, tensors: &BTreeMap<String, Tensor>) {
    let tensors: HashMap<_, _> = tensors.clone().into_iter().collect();
    let new = path.with_extension("new");
    candle_core::safetensors::save(&tensors, &new).unwrap();
    std::fs::rename(new, path).unwrap();
}

const FOLDERS: [(&str, &str); 12] = [
    ("transformers_vit", "vit"),
    ("transformers_dinov2", "vit"),
    ("transformers_dinov2_registers", "vit"),
    ("transformers_swin", "swin"),
    ("transformers_clip", "clip"),
    ("open_clip", "clip"),
    ("timm_vit", "vit"),
    ("timm_pickle", "vit"),
    ("timm_clip", "vit"),
    ("timm_registers", "vit"),
    ("timm_deit3", "vit"),
    ("timm_swin", "swin"),
];

#[test]
fn every_format_gives_what_its_library_gives() {
    for (folder, family) in FOLDERS {
        println!("{folder}");
        let model = load_path(&made(folder)).unwrap();
        assert_eq!(model.family(), family);
        represents(
            &model,
            2,
            &expected(&format!("{folder}.representation")),
            1e-4,
        );
        if family == "clip" {
            let ids: [[u32; 8]; 2] = [[28, 5, 6, 29, 0, 0, 0, 0], [28, 1, 2, 3, 4, 7, 8, 29]];
            let ids = Tensor::new(&ids, &Device::Cpu).unwrap();
            let text = model.clip().unwrap().encode_text(&ids).unwrap();
            equal(&text, &expected(&format!("{folder}.text")), 1e-4);
        }
    }
}

#[test]
fn configurations_say_how_images_are_prepared() {
    for (folder, how, crop, mode) in [
        (
            "transformers_vit",
            Interpolation::Bilinear,
            0.8,
            CropMode::Center,
        ),
        ("open_clip", Interpolation::Bicubic, 1.0, CropMode::Squash),
        ("timm_swin", Interpolation::Bilinear, 0.8, CropMode::Center),
    ] {
        let preprocess = load_path(&made(folder)).unwrap().preprocess();
        let said = (preprocess.interpolation, preprocess.crop, preprocess.mode);
        assert_eq!(said, (how, crop, mode), "{folder}");
    }
    // What a person says wins over all.
    let path = made("timm_vit");
    let asked = json!({"crop_pct": 0.5, "mean": [0.1, 0.2, 0.3], "interpolation": "lanczos"});
    let model = load_with(path.to_str().unwrap(), asked).unwrap();
    assert_eq!(model.preprocess().crop, 0.5);
    assert_eq!(model.preprocess().interpolation, Interpolation::Lanczos);
    let normalisation = model.encoder().normalisation();
    assert_eq!(
        (normalisation.mean, normalisation.std),
        ([0.1, 0.2, 0.3], [0.2, 0.3, 0.25])
    );
    let path = path.to_str().unwrap();
    refused(
        load_with(path, json!({"crop_pct": 1.5})),
        &["crop = 1.5", "share"],
    );
    refused(
        load_with(path, json!({"interpolation": "cubist"})),
        &["cubist", "bicubic"],
    );
}

#[test]
fn without_a_configuration_shapes_and_arguments_do() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "transformers_dinov2",
        "timm_vit",
        "transformers_dinov2_registers",
    ] {
        let path = folder.path().join(format!("{name}.safetensors"));
        std::fs::copy(made(name).join("model.safetensors"), &path).unwrap();
        let said = json!({"num_heads": 3, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25]});
        let model = load_with(path.to_str().unwrap(), said).unwrap();
        represents(
            &model,
            2,
            &expected(&format!("{name}.representation")),
            1e-4,
        );
        assert_eq!(model.preprocess(), Preprocess::default());
    }
    let path = folder.path().join("clip.safetensors");
    std::fs::copy(made("open_clip/open_clip_model.safetensors"), &path).unwrap();
    let said = json!({
        "quick_gelu": true, "vision_cfg": {"head_width": 8}, "text_cfg": {"heads": 5},
        "mean": [0.5, 0.4, 0.3], "std": [0.25, 0.26, 0.27],
    });
    let model = load_with(path.to_str().unwrap(), said).unwrap();
    represents(&model, 2, &expected("open_clip.representation"), 1e-4);
    assert_eq!(model.preprocess().crop, 1.0);
    refused(
        load_with(
            path.to_str().unwrap(),
            json!({"vision_cfg": {"head_wdth": 8}}),
        ),
        &["vision_cfg.head_wdth"],
    );
}

#[test]
fn older_files_and_wrapped_models_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    // timm before 0.9, with its buffers.
    let new = tensors(made("timm_swin/model.safetensors"));
    let mut old = keys::export(&new, &keys::OLD_SWIN, "").unwrap();
    assert!(
        old.contains_key("layers.0.downsample.reduction.weight") && old.contains_key("head.weight")
    );
    old.insert("layers.0.blocks.1.attn_mask".into(), zeros(&[4, 16, 16]));
    old.insert(
        "layers.0.blocks.0.attn.relative_position_index".into(),
        zeros(&[16, 16]),
    );
    let path = folder.path().join("model.safetensors");
    write(&path, &old);
    std::fs::copy(
        made("timm_swin/config.json"),
        folder.path().join("config.json"),
    )
    .unwrap();
    represents(
        &load_path(&path).unwrap(),
        2,
        &expected("timm_swin.representation"),
        1e-4,
    );
    // DINO's own files: a wrapped backbone and the head it was trained with. timm before 0.6: `pre_logits`.
    let vit = tensors(made("timm_vit/model.safetensors")).into_iter();
    let vit = vit
        .filter(|(key, _)| !key.starts_with("head."))
        .collect::<BTreeMap<_, _>>();
    let wrapped = |wrapper: &str, more: &str| {
        let wrapped = vit
            .iter()
            .map(|(key, tensor)| (format!("{wrapper}{key}"), tensor.clone()));
        let mut wrapped: BTreeMap<_, _> = wrapped.collect();
        wrapped.insert(more.into(), zeros(&[3, 3]));
        wrapped
    };
    std::fs::copy(
        made("timm_vit/config.json"),
        folder.path().join("config.json"),
    )
    .unwrap();
    for (wrapper, more) in [
        ("module.backbone.", "module.head.mlp.0.weight"),
        ("backbone.", "head.last_layer.weight_v"),
        ("module.", "module.pre_logits.fc.weight"),
        ("", "mask_token"),
    ] {
        write(&path, &wrapped(wrapper, more));
        represents(
            &load_path(&path).unwrap(),
            2,
            &expected("timm_vit.representation"),
            1e-4,
        );
    }
    for (more, why) in [
        ("dist_token", "distilled"),
        ("attn_pool.latent", "SigLIP"),
        ("blocks.0.mlp.w12.weight", "SwiGLU"),
    ] {
        write(&path, &wrapped("", more));
        refused(load_path(&path), &["model.safetensors", more, why]);
    }
}

#[test]
fn faults_are_told_in_the_files_own_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::copy(
        made("transformers_vit/config.json"),
        folder.path().join("config.json"),
    )
    .unwrap();
    let mut vit = tensors(made("transformers_vit/model.safetensors"));
    let attention = "vit.encoder.layer.1.attention";
    vit.remove(&format!("{attention}.attention.key.weight"));
    vit.insert(format!("{attention}.attention.value.bias"), zeros(&[23]));
    vit.remove("vit.layernorm.bias");
    vit.insert("vit.encoder.layer.0.output.dense.bias".into(), zeros(&[25]));
    vit.insert("vit.encoder.layer.0.adapter.weight".into(), zeros(&[2]));
    write(&path, &vit);
    refused(
        load_path(&path),
        &[
            "missing: vit.encoder.layer.1.attention.attention.key.weight [24, 24]",
            "shape of vit.encoder.layer.1.attention.attention.value.bias: [23]",
            "missing: vit.layernorm.bias [24]",
            "shape of vit.encoder.layer.0.output.dense.bias: [25], the model has [24]",
            "not part of the model: vit.encoder.layer.0.adapter.weight",
        ],
    );
    let mut clip = tensors(made("open_clip/open_clip_model.safetensors"));
    clip.insert("visual.ln_pre.weight".into(), zeros(&[25]));
    clip.remove("text_projection");
    let path = folder.path().join("open_clip_model.safetensors");
    write(&path, &clip);
    refused(
        load_path(&path),
        &[
            "shape of visual.ln_pre.weight: [25], the model has [24]",
            "missing: text_projection [20, 16]",
        ],
    );
    clip.insert("text_projection".into(), zeros(&[20]));
    write(&path, &clip);
    refused(
        load_path(&path),
        &["\"text_projection\" has shape [20], not open_clip's"],
    );
    let mut dino = tensors(made("transformers_dinov2/model.safetensors"));
    dino.remove("embeddings.position_embeddings");
    let path = folder.path().join("dino.safetensors");
    write(&path, &dino);
    std::fs::remove_file(folder.path().join("config.json")).unwrap();
    refused(
        load_path(&path),
        &["\"embeddings.position_embeddings\"", "transformers DINOv2"],
    );
}

#[test]
fn broken_folders_and_configurations_are_named() {
    let folder = tempfile::tempdir().unwrap();
    refused(
        load_path(folder.path()),
        &["no weights file", "model.safetensors"],
    );
    let weights = made("timm_vit/model.safetensors");
    for name in ["a.safetensors", "b.safetensors"] {
        std::fs::copy(&weights, folder.path().join(name)).unwrap();
    }
    refused(
        load_path(folder.path()),
        &["several", "a.safetensors, b.safetensors"],
    );
    std::fs::remove_file(folder.path().join("b.safetensors")).unwrap();
    let config = folder.path().join("config.json");
    for (text, parts) in [
        ("{\"architecture\": ", ["config.json", "not JSON"]),
        (
            "{\"something\": 1}",
            ["config.json", "none of timm, open_clip and transformers"],
        ),
        (
            "{\"model_type\": \"vit\", \"hidden_size\": 768}",
            ["hidden_size = 768", "another model"],
        ),
        (
            "{\"model_type\": \"vit\", \"hidden_act\": \"relu\"}",
            ["hidden_act", "relu"],
        ),
        (
            "{\"architecture\": \"vit\", \"mean\": 3}",
            ["config.json", "preparation of images"],
        ),
    ] {
        std::fs::write(&config, text).unwrap();
        refused(load_path(folder.path()), &parts);
    }
    // A pickle that is cut short, and one of before PyTorch 1.6.
    let whole = std::fs::read(made("timm_pickle/pytorch_model.bin")).unwrap();
    let cut = folder.path().join("cut.bin");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    refused(
        load_path(&cut),
        &["cut.bin", "not a PyTorch state dict", "safetensors"],
    );
    let legacy = folder.path().join("legacy.pth");
    std::fs::write(&legacy, b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.").unwrap();
    refused(load_path(&legacy), &["legacy.pth", "save_file"]);
}

#[test]
fn positions_are_resampled_as_timm_does_it() {
    let file = Checkpoint::open(made("resampled.safetensors")).unwrap();
    for (new, prefix, name) in [
        (7, 1, "4_7_1"),
        (4, 1, "7_4_1"),
        (2, 5, "5_2_5"),
        (8, 0, "3_8_0"),
        (5, 1, "6_5_1"),
    ] {
        let before = file.tensor(&format!("{name}.before")).unwrap();
        let got = resample::positions(before, prefix, new).unwrap();
        equal(&got, file.tensor(&format!("{name}.after")).unwrap(), 1e-5);
    }
}

#[test]
fn other_image_sizes_are_taken() {
    for (folder, size, tokens) in [
        ("timm_vit", 24, 36),
        ("timm_registers", 12, 9),
        ("transformers_dinov2", 8, 4),
        ("open_clip", 32, 64),
    ] {
        let path = made(folder);
        let model = load_with(path.to_str().unwrap(), json!({"img_size": size})).unwrap();
        let encoder = model.encoder();
        assert_eq!(encoder.image_size(), size);
        assert_ne!(
            model.hash(),
            load_path(&path).unwrap().hash(),
            "caches would mix the two up"
        );
        assert_eq!(encoder.token_grid().0.pow(2), tokens, "{folder}");
        let z = encoder.encode(&pixels(1, size)).unwrap();
        let z = z.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(z.iter().all(|v| v.is_finite()));
    }
    let swin = made("timm_swin");
    refused(
        load_with(swin.to_str().unwrap(), json!({"window_size": 8})),
        &["window_size = 8", "4 tokens"],
    );
}

/// The published DINOv2-small, if it is there.
fn dinov2_small() -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/real/dinov2_small.f16.safetensors");
    if !path.exists() {
        println!("skipped: there is no {}", path.display());
        return None;
    }
    Some(path)
}

/// `timm` under transformers' names, written to a file.
fn in_transformers_names(timm: &Path, format: &'static Format, folder: &Path) -> PathBuf {
    let renamed = keys::export(&tensors(timm), format, "dinov2.").unwrap();
    assert!(renamed.contains_key("dinov2.encoder.layer.1.attention.attention.value.bias"));
    let path = folder.join("renamed.safetensors");
    write(&path, &renamed);
    path
}

#[test]
fn renaming_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let timm = made("timm_deit3/model.safetensors");
    let path = in_transformers_names(&timm, &keys::TRANSFORMERS_DINOV2, folder.path());
    let said = json!({"num_heads": 3, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25]});
    let load = |path: &Path| load_with(path.to_str().unwrap(), said.clone());
    // Its head has no place in transformers' DINOv2.
    refused(load(&path), &["not part of the model: head.bias"]);
    let mut renamed = tensors(&path);
    renamed.retain(|key, _| !key.starts_with("head."));
    write(&path, &renamed);
    represents(
        &load(&path).unwrap(),
        2,
        &expected("timm_deit3.representation"),
        1e-4,
    );
}

#[test]
fn the_published_dinov2_equals_timms_at_two_sizes_in_both_names() {
    let Some(timm) = dinov2_small() else { return };
    let folder = tempfile::tempdir().unwrap();
    let renamed = in_transformers_names(&timm, &keys::TRANSFORMERS_DINOV2, folder.path());
    let file = Checkpoint::open(made("dinov2_small.safetensors")).unwrap();
    for path in [timm, renamed] {
        for (size, said) in [(518, json!({})), (224, json!({"img_size": 224}))] {
            let model = load_with(path.to_str().unwrap(), said).unwrap();
            assert_eq!(
                (model.encoder().image_size(), model.preprocess().crop),
                (size, 1.0)
            );
            let want = file.tensor(&format!("representation.{size}")).unwrap();
            represents(&model, 1, want, 1e-4);
        }
    }
}

fn zeros(dims: &[usize]) -> Tensor {
    Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap()
}

#[test]
fn the_table_of_models_has_those_of_a_folder_and_tells_what_is_wrong_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("timm_vit");
    std::fs::create_dir(&inner).unwrap();
    for name in ["model.safetensors", "config.json"] {
        std::fs::copy(made("timm_vit").join(name), inner.join(name)).unwrap();
    }
    std::fs::write(folder.path().join("broken.safetensors"), b"no weights").unwrap();
    let names = local_models(Some(folder.path())).unwrap();
    let (zoo, found) = names.split_at(names.len() - 2);
    assert!(zoo.contains(&"tiny_vit".to_string()));
    assert!(found[0].ends_with("broken.safetensors") && found[1].ends_with("timm_vit"));
    let set = GeneratedSet::new(GeneratedSpec::unbiased(1, 2)).unwrap();
    let mut asked = found.to_vec();
    asked.push("tiny_vit".into());
    let table = models_table(&asked, &set, 2).unwrap().csv();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split(',').collect())
        .collect();
    let column = |name: &str| rows[0].iter().position(|cell| cell.contains(name)).unwrap();
    assert!(
        rows[1]
            .last()
            .unwrap()
            .contains("not a whole safetensors file"),
        "{table}"
    );
    for (row, components) in [(&rows[2], "9"), (&rows[3], "43")] {
        let residual: f64 = row.iter().rev().nth(1).unwrap().parse().unwrap();
        assert!(residual < 1e-5, "{table}");
        assert!(row.contains(&components), "{table}");
    }
    assert_eq!(column("model"), 0);
    refused(models_table(&asked, &set, 0), &["batch = 0"]);
    refused(
        local_models(Some(Path::new("/nowhere"))),
        &["reading /nowhere"],
    );
}
