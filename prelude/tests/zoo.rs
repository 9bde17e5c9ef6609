//! The embedded zoo is what its cards say: accuracy measured anew on some of the held-out images, sizes,
//! names.

use std::path::PathBuf;
use vitrepl_prelude::Result;
use vitrepl_prelude::candle_core::{D, DType, Device, Tensor};
use vitrepl_prelude::data::templates::prompts;
use vitrepl_prelude::data::{DataSet, Factor, GeneratedSet};
use vitrepl_prelude::models::Model;
use vitrepl_prelude::models::weights::Checkpoint;
use vitrepl_prelude::train::{Card, Family, Recipe};

/// Of the held-out images that the card's accuracy is of.
const SOME: usize = 500;

const NAMES: [&str; 5] = [
    "tiny_vit",
    "tiny_dinov2",
    "tiny_swin",
    "tiny_maxvit",
    "tiny_clip",
];

fn file(name: &str, extension: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("zoo")
        .join(name)
        .with_extension(extension)
}

fn card(name: &str) -> Card {
    serde_json::from_slice(&std::fs::read(file(name, "json")).unwrap()).unwrap()
}

/// A linear head for a factor: classes x width, and a bias.
type Head = (Tensor, Tensor);

fn trained_head(name: &str, factor: Factor) -> Result<Head> {
    let weights = Checkpoint::open(file(name, "safetensors"))?;
    let part = |part: &str| -> Result<Tensor> {
        let name = format!("head.{}.{part}", factor.name());
        Ok(weights.tensor(&name)?.to_dtype(DType::F32)?)
    };
    Ok((part("weight")?, part("bias")?))
}

fn unit(x: &Tensor) -> Result<Tensor> {
    Ok(x.broadcast_div(&x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?)?)
}

fn zero_shot_head(model: &Model, factor: Factor) -> Result<Head> {
    let rows = factor
        .names()
        .iter()
        .map(|name| Ok(unit(&model.encode_text(&prompts(name))?)?.mean(0)?))
        .collect::<Result<Vec<_>>>()?;
    let weight = unit(&Tensor::stack(&rows, 0)?)?;
    let bias = Tensor::zeros(factor.count(), DType::F32, &Device::Cpu)?;
    Ok((weight, bias))
}

#[test]
fn models_are_as_accurate_as_their_cards_say() -> Result<()> {
    for name in NAMES {
        let card = card(name);
        let path = file(name, "safetensors");
        let model = Model::open(
            path.to_str().unwrap(),
            &serde_json::Value::Null,
            &Device::Cpu,
        )?;
        let model = match card.recipe.family {
            Family::Clip(_) => model.with_tokenizer(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/src/data/tokenizer.json"
            ))?,
            _ => model,
        };
        let set = GeneratedSet::new(card.recipe.held_out_images.clone())?;
        let indices: Vec<_> = (0..SOME).collect();
        let z = model
            .encoder()
            .encode(&set.pixels(&indices, model.input())?)?;
        for factor in Factor::ALL {
            let (weight, bias) = match card.recipe.family {
                Family::Clip(_) => zero_shot_head(&model, factor)?,
                _ => trained_head(name, factor)?,
            };
            let logits = z.matmul(&weight.t()?)?.broadcast_add(&bias)?;
            let said = logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
            let right = set
                .values(factor)
                .iter()
                .zip(said)
                .filter(|(value, said)| **value == *said as usize)
                .count();
            let (measured, stated) = (right as f64 / SOME as f64, card.accuracy[factor.name()]);
            // Four standard errors, and a little for the rounding of the weights.
            let within = 0.01 + 4. * (stated * (1. - stated) / SOME as f64).sqrt();
            assert!(
                (measured - stated).abs() < within,
                "{name} {}: {measured}, the card says {stated}",
                factor.name()
            );
        }
    }
    Ok(())
}

#[test]
fn the_train_command_would_make_these_very_models() {
    for name in NAMES {
        let recipe = Recipe::named(name.trim_start_matches("tiny_")).unwrap();
        assert_eq!(card(name).recipe, recipe);
    }
}

#[test]
fn every_factor_is_known_far_above_chance() {
    for name in NAMES {
        let accuracy = card(name).accuracy;
        for factor in [
            Factor::Shape,
            Factor::Colour,
            Factor::Pattern,
            Factor::Location,
        ] {
            let chance = 1. / factor.count() as f64;
            assert!(
                accuracy[factor.name()] > 3. * chance.min(0.25),
                "{name} {}: {accuracy:?}",
                factor.name()
            );
        }
    }
}

#[test]
fn the_zoo_is_small() {
    let sizes = NAMES.map(|name| std::fs::metadata(file(name, "safetensors")).unwrap().len());
    assert!(sizes.iter().sum::<u64>() < 12_000_000, "{sizes:?}");
}
