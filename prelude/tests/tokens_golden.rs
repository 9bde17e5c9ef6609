//! Parity of source tokens with reference values: `tokens_*` of `tests/golden`, or of the folder named by
//! `VITREPL_GOLDEN_DIR`.

mod common;

use candle_core::{DType, Device, Tensor};
use common::golden::Golden;
use serde_json::Value;
use vitrepl_prelude::decompose::{
    BlockPart, Component, DecomposeOptions, Decomposer, Granularity, TokenLayout,
};
use vitrepl_prelude::trace::{Block, Partition};

const TOLERANCE: f64 = 1e-4;

fn check(name: &str) {
    let golden = Golden::open(name);
    let meta = |key: &str| golden.meta(key);
    let options = DecomposeOptions {
        granularity: Granularity::Tokens,
        first_block: first_block(&meta("first_block")),
        ..DecomposeOptions::default()
    };
    let decomposed = Decomposer::new(golden.model.as_ref(), options).unwrap();
    let decomposed = decomposed.run(&golden.pixels).unwrap();
    let tokens = decomposed.token_contributions().unwrap();
    let layers = meta("tokens");
    let mut worst: f64 = 0.0;
    let layers = layers.as_object().unwrap();
    assert!(!layers.is_empty(), "{name} has no layers");
    for (key, layer) in layers {
        let want = golden.file.tensor(key).unwrap();
        let block = block(key.strip_prefix("tokens.").unwrap());
        for head in 0..layer["heads"].as_array().unwrap().len() {
            let part = BlockPart::Head(head);
            let component = Component::Part { block, part };
            let got = tokens.of(component).unwrap();
            let want = want.get(head).unwrap();
            let error = difference(&got, &want);
            assert!(error <= TOLERANCE, "{name} {key} head {head}: {error:.1e}");
            worst = worst.max(error);
            // Along directions, which are pulled back to the value vectors.
            let asked = decomposed.tokens(&component.to_string()).unwrap();
            let directions = directions(want.dim(2).unwrap());
            let got = asked.along(&directions).unwrap();
            let want = want.broadcast_matmul(&directions.t().unwrap()).unwrap();
            let error = difference(got.values(), &want);
            assert!(
                error <= TOLERANCE,
                "{name} {key} head {head} along directions: {error:.1e}"
            );
            worst = worst.max(error);
            check_layout(asked.layout(), layer);
            // Tokens in another order would be seen.
            let order: Vec<u32> = (0..want.dim(1).unwrap() as u32).rev().collect();
            let order = Tensor::new(order, &Device::Cpu).unwrap();
            let turned = want.index_select(&order, 1).unwrap();
            assert!(difference(got.values(), &turned) > 100.0 * TOLERANCE);
        }
    }
    println!("{name}: {} layers, worst token {worst:.1e}", layers.len());
}

/// 70 directions of `width` channels: more than are taken together.
fn directions(width: usize) -> Tensor {
    let values = (0..70 * width).map(|i| ((i * i % 97) as f32 * 0.37).sin());
    Tensor::from_iter(values, &Device::Cpu)
        .unwrap()
        .reshape((70, width))
        .unwrap()
}

/// The tokens before the patches and the grid are those of the file.
fn check_layout(layout: &TokenLayout, layer: &Value) {
    let before = layer["prefix"].as_array().unwrap().len();
    let names = ["class token", "register 1", "register 2"];
    assert_eq!(layout.before(), &names[..before]);
    let side = layout.side();
    assert_eq!(layer["grid"], serde_json::json!([side, side]));
}

/// The largest difference over the largest value.
fn difference(got: &Tensor, want: &Tensor) -> f64 {
    assert_eq!(got.dims(), want.dims());
    let flat = |t: &Tensor| -> Vec<f64> {
        let t = t.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
        t.to_vec1().unwrap()
    };
    let (got, want) = (flat(got), flat(want));
    let size = want.iter().fold(f64::MIN_POSITIVE, |m, w| m.max(w.abs()));
    (got.iter().zip(&want)).fold(0.0, |m: f64, (g, w)| m.max((g - w).abs())) / size
}

/// `2`, `1.0`, `1.0.window`.
fn block(text: &str) -> Block {
    let parts: Vec<_> = text.split('.').collect();
    let number = |i: usize| parts[i].parse::<usize>().unwrap();
    match parts.len() {
        1 => Block::at(number(0)),
        2 => Block::in_stage(number(0), number(1)),
        _ => Block::in_stage(number(0), number(1)).part(match parts[2] {
            "window" => Partition::Window,
            _ => Partition::Grid,
        }),
    }
}

fn first_block(value: &Value) -> Option<Block> {
    match value {
        Value::Number(n) => Some(Block::at(n.as_u64()? as usize)),
        Value::Array(pair) => {
            let at = |i: usize| pair.get(i).and_then(Value::as_u64);
            Some(Block::in_stage(at(0)? as usize, at(1)? as usize))
        }
        _ => None,
    }
}

#[test]
fn tokens_of_a_vit() {
    check("tokens_vit");
}

#[test]
fn tokens_with_registers_and_layer_scale() {
    check("tokens_dinov2");
}

#[test]
fn tokens_of_shifted_windows() {
    check("tokens_swin");
}

#[test]
fn tokens_of_windows_and_grids() {
    check("tokens_maxvit");
}
