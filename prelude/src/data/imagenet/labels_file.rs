//! Labels files of the usual forms.

use super::classes::{class, kit_class};
use crate::data::decode::{EXTENSIONS, is_image};
use crate::data::table::{Table, at_line};
use crate::data::text;
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The class of each of `files` by the labels file at `labels` ([`super::ImageNet::with_labels`]).
pub(super) fn read(files: &[PathBuf], labels: &Path) -> Result<Vec<u32>> {
    let text = text::read(labels)?;
    let header = text.lines().next().unwrap_or_default().replace('"', "");
    if header.starts_with("ImageId,") {
        return by_name(files, labels, kaggle(labels)?);
    }
    let lines = lines(labels, &text)?;
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

/// The file name or class of each line that is not empty, and what stands behind it.
fn lines(path: &Path, text: &str) -> Result<Vec<Line>> {
    let lines: Vec<_> = text
        .lines()
        .zip(1..)
        .filter(|(line, _)| !line.trim().is_empty())
        .map(|(line, number)| Line {
            number,
            fields: fields(line.trim()),
        })
        .collect();
    if lines.is_empty() {
        return Err(Error::data(path.display().to_string(), "it has no lines"));
    }
    Ok(lines)
}

/// A file name, which may be quoted or hold blanks, and a class behind it; or one of the two alone.
fn fields(line: &str) -> Vec<String> {
    let apart = |c: char| c.is_whitespace() || c == ',';
    let (first, rest) = if line.starts_with('"') {
        quoted(line)
    } else {
        // A name ends with its ending; what has none ends at the first blank or comma.
        let end = EXTENSIONS
            .iter()
            .filter_map(|ending| {
                let (dotted, lower) = (format!(".{ending}"), line.to_ascii_lowercase());
                let ends = lower
                    .match_indices(&dotted)
                    .map(|(at, _)| at + dotted.len());
                let mut ends =
                    ends.filter(|&end| line[end..].is_empty() || line[end..].starts_with(apart));
                ends.next()
            })
            .min();
        let (first, rest) = line.split_at(end.or_else(|| line.find(apart)).unwrap_or(line.len()));
        (first.to_string(), rest)
    };
    let rest = rest.trim_matches(apart);
    let rest = if rest.starts_with('"') {
        quoted(rest).0
    } else {
        rest.to_string()
    };
    let fields = [Some(first), Some(rest).filter(|rest| !rest.is_empty())];
    fields.into_iter().flatten().collect()
}

/// What stands in the quotes with which `line` begins, where "" is a quote, and what follows them.
fn quoted(line: &str) -> (String, &str) {
    let (mut inside, mut rest) = (String::new(), &line[1..]);
    while let Some(end) = rest.find('"') {
        inside += &rest[..end];
        rest = &rest[end + 1..];
        if !rest.starts_with('"') {
            return (inside, rest);
        }
        inside.push('"');
        rest = &rest[1..];
    }
    (inside + rest, "")
}

/// An image's name in a labels file, where it stands, and its class.
struct Named {
    line: u64,
    image: String,
    class: u32,
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
                class: class(name).map_err(|reason| match line.number {
                    1 => wrong(format!("{reason}; remove a header line")),
                    _ => wrong(reason),
                })?,
            })
        })
        .collect()
}

/// Labels that name their images, with or without folder and ending.
fn by_name(files: &[PathBuf], path: &Path, named: Vec<Named>) -> Result<Vec<u32>> {
    let name = |file: &Path| {
        file.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let stem = |file: &Path| match is_image(file) {
        true => file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        false => name(file),
    };
    let whole: HashMap<_, _> = files.iter().map(|file| name(file)).zip(0..).collect();
    let mut stems: HashMap<_, Vec<usize>> = HashMap::new();
    for (place, file) in files.iter().enumerate() {
        stems.entry(stem(file)).or_default().push(place)
    }
    let mut values = vec![None; files.len()];
    for line in named {
        let wrong = |reason| Err(at_line(path, line.line, reason));
        let image = Path::new(&line.image);
        let place = match (
            whole.get(&name(image)),
            stems.get(&stem(image)).map(Vec::as_slice),
        ) {
            (Some(&place), _) | (None, Some(&[place])) => place,
            (None, Some([one, other, ..])) => {
                let (one, other) = (name(&files[*one]), name(&files[*other]));
                let image = &line.image;
                return wrong(format!(
                    "{image} may be {one} or {other}; write the ending, or remove one of them"
                ));
            }
            _ => {
                let header = if line.line == 1 {
                    " (remove a header line)"
                } else {
                    ""
                };
                let image = &line.image;
                return wrong(format!(
                    "it names the image {image}, which is not there{header}"
                ));
            }
        };
        let value: &mut Option<u32> = &mut values[place];
        if value.is_some_and(|value| value != line.class) {
            return wrong(format!("the image {} has another class above", line.image));
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
