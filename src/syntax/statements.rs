//! Text cut into what is evaluated at a time: statements, items and `:commands`, each with its exact
//! place, as evcxr would split it (the same parser).
//!
//! Beyond Rust's grammar two things are forgiven, because a prompt is no file: an expression needs no
//! semicolon before a new line (it is displayed then), and neither does a last `let`.

use ra_ap_syntax::{AstNode, Edition, SourceFile, SyntaxKind, SyntaxNode, SyntaxToken, T, ast};
use std::ops::Range;

/// The parser wants a function around statements.
const BEFORE: &str = "fn f(){";
const AFTER: &str = "\n}";

/// A text with the name errors in it are reported under, and the pieces it consists of.
pub struct Source {
    pub name: String,
    pub text: String,
    pub pieces: Vec<Piece>,
    pub syntax_errors: Vec<SyntaxError>,
}

/// One statement, item or command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub kind: Kind,
    /// Bytes of the code alone.
    pub code: Range<usize>,
    /// Bytes with the comments before it and the one behind it: what is echoed.
    pub whole: Range<usize>,
    /// Line (from 1) on which the code starts.
    pub line: usize,
    /// The variables that a `let` makes.
    pub bindings: Vec<Binding>,
    /// The variable to which the statement as a whole assigns.
    pub assigned: Option<String>,
    /// A `let` without a value: a later statement gives it one.
    pub is_unset: bool,
}

/// A variable that a `let` makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub name: String,
    pub mutable: bool,
    /// Bytes of the name.
    pub at: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A line that starts with `:`.
    Command,
    /// A function, type, import or the like, which stays defined.
    Item,
    /// A statement, complete as it is.
    Statement,
    /// A `let` whose semicolon is missing.
    OpenLet,
    /// An expression without semicolon: its value is displayed.
    Expression,
}

#[derive(Clone, Debug)]
pub struct SyntaxError {
    pub message: String,
    pub at: Range<usize>,
}

impl Source {
    /// Cuts `text` into pieces.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let mut source = Source {
            name: name.into(),
            // Windows line ends would shift nothing, but show in echoes.
            text: text.into().replace("\r\n", "\n"),
            pieces: Vec::new(),
            syntax_errors: Vec::new(),
        };
        let text = source.text.clone();
        let mut start = 0;
        for command in command_lines(&text) {
            source.add_code(start..command.start);
            source.pieces.push(Piece {
                kind: Kind::Command,
                line: line_of(&text, command.start),
                code: command.clone(),
                whole: command.clone(),
                bindings: Vec::new(),
                assigned: None,
                is_unset: false,
            });
            start = command.end;
        }
        source.add_code(start..text.len());
        source
    }

    /// The line (from 1) and the column in characters (from 0) of a byte.
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let line_start = self.text[..byte].rfind('\n').map_or(0, |at| at + 1);
        (
            line_of(&self.text, byte),
            self.text[line_start..byte].chars().count(),
        )
    }

    fn add_code(&mut self, range: Range<usize>) {
        let text = &self.text[range.clone()];
        let parsed = SourceFile::parse(&format!("{BEFORE}{text}{AFTER}"), Edition::Edition2024);
        let in_source = |offset: usize| {
            (range.start + offset.saturating_sub(BEFORE.len())).clamp(range.start, range.end)
        };
        let statements: Vec<SyntaxNode> = parsed
            .syntax_node()
            .descendants()
            .find_map(ast::StmtList::cast)
            .map(|list| list.syntax().children().collect())
            .unwrap_or_default();
        let mut forgiven = Vec::new();
        let mut previous_end = range.start;
        for node in statements {
            let Some(first) = first_code_token(&node) else {
                continue;
            };
            let code = in_source(first.text_range().start().into())
                ..in_source(node.text_range().end().into());
            if code.is_empty() {
                continue;
            }
            let kind = kind_of(&node);
            if matches!(kind, Kind::OpenLet | Kind::Expression) {
                forgiven.push(code.end);
            }
            let line_end = self.text[code.end..range.end]
                .find('\n')
                .map_or(range.end, |at| code.end + at);
            let behind = self.text[code.end..line_end].trim();
            let end = if behind.starts_with("//") {
                line_end
            } else {
                code.end
            };
            let gap = &self.text[previous_end..code.start];
            let start = code.start - gap.trim_start().len();
            previous_end = end;
            self.pieces.push(Piece {
                kind,
                line: line_of(&self.text, code.start),
                whole: start..end,
                code,
                bindings: bindings(&node, in_source),
                assigned: assigned(&node),
                is_unset: ast::LetStmt::cast(node.clone())
                    .is_some_and(|statement| statement.initializer().is_none()),
            });
        }
        for error in parsed.errors() {
            let at = in_source(error.range().start().into())..in_source(error.range().end().into());
            let message = error.to_string();
            let semicolon = message.to_uppercase().contains("SEMICOLON");
            if !(semicolon && forgiven.contains(&at.start)) {
                self.syntax_errors.push(SyntaxError { message, at });
            }
        }
    }
}

/// Whether `text` stops in the middle of something: an open bracket, string or comment.
pub fn is_incomplete(text: &str) -> bool {
    let parsed = SourceFile::parse(text, Edition::Edition2024);
    let unterminated = parsed
        .errors()
        .iter()
        .any(|error| error.to_string().contains("Missing trailing"));
    let mut depth = 0i64;
    for element in parsed.syntax_node().descendants_with_tokens() {
        if let Some(token) = element.as_token() {
            match token.kind() {
                T!['('] | T!['['] | T!['{'] => depth += 1,
                T![')'] | T![']'] | T!['}'] => depth -= 1,
                _ => {}
            }
        }
    }
    unterminated || depth > 0
}

fn kind_of(node: &SyntaxNode) -> Kind {
    let ends_with_semicolon = node.last_token().is_some_and(|token| token.kind() == T![;]);
    match node.kind() {
        SyntaxKind::LET_STMT if !ends_with_semicolon => Kind::OpenLet,
        SyntaxKind::EXPR_STMT if !ends_with_semicolon => match node.first_child() {
            Some(inner) => kind_of(&inner),
            None => Kind::Statement,
        },
        // `thread_local! { ... }` may define items: it is no value to display.
        SyntaxKind::MACRO_EXPR if node.last_token().is_some_and(|t| t.kind() == T!['}']) => {
            Kind::Statement
        }
        kind if ast::Expr::can_cast(kind) => Kind::Expression,
        // `#![...]` belongs to all of a cell.
        kind if ast::Item::can_cast(kind) || kind == SyntaxKind::ATTR => Kind::Item,
        _ => Kind::Statement,
    }
}

/// The variables of a `let`. A name in capitals inside a pattern is taken for a constant or a variant, as by
/// convention it is one.
fn bindings(node: &SyntaxNode, in_source: impl Fn(usize) -> usize) -> Vec<Binding> {
    let Some(pattern) = ast::LetStmt::cast(node.clone()).and_then(|statement| statement.pat())
    else {
        return Vec::new();
    };
    let is_plain = matches!(pattern, ast::Pat::IdentPat(_));
    let names = pattern
        .syntax()
        .descendants()
        .filter_map(ast::IdentPat::cast);
    names
        .filter_map(|variable| {
            let name = ast::HasName::name(&variable)?;
            let text = name.text().to_string();
            if !is_plain && text.starts_with(char::is_uppercase) {
                return None;
            }
            let range = name.syntax().text_range();
            Some(Binding {
                name: text,
                mutable: variable.mut_token().is_some(),
                at: in_source(range.start().into())..in_source(range.end().into()),
            })
        })
        .collect()
}

/// The variable on the left of an assignment that is the whole statement.
fn assigned(node: &SyntaxNode) -> Option<String> {
    let expression = match ast::ExprStmt::cast(node.clone()) {
        Some(statement) => statement.expr()?,
        None => ast::Expr::cast(node.clone())?,
    };
    let ast::Expr::BinExpr(assignment) = expression else {
        return None;
    };
    let operator = assignment.op_kind()?;
    let is_plain = matches!(operator, ast::BinaryOp::Assignment { op: None });
    let ast::Expr::PathExpr(variable) = assignment.lhs()? else {
        return None;
    };
    let name = variable.path()?.as_single_name_ref()?.text().to_string();
    is_plain.then_some(name)
}

/// Whether `name` occurs in `text` as a whole word: in code, or in a string such as `"{name}"`.
pub fn mentions(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        !text[..at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part)
    })
}

fn first_code_token(node: &SyntaxNode) -> Option<SyntaxToken> {
    node.descendants_with_tokens()
        .filter_map(|element| element.into_token())
        .find(|token| !token.kind().is_trivia())
}

/// Bytes of the lines that are `:commands`: they start with `:` and a letter, and nothing is open
/// before them.
fn command_lines(text: &str) -> Vec<Range<usize>> {
    let mut commands: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let range = start..start + line.trim_end().len();
        start += line.len();
        let is_command = line
            .strip_prefix(':')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
        let code_before = commands.last().map_or(0, |previous| previous.end)..range.start;
        if is_command && !is_incomplete(&text[code_before]) {
            commands.push(range);
        }
    }
    commands
}

fn line_of(text: &str, byte: usize) -> usize {
    text[..byte].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(Kind, usize, String)> {
        let source = Source::new("test", text);
        assert!(
            source.syntax_errors.is_empty(),
            "{:?}",
            source.syntax_errors
        );
        source
            .pieces
            .iter()
            .map(|piece| (piece.kind, piece.line, text[piece.code.clone()].to_owned()))
            .collect()
    }

    #[test]
    fn statements_items_and_commands_keep_their_lines() {
        let text =
            "// About.\nlet a = 1;\n\n:vars\nfn twice(x: i32) -> i32 {\n    x * 2\n}\ntwice(a)\n";
        assert_eq!(
            cut(text),
            [
                (Kind::Statement, 2, "let a = 1;".to_owned()),
                (Kind::Command, 4, ":vars".to_owned()),
                (
                    Kind::Item,
                    5,
                    "fn twice(x: i32) -> i32 {\n    x * 2\n}".to_owned()
                ),
                (Kind::Expression, 8, "twice(a)".to_owned()),
            ]
        );
    }

    #[test]
    fn an_expression_in_the_middle_needs_no_semicolon() {
        let kinds: Vec<Kind> = cut("let a = 1;\na\na + 1\nlet b = 2")
            .iter()
            .map(|p| p.0)
            .collect();
        assert_eq!(
            kinds,
            [
                Kind::Statement,
                Kind::Expression,
                Kind::Expression,
                Kind::OpenLet
            ]
        );
    }

    #[test]
    fn a_let_says_which_variables_it_makes() {
        let text = "let (a, mut b) = f(); let Some(c) = g() else { return }; let Point { x, y: Z::None } = p;";
        let source = Source::new("test", text);
        let made: Vec<_> = source
            .pieces
            .iter()
            .flat_map(|piece| &piece.bindings)
            .map(|made| (made.name.as_str(), made.mutable, &text[made.at.clone()]))
            .collect();
        assert_eq!(
            made,
            [
                ("a", false, "a"),
                ("b", true, "b"),
                ("c", false, "c"),
                ("x", false, "x")
            ]
        );
    }

    #[test]
    fn whole_words_are_mentioned() {
        assert!(mentions("print!(\"{vit}\")", "vit"));
        assert!(!mentions("vitae(x_vit)", "vit"));
    }

    #[test]
    fn comments_are_echoed_with_their_statement() {
        let text = "// one\n// two\nlet a = 1; // three\n\n// four\nuse std::fmt;";
        let source = Source::new("test", text);
        let whole: Vec<&str> = source
            .pieces
            .iter()
            .map(|p| &text[p.whole.clone()])
            .collect();
        assert_eq!(
            whole,
            [
                "// one\n// two\nlet a = 1; // three",
                "// four\nuse std::fmt;"
            ]
        );
        assert_eq!(source.pieces[1].line, 6);
    }

    #[test]
    fn a_colon_inside_a_comment_or_string_is_no_command() {
        let text = "/*\n:vars\n*/\nlet s = \"\n:help\n\";";
        assert_eq!(cut(text).len(), 1);
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        let source = Source::new("test", "let a = 1;\nlet = 3;\n");
        let error = &source.syntax_errors[0];
        assert_eq!(source.position(error.at.start).0, 2, "{error:?}");
    }

    #[test]
    fn open_brackets_strings_and_comments_are_incomplete() {
        for text in [
            "fn f() {",
            "foo(1,",
            "let s = \"abc",
            "/* note",
            "vec![1, 2",
        ] {
            assert!(is_incomplete(text), "{text}");
        }
        for text in [
            "fn f() {}",
            "let c = '{';",
            "// (",
            "\"(\"",
            ":load x",
            "1 + 1",
            ")",
        ] {
            assert!(!is_incomplete(text), "{text}");
        }
    }
}
