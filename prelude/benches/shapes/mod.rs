//! The models that several benches measure, and what they measure.

#![allow(dead_code, reason = "each bench uses its part")]

use candle_core::{DType, Device, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use std::time::Instant;
use vitrepl_prelude::Result;
use vitrepl_prelude::models::weights::Parameters;
use vitrepl_prelude::models::{
    ImageEncoder, MaxVit, MaxVitConfig, Swin, SwinConfig, Vit, VitConfig,
};
use vitrepl_prelude::trace::Block;

/// A model of the paper's size: speed does not depend on the weights.
pub struct Shape {
    pub name: &'static str,
    new: fn(VarBuilder) -> Result<Box<dyn ImageEncoder>>,
    /// Where the paper's aligners start.
    pub first: Block,
}

/// The models of the paper (design notes, section 1).
pub fn shapes() -> [Shape; 3] {
    [
        Shape {
            name: "ViT-B/16",
            new: |vb| Ok(Box::new(Vit::new(&VitConfig::default(), vb)?)),
            first: Block::at(7),
        },
        Shape {
            name: "Swin-B",
            new: |vb| {
                let config = SwinConfig {
                    embed_dim: 128,
                    depths: vec![2, 2, 18, 2],
                    num_heads: vec![4, 8, 16, 32],
                    ..SwinConfig::default()
                };
                Ok(Box::new(Swin::new(&config, vb)?))
            },
            first: Block::in_stage(2, 14),
        },
        Shape {
            name: "MaxViT-S",
            new: |vb| Ok(Box::new(MaxVit::new(&MaxVitConfig::default(), vb)?)),
            first: Block::in_stage(2, 3),
        },
    ]
}

impl Shape {
    /// The model with seeded random weights.
    pub fn random(&self) -> Box<dyn ImageEncoder> {
        let parameters = Parameters::new(0, &Device::Cpu);
        (self.new)(parameters.constants()).expect(self.name)
    }

    /// The model with weights made in place: random ones leave the memory of their making behind.
    pub fn constant(&self) -> Box<dyn ImageEncoder> {
        let weights: Box<dyn SimpleBackend> = Box::new(Constant);
        let vb = VarBuilder::from_backend(weights, DType::F32, Device::Cpu);
        (self.new)(vb).expect(self.name)
    }
}

/// All weights alike.
struct Constant;

impl SimpleBackend for Constant {
    fn get(
        &self,
        s: candle_core::Shape,
        _: &str,
        _: Init,
        _: DType,
        d: &Device,
    ) -> candle_core::Result<Tensor> {
        Tensor::full(0.01f32, s, d)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("no shape is given for {name}")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// The peak of this process's resident memory in kilobytes once `f` is done (Linux).
pub fn peak_after(f: impl FnOnce()) -> u64 {
    f();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

pub fn median(mut x: Vec<f64>) -> f64 {
    x.sort_by(f64::total_cmp);
    x[x.len() / 2]
}

pub fn seconds(f: impl FnOnce()) -> f64 {
    let start = Instant::now();
    f();
    start.elapsed().as_secs_f64()
}
