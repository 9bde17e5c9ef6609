//! Documentation of the standard library and of keywords, from the sources that rustup installs.

use super::docs::Docs;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the sources lie, below the folder that rustup calls the sysroot.
const SOURCES: &str = "lib/rustlib/src/rust/library";

/// The crates that are looked through.
const CRATES: [&str; 3] = ["core/src", "alloc/src", "std/src"];

/// What keywords are documented in.
const KEYWORDS: [&str; 2] = ["core/src/keyword_docs.rs", "std/src/keyword_docs.rs"];

/// Keywords that begin no item of the session.
const ALL_KEYWORDS: &[&str] = &[
    "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern",
    "false", "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub",
    "ref", "return", "self", "Self", "static", "struct", "super", "trait", "true", "type", "union",
    "unsafe", "use", "where", "while",
];

/// What is known of a name of Rust's own.
pub enum Found {
    /// The documentation, and the code.
    Text {
        docs: String,
        source: String,
    },
    /// The sources are not installed.
    NoSources,
    Nothing,
}

/// The folder of the standard library's sources, where they are installed. `below` is that of the compiled one, the sysroot's
/// `lib/rustlib/TARGET/lib`.
pub fn library(below: &Path) -> Option<PathBuf> {
    let folder = below.ancestors().nth(4)?.join(SOURCES);
    folder.is_dir().then_some(folder)
}

/// Looks for a keyword, or an item of the standard library, by name or path; `below` as [`library`] has it.
pub fn find(name: &str, below: &Path) -> Found {
    let Some(library) = library(below) else {
        return Found::NoSources;
    };
    if ALL_KEYWORDS.contains(&name) {
        let docs = KEYWORDS.iter().find_map(|file| {
            let text = fs::read_to_string(library.join(file)).ok()?;
            keyword(&text, name)
        });
        return docs.map_or(Found::Nothing, |docs| Found::Text {
            docs,
            source: String::new(),
        });
    }
    let name = name.trim_end_matches('!');
    let last = name.rsplit("::").next().unwrap_or(name);
    let mut sources = Vec::new();
    for one in CRATES {
        let folder = library.join(one);
        let root = one.split('/').next().unwrap_or_default();
        read(&folder, Path::new(root), last, &mut sources);
    }
    // What `std` exports is written in `core` and `alloc`.
    let path = ["std::", "core::", "alloc::"]
        .iter()
        .find_map(|root| name.strip_prefix(root))
        .unwrap_or(name);
    let docs = Docs::read(sources);
    let found = docs.find(path);
    if found.is_empty() {
        return Found::Nothing;
    }
    Found::Text {
        docs: docs.text(&found),
        source: docs.source(&found),
    }
}

/// Where a name is documented for a browser.
pub fn link(name: &str) -> String {
    if ALL_KEYWORDS.contains(&name) {
        format!("https://doc.rust-lang.org/std/keyword.{name}.html")
    } else {
        format!("https://doc.rust-lang.org/std/?search={name}")
    }
}

/// The files below a folder that define something of this name.
fn read(folder: &Path, path: &Path, name: &str, sources: &mut Vec<(PathBuf, String)>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let (file, inner) = (entry.path(), path.join(entry.file_name()));
        if file.is_dir() {
            // Of these only the compiler's own users know.
            let skipped = ["tests", "core_arch", "core_simd", "os", "sys"];
            if !skipped.iter().any(|skipped| inner.ends_with(skipped)) {
                read(&file, &inner, name, sources);
            }
        } else if let Ok(text) = fs::read_to_string(&file)
            && (defines(&text, name) || inner.file_stem().is_some_and(|stem| stem == name))
        {
            sources.push((inner, text));
        }
    }
}

fn defines(text: &str, name: &str) -> bool {
    [
        "fn",
        "struct",
        "enum",
        "trait",
        "type",
        "const",
        "macro_rules!",
    ]
    .iter()
    .any(|kind| {
        let start = format!("{kind} {name}");
        text.match_indices(&start).any(|(at, _)| {
            let behind = text[at + start.len()..].chars().next();
            behind.is_none_or(|c| !(c.is_alphanumeric() || c == '_'))
        })
    })
}

/// The documentation of a keyword, from the file in which all of them are documented.
fn keyword(text: &str, name: &str) -> Option<String> {
    let at = text.find(&format!("#[doc(keyword = \"{name}\")]"))?;
    let lines = text[at..].lines().skip(1);
    let docs: Vec<&str> = lines
        .skip_while(|line| !line.trim_start().starts_with("///"))
        .map_while(|line| line.trim_start().strip_prefix("///"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    (!docs.is_empty()).then(|| docs.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sysroot with a small standard library in it.
    fn sysroot() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join(SOURCES);
        for (path, text) in [
            (
                "alloc/src/vec/mod.rs",
                "/// Grows.\npub struct Vec<T> { len: usize }\nimpl<T> Vec<T> {\n    /// Appends.\n    pub fn push(&mut self, value: T) {}\n}\n",
            ),
            (
                "std/src/fs.rs",
                "//! Files.\n/// Reads.\npub fn read() {}\n",
            ),
            (
                "core/src/keyword_docs.rs",
                "#[doc(keyword = \"match\")]\n//\n/// Control flow.\n///\n/// More.\nmod match_keyword {}\n",
            ),
        ] {
            let path = library.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn types_methods_modules_and_keywords_are_found() {
        let sysroot = sysroot();
        let below = sysroot.path().join("lib/rustlib/x/lib");
        for (name, says) in [
            ("Vec", "Grows."),
            ("Vec", "pub fn push(&mut self, value: T)"),
            ("std::vec::Vec::push", "Appends."),
            ("std::fs::read", "Reads."),
            ("std::fs", "Files."),
            ("match", "Control flow.\n\nMore."),
        ] {
            match find(name, &below) {
                Found::Text { docs, .. } => assert!(docs.contains(says), "{name}: {docs}"),
                _ => panic!("nothing of {name}"),
            }
        }
        assert!(matches!(find("Nothing", &below), Found::Nothing));
        assert!(matches!(
            find("Vec", Path::new("/nowhere")),
            Found::NoSources
        ));
        assert!(link("match").ends_with("keyword.match.html"));
    }
}
