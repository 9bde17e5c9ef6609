//! Texts of components in three ways.

use super::support::*;
use candle_core::{DType, Device, Tensor};
use vitrepl_prelude::Result;
use vitrepl_prelude::prelude::*;
use vitrepl_prelude::score::Ranked;

fn vocabulary() -> Vec<&'static str> {
    let factors = [
        Factor::Shape,
        Factor::Colour,
        Factor::Pattern,
        Factor::Location,
    ];
    factors
        .iter()
        .flat_map(|f| f.names().iter().copied())
        .collect()
}

/// A component that adds the difference of one of a few words from the mean word to each image, and one that does nothing.
#[test]
fn a_component_made_of_words_is_labelled_with_them() -> Result<()> {
    let words = vocabulary();
    let texts = class_embeddings(clip(), &words)?;
    let texts = texts.tensor().clone();
    let differences = texts.broadcast_sub(&texts.mean_keepdim(0)?)?;
    let made_of = ["red", "blue", "forest"].map(|w| words.iter().position(|v| *v == w).unwrap());
    let images = 90;
    let picks: Vec<u32> = (0..images).map(|i| made_of[i % 3] as u32).collect();
    let made = differences.index_select(&Tensor::new(picks, &Device::Cpu)?, 0)?;
    let width = made.dim(1)?;
    let still = Tensor::ones((images, width), DType::F32, &Device::Cpu)?;
    let components = [Component::Init, Component::Bias];
    let aligned =
        AlignedContributions::new(components.to_vec(), Tensor::stack(&[made, still], 0)?)?;
    let labels = component_labels(clip(), &aligned, &words, &LabelOptions::default())?;
    let [span, pursuit, code] = labels.get("init")?.ways.clone().unwrap();
    for way in [&pursuit, &code] {
        let mut found: Vec<&str> = way.texts.iter().map(|t| t.0.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, ["blue", "forest", "red"], "{way:?}");
    }
    // Three points lie in a plane through their mean.
    assert!(
        span.explained > 0.5 && pursuit.explained > 0.9,
        "{span:?} {pursuit:?}"
    );
    assert!(labels.get("bias")?.ways.is_none());
    assert!(labels.table().to_string().contains("it does not vary"));
    refused(
        labels.get("block 7 mlp").map(drop),
        &["block 7 mlp", "init, bias"],
    );
    Ok(())
}

#[test]
fn what_carries_the_location_is_called_by_places() -> Result<()> {
    for name in BACKBONES {
        let aligned = aligned(name)?;
        let places = class_embeddings(clip(), Factor::Location.names())?;
        // One component's three texts need not name the feature that it is ranked by: what goes with the location may be
        // a small part of what it does. Over several components they do.
        let ranked = aligned.score(&places)?.top(aligned.components().len())?;
        let labels = component_labels(clip(), &aligned, &vocabulary(), &LabelOptions::default())?;
        let share = |ranked: &[Ranked]| -> Result<f64> {
            let (mut places, mut all) = (0, 0);
            for one in ranked {
                for way in labels.get(&one.name)?.ways.iter().flatten() {
                    let names = way.texts.iter().map(|text| text.0.as_str());
                    places += names
                        .filter(|name| Factor::Location.names().contains(name))
                        .count();
                    all += way.texts.len();
                }
            }
            Ok(places as f64 / all as f64)
        };
        let (first, last) = (share(&ranked[..8])?, share(&ranked[ranked.len() - 8..])?);
        println!(
            "{name}: {first:.2} of the labels are places, {last:.2} of those of the last eight"
        );
        assert!(first > last, "{name}: {first:.2}, {last:.2}");
        let shares: f64 = labels.components.iter().map(|l| l.variance_share).sum();
        assert!((shares - 1.0).abs() < 1e-9);
        for label in &labels.components {
            for way in label.ways.iter().flatten() {
                assert!((-1e-9..=1.0 + 1e-9).contains(&way.explained), "{label:?}");
            }
        }
        labels
            .chart()
            .save(picture(&format!("labels-{name}.png")))?;
        if name == "tiny_vit" {
            println!("{}", labels.table());
            let folder = tempfile::tempdir().unwrap();
            labels.save(folder.path().join("labels.csv"))?;
            labels.save(folder.path().join("labels.parquet"))?;
        }
    }
    Ok(())
}

#[test]
fn more_texts_explain_more_and_a_higher_penalty_less() -> Result<()> {
    let aligned = aligned("tiny_vit")?;
    let with = |texts, penalty| {
        let options = LabelOptions {
            texts,
            penalty,
            coded_images: 50,
        };
        component_labels(clip(), &aligned, &vocabulary(), &options)
    };
    let (few, many) = (with(1, 0.4)?, with(5, 0.1)?);
    for (few, many) in few.components.iter().zip(&many.components) {
        let (few_ways, many_ways) = (few.ways.as_ref().unwrap(), many.ways.as_ref().unwrap());
        for (few, many) in few_ways.iter().zip(many_ways) {
            assert!(few.explained < many.explained, "{few:?} {many:?}");
        }
    }
    refused(with(0, 0.2), &["texts = 0"]);
    refused(with(99, 0.2), &["texts = 99", "22"]);
    refused(with(3, 0.0), &["penalty = 0"]);
    let none = LabelOptions {
        coded_images: 0,
        ..LabelOptions::default()
    };
    refused(
        component_labels(clip(), &aligned, &vocabulary(), &none),
        &["coded_images"],
    );
    refused(
        component_labels(
            model("tiny_vit"),
            &aligned,
            &vocabulary(),
            &LabelOptions::default(),
        ),
        &["tiny_clip", "tiny_vit"],
    );
    refused(
        component_labels(clip(), &aligned, &["red"], &LabelOptions::default()),
        &["two texts"],
    );
    Ok(())
}
