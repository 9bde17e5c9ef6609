use super::desk::{Desk, png, refused, shows, whole};
use super::parquet::{colours, shards};
use vitrepl_prelude::Result;
use vitrepl_prelude::data::{DataSet, OnUnreadable, TarSet};

/// Members in order, as an archive.
fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn open(desk: &Desk, name: &str) -> Result<TarSet> {
    TarSet::open(desk.path(name), OnUnreadable::Fail)
}

#[test]
fn webdatasets_shards_are_read() -> Result<()> {
    let set = TarSet::open(shards().join("samples"), OnUnreadable::Fail)?;
    assert_eq!(colours(&set)?, (0..6).collect::<Vec<_>>());
    assert_eq!(set.label_columns(), ["class", "text", "shape", "number"]);
    let class = set.labels("class")?;
    assert_eq!(class.values, [0, 1, 2, 0, 1, 2]);
    assert_eq!(class.names, ["0", "1", "2"]);
    assert_eq!(set.labels("number")?.values, [0, 1, 0, 1, 0, 1]);
    let shape = set.labels("shape")?;
    assert_eq!(shape.names, ["cat", "dog", "fox"]);
    assert_eq!(shape.values, class.values);
    assert_eq!(set.labels("text")?.names, ["picture 0", "picture 1"]);
    refused(
        set.labels("box"),
        &["no label \"box\"", "class, text, shape, number"],
    );

    let one = TarSet::open(shards().join("samples-000001.tar"), OnUnreadable::Fail)?;
    assert_eq!(colours(&one)?, [4, 5]);
    assert_ne!(one.key(), set.key());
    Ok(())
}

#[test]
fn a_folder_of_shards_in_the_order_of_their_names() -> Result<()> {
    let desk = Desk::new();
    let long = format!("{}/x", "deep".repeat(40));
    let (long_png, long_cls) = (format!("{long}.png"), format!("{long}.cls"));
    desk.write("b.tar", archive(&[("0.png", &png(2)), ("0.cls", b"7\n")]));
    desk.write(
        "a.tar",
        archive(&[
            (&long_png, &png(0)),
            (&long_cls, b"1"),
            ("./b.JPG", &png(1)),
            ("./b.cls", b"3"),
            ("._b.png", b""),
        ]),
    );
    let set = TarSet::open(desk.root(), OnUnreadable::Fail)?;
    shows(&set, &[0, 1, 2])?;
    assert_eq!(set.labels("class")?.values, [1, 3, 7]);
    assert_eq!(set.labels("class")?.names.len(), 8);
    Ok(())
}

#[test]
fn cut_and_foreign_files_are_named() {
    let desk = Desk::new();
    let good = archive(&[
        ("0.png", &png(0)),
        ("0.cls", b"1"),
        ("1.png", &png(1)),
        ("1.cls", b"2"),
    ]);
    for cut in [good.len() - 1024, good.len() - 1300, 2000, 700, 100] {
        desk.write("cut.tar", &good[..cut]);
        refused(open(&desk, "cut.tar").map(drop), &["cut.tar", "download"]);
    }
    desk.write("foreign.tar", [0x1f, 0x8b].repeat(600));
    refused(
        open(&desk, "foreign.tar").map(drop),
        &["foreign.tar", "no whole tar file"],
    );
    desk.write("empty.tar", vec![0; 1024]);
    refused(open(&desk, "empty.tar").map(drop), &["hold no samples"]);
    refused(open(&desk, "none").map(drop), &["no .tar file at", "none"]);
    refused(
        open(&desk, "away/none").map(drop),
        &["away", "check the path"],
    );
}

#[test]
fn broken_samples_are_named_or_left_out() -> Result<()> {
    let desk = Desk::new();
    desk.write(
        "x.tar",
        archive(&[
            ("0.png", &png(0)),
            ("0.cls", b"1"),
            ("1.cls", b"2"),
            ("2.png", &png(2)),
            ("2.cls", b"4"),
        ]),
    );
    refused(
        open(&desk, "x.tar").map(drop),
        &["x.tar, sample 1", "has no image (png, jpg"],
    );
    let set = TarSet::open(desk.path("x.tar"), OnUnreadable::Skip)?;
    shows(&set, &[0, 2])?;
    assert_eq!(set.labels("class")?.values, [1, 4]);
    assert_eq!(set.skipped().len(), 1);

    desk.write(
        "y.tar",
        archive(&[
            ("0.png", &png(0)),
            ("0.cls", b"1"),
            ("1.png", b"no picture"),
            ("1.txt", b"2"),
        ]),
    );
    let set = open(&desk, "y.tar")?;
    refused(
        set.pixels(&[0, 1], whole()),
        &["y.tar, sample 1", "cannot be read as an image"],
    );
    refused(set.labels("class"), &["sample 1", "no .cls"]);
    let set = TarSet::open(desk.path("y.tar"), OnUnreadable::Skip)?;
    shows(&set, &[0])?;

    for (cls, parts) in [
        (&b"bird"[..], &["\"bird\" is no number"][..]),
        (b"-1", &["-1 stands for an unknown label"]),
        (b"5000000000", &["5000000000 is no class number"]),
        (b"\xff", &["its .cls is no text"]),
    ] {
        desk.write("z.tar", archive(&[("0.png", &png(0)), ("0.cls", cls)]));
        refused(open(&desk, "z.tar")?.labels("class"), parts);
    }
    desk.write(
        "j.tar",
        archive(&[("0.png", &png(0)), ("0.json", b"{\"a\": ")]),
    );
    refused(open(&desk, "j.tar").map(drop), &["sample 0", "not JSON"]);
    desk.write(
        "k.tar",
        archive(&[
            ("0.png", &png(0)),
            ("0.json", b"{\"a\": 1}"),
            ("1.png", &png(1)),
            ("1.json", b"{}"),
        ]),
    );
    refused(open(&desk, "k.tar")?.labels("a"), &["sample 1", "no \"a\""]);
    desk.write("l.tar", archive(&[("0.png", b"no")]));
    refused(
        TarSet::open(desk.path("l.tar"), OnUnreadable::Skip).map(drop),
        &["none of its images can be read"],
    );
    Ok(())
}
