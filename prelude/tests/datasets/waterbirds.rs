use super::desk::{Desk, refused, shows};
use vitrepl_prelude::Result;
use vitrepl_prelude::data::{DataSet, FolderSet, OnUnreadable, Waterbirds};

const METADATA: &str = "img_id,img_filename,y,split,place,place_filename\n\
    1,001.Albatross/one.jpg,1,0,1,/o/ocean/1.jpg\n\
    2,001.Albatross/two.jpg,1,2,0,\"/f/forest, broadleaf/2.jpg\"\n\
    3,002.Wren/three.jpg,0,1,0,/b/bamboo_forest/3.jpg\n";

fn original(metadata: &str) -> Desk {
    let desk = Desk::with(&[
        "001.Albatross/one.jpg",
        "001.Albatross/two.jpg",
        "002.Wren/three.jpg",
    ]);
    desk.write("metadata.csv", metadata);
    desk
}

fn open(desk: &Desk) -> Result<FolderSet> {
    Waterbirds::open(desk.root(), OnUnreadable::Fail)
}

#[test]
fn the_original_is_read_from_its_metadata() -> Result<()> {
    let desk = original(METADATA);
    let set = open(&desk)?;
    shows(&set, &[0, 1, 2])?;
    assert_eq!(set.label_columns(), ["class", "place", "group", "split"]);
    assert_eq!(set.labels("class")?.values, [1, 1, 0]);
    assert_eq!(set.labels("place")?.values, [1, 0, 0]);
    let group = set.labels("group")?;
    assert_eq!(group.values, [3, 2, 0]);
    assert_eq!(
        group.names,
        [
            "landbird on land",
            "landbird on water",
            "waterbird on land",
            "waterbird on water"
        ]
    );
    let test = set.only("split", "test")?;
    assert_eq!(test.labels("group")?.values, [2]);
    shows(&test, &[1])
}

#[test]
fn broken_metadata_is_named_by_line() {
    let cases: [(&str, &str, &[&str]); 6] = [
        (
            "/o/ocean/1.jpg",
            "/o/ocean/1.jpg,more",
            &["metadata.csv, line 2", "7 fields", "6"],
        ),
        (
            "2,001.Albatross/two.jpg,1",
            "2,001.Albatross/two.jpg,bird",
            &["line 3", "y is \"bird\"", "0, 1"],
        ),
        (
            "three.jpg,0,1",
            "three.jpg,0,3",
            &["line 4", "split is \"3\"", "0, 1, 2"],
        ),
        (
            "one.jpg,1,0,1",
            "one.jpg,1,0,2",
            &["line 2", "place is \"2\""],
        ),
        (
            "002.Wren/three.jpg",
            "002.Wren/four.jpg",
            &["line 4", "four.jpg", "not there"],
        ),
        (
            ",place,",
            ",where,",
            &["no column place", "img_id, img_filename, y, split, where"],
        ),
    ];
    for (good, bad, parts) in cases {
        assert!(METADATA.contains(good), "{good}");
        refused(open(&original(&METADATA.replacen(good, bad, 1))), parts);
    }
    let header = METADATA.lines().next().unwrap();
    refused(open(&original(header)), &["metadata.csv", "no rows"]);
}

#[test]
fn the_cleaned_folders_say_the_place_in_the_name() -> Result<()> {
    let desk = Desk::with(&[
        "waterbird/swan_1_water.jpg",
        "waterbird/swan_2_land.jpg",
        "landbird/wren_1_land.jpg",
        "landbird/wren_2_water.jpg",
    ]);
    let set = open(&desk)?;
    shows(&set, &[2, 3, 0, 1])?;
    assert_eq!(set.labels("class")?.values, [0, 0, 1, 1]);
    assert_eq!(set.labels("class")?.names, ["landbird", "waterbird"]);
    assert_eq!(set.labels("place")?.values, [0, 1, 1, 0]);
    assert_eq!(set.labels("group")?.values, [0, 1, 3, 2]);

    desk.picture("landbird/wren.jpg", 5);
    refused(open(&desk), &["wren.jpg", "does not end in the place"]);
    Ok(())
}

#[test]
fn other_folders_are_refused() {
    refused(
        open(&Desk::with(&["a.jpg"])),
        &["no metadata.csv", "landbird and waterbird"],
    );
    refused(
        open(&Desk::with(&["a/1.jpg", "b/1.jpg", "c/1.jpg"])),
        &["a, b, c"],
    );
    let desk = Desk::new();
    refused(
        Waterbirds::open(desk.path("none"), OnUnreadable::Fail),
        &["none", "check the path"],
    );
}
