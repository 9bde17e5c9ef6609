//! Components by their names and by patterns.

use super::{Component, Origin};
use crate::trace::Block;
use crate::{Error, Result};

/// One or more names of components, in which `*` stands for any characters and `?` for one: `"block 5 head 3"`,
/// `"block 5 *"`, `&["block 11 *", "* mlp"]`, or a [`Ranking`](crate::score::Ranking).
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name components",
    note = "give a name or pattern, \"block 5 *\", or a list of them, &[\"block 5 *\", \"init\"]"
)]
pub trait ComponentNames {
    /// The names and patterns.
    fn patterns(&self) -> Vec<&str>;

    /// What the components are of, where that is known.
    fn origin(&self) -> Option<&Origin> {
        None
    }
}

impl ComponentNames for str {
    fn patterns(&self) -> Vec<&str> {
        vec![self]
    }
}

impl ComponentNames for String {
    fn patterns(&self) -> Vec<&str> {
        vec![self]
    }
}

impl<S: AsRef<str>> ComponentNames for [S] {
    fn patterns(&self) -> Vec<&str> {
        self.iter().map(AsRef::as_ref).collect()
    }
}

impl<S: AsRef<str>, const N: usize> ComponentNames for [S; N] {
    fn patterns(&self) -> Vec<&str> {
        self.as_slice().patterns()
    }
}

impl<S: AsRef<str>> ComponentNames for Vec<S> {
    fn patterns(&self) -> Vec<&str> {
        self.as_slice().patterns()
    }
}

impl<P: ComponentNames + ?Sized> ComponentNames for &P {
    fn patterns(&self) -> Vec<&str> {
        (**self).patterns()
    }

    fn origin(&self) -> Option<&Origin> {
        (**self).origin()
    }
}

/// The places of the components that one of `wanted` names, in order, each once.
///
/// # Errors
/// When a name or pattern fits none; the message says what there is and what is nearest.
pub(crate) fn matching(
    components: &[Component],
    wanted: &(impl ComponentNames + ?Sized),
) -> Result<Vec<usize>> {
    let names = letters(components);
    let mut found = Vec::new();
    for pattern in wanted.patterns() {
        let places = places(&names, pattern);
        if places.is_empty() {
            return Err(unknown(components, pattern));
        }
        found.extend(places);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The place of the component called `name`.
///
/// # Errors
/// When none is called so; the message says what there is and what is nearest.
pub(crate) fn index_of(components: &[Component], name: &str) -> Result<usize> {
    let found = components.iter().position(|c| c.to_string() == name);
    found.ok_or_else(|| unknown(components, name))
}

/// The names, letter by letter.
fn letters(components: &[Component]) -> Vec<Vec<char>> {
    let letters = |c: &Component| c.to_string().chars().collect();
    components.iter().map(letters).collect()
}

/// Where the names are that `pattern` fits.
fn places(names: &[Vec<char>], pattern: &str) -> Vec<usize> {
    let pattern: Vec<char> = pattern.trim().chars().collect();
    (0..names.len())
        .filter(|&i| fits(&pattern, &names[i]))
        .collect()
}

/// Whether `text` is what `pattern` says, `*` being any characters and `?` one.
fn fits(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last `*` was, and from where in the text it stands for nothing more.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    p = place + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Whether `text` contains what `pattern` says, `*` being any characters and `?` one.
pub(crate) fn mentions(text: &str, pattern: &str) -> bool {
    let pattern: Vec<char> = format!("*{pattern}*").chars().collect();
    fits(&pattern, &text.chars().collect::<Vec<_>>())
}

/// Names that a message suggests.
const SUGGESTED: usize = 3;

/// The error for a name or pattern that fits no component.
pub(crate) fn unknown(components: &[Component], pattern: &str) -> Error {
    let names: Vec<String> = components.iter().map(Component::to_string).collect();
    let there = format!("there are {}", names_in_words(components));
    let longer = [
        format!("{pattern} *"),
        format!("* {pattern}"),
        format!("* {pattern} *"),
    ];
    let letters = letters(components);
    let longer = longer.into_iter().find_map(|longer| {
        let count = places(&letters, &longer).len();
        (count > 0).then_some((longer, count))
    });
    let hint = match longer {
        Some((longer, count)) => {
            let takes = crate::facts::count(count, "component");
            format!("no component is called so; select(\"{longer}\")? takes {takes}")
        }
        None => {
            let mut near: Vec<(f64, &String)> = names
                .iter()
                .map(|name| (strsim::normalized_levenshtein(name, pattern), name))
                .collect();
            near.sort_by(|a, b| b.0.total_cmp(&a.0));
            let near: Vec<String> = near
                .iter()
                .take(SUGGESTED)
                .map(|(_, name)| format!("\"{name}\""))
                .collect();
            match pattern.contains(['*', '?']) {
                true => "no component fits this pattern".to_string(),
                false => format!(
                    "no component is called so; the nearest are {}",
                    near.join(", ")
                ),
            }
        }
    };
    Error::argument(
        "component",
        format!("\"{pattern}\""),
        format!("{hint}; {there}"),
    )
}

/// What components there are, in few words: `init, block 0 to 5 (head 0 to 5, mlp)`.
pub(crate) fn names_in_words(components: &[Component]) -> String {
    // Of each block in turn, what its components are called without it.
    let mut blocks: Vec<(Block, Vec<String>)> = Vec::new();
    let mut lone = Vec::new();
    for component in components {
        let Some(block) = component.block() else {
            lone.push(component.to_string());
            continue;
        };
        let whole = block.whole();
        let name = component.to_string();
        let part = name
            .trim_start_matches(&whole.to_string())
            .trim()
            .to_string();
        match blocks.iter_mut().find(|(known, _)| *known == whole) {
            Some((_, parts)) => parts.push(part),
            None => blocks.push((whole, vec![part])),
        }
    }
    let mut runs: Vec<(Block, Block, Vec<String>)> = Vec::new();
    for (block, parts) in blocks {
        let parts = counted(parts);
        match runs.last_mut() {
            Some((_, last, same))
                if *same == parts && last.stage == block.stage && last.index + 1 == block.index =>
            {
                *last = block;
            }
            _ => runs.push((block, block, parts)),
        }
    }
    let runs = runs.into_iter().map(|(first, last, parts)| {
        let to = match first == last {
            true => String::new(),
            false => format!(" to {}", last.index),
        };
        format!("{first}{to} ({})", parts.join(", "))
    });
    lone.into_iter().chain(runs).collect::<Vec<_>>().join(", ")
}

/// `head 0`, `head 1`, `head 2` as `head 0 to 2`.
fn counted(parts: Vec<String>) -> Vec<String> {
    let numbered = |part: &str| {
        let (name, number) = part.rsplit_once(' ')?;
        Some((name.to_string(), number.parse::<usize>().ok()?))
    };
    let mut out: Vec<(String, Option<(usize, usize)>)> = Vec::new();
    for part in parts {
        match (numbered(&part), out.last_mut()) {
            (Some((name, n)), Some((last, Some((_, to))))) if *last == name && *to + 1 == n => {
                *to = n;
            }
            (Some((name, n)), _) => out.push((name, Some((n, n)))),
            (None, _) => out.push((part, None)),
        }
    }
    let written = out.into_iter().map(|(name, range)| match range {
        None => name,
        Some((from, to)) if from == to => format!("{name} {from}"),
        Some((from, to)) => format!("{name} {from} to {to}"),
    });
    written.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decompose::BlockPart;

    #[test]
    fn patterns_fit_whole_names() {
        let fits = |pattern: &str, text: &str| {
            let (p, t): (Vec<char>, Vec<char>) =
                (pattern.chars().collect(), text.chars().collect());
            super::fits(&p, &t)
        };
        assert!(fits("block 1 *", "block 1 head 3"));
        assert!(!fits("block 1 *", "block 11 head 3"));
        assert!(fits("block 1*", "block 11 mlp"));
        assert!(fits("* mlp", "stage 2 block 1 grid mlp"));
        assert!(fits("block ? head ?", "block 5 head 3"));
        assert!(!fits("block ? head ?", "block 5 head 13"));
        assert!(fits("*a*b*", "xxaxxbab"));
        assert!(!fits("*a*b", "xxaxxba"));
        assert!(fits("*", "init") && fits("init", "init") && !fits("", "init"));
    }

    #[test]
    fn a_pattern_is_looked_for_anywhere_in_a_text() {
        let label = "tiny_vit, generated seed 1, 200 images";
        for pattern in ["*", "seed 1", "*generated*", "vit*200", "seed ?"] {
            assert!(mentions(label, pattern), "{pattern}");
        }
        assert!(!mentions(label, "seed 2") && !mentions(label, "200*vit"));
    }

    #[test]
    fn components_in_few_words() {
        let mut all = vec![Component::Init];
        for block in 0..3 {
            let block = Block::in_stage(0, block);
            for part in [BlockPart::Head(0), BlockPart::Head(1), BlockPart::Mlp] {
                all.push(Component::Part { block, part });
            }
        }
        assert_eq!(
            names_in_words(&all),
            "init, stage 0 block 0 to 2 (head 0 to 1, mlp)"
        );
        let error = unknown(&all, "block 1").to_string();
        assert!(
            error.contains("select(\"* block 1 *\")? takes 3 components"),
            "{error}"
        );
    }
}
