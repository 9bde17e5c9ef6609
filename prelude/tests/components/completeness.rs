//! How much of a classification texts account for.

use super::support::*;
use vitrepl_prelude::Result;
use vitrepl_prelude::decompose::BlockPart;
use vitrepl_prelude::prelude::*;
use vitrepl_prelude::score::{Rebuild, rebuild_from_texts};

fn words() -> Vec<&'static str> {
    Factor::ALL
        .iter()
        .flat_map(|f| f.names().iter().copied())
        .collect()
}

fn options() -> CompletenessOptions {
    CompletenessOptions {
        last_layers: 3,
        texts: 8,
        ..CompletenessOptions::default()
    }
}

#[test]
fn each_row_is_what_plain_functions_put_together() -> Result<()> {
    let (clip, aligned, task) = (clip(), aligned("tiny_vit")?, task("location"));
    let found = text_completeness(&clip, &aligned, &task, &words(), &options())?;
    let texts = class_embeddings(&clip, &words())?;
    let places = class_embeddings(&clip, Factor::Location.names())?;
    let head = score::zero_shot(&*places)?;
    // The classes of the task are in the order of the data's own names.
    assert_eq!(task.classes(), Factor::Location.names());
    let labels = tested().labels("location")?.values;
    let right = |z: &Tensor| -> Result<usize> {
        let predicted = head.predict(z)?;
        Ok(predicted
            .iter()
            .zip(&labels)
            .filter(|(p, l)| p == l)
            .count())
    };
    let of = |heads: &str, rest: &str| {
        found
            .rows
            .iter()
            .find(|r| r.heads == heads && r.rest == rest)
            .unwrap()
            .correct
    };
    assert_eq!(found.rows[0].correct, right(&aligned.sum()?)?);
    for (rest, rest_how) in [
        ("as they are", Rebuild::Keep),
        ("at their mean", Rebuild::Mean),
    ] {
        for (heads, heads_how) in [
            ("as they are", Rebuild::Keep),
            ("from texts", Rebuild::FromTexts),
            ("at their mean", Rebuild::Mean),
        ] {
            let how: Vec<Rebuild> = (aligned.components().iter())
                .map(|component| match component {
                    Component::Part {
                        block,
                        part: BlockPart::Head(_),
                    } if block.index >= 3 => heads_how,
                    Component::Part {
                        part: BlockPart::Head(_),
                        ..
                    } => Rebuild::Mean,
                    _ => rest_how,
                })
                .collect();
            let rebuilt = rebuild_from_texts(aligned.values(), &how, &texts, 8, 64)?;
            let wanted = right(&rebuilt.representation)?;
            let apart = of(heads, rest).abs_diff(wanted);
            assert!(
                apart <= 1,
                "{heads}, {rest}: {} for {wanted}",
                of(heads, rest)
            );
            if heads_how == Rebuild::FromTexts {
                assert_eq!(found.distinct_texts, rebuilt.distinct_texts());
            }
        }
    }
    assert_eq!(found.heads, 18);
    Ok(())
}

#[test]
fn texts_account_for_more_than_random_directions_and_means() -> Result<()> {
    for name in BACKBONES.into_iter().chain(["tiny_clip"]) {
        let task = task("location");
        let layers = if name == "tiny_maxvit" || name == "tiny_swin" {
            2
        } else {
            3
        };
        let options = CompletenessOptions {
            last_layers: layers,
            ..options()
        };
        let found = text_completeness(clip(), &aligned(name)?, &task, &words(), &options)?;
        println!("{}", found.table());
        found
            .chart()
            .save(picture(&format!("completeness-{name}.png")))?;
        let rest = "at their mean";
        let of = |heads| found.of(heads, rest).unwrap();
        assert!(of("from texts") > of("at their mean"), "{name}");
        assert!(of("from texts") >= of("from random directions"), "{name}");
    }
    Ok(())
}

#[test]
fn what_does_not_belong_together_is_refused() -> Result<()> {
    let (clip, aligned) = (clip(), aligned("tiny_vit")?);
    let run = |aligned: &AlignedContributions,
               task: &ClassificationTask,
               options: &CompletenessOptions| {
        text_completeness(&clip, aligned, task, &words(), options)
    };
    let other = ClassificationTask::new(fitted(), "location")?;
    refused(run(&aligned, &other, &options()), &["77101", "77102"]);
    let task = task("location");
    refused(
        run(&aligned.select("* head *")?, &task, &options()),
        &["36 of 43"],
    );
    refused(
        run(&aligned.by_layer()?, &task, &options()),
        &["Granularity::Heads"],
    );
    let wrong = |last_layers, texts, rank| CompletenessOptions {
        last_layers,
        texts,
        rank,
        seed: 0,
    };
    refused(
        run(&aligned, &task, &wrong(7, 8, None)),
        &["last_layers = 7", "from 1 to 6"],
    );
    refused(
        run(&aligned, &task, &wrong(3, 99, None)),
        &["99", "number of texts"],
    );
    refused(
        run(&aligned, &task, &wrong(3, 8, Some(65))),
        &["rank = 65", "64"],
    );
    Ok(())
}
