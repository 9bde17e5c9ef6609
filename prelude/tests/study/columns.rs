//! Data sets with label columns of any names.

use super::support::{refused, scenes};
use vitrepl_prelude::data::{DataSet, Factor, GeneratedSet, GeneratedSpec, Labels};
use vitrepl_prelude::experiments::{GeneratedSplits, StudyData};
use vitrepl_prelude::{Error, Result};

fn plain(seed: u64, len: usize) -> GeneratedSet {
    GeneratedSet::new(GeneratedSpec::unbiased(seed, len)).unwrap()
}

#[test]
fn groups_are_the_classes_crossed_with_the_attribute() -> Result<()> {
    let [train, validation, test] = [1, 2, 3].map(|seed| plain(seed, 200));
    let sizes = train.labels("size")?;
    let data = StudyData::new(train, validation, test, "size", "location")?;
    let classes: Vec<&str> = sizes.names.iter().map(String::as_str).collect();
    assert_eq!(data.classes(), classes);
    let places = Factor::Location.names();
    assert_eq!(data.groups().len(), classes.len() * places.len());
    assert_eq!(data.groups()[0], format!("{}, {}", classes[0], places[0]));
    assert_eq!(data.training_groups().iter().sum::<usize>(), 200);
    Ok(())
}

#[test]
fn one_set_is_cut_by_its_split_column() -> Result<()> {
    let set = || {
        let values = (0..100).map(|i| [0, 0, 1, 2, 2][i % 5]).collect();
        let names = ["train", "valid", "held out"].map(String::from).to_vec();
        scenes(4, 100, 0.8).relabelled("part", Labels { values, names })
    };
    let names = ["train", "valid", "held out"];
    let data = StudyData::by_column(set()?, "part", names, "class", "place")?;
    assert_eq!(data.train().len(), 40);
    assert_eq!(data.validation().len(), 20);
    assert_eq!(data.test().len(), 40);
    assert_eq!(data.test().image_name(0), "4:3");
    let text = data.to_string();
    assert!(
        text.contains("40 training, 20 validation, 40 test"),
        "{text}"
    );
    let no_name = StudyData::by_column(set()?, "part", ["train", "val", "test"], "class", "place");
    refused(
        no_name,
        &["no part is called \"val\"", "train, valid, held out"],
    );
    let no_column = StudyData::by_column(set()?, "split", names, "class", "place");
    refused(no_column, &["no label \"split\"", "class, place, group"]);
    Ok(())
}

#[test]
fn values_are_matched_by_name_whatever_their_numbers() -> Result<()> {
    let test = || scenes(3, 60, 0.5);
    let turned = |column: &str| -> Result<Labels> {
        let Labels { values, mut names } = test().labels(column)?;
        names.reverse();
        let values = values.into_iter().map(|v| 1 - v).collect();
        Ok(Labels { values, names })
    };
    let study = |test| -> Result<StudyData> {
        let (train, validation) = (scenes(1, 60, 0.9), scenes(2, 60, 0.5));
        StudyData::new(train, validation, test, "class", "place")
    };
    let same = test().relabelled("seen", test().labels("class")?)?;
    let other = test()
        .relabelled("class", turned("class")?)?
        .relabelled("place", turned("place")?)?;
    let (same, other) = (study(same)?, study(other)?);
    assert_eq!(
        same.groups(),
        [
            "rounded, open",
            "rounded, covered",
            "angular, open",
            "angular, covered"
        ]
    );
    assert_eq!(same.groups(), other.groups());
    assert_eq!(same.test_groups(), other.test_groups());
    assert_eq!(same.test_groups().iter().sum::<usize>(), 60);
    Ok(())
}

#[test]
fn what_does_not_belong_together_is_refused() -> Result<()> {
    let sets = || (scenes(1, 60, 0.9), scenes(2, 60, 0.5), scenes(3, 60, 0.5));
    let with = |class: &str, attribute: &str| {
        let (train, validation, test) = sets();
        StudyData::new(train, validation, test, class, attribute)
    };
    refused(
        with("bird", "place"),
        &["no label \"bird\"", "class, place, group"],
    );
    refused(with("class", "where"), &["no label \"where\""]);
    refused(
        with("class", "class"),
        &["attribute = class", "another column"],
    );
    let (train, validation, _) = sets();
    let twice = StudyData::new(train, validation, scenes(2, 60, 0.5), "class", "place");
    refused(
        twice,
        &[
            "the validation and the test split are the same images",
            "set.split(",
        ],
    );
    // A class that only the test split has cannot be learned.
    let rounded = || scenes(1, 60, 0.9).only("class", "rounded");
    let (_, validation, test) = sets();
    refused(
        StudyData::new(rounded()?, validation, test, "class", "place"),
        &["rounded", "nothing to tell apart"],
    );
    let (train, validation, test) = sets();
    let train = train.only("shape", "circle")?;
    refused(
        StudyData::new(train, validation, test, "shape", "place"),
        &["circle", "nothing to tell apart"],
    );
    let two = |v: usize| usize::from(v > 0);
    let (train, validation, test) = sets();
    let values = train.labels("shape")?.values.into_iter().map(two).collect();
    let names = ["circle", "ring"].map(String::from).to_vec();
    let train = train.relabelled("shape", Labels { values, names })?;
    refused(
        StudyData::new(train, validation, test, "shape", "place"),
        &["of shape \"heart\"", "training split lacks", "circle, ring"],
    );
    let data = || with("class", "place");
    refused(
        data()?.class_texts(&[vec!["circle"]]),
        &["class_texts", "rounded, angular"],
    );
    refused(
        data()?.class_texts(&[vec!["circle"], vec![]]),
        &["class_texts", "one or more"],
    );
    Ok(())
}

#[test]
fn the_generated_splits_are_checked() {
    let with = |change: fn(&mut GeneratedSplits)| -> Result<StudyData, Error> {
        let mut splits = GeneratedSplits::default();
        change(&mut splits);
        StudyData::generated(&splits)
    };
    refused(with(|s| s.agreement = 1.5), &["agreement = 1.5"]);
    refused(with(|s| s.train = 0), &["at least one image"]);
    let whole = with(|s| s.agreement = 0.5).unwrap();
    assert_eq!((whole.train().len(), whole.test().len()), (3000, 4000));
}
