//! Image folders: order, classes, preprocessing as timm does it, and what is said of bad ones.

use std::fs;
use std::path::{Path, PathBuf};
use vitrepl_prelude::Result;
use vitrepl_prelude::data::{
    DataSet, FolderSet, GeneratedSet, GeneratedSpec, ModelInput, OnUnreadable, Preprocess,
};

fn write_image(path: &Path, index: usize) {
    let set = GeneratedSet::new(GeneratedSpec::unbiased(5, 100)).unwrap();
    let drawing = set.draw(index, 40);
    image::save_buffer(path, &drawing.rgb, 40, 40, image::ColorType::Rgb8).unwrap();
}

fn folder(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (index, file) in files.iter().enumerate() {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_image(&path, index);
    }
    dir
}

fn open(path: impl AsRef<Path>) -> Result<FolderSet> {
    FolderSet::open(path, OnUnreadable::Fail)
}

#[test]
fn files_come_in_the_order_of_their_paths() -> Result<()> {
    let dir = folder(&["b.png", "a.png", "c.PNG"]);
    fs::write(dir.path().join("notes.txt"), "not an image").unwrap();
    let set = open(dir.path())?;
    let names: Vec<PathBuf> = set
        .files()
        .iter()
        .map(|f| f.file_name().unwrap().into())
        .collect();
    assert_eq!(names, ["a.png", "b.png", "c.PNG"].map(PathBuf::from));
    assert!(set.label_columns().is_empty());
    assert_eq!(set.pixels(&[2, 0], 32.into())?.dims(), [2, 3, 32, 32]);
    Ok(())
}

#[test]
fn sub_folders_are_classes() -> Result<()> {
    let dir = folder(&["ring/0.png", "heart/1.png", "heart/2.png"]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    let labels = open(dir.path())?.labels("class")?;
    assert_eq!(labels.names, ["heart", "ring"]);
    assert_eq!(labels.values, [0, 0, 1]);
    Ok(())
}

#[test]
fn an_image_of_the_right_size_is_left_as_it_is() -> Result<()> {
    let dir = folder(&["a.png"]);
    let whole = Preprocess {
        crop: 1.,
        ..Preprocess::default()
    };
    let (set, input) = (open(dir.path())?, ModelInput::new(40, whole));
    let drawn = GeneratedSet::new(GeneratedSpec::unbiased(5, 100))?.pixels(&[0], input)?;
    let read = set.pixels(&[0], input)?;
    assert_eq!((read - drawn)?.abs()?.max_all()?.to_scalar::<f32>()?, 0.);
    Ok(())
}

#[test]
fn the_key_follows_the_files() -> Result<()> {
    let dir = folder(&["a.png", "b.png"]);
    let before = open(dir.path())?.key();
    assert_eq!(before, open(dir.path())?.key());
    write_image(&dir.path().join("c.png"), 7);
    assert_ne!(before, open(dir.path())?.key());
    Ok(())
}

#[test]
fn bad_folders_and_files_are_named() -> Result<()> {
    let message = |result: Result<FolderSet>| result.map(|_| ()).unwrap_err().to_string();
    let empty = tempfile::tempdir().unwrap();
    assert!(message(open(empty.path())).contains("there is no image in"));
    assert!(message(open(empty.path().join("nowhere"))).contains("nowhere"));

    let dir = folder(&["a.png", "c.png"]);
    fs::write(dir.path().join("b.png"), b"\x89PNG\r\n\x1a\nbroken").unwrap();
    let set = open(dir.path())?;
    assert_eq!(set.len(), 3);
    let error = set.pixels(&[0, 1], 32.into()).unwrap_err().to_string();
    assert!(
        error.contains("b.png") && error.contains("cannot be read as an image"),
        "{error}"
    );

    let set = FolderSet::open(dir.path(), OnUnreadable::Skip)?;
    assert_eq!(set.len(), 2);
    assert_eq!(set.skipped().len(), 1);
    assert!(set.skipped()[0].to_string().contains("b.png"));
    set.pixels(&[0, 1], 32.into())?;

    fs::remove_file(dir.path().join("a.png")).unwrap();
    fs::remove_file(dir.path().join("c.png")).unwrap();
    let skipping = FolderSet::open(dir.path(), OnUnreadable::Skip);
    assert!(message(skipping).contains("none of the 1 images"));
    Ok(())
}
