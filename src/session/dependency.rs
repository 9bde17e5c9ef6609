//! What a `:dep` line asks for.

use semver::{Version, VersionReq};

/// A crate as a line of a `Cargo.toml` asks for it.
pub struct Dependency {
    pub name: String,
    /// Any version where none is written.
    requirement: VersionReq,
    /// It asks for features, or for a crate that is not the published one.
    is_special: bool,
}

impl Dependency {
    /// Reads `NAME`, `NAME = "VERSION"` or `NAME = { ... }`; what is none of these evcxr has to judge.
    pub fn parse(line: &str) -> Option<Self> {
        let (name, rest) = line.split_once('=').unwrap_or((line, ""));
        let (name, rest) = (name.trim(), rest.trim());
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(is_part) {
            return None;
        }
        let value = match rest.strip_prefix('{') {
            Some(table) => field(table, "version"),
            None if rest.is_empty() => None,
            None => Some(quoted(rest)?),
        };
        let requirement = match value {
            Some(version) => VersionReq::parse(version).ok()?,
            None => VersionReq::STAR,
        };
        let special = ["features", "default-features", "path", "git", "package"];
        Some(Dependency {
            name: name.to_owned(),
            requirement,
            is_special: special.iter().any(|key| has_key(rest, key)),
        })
    }

    /// The name of the crate in code.
    pub fn name_in_code(&self) -> String {
        self.name.replace('-', "_")
    }

    /// Whether a version that is compiled already is what is asked for.
    pub fn is_met_by(&self, version: &str) -> bool {
        let version = Version::parse(version);
        !self.is_special && version.is_ok_and(|version| self.requirement.matches(&version))
    }
}

/// The text between the first two quotes.
fn quoted(text: &str) -> Option<&str> {
    text.split('"').nth(1)
}

/// Where the value of a key of an inline table begins.
fn value<'a>(table: &'a str, key: &str) -> Option<&'a str> {
    table.match_indices(key).find_map(|(at, _)| {
        let before = table[..at].trim_end();
        let is_key = before.is_empty() || before.ends_with(['{', ',']);
        let rest = table[at + key.len()..].trim_start().strip_prefix('=')?;
        is_key.then_some(rest)
    })
}

fn has_key(table: &str, key: &str) -> bool {
    value(table, key).is_some()
}

fn field<'a>(table: &'a str, key: &str) -> Option<&'a str> {
    quoted(value(table, key)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_fits_is_there_already() {
        for (line, version, is_met) in [
            ("plotters", "0.3.7", true),
            ("plotters = \"0.3\"", "0.3.7", true),
            ("plotters = \"0.4\"", "0.3.7", false),
            ("plotters = \"=0.3.6\"", "0.3.7", false),
            ("plotters = { version = \"0.3\" }", "0.3.7", true),
            (
                "plotters = {version=\"0.3\", features=[\"evcxr\"]}",
                "0.3.7",
                false,
            ),
            (
                "plotters = { version = \"0.3\", default-features = false }",
                "0.3.7",
                false,
            ),
            ("plotters = { path = \"../plotters\" }", "0.3.7", false),
        ] {
            let asked = Dependency::parse(line).unwrap();
            assert_eq!(asked.is_met_by(version), is_met, "{line}");
        }
        assert_eq!(
            Dependency::parse("serde-json").unwrap().name_in_code(),
            "serde_json"
        );
    }

    #[test]
    fn what_is_not_understood_is_left_to_cargo() {
        for line in ["", "a b", "plotters = 3", "plotters = \"not a version\""] {
            assert!(Dependency::parse(line).is_none(), "{line}");
        }
    }
}
