//! Parity with the published implementation: `scoring.safetensors` of `tests/golden`, or of the folder named by
//! `VITREPL_GOLDEN_DIR`.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use vitrepl_prelude::Result;
use vitrepl_prelude::align::Trainer;
use vitrepl_prelude::score;

const TOLERANCE: f64 = 1e-4;

struct Golden {
    tensors: HashMap<String, Tensor>,
    metadata: HashMap<String, String>,
}

impl Golden {
    fn open() -> Self {
        let folder = std::env::var_os("VITREPL_GOLDEN_DIR")
            .map(PathBuf::from)
            .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"));
        let path = folder.join("scoring.safetensors");
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        Self {
            tensors: candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap(),
            metadata: header.metadata().clone().unwrap(),
        }
    }

    fn get(&self, name: &str) -> &Tensor {
        &self.tensors[name]
    }

    fn list(&self, name: &str) -> Vec<f64> {
        values(self.get(name))
    }

    fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.metadata[name]).unwrap()
    }
}

fn values(t: &Tensor) -> Vec<f64> {
    let flat = t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    flat.into_iter().map(f64::from).collect()
}

/// The largest difference, over the largest value wanted.
fn difference(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let size = want.iter().fold(0.0, |m: f64, w| m.max(w.abs()));
    let worst = got
        .iter()
        .zip(want)
        .fold(0.0, |m: f64, (g, w)| m.max((g - w).abs()));
    worst / size
}

#[track_caller]
fn close(what: &str, got: &[f64], want: &[f64]) {
    let error = difference(got, want);
    assert!(error <= TOLERANCE, "{what}: relative error {error:.1e}");
    println!("{what}: relative error {error:.1e}");
}

#[test]
fn scores() -> Result<()> {
    let golden = Golden::open();
    let (c, f) = (
        golden.get("score.contributions"),
        golden.get("score.features"),
    );
    close(
        "variance attributed",
        &score::variance_attributed(c, f)?,
        &golden.list("score.variance_attributed"),
    );
    close(
        "covariance attributed",
        &score::covariance_attributed(c, f)?,
        &golden.list("score.covariance_attributed"),
    );
    close(
        "variance explained",
        &score::variance_explained(c, f)?,
        &golden.list("score.variance_explained"),
    );
    Ok(())
}

#[test]
fn text_span() -> Result<()> {
    let golden = Golden::open();
    let picks: Vec<String> = serde_json::from_value(golden.json("textspan.full")).unwrap();
    let span = score::text_span(
        golden.get("textspan.data"),
        golden.get("textspan.text_features"),
        picks.len(),
    )?;
    let names: Vec<String> = span.picks.iter().map(|p| format!("t{p}")).collect();
    assert_eq!(names, picks);
    close("std", &span.std, &golden.list("textspan.full.std"));

    // The published code adds to a broadcast array in place, so that each of its rows ends up as the last
    // image's reconstruction. A file made with that has equal rows, of which the last is right.
    let want = golden.get("textspan.full.reconstruct");
    let rows: Vec<Vec<f32>> = want.to_vec2()?;
    let last = rows.len() - 1;
    if rows.iter().all(|r| *r == rows[last]) {
        let (got, want) = (span.reconstruction.get(last)?, want.get(last)?);
        close("reconstruction, last image", &values(&got), &values(&want));
    } else {
        close(
            "reconstruction",
            &values(&span.reconstruction),
            &values(want),
        );
    }
    Ok(())
}

#[test]
fn aligner_steps() -> Result<()> {
    let golden = Golden::open();
    let settings = golden.json("align");
    let number = |key: &str| settings[key].as_f64().unwrap();
    let (steps, batch) = (number("steps") as usize, number("batch") as usize);
    let (c, y) = (
        golden.get("score.contributions"),
        golden.get("align.targets"),
    );
    let mut trainer = Trainer::new(
        golden.get("align.weight0"),
        golden.get("align.bias0"),
        number("lr"),
        number("weight_decay"),
        number("orthogonality"),
    )?;
    let (mut cosine, mut orthogonality) = (Vec::new(), Vec::new());
    for i in 0..steps {
        let first = batch * (i % (y.dim(0)? / batch));
        let loss = trainer.step(&c.narrow(1, first, batch)?, &y.narrow(0, first, batch)?)?;
        cosine.push(1.0 - f64::from(loss.cosine));
        orthogonality.push(f64::from(loss.orthogonality));
    }
    close("1 - cos", &cosine, &golden.list("align.cos"));
    close("orthogonality", &orthogonality, &golden.list("align.orth"));
    close(
        "weights",
        &values(trainer.weights()),
        &golden.list("align.weight25"),
    );
    close(
        "bias",
        &values(trainer.bias()),
        &golden.list("align.bias25"),
    );
    // The weights must have moved by far more than the tolerance, or this would show nothing.
    let moved = difference(&values(trainer.weights()), &golden.list("align.weight0"));
    assert!(moved > 100.0 * TOLERANCE, "moved by {moved:.1e} only");
    Ok(())
}
