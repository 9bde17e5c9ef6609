//! Documentation of the library's public items, read from its sources: their doc comments and
//! signatures. It needs neither rust-analyzer nor rustdoc, so it is there at once.

use super::item_text::{
    documentation, is_public, on_one_line, signature, unindented, without_links,
};
use super::macro_methods::made_by;
use ra_ap_syntax::ast::{self, HasDocComments, HasModuleItem, HasName, HasVisibility};
use ra_ap_syntax::{AstNode, Edition, SourceFile};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// More than this many items of one name are not shown.
const MOST_SHOWN: usize = 5;

/// One documented item.
#[derive(Clone, Debug)]
pub struct Item {
    /// Path in the library: `score::top`, `align::FitOptions`, `session::Model::name`.
    pub path: Vec<String>,
    pub signature: String,
    pub docs: String,
    /// The item as it is written.
    pub source: String,
}

/// More methods of a type are not listed.
const MOST_METHODS: usize = 80;

impl Item {
    /// The item as text: path, signature, documentation.
    pub fn text(&self) -> String {
        let Item {
            signature, docs, ..
        } = self;
        let docs = without_links(docs);
        format!("{}\n\n{signature}\n\n{docs}", self.path.join("::"))
            .trim_end()
            .to_owned()
    }

    /// The first sentence of the documentation, on one line.
    pub fn summary(&self) -> String {
        let paragraph = self.docs.split("\n\n").next().unwrap_or_default();
        let words: Vec<&str> = paragraph.split_whitespace().collect();
        let text = without_links(&words.join(" "));
        match text.split_once(". ") {
            Some((sentence, _)) => format!("{sentence}."),
            None => text,
        }
    }

    /// The item as Markdown.
    pub fn markdown(&self) -> String {
        let Item {
            signature, docs, ..
        } = self;
        let path = self.path.join("::");
        let docs = without_links(docs);
        format!("`{path}`\n\n```rust\n{signature}\n```\n\n{docs}")
            .trim_end()
            .to_owned()
    }
}

/// The public items of the library.
#[derive(Default)]
pub struct Docs {
    items: Vec<Item>,
    /// What is in scope at the prompt: the module it comes from, and its name.
    imported: HashSet<(String, String)>,
    /// Names of other crates in scope at the prompt, and the crates that they come from.
    foreign: BTreeMap<String, String>,
    /// Names of models that the library knows.
    models: Vec<String>,
    /// Items without `pub` count too.
    takes_all: bool,
}

impl Docs {
    /// Reads the library's sources: paths below the crate's `src`, and texts.
    pub fn read(sources: Vec<(PathBuf, String)>) -> Self {
        let mut docs = Docs::default();
        for (path, text) in sources {
            docs.models.extend(models(&path, &text));
            // Programs are no part of the library.
            if path.starts_with("bin") || path.extension().is_none_or(|ending| ending != "rs") {
                continue;
            }
            let file = SourceFile::parse(&text, Edition::Edition2024).tree();
            if path == Path::new("prelude.rs") {
                docs.imported = imports(&file);
                docs.foreign = foreign(&file);
            }
            let module = module(&path);
            docs.module_docs(&file, &module);
            for item in file.items() {
                docs.item(&item, &module);
            }
        }
        docs
    }

    /// Reads what was defined in a session: every item.
    pub fn of_session(text: &str) -> Self {
        let mut docs = Docs {
            takes_all: true,
            ..Docs::default()
        };
        for item in SourceFile::parse(text, Edition::Edition2024).tree().items() {
            docs.item(&item, &[]);
        }
        docs
    }

    /// Names of models that the library knows.
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// Every public item.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The library's outermost modules that say what they are about.
    pub fn modules(&self) -> Vec<&str> {
        let outermost = self.items.iter().filter(|item| item.is_module());
        let mut names: Vec<&str> = outermost
            .filter(|item| item.path.len() == 1)
            .map(|item| item.path[0].as_str())
            .collect();
        names.sort_unstable();
        names
    }

    /// Items as text; types with their methods.
    pub fn text(&self, items: &[&Item]) -> String {
        let texts = items.iter().map(|item| {
            let methods = self.methods(item);
            if methods.is_empty() {
                return item.text();
            }
            let listed = methods.iter().take(MOST_METHODS).map(|method| {
                format!(
                    "\n  {}\n      {}",
                    on_one_line(&method.signature),
                    method.summary()
                )
                .trim_end()
                .to_owned()
            });
            let listed: String = listed.collect();
            let more = methods.len().saturating_sub(MOST_METHODS);
            let more = if more > 0 {
                format!("\n  ... and {more} more")
            } else {
                String::new()
            };
            format!(
                "{}\n\nMethods (:doc {}::NAME has more of one):{listed}{more}",
                item.text(),
                item.name()
            )
        });
        texts.collect::<Vec<_>>().join("\n\n")
    }

    /// The code of items.
    pub fn source(&self, items: &[&Item]) -> String {
        let texts = items
            .iter()
            .map(|item| format!("// {}\n{}", item.path.join("::"), item.source));
        texts.collect::<Vec<_>>().join("\n\n")
    }

    /// The public methods of a type, those that belong to no trait first.
    fn methods(&self, of: &Item) -> Vec<&Item> {
        if of.is_method() || !of.name().starts_with(char::is_uppercase) {
            return Vec::new();
        }
        // A method may be written in another file of the type's outermost module.
        let module = of.path.first();
        let items = self.items.iter().filter(|item| {
            let mut parts = item.path.iter().rev().skip(1);
            parts.next() == of.path.last() && item.path.first() == module
        });
        items.collect()
    }

    /// The items whose name fits a pattern with stars, those in scope first.
    pub fn matching(&self, pattern: &str) -> Vec<&Item> {
        let mut found: Vec<&Item> = self
            .items
            .iter()
            .filter(|item| fits(pattern, item.name()) || fits(pattern, &item.path.join("::")))
            .collect();
        found.sort_by_key(|item| (!self.is_in_scope(item), item.path.len(), item.path.clone()));
        found
    }

    fn is_in_scope(&self, item: &Item) -> bool {
        let module = item.path.first().cloned().unwrap_or_default();
        let mut parts = item.path.iter().rev().take(2);
        parts.any(|part| self.imported.contains(&(module.clone(), part.clone())))
    }

    /// The names that are in scope at the prompt.
    pub fn imported(&self) -> impl Iterator<Item = &str> {
        self.imported.iter().map(|(_, name)| name.as_str())
    }

    /// Names of other crates that are in scope at the prompt.
    pub fn foreign(&self) -> impl Iterator<Item = &str> {
        self.foreign.keys().map(String::as_str)
    }

    /// The other crate that a name in scope at the prompt comes from.
    pub fn comes_from(&self, name: &str) -> Option<&str> {
        self.foreign.get(name).map(String::as_str)
    }

    /// The items that `name` (a name, or a path) most likely means: those in scope if there
    /// are any, and no methods if something else has the name.
    pub fn find(&self, name: &str) -> Vec<&Item> {
        let wanted: Vec<&str> = name
            .trim_start_matches("crate::")
            .trim_start_matches("vitrepl_prelude::")
            .split("::")
            .filter(|part| !part.is_empty())
            .collect();
        let mut found: Vec<&Item> = self
            .items
            .iter()
            .filter(|item| names(&wanted, &item.path))
            .collect();
        let likeliness =
            |item: &Item| (!self.is_in_scope(item), item.is_method(), item.is_module());
        found.sort_by_key(|item| (likeliness(item), item.path.len()));
        if let Some(best) = found.first().map(|item| likeliness(item)) {
            found.retain(|item| likeliness(item) == best);
        }
        found.truncate(MOST_SHOWN);
        found
    }

    fn module_docs(&mut self, file: &SourceFile, path: &[String]) {
        let docs = documentation(file.syntax());
        if let Some(name) = path.last().filter(|_| !docs.is_empty()) {
            self.items.push(Item {
                path: path.to_vec(),
                signature: format!("mod {name}"),
                docs,
                source: file.syntax().text().to_string(),
            });
        }
    }

    fn item(&mut self, item: &ast::Item, module: &[String]) {
        match item {
            ast::Item::Fn(item) => self.named(item, module),
            ast::Item::Struct(item) => self.named(item, module),
            ast::Item::Enum(item) => self.named(item, module),
            ast::Item::Const(item) => self.named(item, module),
            ast::Item::Static(item) => self.named(item, module),
            ast::Item::TypeAlias(item) => self.named(item, module),
            ast::Item::MacroRules(item) => self.add(item, module),
            ast::Item::Trait(item) => {
                self.named(item, module);
                if self.is_wanted(item)
                    && let (Some(name), Some(list)) = (item.name(), item.assoc_item_list())
                {
                    let inner = with(module, name.text());
                    for method in list.assoc_items() {
                        if let ast::AssocItem::Fn(method) = method {
                            self.add(&method, &inner);
                        }
                    }
                }
            }
            ast::Item::Impl(item) if item.trait_().is_none() => {
                let (Some(kind), Some(list)) = (item.self_ty(), item.assoc_item_list()) else {
                    return;
                };
                let kind = kind.syntax().text().to_string();
                let inner = with(module, kind.split('<').next().unwrap_or_default());
                for member in list.assoc_items() {
                    match member {
                        ast::AssocItem::Fn(member) => self.named(&member, &inner),
                        ast::AssocItem::Const(member) => self.named(&member, &inner),
                        ast::AssocItem::MacroCall(call) => {
                            let made = made_by(&call).unwrap_or_default();
                            let file = SourceFile::parse(&made, Edition::Edition2024).tree();
                            for item in file.items() {
                                self.item(&item, &inner);
                            }
                        }
                        _ => {}
                    }
                }
            }
            ast::Item::Module(item) if self.is_wanted(item) => {
                if let (Some(name), Some(list)) = (item.name(), item.item_list()) {
                    let inner = with(module, name.text());
                    for item in list.items() {
                        self.item(&item, &inner);
                    }
                }
            }
            _ => {}
        }
    }

    fn named(&mut self, item: &(impl HasName + HasDocComments + HasVisibility), module: &[String]) {
        if self.is_wanted(item) {
            self.add(item, module);
        }
    }

    fn is_wanted(&self, item: &impl HasVisibility) -> bool {
        self.takes_all || is_public(item)
    }

    fn add(&mut self, item: &(impl HasName + HasDocComments), module: &[String]) {
        if let Some(name) = item.name() {
            self.items.push(Item {
                path: with(module, name.text()),
                signature: signature(item.syntax(), self.takes_all),
                docs: documentation(item.syntax()),
                source: unindented(item.syntax().text().to_string().trim_end()),
            });
        }
    }
}

/// Whether a name is what a pattern says, in which `*` stands for any text; case does not matter.
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_lowercase(), name.to_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

impl Item {
    /// The name alone.
    pub fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// The name of the type or trait that it is a member of.
    pub fn owner(&self) -> Option<&str> {
        let owner = self.path.iter().rev().nth(1)?;
        owner
            .starts_with(char::is_uppercase)
            .then_some(owner.as_str())
    }

    /// Whether it is called with a dot.
    pub fn takes_self(&self) -> bool {
        self.owner().is_some() && self.signature.contains("self")
    }

    pub fn is_module(&self) -> bool {
        self.signature.starts_with("mod ")
    }

    pub fn is_method(&self) -> bool {
        self.owner().is_some()
    }
}

/// Whether `wanted` names `path`: its last part, and before that parts of it in order (`score::top` is
/// `score::ranking::top`, which `score` exports).
fn names(wanted: &[&str], path: &[String]) -> bool {
    let (Some((last, before)), Some((name, modules))) = (wanted.split_last(), path.split_last())
    else {
        return false;
    };
    let mut modules = modules.iter();
    last == name
        && before
            .iter()
            .all(|part| modules.any(|module| module == part))
}

/// The module that a file is.
fn module(path: &Path) -> Vec<String> {
    let path = path.with_extension("");
    let parts = path.iter().map(|part| part.to_string_lossy().into_owned());
    parts
        .filter(|part| !["lib", "mod"].contains(&part.as_str()))
        .collect()
}

/// What a file brings into scope by `use crate::...`: the first part of the path, and the last.
fn imports(file: &SourceFile) -> HashSet<(String, String)> {
    let paths = used_paths(file);
    let own = paths.iter().filter_map(|path| path.strip_prefix("crate::"));
    own.filter_map(first_and_last).collect()
}

/// What a file brings into scope of other crates: the name, and the crate.
fn foreign(file: &SourceFile) -> BTreeMap<String, String> {
    let paths = used_paths(file);
    let others = paths.iter().filter(|path| !path.starts_with("crate::"));
    let pairs = others.filter_map(|path| first_and_last(path));
    pairs.map(|(first, last)| (last, first)).collect()
}

fn first_and_last(path: &str) -> Option<(String, String)> {
    let mut parts = path.split("::");
    let first = parts.next()?.to_owned();
    let last = parts.last().map_or_else(|| first.clone(), str::to_owned);
    Some((first, last))
}

/// The paths that a file uses, one for each name.
fn used_paths(file: &SourceFile) -> Vec<String> {
    let trees = file.syntax().descendants().filter_map(ast::UseTree::cast);
    let names = trees.filter(|tree| tree.use_tree_list().is_none());
    let whole = names.map(|tree| {
        let paths = tree.syntax().ancestors().filter_map(ast::UseTree::cast);
        let mut paths: Vec<String> = paths
            .filter_map(|tree| Some(tree.path()?.syntax().text().to_string()))
            .collect();
        paths.reverse();
        paths.join("::")
    });
    whole.collect()
}

fn with(module: &[String], name: &str) -> Vec<String> {
    let mut path = module.to_vec();
    path.push(name.to_owned());
    path
}

/// The names of models in one of the library's tables of them: the first column, and where the second is the name of
/// weights, both. Of the models that it carries, and the paper's, the names stand in the code.
fn models(path: &Path, text: &str) -> Vec<String> {
    let quoted = |start: &str, end: &str| -> Vec<String> {
        let list = text
            .split_once(start)
            .and_then(|(_, rest)| rest.split_once(end));
        let list = list.map_or("", |(list, _)| list);
        let lines = list.lines().filter_map(|line| {
            let (_, rest) = line.split_once('"')?;
            Some(rest.split_once('"')?.0.to_owned())
        });
        lines.collect()
    };
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    match path.to_str() {
        Some("models/hub/timm.tsv") => rows
            .filter_map(|line| line.split('\t').next().map(str::to_owned))
            .collect(),
        Some("models/hub/open_clip.tsv") => rows
            .filter_map(|line| {
                let mut columns = line.split('\t');
                Some(format!("{}/{}", columns.next()?, columns.next()?))
            })
            .collect(),
        Some("models/hub/names.rs") => quoted("pub const ALIASES", "];"),
        Some("models/zoo.rs") => quoted("EMBEDDED: &[Embedded] = embedded! {", "};"),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::sources::Library;

    fn library() -> Docs {
        Docs::read(Library::Carried.code())
    }

    #[test]
    fn functions_types_methods_and_modules_are_found_by_name_and_path() {
        let docs = library();
        let first = |name: &str| docs.find(name)[0];
        let decompose = first("decompose");
        assert_eq!(decompose.path, ["session", "contributions", "decompose"]);
        assert!(decompose.signature.starts_with("pub fn decompose("));
        assert!(
            decompose
                .signature
                .ends_with("-> Result<Arc<Contributions>>")
        );
        assert!(decompose.docs.contains("# Errors"), "{}", decompose.docs);
        assert!(first("FitOptions").signature.contains("epochs"));
        assert!(first("score::top").signature.starts_with("pub fn top("));
        assert!(
            first("GeneratedSpec::unbiased")
                .signature
                .contains("unbiased(")
        );
        assert!(first("Granularity").signature.contains("Tokens"));
        assert_eq!(first("score").signature, "mod score");
        assert!(docs.find("no_such_thing").is_empty());
        assert!(docs.find("").is_empty());
    }

    #[test]
    fn a_type_is_told_with_its_methods_and_everything_with_its_source() {
        let docs = library();
        let text = |name: &str| docs.text(&docs.find(name));
        for (name, method) in [
            ("Contributions", "pub fn select("),
            ("Model", "pub fn name("),
            ("GeneratedSpec", "pub fn unbiased("),
            ("BarChart", "pub fn bar("),
        ] {
            let text = text(name);
            assert!(
                text.contains("Methods") && text.contains(method),
                "{name}: {text}"
            );
        }
        assert!(!text("decompose").contains("Methods"));
        let source = docs.source(&docs.find("decompose"));
        assert!(
            source.starts_with("// session::contributions::decompose\n"),
            "{source}"
        );
        assert!(
            source.contains("pub fn decompose(") && source.ends_with('}'),
            "{source}"
        );
    }

    #[test]
    fn names_are_searched_with_stars() {
        assert!(fits("*select*", "select_images") && fits("A*c", "abc") && fits("abc", "abc"));
        assert!(!fits("a*c", "abcd") && !fits("abc", "abcd") && !fits("a*b*b", "ab"));
        let docs = library();
        let found: Vec<&str> = docs
            .matching("decomp*")
            .iter()
            .map(|item| item.name())
            .collect();
        assert!(found.contains(&"decompose"), "{found:?}");
    }

    #[test]
    fn only_the_likeliest_meaning_is_given() {
        let paths: Vec<_> = library()
            .find("load")
            .iter()
            .map(|item| item.path.join("::"))
            .collect();
        assert_eq!(paths, ["session::models::load"]);
    }
}
