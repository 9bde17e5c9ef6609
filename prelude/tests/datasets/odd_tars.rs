//! Tar shards as people's programs and copies leave them: read as they are meant, or refused with the true reason.

use super::desk::{Desk, png, refused, shows};
use super::parquet::shards;
use vitrepl_prelude::Result;
use vitrepl_prelude::data::{DataSet, OnUnreadable, TarSet};

/// Members in order, as an archive without its end. Names are written as they are given, absolute ones too.
fn members(members: &[(&str, &[u8])]) -> tar::Builder<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder
}

fn archive(all: &[(&str, &[u8])]) -> Vec<u8> {
    members(all).into_inner().unwrap()
}

/// The set in an archive of these members.
fn open(all: &[(&str, &[u8])]) -> Result<(Desk, TarSet)> {
    let desk = Desk::new();
    let path = desk.write("x.tar", archive(all));
    Ok((desk, TarSet::open(path, OnUnreadable::Fail)?))
}

#[test]
fn members_that_stand_apart_are_one_sample() -> Result<()> {
    let (_desk, set) = open(&[
        ("a.png", &png(0)),
        ("b.png", &png(1)),
        ("a.cls", b"0"),
        ("./b.cls", b"1"),
        ("/b.txt", b"bee"),
        ("a.txt", b"ay"),
    ])?;
    shows(&set, &[0, 1])?;
    assert_eq!(set.labels("class")?.values, [0, 1]);
    assert_eq!(set.labels("text")?.names, ["ay", "bee"]);
    assert_eq!(set.labels("text")?.values, [0, 1]);
    Ok(())
}

#[test]
fn a_member_that_is_there_twice_is_refused() {
    let (one, other) = (png(0), png(1));
    let twice = open(&[("0.png", &one), ("0.cls", b"1"), ("0.png", &other)]);
    refused(twice.map(drop), &["x.tar", "0.png", "twice"]);
    let twice = open(&[("0.png", &one), ("0.cls", b"1"), ("./0.CLS", b"2")]);
    refused(twice.map(drop), &["x.tar", "./0.CLS", "twice"]);
    // Appended, as by `tar -r` and by `cat`.
    let desk = Desk::new();
    let mut joined = archive(&[("0.png", &one), ("0.cls", b"1")]);
    joined.extend(archive(&[("0.cls", b"2")]));
    let path = desk.write("joined.tar", joined);
    let set = TarSet::open(&path, OnUnreadable::Skip);
    refused(set.map(drop), &["joined.tar", "0.cls", "twice"]);
    let images = open(&[("0.jpg", &one), ("0.png", &other), ("0.cls", b"0")]);
    refused(
        images.map(drop),
        &[
            "sample 0",
            "2 images (jpg, png)",
            "TarSet::open_field(path, \"jpg\", ..)",
        ],
    );
}

#[test]
fn archives_joined_by_cat_are_read_to_their_end() -> Result<()> {
    let desk = Desk::new();
    let mut joined = archive(&[("0.png", &png(0)), ("0.cls", b"1")]);
    joined.extend(archive(&[("1.png", &png(1)), ("1.cls", b"2")]));
    let set = TarSet::open(desk.write("joined.tar", joined), OnUnreadable::Fail)?;
    shows(&set, &[0, 1])?;
    assert_eq!(set.labels("class")?.values, [1, 2]);
    Ok(())
}

#[test]
fn images_in_fields_of_other_names_can_be_taken() -> Result<()> {
    let (one, other) = (png(0), png(1));
    let all: [(&str, &[u8]); 6] = [
        ("s0.input.png", &one),
        ("s0.outputs.txt", b"hello"),
        ("s0.meta.json", b"{\"day\": 3}"),
        ("s1.input.png", &other),
        ("s1.outputs.txt", b"world"),
        ("s1.meta.json", b"{\"day\": 4}"),
    ];
    refused(
        open(&all).map(drop),
        &[
            "sample s0",
            "no image (png, jpg",
            "input.png, outputs.txt",
            "first dot",
            "TarSet::open_field(path, \"input.png\", ..)",
        ],
    );
    let desk = Desk::new();
    let path = desk.write("x.tar", archive(&all));
    let set = TarSet::open_field(&path, "input.png", OnUnreadable::Fail)?;
    shows(&set, &[0, 1])?;
    assert_eq!(set.label_columns(), ["outputs.txt", "meta.day"]);
    assert_eq!(set.labels("outputs.txt")?.names, ["hello", "world"]);
    assert_eq!(set.labels("meta.day")?.values, [3, 4]);
    refused(
        TarSet::open_field(&path, "output.png", OnUnreadable::Fail).map(drop),
        &["no sample has the field \"output.png\"", "input.png"],
    );
    Ok(())
}

#[test]
fn dots_in_names_are_explained() {
    let set = open(&[
        ("12 part 2.0 (clean).png", &png(0)),
        ("12 part 2.0 (clean).cls", b"3"),
    ]);
    refused(
        set.map(drop),
        &[
            "sample 12 part 2",
            "0 (clean).png, 0 (clean).cls",
            "first dot",
            "if the dot belongs to the name",
        ],
    );
}

#[test]
fn a_column_that_the_first_sample_lacks_is_a_column() -> Result<()> {
    let (_desk, set) = open(&[
        ("0.png", &png(0)),
        ("0.json", b"{\"a\": null}"),
        ("1.png", &png(1)),
        ("1.cls", b"1"),
        ("1.json", b"{\"a\": \"x\", \"b\": 2}"),
        ("2.png", &png(2)),
        ("2.cls", b"2"),
        ("2.json", b"{\"a\": \"y\", \"b\": 2, \"class\": \"z\"}"),
    ])?;
    assert_eq!(set.label_columns(), ["class", "a", "b", "json.class"]);
    refused(
        set.labels("class"),
        &["sample 0", "no .cls", "label all 3 samples"],
    );
    refused(set.labels("a"), &["sample 0", "no \"a\""]);
    refused(
        set.labels("json.class"),
        &["sample 0", "no \"class\"", "1 others (1)"],
    );
    Ok(())
}

#[test]
fn other_fields_of_text_and_numbers_are_columns_and_the_rest_is_named() -> Result<()> {
    let (_desk, set) = open(&[
        ("0.png", &png(0)),
        ("0.id", b"17"),
        ("0.caption.txt", b"a ring"),
        ("0.label", b"ring"),
        ("0.npy", b"\x93NUMPY"),
        ("1.png", &png(1)),
        ("1.id", b"18"),
        ("1.caption.txt", b"a star"),
    ])?;
    assert_eq!(set.label_columns(), ["id", "caption.txt"]);
    assert_eq!(set.labels("id")?.values, [17, 18]);
    assert_eq!(set.labels("caption.txt")?.names, ["a ring", "a star"]);
    refused(
        set.labels("label"),
        &["no label \"label\"", "not read: label, npy"],
    );
    Ok(())
}

#[test]
fn text_with_a_byte_order_mark_is_text() -> Result<()> {
    let (_desk, set) = open(&[
        ("0.png", &png(0)),
        ("0.cls", b"\xef\xbb\xbf1\r\n"),
        ("0.txt", "\u{feff}sea\r\n".as_bytes()),
        ("0.json", "\u{feff}{\"a\": 1}".as_bytes()),
    ])?;
    assert_eq!(set.labels("class")?.values, [1]);
    assert_eq!(set.labels("text")?.names, ["sea"]);
    assert_eq!(set.labels("a")?.values, [1]);
    let (_desk, set) = open(&[("0.png", &png(0)), ("0.txt", b"\xff\xfes\0e\0a\0")])?;
    refused(
        set.labels("text"),
        &["sample 0", ".txt is UTF-16", "save it as UTF-8"],
    );
    Ok(())
}

#[test]
fn hidden_members_and_folders_are_no_samples() -> Result<()> {
    let (_desk, set) = open(&[
        ("._0.png", b"\0\x05\x16\x07"),
        ("__MACOSX/0.png", b"\0\x05\x16\x07"),
        (".cache/9.png", b"x"),
        ("a/Thumbs.db", b"x"),
        ("a/0.png", &png(0)),
        ("a/0.cls", b"1"),
    ])?;
    shows(&set, &[0])?;
    assert_eq!(set.labels("class")?.values, [1]);
    Ok(())
}

#[test]
fn links_are_followed_or_refused() -> Result<()> {
    let link = |kind, name: &str, target: &str| {
        let mut builder = members(&[("a.png", &png(0)), ("a.cls", b"1"), ("b.cls", b"2")]);
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        builder.append_link(&mut header, name, target).unwrap();
        let desk = Desk::new();
        let path = desk.write("x.tar", builder.into_inner().unwrap());
        (TarSet::open(path, OnUnreadable::Fail), desk)
    };
    let (set, _desk) = link(tar::EntryType::Link, "b.png", "./a.png");
    let set = set?;
    shows(&set, &[0, 0])?;
    assert_eq!(set.labels("class")?.values, [1, 2]);
    let (set, _desk) = link(tar::EntryType::Link, "b.png", "c.png");
    refused(
        set.map(drop),
        &["b.png", "link to c.png", "--hard-dereference"],
    );
    let (set, _desk) = link(tar::EntryType::Symlink, "b.png", "a.png");
    refused(set.map(drop), &["b.png", "symbolic link", "--dereference"]);
    Ok(())
}

#[test]
fn long_names_and_folders_are_read() -> Result<()> {
    let long = format!("{}/{}", "deep".repeat(30), "name".repeat(40));
    let (image, class) = (format!("{long}.png"), format!("{long}.cls"));
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in [(&image, png(0)), (&class, b"1".to_vec())] {
        // By PAX, as Python's tarfile writes them.
        builder
            .append_pax_extensions([("path", name.as_bytes())])
            .unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_path("short").unwrap();
        header.set_cksum();
        builder.append(&header, bytes.as_slice()).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    builder
        .append_data(&mut header, "folder.v1/", std::io::empty())
        .unwrap();
    let desk = Desk::new();
    let path = desk.write("x.tar", builder.into_inner().unwrap());
    let set = TarSet::open(path, OnUnreadable::Fail)?;
    shows(&set, &[0])?;
    assert_eq!(set.labels("class")?.values, [1]);
    Ok(())
}

#[test]
fn compressed_archives_are_named_with_what_unpacks_them() {
    let desk = Desk::new();
    for (name, begin, parts) in [
        (
            "a.tar.gz",
            &b"\x1f\x8b\x08\0\0\0\0\0"[..],
            ["gzip", "gzip -dc", "a.tar"],
        ),
        (
            "b.tar.zst",
            b"\x28\xb5\x2f\xfd\0\0\0\0",
            ["zstd", "zstd -dc", "b.tar"],
        ),
        (
            "c.tar",
            b"BZh91AY&",
            ["bzip2", "bzip2 -dc", "c-unpacked.tar"],
        ),
        (
            "d.tar",
            b"PK\x03\x04\0\0\0\0",
            ["zip archive", "unzip", "FolderSet::open"],
        ),
    ] {
        let path = desk.write(name, begin);
        refused(TarSet::open(path, OnUnreadable::Fail).map(drop), &parts);
    }
    let desk = Desk::new();
    desk.write("train.tar.gz", b"\x1f\x8b\x08\0");
    refused(
        TarSet::open(desk.root(), OnUnreadable::Fail).map(drop),
        &["no .tar file", "train.tar.gz is compressed"],
    );
}

#[test]
fn an_unfinished_download_is_no_shorter_set() {
    let desk = Desk::new();
    let mut half = members(&[("0.png", &png(0)), ("0.cls", b"1")])
        .into_inner()
        .unwrap();
    half.resize(half.len() + (6 << 20), 0);
    let path = desk.write("half.tar", half);
    refused(
        TarSet::open(path, OnUnreadable::Fail).map(drop),
        &["half.tar", "zeros", "download it again"],
    );
}

#[test]
fn a_cut_off_image_in_a_shard_is_named_or_left_out() -> Result<()> {
    let whole = std::fs::read(shards().join("../pictures/photo.jpg")).unwrap();
    let cut = &whole[..whole.len() * 4 / 5];
    let desk = Desk::new();
    let all: [(&str, &[u8]); 4] = [
        ("a.jpg", &whole),
        ("a.cls", b"1"),
        ("b.jpg", cut),
        ("b.cls", b"2"),
    ];
    let path = desk.write("x.tar", archive(&all));
    let set = TarSet::open(&path, OnUnreadable::Fail)?;
    refused(set.pixels(&[0, 1], 16.into()), &["sample b", "cut off"]);
    let set = TarSet::open(&path, OnUnreadable::Skip)?;
    assert_eq!((set.len(), set.skipped().len()), (1, 1));
    assert_eq!(set.labels("class")?.values, [1]);
    Ok(())
}

#[test]
fn a_shard_that_is_rewritten_under_an_open_set_is_not_read() -> Result<()> {
    let (desk, set) = open(&[("0.png", &png(0))])?;
    shows(&set, &[0])?;
    desk.write("x.tar", archive(&[("0.png", &png(1)), ("1.png", &png(2))]));
    refused(
        set.pixels(&[0], 16.into()),
        &["x.tar", "open the set again"],
    );
    Ok(())
}
