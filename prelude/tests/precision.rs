//! Models whose large products are in half precision: what stays exact, and what is said of it.

mod common;

use candle_core::{DType, Tensor};
use common::refused;
use serde_json::json;
use vitrepl_prelude::decompose::{DecomposeOptions, Decomposer, Granularity, Sharing};
use vitrepl_prelude::models::Model;
use vitrepl_prelude::prelude::*;
use vitrepl_prelude::trace::Tape;

const MODELS: [&str; 5] = [
    "tiny_vit",
    "tiny_dinov2",
    "tiny_swin",
    "tiny_maxvit",
    "tiny_clip",
];

fn open(name: &str, dtype: &str) -> Model {
    Model::open(name, &json!({"dtype": dtype}), &common::device()).unwrap()
}

fn largest(x: &Tensor) -> f32 {
    let x = x.to_dtype(DType::F32).unwrap().abs().unwrap();
    x.max_all().unwrap().to_scalar().unwrap()
}

/// Over the largest value of `b`.
fn apart(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!((a.dims(), a.dtype()), (b.dims(), b.dtype()));
    largest(&(a - b).unwrap()) / largest(b)
}

#[test]
fn components_sum_up_to_the_representation_whatever_the_precision() {
    for name in MODELS {
        let full = open(name, "f32");
        let size = full.encoder().image_size();
        let device = full.encoder().device();
        let pixels = Tensor::randn(0f32, 1., (4, 3, size, size), device).unwrap();
        let z = |model: &Model| {
            let features = model.encoder().forward(&pixels, &Tape::off()).unwrap();
            features.representation.value().clone()
        };
        for (dtype, near) in [("f16", 5e-3), ("bf16", 5e-2)] {
            let half = open(name, dtype);
            assert_ne!(half.hash(), full.hash());
            assert!(
                half.to_string()
                    .contains(&format!("large products in {dtype}"))
            );
            let gap = apart(&z(&half), &z(&full));
            println!("{name} in {dtype}: the representation is {gap:.1e} from that in f32");
            assert!(gap > 0.0 && gap < near, "{name} in {dtype}: {gap}");
            for sharing in [Sharing::Equal, Sharing::Own] {
                let options = DecomposeOptions {
                    granularity: Granularity::Tokens,
                    sharing,
                    ..DecomposeOptions::default()
                };
                let decomposer = Decomposer::new(half.encoder(), options).unwrap();
                let c = decomposer.run(&pixels).unwrap();
                let error = c.sum_error().unwrap();
                assert!(error < 1e-5, "{name} in {dtype}, {sharing:?}: {error:.1e}");
                assert!(apart(c.representation(), &z(&half)) < 1e-6);
                // A head's tokens are of products that were not rounded on the way.
                let head = *c
                    .components()
                    .iter()
                    .rfind(|one| one.to_string().contains("head"))
                    .unwrap();
                let tokens = c.token_contributions().unwrap().of(head).unwrap();
                let gap = largest(&(tokens.sum(1).unwrap() - c.of(head).unwrap()).unwrap());
                let gap = gap / largest(&c.of(head).unwrap());
                assert!(gap < near, "{name} in {dtype}: tokens of {head} {gap:.1e}");
            }
        }
    }
}

#[test]
fn activations_are_f32_and_changes_of_them_are_taken() -> Result<()> {
    let _ = &*common::CACHE;
    let half = load_with("tiny_vit", json!({"dtype": "bf16"}))?;
    let images = GeneratedSet::new(GeneratedSpec::unbiased(1, 4))?;
    let seen = activations(&half, &images, &["block 5 pattern", "block 0 mlp_post"])?;
    let pattern = seen.get("block 5 pattern")?;
    assert_eq!(pattern.dtype(), DType::F32);
    let sums = pattern.sum(candle_core::D::Minus1)?;
    assert!(apart(&sums, &sums.ones_like()?) < 2e-2);
    let changed = intervene(
        &half,
        &images,
        &[("block 5 head 3 z", ActivationChange::Zero)],
    )?;
    let _ = changed;
    Ok(())
}

#[test]
fn another_type_is_refused_by_name() {
    let device = common::device();
    let given = |dtype| Model::open("tiny_vit", &json!({"dtype": dtype}), &device);
    refused(given(json!("float16")), &["dtype", "float16", "\"bf16\""]);
    refused(given(json!(16)), &["dtype", "16"]);
    // The same weights with products in f32 are the same model as without a word.
    let plain = Model::open("tiny_vit", &json!({}), &device).unwrap();
    assert_eq!(given(json!("f32")).unwrap().hash(), plain.hash());
}
