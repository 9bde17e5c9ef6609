//! Methods that a macro makes, as `unary_op!(exp, Exp);` does in candle's `impl Tensor`: many numeric types are written so.

use crate::syntax::tokens::tokens;
use ra_ap_syntax::AstNode;
use ra_ap_syntax::ast::{self, HasName};

/// What a call in an `impl` makes by the first rule of a macro of the same file, as code; of a macro that takes anything
/// but single words and expressions, nothing.
pub fn made_by(call: &ast::MacroCall) -> Option<String> {
    let name = call.path()?.syntax().text().to_string();
    let file = call.syntax().ancestors().last()?;
    let mut rules = file.descendants().filter_map(ast::MacroRules::cast);
    let rules = rules.find(|rules| rules.name().is_some_and(|own| own.text() == name))?;
    let rules = rules.token_tree()?.syntax().text().to_string();
    let (pattern, behind) = inside(&rules[1..])?;
    let (body, _) = inside(behind)?;
    let call = call.token_tree()?.syntax().text().to_string();
    let (given, _) = inside(&call)?;
    let names = pattern.split(',').filter_map(|part| {
        let (name, _) = part.trim().strip_prefix('$')?.split_once(':')?;
        Some(format!("${name}"))
    });
    let mut pairs: Vec<(String, &str)> = names.zip(given.split(',').map(str::trim)).collect();
    // A name may be the beginning of another.
    pairs.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    let filled = pairs.iter().fold(body.to_owned(), |body, (name, given)| {
        body.replace(name.as_str(), given)
    });
    (!filled.contains('$')).then_some(filled)
}

/// What is inside the first bracket of a text, and what is behind it.
fn inside(text: &str) -> Option<(&str, &str)> {
    let mut open = None;
    let mut depth = 0;
    for token in tokens(text) {
        if token.opens() {
            depth += 1;
            open.get_or_insert(token.start + token.text.len());
        } else if token.closes() {
            depth -= 1;
            if depth == 0 {
                let end = token.start + token.text.len();
                return Some((&text[open?..token.start], &text[end..]));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::ide::docs::Docs;

    #[test]
    fn calls_in_an_impl_are_filled_in() {
        let code = "
            macro_rules! one { ($name:ident, $op:ident) => { /// Of each value.
                pub fn $name(&self) -> Result<Self> { self.apply(Op::$op) } }; }
            macro_rules! many { ($($name:ident),*) => { $(pub fn $name(&self) {})* } }
            impl T { one!(exp, Exp); one!(log, Log); many!(a, b); unknown!(c); }";
        let docs = Docs::read(vec![("lib.rs".into(), code.to_owned())]);
        let functions = docs.items().iter().filter(|item| item.owner().is_some());
        let functions: Vec<_> = functions.collect();
        let signatures: Vec<&str> = functions.iter().map(|i| i.signature.as_str()).collect();
        assert_eq!(
            signatures,
            [
                "pub fn exp(&self) -> Result<Self>",
                "pub fn log(&self) -> Result<Self>"
            ]
        );
        assert_eq!(functions[0].docs, "Of each value.");
    }
}
