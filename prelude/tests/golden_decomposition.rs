//! Parity with the paper's Python implementation: every `*.safetensors` of the golden folder that holds a model.
//!
//! The folder is `tests/golden`, or the one `VITREPL_GOLDEN_DIR` names; `VITREPL_TEST_DEVICE=cuda:0` has all of it computed on
//! a GPU. Files are understood by their metadata; one
//! that is not understood fails by name, unless it is listed here.

mod common;

use candle_core::{DType, Tensor};
use serde_json::Value;
use std::path::PathBuf;
use vitrepl_prelude::decompose::{
    BlockPart, Component, Contributions, DecomposeOptions, Decomposer, Granularity,
};
use vitrepl_prelude::models::weights::{Checkpoint, Precision};
use vitrepl_prelude::models::{
    Clip, ImageEncoder, MaxVit, MaxVitConfig, Normalisation, Swin, SwinConfig, Vit, VitConfig,
};
use vitrepl_prelude::store::{StoreOptions, StoreType};
use vitrepl_prelude::trace::Block;

/// Files left to other tests or not built yet, by name.
const SKIPPED: &[(&str, &str)] = &[
    ("scoring", "read by tests/golden_scoring.rs"),
    ("preprocess", "read by tests/preprocess.rs"),
    ("completeness", "read by tests/experiments_golden.rs"),
    ("heatmap", "read by tests/experiments_golden.rs"),
    ("ordering", "read by tests/experiments_golden.rs"),
    ("segmentation", "read by tests/experiments_golden.rs"),
    ("sparse_text", "read by tests/experiments_golden.rs"),
    ("relevance", "read by tests/relevance_golden.rs"),
    ("relevance_maxvit", "read by tests/relevance_golden.rs"),
    ("relevance_swin", "read by tests/relevance_golden.rs"),
];

/// How far a component and the representation may be from the paper's code, over the largest component and over the
/// representation: by the type of a model's large products.
fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-4,
        Precision::F16 => 4e-3,
        Precision::Bf16 => 3e-2,
    }
}

/// Of what comes back from a store in f16.
const IN_HALVES: f64 = 1e-3;

type Outcome = Result<String, String>;

#[test]
fn components_match_the_papers_code() {
    let folder = std::env::var_os("VITREPL_GOLDEN_DIR").map(PathBuf::from);
    let folder =
        folder.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"));
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    files.sort();
    let mut failed = Vec::new();
    let mut checked = 0;
    for path in files {
        let name = path.file_stem().unwrap().to_string_lossy().to_string();
        if let Some((_, why)) = SKIPPED.iter().find(|(skipped, _)| *skipped == name) {
            println!("{name}: skipped, {why}");
            continue;
        }
        for precision in [Precision::F32, Precision::F16, Precision::Bf16] {
            let name = format!("{name} in {}", precision.name());
            match check(Checkpoint::open(&path).unwrap(), precision) {
                Ok(report) => println!("{name}: {report}"),
                Err(reason) => failed.push(format!("{name}: {reason}")),
            }
        }
        checked += 1;
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
    assert!(checked > 0, "{} holds no model", folder.display());
}

/// A JSON value of the metadata.
fn meta(file: &Checkpoint, key: &str) -> Result<Value, String> {
    let text = file
        .metadata()
        .get(key)
        .ok_or_else(|| format!("no metadata \"{key}\""))?;
    Ok(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())))
}

fn check(file: Checkpoint, precision: Precision) -> Outcome {
    let tolerance = tolerance(precision);
    let family = meta(&file, "family")?;
    let config = meta(&file, "config")?;
    let want: Vec<(String, Tensor)> = [
        "pixels",
        "representation",
        "contributions.heads",
        "contributions.layers",
    ]
    .iter()
    .map(|key| {
        Ok((
            key.to_string(),
            file.tensor(key).map_err(|e| e.to_string())?.clone(),
        ))
    })
    .collect::<Result<_, String>>()?;
    let text = ["text_ids", "text_embeds"].map(|key| file.tensor(key).ok().cloned());
    let channels = |key| -> Result<[f32; 3], String> {
        serde_json::from_value(meta(&file, key)?).map_err(|e| format!("{key}: {e}"))
    };
    let normalisation = Normalisation {
        mean: channels("mean")?,
        std: channels("std")?,
    };
    let names = |key: &str| -> Result<Vec<String>, String> {
        serde_json::from_value(meta(&file, key)?).map_err(|e| format!("{key}: {e}"))
    };
    let lists = [names("components.heads")?, names("components.layers")?];
    let first_block = meta(&file, "first_block")?;
    let weights = file.under("weights.").in_precision(precision);
    let device = common::device();
    let mut report = String::new();
    let model: Box<dyn ImageEncoder> = match family.as_str() {
        Some("vit") => {
            let config = VitConfig::infer(&weights, &config).map_err(|e| e.to_string())?;
            let vit = weights.build("the golden vit", &device, |vb| Vit::new(&config, vb));
            Box::new(vit.map_err(|e| e.to_string())?)
        }
        Some("swin") => {
            let config = SwinConfig::infer(&weights, &config).map_err(|e| e.to_string())?;
            let swin = weights.build("the golden swin", &device, |vb| Swin::new(&config, vb));
            Box::new(swin.map_err(|e| e.to_string())?)
        }
        Some("maxvit") => {
            let config = MaxVitConfig::infer(&weights, &config).map_err(|e| e.to_string())?;
            let maxvit = weights.build("the golden maxvit", &device, |vb| MaxVit::new(&config, vb));
            Box::new(maxvit.map_err(|e| e.to_string())?)
        }
        Some("clip") => {
            let config = serde_json::from_value(config).map_err(|e| format!("config: {e}"))?;
            let weights = weights.renamed().map_err(|e| e.to_string())?;
            let clip = weights.build("the golden clip", &device, |vb| Clip::new(&config, vb));
            let clip = clip.map_err(|e| e.to_string())?;
            let [Some(ids), Some(embeds)] = text else {
                return Err("a clip without text_ids and text_embeds".into());
            };
            let got = clip
                .encode_text(&ids.to_device(&device).unwrap())
                .map_err(|e| e.to_string())?;
            let error = relative(&got, &embeds, norm(&embeds));
            if error > 1e-4 {
                return Err(format!("text: {error:.1e}"));
            }
            report = format!("text {error:.1e}, ");
            Box::new(clip)
        }
        other => return Err(format!("family {other:?} is not built")),
    };
    let pixels = want[0].1.to_device(&device).unwrap();
    let pixels = normalisation.apply(&pixels).map_err(|e| e.to_string())?;
    for (granularity, key, list) in [
        (Granularity::Heads, 2, &lists[0]),
        (Granularity::Layers, 3, &lists[1]),
    ] {
        let options = DecomposeOptions {
            granularity,
            first_block: Some(block(&first_block)?),
            ..DecomposeOptions::default()
        };
        let decomposer = Decomposer::new(model.as_ref(), options).map_err(|e| e.to_string())?;
        let got = decomposer.run(&pixels).map_err(|e| e.to_string())?;
        let computed = got;
        let got = reopened(&computed, StoreType::F32)?;
        let [a, b] = [&got, &computed].map(|c| c.values().flatten_all().unwrap());
        if a.to_vec1::<f32>().unwrap() != b.to_vec1::<f32>().unwrap() {
            return Err("a store in f32 does not give back what was saved".into());
        }
        let halves = reopened(&computed, StoreType::F16)?;
        let z = relative(got.representation(), &want[1].1, norm(&want[1].1));
        let sum = got.sum_error().map_err(|e| e.to_string())?;
        if list.len() != got.len() {
            return Err(format!(
                "{} components, the paper's code has {}",
                got.len(),
                list.len()
            ));
        }
        let all = &want[key].1;
        let parts: Vec<Tensor> = (0..list.len()).map(|i| all.get(i).unwrap()).collect();
        let largest = parts.iter().map(norm).fold(0.0, f64::max);
        let mut worst = 0f64;
        for (name, part) in list.iter().zip(&parts) {
            let component = component(name, &model.blocks())?;
            let mine = got.of(component).map_err(|e| e.to_string())?;
            let error = relative(&mine, part, largest);
            if error > tolerance {
                return Err(format!("{name} ({component}): {error:.1e}"));
            }
            worst = worst.max(error);
            let mine = halves.of(component).map_err(|e| e.to_string())?;
            let error = relative(&mine, part, largest);
            if error > IN_HALVES.max(tolerance) {
                return Err(format!("{name} ({component}), stored in f16: {error:.1e}"));
            }
        }
        if z > tolerance || sum > 1e-5 {
            return Err(format!("representation {z:.1e}, sum {sum:.1e}"));
        }
        report += &format!("{granularity:?}: worst {worst:.1e}, z {z:.1e}, sum {sum:.1e}; ");
    }
    Ok(report)
}

/// What a store gives back of contributions, in chunks of two images.
fn reopened(c: &Contributions, dtype: StoreType) -> Result<Contributions, String> {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("golden.zarr").display().to_string();
    let options = StoreOptions {
        dtype,
        chunk: Some(2),
    };
    c.save_as(&address, &options).map_err(|e| e.to_string())?;
    let stored = Contributions::open(&address).and_then(|stored| stored.load());
    stored.map_err(|e| e.to_string())
}

fn norm(x: &Tensor) -> f64 {
    let x = x.to_dtype(DType::F64).unwrap();
    x.sqr()
        .unwrap()
        .sum_all()
        .unwrap()
        .to_scalar::<f64>()
        .unwrap()
        .sqrt()
}

fn relative(got: &Tensor, want: &Tensor, scale: f64) -> f64 {
    assert_eq!(got.dims(), want.dims());
    let got = got.to_device(want.device()).unwrap();
    norm(&(&got - want).unwrap()) / scale
}

fn block(value: &Value) -> Result<Block, String> {
    match value {
        Value::Number(n) => Ok(Block::at(n.as_u64().ok_or("first_block")? as usize)),
        Value::Array(pair) => {
            let at = |i: usize| pair.get(i).and_then(Value::as_u64).ok_or("first_block");
            Ok(Block::in_stage(at(0)? as usize, at(1)? as usize))
        }
        other => Err(format!("first_block {other}")),
    }
}

/// The paper's name, whose layers count from the output, as a component, whose blocks count from the input.
fn component(name: &str, blocks: &[Block]) -> Result<Component, String> {
    if name == "init" {
        return Ok(Component::Init);
    }
    let unknown = || format!("component \"{name}\" is not understood");
    let (layer, part) = name.split_once(", ").ok_or_else(unknown)?;
    let layer = layer.strip_prefix("layer:").ok_or_else(unknown)?;
    let at = |layer: &str| {
        let layer: usize = layer.parse().map_err(|_| unknown())?;
        blocks.iter().rev().nth(layer).copied().ok_or_else(unknown)
    };
    // A MaxViT block is two layers and one convolution: "layer:(00, 01), conv".
    if let Some(pair) = name.strip_prefix("layer:(") {
        let (last, _) = pair.split_once(',').ok_or_else(unknown)?;
        return Ok(Component::Part {
            block: at(last)?.whole(),
            part: BlockPart::Conv,
        });
    }
    let block = at(layer)?;
    let part = match part.split_once(':') {
        Some(("attn_head", h)) => BlockPart::Head(h.parse().map_err(|_| unknown())?),
        None if part == "attns" => BlockPart::Attention,
        None if part == "mlp" => BlockPart::Mlp,
        _ => return Err(unknown()),
    };
    Ok(Component::Part { block, part })
}
