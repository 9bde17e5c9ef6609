//! What cells have defined: functions, types, imports, macros, in the order in which they were defined.
//!
//! Every cell is compiled with all of them, so each is there once. A new definition takes the place of those that it
//! would clash with; an `impl` that is written again takes the place of the methods that it defines. Where that changes
//! how a type is laid out, values of the old kind can no longer be read: the names that are affected are found by what
//! each definition mentions, at any depth.

use super::places::{self, Run};
use super::statics;
use crate::syntax::items::{Definition, Slot, definitions, makes_items};
use crate::syntax::statements::Source;
use std::collections::BTreeSet;

/// The items of a session.
#[derive(Clone, Debug, Default)]
pub struct Items {
    definitions: Vec<Definition>,
    /// Statics that live in the process that runs the cells.
    living: BTreeSet<String>,
}

/// What the items of a cell come to.
#[derive(Debug, Default)]
pub struct Addition {
    new: Vec<Definition>,
    /// What stays of the others.
    rest: Vec<Definition>,
    /// Names whose meaning, or whose layout, is another one with these.
    pub affected: BTreeSet<String>,
}

impl Addition {
    /// Remembers where the items were written.
    pub fn written_in(&mut self, source: &Source) {
        for definition in &mut self.new {
            let at = source.text.find(&definition.text);
            definition.place = at.map(|at| (source.name.clone(), source.position(at).0));
        }
    }
}

impl Items {
    /// What it comes to when items with these texts are defined.
    pub fn addition<'a>(&self, texts: impl Iterator<Item = &'a str>) -> Addition {
        let new: Vec<Definition> = texts.flat_map(definitions).collect();
        let mut rest = self.definitions.clone();
        let mut affected = BTreeSet::new();
        for definition in &new {
            rest = rest
                .into_iter()
                .filter_map(|old| {
                    if !definition.clashes_with(&old) {
                        return Some(old);
                    }
                    if let (Slot::Impl(..), Slot::Impl(..)) = (&definition.slot, &old.slot) {
                        affected.extend(definition.changes(&old));
                        return old.without(definition);
                    }
                    if definition.normal != old.normal {
                        affected.extend(old.names.iter().cloned());
                    }
                    None
                })
                .collect();
        }
        spread(&mut affected, new.iter().chain(&rest));
        Addition {
            new,
            rest,
            affected,
        }
    }

    /// Names whose meaning, or whose layout, is another one when these crates are others.
    pub fn affected_by(&self, crates: BTreeSet<String>) -> BTreeSet<String> {
        let mut affected = crates;
        let is_of_them = |one: &&Definition| one.layout.iter().any(|name| affected.contains(name));
        // Any name may be one that is imported by `use a::*`.
        let imports_all = |one: &Definition| one.slot == Slot::Text && one.text.ends_with("::*;");
        if self.definitions.iter().filter(is_of_them).any(imports_all) {
            affected.extend(self.names().map(str::to_owned));
        }
        spread(&mut affected, self.definitions.iter());
        affected
    }

    /// The code of what stays, macros first (those are known from their place on), and where its lines come from.
    pub fn code(&self, addition: &Addition) -> (String, Vec<Run>) {
        let (macros, others): (Vec<_>, Vec<_>) = addition
            .rest
            .iter()
            .partition(|definition| matches!(definition.slot, Slot::Macro(_)));
        let mut code = String::new();
        let mut lines = Vec::new();
        for definition in macros.into_iter().chain(others) {
            let text = statics::code(&definition.text, &self.living);
            let place = definition.place.as_ref();
            lines.extend(
                (0..text.matches('\n').count() + 1)
                    .map(|behind| place.map(|(name, line)| (name.as_str(), line + behind))),
            );
            code.push_str(&text);
            code.push('\n');
        }
        (code, places::runs(lines.into_iter()))
    }

    /// Code behind everything else: macros of the cell, for what stands before them and uses them.
    pub fn behind(addition: &Addition) -> String {
        let macros = addition.new.iter().filter_map(|one| match &one.slot {
            Slot::Macro(name) => Some(name),
            _ => None,
        });
        macros
            .filter(|name| {
                let mut rest = addition.rest.iter();
                rest.any(|one| !matches!(one.slot, Slot::Macro(_)) && one.mentions.contains(*name))
            })
            .map(|name| format!("#[allow(unused_imports)] pub(crate) use {name};\n"))
            .collect()
    }

    /// Statics that the items with these texts define, and that live in the process already.
    pub fn living(&self) -> &BTreeSet<String> {
        &self.living
    }

    /// The cell has been compiled and run: its items are defined.
    pub fn commit(&mut self, addition: Addition) {
        self.definitions = addition.rest;
        self.definitions.extend(addition.new);
        for definition in &self.definitions {
            self.living.extend(statics::names(&definition.text));
        }
    }

    /// Another process runs the cells: no static lives in it.
    pub fn restart(&mut self) {
        self.living.clear();
    }

    /// Whether a statement is the call of a macro that makes items.
    pub fn are_made_by(&self, statement: &str) -> bool {
        makes_items(statement, &|name| {
            let mut macros = self.definitions.iter();
            macros
                .find(|one| matches!(&one.slot, Slot::Macro(other) if other == name))
                .map(|one| one.text.clone())
        })
    }

    /// Everything that is defined, as it was written.
    pub fn all(&self) -> String {
        let texts = self.definitions.iter().map(|one| one.text.as_str());
        texts.collect::<Vec<_>>().join("\n")
    }

    /// What defines a name, as it was written.
    pub fn text(&self, name: &str) -> Option<String> {
        let defining = self.definitions.iter().filter(|one| {
            one.names.iter().any(|other| other == name) && !matches!(one.slot, Slot::Use(_))
                || matches!(&one.slot, Slot::Impl(..))
                    && one.subjects.iter().any(|other| other == name)
        });
        let texts: Vec<&str> = defining.map(|one| one.text.as_str()).collect();
        (!texts.is_empty()).then(|| texts.join("\n\n"))
    }

    /// The names of what is defined.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.definitions.iter().flat_map(|one| &one.names);
        names.map(String::as_str)
    }
}

/// Adds what depends on `affected`, and what depends on that.
fn spread<'a>(
    affected: &mut BTreeSet<String>,
    definitions: impl Iterator<Item = &'a Definition> + Clone,
) {
    if affected.is_empty() {
        return;
    }
    loop {
        let before = affected.len();
        for definition in definitions.clone() {
            if definition.layout.iter().any(|name| affected.contains(name)) {
                affected.extend(definition.subjects.iter().cloned());
            }
        }
        if affected.len() == before {
            return;
        }
    }
}

/// Whether a type, as the compiler writes it, is made of something that is affected. What is hidden behind `dyn Any`
/// may be.
pub fn depends_on(kind: &str, affected: &BTreeSet<String>) -> bool {
    if affected.is_empty() {
        return false;
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut before = "";
    let mut rest = kind;
    while let Some(start) = rest.find(is_part) {
        before = if start > 0 { &rest[..start] } else { before };
        rest = &rest[start..];
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let word = &rest[..end];
        // Of a path only the first part is a name of the session's.
        if (!before.ends_with("::") && affected.contains(word)) || word == "Any" {
            return true;
        }
        before = "";
        rest = &rest[end..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(cells: &[&str]) -> Items {
        let mut items = Items::default();
        for cell in cells {
            let addition = items.addition([*cell].into_iter());
            items.commit(addition);
        }
        items
    }

    fn affected(cells: &[&str], new: &str) -> Vec<String> {
        let addition = session(cells).addition([new].into_iter());
        addition.affected.into_iter().collect()
    }

    fn code(cells: &[&str]) -> String {
        let items = session(cells);
        items.code(&items.addition([].into_iter())).0
    }

    #[test]
    fn what_contains_something_defined_anew_is_affected_at_any_depth() {
        let cells = [
            "const N: usize = 2;",
            "struct Point { x: [f64; N] }",
            "struct Line { a: Point, b: Point }",
            "type Lines = Vec<Line>;",
            "struct Other { point: u8 }",
            "fn area(line: &Line) -> f64 { 0. }",
        ];
        let changed = affected(&cells, "const N: usize = 3;");
        assert!(
            ["N", "Point", "Line", "Lines"]
                .iter()
                .all(|name| changed.contains(&(*name).to_owned()))
        );
        assert!(!changed.contains(&"Other".to_owned()));
        assert!(affected(&cells, "struct  Point { x: [f64; N] } // the same").is_empty());
        assert!(affected(&cells, "struct New { p: Point }").is_empty());
        let kinds = |kind: &str| depends_on(kind, &["Point".to_owned()].into());
        assert!(
            kinds("std::vec::Vec<Point>") && kinds("&[Point]") && kinds("Box<dyn std::any::Any>")
        );
        assert!(!kinds("geometry::Point") && !kinds("Points"));
    }

    #[test]
    fn an_impl_matters_where_it_says_how_something_is_laid_out() {
        let cells = [
            "struct A; trait Has { type X; fn name(&self) -> String; }",
            "impl Has for A { type X = u8; fn name(&self) -> String { String::new() } }",
            "struct B { x: <A as Has>::X }",
        ];
        let other = "impl Has for A { type X = u64; fn name(&self) -> String { String::new() } }";
        assert!(affected(&cells, other).contains(&"B".to_owned()));
        assert!(affected(&cells, cells[1]).is_empty());
        let method = "impl A { fn f(&self) -> u8 { 1 } }";
        assert!(affected(&[cells[0], method], "impl A { fn f(&self) -> u8 { 2 } }").is_empty());
    }

    #[test]
    fn what_is_defined_twice_is_there_once() {
        let cells = [
            "struct P;",
            "impl P { fn a(&self) {} fn b(&self) {} }",
            "impl P { fn b(&self) -> u8 { 1 } }",
            "impl Clone for P { fn clone(&self) -> P { P } }",
            "impl Clone for P { fn clone(&self) -> P { P } }",
            "use std::collections::{HashMap, BTreeMap as Map};",
            "use std::collections::BTreeMap as HashMap;",
            "fn f() {}",
            "fn f() -> u8 { 2 }",
        ];
        let code = code(&cells);
        assert_eq!(code.matches("fn b").count(), 1, "{code}");
        assert!(code.contains("fn a(&self) {}"), "{code}");
        assert_eq!(code.matches("impl Clone for P").count(), 1, "{code}");
        assert!(code.contains("use std::collections::BTreeMap as HashMap;"));
        assert!(!code.contains("use std::collections::HashMap"), "{code}");
        assert_eq!(code.matches("fn f()").count(), 1);
    }

    #[test]
    fn macros_come_first_and_those_that_make_items_are_known() {
        let cells = [
            "fn five() -> u8 { five!() }",
            "macro_rules! five { () => { 5 } }",
            "macro_rules! make { ($(#[$m:meta])* $n:ident) => { $(#[$m])* pub struct $n; } }",
            "macro_rules! twice { ($n:ident) => { make!($n); } }",
        ];
        assert!(code(&cells).starts_with("macro_rules! five"));
        let items = session(&cells);
        for (statement, makes) in [
            ("make!(A);", true),
            ("twice! { B }", true),
            ("five!()", false),
            ("println!(\"{}\", make)", false),
            ("thread_local! { static X: u8 = 1; }", true),
        ] {
            assert_eq!(items.are_made_by(statement), makes, "{statement}");
        }
        let addition = items.addition(["macro_rules! five { () => { 6 } }"].into_iter());
        assert!(Items::behind(&addition).contains("use five;"));
    }

    #[test]
    fn a_static_is_defined_once_in_a_process() {
        let count =
            "static COUNT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);";
        let mut items = session(&[count, "fn next() -> u8 { static mut N: u8 = 0; 1 }"]);
        let living = items.code(&items.addition([].into_iter())).0;
        assert!(
            living.contains("safe static COUNT: std::sync::atomic::AtomicU8;"),
            "{living}"
        );
        assert!(living.contains("static mut N: u8;"), "{living}");
        assert!(!living.contains("export_name"));
        items.restart();
        let fresh = items.code(&items.addition([].into_iter())).0;
        assert_eq!(fresh.matches("export_name").count(), 2, "{fresh}");
    }
}
