//! What these tests share: models, images with known factors, aligned contributions with source tokens.

pub use crate::common::refused;
use std::path::PathBuf;
use std::sync::LazyLock;
use vitrepl_prelude::align::AlignedContributions;
use vitrepl_prelude::prelude::*;

/// One vision model of each family, each aligned to the embedded CLIP; and that CLIP itself.
pub const MODELS: [&str; 5] = [
    "tiny_vit",
    "tiny_dinov2",
    "tiny_swin",
    "tiny_maxvit",
    "tiny_clip",
];

pub fn model(name: &str) -> Arc<Model> {
    LazyLock::force(&crate::common::CACHE);
    load(name).unwrap()
}

pub fn clip() -> Arc<Model> {
    LazyLock::force(&crate::common::CACHE);
    load_clip("tiny_clip").unwrap()
}

/// Images that no model was trained on; the zoo's seeds are below 1000.
pub fn images(count: usize) -> GeneratedSet {
    GeneratedSet::new(GeneratedSpec::unbiased(88_000, count)).unwrap()
}

pub fn with_tokens() -> DecomposeOptions {
    DecomposeOptions {
        granularity: Granularity::Tokens,
        ..DecomposeOptions::default()
    }
}

pub fn contributions(name: &str, set: &GeneratedSet) -> Arc<Contributions> {
    decompose(model(name), set, &with_tokens()).unwrap()
}

/// An alignment fitted on other images than those of [`images`].
pub fn alignment(name: &str) -> Arc<vitrepl_prelude::align::Alignment> {
    let fitted_on = GeneratedSet::new(GeneratedSpec::unbiased(89_000, 1500)).unwrap();
    let fit = FitOptions {
        epochs: 3,
        ..FitOptions::default()
    };
    let heads = DecomposeOptions::default();
    align(model(name), clip(), &fitted_on, &heads, &fit).unwrap()
}

pub fn aligned(name: &str, set: &GeneratedSet) -> AlignedContributions {
    alignment(name).apply(&contributions(name, set)).unwrap()
}

pub fn words(factor: Factor) -> Arc<TextEmbeddings> {
    class_embeddings(clip(), factor.names()).unwrap()
}

pub fn file(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("images");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// Leaves a chart to be looked at; nothing of it may be cut off.
pub fn look(name: &str, chart: &HeatmapGrid) {
    use vitrepl_prelude::charts::Chart;
    assert!(chart.scene().unwrap().nothing_cut_off(), "{name}");
    chart.save(file(&format!("{name}.png"))).unwrap();
}
