//! What others wrote and cells use: members of the standard library's types, and of the crates' that the library is made of
//! or the user has added. Sources are read when they are first asked for, and then kept.

use super::docs::{Docs, Item};
use super::{crate_docs, rust_docs, std_methods};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Crates by name, with the files they were compiled to.
pub type Crates = BTreeMap<String, PathBuf>;

/// Documentation and code of an item.
pub struct Text {
    pub docs: String,
    pub source: String,
}

/// Where sources are, and what has been read of them.
pub struct Elsewhere {
    /// The crates that the library is made of.
    crates: Crates,
    /// The folder of the compiled standard library.
    std_library: PathBuf,
    read: RefCell<BTreeMap<PathBuf, Arc<Docs>>>,
    std: RefCell<BTreeMap<String, Arc<Vec<Item>>>>,
}

impl Elsewhere {
    pub fn new(crates: Crates, std_library: PathBuf) -> Self {
        Elsewhere {
            crates,
            std_library,
            read: RefCell::default(),
            std: RefCell::default(),
        }
    }

    /// The members of the type `name`, or what the crate `name` has outermost. `library` says from which crates the names
    /// in scope come, `added` are the user's.
    pub fn members(&self, name: &str, library: &Docs, added: &Crates) -> Vec<Item> {
        let of_std = self.of_std(name);
        if !of_std.is_empty() {
            return of_std.to_vec();
        }
        if let Some(file) = added.get(name).or_else(|| self.crates.get(name)) {
            let docs = self.docs(name, file);
            let items = docs.items().iter().filter(|item| item.owner().is_none());
            return items.filter(|item| !item.is_module()).cloned().collect();
        }
        let members = |docs: Arc<Docs>| -> Vec<Item> {
            let own = docs
                .items()
                .iter()
                .filter(|item| item.owner() == Some(name));
            own.cloned().collect()
        };
        let crates = self.that_may_define(name, library, added);
        let mut found = crates.map(|(name, file)| members(self.docs(name, file)));
        found.find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// What is written of a name or path in a crate.
    pub fn find(&self, name: &str, library: &Docs, added: &Crates) -> Option<Text> {
        let name = name.trim_end_matches('!');
        let first = name.split("::").next().unwrap_or(name);
        let named = added.get_key_value(first);
        let named = named.or_else(|| self.crates.get_key_value(first));
        let crates: Vec<(&String, &PathBuf)> = match named {
            Some(named) => vec![named],
            None => self.that_may_define(first, library, added).collect(),
        };
        crates.into_iter().find_map(|(of, file)| {
            let docs = self.docs(of, file);
            let found = docs.find(name);
            (!found.is_empty()).then(|| Text {
                docs: docs.text(&found),
                source: docs.source(&found),
            })
        })
    }

    /// What Rust's own documentation has of a name.
    pub fn of_rust(&self, name: &str) -> rust_docs::Found {
        rust_docs::find(name, &self.std_library)
    }

    /// The crates in which a type of a bare name may be: the user's, and the one from which the library takes the name.
    fn that_may_define<'a>(
        &'a self,
        name: &str,
        library: &Docs,
        added: &'a Crates,
    ) -> impl Iterator<Item = (&'a String, &'a PathBuf)> {
        let imported = library.comes_from(name);
        let imported = imported.and_then(|of| self.crates.get_key_value(of));
        added.iter().chain(imported)
    }

    fn docs(&self, name: &str, file: &Path) -> Arc<Docs> {
        let mut read = self.read.borrow_mut();
        let docs = read.entry(file.to_path_buf());
        docs.or_insert_with(|| Arc::new(crate_docs::read(name, file)))
            .clone()
    }

    fn of_std(&self, name: &str) -> Arc<Vec<Item>> {
        let mut std = self.std.borrow_mut();
        let members = std.entry(name.to_owned());
        members
            .or_insert_with(|| Arc::new(std_methods::members(name, &self.std_library)))
            .clone()
    }
}
