//! Both protocols come to what the plain functions do.

use super::support::model;
use vitrepl_prelude::Result;
use vitrepl_prelude::data::{DataSet, Factor};
use vitrepl_prelude::decompose::{Contributions, DecomposeOptions, Sharing};
use vitrepl_prelude::experiments::{
    Classifier, GeneratedSplits, Mitigated, PaperProtocol, RemedyKind, Study, StudyData,
    StudyProtocol, StudySettings,
};
use vitrepl_prelude::score::{self, AdamProbeOptions, GroupAccuracy, ScoreMeasure};
use vitrepl_prelude::session::{class_embeddings, decompose, embed_images};

fn data() -> StudyData {
    StudyData::generated(&GeneratedSplits {
        reference: 200,
        train: 200,
        validation: 120,
        test: 160,
        ..GeneratedSplits::default()
    })
    .unwrap()
}

fn labels(set: &dyn DataSet, column: &str) -> Vec<usize> {
    set.labels(column).unwrap().values
}

fn setting() -> StudySettings {
    StudySettings {
        align_epochs: 1,
        ..StudySettings::default()
    }
}

/// The order of components by scores of plain tensors, and the means of the same images.
fn order(
    study: &Study,
    contributions: &Contributions,
) -> Result<(Vec<score::Ranked>, candle_core::Tensor)> {
    let (clip, vit) = (model("tiny_clip"), model("tiny_vit"));
    let aligned = study.align(&vit)?.aligner.apply(contributions.values())?;
    let score = |factor: Factor| -> Result<Vec<f64>> {
        let texts = class_embeddings(&clip, factor.names())?;
        score::variance_attributed(&aligned, &texts)
    };
    let (spurious, core) = (score(Factor::Location)?, score(Factor::Shape)?);
    let order = score::difference(&contributions.names(), &spurious, &core)?;
    Ok((order, score::component_means(contributions.values())?))
}

#[test]
fn the_default_is_mitigation_chosen_on_validation() -> Result<()> {
    let (clip, vit) = (model("tiny_clip"), model("tiny_vit"));
    let study = Study::new(&clip, data(), setting())?;
    let result = study.run(&vit, Classifier::Probe)?;
    let data = study.data();
    let split = |set: &dyn DataSet| -> Result<_> {
        Ok((
            decompose(&vit, set, &DecomposeOptions::default())?,
            labels(set, "class"),
            labels(set, "group"),
        ))
    };
    let (validation, test) = (split(data.validation())?, split(data.test())?);
    let reference = decompose(&vit, study.reference(), &DecomposeOptions::default())?;
    let (order, means) = order(&study, &reference)?;
    let train = embed_images(&vit, data.train())?;
    let classes = labels(data.train(), "class");
    let (head, _) = score::fit_probe(&train, &classes, 2, &Default::default())?;
    let [on_validation, on_test] =
        [&validation, &test].map(|(c, labels, groups)| score::Labelled {
            contributions: c.values(),
            labels,
            groups,
        });
    let names = data.test().labels("group")?.names;
    let options = Default::default();
    let expected = score::mitigate(
        &order,
        &names,
        &means,
        &head,
        on_validation,
        on_test,
        &options,
    )?;
    let found = &result.mitigation;
    assert_eq!((&found.order, found.k), (&expected.order, expected.k));
    assert_eq!(found.validation, expected.validation);
    assert_eq!(
        (&found.before, &found.after),
        (&expected.before, &expected.after)
    );
    assert_eq!(found.random, expected.random);
    // The table's outcomes are the same, and the averages those of the groups' counts.
    let outcome = &result.remedies[0].outcome;
    assert_eq!(&result.before.accuracy, &expected.before);
    assert_eq!(&outcome.accuracy, &expected.after);
    let mut training = [0.0; 4];
    labels(data.train(), "group")
        .iter()
        .for_each(|g| training[*g] += 1.0);
    assert!(training[0] > 4.0 * training[1], "{training:?}");
    assert_eq!(
        outcome.weighted,
        Some(expected.after.average_weighted(&training)?)
    );
    Ok(())
}

#[test]
fn every_accuracy_lies_within_its_interval_and_remedies_within_their_grid() -> Result<()> {
    let study = Study::new(&model("tiny_clip"), data(), setting())?;
    for (name, head) in [
        ("tiny_vit", Classifier::Probe),
        ("tiny_clip", Classifier::ZeroShot),
    ] {
        let result = study.run(model(name), head)?;
        let outcomes = result.remedies.iter().map(|r| &r.outcome);
        for outcome in std::iter::once(&result.before).chain(outcomes) {
            let (accuracy, found) = (&outcome.accuracy, &outcome.intervals);
            let within = |value: f64, interval: Option<score::Interval>| {
                let interval = interval.unwrap();
                assert!(
                    interval.low <= value && value <= interval.high,
                    "{value} {interval:?}"
                );
            };
            within(accuracy.average(), Some(found.average));
            within(accuracy.average_of_groups(), Some(found.average_of_groups));
            within(outcome.weighted.unwrap(), found.average_weighted);
            for (group, interval) in accuracy.groups.iter().zip(&found.groups) {
                within(group.accuracy().unwrap(), *interval);
            }
        }
        let kinds: Vec<_> = result.remedies.iter().map(|r| r.kind.name()).collect();
        assert_eq!(
            kinds,
            ["mean ablation", "fitted weights", "locate then correct"]
        );
        for remedy in &result.remedies {
            assert_eq!(remedy.random.draws.len(), 20);
            assert_eq!(remedy.weights.len(), 43);
            assert!(remedy.weights.iter().all(|w| *w >= 0.0));
        }
        let RemedyKind::LocateThenCorrect {
            off, strengthened, ..
        } = result.remedies[2].kind
        else {
            panic!("{:?}", result.remedies[2].kind);
        };
        let count = |of: &dyn Fn(f64) -> bool| {
            result.remedies[2]
                .weights
                .iter()
                .filter(|w| of(**w))
                .count()
        };
        assert_eq!(
            (count(&|w| w == 0.0), count(&|w| w > 1.0)),
            (off, strengthened)
        );
        let best = result.best().outcome.accuracy.worst();
        assert!(
            result
                .remedies
                .iter()
                .all(|r| r.outcome.accuracy.worst() <= best)
        );
        assert!(
            result.verdict().contains("mean ablation"),
            "{}",
            result.verdict()
        );
    }
    Ok(())
}

#[test]
fn the_papers_protocol_scores_and_tests_on_both_splits() -> Result<()> {
    let (clip, vit) = (model("tiny_clip"), model("tiny_vit"));
    let setting = StudySettings {
        align_epochs: 1,
        ..StudySettings::paper()
    };
    let study = Study::new(&clip, data(), setting)?;
    let result = study.run(&vit, Classifier::Probe)?;
    let data = study.data();
    let parts = [data.validation(), data.test()];
    let [validation, test] =
        parts.map(|set| decompose(&vit, set, &DecomposeOptions::default()).unwrap());
    let all = Contributions::concat(&[(*validation).clone(), (*test).clone()])?;
    let both = |column: &str| parts.map(|set| labels(set, column)).concat();
    let (order, means) = order(&study, &all)?;
    assert_eq!(result.mitigation.order, order);
    assert_eq!(result.mitigation.k, 10);
    assert!(result.mitigation.random.draws.is_empty());
    assert_eq!(result.remedies.len(), 1);
    let train = embed_images(&vit, data.train())?;
    let classes = labels(data.train(), "class");
    let published = AdamProbeOptions::default();
    let (head, _) = score::fit_adam_probe(&train, &classes, 2, &published)?;
    let top: Vec<usize> = order[..10].iter().map(|r| r.index).collect();
    let names = data.test().labels("group")?.names;
    let count = |set: &[usize]| -> Result<GroupAccuracy> {
        let z = score::ablate(all.values(), &means, set)?;
        GroupAccuracy::count(&head.predict(&z)?, &both("class"), &both("group"), &names)
    };
    assert_eq!(result.mitigation.before, count(&[])?);
    assert_eq!(result.mitigation.after, count(&top)?);
    let images: usize = result.before.accuracy.groups.iter().map(|g| g.images).sum();
    assert_eq!(images, 280);
    Ok(())
}

fn run(setting: StudySettings) -> Result<Mitigated> {
    Study::new(&model("tiny_clip"), data(), setting)?.run(model("tiny_vit"), Classifier::Probe)
}

#[test]
fn measure_sharing_and_k_are_taken_as_given() -> Result<()> {
    let plain = run(setting())?;
    let other = run(StudySettings {
        measure: ScoreMeasure::CorrelationAttributed,
        ..setting()
    })?;
    assert_ne!(plain.mitigation.order, other.mitigation.order);
    assert!(
        other
            .ranking(3)
            .to_string()
            .contains("correlation attributed")
    );
    let own = run(StudySettings {
        decompose: DecomposeOptions {
            sharing: Sharing::Own,
            ..DecomposeOptions::default()
        },
        ..setting()
    })?;
    assert_eq!(own.scores.len(), plain.scores.len() + 1);
    let three = run(StudySettings {
        protocol: StudyProtocol::Paper(PaperProtocol {
            k: 3,
            ..PaperProtocol::default()
        }),
        ..setting()
    })?;
    assert_eq!(three.mitigation.ablated().len(), 3);
    let beyond = run(StudySettings {
        protocol: StudyProtocol::Paper(PaperProtocol {
            k: 44,
            ..PaperProtocol::default()
        }),
        ..setting()
    });
    super::support::refused(beyond, &["k = 44", "at most 43"]);
    Ok(())
}
