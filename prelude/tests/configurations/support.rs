//! Folders with a changed configuration, and what to expect of them.

pub use crate::common::refused;
use candle_core::{DType, Device, Tensor};
pub use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use vitrepl_prelude::models::weights::Checkpoint;
pub use vitrepl_prelude::prelude::*;

/// A file or folder of `tests`.
pub fn of_tests(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

/// A file or folder beside the repository, if it is there.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared")
        .join(name);
    if !path.exists() {
        println!("skipped: there is no {}", path.display());
        return None;
    }
    Some(path)
}

/// `base` with the fields of `over` in place of its own, within objects too.
pub fn merged(base: Value, over: &Value) -> Value {
    match (base, over) {
        (Value::Object(mut fields), Value::Object(over)) => {
            for (name, value) in over {
                let own = fields.remove(name).unwrap_or_default();
                fields.insert(name.clone(), merged(own, value));
            }
            Value::Object(fields)
        }
        _ => over.clone(),
    }
}

pub fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A copy of a folder of `formats` that is changed step by step.
pub struct Folder {
    inner: tempfile::TempDir,
}

impl Folder {
    pub fn of(format: &str) -> Self {
        let inner = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(of_tests("formats").join(format)).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, inner.path().join(path.file_name().unwrap())).unwrap();
        }
        Self { inner }
    }

    pub fn path(&self) -> &Path {
        self.inner.path()
    }

    /// Put the fields of `change` into the JSON file `name`.
    pub fn with(self, name: &str, change: &Value) -> Self {
        let path = self.path().join(name);
        let old = match path.exists() {
            true => json_of(&path),
            false => json!({}),
        };
        std::fs::write(&path, merged(old, change).to_string()).unwrap();
        self
    }

    /// Take `field` out of the JSON file `name`.
    pub fn less(self, name: &str, field: &str) -> Self {
        let path = self.path().join(name);
        let mut json = json_of(&path);
        json.as_object_mut().unwrap().remove(field).unwrap();
        std::fs::write(&path, json.to_string()).unwrap();
        self
    }

    pub fn removed(self, name: &str) -> Self {
        std::fs::remove_file(self.path().join(name)).unwrap();
        self
    }

    /// Change the tensors as `make.py` does.
    pub fn changed(self, weights: &str, changes: &Value) -> Self {
        let changes = changes.as_array().unwrap();
        if changes.is_empty() {
            return self;
        }
        let path = self.path().join(weights);
        let mut tensors: HashMap<_, _> = tensors(&path).into_iter().collect();
        for change in changes {
            let key = change[1].as_str().unwrap();
            match change[0].as_str().unwrap() {
                "drop" => tensors.retain(|name, _| !name.starts_with(key)),
                "drop_ending" => tensors.retain(|name, _| !name.ends_with(key)),
                "rename" => {
                    let to = change[2].as_str().unwrap();
                    let renamed =
                        tensors
                            .into_iter()
                            .map(|(name, tensor)| match name.strip_prefix(key) {
                                Some(rest) => (format!("{to}{rest}"), tensor),
                                None => (name, tensor),
                            });
                    tensors = renamed.collect()
                }
                "rows_from" => {
                    let from = change[2].as_u64().unwrap() as usize;
                    let whole = &tensors[key];
                    let part = whole.narrow(1, from, whole.dim(1).unwrap() - from).unwrap();
                    tensors.insert(key.into(), part.contiguous().unwrap());
                }
                "add" => {
                    let n = change[2].as_u64().unwrap();
                    let values: Vec<f32> = (0..n).map(|i| (i % 7) as f32 / 8. - 0.25).collect();
                    tensors.insert(key.into(), Tensor::new(values, &Device::Cpu).unwrap());
                }
                other => panic!("{other}"),
            }
        }
        candle_core::safetensors::save(&tensors, &path).unwrap();
        self
    }

    pub fn load(&self) -> Result<Arc<Model>> {
        self.load_with(json!({}))
    }

    pub fn load_with(&self, given: Value) -> Result<Arc<Model>> {
        load_with(self.path().to_str().unwrap(), given)
    }
}

fn tensors(path: &Path) -> Vec<(String, Tensor)> {
    let file = Checkpoint::open(path).unwrap();
    let keys: Vec<_> = file.keys().map(str::to_string).collect();
    let tensor = |key: &str| file.tensor(key).unwrap().to_dtype(DType::F32).unwrap();
    keys.iter().map(|key| (key.clone(), tensor(key))).collect()
}

/// The input of `make.py`: B x 3 x size x size, in [0, 1].
pub fn pixels(batch: usize, size: usize) -> Tensor {
    let values: Vec<f32> = (0..batch * 3 * size * size)
        .map(|i| (i * 7919 % 256) as f32 / 255.)
        .collect();
    Tensor::from_vec(values, (batch, 3, size, size), &Device::Cpu).unwrap()
}

/// The largest difference over the largest value.
pub fn apart(got: &Tensor, want: &Tensor) -> f32 {
    assert_eq!(got.dims(), want.dims());
    let largest = |x: &Tensor| {
        x.abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap()
    };
    largest(&(got - want).unwrap()) / largest(want)
}

pub fn represented(model: &Model) -> Tensor {
    let encoder = model.encoder();
    encoder.encode(&pixels(2, encoder.image_size())).unwrap()
}

/// Loads each folder of `formats` with each change, which must be refused in these words.
#[track_caller]
pub fn all_refused(format: &str, file: &str, changes: &[(Value, &[&str])]) {
    for (change, parts) in changes {
        let folder = Folder::of(format).with(file, change);
        let text = refused(folder.load(), parts);
        assert!(text.contains(file), "{file} is not in: {text}");
    }
}
