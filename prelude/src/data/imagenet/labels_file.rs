//! Labels files of the usual forms.

use super::classes::{class, kit_class};
use crate::data::decode::is_image;
use crate::data::table::{Table, at_line};
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The class of each of `files` by the labels file at `labels` ([`super::ImageNet::with_labels`]).
pub(super) fn read(files: &[PathBuf], labels: &Path) -> Result<Vec<u32>> {
    if is_csv_with_ids(labels)? {
        return by_name(files, labels, kaggle(labels)?);
    }
    let lines = lines(labels)?;
    if lines.iter().all(|line| line.fields.len() == 1) {
        by_number(files, labels, &lines)
    } else {
        by_name(files, labels, named(labels, lines)?)
    }
}

/// One line of a labels file that is no table.
struct Line {
    number: u64,
    fields: Vec<String>,
}

/// The first word of each line that is not empty, and the rest where there is one.
fn lines(path: &Path) -> Result<Vec<Line>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("reading", path, e))?;
    let lines: Vec<_> = text
        .lines()
        .zip(1..)
        .filter(|(line, _)| !line.trim().is_empty())
        .map(|(line, number)| {
            let apart = |c: char| c.is_whitespace() || c == ',';
            let mut words = line.trim().splitn(2, apart);
            let first = words.next().unwrap_or_default();
            let rest = words.next().map(|rest| rest.trim_matches(apart));
            let fields = [Some(first), rest.filter(|rest| !rest.is_empty())];
            Line {
                number,
                fields: fields.into_iter().flatten().map(str::to_string).collect(),
            }
        })
        .collect();
    if lines.is_empty() {
        return Err(Error::data(path.display().to_string(), "it has no lines"));
    }
    Ok(lines)
}

/// An image's name in a labels file, where it stands, and its class.
struct Named {
    line: u64,
    image: String,
    class: u32,
}

fn is_csv_with_ids(path: &Path) -> Result<bool> {
    let text = std::fs::read(path).map_err(|e| Error::io("reading", path, e))?;
    Ok(text.starts_with(b"ImageId,"))
}

fn kaggle(path: &Path) -> Result<Vec<Named>> {
    let table = Table::read(path)?;
    let (image, prediction) = (table.column("ImageId")?, table.column("PredictionString")?);
    table
        .rows()
        .iter()
        .map(|row| {
            let wnid = row
                .get(prediction)
                .split_whitespace()
                .next()
                .unwrap_or_default();
            Ok(Named {
                line: row.line,
                image: row.get(image).to_string(),
                class: class(wnid).map_err(|reason| table.wrong(row, reason))?,
            })
        })
        .collect()
}

fn named(path: &Path, lines: Vec<Line>) -> Result<Vec<Named>> {
    lines
        .into_iter()
        .map(|line| {
            let wrong = |reason| at_line(path, line.number, reason);
            let [image, name] = line.fields.as_slice() else {
                let reason = "it has no class behind the file name, as in image.jpg n01440764";
                return Err(wrong(reason.to_string()));
            };
            Ok(Named {
                line: line.number,
                image: image.clone(),
                class: class(name).map_err(wrong)?,
            })
        })
        .collect()
}

/// Labels that name their images, with or without folder and ending.
fn by_name(files: &[PathBuf], path: &Path, named: Vec<Named>) -> Result<Vec<u32>> {
    let stem = |file: &Path| {
        let named = if is_image(file) {
            file.file_stem()
        } else {
            file.file_name()
        };
        named.unwrap_or_default().to_string_lossy().into_owned()
    };
    let places: HashMap<_, _> = files.iter().map(|file| stem(file)).zip(0..).collect();
    let mut values = vec![None; files.len()];
    for line in named {
        let Some(&place) = places.get(&stem(Path::new(&line.image))) else {
            let reason = format!("it names the image {}, which is not there", line.image);
            return Err(at_line(path, line.line, reason));
        };
        let value: &mut Option<u32> = &mut values[place];
        if value.is_some_and(|value| value != line.class) {
            let reason = format!("the image {} has another class above", line.image);
            return Err(at_line(path, line.line, reason));
        }
        *value = Some(line.class);
    }
    let unlabelled = values.iter().position(Option::is_none);
    if let Some(at) = unlabelled {
        let reason = format!("no line names the image {}", files[at].display());
        return Err(Error::data(path.display().to_string(), reason));
    }
    Ok(values.into_iter().flatten().collect())
}

/// Labels by the number of their line.
fn by_number(files: &[PathBuf], path: &Path, lines: &[Line]) -> Result<Vec<u32>> {
    let classes = lines
        .iter()
        .map(|line| kit_class(&line.fields[0]).map_err(|reason| at_line(path, line.number, reason)))
        .collect::<Result<Vec<_>>>()?;
    let numbers: Vec<_> = files.iter().map(|file| number(file)).collect();
    if numbers.iter().all(Option::is_some) {
        let of_line = |(number, file): (usize, &PathBuf)| {
            classes.get(number.wrapping_sub(1)).copied().ok_or_else(|| {
                let reason = format!(
                    "its {} lines have none for the image {}",
                    classes.len(),
                    file.display()
                );
                Error::data(path.display().to_string(), reason)
            })
        };
        return numbers
            .into_iter()
            .flatten()
            .zip(files)
            .map(of_line)
            .collect();
    }
    if classes.len() != files.len() {
        let reason = format!(
            "its {} lines are not one for each of the {} images, whose names carry no numbers as ILSVRC2012_val_00000001.JPEG does",
            classes.len(),
            files.len()
        );
        return Err(Error::data(path.display().to_string(), reason));
    }
    Ok(classes)
}

/// The number behind `ILSVRC2012_val_`.
fn number(file: &Path) -> Option<usize> {
    let stem = file.file_stem()?.to_str()?;
    // timm's and the hub's copies add the class: ILSVRC2012_val_00000001_n01440764.
    let number = stem.strip_prefix("ILSVRC2012_val_")?.split('_').next()?;
    number.parse().ok()
}
