//! What could stand at the cursor: variables, what is defined and imported, what is in a module or type, methods.
//!
//! It is found in what the session knows anyway (the types of variables) and in sources: the library's own
//! ([`crate::ide::docs`]), those of the crates that cells use ([`crate::ide::crate_docs`]) and the standard library's
//! ([`crate::ide::std_methods`]), each read when it is asked for. rust-analyzer would first read the sources of some 250
//! crates.

use crate::ide::docs::{Docs, Item};
use crate::syntax::tokens::tokens;
use ra_ap_syntax::ast::{HasName, HasVisibility};
use ra_ap_syntax::{AstNode, Edition, SourceFile, T, ast};

/// In scope in every cell.
const COMMON: &[&str] = &[
    "Box",
    "Err",
    "None",
    "Ok",
    "Option",
    "Result",
    "Some",
    "String",
    "Vec",
    "assert!",
    "assert_eq!",
    "break",
    "const",
    "continue",
    "dbg!",
    "else",
    "enum",
    "eprintln!",
    "false",
    "fn",
    "for",
    "format!",
    "if",
    "impl",
    "let",
    "loop",
    "match",
    "mod",
    "move",
    "mut",
    "panic!",
    "print!",
    "println!",
    "return",
    "std",
    "struct",
    "trait",
    "true",
    "use",
    "vec!",
    "while",
];

/// One thing that could stand at the cursor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// What is written.
    pub text: String,
    /// What is shown: with the signature, or the type.
    pub label: String,
    /// What it is, in Jupyter's words.
    pub kind: &'static str,
    /// The first sentence of its documentation.
    pub about: String,
}

impl Candidate {
    /// What is behind the name: parameters and result, or the type.
    pub fn signature(&self) -> &str {
        let at = self.label.find(&self.text);
        at.map_or("", |at| self.label[at + self.text.len()..].trim())
    }
}

/// The members of what has a name.
pub type Members<'a> = dyn Fn(&str) -> Vec<Item> + 'a;

/// What a session knows.
pub struct Known<'a> {
    pub docs: &'a Docs,
    /// Names and types of variables.
    pub variables: Vec<(String, String)>,
    /// Names of what was defined in the session.
    pub items: Vec<String>,
    /// What is known of these.
    pub own: Docs,
    /// The members of a type, or what is in a crate, that others wrote: by the name of the type or crate.
    pub elsewhere: Box<Members<'a>>,
}

/// Calls whose first argument is the name of a model.
const TAKES_MODEL: &[&str] = &["load", "load_clip", "load_with"];

impl Known<'_> {
    /// What could stand at byte `position` of `text`: from which byte on, and what.
    pub fn complete(&self, text: &str, position: usize) -> (usize, Vec<Candidate>) {
        let before = &text[..position];
        if let Some(start) = open_model_name(before) {
            return (start, self.models(&before[start..]));
        }
        let start = before
            .rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
            .map_or(0, |at| {
                at + before[at..].chars().next().map_or(1, char::len_utf8)
            });
        let (left, word) = before.split_at(start);
        let mut candidates = if let Some(path) = left.strip_suffix("::") {
            self.in_path(last_path(path))
        } else if let Some(receiver) = left.strip_suffix('.') {
            self.methods(receiver)
        } else {
            self.names()
        };
        candidates.retain(|candidate| candidate.text.starts_with(word));
        candidates.sort();
        candidates.dedup_by(|one, other| one.text == other.text);
        (start, candidates)
    }

    fn names(&self) -> Vec<Candidate> {
        let variables = self.variables.iter().map(|(name, kind)| Candidate {
            label: format!("{name}: {kind}"),
            ..plain(name, "instance")
        });
        let items = self.items.iter().map(|name| plain(name, "statement"));
        let common = COMMON.iter().map(|word| common_name(word));
        let imported = self
            .docs
            .imported()
            .map(|item| self.docs.find(item).into_iter().next().map(candidate));
        let foreign = self.docs.foreign().map(common_name);
        variables
            .chain(items)
            .chain(foreign)
            .chain(common)
            .chain(imported.flatten())
            .collect()
    }

    /// What is behind `path::`: in a module, or of a type.
    fn in_path(&self, path: &str) -> Vec<Candidate> {
        let last = path.rsplit("::").next().unwrap_or_default();
        if last == "vitrepl_prelude" || last == "prelude" {
            return self.names();
        }
        let mut candidates: Vec<Candidate> = self
            .docs
            .items()
            .iter()
            .filter(|item| match item.path.split_last() {
                Some((_, outer)) if last.starts_with(char::is_uppercase) => {
                    outer.last().is_some_and(|outer| outer == last)
                }
                Some((_, outer)) => {
                    outer.iter().any(|module| module == last)
                        && !outer
                            .last()
                            .is_some_and(|outer| outer.starts_with(char::is_uppercase))
                }
                None => false,
            })
            .map(candidate)
            .collect();
        candidates.extend(self.own.items().iter().filter_map(|item| {
            let of = item.path.iter().rev().nth(1);
            (of.is_some_and(|of| of == last)).then(|| candidate(item))
        }));
        for item in self.own.find(last).into_iter().chain(self.docs.find(last)) {
            let names = variants(&item.signature).into_iter();
            candidates.extend(names.map(|name| plain(&name, "class")));
        }
        candidates.extend((self.elsewhere)(last).iter().map(candidate));
        candidates
    }

    /// The methods of what stands before a dot.
    fn methods(&self, receiver: &str) -> Vec<Candidate> {
        let Some(kind) = self.type_of(receiver.trim_end()) else {
            return Vec::new();
        };
        let kind = bare(&kind);
        let items = self.docs.items().iter().chain(self.own.items());
        let methods = items.filter(|item| item.owner() == Some(&kind) && item.takes_self());
        let others = (self.elsewhere)(&kind);
        let others = others.iter().filter(|item| item.signature.contains("self"));
        let library = self.docs.find(&kind).into_iter().map(|item| (item, false));
        let own = self.own.find(&kind).into_iter().map(|item| (item, true));
        let fields = own.chain(library).flat_map(|(item, all)| {
            let names = fields(&item.signature, all).into_iter();
            names.map(|name| plain(&name, "property"))
        });
        methods
            .map(candidate)
            .chain(others.map(candidate))
            .chain(fields)
            .collect()
    }

    /// Names of models that begin as typed.
    fn models(&self, typed: &str) -> Vec<Candidate> {
        let names = self.docs.models().iter();
        let mut found: Vec<Candidate> = names
            .filter(|name| name.starts_with(typed))
            .map(|name| plain(name, "text"))
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// What the call that is open at the end of `text` still takes, and what it gives:
    /// `set: &dyn DataSet) -> Result<...>`.
    pub fn open_call(&self, text: &str) -> Option<String> {
        let (open, commas, in_argument) = open_call(text)?;
        let item = self.called(&text[..open])?;
        let function = SourceFile::parse(&format!("{} {{}}", item.signature), Edition::Edition2024);
        let function = function
            .syntax_node()
            .descendants()
            .find_map(ast::Fn::cast)?;
        let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let left: Vec<String> = function
            .param_list()?
            .params()
            .skip(commas + usize::from(in_argument))
            .map(|parameter| words(parameter.to_string()))
            .collect();
        let comma = if in_argument && !left.is_empty() {
            ", "
        } else {
            ""
        };
        let gives = function.ret_type().map(|gives| words(gives.to_string()));
        let gives = gives.map(|gives| format!(" {gives}")).unwrap_or_default();
        Some(format!("{comma}{}){gives}", left.join(", ")))
    }

    /// The item that the text before an open bracket names.
    fn called(&self, before: &str) -> Option<Item> {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let name = before.rsplit(|c| !is_part(c)).next()?;
        let outer = &before[..before.len() - name.len()];
        let of = match outer.strip_suffix('.') {
            Some(receiver) => format!("{}::{name}", bare(&self.type_of(receiver)?)),
            None => match outer.strip_suffix("::") {
                Some(path) => format!("{}::{name}", last_path(path)),
                None => name.to_owned(),
            },
        };
        if let Some(item) = self.docs.find(&of).into_iter().next() {
            return Some(item.clone());
        }
        let (owner, name) = of.rsplit_once("::")?;
        let owner = owner.rsplit("::").next()?;
        let mut members = (self.elsewhere)(owner).into_iter();
        members.find(|item| item.name() == name)
    }

    /// The type of a variable, or of what a call of the library gives.
    fn type_of(&self, expression: &str) -> Option<String> {
        let expression = expression.trim_end_matches('?');
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        if let Some(called) = expression.strip_suffix(')') {
            let mut depth = 1;
            let open = called.char_indices().rev().find(|(_, c)| {
                depth += i32::from(*c == ')') - i32::from(*c == '(');
                depth == 0
            })?;
            let item = self.called(&called[..open.0])?;
            let given = item.signature.rsplit_once("->")?.1.trim();
            let given = given.split(" where").next().unwrap_or(given).trim();
            let owner = item.path.iter().rev().nth(1)?;
            return Some(given.replace("Self", owner));
        }
        let name = expression.rsplit(|c| !is_part(c)).next()?;
        let (_, kind) = self
            .variables
            .iter()
            .find(|(variable, _)| variable == name)?;
        Some(kind.clone())
    }
}

/// Of the innermost bracket that is open at the end of `text`, if it is round: where it stands, how many commas are
/// behind it, and whether something is behind the last of them.
fn open_call(text: &str) -> Option<(usize, usize, bool)> {
    let mut open: Vec<(&str, usize, usize, bool)> = Vec::new();
    for token in tokens(text) {
        if token.closes() {
            open.pop();
            continue;
        }
        if let Some((_, _, commas, in_argument)) = open.last_mut() {
            match token.kind {
                T![,] => (*commas, *in_argument) = (*commas + 1, false),
                kind if kind.is_trivia() => {}
                _ => *in_argument = true,
            }
        }
        if token.opens() {
            open.push((token.text, token.start, 0, false));
        }
    }
    let (bracket, at, commas, in_argument) = open.pop()?;
    (bracket == "(").then_some((at, commas, in_argument))
}

/// The path at the end of a text.
fn last_path(text: &str) -> &str {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    text.rsplit(|c| !is_part(c)).next().unwrap_or_default()
}

/// The type whose methods a value has: without references, and inside of what only holds it.
pub fn bare(kind: &str) -> String {
    let mut kind = kind.trim();
    loop {
        kind = kind.trim_start_matches(['&', ' ']);
        kind = kind.strip_prefix("mut ").unwrap_or(kind);
        let held = ["Arc<", "Box<", "Rc<", "Result<"]
            .iter()
            .find_map(|holder| kind.strip_prefix(holder)?.strip_suffix('>'));
        match held {
            // Of `Result<T, E>`, what `?` takes out.
            Some(inner) => kind = inner.split(", ").next().unwrap_or(inner),
            None => break,
        }
    }
    let end = kind
        .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
        .filter(|_| !kind.starts_with('['))
        .unwrap_or(kind.len());
    let head = if kind.starts_with('[') {
        "["
    } else {
        &kind[..end]
    };
    head.rsplit("::").next().unwrap_or(head).to_owned()
}

fn plain(name: &str, kind: &'static str) -> Candidate {
    Candidate {
        text: name.trim_end_matches("()").to_owned(),
        label: name.to_owned(),
        kind,
        about: String::new(),
    }
}

/// A word of the language, or a name of another crate.
fn common_name(word: &str) -> Candidate {
    let kind = if word.ends_with('!') {
        "function"
    } else if word.starts_with(char::is_uppercase) {
        "class"
    } else {
        "keyword"
    };
    plain(word, kind)
}

fn candidate(item: &Item) -> Candidate {
    let signature = item
        .signature
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let signature = signature.trim_start_matches("pub ");
    let label = match signature.split_once(" {") {
        Some((head, _)) => head,
        None => signature,
    };
    Candidate {
        text: item.path.last().cloned().unwrap_or_default(),
        label: label.to_owned(),
        kind: match label.split(' ').find(|word| *word != "const") {
            Some("fn") => "function",
            Some("mod") => "module",
            Some("struct" | "enum" | "trait" | "type") => "class",
            _ => "statement",
        },
        about: item.summary(),
    }
}

/// The variants in the definition of an enum.
fn variants(definition: &str) -> Vec<String> {
    let found = parsed::<ast::Enum>(definition).and_then(|one| one.variant_list());
    let variants = found.into_iter().flat_map(|list| list.variants());
    variants
        .filter_map(|variant| Some(variant.name()?.text().to_string()))
        .collect()
}

/// The fields in the definition of a struct: the public ones, or all.
fn fields(definition: &str, all: bool) -> Vec<String> {
    let found = parsed::<ast::Struct>(definition).and_then(|one| one.field_list());
    let Some(ast::FieldList::RecordFieldList(list)) = found else {
        return Vec::new();
    };
    list.fields()
        .filter(|field| all || field.visibility().is_some())
        .filter_map(|field| Some(field.name()?.text().to_string()))
        .collect()
}

fn parsed<N: AstNode>(definition: &str) -> Option<N> {
    let file = SourceFile::parse(definition, Edition::Edition2024);
    file.syntax_node().descendants().find_map(N::cast)
}

/// Where the name of a model begins that is open at the end of a text: behind `load("`.
fn open_model_name(text: &str) -> Option<usize> {
    let (call, name) = text.rsplit_once('"')?;
    let call = call.strip_suffix('(')?;
    let is_call = TAKES_MODEL
        .iter()
        .any(|takes| last_path(call).rsplit("::").next() == Some(*takes));
    (is_call && !name.contains(['\n', ')'])).then(|| text.len() - name.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ide::std_methods;
    use crate::library::sources::Library;
    use std::path::Path;

    /// As if the library used a crate with this in it.
    const OTHERS: &str = "macro_rules! unary { ($name:ident) => { pub fn $name(&self) -> Result<Self> { todo!() } } }
        pub struct Tensor; impl Tensor { unary!(exp); pub fn matmul(&self, rhs: &Self) -> Result<Self> { todo!() } \
        pub fn zeros(shape: usize) -> Result<Self> { todo!() } }";

    /// Members of types that the library did not write.
    fn elsewhere(kind: &str) -> Vec<Item> {
        let members = std_methods::members(kind, Path::new("/nowhere"));
        let docs = Docs::read(vec![("lib.rs".into(), OTHERS.to_owned())]);
        let of_crate = docs
            .items()
            .iter()
            .filter(|item| item.owner() == Some(kind));
        members.into_iter().chain(of_crate.cloned()).collect()
    }

    fn complete(text: &str) -> Vec<String> {
        let docs = Docs::read(Library::Carried.code());
        let known = Known {
            elsewhere: Box::new(elsewhere),
            docs: &docs,
            variables: vec![
                ("vit".to_owned(), "Arc<Model>".to_owned()),
                ("numbers".to_owned(), "Vec<i32>".to_owned()),
                ("mine".to_owned(), "Mine".to_owned()),
                ("t".to_owned(), "Tensor".to_owned()),
                ("options".to_owned(), "FitOptions".to_owned()),
            ],
            items: vec!["twice".to_owned()],
            own: Docs::of_session(
                "struct Mine { field: u8 } enum Way { Left, Right(u8) } impl Mine { fn grow(&self) {} fn new() -> Mine {} }",
            ),
        };
        let (start, candidates) = known.complete(text, text.len());
        assert!(text.is_char_boundary(start));
        candidates
            .into_iter()
            .map(|candidate| candidate.label)
            .collect()
    }

    #[test]
    fn names_in_scope_come_with_their_signatures() {
        assert_eq!(
            complete("let m = load_c")[0],
            "fn load_clip(name_or_path: &str) -> Result<Arc<Model>>"
        );
        assert_eq!(complete("vi"), ["vit: Arc<Model>"]);
        assert_eq!(complete("let x = Tens"), ["Tensor"]);
        assert_eq!(complete("é + twi"), ["twice"]);
        assert!(
            complete("FitOpt").contains(&"struct FitOptions<'a>".to_owned()),
            "{:?}",
            complete("FitOpt")
        );
    }

    #[test]
    fn members_of_modules_and_types_are_known() {
        assert!(
            complete("score::to")[0].starts_with("fn top("),
            "{:?}",
            complete("score::to")
        );
        assert!(complete("GeneratedSpec::unb")[0].starts_with("fn unbiased("));
        assert_eq!(complete("Granularity::To"), ["Tokens"]);
    }

    #[test]
    fn an_open_call_tells_what_it_still_takes() {
        let docs = Docs::read(Library::Carried.code());
        let known = Known {
            docs: &docs,
            variables: vec![("vit".to_owned(), "Arc<Model>".to_owned())],
            items: Vec::new(),
            own: Docs::default(),
            elsewhere: Box::new(elsewhere),
        };
        let open = |text: &str| known.open_call(text);
        let gives = ") -> Result<Arc<Contributions>>";
        let takes = |left: &str| Some(format!("{left}{gives}"));
        assert_eq!(
            open("let c = decompose("),
            takes("model: impl AsRef<Model>, set: impl DataSet, options: &DecomposeOptions")
        );
        assert_eq!(
            open("decompose(&vit"),
            takes(", set: impl DataSet, options: &DecomposeOptions")
        );
        assert_eq!(
            open("decompose(&vit, &[1, f(2)][0], "),
            takes("options: &DecomposeOptions")
        );
        assert_eq!(open("decompose(&vit, &set, &o"), takes(""));
        assert_eq!(open("vit.name(").as_deref(), Some(") -> &str"));
        assert_eq!(
            open("Tensor::zeros(").as_deref(),
            Some("shape: usize) -> Result<Self>")
        );
        for text in [
            "decompose(&vit)",
            "decompose(&DecomposeOptions { ",
            "nothing_known(",
        ] {
            assert_eq!(open(text), None, "{text}");
        }
    }

    #[test]
    fn methods_are_those_of_the_type() {
        assert!(complete("vit.nam")[0].starts_with("fn name(&self)"));
        assert_eq!(complete("numbers.len"), ["const fn len(&self) -> usize"]);
        assert_eq!(
            complete("numbers.windo"),
            ["fn windows(&self, size: usize) -> Windows<'_, T>"]
        );
        assert!(complete("numbers.exp").is_empty());
        // Of another crate: what its macros make too, along a chain of calls, and what takes no value after the type.
        assert_eq!(complete("t.ex"), ["fn exp(&self) -> Result<Self>"]);
        assert!(complete("t.matmul(&t)?.exp()?.mat")[0].starts_with("fn matmul(&self"));
        assert!(complete("t.zer").is_empty());
        assert!(complete("Tensor::zer")[0].starts_with("fn zeros("));
        assert!(complete("load(\"tiny_vit\")?.nam")[0].starts_with("fn name(&self)"));
        assert!(complete("nothing.le").is_empty());
    }

    #[test]
    fn own_types_fields_and_names_of_models_are_known() {
        assert_eq!(complete("mine."), ["field", "fn grow(&self)"]);
        assert_eq!(complete("Way::"), ["Left", "Right"]);
        assert!(complete("Mine::").iter().any(|one| one.contains("new")));
        assert!(
            complete("options.ep")
                .iter()
                .any(|one| one.contains("epochs"))
        );
        let zoo = [
            "tiny_clip",
            "tiny_dinov2",
            "tiny_maxvit",
            "tiny_swin",
            "tiny_vit",
        ];
        assert_eq!(complete("let vit = load(\"tiny"), zoo);
        assert_eq!(
            complete("load(\"dei").first().map(String::as_str),
            Some("deit")
        );
        assert!(
            complete("load(\"vit_small_patch14")
                .contains(&"vit_small_patch14_dinov2.lvd142m".to_owned())
        );
        assert!(complete("load_clip(\"ViT-B-32/").contains(&"ViT-B-32/openai".to_owned()));
        assert!(complete("load(\"tiny_vit\")?; vi")[0].starts_with("vit"));
    }
}
