//! What the tests share: a hand-made world of components, and folders of birds.

pub use crate::common::refused;
use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use vitrepl_prelude::data::{DataSet, GeneratedSet, GeneratedSpec};
use vitrepl_prelude::models::Model;
use vitrepl_prelude::score::{Ablation, Grouped, LinearHead};
use vitrepl_prelude::session;

pub fn model(name: &str) -> Arc<Model> {
    session::load(name).unwrap()
}

pub fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("group {i}")).collect()
}

/// Components in the plane (class, place), of images with a class and a place each: component i of an image is
/// `parts[i] = (along class, along place, noise)`.
pub struct World {
    pub contributions: Tensor,
    pub labels: Vec<usize>,
    pub groups: Vec<usize>,
    pub names: Vec<String>,
}

impl World {
    pub fn new(images: usize, seed: u64, parts: &[(f32, f32, f32)]) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut stack = vec![0f32; parts.len() * images * 2];
        // Groups of one size, so that the means of class and place are exactly 0.
        let groups: Vec<usize> = (0..images).map(|b| b % 4).collect();
        for (b, group) in groups.iter().enumerate() {
            let sign = |side: usize| 2.0 * side as f32 - 1.0;
            let (class, place) = (sign(group / 2), sign(group % 2));
            for (i, (along_class, along_place, noise)) in parts.iter().enumerate() {
                let row = &mut stack[(i * images + b) * 2..][..2];
                let mut draw = || noise * rng.random_range(-1f32..1.0);
                row[0] = along_class * class + draw();
                row[1] = along_place * place + draw();
            }
        }
        let shape = (parts.len(), images, 2);
        Self {
            contributions: Tensor::from_vec(stack, shape, &Device::Cpu).unwrap(),
            labels: groups.iter().map(|g| g / 2).collect(),
            groups,
            names: names(4),
        }
    }

    /// Logits of a head that adds up class and place, the components about 0.
    pub fn ablation(&self) -> Ablation {
        let head = Tensor::new(&[[-1f32, -1.0], [1.0, 1.0]], &Device::Cpu).unwrap();
        let bias = Tensor::zeros(2, candle_core::DType::F32, &Device::Cpu).unwrap();
        let head = LinearHead::new(head, bias).unwrap();
        let (n, _, d) = self.contributions.dims3().unwrap();
        let means = Tensor::zeros((n, d), candle_core::DType::F32, &Device::Cpu).unwrap();
        Ablation::new(&self.contributions, &means, &head).unwrap()
    }

    pub fn grouped(&self) -> Grouped<'_> {
        Grouped {
            labels: &self.labels,
            groups: &self.groups,
            names: &self.names,
        }
    }
}

/// Pictures with class and place, the class mostly in its own place.
pub fn scenes(seed: u64, len: usize, agreement: f64) -> GeneratedSet {
    GeneratedSet::new(GeneratedSpec::correlated(seed, len, agreement)).unwrap()
}

fn values(set: &GeneratedSet, column: &str) -> Vec<usize> {
    set.labels(column).unwrap().values
}

fn write_png(set: &GeneratedSet, index: usize, path: &Path) {
    const SIDE: usize = 48;
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let drawing = set.draw(index, SIDE);
    let picture = image::RgbImage::from_raw(SIDE as u32, SIDE as u32, drawing.rgb).unwrap();
    picture.save(path).unwrap();
}

/// Pictures laid out as the paper's cleaned Waterbirds: folders of the classes, the place behind the last `_`.
pub fn cleaned_folder(root: &Path, set: &GeneratedSet) {
    let (classes, places) = (values(set, "class"), values(set, "place"));
    for i in 0..set.len() {
        let class = ["landbird", "waterbird"][classes[i]];
        let place = ["land", "water"][places[i]];
        write_png(
            set,
            i,
            &root.join(format!("{class}/bird_{i:04}_{place}.png")),
        );
    }
}

/// Pictures laid out as the original Waterbirds, one set a split, listed by class as the original is by species.
pub fn original_folder(root: &Path, splits: [&GeneratedSet; 3]) {
    let mut rows = Vec::new();
    for (split, set) in splits.into_iter().enumerate() {
        let (classes, places) = (values(set, "class"), values(set, "place"));
        for i in 0..set.len() {
            let file = format!("{:03}.Bird/bird_{split}_{i:04}.png", classes[i]);
            write_png(set, i, &root.join(&file));
            rows.push((classes[i], file, split, places[i]));
        }
    }
    rows.sort();
    let mut text = "img_id,img_filename,y,split,place,place_filename\n".to_string();
    for (id, (y, file, split, place)) in rows.into_iter().enumerate() {
        text += &format!("{id},{file},{y},{split},{place},/somewhere/{id}.jpg\n");
    }
    fs::write(root.join("metadata.csv"), text).unwrap();
}
