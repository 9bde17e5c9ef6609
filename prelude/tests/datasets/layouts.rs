//! Folders as editors, other systems and people leave them, in every layout; and labels files from other programs.

use super::desk::{Desk, png, refused, shows};
use vitrepl_prelude::Result;
use vitrepl_prelude::data::{
    DataSet, FolderSet, ImageNet, OnUnreadable, Preprocess, SegmentationSet, Waterbirds,
};

fn open(desk: &Desk) -> Result<FolderSet> {
    FolderSet::open(desk.root(), OnUnreadable::Fail)
}

/// What systems leave in each of `folders`.
fn litter(desk: &Desk, folders: &[&str]) {
    for folder in folders {
        for name in [
            "._a.png",
            ".hidden.png",
            ".DS_Store",
            "Thumbs.db",
            "__MACOSX/a.png",
            ".ipynb_checkpoints/a.png",
        ] {
            desk.write(&format!("{folder}{name}"), "x");
        }
    }
}

#[test]
fn names_that_begin_with_a_dot_are_no_data_in_any_layout() -> Result<()> {
    let desk = Desk::with(&["cat/0.png", "cat/1.png", "dog/0.png"]);
    litter(&desk, &["", "cat/", "dog/"]);
    let set = open(&desk)?;
    shows(&set, &[0, 1, 2])?;
    assert_eq!(set.labels("class")?.names, ["cat", "dog"]);
    assert!(set.skipped().is_empty());

    let desk = Desk::with(&["b.png", "a.png"]);
    litter(&desk, &[""]);
    shows(&open(&desk)?, &[1, 0])?;

    let desk = Desk::with(&["n01440764/a.png", "n01443537/b.png"]);
    litter(&desk, &["", "n01440764/"]);
    let set = ImageNet::open(desk.root(), OnUnreadable::Fail)?;
    assert_eq!(set.labels("class")?.values, [0, 1]);
    let desk = Desk::with(&["ILSVRC2012_val_00000001.JPEG"]);
    litter(&desk, &[""]);
    desk.write("val.txt", "ILSVRC2012_val_00000001.JPEG 5\n");
    assert_eq!(ImageNet::open(desk.root(), OnUnreadable::Fail)?.len(), 1);

    let desk = Desk::with(&["landbird/wren_1_land.jpg", "waterbird/swan_1_water.jpg"]);
    litter(&desk, &["", "landbird/", "waterbird/"]);
    assert_eq!(Waterbirds::open(desk.root(), OnUnreadable::Fail)?.len(), 2);

    let desk = Desk::with(&["images/a.png"]);
    let mask = image::GrayImage::from_pixel(32, 32, image::Luma([1]));
    mask.save(desk.write("masks/a.png", "")).unwrap();
    litter(&desk, &["images/", "masks/"]);
    let set = SegmentationSet::open(desk.path("images"), desk.path("masks"), OnUnreadable::Fail)?;
    assert_eq!(set.len(), 1);
    Ok(())
}

#[test]
fn one_stray_picture_does_not_turn_the_set_into_itself() -> Result<()> {
    let desk = Desk::with(&["cat/0.png", "cat/1.png", "dog/0.png", "stray.png"]);
    let set = open(&desk)?;
    shows(&set, &[0, 1, 2])?;
    assert_eq!(set.labels("class")?.values, [0, 0, 1]);
    let said = set.skipped()[0].to_string();
    assert!(
        said.contains("stray.png") && said.contains("class folders cat, dog"),
        "{said}"
    );
    // Which of the two the set is cannot be told.
    for i in 1..3 {
        desk.picture(&format!("stray{i}.png"), i)
    }
    refused(
        open(&desk),
        &[
            "3 images lie directly",
            "3 in its sub-folders cat, dog",
            "move",
        ],
    );
    // ImageNet by folders.
    let desk = Desk::with(&["n01440764/a.png", "n01443537/b.png", "preview.png"]);
    let set = ImageNet::open(desk.root(), OnUnreadable::Fail)?;
    shows(&set, &[0, 1])?;
    assert!(set.skipped()[0].to_string().contains("preview.png"));
    Ok(())
}

#[test]
fn other_formats_are_listed() -> Result<()> {
    let desk = Desk::with(&["cat/0.png", "dog/0.png"]);
    for name in [
        "cat/more.bmp",
        "dog/anim.GIF",
        "scan.tiff",
        "dog/notes.txt",
        "cat/web.jfif",
    ] {
        desk.write(name, "x");
    }
    for unreadable in [OnUnreadable::Fail, OnUnreadable::Skip] {
        let set = FolderSet::open(desk.root(), unreadable)?;
        assert_eq!(set.len(), 2);
        let said: Vec<_> = set.skipped().iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 4, "{said:?}");
        for (name, remedy) in [
            ("more.bmp", "convert"),
            ("anim.GIF", "convert"),
            ("scan.tiff", "convert"),
            ("web.jfif", "rename it to .jpg"),
        ] {
            assert!(
                said.iter()
                    .any(|said| said.contains(name) && said.contains(remedy)),
                "{name}: {said:?}"
            );
        }
    }
    let desk = Desk::new();
    desk.write("a.bmp", "x");
    desk.write("b.bmp", "x");
    desk.write("list.csv", "x");
    refused(open(&desk), &["there is no image in", "2 .bmp, 1 .csv"]);
    Ok(())
}

#[test]
fn empty_and_deeper_folders_are_said() -> Result<()> {
    let desk = Desk::with(&["cat/0.png", "dog/0.png", "dog/puppies/1.png"]);
    std::fs::create_dir(desk.path("empty")).unwrap();
    let set = open(&desk)?;
    shows(&set, &[0, 1])?;
    assert_eq!(set.labels("class")?.names, ["cat", "dog"]);
    let said: Vec<_> = set.skipped().iter().map(ToString::to_string).collect();
    assert!(
        said.iter()
            .any(|s| s.contains("empty") && s.contains("no class")),
        "{said:?}"
    );
    assert!(
        said.iter()
            .any(|s| s.contains("puppies") && s.contains("deeper")),
        "{said:?}"
    );

    let desk = Desk::with(&["train/cat/0.png", "val/cat/0.png"]);
    refused(
        open(&desk),
        &["lie deeper", "train/cat/0.png", "open ", "/train"],
    );
    FolderSet::open(desk.path("train"), OnUnreadable::Fail)?;
    refused(
        ImageNet::open(desk.root(), OnUnreadable::Fail),
        &["lie deeper", "/train"],
    );
    Ok(())
}

#[test]
fn a_tilde_is_the_home_folder() {
    let home = std::env::var("HOME").unwrap();
    let path = vitrepl_prelude::files::expand("~/photos").unwrap();
    assert_eq!(path, std::path::Path::new(&home).join("photos"));
    assert_eq!(
        vitrepl_prelude::files::expand("~").unwrap(),
        std::path::Path::new(&home)
    );
    assert_eq!(
        vitrepl_prelude::files::expand("a/~").unwrap(),
        std::path::Path::new("a/~")
    );
    let missing = "~/a folder that is not there";
    refused(
        FolderSet::open(missing, OnUnreadable::Fail),
        &[&home, "check the path"],
    );
    refused(ImageNet::open(missing, OnUnreadable::Fail), &[&home]);
    refused(Waterbirds::open(missing, OnUnreadable::Fail), &[&home]);
}

#[test]
fn labels_files_of_other_programs_are_read() -> Result<()> {
    let set = |labels: &[u8]| {
        let desk = Desk::with(&["val/my photo.jpg", "val/b.png"]);
        desk.write("labels.csv", labels);
        (ImageNet::open(desk.path("val"), OnUnreadable::Fail), desk)
    };
    for labels in [
        &b"\xef\xbb\xbfmy photo.jpg,5\r\nb.png,7\r\n"[..],
        b"\"my photo.jpg\",\"n01514859\"\nb.png 5",
        b"my photo.jpg\tgreat white shark\n\"b.png\",tench\n",
    ] {
        let (set, _desk) = set(labels);
        assert_eq!(set?.len(), 2, "{}", String::from_utf8_lossy(labels));
    }
    let (found, _desk) = set(b"\xef\xbb\xbf\"my photo.jpg\",5\r\nb.png,7\r\nb.png,7\r\n");
    // Files in the order of their names.
    assert_eq!(found?.labels("class")?.values, [7, 5]);
    let (found, _desk) = set(b"file,label\nmy photo.jpg,5\nb.png,7\n");
    refused(found, &["labels.csv, line 1", "remove a header line"]);
    let (found, _desk) = set(b"\xff\xfem\0y\0");
    refused(found, &["labels.csv", "UTF-16", "save it as UTF-8"]);

    let desk = Desk::with(&["val/ILSVRC2012_val_00000001.JPEG"]);
    desk.write("LOC_val_solution.csv", "\u{feff}\"ImageId\",\"PredictionString\"\r\n\"ILSVRC2012_val_00000001\",\"n01443537 1 2 3 4\"\r\n");
    let found = ImageNet::open(desk.path("val"), OnUnreadable::Fail)?;
    assert_eq!(found.labels("class")?.values, [1]);

    // Two files of one stem.
    let desk = Desk::with(&["val/a.jpg", "val/a.png"]);
    desk.write("val.txt", "a.jpg 1\na.png 2\n");
    assert_eq!(
        ImageNet::open(desk.path("val"), OnUnreadable::Fail)?
            .labels("class")?
            .values,
        [1, 2]
    );
    desk.write("val.txt", "a 1\na.png 2\n");
    refused(
        ImageNet::open(desk.path("val"), OnUnreadable::Fail),
        &["line 1", "may be a.jpg or a.png"],
    );
    Ok(())
}

#[test]
fn tables_of_other_programs_are_read() -> Result<()> {
    let desk = Desk::with(&["one.jpg", "two.jpg"]);
    let table =
        "\u{feff}img_id,img_filename,y,split,place\r\n1,\"one.jpg\",0,0,1\r\n2,two.jpg,1,2,0\r\n";
    desk.write("metadata.csv", table);
    let set = Waterbirds::open(desk.root(), OnUnreadable::Fail)?;
    assert_eq!(set.labels("place")?.values, [1, 0]);
    desk.write("metadata.csv", table.replace("two.jpg,1", "one.jpg,1"));
    refused(
        Waterbirds::open(desk.root(), OnUnreadable::Fail),
        &["metadata.csv, line 3", "one.jpg again, as line 2"],
    );
    desk.write("metadata.csv", table.replace("img_id", "y"));
    refused(
        Waterbirds::open(desk.root(), OnUnreadable::Fail),
        &["two columns are called y"],
    );
    Ok(())
}

#[test]
fn keys_follow_order_content_and_what_is_left_out() -> Result<()> {
    let desk = Desk::with(&["a.png", "b.png"]);
    let first = open(&desk)?.key();
    assert_eq!(open(&desk)?.key(), first);
    // What is no data changes nothing.
    litter(&desk, &[""]);
    assert_eq!(open(&desk)?.key(), first);
    std::fs::rename(desk.path("a.png"), desk.path("c.png")).unwrap();
    let renamed = open(&desk)?.key();
    assert_ne!(renamed, first);
    desk.write("c.png", png(9));
    assert_ne!(open(&desk)?.key(), renamed);
    let all = open(&desk)?;
    let key = all.key();
    assert_ne!(
        all.preprocessed(Preprocess {
            upright: false,
            ..Preprocess::default()
        })?
        .key(),
        key
    );
    Ok(())
}
