//! `_` where a value is wanted: the last result, as in IPython. Rust has no meaning for it there, so none is lost.

use ra_ap_syntax::{AstNode, Edition, SourceFile, SyntaxKind, SyntaxNode, T, TextSize, ast};
use std::borrow::Cow;

/// The name of the variable that holds the last result: a letter that looks like `_` and as long, so that errors keep
/// their columns.
pub const RESULT: &str = "\u{2cd}";

/// The name that the last result has in the cell that makes it, beside which the one before may be in use.
pub const NEW_RESULT: &str = "vitrepl_result";

/// Macros whose arguments are values: elsewhere `_` may be a pattern.
const OF_VALUES: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "dbg",
    "eprint",
    "eprintln",
    "format",
    "json",
    "print",
    "println",
    "vec",
];

const BEFORE: &str = "fn f(){";

fn parse(statement: &str) -> SyntaxNode {
    let text = format!("{BEFORE}{statement}\n}}");
    SourceFile::parse(&text, Edition::Edition2024).syntax_node()
}

/// A statement with `stand_in` for each `_` that means the last result.
pub fn with_result<'a>(statement: &'a str, stand_in: &str) -> Cow<'a, str> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let may_mean_it = statement.match_indices('_').any(|(at, _)| {
        !statement[..at].ends_with(is_part) && !statement[at + 1..].starts_with(is_part)
    });
    if !may_mean_it {
        return Cow::Borrowed(statement);
    }
    let mut text = statement.to_owned();
    for place in places(statement).into_iter().rev() {
        text.replace_range(place..place + 1, stand_in);
    }
    Cow::Owned(text)
}

/// The bytes of `statement` at which a `_` means the last result, in order.
fn places(statement: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let in_statement = |offset: TextSize| usize::from(offset) - BEFORE.len();
    for node in parse(statement).descendants() {
        if let Some(one) = ast::UnderscoreExpr::cast(node.clone()) {
            if !is_assigned_to(one.syntax()) {
                found.push(in_statement(one.syntax().text_range().start()));
            }
        } else if let Some(call) = ast::MacroCall::cast(node)
            && let Some(tree) = call.token_tree()
        {
            let name = call.path().map(|path| path.syntax().text().to_string());
            if !name.is_some_and(|name| OF_VALUES.contains(&name.as_str())) {
                continue;
            }
            // Its brackets are another byte each, as those are in which its arguments are read here.
            let range = tree.syntax().text_range();
            let (start, end) = (in_statement(range.start()), in_statement(range.end()));
            let arguments = statement.get(start + 1..end.saturating_sub(1));
            let arguments = format!("({})", arguments.unwrap_or_default());
            found.extend(places(&arguments).into_iter().map(|place| start + place));
        }
    }
    found.sort_unstable();
    found
}

/// Whether `_` is what an assignment throws away, alone or in a pattern.
fn is_assigned_to(underscore: &SyntaxNode) -> bool {
    underscore.ancestors().any(|node| {
        let Some(parent) = node.parent().and_then(ast::BinExpr::cast) else {
            return false;
        };
        let is_assignment = parent
            .op_kind()
            .is_some_and(|kind| matches!(kind, ast::BinaryOp::Assignment { op: None }));
        is_assignment && parent.lhs().is_some_and(|left| *left.syntax() == node)
    })
}

/// Whether an expression names a place, such as a variable or a field of it, or refers to one: to keep its value would
/// take it away from there.
pub fn is_place(expression: &str) -> bool {
    let tree = parse(expression);
    let list = tree.descendants().find_map(ast::StmtList::cast);
    let Some(mut node) = list.and_then(|list| list.syntax().first_child()) else {
        return false;
    };
    loop {
        match node.kind() {
            SyntaxKind::PAREN_EXPR | SyntaxKind::EXPR_STMT => match node.first_child() {
                Some(inner) => node = inner,
                None => return false,
            },
            SyntaxKind::PATH_EXPR
            | SyntaxKind::FIELD_EXPR
            | SyntaxKind::INDEX_EXPR
            | SyntaxKind::REF_EXPR => return true,
            SyntaxKind::PREFIX_EXPR => {
                return node
                    .first_token()
                    .is_some_and(|token| token.kind() == T![*]);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_underscore_that_is_a_value_means_the_last_result() {
        for (text, wanted) in [
            ("_", "R"),
            ("_ + 1", "R + 1"),
            ("f(_, |_| 1)?.g(&_)", "f(R, |_| 1)?.g(&R)"),
            ("let x: Vec<_> = _.clone();", "let x: Vec<_> = R.clone();"),
            ("let _ = _;", "let _ = R;"),
            ("println!(\"{_}: {:?}\", _)", "println!(\"{_}: {:?}\", R)"),
            ("é = _.len();", "é = R.len();"),
            ("vec![_; 2]", "vec![R; 2]"),
            (
                "println!(\"{}\", format!(\"{}\", _ + 1))",
                "println!(\"{}\", format!(\"{}\", R + 1))",
            ),
            ("dbg!(f::<_>(_), x = _)", "dbg!(f::<_>(R), x = R)"),
        ] {
            assert_eq!(with_result(text, "R"), wanted);
        }
    }

    #[test]
    fn any_other_underscore_stays() {
        for text in [
            "_ = f();",
            "(a, _) = f();",
            "match x { _ => 1 }",
            "matches!(x, Some(_))",
            "let f = |_: i32| 1;",
            "a_b + _c",
            "f::<_>(1_000)",
            "\" _ \"",
            "println!(\"{:?}\", x.collect::<Vec<_>>().join(\", \"))",
            "println!(\"{}\", v.iter().map(|_| 1).count())",
            "format!(\"{:?}\", match x { _ => 1 })",
        ] {
            assert_eq!(with_result(text, "R"), text);
        }
    }

    #[test]
    fn places_are_told_from_values() {
        for text in ["x", "(x)", "x.y", "x[0].y", "*x", "&x", "&mut x", "a::B"] {
            assert!(is_place(text), "{text}");
        }
        for text in [
            "x()", "x.y()", "1", "-x", "x + y", "x?", "vec![1]", "{ x }", "\"a\"",
        ] {
            assert!(!is_place(text), "{text}");
        }
    }
}
