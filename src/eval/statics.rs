//! One `static` over all cells.
//!
//! Each cell is compiled with all items and is a shared object of its own, and would have a static of its own. So the
//! first cell that has a static exports it under a name of its own, and the others only declare it; the system finds
//! it when it loads them.

use crate::syntax::normal;
use ra_ap_syntax::{AstNode, Edition, SourceFile, ast, ast::HasName, ast::HasVisibility};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

struct Static {
    at: Range<usize>,
    /// Under which it is exported.
    name: String,
    declaration: String,
}

/// The names under which the statics of an item are exported.
pub fn names(item: &str) -> impl Iterator<Item = String> {
    find(item).into_iter().map(|one| one.name)
}

/// What has to stand before each static of an item, and where, for it to be exported.
pub fn exports(item: &str, living: &BTreeSet<String>) -> Vec<(Range<usize>, String)> {
    let changes = find(item).into_iter().map(|one| {
        if living.contains(&one.name) {
            (one.at, one.declaration)
        } else {
            let attribute = format!("#[unsafe(export_name = \"{}\")] ", one.name);
            (one.at.start..one.at.start, attribute)
        }
    });
    changes.collect()
}

/// An item with its statics exported, or declared where they live already.
pub fn code(item: &str, living: &BTreeSet<String>) -> String {
    let mut code = item.to_owned();
    for (at, text) in exports(item, living).into_iter().rev() {
        code.replace_range(at, &text);
    }
    code
}

/// A type with the lifetimes that a static has where none is written, and a declaration has not.
fn with_lifetimes(kind: &ast::Type) -> String {
    let start = usize::from(kind.syntax().text_range().start());
    let mut text = kind.syntax().text().to_string();
    let references = kind.syntax().descendants().filter_map(ast::RefType::cast);
    let places: Vec<usize> = references
        .filter(|one| one.lifetime().is_none())
        .filter(|one| {
            // Those of a function's arguments are its own.
            let mut around = one.syntax().ancestors();
            !around.any(|node| {
                ast::FnPtrType::can_cast(node.kind())
                    || ast::ParenthesizedArgList::can_cast(node.kind())
            })
        })
        .filter_map(|one| Some(usize::from(one.amp_token()?.text_range().end()) - start))
        .collect();
    for place in places.into_iter().rev() {
        text.insert_str(place, "'static ");
    }
    text.replace("'_", "'static")
}

fn find(item: &str) -> Vec<Static> {
    if !item.contains("static") {
        return Vec::new();
    }
    let parsed = SourceFile::parse(item, Edition::Edition2024);
    let whole = normal(&parsed.syntax_node());
    let statics = parsed.syntax_node().descendants();
    statics
        .filter_map(ast::Static::cast)
        .enumerate()
        .filter_map(|(number, one)| {
            // Without a value it is declared only.
            one.body()?;
            let (name, kind) = (one.name()?.text().to_string(), one.ty()?);
            let mut hasher = DefaultHasher::new();
            (&whole, number).hash(&mut hasher);
            let exported = format!("vitrepl_static_{name}_{:016x}", hasher.finish());
            let visible = one.visibility().map_or_else(String::new, |visible| {
                format!("{} ", visible.syntax().text())
            });
            let form = if one.mut_token().is_some() {
                "static mut"
            } else {
                "safe static"
            };
            let range = one.syntax().text_range();
            Some(Static {
                at: range.start().into()..range.end().into(),
                declaration: format!(
                    "#[allow(improper_ctypes)] unsafe extern \"C\" {{ #[link_name = \"{exported}\"] \
                     {visible}{form} {name}: {}; }}",
                    with_lifetimes(&kind)
                ),
                name: exported,
            })
        })
        .collect()
}
