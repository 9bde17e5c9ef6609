use super::support::{World, refused};
use candle_core::{Device, Tensor};
use serde::Deserialize;
use vitrepl_prelude::Result;
use vitrepl_prelude::score::{AdamProbeOptions, LinearHead, fit_adam_probe};

#[derive(Deserialize)]
struct Layer {
    weight: Vec<Vec<f32>>,
    bias: Vec<f32>,
}

impl Layer {
    fn weight(&self) -> Result<Tensor> {
        let shape = (self.bias.len(), self.weight[0].len());
        Ok(Tensor::from_vec(self.weight.concat(), shape, &Device::Cpu)?)
    }
}

#[derive(Deserialize)]
struct Fitted {
    x: Vec<Vec<f32>>,
    labels: Vec<usize>,
    start: Layer,
    end: Layer,
    losses: Vec<f64>,
}

#[test]
fn it_ends_where_pytorch_does() -> Result<()> {
    let expected: Fitted = serde_json::from_str(include_str!("adam.json")).unwrap();
    let shape = (expected.x.len(), expected.x[0].len());
    let x = Tensor::from_vec(expected.x.concat(), shape, &Device::Cpu)?;
    let bias = Tensor::new(expected.start.bias.as_slice(), &Device::Cpu)?;
    let options = AdamProbeOptions {
        learning_rate: 1e-2,
        weight_decay: 1e-2,
        epochs: 10,
        batch: 16,
        start: Some(LinearHead::new(expected.start.weight()?, bias)?),
        ..AdamProbeOptions::default()
    };
    let (head, report) = fit_adam_probe(&x, &expected.labels, 2, &options)?;
    let apart = (head.weight() - expected.end.weight()?)?.abs()?.max_all()?;
    assert!(apart.to_scalar::<f32>()? < 1e-5, "{apart}");
    let bias = head.bias().to_vec1::<f32>()?;
    for (own, theirs) in bias.iter().zip(&expected.end.bias) {
        assert!((own - theirs).abs() < 1e-5, "{own} {theirs}");
    }
    for (own, theirs) in report.losses.iter().zip(&expected.losses) {
        assert!((own - theirs).abs() < 1e-5, "{own} {theirs}");
    }
    assert_eq!(report.losses.len(), 10);
    Ok(())
}

#[test]
fn the_defaults_are_the_papers_and_the_start_is_seeded() -> Result<()> {
    let options = AdamProbeOptions::default();
    assert_eq!((options.learning_rate, options.weight_decay), (1e-3, 1e-6));
    assert_eq!((options.epochs, options.batch), (10, 64));
    let world = World::new(200, 1, &[(1.0, 0.0, 0.3)]);
    let x = world.contributions.sum(0)?;
    let fit = |seed| {
        let options = AdamProbeOptions {
            seed,
            ..AdamProbeOptions::default()
        };
        let (head, report) = fit_adam_probe(&x, &world.labels, 2, &options).unwrap();
        (head.weight().to_vec2::<f32>().unwrap(), report)
    };
    assert_eq!(fit(3), fit(3));
    assert_ne!(fit(3).0, fit(4).0);
    Ok(())
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    let x = World::new(8, 1, &[(1.0, 0.0, 0.3)])
        .contributions
        .sum(0)
        .unwrap();
    let options = AdamProbeOptions::default();
    let fit = |labels: &[usize], options: &AdamProbeOptions| fit_adam_probe(&x, labels, 2, options);
    refused(fit(&[0; 7], &options), &["labels", "8 images"]);
    refused(fit(&[1; 8], &options), &["every image has label 1"]);
    refused(
        fit(&[0, 1, 2, 0, 1, 0, 1, 0], &options),
        &["labels = 2 (image 2)"],
    );
    let labels = [0, 1, 0, 1, 0, 1, 0, 1];
    let with = |change: fn(&mut AdamProbeOptions)| {
        let mut options = AdamProbeOptions::default();
        change(&mut options);
        fit(&labels, &options)
    };
    refused(with(|o| o.learning_rate = f64::NAN), &["learning_rate"]);
    refused(with(|o| o.weight_decay = -1.0), &["weight_decay = -1"]);
    refused(with(|o| o.epochs = 0), &["epochs = 0"]);
    refused(with(|o| o.batch = 0), &["batch = 0"]);
}
