//! What the syntax of a text says.

pub mod cursor;
pub mod items;
pub mod last_result;
pub mod statements;
pub mod tokens;

use ra_ap_syntax::{NodeOrToken, SyntaxNode, SyntaxToken};

/// The tokens below a node, without white space and comments.
pub fn tokens_of(node: &SyntaxNode) -> impl Iterator<Item = SyntaxToken> {
    let all = node.descendants_with_tokens();
    all.filter_map(NodeOrToken::into_token)
        .filter(|token| !token.kind().is_trivia())
}

/// A text in which only the tokens count.
pub fn normal(node: &SyntaxNode) -> String {
    let tokens: Vec<String> = tokens_of(node)
        .map(|token| token.text().to_owned())
        .collect();
    tokens.join(" ")
}
