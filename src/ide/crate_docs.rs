//! Documentation of the crates that cells can name: those that the library is made of, and those that the user adds. It is
//! read from the sources that cargo has compiled.

use super::docs::Docs;
use std::fs;
use std::path::{Path, PathBuf};

/// The public items of the crate `name` that was compiled to `file`; none where its sources are gone.
pub fn read(name: &str, file: &Path) -> Docs {
    let files = sources(file);
    // The crate's root is the first.
    let root = files.first().and_then(|file| file.parent());
    let Some(root) = root else {
        return Docs::default();
    };
    let texts = files.iter().filter_map(|file| {
        let inner = file.strip_prefix(root).ok()?;
        Some((Path::new(name).join(inner), fs::read_to_string(file).ok()?))
    });
    Docs::read(texts.collect())
}

/// The files that a crate was compiled from, by the list that rustc writes for cargo beside it: `libx-0123.rlib` has
/// `x-0123.d`.
fn sources(file: &Path) -> Vec<PathBuf> {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let stem = stem.map(|stem| stem.strip_prefix("lib").unwrap_or(stem));
    let list =
        stem.and_then(|stem| fs::read_to_string(file.with_file_name(format!("{stem}.d"))).ok());
    let list = list.unwrap_or_default();
    let Some((_, files)) = list.lines().next().and_then(|line| line.split_once(": ")) else {
        return Vec::new();
    };
    // A space in a path is written with a backslash before it.
    let files = files.replace("\\ ", "\0");
    files
        .split(' ')
        .map(|file| PathBuf::from(file.replace('\0', " ")))
        .filter(|file| file.extension().is_some_and(|ending| ending == "rs"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_read_by_the_list_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("my src/inner")).unwrap();
        fs::write(at("my src/lib.rs"), "/// Of mine.\npub struct Mine;\n").unwrap();
        let inner = "impl Mine {\n    /// Grows.\n    pub fn grow(&mut self) {}\n}\n";
        fs::write(at("my src/inner/mod.rs"), inner).unwrap();
        let path = |path: &str| at(path).display().to_string().replace(' ', "\\ ");
        let list = format!(
            "{}: {} {} {}\n\n",
            path("mine-01.d"),
            path("my src/lib.rs"),
            path("my src/inner/mod.rs"),
            path("made.txt"),
        );
        fs::write(at("mine-01.d"), list).unwrap();
        for file in ["libmine-01.rlib", "libmine-01.rmeta", "libmine-01.so"] {
            let docs = read("mine", &at(file));
            let text = docs.text(&docs.find("mine::Mine"));
            assert!(
                text.starts_with("mine::Mine\n") && text.contains("Of mine."),
                "{text}"
            );
            assert!(!docs.find("mine::Mine::grow").is_empty());
        }
        assert!(read("mine", &at("libother-02.rlib")).items().is_empty());
    }
}
