//! What an item defines, what it would clash with, and what it mentions.

use super::{normal, tokens_of};
use ra_ap_syntax::ast::{HasGenericParams, HasModuleItem, HasName};
use ra_ap_syntax::{AstNode, Edition, NodeOrToken, SourceFile, SyntaxKind, SyntaxNode, ast};
use std::collections::BTreeSet;

/// Where a definition is found, so that two of them clash in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// A struct, enum, trait, type or module.
    Type(String),
    /// A function, constant or static.
    Value(String),
    /// Of both: a struct that is built by calling its name.
    TypeAndValue(String),
    Macro(String),
    /// An import, by the name it gives.
    Use(String),
    /// An `impl`: its head, and the names that it defines if it is of no trait.
    Impl(String, Option<Vec<String>>),
    /// Found by its text only.
    Text,
}

/// One definition.
#[derive(Clone, Debug)]
pub struct Definition {
    pub slot: Slot,
    pub text: String,
    /// The text in which only tokens count.
    pub normal: String,
    /// The names that it defines.
    pub names: Vec<String>,
    /// Every name in it that may be that of another definition.
    pub mentions: BTreeSet<String>,
    /// Of these, the ones that may decide how something is laid out.
    pub layout: BTreeSet<String>,
    /// The names to whose layout it belongs.
    pub subjects: Vec<String>,
    /// The name and the line of the source in which it was written.
    pub place: Option<(String, usize)>,
}

/// Whether a text defines a function `main`.
pub fn defines_main(text: &str) -> bool {
    let main = Slot::Value("main".to_owned());
    definitions(text).iter().any(|one| one.slot == main)
}

/// The definitions in a text; each import of a `use` is one of its own.
pub fn definitions(text: &str) -> Vec<Definition> {
    let parsed = SourceFile::parse(text, Edition::Edition2024);
    let mut found = Vec::new();
    for item in parsed.tree().items() {
        match &item {
            ast::Item::Use(imports) => {
                if let Some(tree) = imports.use_tree() {
                    import(&tree, "", &mut found);
                }
            }
            // Of these evcxr keeps account.
            ast::Item::ExternCrate(_) => {}
            _ => found.push(definition(&item)),
        }
    }
    found
}

fn definition(item: &ast::Item) -> Definition {
    let node = item.syntax();
    let name = name_of(item);
    let mentions = mentions(node);
    let mut layout = mentions.clone();
    let (slot, names, subjects) = match (item, name) {
        (ast::Item::Impl(one), _) => {
            layout = BTreeSet::new();
            for part in layout_parts(one) {
                layout.extend(self::mentions(part.syntax()));
            }
            let head = head(one);
            let subjects: Vec<String> = subjects(one);
            let methods = one.trait_().is_none().then(|| assoc_names(one));
            (Slot::Impl(head, methods), Vec::new(), subjects)
        }
        (ast::Item::MacroRules(_) | ast::Item::MacroDef(_), Some(name)) => {
            (Slot::Macro(name.clone()), vec![name.clone()], vec![name])
        }
        (ast::Item::Fn(_) | ast::Item::Const(_) | ast::Item::Static(_), Some(name)) => {
            (Slot::Value(name.clone()), vec![name.clone()], vec![name])
        }
        (ast::Item::Struct(one), Some(name)) => {
            let is_called = !matches!(one.kind(), ast::StructKind::Record(_));
            let slot = if is_called {
                Slot::TypeAndValue
            } else {
                Slot::Type
            };
            (slot(name.clone()), vec![name.clone()], vec![name])
        }
        (ast::Item::MacroCall(call), _) => {
            let names = made_names(call.syntax());
            (Slot::Text, names.clone(), names)
        }
        (_, Some(name)) => (Slot::Type(name.clone()), vec![name.clone()], vec![name]),
        _ => (Slot::Text, Vec::new(), Vec::new()),
    };
    let mut text = node.text().to_string();
    // A call in parentheses is an item with a semicolon only.
    if matches!(item, ast::Item::MacroCall(_)) && !text.ends_with(['}', ';']) {
        text.push(';');
    }
    Definition {
        slot,
        text,
        normal: normal(node),
        names,
        mentions,
        layout,
        subjects,
        place: None,
    }
}

fn name_of(item: &ast::Item) -> Option<String> {
    let name = match item {
        ast::Item::Const(one) => one.name(),
        ast::Item::Enum(one) => one.name(),
        ast::Item::Fn(one) => one.name(),
        ast::Item::MacroRules(one) => one.name(),
        ast::Item::MacroDef(one) => one.name(),
        ast::Item::Module(one) => one.name(),
        ast::Item::Static(one) => one.name(),
        ast::Item::Struct(one) => one.name(),
        ast::Item::Trait(one) => one.name(),
        ast::Item::TypeAlias(one) => one.name(),
        ast::Item::Union(one) => one.name(),
        _ => None,
    };
    name.map(|name| name.text().to_string())
}

/// The imports of a tree, below a path.
fn import(tree: &ast::UseTree, above: &str, found: &mut Vec<Definition>) {
    let path = tree.path().map(|path| path.syntax().text().to_string());
    let below = |name: &str| {
        if above.is_empty() {
            name.to_owned()
        } else {
            format!("{above}::{name}")
        }
    };
    let full = match path.as_deref() {
        // `use a::{self}` is `use a`.
        Some("self") if !above.is_empty() => above.to_owned(),
        Some(path) => below(path),
        None => above.to_owned(),
    };
    if let Some(list) = tree.use_tree_list() {
        for inner in list.use_trees() {
            import(&inner, &full, found);
        }
        return;
    }
    let renamed = tree.rename().map(|rename| {
        let name = rename.name().map(|name| name.text().to_string());
        name.unwrap_or_else(|| "_".to_owned())
    });
    let last = full
        .rsplit("::")
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned();
    let (text, name) = match renamed {
        _ if tree.star_token().is_some() => (format!("use {full}::*;"), None),
        Some(name) if name == "_" => (format!("use {full} as _;"), None),
        Some(name) => (format!("use {full} as {name};"), Some(name)),
        None => (format!("use {full};"), Some(last)),
    };
    found.push(Definition {
        slot: name.clone().map_or(Slot::Text, Slot::Use),
        normal: text.clone(),
        mentions: BTreeSet::new(),
        layout: full
            .split("::")
            .next()
            .map(str::to_owned)
            .into_iter()
            .collect(),
        subjects: name.iter().cloned().collect(),
        place: None,
        names: name.into_iter().collect(),
        text,
    });
}

/// Every identifier that is used, not defined, below a node; inside a macro's arguments every one.
fn mentions(node: &SyntaxNode) -> BTreeSet<String> {
    let used = tokens_of(node).filter(|token| {
        let parent = token.parent().map(|parent| parent.kind());
        token.kind() == SyntaxKind::IDENT
            && matches!(parent, Some(SyntaxKind::NAME_REF | SyntaxKind::TOKEN_TREE))
    });
    used.map(|token| token.text().to_owned()).collect()
}

/// Names that the call of a macro gives to what it makes: those behind a keyword, or all of its arguments.
fn made_names(node: &SyntaxNode) -> Vec<String> {
    const KEYWORDS: &[&str] = &[
        "struct", "enum", "union", "trait", "fn", "static", "const", "type", "mod",
    ];
    let words: Vec<String> = tokens_of(node)
        .map(|token| token.text().to_owned())
        .collect();
    let named = words
        .windows(2)
        .filter(|pair| KEYWORDS.contains(&pair[0].as_str()) && is_word(&pair[1]));
    let mut names: Vec<String> = named.map(|pair| pair[1].clone()).collect();
    if names.is_empty() {
        // The macro's own name is the first.
        names = words
            .iter()
            .skip(1)
            .filter(|word| is_word(word))
            .cloned()
            .collect();
    }
    names
}

fn is_word(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// What stands before the body of an `impl`.
fn head(one: &ast::Impl) -> String {
    let body = one.assoc_item_list().map(|list| list.syntax().clone());
    let mut words = Vec::new();
    for element in one.syntax().children_with_tokens() {
        match element {
            NodeOrToken::Node(node) if Some(&node) == body.as_ref() => break,
            NodeOrToken::Node(node) if node.kind() == SyntaxKind::ATTR => {}
            NodeOrToken::Node(node) => words.push(normal(&node)),
            NodeOrToken::Token(token) if token.kind().is_trivia() => {}
            NodeOrToken::Token(token) => words.push(token.text().to_owned()),
        }
    }
    words.join(" ")
}

/// The names in the head of an `impl`: of the type and of the trait.
fn subjects(one: &ast::Impl) -> Vec<String> {
    let parameters = one.generic_param_list();
    let generic = parameters
        .map(|list| normal(list.syntax()))
        .unwrap_or_default();
    let generic: Vec<&str> = generic.split(' ').collect();
    let types = [one.self_ty(), one.trait_()];
    let names = types
        .into_iter()
        .flatten()
        .flat_map(|kind| mentions(kind.syntax()));
    names
        .filter(|name| !generic.contains(&name.as_str()))
        .collect()
}

/// The parts of an `impl` on which the layout of something may depend.
fn layout_parts(one: &ast::Impl) -> Vec<ast::AssocItem> {
    let list = one.assoc_item_list();
    let items = list.into_iter().flat_map(|list| list.assoc_items());
    items
        .filter(|item| !matches!(item, ast::AssocItem::Fn(_)))
        .collect()
}

fn assoc_name(item: &ast::AssocItem) -> Option<String> {
    let name = match item {
        ast::AssocItem::Const(one) => one.name(),
        ast::AssocItem::Fn(one) => one.name(),
        ast::AssocItem::TypeAlias(one) => one.name(),
        ast::AssocItem::MacroCall(_) => None,
    };
    name.map(|name| name.text().to_string())
}

fn assoc_names(one: &ast::Impl) -> Vec<String> {
    let list = one.assoc_item_list();
    let items = list.into_iter().flat_map(|list| list.assoc_items());
    items.filter_map(|item| assoc_name(&item)).collect()
}

impl Definition {
    /// Whether an older definition cannot stay beside this one.
    pub fn clashes_with(&self, old: &Definition) -> bool {
        use Slot::{Impl, Macro, Text, Type, TypeAndValue, Use, Value};
        match (&self.slot, &old.slot) {
            (Impl(head, None), Impl(other, None)) => head == other,
            (Impl(head, Some(names)), Impl(other, Some(others))) => {
                head == other && names.iter().any(|name| others.contains(name))
            }
            (Impl(..), _) | (_, Impl(..)) => false,
            (Text, _) | (_, Text) => {
                self.normal == old.normal
                    || self.is_call()
                        && old.is_call()
                        && self.names.iter().any(|name| old.names.contains(name))
            }
            (Macro(name), Macro(other)) => name == other,
            (Macro(_), Use(_)) | (Use(_), Macro(_)) => false,
            (Macro(_), _) | (_, Macro(_)) => false,
            (Type(_), Value(_)) | (Value(_), Type(_)) => false,
            (
                Type(name) | Value(name) | TypeAndValue(name) | Use(name),
                Type(other) | Value(other) | TypeAndValue(other) | Use(other),
            ) => name == other,
        }
    }

    fn is_call(&self) -> bool {
        self.slot == Slot::Text && !self.names.is_empty()
    }

    /// The names that are affected when this `impl` takes the place of an older one, or of a part of it.
    pub fn changes(&self, old: &Definition) -> Vec<String> {
        let parts = |definition: &Definition| -> BTreeSet<String> {
            let parsed = SourceFile::parse(&definition.text, Edition::Edition2024);
            let Some(ast::Item::Impl(one)) = parsed.tree().items().next() else {
                return BTreeSet::new();
            };
            let parts = layout_parts(&one);
            parts.iter().map(|part| normal(part.syntax())).collect()
        };
        let (new_parts, old_parts) = (parts(self), parts(old));
        let is_of_trait = matches!(self.slot, Slot::Impl(_, None));
        let changed = if is_of_trait {
            new_parts != old_parts
        } else {
            // An older block may define more than this one.
            !new_parts.is_subset(&old_parts)
        };
        if changed {
            self.subjects.clone()
        } else {
            Vec::new()
        }
    }

    /// What stays of an `impl` when another defines some of its names anew.
    pub fn without(&self, other: &Definition) -> Option<Definition> {
        let Slot::Impl(_, Some(names)) = &other.slot else {
            return None;
        };
        let parsed = SourceFile::parse(&self.text, Edition::Edition2024);
        let Some(ast::Item::Impl(one)) = parsed.tree().items().next() else {
            return None;
        };
        let mut text = self.text.clone();
        let items: Vec<ast::AssocItem> = one.assoc_item_list()?.assoc_items().collect();
        let is_other =
            |item: &&ast::AssocItem| assoc_name(item).is_some_and(|name| names.contains(&name));
        if items.iter().all(|item| is_other(&item)) {
            return None;
        }
        for item in items.iter().rev().filter(is_other) {
            let range = item.syntax().text_range();
            text.replace_range(usize::from(range.start())..usize::from(range.end()), "");
        }
        definitions(&text).into_iter().next()
    }
}

/// Macros of the standard library that make items.
const MAKERS: &[&str] = &["thread_local", "lazy_static", "bitflags"];

/// What the body of a macro that makes items begins with.
const ITEM_WORDS: &[&str] = &[
    "struct",
    "enum",
    "union",
    "trait",
    "fn",
    "static",
    "const",
    "type",
    "mod",
    "impl",
    "use",
    "extern",
    "unsafe",
    "macro_rules",
];

/// Whether a statement is the call of a macro that makes items; `find` gives the text of a macro by its name.
pub fn makes_items(statement: &str, find: &dyn Fn(&str) -> Option<String>) -> bool {
    let parsed = SourceFile::parse(statement, Edition::Edition2024);
    let Some(ast::Item::MacroCall(call)) = parsed.tree().items().next() else {
        return false;
    };
    let Some(path) = call.path() else {
        return false;
    };
    let name = path.syntax().text().to_string();
    is_maker(&name, find, 0)
}

fn is_maker(name: &str, find: &dyn Fn(&str) -> Option<String>, depth: usize) -> bool {
    if MAKERS.contains(&name.rsplit("::").next().unwrap_or(name)) {
        return true;
    }
    let Some(text) = find(name).filter(|_| depth < 16) else {
        return false;
    };
    let parsed = SourceFile::parse(&text, Edition::Edition2024);
    let tokens: Vec<(SyntaxKind, String)> = tokens_of(&parsed.syntax_node())
        .map(|token| (token.kind(), token.text().to_owned()))
        .collect();
    // Behind each `=>` stands the body of a rule.
    let bodies = tokens
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0].1 == "=" && pair[1].1 == ">" || pair[0].1 == "=>")
        .map(|(at, pair)| at + if pair[0].1 == "=>" { 1 } else { 2 });
    bodies.into_iter().any(|at| {
        let mut brackets = 0i32;
        let mut words = tokens[(at + 1).min(tokens.len())..].iter().peekable();
        while let Some((_, word)) = words.next() {
            match word.as_str() {
                "[" => brackets += 1,
                "]" => brackets -= 1,
                "$" => {
                    // The name of a fragment.
                    if words.peek().is_some_and(|(_, next)| is_word(next)) {
                        words.next();
                    }
                }
                "pub" | "crate" => {}
                _ if brackets > 0 || !is_word(word) => {
                    if matches!(word.as_str(), "{" | "}" | ";" | "=") {
                        return false;
                    }
                }
                word if ITEM_WORDS.contains(&word) => {
                    // A block is no item.
                    return words.peek().is_none_or(|(_, next)| next != "{");
                }
                word => {
                    return words.peek().is_some_and(|(_, next)| next == "!")
                        && is_maker(word, find, depth + 1);
                }
            }
        }
        false
    })
}
