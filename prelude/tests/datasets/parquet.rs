use super::desk::{Desk, refused};
use std::path::{Path, PathBuf};
use vitrepl_prelude::Result;
use vitrepl_prelude::data::{DataSet, ModelInput, OnUnreadable, ParquetSet, Preprocess};

/// The shards that `make.py` has made.
pub fn shards() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shards")
}

/// Which picture of `make.py` each image is, read one by one: colour (10 i, 20, 200 - 5 i).
pub fn colours(set: &dyn DataSet) -> Result<Vec<usize>> {
    let whole = Preprocess {
        crop: 1.,
        ..Preprocess::default()
    };
    let number = |i| {
        let pixels = set
            .pixels(&[i], ModelInput::new(8, whole))?
            .flatten_all()?
            .to_vec1::<f32>()?;
        let colour: Vec<_> = [0, 64, 128]
            .map(|at| (pixels[at] * 255.).round() as usize)
            .into();
        let number = (0..60)
            .find(|i| colour == [10 * i % 256, 20, 200 - 5 * i % 200])
            .unwrap_or_else(|| panic!("image {i} is {colour:?}"));
        Ok(number)
    };
    (0..set.len()).map(number).collect()
}

fn open(name: impl AsRef<Path>) -> Result<ParquetSet> {
    ParquetSet::open(shards().join(name), OnUnreadable::Fail)
}

#[test]
fn the_hubs_shards_are_read() -> Result<()> {
    let set = open("hub")?;
    assert_eq!(set.len(), 60);
    assert_eq!(colours(&set)?, (0..60).collect::<Vec<_>>());
    assert_eq!(set.label_columns(), ["label", "place", "seen"]);
    let label = set.labels("label")?;
    assert_eq!(label.names, ["cat", "dog", "fox"]);
    assert_eq!(label.values, (0..60).map(|i| i % 3).collect::<Vec<_>>());
    let place = set.labels("place")?;
    assert_eq!(place.names, ["land", "sea"]);
    assert_eq!(place.values[..4], [1, 0, 1, 0]);
    assert_eq!(set.labels("seen")?.values[..5], [1, 0, 0, 0, 1]);
    refused(
        set.labels("box"),
        &["no label \"box\"", "label, place, seen"],
    );

    let shard = open("hub-00001-of-00002.parquet")?;
    assert_eq!(colours(&shard)?, (50..60).collect::<Vec<_>>());
    assert_eq!(shard.labels("label")?.values[0], 50 % 3);
    assert_ne!(shard.key(), set.key());
    // In any order.
    let mixed = open("hub")?.shuffled(1)?;
    assert_eq!(colours(&mixed)?, mixed.indices());
    Ok(())
}

#[test]
fn threads_may_read_one_file_at_once() -> Result<()> {
    let set = open("hub")?;
    std::thread::scope(|scope| {
        let read =
            || (0..5).for_each(|_| assert_eq!(colours(&set).unwrap(), (0..60).collect::<Vec<_>>()));
        (0..4).for_each(|_| drop(scope.spawn(read)));
    });
    Ok(())
}

#[test]
fn plain_bytes_are_images_too() -> Result<()> {
    let set = open("plain.parquet")?;
    assert_eq!(colours(&set)?, (0..30).map(|i| i % 4).collect::<Vec<_>>());
    let label = set.labels("label")?;
    assert_eq!(label.names, ["0", "1", "2", "3", "4"]);
    assert_eq!(label.values[28], 3);
    let named = ParquetSet::open_column(shards().join("plain.parquet"), "png", OnUnreadable::Fail)?;
    assert_eq!(named.len(), 30);
    Ok(())
}

#[test]
fn cut_and_foreign_files_are_named() -> Result<()> {
    let desk = Desk::new();
    let good = std::fs::read(shards().join("hub-00000-of-00002.parquet")).unwrap();
    let open = |name: &str| ParquetSet::open(desk.path(name), OnUnreadable::Fail);
    for cut in [good.len() - 1, good.len() / 2, 11, 3, 0] {
        desk.write("cut.parquet", &good[..cut]);
        refused(
            open("cut.parquet").map(drop),
            &["cut.parquet", "no whole parquet file", "download it again"],
        );
    }
    desk.write(
        "foreign.parquet",
        "PAR1 is how it begins, and how it does not end",
    );
    refused(
        open("foreign.parquet").map(drop),
        &["foreign.parquet", "no whole parquet file"],
    );
    // A hole in the middle of the pages.
    let mut holed = good.clone();
    holed[100..1000].fill(0xee);
    desk.write("holed.parquet", holed);
    let set = open("holed.parquet")?;
    refused(set.pixels(&[0], 8.into()), &["holed.parquet"]);
    refused(open("none").map(drop), &["no .parquet file at"]);
    Ok(())
}

#[test]
fn missing_columns_are_listed() {
    refused(
        open("numbers.parquet").map(drop),
        &["numbers.parquet", "no image column", "its columns: a, b"],
    );
    let missing = ParquetSet::open_column(shards().join("hub"), "photo", OnUnreadable::Fail);
    refused(
        missing.map(drop),
        &[
            "no image column \"photo\"",
            "image, label, place, seen, box",
        ],
    );
}

#[test]
fn shards_of_one_kind_only() {
    let desk = Desk::new();
    let copy = |from: &str, to: &str| {
        std::fs::copy(shards().join(from), desk.path(to)).unwrap();
    };
    copy("hub-00000-of-00002.parquet", "train-00000-of-00001.parquet");
    copy(
        "hub-00001-of-00002.parquet",
        "validation-00000-of-00001.parquet",
    );
    let folder = ParquetSet::open(desk.root(), OnUnreadable::Fail);
    refused(
        folder.map(drop),
        &["train and validation", "name one", "/train"],
    );
    let validation = ParquetSet::open(desk.path("validation"), OnUnreadable::Fail).unwrap();
    assert_eq!(validation.len(), 10);
    copy("plain.parquet", "validation-00001-of-00001.parquet");
    let mixed = ParquetSet::open(desk.path("validation"), OnUnreadable::Fail);
    refused(
        mixed.map(drop),
        &[
            "validation-00001-of-00001.parquet",
            "not those of the shards before",
        ],
    );
}

#[test]
fn an_unread_compression_is_explained() -> Result<()> {
    let set = open("zstd.parquet")?;
    refused(set.pixels(&[0], 8.into()), &["zstd.parquet", "snappy"]);
    Ok(())
}

#[test]
fn rows_that_cannot_be_read_are_left_out_with_their_labels() -> Result<()> {
    let desk = Desk::new();
    let mut bytes = std::fs::read(shards().join("hub-00000-of-00002.parquet")).unwrap();
    bytes[100..300].fill(0xee);
    desk.write("holed.parquet", bytes);
    let set = ParquetSet::open(desk.path("holed.parquet"), OnUnreadable::Skip)?;
    assert_eq!(set.len() + set.skipped().len(), 50);
    // The hole lies in the first row group, of 20 rows.
    assert_eq!(colours(&set)?, (20..50).collect::<Vec<_>>());
    let labels = set.labels("label")?.values;
    assert_eq!(labels, (20..50).map(|i| i % 3).collect::<Vec<_>>());
    let whole = ParquetSet::open(desk.path("holed.parquet"), OnUnreadable::Fail)?;
    assert_ne!(set.key(), whole.key());
    Ok(())
}
