//! Where a notebook's cursor is: it counts characters, and stands in or behind a name.

/// The byte of a position in characters.
pub fn byte(code: &str, position: usize) -> usize {
    code.char_indices()
        .nth(position)
        .map_or(code.len(), |(byte, _)| byte)
}

/// The position in characters of a byte.
pub fn position(code: &str, byte: usize) -> usize {
    code.char_indices().take_while(|(at, _)| *at < byte).count()
}

/// The name (with its path) at a byte; inside the parentheses of a call, that of what is called.
pub fn name_at(code: &str, byte: usize) -> Option<&str> {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let around = |byte: usize| {
        let start = code[..byte]
            .char_indices()
            .rev()
            .take_while(|(_, c)| part_of_name(*c))
            .last()
            .map_or(byte, |(at, _)| at);
        let length = code[byte..]
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(code.len() - byte);
        let name = code[start..byte + length].trim_matches(':');
        (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())).then_some(name)
    };
    around(byte).or_else(|| {
        let mut depth = 0;
        let open = code[..byte].char_indices().rev().find(|(_, c)| {
            match c {
                ')' => depth += 1,
                '(' if depth > 0 => depth -= 1,
                '(' => return true,
                _ => {}
            }
            false
        })?;
        around(open.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_at_behind_and_around_the_cursor() {
        let code = "let é = score::top(&names, f(1), 8);";
        let at = |text: &str| code.find(text).unwrap();
        assert_eq!(name_at(code, at("top") + 1), Some("score::top"));
        assert_eq!(name_at(code, at("(&names")), Some("score::top"));
        assert_eq!(name_at(code, at("names") + 2), Some("names"));
        assert_eq!(name_at(code, at("8)")), Some("score::top"));
        assert_eq!(name_at(code, at("1)")), Some("f"));
        assert_eq!(name_at("1 + ", 4), None);
        assert_eq!(byte(code, 6), 7);
        assert_eq!(position(code, 7), 6);
    }
}
