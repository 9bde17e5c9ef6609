//! Text cut into what is evaluated at a time: statements, items and `:commands`, each with its exact
//! place, as evcxr would split it (the same parser).
//!
//! Beyond Rust's grammar two things are forgiven, because a prompt is no file: an expression needs no
//! semicolon before a new line (it is displayed then), and neither does a `let`. Everything else that the parser does not
//! understand is an error at its place.

mod brackets;
mod commands;
mod paragraphs;

use brackets::{Imbalance, imbalance};
use commands::command_lines;
use paragraphs::paragraphs;
use ra_ap_syntax::ast::HasModuleItem;
use ra_ap_syntax::{AstNode, Edition, SourceFile, SyntaxKind, SyntaxNode, SyntaxToken, T, ast};
use std::borrow::Cow;
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
        let text = plain(text.into());
        let mut source = Source {
            name: name.into(),
            text: text.clone(),
            pieces: Vec::new(),
            syntax_errors: Vec::new(),
        };
        let mut start = 0;
        for command in command_lines(&text) {
            source.add_paragraphs(start..command.start);
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
        source.add_paragraphs(start..text.len());
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

    fn add_paragraphs(&mut self, range: Range<usize>) {
        for part in paragraphs(&self.text[range.clone()]) {
            self.add_code(range.start + part.start..range.start + part.end);
        }
    }

    fn add_code(&mut self, mut range: Range<usize>) {
        let imbalance = imbalance(&self.text[range.clone()]);
        if let Some(Imbalance::Closed(at)) = imbalance {
            // What is behind it would be taken for something else.
            let at = range.start + at;
            self.syntax_errors.push(SyntaxError {
                message: format!("`{}` closes nothing", &self.text[at..at + 1]),
                at: at..at + 1,
            });
            range.end = at;
        }
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
        let mut unended = None;
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
            let gap = &self.text[previous_end..code.start];
            let start = code.start - gap.trim_start().len();
            if let Some(end) = unended.take()
                && !self.text[end..code.start].contains('\n')
            {
                forgiven.retain(|forgiven| *forgiven != end);
            }
            if matches!(kind, Kind::OpenLet | Kind::Expression) {
                forgiven.push(code.end);
                unended = Some(code.end);
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
        if let Some(Imbalance::Open(at)) = imbalance {
            let at = range.start + at;
            self.syntax_errors.push(SyntaxError {
                message: format!("`{}` is never closed", &self.text[at..at + 1]),
                at: at..at + 1,
            });
            return;
        }
        let open = parsed.errors().iter().find_map(|error| {
            let start = usize::from(error.range().start()).saturating_sub(BEFORE.len());
            let message = unterminated(&error.to_string(), text.get(start..)?)?;
            Some((message, range.start + start))
        });
        if let Some((message, at)) = open {
            // Everything behind it belongs to it.
            let at = at..(at + 1).min(range.end);
            self.syntax_errors.push(SyntaxError { message, at });
            return;
        }
        for error in parsed.errors() {
            let at = in_source(error.range().start().into())..in_source(error.range().end().into());
            let message = error.to_string();
            let is_semicolon = message.contains("SEMICOLON");
            if !(is_semicolon && forgiven.contains(&at.start)) {
                let message = in_symbols(&message);
                self.syntax_errors.push(SyntaxError { message, at });
            }
        }
    }
}

/// What is wrong with the beginning of `text`, by the parser's message, if it is a string or a comment without end.
fn unterminated(message: &str, text: &str) -> Option<String> {
    if message.contains("Missing trailing") {
        return Some(message.replacen("Missing trailing", "missing", 1));
    }
    let quoted = text.trim_start_matches(['b', 'c']).strip_prefix('r')?;
    let hashes = quoted.len() - quoted.trim_start_matches('#').len();
    let is_raw = message.contains("raw string literal") && quoted[hashes..].starts_with('"');
    is_raw.then(|| {
        let end = "#".repeat(hashes);
        format!("missing `\"{end}` to terminate the raw string literal")
    })
}

/// A text as the parser wants it: without the mark that some editors begin a file with, without the line that names an
/// interpreter, and with the line ends that rustc would see. No line gets another number.
fn plain(text: String) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let names_interpreter = text.starts_with("#!") && !text[2..].trim_start().starts_with('[');
    let text = match text.find('\n') {
        Some(end) if names_interpreter => &text[end..],
        None if names_interpreter => "",
        _ => text,
    };
    text.replace("\r\n", "\n")
}

/// What the parser says, with the symbols that it has names for.
fn in_symbols(message: &str) -> String {
    let words = message.split(' ').map(|word| {
        let symbol = match word.trim_end_matches(',') {
            "SEMICOLON" => "`;`",
            "COMMA" => "`,`",
            "COLON" => "`:`",
            "EQ" => "`=`",
            "FAT_ARROW" => "`=>`",
            "L_CURLY" => "`{`",
            "R_CURLY" => "`}`",
            "L_PAREN" => "`(`",
            "R_PAREN" => "`)`",
            "L_BRACK" => "`[`",
            "R_BRACK" => "`]`",
            "L_ANGLE" => "`<`",
            "R_ANGLE" => "`>`",
            "IDENT" => "a name",
            "BANG" => "`!`",
            "IN_KW" => "`in`",
            _ => return Cow::Borrowed(word),
        };
        Cow::Owned(symbol.to_owned())
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Whether `text` stops in the middle of something: an open bracket, string or comment, or an attribute with nothing
/// behind it.
pub fn is_incomplete(text: &str) -> bool {
    let commands = command_lines(text);
    is_open(&text[commands.last().map_or(0, |command| command.end)..])
}

/// Whether a text without commands is understood as it is.
fn is_whole(text: &str) -> bool {
    let mut source = Source {
        name: String::new(),
        text: text.to_owned(),
        pieces: Vec::new(),
        syntax_errors: Vec::new(),
    };
    source.add_code(0..text.len());
    source.syntax_errors.is_empty()
}

/// Whether a text without commands is incomplete.
fn is_open(text: &str) -> bool {
    let parsed = SourceFile::parse(text, Edition::Edition2024);
    let is_open = parsed.errors().iter().any(|error| {
        let rest = text.get(usize::from(error.range().start())..);
        rest.is_some_and(|rest| unterminated(&error.to_string(), rest).is_some())
    });
    is_open
        || matches!(imbalance(text), Some(Imbalance::Open(_)))
        || ends_in_attribute(&parsed.syntax_node())
        || ends_in_header(&parsed.tree())
}

/// Whether the last item is a function, type, trait or `impl` whose body is still to come.
fn ends_in_header(file: &SourceFile) -> bool {
    let Some(last) = file.items().last() else {
        return false;
    };
    let text = file.syntax().text().to_string();
    let end = usize::from(last.syntax().text_range().end());
    let is_at_end = text[end..].trim().is_empty();
    is_at_end
        && match last {
            ast::Item::Fn(one) => one.body().is_none() && one.semicolon_token().is_none(),
            ast::Item::Struct(one) => one.field_list().is_none() && one.semicolon_token().is_none(),
            ast::Item::Enum(one) => one.variant_list().is_none(),
            ast::Item::Impl(one) => one.assoc_item_list().is_none(),
            ast::Item::Trait(one) => one.assoc_item_list().is_none(),
            _ => false,
        }
}

fn ends_in_attribute(node: &SyntaxNode) -> bool {
    let mut last = node.last_token();
    while let Some(token) = last {
        if !token.kind().is_trivia() {
            let attribute = token
                .parent_ancestors()
                .find_map(ast::Attr::cast)
                .filter(|attribute| attribute.excl_token().is_none());
            return attribute.is_some_and(|attribute| {
                attribute.syntax().text_range().end() == token.text_range().end()
            });
        }
        last = token.prev_token();
    }
    false
}

/// Whether the last statement of `text`, which is complete as it is, goes on in `next`, as in a chain of calls that begin
/// with a dot on lines of their own.
pub fn goes_on(text: &str, next: &str) -> bool {
    let last = |text: &str| {
        let source = Source::new("", text);
        source
            .pieces
            .into_iter()
            .map(|piece| piece.code)
            .next_back()
    };
    let Some(alone) = last(text) else {
        return false;
    };
    let together = Source::new("", format!("{text}{next}"));
    let same = together
        .pieces
        .iter()
        .find(|piece| piece.code.start == alone.start);
    same.is_some_and(|piece| piece.kind != Kind::Command && piece.code.end > alone.end)
}

/// Whether something behind `text` could belong to its last statement.
pub fn may_go_on(text: &str) -> bool {
    let source = Source::new("", text);
    let last = source.pieces.last();
    last.is_some_and(|piece| match piece.kind {
        Kind::Command | Kind::Item => false,
        Kind::OpenLet | Kind::Expression => true,
        Kind::Statement => !source.text[piece.code.clone()].ends_with(';'),
    })
}

fn kind_of(node: &SyntaxNode) -> Kind {
    let ends_with_semicolon = node.last_token().is_some_and(|token| token.kind() == T![;]);
    match node.kind() {
        SyntaxKind::LET_STMT if !ends_with_semicolon => Kind::OpenLet,
        SyntaxKind::EXPR_STMT if !ends_with_semicolon => match node.first_child() {
            Some(inner) => kind_of(&inner),
            None => Kind::Statement,
        },
        // These have no value to display.
        SyntaxKind::FOR_EXPR | SyntaxKind::WHILE_EXPR => Kind::Statement,
        SyntaxKind::IF_EXPR
            if ast::IfExpr::cast(node.clone()).is_some_and(|one| one.else_token().is_none()) =>
        {
            Kind::Statement
        }
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
            "let s = r#\"a\nb\"",
            "#[derive(Debug)]",
            "#[cfg(test)]\n// why\n",
            "fn f<T>(x: T) -> T",
            "fn f<T>(x: T) -> T\nwhere\n    T: Copy,\n",
            "impl Debug for X",
            "enum Either",
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
            "!echo it's (",
            "fn f() {}\nstruct A;",
            "struct A(u8)",
            "use std::fs",
            "let a = 1;\n%time f('",
        ] {
            assert!(!is_incomplete(text), "{text}");
        }
    }

    fn errors(text: &str) -> Vec<(String, usize, usize)> {
        let source = Source::new("test", text);
        let errors = source.syntax_errors.iter();
        errors
            .map(|error| {
                let (line, column) = source.position(error.at.start);
                (error.message.clone(), line, column)
            })
            .collect()
    }

    #[test]
    fn what_is_no_rust_is_an_error_at_its_place() {
        let one = |message: &str, line, column| vec![(message.to_owned(), line, column)];
        assert_eq!(
            errors("let a = 1;\n}\nlet b = 2;"),
            one("`}` closes nothing", 2, 0)
        );
        assert_eq!(errors("f(1));"), one("`)` closes nothing", 1, 4));
        assert_eq!(errors("let x = 5 let y = 6"), one("expected `;`", 1, 9));
        assert_eq!(errors("1 2"), one("expected `;`", 1, 1));
        assert_eq!(errors("let x = 5 // a\nlet y = 6"), vec![]);
        assert_eq!(errors("let a = (\n1;\n"), one("`(` is never closed", 1, 8));
        for (text, symbols, column) in [
            ("let a = 1; /* open", "`*/` symbols", 11),
            ("let s = \"open", "`\"` symbol", 8),
            ("let r = r#\"open\";", "`\"#`", 8),
        ] {
            let found = errors(text);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].0.starts_with(&format!("missing {symbols} to")),
                "{found:?}"
            );
            assert_eq!(found[0].1, 1);
            assert_eq!(found[0].2, column);
        }
    }

    #[test]
    fn marks_interpreters_and_windows_line_ends_change_nothing() {
        let plain = "\nlet a = r\"x\ny\";\n#[derive(Debug)]\nstruct B;\n";
        let other = format!(
            "\u{feff}#!/usr/bin/env vitrepl{}",
            plain.replace('\n', "\r\n")
        );
        assert_eq!(Source::new("test", other).text, plain);
        assert_eq!(cut("#![allow(dead_code)]\n1").len(), 2);
    }

    #[test]
    fn a_statement_may_go_on_in_the_next_line() {
        for (text, next) in [
            ("let a = b\n", "    .c();"),
            ("a\n", "// why\n.b()"),
            ("if a { 1 }\n", "else { 2 }"),
            ("a()\n", "? + 1"),
        ] {
            assert!(may_go_on(text) && goes_on(text, next), "{text}{next}");
        }
        assert!(!may_go_on("let a = b;\n") && !may_go_on("struct A;\n") && !may_go_on(":vars\n"));
        for (text, next) in [
            ("a\n", "b\n"),
            ("let a = 1\n", "a\n"),
            ("a\n", ":vars\n"),
            ("for a in b {}\n", "c\n"),
        ] {
            assert!(!goes_on(text, next), "{text}{next}");
        }
    }

    #[test]
    fn loops_have_no_value() {
        let kinds: Vec<Kind> =
            cut("for a in b {}\nwhile c {}\nif d {}\nif d { 1 } else { 2 }\nmatch e { _ => 1 }")
                .iter()
                .map(|piece| piece.0)
                .collect();
        use Kind::{Expression, Statement};
        assert_eq!(
            kinds,
            [Statement, Statement, Statement, Expression, Expression]
        );
    }
}
