//! Tables and charts of a study. The pictures are left in `target/tmp/study`.

use super::support::model;
use std::path::Path;
use vitrepl_prelude::activations::Intervention;
use vitrepl_prelude::prelude::*;
use vitrepl_prelude::score::{
    Ablation, AdamProbeOptions, Bootstrap, BootstrapOptions, Grouped, ProbeOptions, ScalingOptions,
    StreamedAblation, fit_adam_probe, fit_probe, fit_scaling,
};

fn results() -> Result<[Mitigated; 3]> {
    let data = StudyData::generated(&GeneratedSplits {
        reference: 200,
        train: 200,
        validation: 120,
        test: 160,
        ..GeneratedSplits::default()
    })?;
    let with = |setting: StudySettings| {
        let setting = StudySettings {
            align_epochs: 1,
            ..setting
        };
        Study::new(&model("tiny_clip"), data.clone(), setting)
    };
    let (validated, paper) = (
        with(StudySettings::default())?,
        with(StudySettings::paper())?,
    );
    Ok([
        validated.run(model("tiny_vit"), Classifier::Probe)?,
        validated.run(model("tiny_clip"), Classifier::ZeroShot)?,
        paper.run(model("tiny_vit"), Classifier::Probe)?,
    ])
}

fn row<'t>(table: &'t str, label: &str) -> Vec<&'t str> {
    let lines = table
        .lines()
        .map(|line| line.split('┆').collect::<Vec<_>>());
    let trim = |cell: &'t str| cell.trim_matches(|c: char| c == '│' || c.is_whitespace());
    let mut rows = lines.map(|cells| cells.into_iter().map(trim).collect::<Vec<_>>());
    rows.find(|cells| cells[0] == label)
        .unwrap_or_else(|| panic!("no row {label:?} in {table}"))
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

#[test]
fn tables_name_each_average_and_give_intervals() -> Result<()> {
    let results = results()?;
    let [vit, _, paper] = &results;
    let table = vit.table().to_string();
    println!(
        "{table}\n{}\n{}",
        paper.table(),
        remedy_comparison(&results)
    );
    let (before, after) = (&vit.before, &vit.remedies[0].outcome);
    let interval = after.intervals.average_of_groups;
    let cell = format!(
        "{} [{}, {}]",
        percent(after.accuracy.average_of_groups()),
        percent(interval.low),
        percent(interval.high)
    );
    assert_eq!(row(&table, "average of groups")[2], cell);
    let weighted = row(&table, "average weighted by training groups")[1];
    assert!(
        weighted.starts_with(&percent(before.weighted.unwrap())),
        "{weighted}"
    );
    let whole = row(&table, "average over images")[1];
    assert!(
        whole.starts_with(&percent(before.accuracy.average())),
        "{whole}"
    );
    for line in table.lines() {
        assert!(line.chars().count() <= 200, "{line}");
    }
    // Of the same models side by side, one by a protocol without a random control.
    let table = comparison(&results).to_string();
    println!("{table}");
    let change = |o: &Mitigated| {
        let (before, after) = (&o.mitigation.before, &o.mitigation.after);
        format!("{} → {}", percent(before.worst()), percent(after.worst()))
    };
    let worst = row(&table, "worst group");
    assert_eq!(worst[1..], results.each_ref().map(change));
    let random = row(&table, "random, worst group, mean of 20");
    assert_eq!(random[1], percent(vit.mitigation.random.mean_worst()));
    assert_eq!(random[3], "–");
    assert_eq!(row(&table, "switched off")[3], "10 of 43");
    let beyond = row(&table, "worst group, fitted weights");
    assert_eq!(beyond[1], percent(vit.remedies[1].outcome.accuracy.worst()));
    assert_eq!(beyond[3], "–");
    Ok(())
}

#[test]
fn all_accuracies_are_there_in_full_precision() -> Result<()> {
    let results = results()?;
    let csv = study_accuracies(&results).csv();
    let lines: Vec<&str> = csv.lines().collect();
    // 8 quantities before and after 3 remedies, twice, and before and after one by the paper's protocol.
    assert_eq!(lines.len(), 1 + 8 * 4 + 8 * 4 + 8 * 2);
    let after = &results[0].remedies[0].outcome;
    let wanted = format!(
        "worst group,{},{},{}",
        after.accuracy.worst(),
        after.intervals.worst.low,
        after.intervals.worst.high
    );
    let found = lines
        .iter()
        .any(|l| l.contains("mean ablation") && l.ends_with(&wanted));
    assert!(found, "{wanted} in {csv}");
    Ok(())
}

#[test]
fn charts_show_the_groups_with_whiskers() -> Result<()> {
    let [vit, _, paper] = &results()?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("study");
    vit.groups().save(folder.join("groups.png"))?;
    vit.remedies_chart().save(folder.join("remedies.png"))?;
    vit.curve().save(folder.join("curve.png"))?;
    vit.chart(12).save(folder.join("scores.png"))?;
    vit.table().save(folder.join("table.png"))?;
    paper.groups().save(folder.join("paper.png"))?;
    paper.curve().save(folder.join("paper_curve.png"))?;
    let text = vit.groups().to_string();
    let interval = vit.before.intervals.worst;
    let ends = format!(
        "[{:.2}, {:.2}]",
        100.0 * interval.low,
        100.0 * interval.high
    );
    assert!(text.contains(&ends), "{ends} in {text}");
    assert!(text.contains("160 test images"), "{text}");
    assert!(
        paper.curve().to_string().contains("fixed: 10"),
        "{}",
        paper.curve()
    );
    assert!(
        !paper.groups().to_string().contains("random"),
        "{}",
        paper.groups()
    );
    Ok(())
}

/// A value at the end of a cell: a screen of lines that fit, in words.
#[track_caller]
fn fits_a_screen(value: &dyn std::fmt::Debug) {
    let shown = format!("{value:?}");
    println!("{shown}\n");
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines.len() <= 40, "{} lines: {shown}", lines.len());
    assert!(
        lines.iter().all(|line| line.chars().count() <= 160),
        "{shown}"
    );
    for dump in ["Tensor[", "Some(", " { ", "[["] {
        assert!(!shown.contains(dump), "{dump}: {shown}");
    }
}

#[test]
fn a_study_and_all_that_it_gives_show_themselves() -> Result<()> {
    let data = StudyData::generated(&GeneratedSplits::default())?;
    fits_a_screen(&data);
    fits_a_screen(&Study::new(
        &model("tiny_clip"),
        data,
        StudySettings::default(),
    )?);
    for result in &results()? {
        fits_a_screen(result);
        fits_a_screen(&result.before);
        fits_a_screen(&result.before.intervals);
        for remedy in &result.remedies {
            fits_a_screen(remedy);
            fits_a_screen(&remedy.random);
        }
    }
    let (set, labels) = (
        GeneratedSet::new(GeneratedSpec::unbiased(3, 60))?,
        Factor::Location,
    );
    let vit = model("tiny_vit");
    let embedded = embed_images(&vit, &set)?;
    let labels = set.labels(labels.name())?;
    let classes = labels.names.len();
    let (head, report) = fit_probe(
        &*embedded,
        &labels.values,
        classes,
        &ProbeOptions::default(),
    )?;
    fits_a_screen(&report);
    let adam = AdamProbeOptions::default();
    fits_a_screen(&fit_adam_probe(&*embedded, &labels.values, classes, &adam)?.1);
    let c = decompose(&vit, &set, &DecomposeOptions::default())?;
    let streamed = StreamedAblation::new(&*c, c.means()?.values(), &head)?;
    fits_a_screen(&streamed);
    let ablation = Ablation::new(&*c, c.means()?.values(), &head)?;
    let names: Vec<String> = labels.names.clone();
    let grouped = Grouped {
        labels: &labels.values,
        groups: &labels.values,
        names: &names,
    };
    fits_a_screen(&fit_scaling(
        &ablation,
        grouped,
        &ScalingOptions::default(),
    )?);
    let bootstrap = Bootstrap::new(&labels.values, classes, &BootstrapOptions::default())?;
    fits_a_screen(&bootstrap);
    let zero = ActivationChange::Zero;
    fits_a_screen(&zero);
    fits_a_screen(&Intervention::on(vit.encoder(), "block 5 *", zero)?);
    let decomposer = Decomposer::new(vit.encoder(), DecomposeOptions::default())?;
    fits_a_screen(&decomposer);
    fits_a_screen(&SegmentationSettings::default());
    let words = class_embeddings(model("tiny_clip"), &names)?;
    fits_a_screen(&RetrievalFeature::new("location", labels, words));
    fits_a_screen(&Tile::new(Default::default(), "a tile"));
    fits_a_screen(&ImageNet);
    Ok(())
}
