//! Parity of relevance maps with reference values: `relevance`, `relevance_swin` and `relevance_maxvit` of
//! `tests/golden`, or of the folder named by `VITREPL_GOLDEN_DIR`.

mod common;

use candle_core::{DType, Tensor};
use common::golden::Golden;
use std::ops::Deref;
use vitrepl_prelude::Result;
use vitrepl_prelude::activations::{Objective, gradients, select};
use vitrepl_prelude::relevance::{
    RelevanceMethod, attention_relevance, grad_cam, relevance, scaled_to_unit,
};
use vitrepl_prelude::score::enlarge;

const TOLERANCE: f64 = 1e-4;

struct Relevance {
    golden: Golden,
    classes: Vec<usize>,
}

impl Deref for Relevance {
    type Target = Golden;

    fn deref(&self) -> &Golden {
        &self.golden
    }
}

impl Relevance {
    fn open(name: &str) -> Self {
        let golden = Golden::open(name);
        let classes = golden.file.tensor("classes").unwrap();
        let classes = classes.to_dtype(DType::I64).unwrap();
        let classes = classes.to_vec1::<i64>().unwrap();
        Self {
            classes: classes.into_iter().map(|class| class as usize).collect(),
            golden,
        }
    }

    fn map(&self, method: RelevanceMethod) -> Result<Tensor> {
        let objective = Objective::Logit(&self.classes);
        relevance(self.model.as_ref(), &self.pixels, objective, method)
    }

    #[track_caller]
    fn close(&self, name: &str, got: &Tensor) {
        let want = self.file.tensor(name).unwrap();
        assert_eq!(got.dims(), want.dims(), "{name}");
        let flat = |t: &Tensor| -> Vec<f64> {
            let t = t.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
            t.to_vec1().unwrap()
        };
        let (got, want) = (flat(got), flat(want));
        let size = want.iter().fold(f64::MIN_POSITIVE, |m, w| m.max(w.abs()));
        let worst = (got.iter().zip(&want)).fold(0.0, |m: f64, (g, w)| m.max((g - w).abs()));
        println!("{name}: relative error {:.1e}", worst / size);
        assert!(
            worst / size <= TOLERANCE,
            "{name}: relative error {:.1e}",
            worst / size
        );
    }

    fn grad_cam(&self, point: &str) -> Result<()> {
        let model = self.model.as_ref();
        let at = select(model, &[point])?;
        let found = gradients(model, &self.pixels, &at, Objective::Logit(&self.classes))?;
        let (values, slopes) = (found.values.get(point)?, found.gradients.get(point)?);
        let prefix = match model.blocks()[0].stage {
            None => model.token_grid().1,
            Some(_) => 0,
        };
        let cam = grad_cam(&values, &slopes, prefix)?;
        self.close("gradcam.weights", &cam.weights);
        self.close("gradcam.raw", &cam.raw);
        let map = self.map(RelevanceMethod::GradCam)?;
        let grid = scaled_to_unit(&scaled_to_unit(&map)?)?;
        self.close("gradcam.grid", &grid);
        let size = model.image_size();
        let unit = scaled_to_unit(&map)?;
        let large = (0..unit.dim(0)?)
            .map(|i| enlarge(&unit.get(i)?, size, size))
            .collect::<Result<Vec<_>>>()?;
        self.close(
            "gradcam.image",
            &scaled_to_unit(&Tensor::stack(&large, 0)?)?,
        );
        let logits = model
            .forward(&self.pixels, &Default::default())?
            .logits
            .unwrap();
        self.close("logits", logits.value());
        Ok(())
    }
}

#[test]
fn grad_cam_of_every_family() -> Result<()> {
    Relevance::open("relevance").grad_cam("block 2 ln1")?;
    Relevance::open("relevance_swin").grad_cam("stage 1 block 1 ln2")?;
    Relevance::open("relevance_maxvit").grad_cam("stage 1 block 0 window ln1")
}

#[test]
fn attention_and_its_gradients() -> Result<()> {
    let golden = Relevance::open("relevance");
    let model = golden.model.as_ref();
    let at = select(model, &["block * pattern"])?;
    let found = gradients(
        model,
        &golden.pixels,
        &at,
        Objective::Logit(&golden.classes),
    )?;
    let stacked = |of: &vitrepl_prelude::activations::ActivationCache| -> Result<Tensor> {
        let all: Vec<_> = of.all()?.into_iter().map(|(_, tensor)| tensor).collect();
        Ok(Tensor::stack(&all, 1)?)
    };
    golden.close("attention", &stacked(&found.values)?);
    golden.close("attention_gradient", &stacked(&found.gradients)?);
    Ok(())
}

#[test]
fn relevance_of_attention() -> Result<()> {
    let golden = Relevance::open("relevance");
    let objective = Objective::Logit(&golden.classes);
    let found = attention_relevance(golden.model.as_ref(), &golden.pixels, objective)?;
    golden.close("attention_relevance", &Tensor::stack(&found, 1)?);
    for start in [0, 1] {
        for row_normalised in [false, true] {
            let kind = if row_normalised {
                ".row_normalised"
            } else {
                ""
            };
            let method = RelevanceMethod::TransformerAttribution {
                start,
                row_normalised,
            };
            let name = format!("transformer_attribution{kind}.start{start}");
            golden.close(&name, &golden.map(method)?);
        }
    }
    Ok(())
}

#[test]
fn maps_of_attention() -> Result<()> {
    let golden = Relevance::open("relevance");
    golden.close(
        "generic_attention",
        &golden.map(RelevanceMethod::GenericAttention)?,
    );
    golden.close("rollout", &golden.map(RelevanceMethod::Rollout)?);
    golden.close(
        "last_attention",
        &golden.map(RelevanceMethod::LastAttention)?,
    );
    let cam = golden.map(RelevanceMethod::AttentionGradCam)?;
    golden.close("attention_gradcam.raw", &cam);
    Ok(())
}

#[test]
fn methods_that_read_the_class_token_are_refused_by_name_elsewhere() {
    let golden = Relevance::open("relevance_swin");
    for method in [
        RelevanceMethod::Rollout,
        RelevanceMethod::GenericAttention,
        RelevanceMethod::LastAttention,
    ] {
        let error = golden.map(method).unwrap_err().to_string();
        assert!(
            error.contains(method.name()) && error.contains("windows"),
            "{error}"
        );
    }
}
