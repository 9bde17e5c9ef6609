//! The tensors of a pickle, by the dictionaries they are in.

use super::pickle::{Id, Node, Object, Pickle};
use super::rebuild;
use super::slot::Slot;
use std::sync::Arc;

/// Dictionaries in dictionaries; deeper ones are not looked into.
const DEEPEST: usize = 64;

/// Tensors of one file: more are absurd.
const MOST: usize = 1 << 20;

/// What a pickle holds.
#[derive(Default)]
pub(super) struct Found {
    pub tensors: Vec<(Slot, Option<rebuild::Stored>)>,
    /// Classes of whole modules that were pickled, with the way to each as Python writes it: `["model"]`.
    pub modules: Vec<(String, String)>,
    /// The entries of the outermost dictionary that are no tensors and hold none, and what they are.
    pub others: Vec<String>,
    /// Class of the outermost object, where that is no dictionary.
    pub class: Option<String>,
    visited: usize,
}

/// Find the tensors of `pickle`.
///
/// # Errors
/// When there are absurdly many.
pub(super) fn find(pickle: &Pickle) -> Result<Found, String> {
    let mut found = Found::default();
    if let Node::Object(object) = pickle.node(pickle.root()) {
        found.class = class(pickle, object)
    }
    found.walk(pickle, pickle.root(), &mut Vec::new(), &mut Vec::new())?;
    Ok(found)
}

fn class(pickle: &Pickle, object: &Object) -> Option<String> {
    let (module, name) = pickle.global(object.callable)?;
    // Older protocols make an object by a function of which its class is the first argument.
    let inner = pickle.sequence(object.arguments).unwrap_or(&[]).first();
    match (module, name, inner.and_then(|id| pickle.global(*id))) {
        ("copyreg" | "copy_reg", _, Some((module, name))) => Some(format!("{module}.{name}")),
        _ => Some(format!("{module}.{name}")),
    }
}

impl Found {
    fn walk(
        &mut self,
        pickle: &Pickle,
        id: Id,
        path: &mut Vec<String>,
        above: &mut Vec<Id>,
    ) -> Result<(), String> {
        // An object may hold itself.
        if above.len() > DEEPEST || above.contains(&id) {
            return Ok(());
        }
        let before = (self.tensors.len(), self.modules.len());
        let entries = match pickle.node(id) {
            Node::Dict(items) => named(pickle, items),
            Node::List(values) | Node::Tuple(values) => {
                let values = values.iter().copied().enumerate();
                values.map(|(i, id)| (i.to_string(), id)).collect()
            }
            Node::Object(object) => {
                let mut entries = named(pickle, &object.items);
                if let Some(Node::Dict(state)) = object.state.map(|id| pickle.node(id)) {
                    let state = named(pickle, state);
                    if state.iter().any(|(name, _)| name == "_parameters")
                        && state.iter().any(|(name, _)| name == "_modules")
                    {
                        let way = path.iter().map(|name| format!("[\"{name}\"]")).collect();
                        let class = class(pickle, object).unwrap_or("of some class".into());
                        self.modules.push((class, way));
                        return Ok(());
                    }
                    entries.extend(state)
                }
                entries
            }
            _ => Vec::new(),
        };
        let entry: Arc<[String]> = path.clone().into();
        above.push(id);
        for (key, value) in entries {
            self.visited += 1;
            if self.visited > MOST {
                return Err(format!("it holds more than {MOST} values by name"));
            }
            if let Some(tensor) = rebuild::tensor(pickle, value) {
                let (place, stored) = match tensor.numbers {
                    Ok(stored) => (Err("it was not found".into()), Some(stored)),
                    Err(why) => (Err(why), None),
                };
                let slot = Slot {
                    entry: entry.clone(),
                    key,
                    number: tensor.number,
                    shape: tensor.shape,
                    place,
                };
                self.tensors.push((slot, stored));
                continue;
            }
            path.push(key);
            self.walk(pickle, value, path, above)?;
            path.pop();
        }
        above.pop();
        if path.len() == 1 && before == (self.tensors.len(), self.modules.len()) {
            self.others.push(path[0].clone())
        }
        Ok(())
    }
}

/// The entries that have a name: a text or a number.
fn named(pickle: &Pickle, items: &[(Id, Id)]) -> Vec<(String, Id)> {
    let name = |id: Id| match pickle.node(id) {
        Node::Text(text) => Some(text.clone()),
        Node::Int(number) => Some(number.to_string()),
        _ => None,
    };
    let named = items.iter().map(|(key, value)| Some((name(*key)?, *value)));
    named.flatten().collect()
}
