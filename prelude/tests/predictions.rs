//! Which components decided a prediction, and what becomes of it when parts of another image are put in their place.

mod common;

use candle_core::{DType, Tensor};
use common::{CACHE, refused};
use std::path::Path;
use std::sync::LazyLock;
use vitrepl_prelude::charts::Chart;
use vitrepl_prelude::experiments::{LogitShares, Swap};
use vitrepl_prelude::prelude::*;
use vitrepl_prelude::score::{LinearHead, ProbeOptions, fit_probe};

fn model(name: &str) -> Arc<Model> {
    LazyLock::force(&CACHE);
    load(name).unwrap()
}

fn images() -> GeneratedSet {
    GeneratedSet::new(GeneratedSpec::unbiased(5, 60)).unwrap()
}

/// A probe for the shape, of representations of `model`.
fn probe(name: &str) -> LinearHead {
    let (set, shape) = (images(), Factor::Shape);
    let embeddings = embed_images(model(name), &set).unwrap();
    let labels = set.labels(shape.name()).unwrap().values;
    let options = ProbeOptions {
        l2: 0.1,
        ..ProbeOptions::default()
    };
    let (head, _) = fit_probe(&embeddings, &labels, shape.count(), &options).unwrap();
    head.named(shape.names().iter().copied()).unwrap()
}

/// Leaves a chart to be looked at, and checks that no text leaves it.
fn look(name: &str, chart: &dyn Chart) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("charts");
    assert!(chart.scene().unwrap().nothing_cut_off(), "{name}");
    for extension in ["svg", "png", "pdf"] {
        chart
            .write(&folder.join(format!("{name}.{extension}")))
            .unwrap();
    }
    println!("{}", chart.text());
}

/// The shares of an image sum to the logit within 1e-4, and the chart ends there.
fn exact(shares: &LogitShares) {
    assert!(shares.sum_error() < 1e-4, "{}", shares.sum_error());
    let sum: f64 = shares.means().iter().sum::<f64>() + shares.bias();
    assert!(
        (sum - shares.logit()).abs() < 1e-4,
        "{sum} and {}",
        shares.logit()
    );
    for count in [1, 5, 1000] {
        let chart = shares.chart(count);
        assert!(
            (chart.sum() - shares.logit()).abs() < 1e-4,
            "{count}: {}",
            chart.sum()
        );
    }
}

#[test]
fn shares_in_a_probes_logits_sum_to_them() -> Result<()> {
    for name in [
        "tiny_vit",
        "tiny_dinov2",
        "tiny_swin",
        "tiny_maxvit",
        "tiny_clip",
    ] {
        let (vit, set, head) = (model(name), images().first(9)?, probe(name));
        let why = attribute_logits(&vit, &set, &head)?;
        let logits = head.logits(&embed_images(&vit, &set)?)?.to_vec2::<f32>()?;
        for (i, logits) in logits.iter().enumerate() {
            let one = why.image(i)?;
            let best = (0..6)
                .max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
                .unwrap();
            assert_eq!(one.predictions(), [best]);
            let shares = one.predicted()?;
            exact(&shares);
            assert!(
                (shares.logit() - f64::from(logits[best])).abs() < 1e-4,
                "{name}"
            );
            for (class, logit) in logits.iter().enumerate().take(6) {
                exact(&one.class(class)?);
                assert!((one.class(class)?.logit() - f64::from(*logit)).abs() < 1e-4);
            }
        }
        exact(&why.between("heart", "star")?);
    }
    Ok(())
}

#[test]
fn a_share_is_the_contribution_on_the_classs_weights() -> Result<()> {
    let (vit, set, head) = (model("tiny_vit"), images().first(3)?, probe("tiny_vit"));
    let options = DecomposeOptions {
        sharing: Sharing::Own,
        ..DecomposeOptions::default()
    };
    let contribution = decompose(&vit, &set, &options)?.head(5, 3)?.get(1)?;
    let ring = Factor::Shape
        .names()
        .iter()
        .position(|name| *name == "ring")
        .unwrap();
    let product = (contribution * head.weight().get(ring)?)?
        .sum_all()?
        .to_scalar::<f32>()?;
    let why = attribute_logits(&vit, &set, &head)?;
    let shares = why.image(1)?.class("ring")?;
    assert!((shares.get("block 5 head 3")? - f64::from(product)).abs() < 1e-5);
    // Components together, and one class less another.
    let mlps: f64 = (0..6)
        .map(|b| shares.get(&format!("block {b} mlp")).unwrap())
        .sum();
    assert!((shares.sum("* mlp")? - mlps).abs() < 1e-9);
    let less = why
        .image(1)?
        .between("ring", "star")?
        .get("block 5 head 3")?;
    let star = why.image(1)?.class("star")?.get("block 5 head 3")?;
    assert!((less - (shares.get("block 5 head 3")? - star)).abs() < 1e-9);
    Ok(())
}

#[test]
fn several_images_are_averaged() -> Result<()> {
    let (vit, set, head) = (model("tiny_swin"), images().first(7)?, probe("tiny_swin"));
    let why = attribute_logits(&vit, &set, &head)?;
    let all = why.predicted()?;
    let each: Vec<LogitShares> = (0..7)
        .map(|i| why.image(i)?.predicted())
        .collect::<Result<_>>()?;
    for name in ["init", "stage 1 block 0 head 0", "bias"] {
        let mean = each.iter().map(|one| one.get(name).unwrap()).sum::<f64>() / 7.0;
        assert!((all.get(name)? - mean).abs() < 1e-9, "{name}");
    }
    assert!((all.logit() - each.iter().map(LogitShares::logit).sum::<f64>() / 7.0).abs() < 1e-9);
    exact(&all);
    let table = all.table().to_string();
    assert!(
        table.contains("deviation") && table.contains("bias of the head"),
        "{table}"
    );
    assert!(!each[0].table().to_string().contains("deviation"));
    assert!(all.to_string().contains("n = 7"), "{all}");
    let shown = format!("{why}");
    assert!(
        shown.contains(".between(\"a\", \"b\")?") && shown.contains("circle, ring"),
        "{shown}"
    );
    Ok(())
}

#[test]
fn shares_in_a_models_own_logits_sum_to_them() -> Result<()> {
    LazyLock::force(&CACHE);
    let vit = load(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/formats/timm_vit"
    ))?;
    let set = images().first(4)?;
    let why = attribute_logits(&vit, &set, vit.head()?)?;
    let classified = vit.classify(&set)?;
    assert_eq!(why.predictions(), classified.classes());
    for i in 0..4 {
        exact(&why.image(i)?.predicted()?);
        exact(&why.image(i)?.between(0, 1)?);
    }
    // The embedded models have no head, and say so.
    refused(model("tiny_vit").head().map(drop), &["score::fit_probe"]);
    Ok(())
}

#[test]
fn shares_in_a_zero_shot_logit_sum_to_the_cosine_times_the_clips_factor() -> Result<()> {
    let (clip, set) = (load_clip("tiny_clip")?, images().first(6)?);
    let texts = Factor::Location.names();
    let why = attribute_logits(&clip, &set, Readout::texts(&clip, texts)?)?;
    let classified = clip.classify_by(&set, texts)?;
    assert_eq!(why.predictions(), classified.classes());
    let probabilities = classified.probabilities().to_vec2::<f32>()?;
    for (i, probabilities) in probabilities.iter().enumerate().take(6) {
        exact(&why.image(i)?.predicted()?);
        exact(&why.image(i)?.between("sea", "forest")?);
        // The softmax of the logits is what the model says.
        let most = why.logits()[i].iter().copied().fold(f64::MIN, f64::max);
        let powers: Vec<f64> = why.logits()[i].iter().map(|l| (l - most).exp()).collect();
        let sum: f64 = powers.iter().sum();
        for (class, power) in powers.iter().enumerate() {
            assert!((power / sum - f64::from(probabilities[class])).abs() < 1e-4);
        }
    }
    assert!(why.predicted()?.chart(5).to_string().contains("x cosine"));
    Ok(())
}

#[test]
fn a_model_without_texts_is_asked_through_its_alignment() -> Result<()> {
    let (vit, clip, set) = (model("tiny_vit"), load_clip("tiny_clip")?, images());
    let options = DecomposeOptions::default();
    let fit = FitOptions {
        epochs: 2,
        ..FitOptions::default()
    };
    let aligned =
        align(&vit, &clip, &set, &options, &fit)?.apply(&*decompose(&vit, &set, &options)?)?;
    let why = aligned.attribute_logits(Readout::texts(&clip, &["sea", "forest"])?)?;
    exact(&why.image(0)?.between("sea", "forest")?);
    exact(&why.predicted()?);
    assert!(
        why.to_string()
            .contains("tiny_vit in the space of tiny_clip"),
        "{why}"
    );
    refused(
        aligned.attribute_logits(probe("tiny_vit")),
        &["tiny_clip", "tiny_vit"],
    );
    refused(
        aligned
            .select("block 5 *")?
            .attribute_logits(Readout::texts(&clip, &["sea", "forest"])?),
        &["7 of 43"],
    );
    Ok(())
}

#[test]
fn what_cannot_be_attributed_is_named_with_what_to_do() -> Result<()> {
    let (vit, set, head) = (model("tiny_vit"), images().first(2)?, probe("tiny_vit"));
    let why = attribute_logits(&vit, &set, &head)?;
    refused(why.class("hart"), &["\"hart\"", "\"heart\""]);
    refused(why.class(6), &["6", "0 to 5"]);
    refused(
        why.between("star", "star"),
        &["\"star\" and \"star\"", ".class(..)?"],
    );
    refused(why.image(2), &["image 2 does not exist"]);
    refused(
        why.predicted()?.get("block 9 mlp"),
        &["block 9 mlp", "block 0 to 5"],
    );
    refused(
        attribute_logits(model("tiny_swin"), &set, &head),
        &["tiny_vit", "tiny_swin"],
    );
    let part = decompose(&vit, &set, &DecomposeOptions::default())?.select("block 5 *")?;
    refused(
        part.attribute_logits(&head),
        &["7 of 43", "whole decomposition"],
    );
    refused(why.predicted()?.save("shares.txt"), &[".csv or .parquet"]);
    refused(
        Readout::texts(&load_clip("tiny_clip")?, &["sea"]),
        &["two or more"],
    );
    Ok(())
}

#[test]
fn shares_are_drawn_and_written() -> Result<()> {
    let (vit, set, head) = (model("tiny_vit"), images(), probe("tiny_vit"));
    let why = attribute_logits(&vit, &set, &head)?;
    look("waterfall", &why.image(3)?.predicted()?.chart(12));
    look(
        "waterfall_between",
        &why.image(3)?.between("circle", "star")?.chart(8),
    );
    look("waterfall_mean", &why.class("ring")?.chart(12));
    let long = (0..60).fold(
        Waterfall::new("word ".repeat(40), "axis ".repeat(60)),
        |chart, i| {
            chart.step(
                "a label that is far too long ".repeat(4),
                if i % 2 == 0 { 1e5 } else { -2e5 },
            )
        },
    );
    look("waterfall_long", &long.total("total ".repeat(30)));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shares.csv");
    why.image(3)?.predicted()?.save(&path)?;
    let csv = std::fs::read_to_string(path).unwrap();
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(rows[0], "component,share,deviation,of,images");
    // init, 36 heads, 6 MLPs, the biases on the way, and the head's.
    assert_eq!(rows.len(), 1 + 44 + 1);
    assert!(rows[45].starts_with("bias of the head,"));
    why.predicted()?.save(folder.path().join("shares.parquet"))
}

fn pair(name: &str) -> Swap {
    swap(&model(name), images(), 3, 8, probe(name)).unwrap()
}

#[test]
fn all_of_another_images_contributions_are_that_image() -> Result<()> {
    for name in [
        "tiny_vit",
        "tiny_dinov2",
        "tiny_swin",
        "tiny_maxvit",
        "tiny_clip",
    ] {
        let effects =
            pair(name).of(&["*", "block 5 head 3"][..if name == "tiny_vit" { 2 } else { 1 }])?;
        let all = &effects.effects[0];
        let [into, from] = effects.ends();
        assert!(
            (all.direct.difference - from).abs() < 1e-4,
            "{name}: {} {from}",
            all.direct.difference
        );
        assert!((effects.share(all.direct.difference).unwrap() - 1.0).abs() < 1e-4);
        assert_eq!(effects.share(into), Some(0.0));
        // What stands before the first block is not computed by a part of a block, so there is no activation to swap.
        assert!(all.total.is_none());
        assert!(effects.table().to_string().contains("–"));
    }
    Ok(())
}

#[test]
fn a_direct_swap_exchanges_one_contribution() -> Result<()> {
    let (vit, set, head) = (model("tiny_vit"), images(), probe("tiny_vit"));
    let options = DecomposeOptions {
        sharing: Sharing::Own,
        ..DecomposeOptions::default()
    };
    let c = decompose(&vit, set.subset(&[3, 8])?, &options)?;
    let (z, own) = (c.representation(), c.head(4, 2)?);
    let changed = ((z.get(0)? - own.get(0)?)? + own.get(1)?)?.unsqueeze(0)?;
    let expected = head.logits(&changed)?.get(0)?.to_vec1::<f32>()?;
    let found = &pair("tiny_vit").of("block 4 head 2")?.effects[0]
        .direct
        .logits
        .clone();
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - f64::from(expected)).abs() < 1e-4);
    }
    Ok(())
}

#[test]
fn a_total_swap_is_an_activation_of_the_other_image_in_the_forward_pass() -> Result<()> {
    for (name, component, hook) in [
        ("tiny_vit", "block 3 head 1", "block 3 head 1 z"),
        ("tiny_vit", "block 2 mlp", "block 2 mlp_out"),
        (
            "tiny_swin",
            "stage 1 block 0 head 2",
            "stage 1 block 0 head 2 z",
        ),
    ] {
        let (vit, set, head) = (model(name), images(), probe(name));
        let recorded = activations(&vit, &set.subset(&[8])?, &[hook])?;
        let run = intervene(
            &vit,
            &set.subset(&[3])?,
            &[(hook, ActivationChange::Swap(recorded))],
        )?;
        let expected = head.logits(&run.representation)?.get(0)?.to_vec1::<f32>()?;
        let before = embed_images(&vit, set.subset(&[3])?)?;
        let before = head.logits(&before)?.get(0)?.to_vec1::<f32>()?;
        let effects = pair(name).of(component)?;
        let total = effects.effects[0].total.as_ref().unwrap();
        for (found, expected) in total.logits.iter().zip(&expected) {
            assert!(
                (found - f64::from(*expected)).abs() < 1e-4,
                "{name} {component}"
            );
        }
        assert_ne!(before, expected, "the swap changes something");
    }
    Ok(())
}

#[test]
fn a_last_mlp_swapped_in_the_forward_pass_does_what_its_contribution_does_but_for_the_final_norm()
-> Result<()> {
    // With nothing after it but the norm, a total effect differs from the direct one by the norm's statistics alone.
    let effects = pair("tiny_vit").of(["block 5 mlp", "block 0 mlp"])?;
    let [into, _] = effects.ends();
    let apart = |i: usize| {
        let effect = &effects.effects[i];
        let total = effect.total.as_ref().unwrap().difference;
        (effect.direct.difference - into, total - into)
    };
    let (direct, total) = apart(0);
    assert!(
        (total - direct).abs() < 0.5 * direct.abs(),
        "{direct} and {total}"
    );
    let (direct, total) = apart(1);
    assert!(
        total.abs() > 3.0 * direct.abs(),
        "an early MLP works through later layers: {direct} and {total}"
    );
    Ok(())
}

#[test]
fn a_sweep_is_a_matrix_of_layers_by_heads() -> Result<()> {
    for (name, parts) in [("tiny_vit", 42), ("tiny_swin", 44), ("tiny_maxvit", 67)] {
        let sweep = pair(name).sweep()?;
        assert_eq!(sweep.effects.len(), parts, "{name}");
        assert!(
            sweep.effects.iter().all(|effect| effect.total.is_some()),
            "{name}"
        );
        let total = sweep.heads()?;
        let titles = total.svg()?.matches("<title>").count();
        assert_eq!(titles, parts, "{name}");
        look(&format!("swap_{name}"), &total);
        look(&format!("swap_{name}_direct"), &sweep.heads_direct()?);
        look(&format!("swap_{name}_top"), &sweep.top(8).chart());
        println!("{sweep:?}");
    }
    Ok(())
}

#[test]
fn swaps_are_of_what_is_named() -> Result<()> {
    let pair = pair("tiny_vit");
    let effects = pair.of(["block 4 head 2", "block 5 *", "init"])?;
    let names: Vec<&str> = effects
        .effects
        .iter()
        .map(|effect| effect.name.as_str())
        .collect();
    assert_eq!(names, ["block 4 head 2", "block 5 * (7)", "init"]);
    assert_eq!(effects.effects[1].components.len(), 7);
    assert!(effects.effects[1].total.is_some() && effects.effects[2].total.is_none());
    let table = effects.table().to_string();
    assert!(
        table.contains("nothing (image 3)") && table.contains("everything (image 8)"),
        "{table}"
    );
    look("swap_some", &effects.chart());
    let folder = tempfile::tempdir().unwrap();
    effects.save(folder.path().join("swaps.parquet"))?;
    let path = folder.path().join("swaps.csv");
    effects.save(&path)?;
    let csv = std::fs::read_to_string(path).unwrap();
    assert!(
        csv.starts_with("swapped,measured,before,other_image,direct,"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 4);
    assert!(csv.contains("direct_logit_5,total_logit_5"));
    // Other classes than those predicted.
    let between = pair.between("heart", "ring")?.of("init")?;
    assert!(between.table().to_string().contains("heart less ring"));
    assert!(pair.to_string().contains("predicted"), "{pair}");
    Ok(())
}

#[test]
fn swaps_that_cannot_be_made_are_named_with_what_to_do() -> Result<()> {
    let (vit, set, head) = (model("tiny_vit"), images(), probe("tiny_vit"));
    refused(swap(&vit, &set, 3, 60, &head), &["image = 60", "0 to 59"]);
    refused(swap(&vit, &set, 3, 3, &head), &["another image"]);
    refused(
        swap(&model("tiny_swin"), &set, 3, 8, &head),
        &["tiny_vit", "tiny_swin"],
    );
    let pair = pair("tiny_vit");
    refused(pair.of("block 9 *"), &["block 9 *", "block 0 to 5"]);
    refused(pair.between("star", "stars"), &["\"stars\"", "\"star\""]);
    refused(pair.between(1, 1), &["two classes that differ"]);
    refused(pair.of("block 5 *")?.heads(), &[".sweep()?"]);
    refused(pair.of("init")?.save("swaps.txt"), &[".csv or .parquet"]);
    let one = Tensor::ones((1, 96), DType::F32, &Device::Cpu)?;
    let bias = Tensor::zeros(1, DType::F32, &Device::Cpu)?;
    refused(
        swap(&vit, &set, 3, 8, LinearHead::new(one, bias)?),
        &["two classes or more"],
    );
    Ok(())
}

#[test]
fn a_zero_shot_readout_takes_swaps_too() -> Result<()> {
    let (clip, set) = (load_clip("tiny_clip")?, images());
    let readout = Readout::texts(&clip, Factor::Location.names())?;
    let predicted = clip
        .classify_by(set.subset(&[3, 8])?, Factor::Location.names())?
        .classes();
    let pair = swap(&clip, &set, 3, 8, &readout)?;
    let effects = pair.of("*")?;
    // All contributions of the other image make the other image's prediction.
    assert_eq!(effects.effects[0].direct.predicted, predicted[1]);
    Ok(())
}
