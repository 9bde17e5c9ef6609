use super::desk::{Desk, refused, shows};
use std::collections::HashSet;
use vitrepl_prelude::Result;
use vitrepl_prelude::data::{DataSet, FolderSet, ImageNet, OnUnreadable};

fn open(desk: &Desk, folder: &str) -> Result<FolderSet> {
    ImageNet::open(desk.path(folder), OnUnreadable::Fail)
}

fn val(number: usize) -> String {
    format!("val/ILSVRC2012_val_{number:08}.JPEG")
}

/// A flat folder with the first `count` validation images, and a labels file.
fn flat(count: usize, labels: &str, text: &str) -> Desk {
    let desk = Desk::new();
    for number in 1..=count {
        desk.picture(&val(number), number - 1)
    }
    desk.write(labels, text);
    desk
}

fn classes(set: &FolderSet) -> Vec<String> {
    let labels = set.labels("class").unwrap();
    labels
        .values
        .iter()
        .map(|&v| labels.names[v].clone())
        .collect()
}

#[test]
fn the_table_of_classes_is_whole() {
    let (names, wnids) = (ImageNet::names(), ImageNet::wnids());
    assert_eq!((names.len(), wnids.len()), (1000, 1000));
    assert!(wnids.is_sorted());
    assert_eq!(wnids.iter().collect::<HashSet<_>>().len(), 1000);
    // As in open_clip and timm.
    for (value, wnid, name) in [
        (1, "n01443537", "goldfish"),
        (134, "n02012849", "crane bird"),
        (517, "n03126707", "construction crane"),
        (999, "n15075141", "toilet paper"),
    ] {
        assert_eq!((wnids[value], names[value]), (wnid, name));
    }
}

#[test]
fn sub_folders_are_wnids_names_or_numbers() -> Result<()> {
    let desk = Desk::with(&[
        "val/n01443537/a.JPEG",
        "val/n15075141/b.JPEG",
        "val/Kit_Fox/c.JPEG",
        "val/007/d.JPEG",
    ]);
    let set = open(&desk, "val")?;
    shows(&set, &[3, 2, 0, 1])?;
    assert_eq!(
        classes(&set),
        ["rooster", "kit fox", "goldfish", "toilet paper"]
    );
    assert_eq!(set.labels("wnid")?.values, [7, 278, 1, 999]);
    assert_eq!(set.labels("wnid")?.names[278], "n02119789");
    assert_eq!(set.label_columns(), ["class", "wnid"]);

    desk.picture("val/rocket/e.JPEG", 4);
    refused(
        open(&desk, "val"),
        &["rocket", "no class of ImageNet", "n01440764"],
    );
    let desk = Desk::with(&["val/crane/a.JPEG"]);
    refused(
        open(&desk, "val"),
        &["\"crane\" is the name of two classes"],
    );
    let desk = Desk::with(&["val/1000/a.JPEG"]);
    refused(
        open(&desk, "val"),
        &["class 1000 does not exist", "0 to 999"],
    );
    Ok(())
}

#[test]
fn kaggles_solution_names_wnids() -> Result<()> {
    let text = "ImageId,PredictionString\n\
        ILSVRC2012_val_00000002,n01443537 1 2 3 4 n01443537 5 6 7 8 \n\
        ILSVRC2012_val_00000001,n03995372 85 1 499 272 \n";
    let desk = flat(2, "LOC_val_solution.csv", text);
    let set = open(&desk, "val")?;
    shows(&set, &[0, 1])?;
    assert_eq!(classes(&set), ["power drill", "goldfish"]);

    let desk = flat(1, "LOC_val_solution.csv", text);
    refused(
        open(&desk, "val"),
        &[
            "LOC_val_solution.csv, line 2",
            "ILSVRC2012_val_00000002",
            "not there",
        ],
    );
    let broken = text.replace("_00000002,", "_00000002;");
    let desk = flat(2, "LOC_val_solution.csv", &broken);
    refused(
        open(&desk, "val"),
        &["LOC_val_solution.csv, line 2", "1 fields", "header has 2"],
    );
    let desk = flat(
        2,
        "LOC_val_solution.csv",
        &text.replace("n03995372", "n00000000"),
    );
    refused(open(&desk, "val"), &["line 3", "n00000000"]);
    let desk = flat(3, "LOC_val_solution.csv", text);
    refused(
        open(&desk, "val"),
        &["no line names the image", "ILSVRC2012_val_00000003.JPEG"],
    );
    let desk = flat(
        2,
        "LOC_val_solution.csv",
        "ImageId,Answer\nILSVRC2012_val_00000001,n03995372\n",
    );
    refused(
        open(&desk, "val"),
        &["no column PredictionString", "ImageId, Answer"],
    );
    Ok(())
}

#[test]
fn the_development_kit_counts_in_its_own_order() -> Result<()> {
    // 1 kit fox, 2 English setter, 449 tench, 1000 dumbbell.
    let name = "val/ILSVRC2012_validation_ground_truth.txt";
    let desk = flat(4, name, "1\n2\n449\n1000\n");
    let set = open(&desk, "val")?;
    assert_eq!(
        classes(&set),
        ["kit fox", "English Setter", "tench", "dumbbell"]
    );
    assert_eq!(set.labels("class")?.values, [278, 212, 0, 543]);

    // A part of the images, by their numbers.
    let desk = flat(4, name, "1\n2\n449\n1000\n");
    std::fs::remove_file(desk.path(&val(2))).unwrap();
    assert_eq!(open(&desk, "val")?.labels("class")?.values, [278, 0, 543]);

    refused(
        open(&flat(4, name, "1\n2\n0\n3\n"), "val"),
        &["line 3", "0 is no number", "1 to 1000"],
    );
    refused(
        open(&flat(4, name, "1\n2\n3\n"), "val"),
        &["3 lines", "ILSVRC2012_val_00000004"],
    );
    refused(
        open(&flat(1, name, "\n"), "val"),
        &["ground_truth.txt", "no lines"],
    );
    Ok(())
}

#[test]
fn lines_of_a_name_and_a_class() -> Result<()> {
    let desk = flat(
        3,
        "val.txt",
        "ILSVRC2012_val_00000001.JPEG 65\nval/ILSVRC2012_val_00000003.JPEG\tgreat white shark\nILSVRC2012_val_00000002,n01440764\n",
    );
    assert_eq!(open(&desk, "val")?.labels("class")?.values, [65, 0, 2]);

    let desk = flat(1, "val.txt", "ILSVRC2012_val_00000001.JPEG 1000\nx 2\n");
    refused(open(&desk, "val"), &["val.txt, line 1", "1000"]);
    let desk = flat(
        1,
        "val.txt",
        "ILSVRC2012_val_00000001.JPEG 5\nother.JPEG 5\n",
    );
    refused(
        open(&desk, "val"),
        &["val.txt, line 2", "other.JPEG, which is not there"],
    );
    let desk = flat(
        2,
        "val.txt",
        "ILSVRC2012_val_00000001.JPEG 5\nILSVRC2012_val_00000002.JPEG\n",
    );
    refused(
        open(&desk, "val"),
        &["val.txt, line 2", "no class behind the file name"],
    );
    let desk = flat(
        1,
        "val.txt",
        "ILSVRC2012_val_00000001.JPEG 5\nILSVRC2012_val_00000001.JPEG 6\n",
    );
    refused(
        open(&desk, "val"),
        &["val.txt, line 2", "another class above"],
    );
    Ok(())
}

#[test]
fn any_labels_file_can_be_named() -> Result<()> {
    let desk = Desk::with(&["photos/b.png", "photos/a.png"]);
    let wnids = desk.write("mine.lst", "n01440764\nn15075141\n");
    let set = ImageNet::with_labels(desk.path("photos"), &wnids, OnUnreadable::Fail)?;
    assert_eq!(set.labels("class")?.values, [0, 999]);
    desk.picture("photos/c.png", 2);
    let set = ImageNet::with_labels(desk.path("photos"), &wnids, OnUnreadable::Fail);
    refused(set, &["2 lines", "3 images"]);
    let set = ImageNet::with_labels(
        desk.path("photos"),
        desk.path("none.txt"),
        OnUnreadable::Fail,
    );
    refused(set, &["none.txt", "check the path"]);
    Ok(())
}

#[test]
fn folders_without_labels_or_images_are_refused() {
    let desk = Desk::with(&["val/a.JPEG"]);
    refused(
        open(&desk, "val"),
        &["no labels file", "LOC_val_solution.csv", "with_labels"],
    );
    refused(open(&desk, "nowhere"), &["nowhere", "check the path"]);
    std::fs::create_dir(desk.path("empty")).unwrap();
    refused(open(&desk, "empty"), &["empty"]);
}

#[test]
fn unreadable_images_take_their_labels_with_them() -> Result<()> {
    let desk = Desk::with(&["val/n01440764/a.png", "val/n01443537/b.png"]);
    desk.write("val/n01440764/broken.png", "no picture");
    let set = ImageNet::open(desk.path("val"), OnUnreadable::Skip)?;
    assert_eq!(set.labels("class")?.values, [0, 1]);
    assert!(set.skipped()[0].to_string().contains("broken.png"));
    shows(&set, &[0, 1])
}
