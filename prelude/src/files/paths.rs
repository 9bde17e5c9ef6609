//! Paths as people type them: a leading `~`, and the names that a mistyped one is near to.

use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// `path` with a leading `~` as the user's folder, as a shell has it. Every path that a person types goes through
/// here; a path that begins otherwise stays as it is.
///
/// # Errors
/// When the path begins with `~` and the user has no folder: `HOME` is not set.
pub fn expand(path: impl AsRef<Path>) -> Result<PathBuf> {
    expand_in(path.as_ref(), dirs::home_dir())
}

fn expand_in(path: &Path, home: Option<PathBuf>) -> Result<PathBuf> {
    let Ok(rest) = path.strip_prefix("~") else {
        return Ok(path.to_path_buf());
    };
    match home.filter(|home| !home.as_os_str().is_empty()) {
        Some(home) if rest.as_os_str().is_empty() => Ok(home),
        Some(home) => Ok(home.join(rest)),
        None => Err(Error::argument(
            "path",
            path.display(),
            "~ stands for the user's folder, and HOME is not set; write the whole path",
        )),
    }
}

/// The few of `names` that a person who wrote `name` may have meant, the nearest first.
pub fn nearest(name: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    const MOST: usize = 3;
    /// Letters that may differ, as a share; found by trying slips of the pen on names of models.
    const LIKE: f64 = 0.7;
    let wanted = name.to_lowercase();
    let mut near: Vec<_> = names
        .map(|known| {
            let like = strsim::normalized_damerau_levenshtein(&wanted, &known.to_lowercase());
            (like, known)
        })
        .filter(|(like, _)| *like >= LIKE)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    near.dedup_by(|a, b| a.1 == b.1);
    near.into_iter()
        .map(|(_, known)| known)
        .take(MOST)
        .collect()
}

/// `names` as the end of a message that asks whether one of them is meant; nothing where there are none.
pub(crate) fn or(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!(" Did you mean \"{}\"?", names.join("\" or \"")),
    }
}

/// That there is nothing at `path`, with the names of its folder that are nearest, or what is in it.
pub(crate) fn missing(path: &Path) -> Error {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_string();
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let nearest = match std::fs::read_dir(folder) {
        Err(_) => {
            // The first folder of the path that is not there.
            let there = path.ancestors().find(|above| above.is_dir());
            let missing = there.and_then(|there| {
                let rest = path.strip_prefix(there).ok()?;
                Some(there.join(rest.components().next()?))
            });
            match missing {
                Some(missing) if missing != path => {
                    format!("; there is no folder {}", missing.display())
                }
                _ => String::new(),
            }
        }
        Ok(entries) => {
            let names = entries
                .flatten()
                .filter_map(|entry| entry.file_name().into_string().ok());
            let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
            names.sort();
            match or(&self::nearest(&name, names.iter().cloned())) {
                near if !near.is_empty() => format!(".{near}"),
                _ if names.is_empty() => format!("; {} is empty", folder.display()),
                _ => {
                    let more = if names.len() > 5 { ", ..." } else { "" };
                    names.truncate(5);
                    format!("; in {} are {}{more}", folder.display(), names.join(", "))
                }
            }
        }
    };
    Error::Missing {
        path: path.to_path_buf(),
        nearest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_folder_is_written_out_and_only_at_the_start() {
        let home = || Some(PathBuf::from("/home/ada"));
        for (typed, meant) in [
            ("~", "/home/ada"),
            ("~/vit", "/home/ada/vit"),
            ("~/a/b.pth", "/home/ada/a/b.pth"),
            ("a/~/b", "a/~/b"),
            ("~vit", "~vit"),
            ("/x", "/x"),
        ] {
            assert_eq!(
                expand_in(Path::new(typed), home()).unwrap(),
                PathBuf::from(meant)
            );
        }
        for none in [None, Some(PathBuf::new())] {
            let error = expand_in(Path::new("~/vit"), none).unwrap_err().to_string();
            assert!(error.contains("~/vit") && error.contains("HOME"), "{error}");
        }
    }

    #[test]
    fn what_is_missing_is_answered_with_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let near = |name: &str| missing(&folder.path().join(name)).to_string();
        assert!(near("x").contains("is empty"), "{}", near("x"));
        for name in ["model.safetensors", "notes.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert!(near("modle.safetensors").contains("Did you mean \"model.safetensors\"?"));
        assert!(near("quite_another").contains("are model.safetensors, notes.txt"));
        let deep = near("no/such/file");
        assert!(
            deep.contains("there is no folder") && deep.ends_with("no"),
            "{deep}"
        );
    }
}
