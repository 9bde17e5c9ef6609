//! Waterbirds: birds of land and water pasted on backgrounds of land and water (Sagawa et al. 2020), as published and
//! as cleaned for "Decomposing and Interpreting Image Representations via Text in ViTs Beyond CLIP".

use super::folder::{FolderSet, OnUnreadable};
use super::listing::{folder_name, list};
use super::table::Table;
use super::{Labels, table};
use crate::facts::{self, Facts};
use crate::files::expand;
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const CLASSES: [&str; 2] = ["landbird", "waterbird"];
const PLACES: [&str; 2] = ["land", "water"];
const SPLITS: [&str; 3] = ["train", "val", "test"];

/// Opens Waterbirds folders. See [`Waterbirds::open`].
pub struct Waterbirds;

facts::shows!(Waterbirds, |it| {
    let _ = it;
    Facts::new("Waterbirds: land and water birds before land and water")
        .row("classes", facts::list(CLASSES, 110))
        .row("opened by", "Waterbirds::open(root, OnUnreadable::Fail)?")
});

impl Waterbirds {
    /// The images of `root` with the columns `class` (landbird, waterbird), `place` (land, water) and `group`
    /// (2 class + place: "landbird on land", ...).
    ///
    /// - The original (`waterbird_complete95_forest2water2`): `metadata.csv` with `img_filename`, `y`, `split`, `place`
    ///   names the images; `split` (train, val, test) is a column too, so `set.only("split", "test")?`.
    /// - The paper's cleaned folders, one set for the correlated and one for the uncorrelated images: a sub-folder for
    ///   each class, and the place behind the last `_` of the file name.
    ///
    /// # Errors
    /// When the folder is neither, a column is missing, a line is malformed, or an image it names is not there.
    pub fn open(root: impl AsRef<Path>, unreadable: OnUnreadable) -> Result<FolderSet> {
        let root = &expand(root)?;
        let metadata = root.join("metadata.csv");
        let birds = if metadata.is_file() {
            original(root, &Table::read(&metadata)?)?
        } else {
            cleaned(root)?
        };
        FolderSet::new(root, birds.files, birds.columns, birds.left_out, unreadable)
    }
}

/// Files and their columns.
struct Birds {
    files: Vec<PathBuf>,
    columns: Vec<(String, Labels)>,
    left_out: Vec<Error>,
}

impl Birds {
    fn new(files: Vec<PathBuf>, classes: Vec<usize>, places: Vec<usize>) -> Self {
        let groups = classes
            .iter()
            .zip(&places)
            .map(|(c, p)| 2 * c + p)
            .collect();
        let on = CLASSES
            .iter()
            .flat_map(|class| PLACES.map(|place| format!("{class} on {place}")));
        let columns = vec![
            column("class", classes, &CLASSES),
            column("place", places, &PLACES),
            (
                "group".to_string(),
                Labels {
                    values: groups,
                    names: on.collect(),
                },
            ),
        ];
        Self {
            files,
            columns,
            left_out: Vec::new(),
        }
    }
}

fn column(name: &str, values: Vec<usize>, names: &[&str]) -> (String, Labels) {
    let names = names.iter().map(|name| name.to_string()).collect();
    (name.to_string(), Labels { values, names })
}

fn original(root: &Path, table: &Table) -> Result<Birds> {
    let [file, y, place, split] =
        ["img_filename", "y", "place", "split"].map(|name| table.column(name));
    let file = file?;
    let read = |name: &str, column: usize, count: usize| -> Result<Vec<usize>> {
        let value = |row: &table::Row| match row.get(column).parse() {
            Ok(value) if value < count => Ok(value),
            _ => {
                let known: Vec<_> = (0..count).map(|v| v.to_string()).collect();
                let reason = format!(
                    "{name} is \"{}\", not one of {}",
                    row.get(column),
                    known.join(", ")
                );
                Err(table.wrong(row, reason))
            }
        };
        table.rows().iter().map(value).collect()
    };
    let classes = read("y", y?, 2)?;
    let places = read("place", place?, 2)?;
    let splits = read("split", split?, 3)?;
    let mut named = HashMap::new();
    let files = table.rows().iter().map(|row| {
        let path = root.join(row.get(file));
        if let Some(line) = named.insert(path.clone(), row.line) {
            let reason = format!("it names {} again, as line {line} does", row.get(file));
            return Err(table.wrong(row, reason));
        }
        if path.is_file() {
            return Ok(path);
        }
        let reason = format!("it names {}, which is not there", path.display());
        Err(table.wrong(row, reason))
    });
    let mut birds = Birds::new(files.collect::<Result<_>>()?, classes, places);
    birds.columns.push(column("split", splits, &SPLITS));
    Ok(birds)
}

fn cleaned(root: &Path) -> Result<Birds> {
    let found = list(root)?;
    let [land, water] = found.folders.as_slice() else {
        let names: Vec<_> = found.folders.iter().map(|f| folder_name(f)).collect();
        let reason = format!(
            "{} has no metadata.csv (the original), nor two sub-folders, landbird and waterbird (the cleaned one); its sub-folders: {}",
            root.display(),
            if names.is_empty() {
                "none".to_string()
            } else {
                names.join(", ")
            }
        );
        return Err(Error::data(folder_name(root), reason));
    };
    let mut left_out = found.left_out;
    for image in found.images {
        let reason = "is left out: it lies beside the folders of the classes".to_string();
        left_out.push(Error::Image {
            path: image,
            reason,
        })
    }
    // In sorted order land comes first, unless the names say otherwise.
    let swapped = folder_name(land).to_lowercase().contains("water");
    let folders = if swapped {
        [water, land]
    } else {
        [land, water]
    };
    let (mut files, mut classes, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for (class, folder) in folders.into_iter().enumerate() {
        let found = list(folder)?;
        if found.images.is_empty() {
            let reason = "there is no image directly in it, where each of the two classes has some";
            return Err(Error::data(folder.display().to_string(), reason));
        }
        left_out.extend(found.left_out);
        for file in found.images {
            places.push(place(&file)?);
            files.push(file);
            classes.push(class);
        }
    }
    let mut birds = Birds::new(files, classes, places);
    birds.left_out = left_out;
    Ok(birds)
}

/// The place behind the last `_` of the file's name.
fn place(file: &Path) -> Result<usize> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    match stem.rsplit('_').next() {
        Some("land" | "0") => Ok(0),
        Some("water" | "1") => Ok(1),
        _ => Err(Error::data(
            file.display().to_string(),
            "its name does not end in the place, as in bird_12_land.jpg or bird_12_water.jpg",
        )),
    }
}
