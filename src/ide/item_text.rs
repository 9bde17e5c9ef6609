//! The text of an item: its documentation, and what declares it.

use ra_ap_syntax::ast::{self, HasVisibility};
use ra_ap_syntax::{AstNode, SyntaxNode};
use regex::Regex;
use std::sync::LazyLock;

/// Longer definitions are shown without their bodies.
const LONGEST: usize = 60;

/// The text of an item's doc comments.
pub fn documentation(node: &SyntaxNode) -> String {
    let lines: Vec<String> = ast::DocCommentIter::from_syntax_node(node)
        .filter_map(|comment| comment.doc_comment().map(|(text, _)| text.to_owned()))
        .map(|line| {
            line.strip_prefix(' ')
                .unwrap_or(&line)
                .trim_end()
                .to_owned()
        })
        .collect();
    lines.join("\n")
}

/// What declares an item: a function without its body, a type or trait with what it consists of. Private fields are left
/// out unless `takes_private`.
pub fn signature(node: &SyntaxNode, takes_private: bool) -> String {
    let start = node
        .children_with_tokens()
        .find(|child| match child.as_token() {
            Some(token) => !token.kind().is_trivia(),
            None => child
                .as_node()
                .is_some_and(|node| !ast::Attr::can_cast(node.kind())),
        })
        .map_or(node.text_range().start(), |child| {
            child.text_range().start()
        });
    let whole = &node.text().to_string()[usize::from(start - node.text_range().start())..];
    let body = ast::Fn::cast(node.clone())
        .and_then(|function| function.body())
        .map(|body| body.syntax().text_range().start())
        .or_else(|| {
            let long = whole.lines().count() > LONGEST;
            let list = node.children().find(|child| {
                ast::AssocItemList::can_cast(child.kind())
                    || ast::VariantList::can_cast(child.kind())
            });
            list.filter(|_| long).map(|list| list.text_range().start())
        });
    let text = match (body, ast::Struct::cast(node.clone())) {
        (Some(body), _) => whole[..usize::from(body - start)].to_owned(),
        (None, Some(of)) if !takes_private => {
            let before = usize::from(start - node.text_range().start());
            without_private_fields(&of)[before..].to_owned()
        }
        _ => whole.to_owned(),
    };
    unindented(text.trim_end())
}

/// Whether an item or field is for everybody: `pub`, and not `pub(crate)` or the like.
pub fn is_public(item: &impl HasVisibility) -> bool {
    let visibility = item.visibility();
    visibility.is_some_and(|visibility| visibility.syntax().text() == "pub")
}

/// The code of a struct without its private fields, as rustdoc shows it.
fn without_private_fields(of: &ast::Struct) -> String {
    let mut code = of.syntax().text().to_string();
    let begins = of.syntax().text_range().start();
    let at = |offset: ra_ap_syntax::TextSize| usize::from(offset - begins);
    match of.field_list() {
        Some(ast::FieldList::RecordFieldList(list)) => {
            let fields: Vec<_> = list.fields().collect();
            let private = fields.iter().filter(|field| !is_public(*field));
            let private: Vec<_> = private.collect();
            let Some(last) = private.last() else {
                return code;
            };
            let note = "/* private fields */";
            if private.len() == fields.len() {
                let range = list.syntax().text_range();
                code.replace_range(at(range.start())..at(range.end()), &format!("{{ {note} }}"));
                return code;
            }
            let last = last.syntax().text_range().start();
            for field in private.iter().rev() {
                let range = field.syntax().text_range();
                let (from, mut to) = (at(range.start()), at(range.end()));
                to += code[to..].len() - code[to..].trim_start_matches(',').len();
                let put = if range.start() == last { note } else { "" };
                // A field that is left out takes its line with it.
                let from = match put {
                    "" => code[..from].trim_end().len(),
                    _ => from,
                };
                code.replace_range(from..to, put);
            }
            code
        }
        Some(ast::FieldList::TupleFieldList(list))
            if list.fields().any(|field| !is_public(&field)) =>
        {
            let range = list.syntax().text_range();
            code.replace_range(at(range.start())..at(range.end()), "(/* private fields */)");
            code
        }
        _ => code,
    }
}

/// A signature on one line.
pub fn on_one_line(signature: &str) -> String {
    let words: Vec<&str> = signature.split_whitespace().collect();
    words.join(" ").replace("( ", "(").replace(", )", ")")
}

/// Text without links to other items, which lead nowhere at a prompt: the code that a link is put on stays.
pub fn without_links(text: &str) -> String {
    static LINK: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\[(`[^`\]]+`)\](?:\([^)\s]*\))?").expect("the pattern is well formed")
    });
    LINK.replace_all(text, "$1").into_owned()
}

/// Takes from the further lines the indentation that the last of them has.
pub fn unindented(text: &str) -> String {
    let last = text.lines().last().unwrap_or_default();
    let margin = &last[..last.len() - last.trim_start().len()];
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix(margin).unwrap_or(line))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ra_ap_syntax::{Edition, SourceFile};

    #[track_caller]
    fn shows(code: &str, wanted: &str) {
        let file = SourceFile::parse(code, Edition::Edition2024).tree();
        let of = file.syntax().descendants().find_map(ast::Struct::cast);
        assert_eq!(signature(of.expect("a struct").syntax(), false), wanted);
    }

    #[test]
    fn private_fields_are_not_shown() {
        shows(
            "/// S.\npub struct S {\n    a: u8,\n    b: u8,\n}\n",
            "pub struct S { /* private fields */ }",
        );
        shows(
            "pub struct S(u8, pub u8);",
            "pub struct S(/* private fields */);",
        );
        shows("pub struct S(pub u8);", "pub struct S(pub u8);");
        shows("pub struct S;", "pub struct S;");
        let whole = "pub struct S {\n    /// Of A.\n    pub a: u8,\n    pub b: u8,\n}";
        shows(whole, whole);
        shows(
            "#[derive(Clone)]\npub struct S {\n    pub(super) x: u8,\n    /// Of A.\n    pub a: u8,\n    /// Of B.\n    b: u8,\n    pub(crate) c: u8,\n    pub d: u8,\n}",
            "pub struct S {\n    /// Of A.\n    pub a: u8,\n    /* private fields */\n    pub d: u8,\n}",
        );
    }

    #[test]
    fn links_are_the_code_that_they_are_put_on() {
        assert_eq!(
            without_links("As [`a`], [`Self::b`](crate::b) and [a page](https://a.b)."),
            "As `a`, `Self::b` and [a page](https://a.b)."
        );
        assert_eq!(
            on_one_line("pub fn f(\n    a: u8,\n    b: u8,\n) -> u8"),
            "pub fn f(a: u8, b: u8) -> u8"
        );
    }
}
