//! What the sharing rules and the frozen norms come to, measured on the embedded models: the numbers of the
//! documentation of `decompose::Sharing` and `score::Ablation`. `--nocapture` prints them.

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use vitrepl_prelude::decompose::{
    BlockPart, Component, Contributions, DecomposeOptions, Decomposer, Sharing,
};
use vitrepl_prelude::models::Model;
use vitrepl_prelude::prelude::{DataSet, Factor, GeneratedSet, GeneratedSpec};
use vitrepl_prelude::score;
use vitrepl_prelude::trace::{Block, Keep, Kept, Op, Rows, Tape};
use vitrepl_prelude::{Error, Result};

/// Heads of a block, and channels of a head, of `tiny_vit`, `tiny_dinov2` and `tiny_clip`.
const HEADS: usize = 6;
const WIDTH: usize = 16;
const BLOCKS: usize = 6;
const IMAGES: usize = 200;

/// An embedded model with what `edit` does to its tensors, saved and loaded again.
fn edited(name: &str, edit: impl FnOnce(&mut HashMap<String, Tensor>)) -> Model {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("zoo/{name}.safetensors"));
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone();
    let mut tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
    edit(&mut tensors);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{name}.safetensors"));
    safetensors::serialize_to_file(&tensors, metadata, &path).unwrap();
    let given = serde_json::Value::Null;
    Model::open(path.to_str().unwrap(), &given, &Device::Cpu).unwrap()
}

/// Key of a block's output projection of attention.
fn projection(name: &str, block: usize) -> String {
    match name {
        "tiny_clip" => format!("visual.transformer.resblocks.{block}.attn.out_proj"),
        _ => format!("blocks.{block}.attn.proj"),
    }
}

/// The same model with one head's output zero, and `bias` added to the output of its attention layer.
fn without(name: &str, block: usize, head: usize, bias: Option<&Tensor>) -> Model {
    edited(name, |tensors| {
        let key = projection(name, block);
        let weight = &tensors[&format!("{key}.weight")];
        let mut columns = vec![1f32; HEADS * WIDTH];
        columns[head * WIDTH..(head + 1) * WIDTH].fill(0.0);
        let columns = Tensor::from_vec(columns, HEADS * WIDTH, &Device::Cpu).unwrap();
        // f32, so that the added bias is not rounded.
        let wide = weight.to_dtype(DType::F32).unwrap();
        let weight = wide.broadcast_mul(&columns).unwrap();
        tensors.insert(format!("{key}.weight"), weight);
        if let Some(added) = bias {
            let key = format!("{key}.bias");
            let bias = tensors[&key].to_dtype(DType::F32).unwrap();
            tensors.insert(key, (bias + added).unwrap());
        }
    })
}

fn images() -> GeneratedSet {
    GeneratedSet::new(GeneratedSpec::unbiased(77_000, IMAGES)).unwrap()
}

fn pixels(model: &Model) -> Tensor {
    let all: Vec<usize> = (0..IMAGES).collect();
    let pixels = images().pixels(&all, model.input()).unwrap();
    model.encoder().normalisation().apply(&pixels).unwrap()
}

fn decomposed(model: &Model, sharing: Sharing) -> Result<Contributions> {
    let options = DecomposeOptions {
        sharing,
        ..DecomposeOptions::default()
    };
    Decomposer::new(model.encoder(), options)?.run(&pixels(model))
}

fn head(block: usize, head: usize) -> Component {
    Component::Part {
        block: Block::at(block),
        part: BlockPart::Head(head),
    }
}

/// For each location the mean representation of its images less that of all: directions of "location" without CLIP.
fn locations(c: &Contributions) -> Result<Tensor> {
    let z = c.representation();
    let values = images().values(Factor::Location);
    let mean = z.mean(0)?;
    let rows = (0..Factor::Location.count())
        .map(|l| {
            let chosen: Vec<u32> = (0..IMAGES as u32)
                .filter(|i| values[*i as usize] == l)
                .collect();
            let chosen = Tensor::new(chosen, &Device::Cpu)?;
            Ok((z.index_select(&chosen, 0)?.mean(0)? - &mean)?)
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Tensor::stack(&rows, 0)?)
}

/// Rank from 1 among `scores` of entry `i`.
fn rank(scores: &[f64], i: usize) -> usize {
    1 + scores.iter().filter(|s| **s > scores[i]).count()
}

#[test]
fn a_dead_head_scores_0_by_the_rule_own_and_something_by_the_papers() -> Result<()> {
    for (name, block, h) in [("tiny_vit", 0, 0), ("tiny_vit", 5, 5), ("tiny_clip", 5, 3)] {
        let model = without(name, block, h, None);
        for sharing in [Sharing::Equal, Sharing::Own] {
            let c = decomposed(&model, sharing)?;
            let error = c.sum_error()?;
            assert!(error < 1e-5, "{name}: {error}");
            let i = place(&c, head(block, h));
            let dead = c.of(head(block, h))?;
            let largest: f32 = dead.abs()?.max_all()?.to_scalar()?;
            let features = locations(&c)?;
            let paper = score::variance_attributed(c.values(), &features)?;
            let free = score::correlation_attributed(c.values(), &features)?;
            let covariance = score::covariance_attributed(c.values(), &features)?;
            println!(
                "{name}, block {block} head {h} dead, {sharing:?}: variance attributed {:.3} (rank {} of {}), \
                 correlation {:.3} (rank {}), covariance {:.1e} (rank {}), sum error {error:.1e}",
                paper[i],
                rank(&paper, i),
                paper.len(),
                free[i],
                rank(&free, i),
                covariance[i],
                rank(&covariance, i),
            );
            match sharing {
                Sharing::Own => {
                    assert_eq!(largest, 0.0, "{name} block {block} head {h}");
                    assert_eq!((paper[i], free[i], covariance[i]), (0.0, 0.0, 0.0));
                }
                Sharing::Equal => {
                    assert!(largest > 0.0);
                    assert!(paper[i].abs() > 1e-3, "{name}: {}", paper[i]);
                    // Its share is small beside what heads contribute: it is the correlation that does not see that.
                    let most = covariance.iter().fold(0.0, |m: f64, c| m.max(*c));
                    assert!(covariance[i].abs() < 0.01 * most, "{covariance:?}");
                }
            }
        }
    }
    Ok(())
}

fn place(c: &Contributions, component: Component) -> usize {
    let mut all = c.components().iter();
    all.position(|other| *other == component).unwrap()
}

#[test]
fn heads_that_do_something_rank_alike_by_both_rules() -> Result<()> {
    for name in ["tiny_vit", "tiny_clip"] {
        let model = Model::open(name, &serde_json::Value::Null, &Device::Cpu)?;
        let equal = decomposed(&model, Sharing::Equal)?;
        let own = decomposed(&model, Sharing::Own)?;
        let features = locations(&equal)?;
        let a = score::variance_attributed(equal.values(), &features)?;
        let scores = score::variance_attributed(own.values(), &features)?;
        let components = equal.components().iter();
        let b: Vec<f64> = components.map(|c| scores[place(&own, *c)]).collect();
        let apart = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
        let (apart, order) = (apart.fold(0.0, f64::max), score::spearman(&a, &b)?);
        let bias = place(&own, Component::Bias);
        println!(
            "{name}: Spearman of both rules {order:.4}, scores apart by {apart:.3} at most; bias {:.3} (rank {} of {})",
            scores[bias],
            rank(&scores, bias),
            scores.len()
        );
        assert!(order > 0.99 && apart < 0.03, "{order} {apart}");
    }
    Ok(())
}

/// The mean length of the rows of `x`.
fn length(x: &Tensor) -> Result<f64> {
    let lengths = x.to_dtype(DType::F64)?.sqr()?.sum(1)?.sqrt()?;
    Ok(lengths.mean_all()?.to_scalar()?)
}

/// What one head of a block puts on the class token's stream, mean over images: width.
fn mean_output(name: &str, model: &Model, block: usize, h: usize) -> Result<Tensor> {
    let encoder = model.encoder();
    let tape = Tape::structure();
    encoder.forward(&pixels(model).narrow(0, 0, 1)?, &tape)?;
    let nodes = tape.take_nodes();
    let attend: Vec<usize> = (0..nodes.len())
        .filter(|i| matches!(nodes[*i].op, Op::Attend { .. }))
        .collect();
    let mut keep = vec![Keep::Nothing; nodes.len()];
    keep[attend[block]] = Keep::Value(Rows::Range { start: 0, len: 1 });
    let tape = Tape::keeping(Arc::from(keep));
    encoder.forward(&pixels(model), &tape)?;
    let Kept::Value(mixed) = &tape.take_nodes()[attend[block]].kept else {
        return Err(Error::trace("the heads' output was not kept"));
    };
    let own = mixed
        .squeeze(1)?
        .narrow(1, h * WIDTH, WIDTH)?
        .mean_keepdim(0)?;
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("zoo/{name}.safetensors"));
    let tensors = candle_core::safetensors::load(path, &Device::Cpu)?;
    let weight = tensors[&format!("{}.weight", projection(name, block))].to_dtype(DType::F32)?;
    let weight = weight.narrow(1, h * WIDTH, WIDTH)?;
    Ok(own.matmul(&weight.t()?.contiguous()?)?.squeeze(0)?)
}

/// In the last block nothing but that block's MLP and the final norm comes after a head, and both take tokens one by one:
/// adding the mean of the class token's output to the projection's bias is a real mean-ablation.
#[test]
fn frozen_mean_ablation_is_about_half_of_the_effect_off_in_the_last_block() -> Result<()> {
    for name in ["tiny_vit", "tiny_clip"] {
        let model = Model::open(name, &serde_json::Value::Null, &Device::Cpu)?;
        let all =
            [Sharing::Equal, Sharing::Own].map(|sharing| decomposed(&model, sharing).unwrap());
        for h in [0, 3] {
            let bias = mean_output(name, &model, BLOCKS - 1, h)?;
            let real = without(name, BLOCKS - 1, h, Some(&bias));
            let real = real.encoder().forward(&pixels(&model), &Tape::off())?;
            let real = real.representation.value();
            for c in &all {
                let means = score::component_means(c.values())?;
                let off = place(c, head(BLOCKS - 1, h));
                let frozen = score::ablate(c.values(), &means, &[off])?;
                let effect = length(&(real - c.representation())?)?;
                let gap = length(&(frozen - real)?)? / effect;
                println!(
                    "{name} last block head {h}: the real effect is {:.1} % of the representation, frozen is {:.0} % of it off",
                    100.0 * effect / length(c.representation())?,
                    100.0 * gap
                );
                assert!((0.3..0.7).contains(&gap), "{gap}");
            }
        }
    }
    Ok(())
}

#[test]
fn frozen_zero_ablation_is_further_off_the_earlier_the_head() -> Result<()> {
    let name = "tiny_vit";
    let model = Model::open(name, &serde_json::Value::Null, &Device::Cpu)?;
    let c = decomposed(&model, Sharing::Own)?;
    let z = c.representation();
    let mut gaps = Vec::new();
    for block in [0, 3, 5] {
        let real = without(name, block, 1, None);
        let real = real.encoder().forward(&pixels(&model), &Tape::off())?;
        let real = real.representation.value();
        let frozen = (z - c.of(head(block, 1))?)?;
        let gap = length(&(frozen - real)?)? / length(&(real - z)?)?;
        println!(
            "{name} block {block} head 1: frozen is {:.0} % of the real effect off",
            100.0 * gap
        );
        gaps.push(gap);
    }
    assert!(
        gaps[0] > 0.9 && gaps[1] < gaps[0] && gaps[2] < 0.7 && gaps[2] < gaps[1],
        "{gaps:?}"
    );
    Ok(())
}
