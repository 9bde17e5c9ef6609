//! What could stand at the cursor: variables, what is defined and imported, what is in a module or type, methods.
//!
//! It is found in what the session knows anyway (the types of variables) and in the library's own sources
//! ([`crate::ide::docs`]); rust-analyzer would first read the sources of some 250 crates. Of the standard library only what
//! is used most is known here.

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

/// Methods of the types of the standard library that results are made of.
const METHODS: &[(&str, &[&str])] = &[
    ("Vec", SLICE),
    ("[", SLICE),
    (
        "String",
        &[
            "as_str()",
            "chars()",
            "contains()",
            "is_empty()",
            "len()",
            "lines()",
            "parse()",
            "push_str()",
            "replace()",
            "split()",
            "starts_with()",
            "to_lowercase()",
            "to_owned()",
            "trim()",
        ],
    ),
    (
        "str",
        &[
            "chars()",
            "contains()",
            "is_empty()",
            "len()",
            "lines()",
            "parse()",
            "repeat()",
            "replace()",
            "split()",
            "starts_with()",
            "to_lowercase()",
            "to_owned()",
            "to_string()",
            "trim()",
        ],
    ),
    (
        "Option",
        &[
            "as_ref()",
            "is_none()",
            "is_some()",
            "map()",
            "ok_or()",
            "ok_or_else()",
            "unwrap_or()",
            "unwrap_or_default()",
        ],
    ),
    (
        "Result",
        &[
            "as_ref()",
            "is_err()",
            "is_ok()",
            "map()",
            "map_err()",
            "ok()",
            "unwrap_or()",
            "unwrap_or_default()",
        ],
    ),
    (
        "HashMap",
        &[
            "contains_key()",
            "get()",
            "insert()",
            "is_empty()",
            "iter()",
            "keys()",
            "len()",
            "remove()",
            "values()",
        ],
    ),
    (
        "BTreeMap",
        &[
            "contains_key()",
            "first_key_value()",
            "get()",
            "insert()",
            "is_empty()",
            "iter()",
            "keys()",
            "len()",
            "remove()",
            "values()",
        ],
    ),
    (
        "Tensor",
        &[
            "abs()",
            "broadcast_add()",
            "broadcast_mul()",
            "broadcast_sub()",
            "cat()",
            "clone()",
            "device()",
            "dim()",
            "dims()",
            "dtype()",
            "exp()",
            "flatten_all()",
            "get()",
            "i()",
            "index_select()",
            "log()",
            "matmul()",
            "max()",
            "mean()",
            "mean_all()",
            "mean_keepdim()",
            "min()",
            "narrow()",
            "neg()",
            "powf()",
            "rank()",
            "reshape()",
            "shape()",
            "sqr()",
            "sqrt()",
            "squeeze()",
            "stack()",
            "sum()",
            "sum_all()",
            "sum_keepdim()",
            "t()",
            "to_device()",
            "to_dtype()",
            "to_scalar()",
            "to_vec1()",
            "to_vec2()",
            "to_vec3()",
            "transpose()",
            "unsqueeze()",
        ],
    ),
];

const SLICE: &[&str] = &[
    "binary_search()",
    "chunks()",
    "concat()",
    "contains()",
    "first()",
    "get()",
    "into_iter()",
    "is_empty()",
    "iter()",
    "iter_mut()",
    "join()",
    "last()",
    "len()",
    "push()",
    "sort()",
    "sort_by()",
    "split_at()",
    "to_vec()",
    "windows()",
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

/// What a session knows.
pub struct Known<'a> {
    pub docs: &'a Docs,
    /// Names and types of variables.
    pub variables: Vec<(String, String)>,
    /// Names of what was defined in the session.
    pub items: Vec<String>,
    /// What is known of these.
    pub own: Docs,
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
        let common = COMMON.iter().map(|word| common(word));
        let imported = self
            .docs
            .imported()
            .map(|item| self.docs.find(item).into_iter().next().map(candidate));
        variables
            .chain(items)
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
        candidates
    }

    /// The methods of what stands before a dot.
    fn methods(&self, receiver: &str) -> Vec<Candidate> {
        let Some(kind) = self.type_of(receiver.trim_end()) else {
            return Vec::new();
        };
        let kind = bare(&kind);
        let items = self.docs.items().iter().chain(self.own.items());
        let methods = items.filter(|item| {
            let of = item.path.iter().rev().nth(1);
            of.is_some_and(|of| *of == kind) && item.signature.contains("self")
        });
        let of_std = METHODS
            .iter()
            .filter(|(name, _)| *name == kind)
            .flat_map(|(_, methods)| methods.iter());
        let library = self.docs.find(&kind).into_iter().map(|item| (item, false));
        let own = self.own.find(&kind).into_iter().map(|item| (item, true));
        let fields = own.chain(library).flat_map(|(item, all)| {
            let names = fields(&item.signature, all).into_iter();
            names.map(|name| plain(&name, "property"))
        });
        methods
            .map(candidate)
            .chain(of_std.map(|name| plain(name, "function")))
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

    /// The item of the library that the text before an open bracket names.
    fn called(&self, before: &str) -> Option<&Item> {
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
        self.docs.find(&of).into_iter().next()
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

/// A word of the language or of the standard library.
fn common(word: &str) -> Candidate {
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
    use crate::library::sources::Library;

    fn complete(text: &str) -> Vec<String> {
        let docs = Docs::read(Library::Carried.code());
        let known = Known {
            docs: &docs,
            variables: vec![
                ("vit".to_owned(), "Arc<Model>".to_owned()),
                ("numbers".to_owned(), "Vec<i32>".to_owned()),
                ("mine".to_owned(), "Mine".to_owned()),
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
        assert_eq!(complete("numbers.le"), ["len()"]);
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
