//! Accuracy as components are switched off: what each step comes to, orders, heads, and what is refused.

use super::support::*;
use vitrepl_prelude::Result;
use vitrepl_prelude::experiments::AblationCurve;
use vitrepl_prelude::models::maxvit::{MaxVit, MaxVitConfig};
use vitrepl_prelude::prelude::*;

fn small() -> AblationSettings {
    AblationSettings {
        random_orders: 5,
        ..AblationSettings::default()
    }
}

/// Images that are right with these components off, by plain functions.
fn right(
    model: &Model,
    options: &DecomposeOptions,
    head: &score::LinearHead,
    column: &str,
    off: &[String],
) -> usize {
    let contributions = decompose(model, tested(), options).unwrap();
    let z = match off {
        [] => contributions.representation().clone(),
        _ => contributions
            .ablate(&contributions.means().unwrap(), off)
            .unwrap(),
    };
    let labels = tested().labels(column).unwrap().values;
    let predicted = head.predict(&z).unwrap();
    predicted
        .iter()
        .zip(&labels)
        .filter(|(p, l)| p == l)
        .count()
}

#[test]
fn each_step_is_what_plain_ablation_gives() -> Result<()> {
    for (name, settings) in [
        ("tiny_vit", small()),
        ("tiny_maxvit", small()),
        (
            "tiny_swin",
            AblationSettings {
                random_orders: 2,
                ..AblationSettings::by_head()
            },
        ),
    ] {
        let model = model(name);
        let head = model.factor_head(Factor::Location)?;
        let curves = ablation_curves(&task("location"), &[(&*model, Classifier::Own)], &settings)?;
        let curve = &curves.curves()[0];
        let names: Vec<String> = curve.steps[1..].iter().map(|s| s.name.clone()).collect();
        let mut reversed = decompose(&model, tested(), &settings.decompose)?.names();
        reversed.reverse();
        assert_eq!(names, reversed);
        for (k, step) in curve.steps.iter().enumerate() {
            assert_eq!(step.components, k);
            if k % 3 == 0 {
                let wanted = right(&model, &settings.decompose, &head, "location", &names[..k]);
                // f32 and f64 sums may tip an image.
                let apart = step.correct.abs_diff(wanted);
                assert!(
                    apart <= 1,
                    "{name} after {k}: {} for {wanted}",
                    step.correct
                );
            }
        }
        assert!(curve.full() > 0.9, "{}", curve.full());
        let last = curve.steps.last().unwrap();
        assert!(curve.accuracy(last.components).unwrap() <= curve.majority + 1e-9);
        assert_eq!(last.random.as_ref().unwrap().least, last.correct);
    }
    Ok(())
}

#[test]
fn blocks_end_where_the_chart_has_rings() -> Result<()> {
    let model = model("tiny_maxvit");
    let curves = ablation_curves(&task("colour"), &[(&*model, Classifier::Own)], &small())?;
    let steps = &curves.curves()[0].steps;
    let borders: Vec<&str> = steps
        .iter()
        .filter(|s| s.border)
        .map(|s| s.name.as_str())
        .collect();
    // A MaxViT block ends with its convolution, the last one to go.
    assert!(
        borders[1].ends_with("block 1 conv") || borders[1].ends_with("conv"),
        "{borders:?}"
    );
    assert_eq!(borders[0], "none");
    assert_eq!(*borders.last().unwrap(), "init");
    let parts: Vec<&str> = steps[1..6]
        .iter()
        .map(|s| s.name.rsplit_once(' ').unwrap().1)
        .collect();
    assert_eq!(parts, ["mlp", "attn", "mlp", "attn", "conv"]);
    Ok(())
}

fn names(order: AblationOrder, settings: &AblationSettings) -> Result<Vec<(String, usize)>> {
    let model = model("tiny_vit");
    let settings = AblationSettings {
        random_orders: 0,
        ..settings.clone()
    }
    .order(order);
    let curves = ablation_curves(&task("shape"), &[(&*model, Classifier::Own)], &settings)?;
    let steps = curves.curves()[0].steps[1..].iter();
    Ok(steps.map(|s| (s.name.clone(), s.components)).collect())
}

#[test]
fn components_go_in_the_order_that_is_asked_for() -> Result<()> {
    let layers = small();
    let published = names(AblationOrder::Published, &layers)?;
    assert_eq!(published.len(), 12);
    assert_eq!(published[0].0, "init");
    assert_eq!(published[1].0, "block 5 mlp");
    assert_eq!(published[11].0, "block 0 mlp");
    let first = names(AblationOrder::FirstToLast, &layers)?;
    assert_eq!(
        (first[0].0.as_str(), first[12].0.as_str()),
        ("init", "block 5 mlp")
    );
    let heads = AblationSettings::by_head();
    let patterns = ["block 5 *", "* mlp", "block 0 head 2"];
    let named = names(AblationOrder::named(&patterns), &heads)?;
    let counts: Vec<usize> = named.iter().map(|n| n.1).collect();
    // Six heads and an MLP, the five other MLPs, one head.
    assert_eq!(counts, [7, 12, 13]);
    let location = class_embeddings(clip(), Factor::Location.names())?;
    let ranking = aligned("tiny_vit")?.score(&location)?.top(4)?;
    let ranked = names(AblationOrder::ranked(ranking.clone()), &heads)?;
    let wanted: Vec<String> = ranking.iter().map(|r| r.name.clone()).collect();
    assert_eq!(
        ranked.iter().map(|r| r.0.clone()).collect::<Vec<_>>(),
        wanted
    );
    refused(
        names(AblationOrder::named(&["block 9 mlp"]), &heads),
        &["block 9 mlp", "nearest"],
    );
    let twice = ["* mlp", "block 5 mlp"];
    refused(
        names(AblationOrder::named(&twice), &heads),
        &["\"block 5 mlp\"", "leave it out"],
    );
    refused(
        names(AblationOrder::named(&[] as &[&str]), &heads),
        &["one name or pattern"],
    );
    let other = aligned("tiny_dinov2")?.score(&location)?.top(4)?;
    refused(
        names(AblationOrder::ranked(other), &heads),
        &["tiny_vit", "tiny_dinov2"],
    );
    Ok(())
}

fn curve(name: &str, column: &str, settings: &AblationSettings) -> Result<AblationCurve> {
    let curves = ablation_curves(&task(column), &[(&*model(name), Classifier::Own)], settings)?;
    Ok(curves.curves()[0].clone())
}

/// Components that score highest for a factor are those its classifier needs: without them it fails sooner than in random
/// orders, and sooner than other factors' classifiers do.
#[test]
fn what_scores_high_for_a_factor_is_what_its_classifier_needs() -> Result<()> {
    for name in BACKBONES {
        for factor in [Factor::Location, Factor::Colour] {
            let texts = class_embeddings(clip(), factor.names())?;
            let ranking = aligned(name)?.score(&texts)?;
            // A third of all components.
            let off = ranking.len() / 3;
            let ranking = ranking.top(off)?;
            let settings = AblationSettings::by_head().order(AblationOrder::ranked(ranking));
            let all = AblationSettings::by_head();
            let random = curve(
                name,
                factor.name(),
                &AblationSettings {
                    random_orders: 20,
                    ..all
                },
            )?;
            let own = curve(name, factor.name(), &settings)?;
            let left = own.accuracy(off).unwrap();
            let by_chance = random.steps[off].random.as_ref().unwrap().mean / IMAGES as f64;
            let lost = own.full() - left;
            let others = [Factor::Location, Factor::Colour]
                .into_iter()
                .filter(|f| *f != factor);
            let others: Vec<f64> = others
                .map(|f| {
                    curve(name, f.name(), &settings).map(|c| c.full() - c.accuracy(off).unwrap())
                })
                .collect::<Result<_>>()?;
            println!(
                "{name} {}: {left:.3} left, random {by_chance:.3}; lost {lost:.3}, others lose {others:?}",
                factor.name()
            );
            assert!(
                left < by_chance,
                "{name}, {}: {left} left, {by_chance} by chance",
                factor.name()
            );
            assert!(
                others.iter().all(|other| lost > *other),
                "{name}, {}: {lost} {others:?}",
                factor.name()
            );
        }
    }
    Ok(())
}

#[test]
fn several_models_and_heads_stand_in_one_chart() -> Result<()> {
    let (vit, swin, clip) = (model("tiny_vit"), model("tiny_swin"), clip());
    let task = task("location");
    let cases = [
        (&*vit, Classifier::Own),
        (&*vit, Classifier::Probe),
        (&*swin, Classifier::Probe),
        (&*clip, Classifier::Probe),
        (&*clip, Classifier::ZeroShot),
    ];
    let curves = ablation_curves(&task, &cases, &small())?;
    let names: Vec<String> = curves.curves().iter().map(AblationCurve::name).collect();
    let wanted = [
        "tiny_vit, own head",
        "tiny_vit, probe",
        "tiny_swin, probe",
        "tiny_clip, probe",
        "tiny_clip, zero-shot",
    ];
    assert_eq!(names, wanted);
    for curve in curves.curves() {
        assert!(curve.full() > 0.85, "{}: {}", curve.name(), curve.full());
        assert!(curve.half().is_some());
    }
    let probe = &curves.curves()[1];
    assert_eq!(
        probe.note.as_deref(),
        Some("probe fitted on generated seed 77101")
    );
    curves.chart().save(picture("ablation.png"))?;
    let table = curves.table().to_string();
    assert!(
        table.contains("probe fitted on generated seed 77101"),
        "{table}"
    );
    println!("{table}");
    let folder = tempfile::tempdir().unwrap();
    for name in ["curves.csv", "curves.parquet"] {
        curves.save(folder.path().join(name))?;
    }
    let csv = std::fs::read_to_string(folder.path().join("curves.csv")).unwrap();
    let rows: usize = curves.curves().iter().map(|c| c.steps.len()).sum();
    assert_eq!(csv.lines().count(), rows + 1);
    let other = ablation_curves(&super::support::task("shape"), &cases[..1], &small())?;
    refused(curves.with(&other), &["shape", "location"]);
    // The same again by another order: lines then say their order.
    let first = small().order(AblationOrder::FirstToLast);
    let both = curves.with(&ablation_curves(&task, &cases[..1], &first)?)?;
    let text = both.chart().to_string();
    // Names of columns are broken at spaces.
    let says = ["from the first", "first layer"]
        .iter()
        .any(|part| text.contains(part));
    assert!(says, "{text}");
    Ok(())
}

#[test]
fn a_classifier_that_cannot_be_had_is_refused_with_what_to_take() {
    let (vit, clip) = (model("tiny_vit"), clip());
    let plain = ClassificationTask::new(tested(), "shape").unwrap();
    let run = |task: &ClassificationTask, model: &Model, how| {
        ablation_curves(task, &[(model, how)], &small())
    };
    refused(run(&plain, &vit, Classifier::Probe), &["fitted_on(images)"]);
    refused(
        run(&plain, &vit, Classifier::ZeroShot),
        &["tiny_vit", "Classifier::Probe"],
    );
    refused(
        run(&plain, &clip, Classifier::Own),
        &["tiny_clip", "fit_probe"],
    );
    refused(
        ablation_curves(&plain, &[] as &[(&Model, Classifier)], &small()),
        &["a model and a classifier"],
    );
    refused(
        plain.clone().fitted_on(tested()),
        &["the images that it was fitted on", "split"],
    );
    refused(
        ClassificationTask::new(tested(), "texture"),
        &["texture", "shape, colour"],
    );
    let sea = || tested().only("location", "sea").unwrap();
    refused(
        ClassificationTask::new(sea(), "location"),
        &["sea for every image"],
    );
    refused(
        ClassificationTask::new(tested(), "location")
            .unwrap()
            .fitted_on(sea()),
        &["\"desert\"", "images of every class"],
    );
    // Own heads of other classes than the data's.
    let halves = Labels::from_names((0..IMAGES).map(|i| (i % 2).to_string()).collect());
    let set = tested().relabelled("shape", halves).unwrap();
    refused(
        run(
            &ClassificationTask::new(set, "shape").unwrap(),
            &vit,
            Classifier::Own,
        ),
        &["tiny_vit with 6 classes", "2 values of shape"],
    );
}

#[test]
fn a_head_with_a_hidden_layer_reads_sums_as_the_model_reads_its_own() -> Result<()> {
    let config = MaxVitConfig {
        num_classes: 5,
        ..tiny_maxvit_config()
    };
    let model = MaxVit::random(&config, 3)?;
    let pixels = Tensor::rand(
        0f32,
        1.0,
        (4, 3, config.img_size, config.img_size),
        &Device::Cpu,
    )?;
    let features = model.forward(&pixels, &vitrepl_prelude::trace::Tape::off())?;
    let logits = model
        .classify_representations(features.representation.value())?
        .unwrap();
    let apart = (logits - features.logits.unwrap().value())?
        .abs()?
        .max_all()?;
    assert!(apart.to_scalar::<f32>()? < 1e-6);
    Ok(())
}

fn tiny_maxvit_config() -> MaxVitConfig {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/zoo/tiny_maxvit.json");
    let card: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    serde_json::from_value(card["config"].clone()).unwrap()
}
