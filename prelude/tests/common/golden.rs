//! Models of reference files, in the folder `tests/golden` or the one that `VITREPL_GOLDEN_DIR` names.

use candle_core::{Device, Tensor};
use serde_json::Value;
use std::path::PathBuf;
use vitrepl_prelude::models::weights::Checkpoint;
use vitrepl_prelude::models::{
    ImageEncoder, MaxVit, MaxVitConfig, Normalisation, Swin, SwinConfig, Vit, VitConfig,
};

/// A reference file with the model that its weights are of, and its images as that model takes them.
pub struct Golden {
    pub file: Checkpoint,
    pub model: Box<dyn ImageEncoder>,
    pub pixels: Tensor,
}

impl Golden {
    pub fn open(name: &str) -> Self {
        let folder = std::env::var_os("VITREPL_GOLDEN_DIR")
            .map(PathBuf::from)
            .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"));
        let open = || Checkpoint::open(folder.join(format!("{name}.safetensors"))).unwrap();
        let (file, weights) = (open(), open().under("weights."));
        let (config, device) = (meta(&file, "config"), Device::Cpu);
        let model: Box<dyn ImageEncoder> = match meta(&file, "family").as_str().unwrap() {
            "vit" => {
                let config = VitConfig::infer(&weights, &config).unwrap();
                let vit = weights.build("the golden vit", &device, |vb| Vit::new(&config, vb));
                Box::new(vit.unwrap())
            }
            "swin" => {
                let config = SwinConfig::infer(&weights, &config).unwrap();
                let swin = weights.build("the golden swin", &device, |vb| Swin::new(&config, vb));
                Box::new(swin.unwrap())
            }
            _ => {
                let config = MaxVitConfig::infer(&weights, &config).unwrap();
                let maxvit =
                    weights.build("the golden maxvit", &device, |vb| MaxVit::new(&config, vb));
                Box::new(maxvit.unwrap())
            }
        };
        let numbers = |key: &str| -> [f32; 3] { serde_json::from_value(meta(&file, key)).unwrap() };
        let (mean, std) = (numbers("mean"), numbers("std"));
        let pixels = Normalisation { mean, std }.apply(file.tensor("pixels").unwrap());
        Self {
            pixels: pixels.unwrap(),
            file,
            model,
        }
    }

    /// An entry of the file's metadata: JSON, or a text.
    pub fn meta(&self, key: &str) -> Value {
        meta(&self.file, key)
    }
}

fn meta(file: &Checkpoint, key: &str) -> Value {
    let text = &file.metadata()[key];
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
}
