//! Writing a session to a file, and one kind of file from the other.

use super::transcript::{self, Entry};
use crate::output::failure::Failure;
use crate::syntax::statements::Source;
use anyhow::Context;
use std::io::Write;
use std::path::Path;

/// Kinds of files that hold statements.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Script,
    Notebook,
}

impl Kind {
    /// The kind that a file's name tells.
    pub fn of(path: &Path) -> Result<Self, Failure> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("rs") => Ok(Kind::Script),
            Some("ipynb") => Ok(Kind::Notebook),
            _ => {
                let name = path.display();
                Err(format!("{name} must end in .rs (a script) or .ipynb (a notebook)").into())
            }
        }
    }
}

/// Writes what a session did to `path`.
pub fn save(entries: &[Entry], path: &Path) -> Result<(), Failure> {
    let text = match Kind::of(path)? {
        Kind::Script => transcript::script(entries),
        Kind::Notebook => super::of_entries(entries)?,
    };
    Ok(write_whole(path, &text)?)
}

/// Writes the notebook of a script, or the script of a notebook, without running anything.
pub fn convert(from: &Path, to: &Path) -> Result<(), Failure> {
    let text =
        std::fs::read_to_string(from).with_context(|| format!("cannot read {}", from.display()))?;
    let text = match (Kind::of(from)?, Kind::of(to)?) {
        (Kind::Script, Kind::Notebook) => {
            super::of_script(&Source::new(from.display().to_string(), text))?
        }
        (Kind::Notebook, Kind::Script) => {
            super::to_script(&text).with_context(|| format!("{} is no notebook", from.display()))?
        }
        _ => {
            return Err(
                "one of the two must be a script (.rs), the other a notebook (.ipynb)"
                    .to_owned()
                    .into(),
            );
        }
    };
    Ok(write_whole(to, &text)?)
}

/// Writes a file whole or not at all.
fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".vitrepl-")
            .tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        readable(file.as_file())?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Temporary files are for their owner only; others keep what they are used to.
fn readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_is_named_and_the_old_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.rs");
        save(&[], &path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        let missing = folder.path().join("none/session.ipynb");
        let told = |result: Result<(), Failure>| format!("{:?}", result.unwrap_err());
        assert!(told(save(&[], &missing)).contains("none/session.ipynb"));
        assert!(told(save(&[], &folder.path().join("session.txt"))).contains(".ipynb"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
