//! What the tests share: the embedded models, and aligned contributions of them on generated images.

pub use crate::common::refused;
use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::path::PathBuf;
use std::sync::Arc;
use vitrepl_prelude::Result;
use vitrepl_prelude::prelude::*;

/// The backbones of the zoo.
pub const BACKBONES: [&str; 4] = ["tiny_vit", "tiny_dinov2", "tiny_swin", "tiny_maxvit"];

pub const IMAGES: usize = 600;

pub fn model(name: &str) -> Arc<Model> {
    load(name).unwrap()
}

pub fn clip() -> Arc<Model> {
    load_clip("tiny_clip").unwrap()
}

/// The images that everything is tested on.
pub fn tested() -> GeneratedSet {
    GeneratedSet::new(GeneratedSpec::unbiased(77_102, IMAGES)).unwrap()
}

/// Others, for what is fitted.
pub fn fitted() -> GeneratedSet {
    GeneratedSet::new(GeneratedSpec::unbiased(77_101, 1500)).unwrap()
}

pub fn task(column: &str) -> ClassificationTask {
    let task = ClassificationTask::new(tested(), column).unwrap();
    task.fitted_on(fitted()).unwrap()
}

/// The heads and MLPs of a model on the tested images, in CLIP's space; the maps are fitted on the other images.
pub fn aligned(name: &str) -> Result<AlignedContributions> {
    let (model, options) = (model(name), DecomposeOptions::default());
    let fit = FitOptions {
        epochs: 4,
        ..FitOptions::default()
    };
    let alignment = align(&model, clip(), fitted(), &options, &fit)?;
    alignment.apply(&*decompose(&model, tested(), &options)?)
}

/// Standard normal values.
pub fn normal(seed: u64, shape: impl Into<candle_core::Shape>) -> Tensor {
    let shape = shape.into();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.elem_count())
        .map(|_| {
            let value: f32 = StandardNormal.sample(&mut rng);
            value
        })
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Where pictures are left to be looked at.
pub fn picture(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("components");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}
