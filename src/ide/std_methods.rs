//! Methods of the standard library's types, from the sources that rustup installs, and where these are not installed from a
//! table that was made of them.

use super::docs::{Docs, Item};
use super::rust_docs;
use std::fs;
use std::path::{Path, PathBuf};

/// A type as completion knows it, what its `impl`s are of, and the files that these are in.
struct Type {
    name: &'static str,
    impls: &'static [&'static str],
    files: &'static [&'static str],
}

const fn of(
    name: &'static str,
    impls: &'static [&'static str],
    files: &'static [&'static str],
) -> Type {
    Type { name, impls, files }
}

const SLICE: [&str; 2] = ["core/src/slice/mod.rs", "alloc/src/slice.rs"];

/// The types of which results are made most.
const TYPES: &[Type] = &[
    of(
        "Vec",
        &["Vec", "[T]"],
        &["alloc/src/vec/mod.rs", SLICE[0], SLICE[1]],
    ),
    of("[", &["[T]"], &SLICE),
    of(
        "String",
        &["String", "str"],
        &[
            "alloc/src/string.rs",
            "core/src/str/mod.rs",
            "alloc/src/str.rs",
        ],
    ),
    of(
        "str",
        &["str"],
        &["core/src/str/mod.rs", "alloc/src/str.rs"],
    ),
    of("Option", &["Option"], &["core/src/option.rs"]),
    of("Result", &["Result"], &["core/src/result.rs"]),
    of(
        "HashMap",
        &["HashMap"],
        &["std/src/collections/hash/map.rs"],
    ),
    of(
        "HashSet",
        &["HashSet"],
        &["std/src/collections/hash/set.rs"],
    ),
    of(
        "BTreeMap",
        &["BTreeMap"],
        &["alloc/src/collections/btree/map.rs"],
    ),
    of(
        "BTreeSet",
        &["BTreeSet"],
        &["alloc/src/collections/btree/set.rs"],
    ),
    of(
        "VecDeque",
        &["VecDeque"],
        &["alloc/src/collections/vec_deque/mod.rs"],
    ),
    of("Path", &["Path"], &["std/src/path.rs"]),
    of("PathBuf", &["PathBuf", "Path"], &["std/src/path.rs"]),
    of("Duration", &["Duration"], &["core/src/time.rs"]),
    of("Instant", &["Instant"], &["std/src/time.rs"]),
    of(
        "f32",
        &["f32"],
        &[
            "core/src/num/f32.rs",
            "std/src/f32.rs",
            "std/src/num/f32.rs",
        ],
    ),
    of(
        "f64",
        &["f64"],
        &[
            "core/src/num/f64.rs",
            "std/src/f64.rs",
            "std/src/num/f64.rs",
        ],
    ),
    of("char", &["char"], &["core/src/char/methods.rs"]),
];

/// A row a method: the type, a tab, the signature. Made of the sources of Rust 1.63, Debian's package `rust-src`, by the
/// test below.
const TABLE: &str = include_str!("std_methods.tsv");

/// The functions of the type that completion calls `name`, methods among them; `below` is the folder of the compiled
/// standard library.
pub fn members(name: &str, below: &Path) -> Vec<Item> {
    let Some(of) = TYPES.iter().find(|of| of.name == name) else {
        return Vec::new();
    };
    let found = match rust_docs::library(below) {
        Some(library) => written(of, &library),
        None => Vec::new(),
    };
    match found.is_empty() {
        true => tabulated(name),
        false => found,
    }
}

/// The stable functions of a type, from the sources in a folder.
fn written(of: &Type, library: &Path) -> Vec<Item> {
    let read = |file: &&str| {
        Some((
            PathBuf::from(file),
            fs::read_to_string(library.join(file)).ok()?,
        ))
    };
    let docs = Docs::read(of.files.iter().filter_map(read).collect());
    let is_of = |item: &&Item| {
        let owner = item.path.iter().rev().nth(1);
        owner.is_some_and(|owner| of.impls.contains(&owner.as_str()))
            && item.signature.contains("fn ")
            && !["#[unstable", "#[deprecated", "#[rustc_deprecated"]
                .iter()
                .any(|mark| item.source.contains(mark))
    };
    let found = docs.items().iter().filter(is_of).cloned();
    found.map(|item| under(of.name, item)).collect()
}

fn tabulated(name: &str) -> Vec<Item> {
    let rows = TABLE.lines().filter_map(|line| line.split_once('\t'));
    let own = rows.filter(|(of, _)| *of == name);
    let item = own.filter_map(|(_, signature)| {
        let method = signature.split_once("fn ")?.1;
        let end = method.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
        Some(Item {
            path: vec![method[..end].to_owned()],
            signature: signature.to_owned(),
            docs: String::new(),
            source: String::new(),
        })
    });
    item.map(|item| under(name, item)).collect()
}

/// An item as a member of the type that completion calls `name`.
fn under(name: &str, item: Item) -> Item {
    let last = item.path.last().cloned().unwrap_or_default();
    Item {
        path: vec![name.to_owned(), last],
        ..item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes the table anew with `VITREPL_RUST_SOURCES=FOLDER cargo test std_methods`, where the folder is that of the
    /// crates `core`, `alloc` and `std`.
    #[test]
    fn the_table_is_made_of_the_sources() {
        let Some(library) = std::env::var_os("VITREPL_RUST_SOURCES") else {
            return;
        };
        let mut table = String::new();
        for of in TYPES {
            let mut rows: Vec<String> = written(of, Path::new(&library))
                .iter()
                .map(|item| {
                    let words: Vec<&str> = item.signature.split_whitespace().collect();
                    format!("{}\t{}\n", of.name, words.join(" "))
                })
                .collect();
            rows.sort();
            rows.dedup();
            assert!(rows.len() > 5, "{}: {rows:?}", of.name);
            table.extend(rows);
        }
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ide/std_methods.tsv");
        fs::write(file, table).unwrap();
    }

    #[test]
    fn types_have_their_methods_without_sources_too() {
        let nowhere = Path::new("/nowhere");
        for (name, method, takes) in [
            ("Vec", "push", "value: T"),
            ("Vec", "windows", "size: usize"),
            ("[", "sort_by_key", "&mut self"),
            ("String", "trim", "&self"),
            ("str", "split_whitespace", "&self"),
            ("Option", "ok_or_else", "self"),
            ("Result", "map_err", "self"),
            ("HashMap", "contains_key", "&self"),
            ("BTreeMap", "entry", "&mut self"),
            ("HashSet", "union", "&'a self"),
            ("PathBuf", "join", "&self"),
            ("Duration", "as_secs_f64", "&self"),
            ("f64", "powf", "self"),
            ("char", "is_alphabetic", "self"),
        ] {
            let members = members(name, nowhere);
            let found = members.iter().find(|item| item.path == [name, method]);
            let found = found.unwrap_or_else(|| panic!("{name}.{method}"));
            assert!(found.signature.contains(takes), "{}", found.signature);
        }
        assert!(members("Nothing", nowhere).is_empty());
    }

    /// Sources come before the table, and what is not stable is left out.
    #[test]
    fn sources_that_are_installed_are_read() {
        let sysroot = tempfile::tempdir().unwrap();
        let file = sysroot
            .path()
            .join("lib/rustlib/src/rust/library/core/src/option.rs");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let code = "impl<T> Option<T> {\n    /// Newest.\n    #[stable(feature = \"x\", since = \"9.9.9\")]\n    pub const fn newest(&self) -> bool { true }\n    #[unstable(feature = \"y\", issue = \"1\")]\n    pub fn someday(&self) {}\n}\n";
        fs::write(file, code).unwrap();
        let members = members("Option", &sysroot.path().join("lib/rustlib/x/lib"));
        let names: Vec<&str> = members.iter().map(Item::name).collect();
        assert_eq!(names, ["newest"]);
        assert_eq!(members[0].docs, "Newest.");
    }
}
