//! Training: the loss falls, an interrupted run ends where an uninterrupted one does, the files of a
//! finished run hold the model that was trained.

use std::path::Path;
use std::time::Duration;
use vitrepl_prelude::Result;
use vitrepl_prelude::candle_core::Device;
use vitrepl_prelude::data::{DataSet, Factor, GeneratedSet, GeneratedSpec};
use vitrepl_prelude::models::weights::Checkpoint;
use vitrepl_prelude::models::{MaxVitConfig, Model, VitConfig};
use vitrepl_prelude::train::{Budget, Card, ClipTask, FactorTask, Family, Recipe, Task, Trainer};

fn vit(steps: usize) -> Recipe {
    let config = VitConfig {
        img_size: 24,
        patch_size: 8,
        embed_dim: 24,
        depth: 2,
        num_heads: 2,
        reg_tokens: 1,
        init_values: Some(0.1),
        ..VitConfig::default()
    };
    mini(Family::Vit(config), steps)
}

fn mini(family: Family, steps: usize) -> Recipe {
    Recipe {
        name: "mini".into(),
        family,
        budget: Budget::Steps(steps),
        batch: 24,
        rate: 3e-3,
        held_out_images: GeneratedSpec::unbiased(2, 120),
        ..Recipe::vit()
    }
}

fn task(recipe: &Recipe) -> FactorTask {
    FactorTask::new(
        &recipe.family,
        recipe.seed,
        &recipe.training_images,
        &recipe.held_out_images,
    )
    .unwrap()
}

fn trainer(folder: &Path) -> Trainer {
    Trainer {
        threads: 2,
        checkpoint: folder.join("run.safetensors"),
        save_every: Duration::ZERO,
        report_every: Duration::ZERO,
        evaluate_every: 10,
        glance: 60,
    }
}

/// Total loss of each progress line.
fn losses(lines: &[String]) -> Vec<f64> {
    let total = |line: &String| {
        let parts = line.split_once("): ")?.1.split_once(';')?.0;
        parts
            .split(", ")
            .map(|part| part.rsplit(' ').next()?.parse::<f64>().ok())
            .sum::<Option<f64>>()
    };
    lines.iter().filter_map(total).collect()
}

#[test]
fn the_loss_falls_and_progress_is_told() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let recipe = vit(60);
    let mut lines = Vec::new();
    let trained =
        trainer(folder.path()).run(&task(&recipe), &recipe, |line| lines.push(line.to_string()))?;
    assert_eq!(trained.steps, 60);
    let losses = losses(&lines);
    assert_eq!(losses.len(), 60);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    assert!(mean(&losses[50..]) < 0.8 * mean(&losses[..5]), "{losses:?}");
    assert!(
        lines.iter().any(|line| line.contains("held out: colour")),
        "{lines:?}"
    );
    assert!(
        lines[0].contains("images/s") && lines[0].contains("min left"),
        "{}",
        lines[0]
    );
    Ok(())
}

#[test]
fn an_interrupted_run_ends_where_a_whole_one_does() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let recipe = vit(8);
    let whole = task(&recipe);
    trainer(&folder.path().join("whole")).run(&whole, &recipe, |_| ())?;

    // A panic in the report is as good as a power cut.
    let halves = trainer(&folder.path().join("halves"));
    let first = task(&recipe);
    let cut = std::panic::AssertUnwindSafe(|| {
        halves.run(&first, &recipe, |line| {
            assert!(!line.contains("step 6 "), "power cut")
        })
    });
    assert!(std::panic::catch_unwind(cut).is_err());
    let second = task(&recipe);
    let mut lines = Vec::new();
    let trained = halves.run(&second, &recipe, |line| lines.push(line.to_string()))?;
    assert_eq!(lines[0], "mini: going on from step 5");
    assert_eq!(trained.steps, 8);
    for (name, var) in whole.parameters().variables() {
        let other = second.parameters().variables()[&name].clone();
        let difference = (var.as_tensor() - other.as_tensor())?.abs()?.max_all()?;
        assert_eq!(difference.to_scalar::<f32>()?, 0., "{name}");
    }
    Ok(())
}

#[test]
fn the_files_hold_the_model_that_was_trained() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let recipe = vit(5);
    let task = task(&recipe);
    let trained = trainer(folder.path()).run(&task, &recipe, |_| ())?;
    let (card, path) = Card::write(folder.path(), "train mini", &recipe, &task, trained)?;
    let read: Card =
        serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
    assert_eq!(read, card);
    assert_eq!((card.steps, card.images), (5, 120));
    assert_eq!(card.accuracy.len(), Factor::ALL.len());

    let file = Checkpoint::open(&path)?;
    assert!(file.keys().all(|key| !key.contains("auxiliary")));
    // Reading makes f32 of it; on disk it is half precision.
    let bytes = std::fs::metadata(&path).unwrap().len();
    assert!(bytes < 3 * file.elements() as u64, "{bytes} bytes");
    assert_eq!(
        file.shape("head.shape.weight"),
        Some(&[Factor::Shape.count(), 24][..])
    );
    let model = Model::open(
        path.to_str().unwrap(),
        &serde_json::Value::Null,
        &Device::Cpu,
    )?;
    assert_eq!(model.encoder().image_size(), 24);
    let pixels = GeneratedSet::new(recipe.held_out_images)?.pixels(&[0, 1], 24.into())?;
    assert_eq!(model.encoder().encode(&pixels)?.dims(), [2, 24]);
    Ok(())
}

#[test]
fn a_clip_is_written_in_open_clips_layout() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = Recipe::clip();
    let Family::Clip(config) = &mut recipe.family else {
        unreachable!("a recipe of a CLIP")
    };
    config.vision_cfg.layers = 1;
    config.text_cfg.layers = 1;
    let config = config.clone();
    recipe.batch = 12;
    recipe.budget = Budget::Steps(2);
    recipe.held_out_images.len = 60;
    let task = ClipTask::new(&config, 1, &recipe.training_images, &recipe.held_out_images)?;
    let trained = trainer(folder.path()).run(&task, &recipe, |_| ())?;
    let (_, path) = Card::write(folder.path(), "train clip", &recipe, &task, trained)?;
    let file = Checkpoint::open(&path)?;
    assert_eq!(file.shape("visual.class_embedding"), Some(&[96][..]));
    assert_eq!(file.shape("visual.proj"), Some(&[96, 64][..]));
    assert_eq!(
        file.shape("transformer.resblocks.0.attn.in_proj_weight"),
        Some(&[192, 64][..])
    );
    let model = Model::open(
        path.to_str().unwrap(),
        &serde_json::Value::Null,
        &Device::Cpu,
    )?;
    assert_eq!(model.clip()?.config(), &config);
    Ok(())
}

#[test]
fn batch_norms_keep_what_they_saw() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let config = MaxVitConfig {
        img_size: 16,
        stem_width: 4,
        embed_dim: vec![8, 8],
        depths: vec![1, 1],
        transformer_dim_head: 4,
        transformer_partition_ratio: 8,
        ..MaxVitConfig::default()
    };
    let recipe = mini(Family::MaxVit(config), 3);
    let whole = task(&recipe);
    let trained = trainer(folder.path()).run(&whole, &recipe, |_| ())?;
    let variables = whole.parameters().variables();
    for (name, var) in &variables {
        let start = match name.rsplit('.').next() {
            Some("running_mean") => 0.,
            Some("running_var") => 1.,
            _ => continue,
        };
        let moved = (var.as_tensor() - start)?.abs()?.max_all()?;
        assert!(moved.to_scalar::<f32>()? > 0., "{name} has not moved");
    }
    let norms = variables.keys().filter(|n| n.ends_with("running_var"));
    assert_eq!(norms.count(), 1 + 2 * 3);
    // The forward pass of a trained model does not depend on the other images of its batch.
    let pixels = GeneratedSet::new(recipe.held_out_images.clone())?.pixels(&[0, 1], 16.into())?;
    let (_, path) = Card::write(folder.path(), "train mini", &recipe, &whole, trained)?;
    let model = Model::open(
        path.to_str().unwrap(),
        &serde_json::Value::Null,
        &Device::Cpu,
    )?;
    let together = model.encoder().encode(&pixels)?.get(0)?;
    let alone = model.encoder().encode(&pixels.narrow(0, 0, 1)?)?.get(0)?;
    let gap = (together - alone)?.abs()?.max_all()?.to_scalar::<f32>()?;
    assert!(gap < 1e-5, "{gap}");
    Ok(())
}
