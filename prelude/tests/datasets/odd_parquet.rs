//! Parquet files as people write them, and broken ones.

use super::desk::{Desk, refused};
use super::parquet::{colours, shards};
use vitrepl_prelude::Result;
use vitrepl_prelude::data::{DataSet, OnUnreadable, ParquetSet};

fn open(name: &str) -> Result<ParquetSet> {
    ParquetSet::open(shards().join(name), OnUnreadable::Fail)
}

#[test]
fn labels_are_read_as_what_they_are() -> Result<()> {
    let set = open("labels.parquet")?;
    assert_eq!(set.labels("u8")?.values, [0, 200, 255]);
    assert_eq!(set.labels("u16")?.values, [1, 40_000, 65_535]);
    assert_eq!(set.labels("u64")?.values, [3, 4, 5]);
    assert_eq!(set.labels("i8")?.values, [1, 2, 3]);
    assert_eq!(set.labels("seen")?.values, [1, 0, 1]);
    assert_eq!(set.labels("place")?.names, ["land", "sea"]);
    assert_eq!(set.labels("place")?.values, [1, 0, 1]);
    refused(
        set.labels("u32"),
        &["row 2", "3000000000 is no class number"],
    );
    refused(
        set.labels("beyond"),
        &["row 2", "9223372036854775813 is no class number"],
    );
    refused(set.labels("gap"), &["row 1", "no value for \"gap\""]);
    refused(
        set.labels("score"),
        &["no label \"score\"", "hold no labels: image, score"],
    );
    Ok(())
}

#[test]
fn lists_of_images_are_named_with_a_remedy() -> Result<()> {
    refused(
        open("lists.parquet").map(drop),
        &[
            "\"images\" holds a list of images",
            "list_element(t[\"images\"], 0)",
        ],
    );
    let named =
        ParquetSet::open_column(shards().join("lists.parquet"), "images", OnUnreadable::Fail);
    refused(named.map(drop), &["list of images"]);
    // What the remedy makes.
    let first = open("first.parquet")?;
    assert_eq!(colours(&first)?, [0, 1, 2]);
    assert_eq!(first.labels("label")?.values, [0, 1, 2]);
    Ok(())
}

#[test]
fn paths_in_place_of_pictures_are_named() -> Result<()> {
    refused(
        open("paths.parquet")?.pixels(&[1], 16.into()),
        &["row 1", "the path photos/1.png", "FolderSet::open"],
    );
    let skipping = ParquetSet::open(shards().join("paths.parquet"), OnUnreadable::Skip);
    refused(skipping.map(drop), &["none of its images", "photos/0.png"]);
    refused(
        open("texts.parquet").map(drop),
        &["no image column", "\"image\" is text", "FolderSet::open"],
    );
    Ok(())
}

#[test]
fn masks_in_a_column_are_named() -> Result<()> {
    refused(
        open("masks.parquet")?.masks(&[0], 16.into()),
        &[
            "its columns mask hold pictures too",
            "one label number a pixel",
            "SegmentationSet::open",
        ],
    );
    refused(
        open("first.parquet")?.masks(&[0], 16.into()),
        &["it has no masks"],
    );
    Ok(())
}

#[test]
fn cut_off_jpegs_are_named_or_left_out() -> Result<()> {
    let set = open("cut.parquet")?;
    for i in 0..8 {
        match i % 2 {
            0 => drop(set.pixels(&[i], 16.into())?),
            _ => drop(refused(
                set.pixels(&[i], 16.into()),
                &[&format!("row {i}"), "cut off"],
            )),
        }
    }
    let set = ParquetSet::open(shards().join("cut.parquet"), OnUnreadable::Skip)?;
    assert_eq!((set.len(), set.skipped().len()), (4, 4));
    assert_eq!(set.labels("label")?.values, [0, 2, 4, 6]);
    Ok(())
}

#[test]
fn hidden_files_beside_shards_are_no_data() -> Result<()> {
    let desk = Desk::new();
    let good = std::fs::read(shards().join("first.parquet")).unwrap();
    desk.write("a.parquet", &good);
    desk.write("._a.parquet", b"\0\x05\x16\x07");
    desk.write(".cache.parquet", b"x");
    let set = ParquetSet::open(desk.root(), OnUnreadable::Fail)?;
    assert_eq!(colours(&set)?, [0, 1, 2]);
    Ok(())
}

/// Every byte of the footer and of the pages changed in turn: an error or other pictures, and never a crash or an
/// allocation as large as a changed number says.
#[test]
fn no_broken_byte_stops_the_session() {
    let desk = Desk::new();
    let (mut refusals, mut tried) = (0, 0);
    for name in ["labels.parquet", "plain.parquet"] {
        let good = std::fs::read(shards().join(name)).unwrap();
        for at in (0..good.len()).step_by(2) {
            let mut bytes = good.clone();
            bytes[at] ^= [0x01, 0x80, 0xff][at / 2 % 3];
            let path = desk.write("broken.parquet", bytes);
            tried += 1;
            let read = || -> Result<()> {
                let set = ParquetSet::open(&path, OnUnreadable::Fail)?;
                assert!(set.len() < 10_000, "{name}, byte {at}: {}", set.len());
                for i in 0..set.len() {
                    set.pixels(&[i], 8.into())?;
                }
                for column in set.label_columns() {
                    set.labels(&column)?;
                }
                Ok(())
            };
            refusals += usize::from(read().is_err());
        }
    }
    assert!(refusals * 3 > tried, "{refusals} of {tried}");
}

#[test]
fn an_absurd_footer_length_is_refused() {
    let desk = Desk::new();
    let good = std::fs::read(shards().join("first.parquet")).unwrap();
    for length in [u32::MAX, 1 << 31, good.len() as u32, 0] {
        let mut bytes = good.clone();
        let at = bytes.len() - 8;
        bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        let path = desk.write("long.parquet", bytes);
        refused(
            ParquetSet::open(path, OnUnreadable::Fail).map(drop),
            &["long.parquet", "download it again"],
        );
    }
}
