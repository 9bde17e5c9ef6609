//! The generated set: the same image whatever the way it is asked for, balanced labels, the wanted
//! correlation, exact masks, captions the tokenizer knows.

use proptest::prelude::*;
use vitrepl_prelude::Result;
use vitrepl_prelude::data::generated::CAPTIONS;
use vitrepl_prelude::data::templates::{TEMPLATES, prompts};
use vitrepl_prelude::data::tokenizer::build;
use vitrepl_prelude::data::{
    DataSet, Factor, FactorCorrelation, GeneratedSet, GeneratedSpec, Tokenizer,
};

fn unbiased(len: usize) -> GeneratedSet {
    GeneratedSet::new(GeneratedSpec::unbiased(11, len)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn an_image_does_not_depend_on_its_batch(seed in 0u64..1000, i in 0usize..500, size in 24usize..72) {
        let set = GeneratedSet::new(GeneratedSpec::unbiased(seed, 500)).unwrap();
        let longer = GeneratedSet::new(GeneratedSpec::unbiased(seed, 900)).unwrap();
        let alone = set.pixels(&[i], size.into()).unwrap();
        let among = longer.pixels(&[3, i, 499], size.into()).unwrap().narrow(0, 1, 1).unwrap();
        let values = |t: candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        prop_assert_eq!(values(alone), values(among));
        prop_assert_ne!(set.draw(i, size), set.draw((i + 1) % 500, size));
        let other = GeneratedSet::new(GeneratedSpec::unbiased(seed + 1, 500)).unwrap();
        prop_assert_ne!(set.draw(i, size), other.draw(i, size));
    }

    #[test]
    fn the_scene_does_not_depend_on_the_size(i in 0usize..500) {
        let set = unbiased(500);
        let share = |size: usize| {
            let mask = set.draw(i, size).mask;
            mask.iter().map(|&m| f64::from(m)).sum::<f64>() / mask.len() as f64
        };
        prop_assert!((share(48) - share(192)).abs() < 0.01);
    }
}

#[test]
fn masks_cover_the_object_and_nothing_else() -> Result<()> {
    let set = unbiased(400);
    let size = 64;
    let indices: Vec<_> = (0..set.len()).collect();
    let masks = set.masks(&indices, size.into())?.to_vec3::<u8>()?;
    for (i, mask) in masks.iter().enumerate() {
        let factors = set.factors(i);
        let inside: Vec<_> = (0..size * size)
            .filter(|&p| mask[p / size][p % size] == 1)
            .collect();
        let share = inside.len() as f64 / (size * size) as f64;
        // A disc of the factor's range of radii, and 40 % to either side for the other shapes.
        let (least, most) =
            [(0.185f64, 0.22f64), (0.26, 0.305)][factors.get(Factor::Size) as usize];
        let disc = |radius: f64| 0.9 * std::f64::consts::PI * radius * radius;
        assert!(
            share > 0.6 * disc(least) && share < 1.4 * disc(most),
            "image {i} {factors:?}: {share}"
        );
        let mean = |of: fn(usize, usize) -> usize| {
            inside.iter().map(|&p| of(p, size) as f64).sum::<f64>() / (inside.len() * size) as f64
        };
        let position = factors.get(Factor::Position);
        for (at, cell) in [
            (mean(|p, s| p % s), position % 3),
            (mean(|p, s| p / s), position / 3),
        ] {
            let expected = [0.27, 0.5, 0.73][cell as usize];
            assert!(
                (at - expected).abs() < 0.12,
                "image {i}: centre {at}, cell {cell}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_objects_colour_is_inside_its_mask() -> Result<()> {
    // Mean over solid red objects against mean over what surrounds them.
    let set = unbiased(600);
    let (mut inside, mut outside) = ([0f64; 3], [0f64; 3]);
    let red = |i: &usize| {
        let factors = set.factors(*i);
        factors.value_name(Factor::Colour) == "red"
            && factors.value_name(Factor::Pattern) == "solid"
    };
    for i in (0..set.len()).filter(red) {
        let drawing = set.draw(i, 48);
        for (pixel, mask) in drawing.rgb.chunks_exact(3).zip(&drawing.mask) {
            let sum = if *mask == 1 {
                &mut inside
            } else {
                &mut outside
            };
            (0..3).for_each(|c| sum[c] += f64::from(pixel[c]));
        }
    }
    let redness = |sum: [f64; 3]| sum[0] / (sum[0] + sum[1] + sum[2]);
    assert!(redness(inside) > 0.6, "{}", redness(inside));
    assert!(redness(outside) < 0.4, "{}", redness(outside));
    Ok(())
}

#[test]
fn every_value_is_equally_frequent_and_factors_are_independent() {
    let set = unbiased(6000);
    for factor in Factor::ALL {
        let values = set.values(factor);
        for value in 0..factor.count() {
            let share = values.iter().filter(|&&v| v == value).count() as f64 / values.len() as f64;
            let expected = 1. / factor.count() as f64;
            assert!(
                (share - expected).abs() < 0.025,
                "{} {value}: {share}",
                factor.name()
            );
        }
    }
    let (shapes, places) = (set.values(Factor::Shape), set.values(Factor::Location));
    let together = shapes.iter().zip(&places).filter(|(s, p)| s == p).count() as f64 / 6000.;
    assert!((together - 1. / 6.).abs() < 0.02, "{together}");
}

#[test]
fn class_and_place_agree_as_often_as_asked() -> Result<()> {
    for agreement in [0.5, 0.77, 0.95, 1.] {
        let set = GeneratedSet::new(GeneratedSpec::correlated(3, 4000, agreement))?;
        let [class, place, group, shape, location] =
            ["class", "place", "group", "shape", "location"].map(|name| set.labels(name).unwrap());
        let same = (0..set.len())
            .filter(|&i| class.values[i] == place.values[i])
            .count() as f64
            / 4000.;
        assert!((same - agreement).abs() < 0.025, "{same} for {agreement}");
        for i in 0..set.len() {
            assert_eq!(group.values[i], 2 * class.values[i] + place.values[i]);
            assert_eq!(class.values[i], shape.values[i] / 3);
            assert_eq!(place.values[i], location.values[i] / 3);
        }
        assert_eq!(
            group.names,
            [
                "rounded, open",
                "rounded, covered",
                "angular, open",
                "angular, covered"
            ]
        );
    }
    Ok(())
}

#[test]
fn captions_name_true_values_in_known_words() -> Result<()> {
    let set = unbiased(300);
    let tokenizer = Tokenizer::embedded(24)?;
    let mut different = std::collections::HashSet::new();
    for variant in 0..CAPTIONS {
        let indices: Vec<_> = (0..set.len()).collect();
        let captions = set.captions(&indices, variant);
        let tokens = tokenizer.encode(&captions)?;
        assert!(tokens.unknown.is_empty(), "{:?}", tokens.unknown);
        assert_eq!(tokens.ids.dims(), [300, 24]);
        for (i, caption) in captions.iter().enumerate() {
            let factors = set.factors(i);
            for factor in [Factor::Shape, Factor::Pattern, Factor::Location] {
                for name in factor
                    .names()
                    .iter()
                    .filter(|&&name| name != factors.value_name(factor))
                {
                    let mut words = caption.split([' ', '.']);
                    assert!(!words.any(|word| word == *name), "{caption}: {factors:?}");
                }
            }
        }
        different.extend(captions);
    }
    assert!(different.len() > 5000, "{}", different.len());
    Ok(())
}

#[test]
fn the_embedded_tokenizer_is_the_one_that_build_makes() -> Result<()> {
    let committed = include_str!("../src/data/tokenizer.json");
    assert_eq!(build().unwrap().trim(), committed.trim());
    let tokenizer = Tokenizer::embedded(24)?;
    for factor in Factor::ALL {
        for name in factor.names() {
            let tokens = tokenizer.encode(&prompts(name))?;
            assert!(tokens.unknown.is_empty(), "{:?}", tokens.unknown);
        }
    }
    let tokens = tokenizer.encode(&["a photo of a zebra, a Zebra and a CIRCLE."])?;
    assert_eq!(tokens.unknown, ["zebra", "Zebra"]);
    let ids = tokens.ids.to_vec2::<u32>()?[0].clone();
    let end = ids
        .iter()
        .position(|id| ids.iter().max() == Some(id))
        .unwrap();
    assert_eq!(ids[end] as usize, tokenizer.vocabulary_size() - 1);
    assert!(ids[end + 1..].iter().all(|&id| id == 0));
    Ok(())
}

#[test]
fn there_are_80_different_templates_with_one_gap_each() {
    let different: std::collections::HashSet<_> = TEMPLATES.iter().collect();
    assert_eq!(different.len(), 80);
    assert!(
        TEMPLATES
            .iter()
            .all(|template| template.matches("{}").count() == 1)
    );
}

#[test]
fn keys_tell_sets_apart() -> Result<()> {
    let key = |spec| GeneratedSet::new(spec).map(|set| set.key());
    let same = key(GeneratedSpec::unbiased(1, 50))?;
    assert_eq!(same, key(GeneratedSpec::unbiased(1, 50))?);
    assert_ne!(same, key(GeneratedSpec::unbiased(2, 50))?);
    assert_ne!(same, key(GeneratedSpec::unbiased(1, 51))?);
    assert_ne!(same, key(GeneratedSpec::correlated(1, 50, 0.5))?);
    Ok(())
}

#[test]
fn bad_requests_are_explained() {
    let message = |result: Result<()>| result.unwrap_err().to_string();
    let new = |spec| GeneratedSet::new(spec).map(|_| ());
    assert_eq!(
        message(new(GeneratedSpec::unbiased(1, 0))),
        "len = 0: at least one image"
    );
    assert!(message(new(GeneratedSpec::correlated(1, 9, 1.5))).contains("agreement = 1.5"));
    let mut overlapping = FactorCorrelation::shape_and_location(0.9);
    overlapping.class.groups[1].push(0);
    let spec = GeneratedSpec {
        seed: 1,
        len: 9,
        correlation: Some(overlapping),
    };
    assert!(message(new(spec)).contains("two disjoint, non-empty groups of values of shape"));

    let set = unbiased(9);
    assert!(
        message(set.pixels(&[9], 48.into()).map(|_| ()))
            .contains("image 9 does not exist; the set has 9")
    );
    assert!(message(set.pixels(&[0], 0.into()).map(|_| ())).contains("size = 0"));
    assert!(message(set.pixels(&[], 48.into()).map(|_| ())).contains("empty list of indices"));
    assert!(message(set.labels("group").map(|_| ())).contains("it has shape, colour"));
    let tokenizer = Tokenizer::embedded(8).unwrap();
    assert!(
        message(
            tokenizer
                .encode(&["a photo of a large striped red circle"])
                .map(|_| ())
        )
        .contains("at most 8 tokens")
    );
}
