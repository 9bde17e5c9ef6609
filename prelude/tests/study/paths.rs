//! The whole study by paths: folders laid out as Waterbirds, original and cleaned.

use super::support::{cleaned_folder, model, original_folder, refused, scenes};
use vitrepl_prelude::Result;
use vitrepl_prelude::data::{DataSet, Factor, OnUnreadable};
use vitrepl_prelude::experiments::{Classifier, Study, StudyData, StudySettings};
use vitrepl_prelude::session::embed_images;

const GROUPS: [&str; 4] = [
    "landbird, land",
    "landbird, water",
    "waterbird, land",
    "waterbird, water",
];

/// In the words that the small CLIP knows.
fn in_known_words(data: StudyData) -> StudyData {
    data.spurious("background", Factor::Location.names())
        .core("bird", Factor::Shape.names())
}

#[test]
fn the_original_is_studied_from_its_folder() -> Result<()> {
    let root = tempfile::tempdir().unwrap();
    let splits = [scenes(1, 120, 0.9), scenes(2, 60, 0.5), scenes(3, 80, 0.5)];
    original_folder(root.path(), splits.each_ref());
    let data = in_known_words(StudyData::waterbirds(root.path(), OnUnreadable::Fail)?);
    assert_eq!(data.groups(), GROUPS);
    assert_eq!(data.classes(), ["landbird", "waterbird"]);
    let sizes = [data.train(), data.validation(), data.test()].map(DataSet::len);
    assert_eq!(sizes, [120, 60, 80]);
    // The file lists one class after the other; the probe gets them mixed.
    let classes = data.train().labels("class")?.values;
    assert!(classes[..40].contains(&0) && classes[..40].contains(&1));
    let vit = model("tiny_vit");
    for setting in [StudySettings::default(), StudySettings::paper()] {
        let setting = StudySettings {
            align_epochs: 1,
            ..setting
        };
        let study = Study::new(&model("tiny_clip"), data.clone(), setting)?;
        let result = study.run(&vit, Classifier::Probe)?;
        let groups = &result.before.accuracy.groups;
        assert_eq!(
            groups.iter().map(|g| g.name.as_str()).collect::<Vec<_>>(),
            GROUPS
        );
        assert!(result.table().to_string().contains("waterbird, land"));
        // Before any change it is the probe on the whole representation.
        if result.mitigation.random.draws.is_empty() {
            assert_eq!(groups.iter().map(|g| g.images).sum::<usize>(), 140);
            continue;
        }
        let on_test = embed_images(&vit, data.test())?;
        let labels = data.test().labels("class")?.values;
        let right = study.probe(&vit)?.evaluate(&on_test, &labels)?.correct;
        assert_eq!(groups.iter().map(|g| g.correct).sum::<usize>(), right);
        assert_eq!(groups.iter().map(|g| g.images).sum::<usize>(), 80);
    }
    Ok(())
}

#[test]
fn the_cleaned_folders_are_studied_by_the_papers_protocol() -> Result<()> {
    let root = tempfile::tempdir().unwrap();
    let [correlated, uncorrelated] = ["corr-0.9", "uncorr"].map(|name| root.path().join(name));
    cleaned_folder(&correlated, &scenes(1, 150, 0.9));
    cleaned_folder(&uncorrelated, &scenes(2, 90, 0.5));
    let open = || StudyData::cleaned_waterbirds(&correlated, &uncorrelated, OnUnreadable::Fail);
    let data = open()?;
    let sizes = [data.train(), data.validation(), data.test()].map(DataSet::len);
    assert_eq!(sizes, [120, 30, 90]);
    assert_eq!(data.groups(), GROUPS);
    assert_eq!(data.name(), "corr-0.9 and uncorr");
    // The same parts whenever it is opened.
    assert_eq!(data.train().key(), open()?.train().key());
    let setting = StudySettings {
        align_epochs: 1,
        ..StudySettings::paper()
    };
    let study = Study::new(&model("tiny_clip"), in_known_words(data), setting)?;
    let result = study.run(model("tiny_vit"), Classifier::Probe)?;
    assert_eq!(result.mitigation.k, 10);
    let images: usize = result.before.accuracy.groups.iter().map(|g| g.images).sum();
    assert_eq!(images, 120);
    let table = result.table().to_string();
    assert!(
        table
            .contains("corr-0.9 and uncorr, 120 validation and test images (the paper's protocol)"),
        "{table}"
    );
    assert!(!table.contains("random"), "{table}");
    Ok(())
}

#[test]
fn the_wrong_folder_is_named_with_the_right_call() {
    let root = tempfile::tempdir().unwrap();
    cleaned_folder(root.path(), &scenes(1, 12, 0.5));
    refused(
        StudyData::waterbirds(root.path(), OnUnreadable::Fail),
        &["no metadata.csv", "StudyData::cleaned_waterbirds"],
    );
    refused(
        StudyData::cleaned_waterbirds(root.path(), root.path(), OnUnreadable::Fail),
        &["both the correlated and the uncorrelated", "the other ones"],
    );
    refused(
        StudyData::waterbirds(root.path().join("none"), OnUnreadable::Fail),
        &["none", "check the path"],
    );
}
