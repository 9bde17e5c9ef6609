//! candle-transformers' side of `benches/side_by_side.rs`, for the models that it has: takes one order a line, answers with
//! seconds and the peak memory in MB.
//!
//! - `model NAME IMAGES`: the model that timm calls so, of weights that are 0, and that many images; answers `none` where it
//!   does not have it
//! - `forward`: its forward pass, with a head

mod shapes;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{Module, VarBuilder};
use candle_transformers::models::{dinov2::DinoVisionTransformer, vit};
use shapes::{peak_after, seconds};
use std::hint::black_box;

type Forward = Box<dyn Fn(&Tensor) -> Result<Tensor>>;

/// The model, and the side of its images.
fn model(name: &str) -> Result<Option<(Forward, usize)>> {
    let zeros = VarBuilder::zeros(DType::F32, &Device::Cpu);
    Ok(match name {
        "vit_base_patch16_224" => {
            let model = vit::Model::new(&vit::Config::vit_base_patch16_224(), 1000, zeros)?;
            Some((Box::new(move |x| model.forward(x)), 224))
        }
        "vit_base_patch14_dinov2.lvd142m" => {
            let model = DinoVisionTransformer::new(zeros, 12, 768, 12)?;
            // It takes one image at a time.
            let each = move |x: &Tensor| {
                let images = (0..x.dim(0)?).map(|image| model.forward(&x.narrow(0, image, 1)?));
                Tensor::cat(&images.collect::<Result<Vec<_>>>()?, 0)
            };
            Some((Box::new(each), 518))
        }
        _ => None,
    })
}

fn main() -> Result<()> {
    let mut loaded: Option<(Forward, Tensor)> = None;
    for line in std::io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match (&words[..], &loaded) {
            (["model", name, images], _) => {
                let images: usize = images.parse().map_err(candle_core::Error::wrap)?;
                loaded = match model(name)? {
                    Some((forward, size)) => {
                        let shape = (images, 3, size, size);
                        Some((forward, Tensor::rand(0f32, 1.0, shape, &Device::Cpu)?))
                    }
                    None => None,
                };
                println!("{}", if loaded.is_some() { "0 0" } else { "none" });
            }
            (["forward"], Some((forward, pixels))) => {
                let mut time = 0.0;
                let pass = || drop(black_box(forward(pixels).expect("a forward pass")));
                // Idle threads of what was measured before look for work for a while.
                std::thread::sleep(std::time::Duration::from_millis(100));
                let _ = std::fs::write("/proc/self/clear_refs", "5");
                let peak = peak_after(|| time = seconds(pass));
                println!("{time} {}", peak as f64 / 1e3);
            }
            _ => candle_core::bail!("unknown order {line}"),
        }
    }
    Ok(())
}
