//! Where variables come from, so that a new child can be given back what costs little.
//!
//! A statement that loaded a model, or found its result on disk, says that it is worth repeating (see
//! [`crate::output::content`]). It is, with the statements that made the variables it mentions; everything else was work that
//! only the user can order again.

use crate::syntax::statements::mentions;
use std::collections::{BTreeMap, BTreeSet};

/// The statement that made a variable.
#[derive(Clone, Debug)]
struct Origin {
    statement: String,
    /// Statements are repeated in the order in which they were made.
    number: usize,
    worth_repeating: bool,
}

/// The statements that made the variables.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    by_name: BTreeMap<String, Origin>,
    next: usize,
}

impl Origins {
    /// A statement has made variables.
    pub fn note(&mut self, names: &[String], statement: &str, worth_repeating: bool) {
        for name in names {
            let origin = Origin {
                statement: statement.to_owned(),
                number: self.next,
                worth_repeating,
            };
            self.by_name.insert(name.clone(), origin);
        }
        self.next += 1;
    }

    /// A variable is gone.
    pub fn forget(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// The statements to repeat, in order.
    pub fn to_repeat(&self) -> Vec<String> {
        let mut wanted: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = self
            .by_name
            .iter()
            .filter(|(_, origin)| origin.worth_repeating)
            .map(|(name, _)| name.as_str())
            .collect();
        while let Some(name) = open.pop() {
            if !wanted.insert(name) {
                continue;
            }
            let statement = &self.by_name[name].statement;
            let mentioned = self
                .by_name
                .keys()
                .filter(|other| mentions(statement, other));
            open.extend(mentioned.map(String::as_str));
        }
        let mut statements: Vec<_> = wanted
            .into_iter()
            .map(|name| &self.by_name[name])
            .map(|origin| (origin.number, origin.statement.clone()))
            .collect();
        statements.sort();
        statements.dedup();
        statements
            .into_iter()
            .map(|(_, statement)| statement)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_worth_repeating_is_repeated_with_what_it_needs() {
        let mut origins = Origins::default();
        let mut note = |name: &str, statement: &str, worth| {
            origins.note(&[name.to_owned()], statement, worth);
        };
        note("path", "let path = \"x\";", false);
        note("model", "let model = load(path)?;", true);
        note("other", "let other = slow();", false);
        note("set", "let set = Set::new(3)?;", false);
        note("c", "let c = decompose(&model, &set)?;", true);
        assert_eq!(
            origins.to_repeat(),
            [
                "let path = \"x\";",
                "let model = load(path)?;",
                "let set = Set::new(3)?;",
                "let c = decompose(&model, &set)?;"
            ]
        );
        origins.forget("c");
        assert_eq!(origins.to_repeat().len(), 2);
    }
}
