//! All models side by side: how large they are, what a forward pass and its decomposition cost, and how exactly the
//! components sum to the representation.

use crate::charts::Table;
use crate::data::DataSet;
use crate::decompose::{DecomposeOptions, Decomposer};
use crate::models::hub::Hub;
use crate::models::{Model, zoo};
use crate::process::progress::Progress;
use crate::process::stop;
use crate::session::device;
use crate::trace::Tape;
use crate::{Error, Result};
use candle_core::{D, DType, Tensor};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// Repetitions of each measurement, of which the median is taken.
const TIMES: usize = 3;

/// What was measured of one model.
#[derive(Clone, Debug)]
pub struct Measured {
    pub model: String,
    pub family: String,
    /// Side of its images, in pixels.
    pub image_size: usize,
    pub parameters: usize,
    /// Heads, MLPs and convolutions of all blocks, and what is before the first.
    pub components: usize,
    /// Of one batch.
    pub forward: Duration,
    /// Of the same batch, its forward pass included.
    pub decomposition: Duration,
    /// The largest distance of an image's representation from the sum of its components, over the representation's
    /// length.
    pub residual: f64,
}

/// The models that are here: the embedded zoo, the published ones in the hub's cache, and the weights files and
/// folders in `folder`.
///
/// # Errors
/// When `folder` cannot be read.
pub fn local_models(folder: Option<&Path>) -> Result<Vec<String>> {
    let mut names: Vec<_> = zoo::names().into_iter().map(str::to_string).collect();
    names.extend(
        Hub::from_env()
            .all_cached()
            .into_iter()
            .map(|(name, _)| name),
    );
    let Some(folder) = folder else {
        return Ok(names);
    };
    let io = |e| Error::io("reading", folder, e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let file = path.extension().is_some_and(|e| e == "safetensors");
        let inside = path.is_dir() && crate::models::weights::folder::weights(&path).is_ok();
        if file || inside {
            found.push(path.to_string_lossy().to_string())
        }
    }
    found.sort();
    names.extend(found);
    Ok(names)
}

/// Measure `model` on the first `batch` images of `set`, all together.
///
/// # Errors
/// When the set has fewer images, or a step fails.
pub fn measure(model: impl AsRef<Model>, set: impl DataSet, batch: usize) -> Result<Measured> {
    let model = model.as_ref();
    let set: &dyn DataSet = &set;
    let encoder = model.encoder();
    let pixels = set.pixels(&(0..batch).collect::<Vec<_>>(), model.input())?;
    let pixels = encoder
        .normalisation()
        .apply(&pixels.to_device(encoder.device())?)?;
    let decomposer = Decomposer::new(encoder, DecomposeOptions::default())?;
    // Once before the clock runs, and for the residual.
    let contributions = decomposer.run(&pixels)?;
    let residual = distance(contributions.values(), contributions.representation())?;
    let (mut forward, mut decomposition) = (Vec::new(), Vec::new());
    // By turns, so that other work on the machine slows both.
    for _ in 0..TIMES {
        forward.push(timed(|| {
            Ok(encoder
                .forward(&pixels, &Tape::off())?
                .representation
                .value()
                .clone())
        })?);
        decomposition.push(timed(|| Ok(decomposer.run(&pixels)?.values().clone()))?);
    }
    Ok(Measured {
        model: model.name().to_string(),
        family: model.family().to_string(),
        image_size: encoder.image_size(),
        parameters: model.parameters(),
        components: contributions.len(),
        forward: median(forward),
        decomposition: median(decomposition),
        residual,
    })
}

/// The largest distance of a row of `z`, B x d, from the sum of its contributions, n x B x d, over the row's length.
fn distance(contributions: &Tensor, z: &Tensor) -> Result<f64> {
    let length = |x: &Tensor| x.sqr()?.sum(D::Minus1)?.sqrt();
    let (contributions, z) = (contributions.to_dtype(DType::F64)?, z.to_dtype(DType::F64)?);
    let rest = length(&(contributions.sum(0)? - &z)?)?;
    Ok(rest.div(&length(&z)?)?.max_all()?.to_scalar::<f64>()?)
}

fn timed(run: impl Fn() -> Result<Tensor>) -> Result<Duration> {
    let start = Instant::now();
    // A device may still be at work when a call returns; a value is there when it is.
    let value = run()?;
    value
        .flatten_all()?
        .get(0)?
        .to_dtype(DType::F32)?
        .to_scalar::<f32>()?;
    Ok(start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// One row for each of `names`, measured one after the other on the first `batch` images of `set`, and kept no longer
/// than that takes. A model that cannot be loaded or measured has its error in the row.
///
/// # Errors
/// When `batch` is 0, or the call is stopped.
pub fn models_table(names: &[impl AsRef<str>], set: impl DataSet, batch: usize) -> Result<Table> {
    let set: &dyn DataSet = &set;
    if batch == 0 {
        return Err(Error::argument("batch", batch, "at least one image"));
    }
    let header = [
        "model",
        "family",
        "px",
        "parameters, M",
        "components",
        "forward, ms",
        "decomposition, ms",
        "ratio",
        "residual",
        "remark",
    ];
    let title = format!("{} models, {batch} images together", names.len());
    let mut table = Table::new(title).columns(header);
    stop::begin();
    let mut progress = Progress::new("models", names.len());
    for (i, name) in names.iter().enumerate() {
        let name = name.as_ref();
        progress.at(i, name);
        if stop::requested() {
            let kept = format!(
                "{i} of {} were measured; ask for fewer by name",
                names.len()
            );
            let what = "measuring models".into();
            return Err(Error::Interrupted { what, kept });
        }
        let model = Model::open(name, &json!({}), &device()?);
        let row = match model.and_then(|model| measure(&model, set, batch)) {
            Ok(measured) => measured.row(),
            Err(error) => {
                let mut row = vec![name.to_string()];
                row.resize(header.len() - 1, String::new());
                // The first line says what; the rest are lists.
                row.push(error.to_string().lines().next().unwrap_or("").to_string());
                row
            }
        };
        table = table.row(row);
    }
    Ok(table)
}

impl Measured {
    fn row(&self) -> Vec<String> {
        let ms = |time: Duration| 1e3 * time.as_secs_f64();
        vec![
            self.model.clone(),
            self.family.clone(),
            self.image_size.to_string(),
            format!("{:.2}", self.parameters as f64 / 1e6),
            self.components.to_string(),
            format!("{:.1}", ms(self.forward)),
            format!("{:.1}", ms(self.decomposition)),
            format!("{:.2}", ms(self.decomposition) / ms(self.forward)),
            format!("{:.1e}", self.residual),
            String::new(),
        ]
    }
}
