//! Which named values a model has, and how some of them are asked for.

use crate::models::ImageEncoder;
use crate::trace::{Block, HookPoint, Tape};
use crate::{Error, Result, files};
use candle_core::{DType, Tensor};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// A named value of a model, and its shape for one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub point: HookPoint,
    /// For one image; in a model with windows the first axis of what attends has the image's windows.
    pub shape: Vec<usize>,
}

/// `block 0 pattern: 1 x 4 x 17 x 17`.
impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape: Vec<_> = self.shape.iter().map(usize::to_string).collect();
        write!(f, "{}: {}", self.point, shape.join(" x "))
    }
}

/// A named value that was asked for, or one head of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    pub point: HookPoint,
    /// One head alone.
    pub head: Option<usize>,
    /// Rows that one image has: its windows where there are any, else 1.
    pub rows: usize,
}

/// `block 5 pattern`, `block 5 head 3 z`.
impl fmt::Display for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.head {
            Some(head) => f.write_str(&with_head(self.point, &head.to_string())),
            None => write!(f, "{}", self.point),
        }
    }
}

fn with_head(point: HookPoint, head: &str) -> String {
    format!("{} head {head} {}", point.block, point.kind.name())
}

/// Every named value of `model`, in the order of the forward pass, which is run once on an empty image.
///
/// # Errors
/// When the forward pass fails.
pub fn hook_points(model: &dyn ImageEncoder) -> Result<Vec<Named>> {
    let size = model.image_size();
    let blank = Tensor::zeros((1, 3, size, size), DType::F32, model.device())?;
    let seen: Rc<RefCell<Vec<Named>>> = Rc::default();
    let noted = seen.clone();
    let tape = Tape::hooked(Box::new(move |point, value| {
        let shape = value.dims().to_vec();
        noted.borrow_mut().push(Named { point, shape });
        Ok(value)
    }));
    model.forward(&blank, &tape)?;
    drop(tape);
    Ok(seen.take())
}

/// The named values of `model` that one of `patterns` asks for, in the order of the forward pass. In a pattern `*` stands
/// for anything: `"block * pattern"`, `"block 5 *"`, `"*"`; and `head 3` before the name for one head alone:
/// `"block 5 head 3 z"`, `"block * head 0 pattern"`.
///
/// # Errors
/// When a pattern asks for nothing, with the names that are nearest.
pub fn select(model: &dyn ImageEncoder, patterns: &[&str]) -> Result<Vec<Selected>> {
    let points = hook_points(model)?;
    let mut selected = Vec::new();
    for pattern in patterns {
        let before = selected.len();
        for named in &points {
            for one in asked(named, pattern) {
                if !selected.contains(&one) {
                    selected.push(one)
                }
            }
        }
        let anything = points.iter().any(|named| !asked(named, pattern).is_empty());
        if selected.len() == before && !anything {
            return Err(unknown(&points, pattern));
        }
    }
    if selected.is_empty() {
        return Err(Error::argument(
            "activations",
            "none",
            "one name or pattern or more, such as \"block * pattern\"",
        ));
    }
    let place = |one: &Selected| points.iter().position(|named| named.point == one.point);
    selected.sort_by_key(|one| (place(one), one.head));
    Ok(selected)
}

/// What `pattern` asks of one named value: all of it, or some of its heads.
fn asked(named: &Named, pattern: &str) -> Vec<Selected> {
    let point = named.point;
    let rows = named.shape[0];
    let one = |head| Selected { point, head, rows };
    if matches(pattern, &point.to_string()) {
        return vec![one(None)];
    }
    if !point.kind.has_heads() || !pattern.split_whitespace().any(|word| word == "head") {
        return Vec::new();
    }
    let heads = 0..named.shape[1];
    heads
        .filter(|head| matches(pattern, &with_head(point, &head.to_string())))
        .map(|head| one(Some(head)))
        .collect()
}

/// Whether `name` is `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => match name.strip_prefix(start) {
            None => false,
            Some(end) => (0..=end.len())
                .filter(|at| end.is_char_boundary(*at))
                .any(|at| matches(rest, &end[at..])),
        },
    }
}

fn unknown(points: &[Named], pattern: &str) -> Error {
    let names = points.iter().map(|named| named.point.to_string());
    let near = files::nearest(pattern, names);
    let kinds: Vec<_> = points
        .iter()
        .filter(|named| Some(named.point.block) == points.last().map(|last| last.point.block))
        .map(|named| named.point.kind.name())
        .collect();
    let blocks: Vec<Block> = points.iter().map(|named| named.point.block).collect();
    let expected = match (near.first(), blocks.first(), blocks.last()) {
        (Some(near), ..) => format!("a name of this model, such as \"{near}\""),
        (None, Some(first), Some(last)) => format!(
            "a name of this model: {first} to {last}, each with {}",
            kinds.join(", ")
        ),
        _ => "a name of this model, which has none".into(),
    };
    Error::argument("activation", format!("\"{pattern}\""), expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, wanted) in [
            ("block 5 q", "block 5 q", true),
            ("block 5 q", "block 15 q", false),
            ("block * q", "block 15 q", true),
            ("*", "block 15 q", true),
            ("*q", "block 15 q", true),
            ("block 1*", "block 15 q", true),
            ("block * mlp_*", "block 3 mlp_post", true),
            ("block * mlp_*", "block 3 q", false),
            ("", "block 3 q", false),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
        }
    }
}
