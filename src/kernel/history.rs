//! What has been executed, as the protocol asks for it: the last entries, a range, or a pattern.

use serde_json::{Value, json};

/// Number of this session; earlier ones are not kept.
const SESSION: i64 = 1;

struct Entry {
    line: i64,
    input: String,
    output: Option<String>,
}

/// The inputs of a session, and the text of their results.
#[derive(Default)]
pub struct History {
    entries: Vec<Entry>,
}

impl History {
    pub fn add(&mut self, line: u32, input: &str, output: Option<String>) {
        self.entries.push(Entry {
            line: i64::from(line),
            input: input.to_owned(),
            output,
        });
    }

    /// Answers the content of a `history_request`.
    pub fn find(&self, request: &Value) -> Value {
        let number = |key: &str| request[key].as_i64();
        let most = number("n").map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(0));
        let mut found: Vec<&Entry> = match request["hist_access_type"].as_str() {
            Some("range") => self.range(
                number("session").unwrap_or(0),
                number("start").unwrap_or(0),
                number("stop"),
            ),
            Some("search") => self.search(
                request["pattern"].as_str().unwrap_or("*"),
                request["unique"].as_bool().unwrap_or(false),
            ),
            _ => self.entries.iter().collect(),
        };
        found.drain(..found.len().saturating_sub(most));
        let with_output = request["output"].as_bool().unwrap_or(false);
        let entries: Vec<Value> = found
            .iter()
            .map(|entry| {
                let input = &entry.input;
                if with_output {
                    json!([SESSION, entry.line, [input, entry.output]])
                } else {
                    json!([SESSION, entry.line, input])
                }
            })
            .collect();
        json!(entries)
    }

    /// Lines `start` to `stop` (not with it) of a session: 0 is this one, and -1 the one before it.
    fn range(&self, session: i64, start: i64, stop: Option<i64>) -> Vec<&Entry> {
        if session != 0 && session != SESSION {
            return Vec::new();
        }
        let wanted =
            |entry: &&Entry| entry.line >= start && stop.is_none_or(|stop| entry.line < stop);
        self.entries.iter().filter(wanted).collect()
    }

    /// Inputs that fit a pattern with `*` and `?`; of equal ones only the last if `unique`.
    fn search(&self, pattern: &str, unique: bool) -> Vec<&Entry> {
        let pattern: Vec<char> = pattern.chars().collect();
        let fits = |entry: &&Entry| fits(&pattern, &entry.input.chars().collect::<Vec<_>>());
        let mut found: Vec<&Entry> = self.entries.iter().filter(fits).collect();
        if unique {
            let all = found.clone();
            let mut number = 0;
            found.retain(|entry| {
                number += 1;
                !all[number..].iter().any(|later| later.input == entry.input)
            });
        }
        found
    }
}

fn fits(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|skip| fits(rest, &text[skip..])),
        Some(('?', rest)) => !text.is_empty() && fits(rest, &text[1..]),
        Some((c, rest)) => text.first() == Some(c) && fits(rest, &text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let mut history = History::default();
        for (line, input) in (1..).zip(["let a = 1;", "a + 1", "let b = 2;", "a + 1"]) {
            history.add(line, input, (line == 2).then(|| "2".to_owned()));
        }
        history
    }

    #[test]
    fn the_last_entries_a_range_and_a_pattern_are_found() {
        let ask = |request: Value| history().find(&request);
        assert_eq!(
            ask(json!({"hist_access_type": "tail", "n": 1})),
            json!([[1, 4, "a + 1"]])
        );
        let range = json!({"hist_access_type": "range", "session": 0, "start": 2, "stop": 3, "output": true});
        assert_eq!(ask(range), json!([[1, 2, ["a + 1", "2"]]]));
        let search = json!({"hist_access_type": "search", "pattern": "let ?*"});
        assert_eq!(
            ask(search),
            json!([[1, 1, "let a = 1;"], [1, 3, "let b = 2;"]])
        );
        let unique = json!({"hist_access_type": "search", "pattern": "a*", "unique": true});
        assert_eq!(ask(unique), json!([[1, 4, "a + 1"]]));
        let earlier = json!({"hist_access_type": "range", "session": -1});
        assert_eq!(ask(earlier), json!([]));
    }
}
