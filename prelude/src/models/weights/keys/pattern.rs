//! Patterns of key names: segments between dots, `*` for any one segment, `+` for the number one higher, and `**` at
//! the end for all that follows.

/// The segments of `key` that stand for the wildcards of `pattern`; none where it does not match.
pub(super) fn matched(pattern: &str, key: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let (mut pattern, mut key) = (pattern.split('.'), key.split('.'));
    loop {
        match (pattern.next(), key.next()) {
            (None, None) | (Some("**"), Some(_)) => return Some(found),
            (Some("*"), Some(segment)) => found.push(segment.to_string()),
            (Some("+"), Some(segment)) => {
                let number: usize = segment.parse().ok()?;
                found.push(number.checked_sub(1)?.to_string())
            }
            (Some(wanted), Some(segment)) if wanted == segment => {}
            _ => return None,
        }
    }
}

/// `pattern` with its wildcards replaced by `segments` in order.
pub(super) fn filled(pattern: &str, segments: &[String]) -> Option<String> {
    let mut segments = segments.iter();
    let parts = pattern.split('.').map(|part| match part {
        "*" => segments.next().cloned(),
        "+" => {
            let number: usize = segments.next()?.parse().ok()?;
            Some((number + 1).to_string())
        }
        part => Some(part.to_string()),
    });
    Some(parts.collect::<Option<Vec<_>>>()?.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_carried_over_and_counted_up() {
        let segments = matched(
            "layers.*.downsample.norm.*",
            "layers.2.downsample.norm.bias",
        );
        let segments = segments.unwrap();
        let house = "layers.+.downsample.norm.*";
        let name = filled(house, &segments).unwrap();
        assert_eq!(name, "layers.3.downsample.norm.bias");
        assert_eq!(matched(house, &name), Some(segments));
        assert_eq!(matched(house, "layers.0.downsample.norm.bias"), None);
        assert_eq!(matched("a.*", "a.b.c"), None);
        assert_eq!(matched("a.**", "a.b.c"), Some(vec![]));
        assert_eq!(matched("a.*.c", "a.b"), None);
    }
}
