use super::support::{World, refused};
use vitrepl_prelude::Result;
use vitrepl_prelude::score::{
    Ablation, GroupLoss, Grouped, Scaling, ScalingOptions, fit_scaling, random_control,
};

fn options(loss: GroupLoss, strength: f64) -> ScalingOptions {
    ScalingOptions {
        loss,
        strengths: vec![strength],
        iterations: 5000,
        tolerance: 1e-9,
        ..ScalingOptions::default()
    }
}

fn fit(world: &World, loss: GroupLoss, strength: f64) -> Scaling {
    let scaling = fit_scaling(&world.ablation(), world.grouped(), &options(loss, strength));
    let scaling = scaling.unwrap();
    assert!(scaling.converged, "{scaling:?}");
    scaling
}

#[test]
fn one_component_goes_where_its_derivative_vanishes() {
    // Logits of +w and -w at a root mean square of 1: ln(1 + exp(-2 w)) + strength / 2 (w - 1)^2.
    let world = World::new(8, 1, &[(1.0, 0.0, 0.0)]);
    for strength in [0.01, 0.1, 1.0] {
        let (mut low, mut high) = (0.0f64, 100.0);
        for _ in 0..200 {
            let w: f64 = (low + high) / 2.0;
            let slope = -2.0 / (1.0 + (2.0 * w).exp()) + strength * (w - 1.0);
            if slope < 0.0 { low = w } else { high = w }
        }
        for loss in [GroupLoss::Balanced, GroupLoss::Worst] {
            let found = fit(&world, loss, strength).weights[0];
            assert!((found - low).abs() < 1e-5, "{strength}: {found}, not {low}");
        }
    }
}

#[test]
fn the_place_is_switched_off_and_the_class_strengthened() {
    // Class, place, what speaks against the class, what says nothing.
    let parts = [
        (1.0, 0.0, 0.0),
        (0.0, 0.8, 0.0),
        (-0.3, 0.0, 0.0),
        (0.0, 0.0, 0.0),
    ];
    let world = World::new(80, 1, &parts);
    for loss in [GroupLoss::Balanced, GroupLoss::Worst] {
        let weights = fit(&world, loss, 1e-4).weights;
        assert!(weights[0] > 2.0, "{weights:?}");
        // The loss is even in this weight, so only the pull towards 1 keeps it from 0.
        assert!(weights[1] < 0.25, "{weights:?}");
        assert_eq!(weights[2], 0.0, "{weights:?}");
        assert_eq!(weights[3], 1.0, "{weights:?}");
        let still = fit(&world, loss, 1e6).weights;
        assert!(still.iter().all(|w| (w - 1.0).abs() < 1e-5), "{still:?}");
    }
}

/// Loss and penalty written once more, from the predictions' logits alone.
fn objective(world: &World, weights: &[f64], loss: GroupLoss, strength: f64) -> f64 {
    let c = world.contributions.to_vec3::<f32>().unwrap();
    let logit = |b: usize, weights: &[f64]| -> f64 {
        let each = c.iter().zip(weights);
        each.map(|(c, w)| w * f64::from(c[b][0] + c[b][1])).sum()
    };
    let images = world.labels.len();
    let ones = vec![1.0; weights.len()];
    let square: f64 = (0..images).map(|b| logit(b, &ones).powi(2)).sum();
    let scale = 1.0 / (square / images as f64).sqrt();
    let mut groups = [(0.0, 0.0); 4];
    for b in 0..images {
        let margin = logit(b, weights) * scale * (2.0 * world.labels[b] as f64 - 1.0);
        let (sum, count) = &mut groups[world.groups[b]];
        *sum += (1.0 + (-2.0 * margin).exp()).ln();
        *count += 1.0;
    }
    let means = groups.iter().map(|(sum, count)| sum / count);
    let of_groups = match loss {
        GroupLoss::Balanced => means.sum::<f64>() / 4.0,
        GroupLoss::Worst => (means.map(|l| (10.0 * l).exp()).sum::<f64>() / 4.0).ln() / 10.0,
    };
    let pull: f64 = weights.iter().map(|w| (w - 1.0).powi(2)).sum();
    of_groups + strength / 2.0 * pull
}

#[test]
fn nothing_near_the_weights_is_better() {
    let parts = [
        (0.5, 0.1, 0.6),
        (0.2, 0.9, 0.4),
        (0.1, -0.2, 0.9),
        (-0.2, 0.3, 0.5),
    ];
    let world = World::new(60, 7, &parts);
    for loss in [GroupLoss::Balanced, GroupLoss::Worst] {
        let found = fit(&world, loss, 0.02);
        let least = objective(&world, &found.weights, loss, 0.02);
        assert!((least - found.loss).abs() < 1e-6, "{least} {}", found.loss);
        for i in 0..4 {
            for step in [-0.3, -0.01, 0.01, 0.3] {
                let mut moved = found.weights.clone();
                moved[i] = f64::max(moved[i] + step, 0.0);
                if moved != found.weights {
                    let other = objective(&world, &moved, loss, 0.02);
                    assert!(other > least, "{loss:?} {i} {step}: {other} {least}");
                }
            }
        }
    }
}

#[test]
fn the_strength_is_chosen_on_held_out_images() -> Result<()> {
    let parts: Vec<(f32, f32, f32)> = (0..12)
        .map(|i| match i {
            0 => (0.5, 0.0, 0.2),
            1 | 2 => (0.0, 0.5, 0.2),
            _ => (0.0, 0.0, 0.3),
        })
        .collect();
    let (validation, test) = (World::new(240, 1, &parts), World::new(400, 2, &parts));
    let options = ScalingOptions::default();
    let found = fit_scaling(&validation.ablation(), validation.grouped(), &options)?;
    assert_eq!(found.tried.len(), options.strengths.len());
    let best = found.tried.iter().map(|t| t.1).fold(0.0, f64::max);
    let chosen = found.tried.iter().find(|t| t.0 == found.strength);
    assert_eq!(chosen.unwrap().1, best);
    let on_test = test.ablation();
    let worst = |weights: &[f64]| -> Result<f64> {
        let predicted = on_test.predict_scaled(weights)?;
        Ok(test.grouped().count(&predicted)?.worst())
    };
    let (before, after) = (worst(&[1.0; 12])?, worst(&found.weights)?);
    assert!(after > before + 0.2, "{before} {after}");
    // The same factors on other components do not help.
    let random = random_control(&on_test, &found.weights, test.grouped(), 20, 0)?;
    assert!(random.mean_worst() < after - 0.2, "{}", random.mean_worst());
    assert_eq!(
        found,
        fit_scaling(&validation.ablation(), validation.grouped(), &options)?
    );
    Ok(())
}

#[test]
fn weights_of_0_and_1_are_mean_ablation() -> Result<()> {
    let world = World::new(40, 3, &[(0.5, 0.0, 0.6), (0.0, 0.9, 0.4), (0.1, 0.2, 0.9)]);
    let ablation = world.ablation();
    let scaled = |weights: &[f64]| ablation.predict_scaled(weights);
    assert_eq!(scaled(&[1.0; 3])?, ablation.predict(&[])?);
    assert_eq!(scaled(&[1.0, 0.0, 1.0])?, ablation.predict(&[1])?);
    assert_eq!(scaled(&[0.0, 0.0, 1.0])?, ablation.predict(&[0, 1])?);
    refused(scaled(&[1.0; 2]), &["weights", "3 components"]);
    refused(scaled(&[1.0, -0.5, 1.0]), &["weights = -0.5"]);
    refused(scaled(&[1.0, f64::NAN, 1.0]), &["weights"]);
    // A control that changes nothing is what was there before.
    let none = random_control(&ablation, &[1.0; 3], world.grouped(), 3, 0)?;
    let before = world.grouped().count(&ablation.predict(&[])?)?;
    assert!(none.draws.iter().all(|draw| *draw == before));
    refused(
        random_control(&ablation, &[1.0; 3], world.grouped(), 0, 0),
        &["draws = 0"],
    );
    Ok(())
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    let world = World::new(40, 3, &[(0.5, 0.0, 0.6), (0.0, 0.9, 0.4)]);
    let ablation: Ablation = world.ablation();
    let with = |change: fn(&mut ScalingOptions)| {
        let mut options = ScalingOptions::default();
        change(&mut options);
        fit_scaling(&ablation, world.grouped(), &options)
    };
    refused(with(|o| o.strengths = vec![]), &["strengths = []"]);
    refused(
        with(|o| o.strengths = vec![0.1, 0.0]),
        &["strengths", "positive"],
    );
    refused(with(|o| o.folds = 1), &["folds = 1"]);
    refused(with(|o| o.iterations = 0), &["iterations = 0"]);
    refused(with(|o| o.tolerance = 0.0), &["tolerance = 0"]);
    let lone: Vec<usize> = (0..40).map(|i| usize::from(i == 0)).collect();
    let images = Grouped {
        groups: &lone,
        ..world.grouped()
    };
    refused(
        fit_scaling(&ablation, images, &ScalingOptions::default()),
        &["\"group 1\" has 1 image", "larger validation split"],
    );
    // The remedy it names works.
    assert!(fit_scaling(&ablation, images, &options(GroupLoss::Worst, 0.1)).is_ok());
    let short = Grouped {
        labels: &world.labels[1..],
        ..world.grouped()
    };
    refused(
        fit_scaling(&ablation, short, &ScalingOptions::default()),
        &["labels", "40 images"],
    );
}
