//! What lies in a folder: sub-folders, images, and what is no data or is left out, with the reason.

use super::decode::{EXTENSIONS, OTHER_EXTENSIONS, extension, is_image};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders and files that systems leave among data.
const NO_DATA: [&str; 6] = [
    "__MACOSX",
    "Thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "@eaDir",
    "$RECYCLE.BIN",
];

/// Whether a file or folder of this name is no data: names that begin with a dot (editors' copies, macOS's `._a.jpg`,
/// caches), and what systems leave behind.
pub(super) fn is_no_data(name: &str) -> bool {
    name.starts_with('.') || NO_DATA.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// What a person calls the folder.
pub(super) fn folder_name(root: &Path) -> String {
    let name = root.file_name().unwrap_or(root.as_os_str());
    name.to_string_lossy().into_owned()
}

/// One folder's content, sorted; what is no data is not in it.
#[derive(Default)]
pub(super) struct Listing {
    pub folders: Vec<PathBuf>,
    pub images: Vec<PathBuf>,
    /// Pictures of formats that are not read.
    pub left_out: Vec<Error>,
    /// How many files end otherwise, by ending.
    others: BTreeMap<String, usize>,
}

/// The content of `folder`.
pub(super) fn list(folder: &Path) -> Result<Listing> {
    let listing = |source| Error::io("reading the folder", folder, source);
    let mut found = Listing::default();
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(listing)? {
        entries.push(entry.map_err(listing)?.path())
    }
    entries.sort();
    for path in entries {
        if is_no_data(&folder_name(&path)) {
            continue;
        }
        if path.is_dir() {
            found.folders.push(path);
        } else if is_image(&path) {
            found.images.push(path);
        } else {
            let extension = extension(&path);
            if OTHER_EXTENSIONS.contains(&extension.as_str()) {
                found.left_out.push(other_format(&path, &extension))
            }
            *found.others.entry(extension).or_default() += 1;
        }
    }
    Ok(found)
}

fn other_format(path: &Path, extension: &str) -> Error {
    let remedy = match extension {
        "jfif" | "jpe" => "rename it to .jpg",
        "apng" => "rename it to .png",
        _ => "convert it to PNG, JPEG or WebP",
    };
    let reason = format!("is left out: .{extension} files are not read; {remedy}");
    Error::Image {
        path: path.to_path_buf(),
        reason,
    }
}

/// How the images of a set lie.
pub(super) enum Layout {
    /// Directly in the folder.
    Flat(Vec<PathBuf>),
    /// In one sub-folder for each class.
    Classes(Vec<(PathBuf, Vec<PathBuf>)>),
}

/// The images of the folder `root` and what is left out beside them.
///
/// Sub-folders are classes where they hold more images than lie beside them; those are left out then. Each file of
/// another format, each sub-folder without images and each deeper one with images is said.
///
/// # Errors
/// When there are no images, they lie deeper, or as many lie beside the sub-folders as in them.
pub(super) fn layout(root: &Path) -> Result<(Layout, Vec<Error>)> {
    let top = list(root)?;
    let mut left_out = top.left_out;
    let (mut classes, mut others) = (Vec::new(), top.others);
    let mut deep = None;
    for folder in top.folders {
        let found = list(&folder)?;
        let below = found
            .folders
            .iter()
            .find_map(|folder| image_below(folder, DEPTH));
        if let Some(image) = below {
            let reason = format!(
                "is left out: it lies deeper than one sub-folder a class, and so may others of {}; move them up, or open that folder",
                folder.display()
            );
            deep.get_or_insert((folder.clone(), image.clone()));
            left_out.push(Error::Image {
                path: image,
                reason,
            });
        } else if found.images.is_empty() && top.images.is_empty() {
            let reason = "is left out: the folder holds no image, and is no class";
            left_out.push(Error::data(folder.display().to_string(), reason));
        }
        left_out.extend(found.left_out);
        for (extension, count) in found.others {
            *others.entry(extension).or_default() += count
        }
        if !found.images.is_empty() {
            classes.push((folder, found.images))
        }
    }
    let inside: usize = classes.iter().map(|(_, images)| images.len()).sum();
    let names = || {
        let names = classes.iter().map(|(folder, _)| folder_name(folder));
        let mut names: Vec<_> = names.take(3).collect();
        if classes.len() > names.len() {
            names.push("...".to_string())
        }
        names.join(", ")
    };
    let wrong = |reason| Err(Error::data(folder_name(root), reason));
    match (top.images.len(), inside) {
        (0, 0) => match deep {
            Some((folder, image)) => wrong(format!(
                "its images lie deeper than one sub-folder a class, as {}; open {}",
                image.display(),
                folder.display()
            )),
            None => wrong(nothing(root, &others)),
        },
        (_, 0) => Ok((Layout::Flat(top.images), left_out)),
        (beside, inside) if beside >= inside => wrong(format!(
            "{beside} images lie directly in {}, and {inside} in its sub-folders {}: move the former away, and the sub-folders are classes; or the latter, and the images are a set without classes",
            root.display(),
            names()
        )),
        _ => {
            for image in top.images {
                let reason = format!(
                    "is left out: it lies beside the class folders {}; move it into one of them, or open it from a folder of its own",
                    names()
                );
                left_out.push(Error::Image {
                    path: image,
                    reason,
                });
            }
            Ok((Layout::Classes(classes), left_out))
        }
    }
}

/// How many folders further down are looked into for images that lie too deep.
const DEPTH: usize = 3;

/// The first image in `folder` or below it.
fn image_below(folder: &Path, depth: usize) -> Option<PathBuf> {
    let found = list(folder).ok()?;
    let below = || found.folders.iter().find_map(|f| image_below(f, depth - 1));
    let first = found.images.first().cloned();
    first.or_else(|| if depth == 0 { None } else { below() })
}

/// Why `root` gives no images, where its files end as `others` count.
fn nothing(root: &Path, others: &BTreeMap<String, usize>) -> String {
    let mut reason = format!(
        "there is no image in {}; {} files are read, directly in it or in one sub-folder a class",
        root.display(),
        EXTENSIONS.join(", ")
    );
    let ends: Vec<_> = others
        .iter()
        .take(8)
        .map(|(extension, count)| match extension.as_str() {
            "" => format!("{count} without an ending"),
            _ => format!("{count} .{extension}"),
        })
        .collect();
    if !ends.is_empty() {
        reason += &format!("; what is there: {}", ends.join(", "))
    }
    reason
}
