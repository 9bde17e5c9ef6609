//! What the compiler says against a form of a cell, and which form to try next.
//!
//! rustc names moved and borrowed variables, and the places where that happens. Where these are lines of ours, it is
//! the keeping that does not fit, not the user's statements.

use super::plan::{LINE_MARK, Line, Mode, Plan};
use serde_json::Value;
use std::collections::BTreeMap;

/// What to do about a cell that does not compile.
pub enum Decision {
    /// Try it in this mode.
    Try(Mode),
    /// The statements themselves are wrong.
    Wrong,
}

/// Errors that say that a borrow is longer than what it borrows from.
const BORROWS: &[&str] = &[
    "E0373", "E0499", "E0500", "E0501", "E0502", "E0503", "E0505", "E0506", "E0515", "E0521",
    "E0524", "E0597", "E0700", "E0713", "E0716",
];

/// Decides by the messages on the code of `plan` in `mode`.
pub fn decide(messages: &[Value], plan: &Plan, mode: &Mode, code: &str) -> Decision {
    let mut next = mode.clone();
    let mut is_wrong = false;
    let mut may_be_steps = true;
    for error in messages.iter().filter(|message| is_error(message)) {
        let error = Objection::new(error, plan, mode, code);
        let is_known = match error.code {
            "E0382" => error.moved(&mut next),
            "E0381" => false,
            // Such errors have no code.
            "" => error.borrowed(&mut next),
            code if BORROWS.contains(&code) => error.borrowed(&mut next),
            _ => {
                may_be_steps = false;
                false
            }
        };
        is_wrong |= !is_known;
    }
    let takes_result = plan
        .result
        .is_some_and(|result| next.unkept.contains(&result) || next.gone.contains_key(&result));
    if !is_wrong && next != *mode && !takes_result {
        return Decision::Try(next);
    }
    if plan.result.is_some() && !mode.shown_only && !mode.plain {
        return Decision::Try(Mode {
            shown_only: true,
            ..mode.clone()
        });
    }
    if may_be_steps && !mode.merged && plan.steps > 0 {
        return Decision::Try(Mode {
            merged: true,
            unkept: mode.unkept.clone(),
            shown_only: mode.shown_only,
            ..Mode::default()
        });
    }
    Decision::Wrong
}

fn is_error(message: &Value) -> bool {
    message["level"] == "error"
        && message["spans"]
            .as_array()
            .is_some_and(|spans| !spans.is_empty())
}

struct Objection<'a> {
    code: &'a str,
    message: &'a str,
    spans: Vec<Span<'a>>,
    plan: &'a Plan,
    mode: &'a Mode,
}

struct Span<'a> {
    /// The line of ours, if it is one.
    line: Option<Line>,
    /// The step in which it is.
    step: usize,
    label: &'a str,
    is_primary: bool,
    text: &'a str,
    /// Where it begins in the text, in characters.
    start: usize,
}

impl<'a> Objection<'a> {
    fn new(error: &'a Value, plan: &'a Plan, mode: &'a Mode, code: &'a str) -> Self {
        let spans = error["spans"].as_array().into_iter().flatten();
        Objection {
            code: error["code"]["code"].as_str().unwrap_or_default(),
            message: error["message"].as_str().unwrap_or_default(),
            spans: spans.map(|span| Span::new(span, plan, code)).collect(),
            plan,
            mode,
        }
    }

    /// The variable that the message is about: its name stands in backticks, perhaps with a field behind it.
    fn name(&self) -> Option<&'a str> {
        let quoted = self.message.split('`').nth(1)?;
        let name = quoted.trim_start_matches(['*', '&', '(']);
        let end = name
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(name.len());
        Some(&name[..end]).filter(|name| !name.is_empty())
    }

    /// A value is used that has been moved.
    fn moved(&self, next: &mut Mode) -> bool {
        let Some(name) = self.name() else {
            return false;
        };
        let into = self.spans.iter().find_map(|span| match span.line {
            Some(Line::Open(step)) if span.label.contains("into closure") => Some(step),
            _ => None,
        });
        if let Some(step) = into {
            let step = self.plan.step(step, self.mode);
            let Some(variable) = self.plan.variable(name, step, self.mode) else {
                return false;
            };
            // Where it is moved for good, it is the user who uses it once more.
            let is_known = self.mode.gone.contains_key(&variable)
                || self.mode.threaded.contains(&(step, variable));
            // Behind a step that makes another of its name nobody can see it.
            let mut made = self.plan.made_by(step, self.mode).into_iter();
            if made.any(|other| self.plan.variables[other].name == name) {
                next.gone.insert(variable, step);
            } else {
                next.threaded.insert((step, variable));
            }
            return !is_known;
        }
        let Some(ours) = self.spans.iter().find(|span| span.is_primary) else {
            return false;
        };
        let by = self
            .spans
            .iter()
            .find(|span| span.label.contains("moved") && !span.is_primary);
        match ours.line {
            Some(Line::Close(step)) => {
                let one = self.plan.step(step, self.mode);
                let by = by.map_or(step, |span| span.step);
                let threaded = self
                    .mode
                    .threaded
                    .iter()
                    .find(|(step, variable)| {
                        *step == one && self.plan.variables[*variable].name == name
                    })
                    .copied();
                let variable = match threaded {
                    Some(threaded) => {
                        next.threaded.remove(&threaded);
                        Some(threaded.1)
                    }
                    None => self.plan.variable(name, one + 1, self.mode),
                };
                variable.is_some_and(|variable| {
                    next.gone.insert(variable, by);
                    true
                })
            }
            Some(Line::Keep(variable) | Line::Note(variable) | Line::Drop(variable)) => match by {
                Some(by) => {
                    next.gone.insert(variable, by.step);
                    true
                }
                None => next.unkept.insert(variable),
            },
            _ => false,
        }
    }

    /// Something borrows from what does not live long enough: is it what is to be kept?
    fn borrowed(&self, next: &mut Mode) -> bool {
        let mut found: BTreeMap<usize, bool> = BTreeMap::new();
        for span in &self.spans {
            let asks = ["'static", "later used", "requires that"]
                .iter()
                .any(|word| span.label.contains(word));
            // It borrows from what ends with its statement: it can live in the closure of all of them.
            if self.code == "E0515"
                && !self.mode.merged
                && let Some(Line::Close(step)) = span.line
            {
                next.unkept.extend(self.plan.made_by(step, self.mode));
                next.merged = true;
                next.threaded.clear();
                next.gone.clear();
                return true;
            }
            let variable = match span.line {
                Some(Line::Keep(variable) | Line::Note(variable) | Line::Type(variable)) => {
                    Some(variable)
                }
                Some(Line::Close(step)) => match span.kept() {
                    // What the step gives has to be kept: one of its variables, or several.
                    None if asks => {
                        next.unkept.extend(self.plan.made_by(step, self.mode));
                        return next.unkept != self.mode.unkept;
                    }
                    kept => kept,
                },
                _ => None,
            };
            if let Some(variable) = variable {
                *found.entry(variable).or_default() |= asks;
            }
        }
        // A variable of an earlier cell borrows from nothing.
        found.retain(|variable, _| self.plan.variables[*variable].made.is_some());
        let borrower = found
            .iter()
            .find(|(_, asks)| **asks)
            .or_else(|| found.iter().next());
        match borrower {
            Some((variable, _)) => {
                next.unkept.insert(*variable);
                true
            }
            None => false,
        }
    }
}

impl<'a> Span<'a> {
    fn new(span: &'a Value, plan: &Plan, code: &str) -> Self {
        let text = span["text"][0]["text"].as_str().unwrap_or_default();
        let line = usize::try_from(span["line_start"].as_u64().unwrap_or(0)).unwrap_or(0);
        let ours = |text: &str| {
            let (_, number) = text.rsplit_once(LINE_MARK)?;
            plan.lines.get(number.parse::<usize>().ok()?).copied()
        };
        let before = code.lines().take(line).filter_map(ours);
        let step = before
            .filter_map(|line| match line {
                Line::Open(step) => Some(step),
                _ => None,
            })
            .last();
        let start = span["text"][0]["highlight_start"].as_u64().unwrap_or(1);
        Span {
            line: ours(text),
            step: step.unwrap_or(0),
            label: span["label"].as_str().unwrap_or_default(),
            is_primary: span["is_primary"] == true,
            text,
            start: usize::try_from(start).unwrap_or(1).saturating_sub(1),
        }
    }

    /// The variable of the call `keep("NAME", NUMBER, NAME)` in which the span is.
    fn kept(&self) -> Option<usize> {
        const CALL: &str = "::vitrepl_runtime::keep(\"";
        let from: String = self.text.chars().take(self.start + CALL.len()).collect();
        let call = from.rfind(CALL)?;
        let mut words = self.text[call..].split(", ");
        words.nth(1)?.parse().ok()
    }
}

/// The types that the lint against dropping references has named.
pub fn types(messages: &[Value], plan: &Plan) -> BTreeMap<usize, String> {
    let lints = messages
        .iter()
        .filter(|message| message["code"]["code"] == "dropping_references");
    lints
        .filter_map(|lint| {
            let spans = lint["spans"].as_array()?;
            let variable = spans
                .iter()
                .find_map(|span| match Span::new(span, plan, "").line {
                    Some(Line::Type(variable)) => Some(variable),
                    _ => None,
                })?;
            let kind = spans.iter().find_map(|span| {
                let label = span["label"].as_str()?;
                label.split_once("`&")?.1.strip_suffix('`')
            })?;
            Some((variable, kind.to_owned()))
        })
        .collect()
}

/// Of the variables that are not kept, those whose type borrows from nothing, as far as it says so: they may have been
/// taken for borrowing because of others beside them.
pub fn may_be_kept(types: &BTreeMap<usize, String>, mode: &Mode) -> Vec<usize> {
    let unkept = mode.unkept.iter().copied();
    unkept
        .filter(|variable| {
            let kind = types.get(variable);
            kind.is_some_and(|kind| !kind.contains(['&', '\'']))
        })
        .collect()
}

/// Whether other cells can name a type.
pub fn has_name(kind: &str) -> bool {
    !(kind.contains('{') || kind.contains("impl "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::plan::Variable;
    use serde_json::json;

    fn plan() -> Plan {
        let variable = |name: &str, made| Variable {
            name: name.to_owned(),
            mutable: false,
            made,
            kind: None,
            is_back: false,
        };
        Plan {
            variables: vec![variable("x", None), variable("y", Some(0))],
            steps: 1,
            lines: vec![
                Line::Open(0),
                Line::Close(0),
                Line::Type(1),
                Line::Keep(0),
                Line::Keep(1),
            ],
            ..Plan::default()
        }
    }

    fn span(line: &str, label: &str, is_primary: bool) -> Value {
        json!({"is_primary": is_primary, "label": label, "text": [{"text": line, "highlight_start": 1}]})
    }

    fn error(code: &str, message: &str, spans: &[Value]) -> Value {
        json!({"level": "error", "code": {"code": code}, "message": message, "spans": spans})
    }

    fn tried(messages: &[Value], mode: &Mode) -> Option<Mode> {
        match decide(messages, &plan(), mode, "") {
            Decision::Try(mode) => Some(mode),
            Decision::Wrong => None,
        }
    }

    #[test]
    fn types_are_read_from_the_lint_at_marked_lines() {
        let lint = |line: &str, label: &str| json!({"code": {"code": "dropping_references"}, "spans": [span(line, label, true)]});
        let messages = [
            lint("drop(&y);//vitrepl line 2", "argument has type `&&str`"),
            lint("drop(&z);", "argument has type `&i32`"),
        ];
        assert_eq!(types(&messages, &plan()), [(1, "&str".to_owned())].into());
        assert!(has_name("std::vec::Vec<u8>") && !has_name("{closure@src/lib.rs:8:11: 8:13}"));
    }

    #[test]
    fn what_a_step_moves_is_threaded_first_and_gone_when_it_does_not_come_back() {
        let into = span(
            "let () = match |//vitrepl line 0",
            "value moved into closure here",
            false,
        );
        let used = span(
            "keep(\"x\", 0, x);//vitrepl line 3",
            "value used here after move",
            true,
        );
        let message = "use of moved value: `x`";
        let mode = tried(&[error("E0382", message, &[into, used])], &Mode::default()).unwrap();
        assert_eq!(mode.threaded, [(0, 0)].into());
        let moved = span("drop(x);", "value moved here", false);
        let used = span(
            "Ok((x, )) })//vitrepl line 1",
            "value used here after move",
            true,
        );
        let mode = tried(&[error("E0382", message, &[moved, used])], &mode).unwrap();
        assert_eq!(mode.gone, [(0, 0)].into());
        assert!(mode.threaded.is_empty());
    }

    #[test]
    fn what_borrows_is_not_kept_and_errors_of_the_user_stay() {
        let keep = span(
            "keep(\"y\", 1, y);//vitrepl line 4",
            "argument requires that `x` is borrowed for `'static`",
            false,
        );
        let borrow = span("let y = &x[0];", "borrow of `x` occurs here", true);
        let long = error("E0505", "cannot move out of `x`", &[borrow, keep]);
        let mode = tried(&[long], &Mode::default()).unwrap();
        assert_eq!(mode.unkept, [1].into());
        let other = error(
            "E0308",
            "mismatched types",
            &[span("let y: u8 = \"\";", "", true)],
        );
        assert_eq!(tried(std::slice::from_ref(&other), &Mode::default()), None);
        let conflict = error("E0499", "cannot borrow `x`", &[span("f(&mut x)", "", true)]);
        let merged = tried(std::slice::from_ref(&conflict), &Mode::default()).unwrap();
        assert!(merged.merged);
        assert_eq!(tried(&[conflict], &merged), None);
    }
}
