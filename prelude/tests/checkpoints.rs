//! Training files as people save them load, and what is no weights file is called by its name.
//!
//! `checkpoints/make.py` made the files with PyTorch and timm, and the values they must give.

mod common;

use candle_core::{DType, Device, Tensor};
use common::refused;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use vitrepl_prelude::models::weights::{Checkpoint, keys};
use vitrepl_prelude::prelude::*;

/// A file of `checkpoints`.
fn made(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/checkpoints")
        .join(name)
}

fn load_path(path: &Path) -> Result<Arc<Model>> {
    load(path.to_str().unwrap())
}

fn load_as(path: &Path, weights: &str) -> Result<Arc<Model>> {
    load_with(path.to_str().unwrap(), json!({"weights": weights}))
}

/// The relative distance of the model's representation of the input of `make.py` from `want`.
fn distance(model: &Model, want: &Tensor) -> f32 {
    let encoder = model.encoder();
    let size = encoder.image_size();
    let values: Vec<f32> = (0..2 * 3 * size * size)
        .map(|i| (i * 7919 % 256) as f32 / 255.)
        .collect();
    let pixels = Tensor::from_vec(values, (2, 3, size, size), &Device::Cpu).unwrap();
    let got = encoder.encode(&pixels).unwrap();
    assert_eq!(got.dims(), want.dims());
    let largest = |x: &Tensor| {
        x.abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap()
    };
    largest(&(&got - want).unwrap()) / largest(want)
}

/// The model must represent the input as PyTorch's did.
#[track_caller]
fn is(model: &Model, name: &str, tolerance: f32) {
    let file = Checkpoint::open(made("expected.safetensors")).unwrap();
    let error = distance(model, file.tensor(name).unwrap());
    assert!(
        error < tolerance,
        "{} is not {name}: {error:.1e}",
        model.name()
    );
}

/// What the model assumes must be said with each of `parts`, or be nothing.
#[track_caller]
fn says(model: &Model, parts: &[&str]) {
    let said = model.assumed().join("\n");
    for part in parts {
        assert!(said.contains(part), "\"{part}\" is not in: {said}");
    }
}

#[test]
fn weights_are_found_under_any_entry_in_any_wrapper() {
    for name in [
        "loop.pth",
        "lightning.ckpt",
        "deep.pth",
        "averaged.pth",
        "mae.pth",
        "twice.pth",
        "legacy.pth",
        "views.pth",
        "pytorch_model.bin.index.json",
        "pytorch_model-00002-of-00002.bin",
    ] {
        is(&load_path(&made(name)).unwrap(), "first", 1e-5);
    }
    let lightning = load_path(&made("lightning.ckpt")).unwrap();
    says(&lightning, &["criterion.weight", "left out"]);
    is(&load_path(&made("beit.pth")).unwrap(), "beit", 1e-5);
}

#[test]
fn usual_names_of_entries_and_wrappers_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    let bare = tensors(&made("small.safetensors"));
    for (i, wrapper) in [
        "module.",
        "_orig_mod.",
        "model.",
        "backbone.",
        "encoder.",
        "student.",
        "teacher.",
        "net.",
        "network.",
        "model_ema.module.",
        "state_dict.",
        "vit.",
        "image_encoder.",
        "base_encoder.",
        "trunk.model.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "model.module.backbone._orig_mod.",
        "_forward_module.model.",
        "_fsdp_wrapped_module._checkpoint_wrapped_module.",
        "weights.params.",
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(format!("{i}.safetensors"));
        let wrapped = bare
            .iter()
            .map(|(key, tensor)| (format!("{wrapper}{key}"), tensor.clone()));
        write(&path, &wrapped.collect());
        let model = load_path(&path).unwrap();
        is(&model, "small", 1e-5);
        assert!(
            !model.assumed().join(" ").contains("left out"),
            "{wrapper}: {:?}",
            model.assumed()
        );
    }
    // Wrappers around single blocks.
    let inside = |key: &String| {
        key.replacen(
            "blocks.0.",
            "blocks.0._checkpoint_wrapped_module._orig_mod.",
            1,
        )
    };
    let path = folder.path().join("inside.safetensors");
    write(
        &path,
        &bare
            .iter()
            .map(|(key, t)| (inside(key), t.clone()))
            .collect(),
    );
    is(&load_path(&path).unwrap(), "small", 1e-5);
    // Faults are told in the file's own names.
    let mut wrong: HashMap<_, _> = bare
        .iter()
        .map(|(key, t)| (format!("a.module.{}", inside(key)), t.clone()))
        .collect();
    wrong.remove("a.module.norm.bias");
    wrong.insert(
        "a.module.blocks.0._checkpoint_wrapped_module._orig_mod.norm1.bias".into(),
        Tensor::zeros(7, DType::F32, &Device::Cpu).unwrap(),
    );
    wrong.insert(
        "a.module.extra".into(),
        Tensor::zeros(7, DType::F32, &Device::Cpu).unwrap(),
    );
    write(&path, &wrong);
    refused(
        load_path(&path),
        &[
            "missing: a.module.norm.bias [8]",
            "shape of a.module.blocks.0._checkpoint_wrapped_module._orig_mod.norm1.bias: [7]",
            "not part of the model: a.module.extra",
        ],
    );
}

#[test]
fn of_raw_and_averaged_weights_those_are_taken_that_are_evaluated_and_the_others_by_name() {
    for (file, default, taken, other, asked) in [
        (
            "timm_ema.pth",
            "second",
            "state_dict_ema",
            "first",
            "state_dict",
        ),
        ("dino.pth", "second", "teacher", "first", "student"),
        (
            "moco.pth",
            "first",
            "base_encoder",
            "second",
            "momentum_encoder",
        ),
        (
            "dinov2.pth",
            "deep",
            "model.teacher.backbone",
            "other",
            "model.student.backbone",
        ),
    ] {
        let path = made(file);
        let tolerance = if file == "dinov2.pth" { 1e-2 } else { 1e-5 };
        let model = load_path(&path).unwrap();
        is(&model, default, tolerance);
        says(&model, &[taken, "are taken", "load_with(", asked]);
        // The line that takes the others is followed to the letter.
        let said = model.assumed().join("\n");
        let line = said.split("json!({\"weights\": \"").nth(1).unwrap();
        let label = line.split('"').next().unwrap();
        for asked in [asked, label] {
            let model_of = load_as(&path, asked).unwrap();
            is(&model_of, other, tolerance);
            assert!(!model_of.assumed().join(" ").contains("are taken"));
            assert_ne!(model_of.hash(), model.hash(), "caches would mix the two up");
        }
        // Asked for by its name it is the same model.
        assert_eq!(load_as(&path, taken).unwrap().hash(), model.hash());
        refused(
            load_as(&path, "nonsense"),
            &[file, "no weights called \"nonsense\"", taken],
        );
    }
    refused(
        load_path(&made("two.pth")),
        &[
            "several models",
            "\"left\", \"right\"",
            "json!({\"weights\": \"left\"})",
        ],
    );
    is(&load_as(&made("two.pth"), "left").unwrap(), "first", 1e-5);
    is(&load_as(&made("two.pth"), "right").unwrap(), "second", 1e-5);
    // A file with one set is the same whether that is asked for or not.
    let path = made("loop.pth");
    let (plain, asked) = (
        load_path(&path).unwrap(),
        load_as(&path, "model_state_dict").unwrap(),
    );
    assert_eq!(plain.hash(), asked.hash());
    refused(
        load_with("tiny_vit", json!({"weights": "ema"})),
        &["weights = ema", "embedded"],
    );
    refused(
        load_with(path.to_str().unwrap(), json!({"weights": 3})),
        &["weights = 3", "text"],
    );
}

#[test]
fn blocks_in_chunks_are_numbered_through() {
    let model = load_path(&made("chunks.safetensors")).unwrap();
    assert_eq!(model.encoder().blocks().len(), 4);
    is(&model, "deep", 1e-2);
}

#[test]
fn numbers_of_eight_to_sixty_four_bits_are_taken_as_they_are() {
    for name in ["small.safetensors", "small.pth"] {
        is(&load_path(&made(name)).unwrap(), "small", 1e-5);
    }
}

#[test]
fn integers_are_no_weights() {
    refused(
        load_path(&made("int8.pth")),
        &["blocks.0.attn.qkv.weight (int8)", "quantised"],
    );
    refused(load_path(&made("qint8.pth")), &["head.weight", "quantised"]);
    // Beside the weights they are left out, and that is said.
    let folder = tempfile::tempdir().unwrap();
    let mut with = tensors(&made("small.safetensors"));
    with.insert("steps".into(), Tensor::new(&[3i64], &Device::Cpu).unwrap());
    let path = folder.path().join("m.safetensors");
    write(&path, &with);
    let model = load_path(&path).unwrap();
    is(&model, "small", 1e-5);
    says(&model, &["\"steps\" is left out", "int64"]);
    // A tensor of bools.
    let bytes = header(
        &json!({"some.mask": {"dtype": "BOOL", "shape": [3], "data_offsets": [0, 3]}}),
        &[0, 1, 1],
    );
    std::fs::write(&path, bytes).unwrap();
    let error = refused(load_path(&path), &["no known family", "\"some.mask\""]);
    assert!(!error.contains("fetch"), "{error}");
}

#[test]
fn what_is_no_state_dict_is_called_by_its_name_with_a_line_that_helps() {
    for (name, parts) in [
        (
            "bare_module.pth",
            &[
                "whole pickled module",
                "torch.nn.modules.linear.Linear",
                "torch.load(",
                "state_dict()",
            ][..],
        ),
        (
            "module.pth",
            &["whole pickled module", "[\"model\"].state_dict()"],
        ),
        (
            "script.pt",
            &[
                "TorchScript",
                "torch.jit.load(",
                "state_dict()",
                "state.pth",
            ],
        ),
        ("flat.pth", &["FSDP", "FULL_STATE_DICT"]),
        (
            "resnet.pth",
            &[
                "no known family",
                "\"conv1.weight\"",
                "\"layer1.0.bn1.weight\"",
                "no tensors in \"note\"",
            ],
        ),
    ] {
        refused(load_path(&made(name)), &[&[name], parts].concat());
    }
    let folder = tempfile::tempdir().unwrap();
    let lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:abab\nsize 346284714\n";
    let mut npz = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    npz.start_file("a.npy", stored).unwrap();
    let npz = npz.finish().unwrap().into_inner();
    for (name, bytes, parts) in [
        ("empty.pth", &b""[..], &["empty file", "fetch it again"][..]),
        (
            "pointer.bin",
            lfs.as_bytes(),
            &["git LFS pointer", "346284714", "lfs pull"],
        ),
        (
            "page.safetensors",
            b"<!DOCTYPE html>\n<html><title>Sign in</title>",
            &["web page", "/resolve/main/"],
        ),
        ("page.pth", b"\n  <HTML><head></head>", &["web page"]),
        (
            "s3.pth",
            b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>",
            &["XML", "AccessDenied"],
        ),
        (
            "hub.bin",
            b"{\"error\":\"Repository not found\"}",
            &["JSON", "Repository not found"],
        ),
        (
            "config.pth",
            b"{\"model_type\": \"vit\"}",
            &["configuration", "load the folder"],
        ),
        ("a.pth", b"\x1f\x8b\x08\x00\x00", &["gzip"]),
        ("keras.bin", b"\x89HDF\r\n\x1a\n", &["HDF5"]),
        ("picture.pth", b"\x89PNG\r\n\x1a\n", &["PNG"]),
        (
            "plain.pth",
            b"\x80\x04}\x94.",
            &["pickle.dump", "torch.save(pickle.load("],
        ),
        ("arrays.pth", &npz, &["NumPy archive", "numpy.load("]),
        ("zeros.safetensors", &[0; 64], &["zeros", "fetch it again"]),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        refused(load_path(&path), &[&[name], parts].concat());
    }
}

#[test]
fn shards_belong_together() {
    let folder = tempfile::tempdir().unwrap();
    let names = [
        "pytorch_model-00001-of-00002.bin",
        "pytorch_model-00002-of-00002.bin",
        "pytorch_model.bin.index.json",
    ];
    for name in names {
        std::fs::copy(made(name), folder.path().join(name)).unwrap();
    }
    let whole = load_path(folder.path()).unwrap();
    is(&whole, "first", 1e-5);
    // Without an index, by their names.
    let index = folder.path().join(names[2]);
    let text = std::fs::read_to_string(&index).unwrap();
    std::fs::remove_file(&index).unwrap();
    let by_name = load_path(folder.path()).unwrap();
    is(&by_name, "first", 1e-5);
    assert_eq!(by_name.hash(), whole.hash());
    // A missing shard is named, whichever file is asked for.
    let second = folder.path().join(names[1]);
    let bytes = std::fs::read(&second).unwrap();
    std::fs::remove_file(&second).unwrap();
    std::fs::write(&index, &text).unwrap();
    for asked in [
        folder.path().to_path_buf(),
        index.clone(),
        folder.path().join(names[0]),
    ] {
        refused(load_path(&asked), &[names[1], "missing"]);
    }
    // So is one that is only a pointer, and an index that tells lies.
    std::fs::write(
        &second,
        "version https://git-lfs.github.com/spec/v1\nsize 9\n",
    )
    .unwrap();
    refused(load_path(folder.path()), &[names[1], "git LFS pointer"]);
    std::fs::write(&second, &bytes).unwrap();
    std::fs::write(&index, text.replacen("\"cls_token\"", "\"norm.wieght\"", 1)).unwrap();
    refused(load_path(folder.path()), &["norm.wieght", "index"]);
    for (text, parts) in [
        ("{}", ["index.json", "weight_map"]),
        (
            "{\"weight_map\": {\"a\": \"../../etc/passwd\"}}",
            ["../../etc/passwd", "no file beside it"],
        ),
        ("{", ["index.json", "not JSON"]),
    ] {
        std::fs::write(&index, text).unwrap();
        refused(load_path(&index), &parts);
    }
}

#[test]
fn nan_and_infinity_are_named_with_their_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut with = tensors(&made("small.safetensors"));
        let mut values = vec![0f32; 24];
        (values[3], values[20]) = (odd, odd);
        with.insert(
            "blocks.0.attn.qkv.bias".into(),
            Tensor::new(values, &Device::Cpu).unwrap(),
        );
        write(&path, &with);
        refused(
            load_path(&path),
            &["NaN or infinity", "blocks.0.attn.qkv.bias (2 of 24)"],
        );
    }
    // All of them are counted, a few are listed.
    let nan = |t: &Tensor| t.affine(f64::NAN, 0.).unwrap();
    let all = tensors(&made("small.safetensors"));
    write(
        &path,
        &all.iter().map(|(key, t)| (key.clone(), nan(t))).collect(),
    );
    refused(
        load_path(&path),
        &["NaN or infinity", "and 15 tensors more"],
    );
    // A double that no f32 holds.
    let mut with = all.clone();
    with.insert(
        "norm.bias".into(),
        Tensor::new(&[1e300f64; 8], &Device::Cpu).unwrap(),
    );
    write(&path, &with);
    refused(load_path(&path), &["norm.bias (8 of 8)"]);
    // What the model is not made of does no harm.
    let mut with = all.clone();
    with.insert(
        "mask_token".into(),
        Tensor::new(&[f32::NAN; 8], &Device::Cpu).unwrap(),
    );
    write(&path, &with);
    is(&load_path(&path).unwrap(), "small", 1e-5);
}

/// A safetensors file with this header.
fn header(json: &serde_json::Value, data: &[u8]) -> Vec<u8> {
    raw(json.to_string().as_bytes(), data)
}

fn raw(text: &[u8], data: &[u8]) -> Vec<u8> {
    let length = (text.len() as u64).to_le_bytes();
    [&length[..], text, data].concat()
}

#[test]
fn absurd_headers_are_refused_before_anything_is_allocated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let one = |shape: serde_json::Value, from: u64, to: u64| {
        header(
            &json!({"patch_embed.proj.weight": {"dtype": "F32", "shape": shape, "data_offsets": [from, to]}}),
            &[0; 8],
        )
    };
    let twice = br#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#;
    let overlap = json!({
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
    });
    for (what, bytes) in [
        ("too large", one(json!([1u64 << 40, 1 << 30]), 0, 8)),
        ("overflow", one(json!([u64::MAX, u64::MAX]), 0, 8)),
        ("negative", one(json!([-2]), 0, 8)),
        ("backwards", one(json!([2]), 8, 0)),
        ("beyond", one(json!([1u64 << 50]), 0, 1 << 52)),
        (
            "kind",
            header(
                &json!({"a": {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]}}),
                &[0; 8],
            ),
        ),
        ("twice", raw(twice, &[0; 4])),
        ("overlap", header(&overlap, &[0; 8])),
        ("length", u64::MAX.to_le_bytes().to_vec()),
        (
            "header of a gigabyte",
            [&(1u64 << 30).to_le_bytes()[..], b"{}"].concat(),
        ),
        ("list", raw(b"[1, 2, 3]", &[])),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let text = refused(
            load_path(&path),
            &["m.safetensors", "not a whole safetensors file"],
        );
        assert!(text.len() < 400, "{what}: {text}");
    }
}

/// The file `from` with the bytes `old` replaced by `new` of the same length, and every CRC-32 of the archive gone.
fn altered(from: &str, old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut bytes = std::fs::read(made(from)).unwrap();
    let mut found = 0;
    for at in 0..bytes.len() - old.len() {
        if &bytes[at..at + old.len()] == old {
            bytes[at..at + old.len()].copy_from_slice(new);
            found += 1
        }
    }
    assert!(found > 0, "nothing was altered");
    for (magic, offset) in [(b"PK\x01\x02", 16), (b"PK\x03\x04", 14), (b"PK\x07\x08", 4)] {
        for at in 0..bytes.len() - 20 {
            if &bytes[at..at + 4] == magic {
                bytes[at + offset..at + offset + 4].fill(0)
            }
        }
    }
    bytes
}

#[test]
fn absurd_shapes_in_pickles_are_refused_with_their_key() {
    let folder = tempfile::tempdir().unwrap();
    // The shape (1, 5, 8) of the positions: three small integers, K1 K5 K8, and a tuple.
    let shape = b"K\x01K\x05K\x08\x87";
    for (i, (new, parts)) in [
        // More than the storage holds.
        (
            b"K\x01K\x05K\xff\x87",
            ["pos_embed", "more than its storage of 40 numbers"],
        ),
        (
            b"K\xffK\xffK\xff\x87",
            ["pos_embed", "more than its storage of 40 numbers"],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(format!("{i}.pth"));
        std::fs::write(&path, altered("averaged.pth", shape, new)).unwrap();
        refused(load_path(&path), &parts);
    }
    // A negative one, -3 in four bytes, alone in its tuple; 0x98 says nothing.
    let path = folder.path().join("negative.pth");
    let new = b"J\xfd\xff\xff\xff\x85\x98";
    std::fs::write(&path, altered("averaged.pth", shape, new)).unwrap();
    refused(load_path(&path), &["pos_embed", "number -3"]);
}

#[test]
fn cut_and_damaged_archives_are_refused_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.pth");
    for name in [
        "averaged.pth",
        "legacy.pth",
        "small.safetensors",
        "script.pt",
    ] {
        let whole = std::fs::read(made(name)).unwrap();
        for part in 1..40 {
            std::fs::write(&path, &whole[..whole.len() * part / 40]).unwrap();
            let text = load_path(&path).unwrap_err().to_string();
            assert!(
                text.contains("m.pth") && text.contains("fetch it again"),
                "{name} {part}: {text}"
            );
        }
        // Every seventeenth byte wrong in turn: refused, or in a number that is as good as another.
        for at in (0..whole.len()).step_by(17) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            std::fs::write(&path, &bytes).unwrap();
            let _ = load_path(&path);
        }
    }
    // A wrong byte of a number is known by the archive's checksum.
    let mut bytes = std::fs::read(made("averaged.pth")).unwrap();
    let state = Checkpoint::open(made("averaged.pth")).unwrap();
    let number = state
        .tensor("module.norm.bias")
        .unwrap()
        .to_vec1::<f32>()
        .unwrap()[3];
    let at = (0..bytes.len() - 4)
        .find(|at| bytes[*at..at + 4] == number.to_le_bytes())
        .unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    refused(load_path(&path), &["module.norm.bias", "damaged", "CRC-32"]);
}

#[test]
fn a_changed_or_added_file_beside_the_weights_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("model.safetensors");
    std::fs::copy(made("small.safetensors"), &weights).unwrap();
    for asked in [&weights, &folder.path().to_path_buf()] {
        let config = folder.path().join("config.json");
        let _ = std::fs::remove_file(&config);
        let bare = load_path(asked).unwrap();
        assert!(Arc::ptr_eq(&bare, &load_path(asked).unwrap()));
        let said = |crop: f64| {
            let pretrained =
                json!({"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "crop_pct": crop});
            std::fs::write(&config, json!({
                "architecture": "vit_base_patch16_224", "pretrained_cfg": pretrained,
                "model_args": {"img_size": 8, "patch_size": 4, "embed_dim": 8, "depth": 1, "num_heads": 1, "mlp_ratio": 1.0},
            }).to_string()).unwrap()
        };
        said(0.5);
        let added = load_path(asked).unwrap();
        assert_eq!(added.preprocess().crop, 0.5);
        assert_ne!(added.hash(), bare.hash());
        said(0.625);
        assert_eq!(load_path(asked).unwrap().preprocess().crop, 0.625);
        std::fs::remove_file(&config).unwrap();
        let gone = load_path(asked).unwrap();
        assert_eq!(gone.preprocess().crop, bare.preprocess().crop);
    }
    // transformers' file for pictures, and a tokenizer.
    let formats = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/formats/transformers_clip");
    let folder = tempfile::tempdir().unwrap();
    for name in ["model.safetensors", "config.json"] {
        std::fs::copy(formats.join(name), folder.path().join(name)).unwrap();
    }
    let before = load_path(folder.path()).unwrap();
    std::fs::copy(
        formats.join("preprocessor_config.json"),
        folder.path().join("preprocessor_config.json"),
    )
    .unwrap();
    let after = load_path(folder.path()).unwrap();
    assert_ne!(before.preprocess(), after.preprocess());
    refused(after.encode_text(&["the sea"]), &["no tokenizer"]);
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer()).unwrap();
    let with = load_path(folder.path()).unwrap();
    assert_eq!(with.encode_text(&["the sea"]).unwrap().dims(), [1, 16]);
}

/// A small `tokenizer.json`, whose texts end with the token that the test models read out.
fn tokenizer() -> String {
    let special = |token: &str, id: u32| json!({"id": token, "ids": [id], "tokens": [token]});
    let place = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    let text = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "decoder": null,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [place("[START]"), text("A"), place("[END]")],
            "pair": [text("A"), text("B")],
            "special_tokens": {"[START]": special("[START]", 28), "[END]": special("[END]", 29)},
        },
        "model": {
            "type": "WordLevel",
            "vocab": {"the": 1, "sea": 2, "[UNK]": 3, "[START]": 28, "[END]": 29},
            "unk_token": "[UNK]",
        },
    })
    .to_string()
}

#[test]
fn the_tokenizers_remedy_can_be_followed() {
    let clip = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/formats/open_clip");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, tokenizer()).unwrap();
    let (clip, path) = (clip.to_str().unwrap(), path.to_str().unwrap());
    let model = load(clip).unwrap();
    refused(
        model.encode_text(&["the sea"]),
        &["load_with(", "\"tokenizer\"", "with_tokenizer"],
    );
    let first = load_with(clip, json!({"tokenizer": path})).unwrap();
    let second = Arc::new(model.with_tokenizer(path).unwrap());
    for with in [first, second] {
        assert_eq!(embed_texts(&with, &["the sea"]).unwrap().dims(), [1, 16]);
        assert_eq!(with.hash(), model.hash());
    }
    refused(
        load_with("tiny_vit", json!({"tokenizer": path})),
        &["no text tower"],
    );
    refused(
        load_with(clip, json!({"tokenizer": "/nowhere/tokenizer.json"})),
        &["/nowhere/tokenizer.json"],
    );
}

#[test]
fn a_mistyped_path_is_a_missing_path() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(
        made("small.safetensors"),
        folder.path().join("model.safetensors"),
    )
    .unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    for name in ["modle.safetensors", "model.safetensor", "model.savetensors"] {
        refused(
            load(&at(name)),
            &[
                name,
                "no such file or folder",
                "Did you mean \"model.safetensors\"?",
            ],
        );
    }
    for name in [
        "./nosuch",
        "../nosuch",
        "nosuch/",
        "a/b/c",
        "nosuch.pth",
        "nosuch.onnx",
        "~/no such folder/x",
        "/nowhere",
    ] {
        let text = refused(load(name), &["no such file or folder"]);
        assert!(!text.contains("unknown model"), "{text}");
    }
    // The first part is a folder here: no repository is meant.
    for name in ["src/nosuch", "tests/chekpoints"] {
        refused(load(name), &[name, "no such file or folder", "hf-hub:"]);
    }
    refused(load("tests/chekpoints"), &["Did you mean \"checkpoints\""]);
}

#[test]
fn unknown_names_are_answered_with_the_nearest_and_known_ones_that_are_not_built_are_called_so() {
    for (name, meant) in [
        ("tiny_vti", "tiny_vit"),
        ("vit_base_patch16_244", "vit_base_patch16_224"),
        ("ViT-L14", "ViT-L-14"),
        ("dinov22", "dinov2"),
    ] {
        refused(
            load(name),
            &[
                "unknown model",
                name,
                "Did you mean",
                &format!("\"{meant}\""),
            ],
        );
    }
    for name in [
        "resnet50",
        "convnext_base.fb_in22k",
        "efficientnet_b0",
        "beit_base_patch16_224",
        "eva02_base_patch14_224",
        "siglip",
        "swinv2_tiny_window8_256",
        "ViT-B-16-SigLIP/webli",
        "microsoft/swinv2-tiny-patch4-window8-256",
    ] {
        refused(load(name), &[name, "not built"]);
    }
    refused(
        load("https://dl.fbaipublicfiles.com/dino/x/y"),
        &["download the file", "curl"],
    );
}

fn tensors(path: &Path) -> HashMap<String, Tensor> {
    let file = Checkpoint::open(path).unwrap();
    let keys: Vec<_> = file.keys().map(str::to_string).collect();
    keys.into_iter()
        .map(|key| (key.clone(), file.tensor(&key).unwrap().clone()))
        .collect()
}

/// A new file each time, as the same one may be written twice within a tick of the clock.
fn write(path: &Path, tensors: &HashMap<String, Tensor>) {
    let new = path.with_extension("new");
    candle_core::safetensors::save(tensors, &new).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[test]
fn names_of_transformers_five_give_what_those_of_four_give() {
    let formats = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/formats");
    let expected = Checkpoint::open(formats.join("expected.safetensors")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, format, prefix, told) in [
        (
            "transformers_vit",
            &keys::TRANSFORMERS5_VIT,
            "vit.",
            "vit.layers.1.attention.o_proj.bias",
        ),
        (
            "transformers_dinov2",
            &keys::TRANSFORMERS5_DINOV2,
            "",
            "encoder.layer.0.attention.k_proj.weight",
        ),
        (
            "transformers_swin",
            &keys::TRANSFORMERS5_SWIN,
            "swin.",
            "swin.encoder.layers.0.blocks.1.mlp.fc2.bias",
        ),
    ] {
        let house = Checkpoint::open(formats.join(name).join("model.safetensors")).unwrap();
        let house = house.renamed().unwrap();
        let names: Vec<_> = house.keys().map(str::to_string).collect();
        let tensors = names.into_iter().map(|key| {
            let tensor = house.tensor(&key).unwrap().clone();
            (key, tensor)
        });
        let renamed = keys::export(&tensors.collect(), format, prefix).unwrap();
        assert!(renamed.contains_key(told), "{:?}", renamed.keys());
        let into = folder.path().join(name);
        std::fs::create_dir(&into).unwrap();
        write(
            &into.join("model.safetensors"),
            &renamed.into_iter().collect(),
        );
        for beside in ["config.json", "preprocessor_config.json"] {
            std::fs::copy(formats.join(name).join(beside), into.join(beside)).unwrap();
        }
        let model = load_path(&into).unwrap();
        let want = expected.tensor(&format!("{name}.representation")).unwrap();
        let error = distance(&model, want);
        assert!(error < 1e-4, "{name}: {error:.1e}");
    }
}

/// The trials beside the repository, where they are.
fn trials() -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/trials");
    if !path.exists() {
        println!("skipped: there is no {}", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn the_trials_load_or_are_named() {
    let Some(trials) = trials() else { return };
    let at = |name: &str| trials.join("checkpoints").join(name);
    let bytes = std::fs::read(trials.join("references/vit.f32")).unwrap();
    let values: Vec<f32> = bytes
        .chunks(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    let vit = Tensor::from_vec(values, (2, 24), &Device::Cpu).unwrap();
    for name in [
        "b1_module__orig_mod_",
        "b2_msd/w.pth",
        "b2_acc/w.pth",
        "b9_shard",
    ] {
        let error = distance(&load_path(&at(name)).unwrap(), &vit);
        assert!(error < 1e-4, "{name}: {error:.1e}");
    }
    let heads = json!({"num_heads": 3});
    for name in ["b10b/w.pth", "b15", "b4_ch/w.pth", "b4_md/w.pth"] {
        let model = load_with(at(name).to_str().unwrap(), heads.clone()).unwrap();
        assert_eq!(model.encoder().width(), 24, "{name}");
    }
    for name in ["t5sd_vit", "t5sd_dinov2", "b11_c", "b11_d", "b11_lb"] {
        load_path(&at(name)).unwrap();
    }
    says(
        &load_path(&at("b11_d")).unwrap(),
        &["\"some.mask\" is left out", "bool"],
    );
    // Both sets of an EMA file, and one of them is the reference.
    let path = at("b3_ema/w.pth");
    let (ema, raw) = (
        load_path(&path).unwrap(),
        load_as(&path, "state_dict").unwrap(),
    );
    says(
        &ema,
        &[
            "\"state_dict_ema\" are taken",
            "json!({\"weights\": \"state_dict\"})",
        ],
    );
    assert!(distance(&raw, &vit) < 1e-4 && distance(&ema, &vit) > 1e-2);
    for (name, parts) in [
        ("b7/clip.pt", &["TorchScript", "torch.jit.load("][..]),
        ("b7/nodata.pt", &["TorchScript", "data.pkl"]),
        ("b9_bin", &["git LFS pointer", "lfs pull"]),
        ("b9_safetensors", &["git LFS pointer", "lfs pull"]),
    ] {
        refused(load_path(&at(name)), parts);
    }
}
