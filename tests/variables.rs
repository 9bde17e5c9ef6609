//! What later cells find: variables that were moved and put back, those that were really moved, what a cell that fails
//! leaves, and what happens to values when something is defined anew.

mod desk;

use desk::{Desk, Ran, Terminal, alone};
use expectrl::ControlCode;

/// What comes of statements from a pipe.
fn piped(statements: &str) -> Ran {
    Desk::new(&[]).pipe(statements)
}

#[test]
fn what_is_moved_and_put_back_stays() {
    piped(
        r#"use candle_core::{Device, Tensor};
let mut z = Tensor::ones(3, candle_core::DType::F32, &Device::Cpu)?;
z = (z * 2.)?;
for _ in 0..2 { z = (z + 1.)?; }
if z.dims1()? == 3 { z = (z * 10.)?; }
z.to_vec1::<f32>()?
let mut w = vec![3, 1, 2];
w = w.into_iter().map(|x| x * 2).collect();
w = w.into_iter().filter(|x| *x > 2).collect(); println!("within {}", w.len());
w
struct Builder(Vec<u8>);
impl Builder { fn add(mut self, x: u8) -> Self { self.0.push(x); self } }
let mut builder = Builder(Vec::new());
for x in 0..3 { builder = builder.add(x); }
if builder.0.len() == 3 { builder = builder.add(9) } else { builder = builder.add(7) }
builder.0
let mut own = String::from("a"); own = own + "b"; own = own + "c"; println!("{own}");
own
"#,
    )
    .ends_with(0)
    .says("[40.0, 40.0, 40.0]\n")
    .says("within 2\n[6, 4]\n")
    .says("[0, 1, 2, 9]\n")
    .says("abc\n\"abc\"\n");
}

#[test]
fn what_is_moved_is_named_at_once_and_when_it_is_used_and_comes_back() {
    let ran = piped(
        r#"let v = vec![1, 2]; let kept = 5;
let w = v;
v.len()
v = vec![7, 8, 9];
v.len() + 100
let pair = (vec![1], vec![2]); let first = pair.0;
pair.1
if let Some(text) = Some(String::new()) { drop(w); }
println!("{}", w.len());
std::thread::spawn(move || kept).join().unwrap()
kept + 200
"#,
    );
    ran.ends_with(1)
        .complains("note: `v` was moved by `let w = v;`\n")
        .complains("Error: `v` was moved by `let w = v;`\n")
        .says("103\n")
        .complains("note: `pair` was moved by `let first = pair.0;`\n")
        .complains("note: `w` was moved by `if let Some(text)")
        .complains("Error: `w` was moved by `if let Some(text)")
        .says("205\n");
    assert_eq!(ran.err.matches("note: ").count(), 3, "{ran:#?}");
}

#[test]
fn what_borrows_runs_and_it_is_said_that_it_is_not_kept() {
    let ran = piped(
        r#"let words = vec![String::from("one"), String::from("two")]; let lock = std::sync::Mutex::new(1);
let first = &words[0]; println!("first is {first}");
let (longest, count) = (words.iter().max_by_key(|word| word.len()).unwrap(), 2u8); println!("longest is {longest}");
let temporary = &String::from("temporary"); println!("it is {temporary}");
let guard = lock.lock().unwrap(); println!("guarded {}", *guard);
let add = |x: i32| x + 1; println!("added {}", add(2));
let mut sorted: Vec<&String> = words.iter().collect(); sorted.sort(); println!("sorted {sorted:?}");
count as usize + words.len() + *lock.lock().unwrap() as usize
first
add
"#,
    );
    ran.ends_with(1)
        .says("first is one\nlongest is two\nit is temporary\nguarded 1\nadded 3\n")
        .says("sorted [\"one\", \"two\"]\n5\n")
        .complains("Error: `first` was not kept: it borrowed from its cell")
        .complains("Error: `add` was not kept: its type has no name");
    for name in ["first", "longest", "temporary", "guard", "sorted"] {
        let note = format!("note: `{name}` is not kept: it borrows from its cell; keep a copy");
        ran.complains(&note);
    }
    assert_eq!(ran.err.matches("Error:").count(), 2, "{ran:#?}");
}

#[test]
fn a_cell_that_fails_leaves_what_it_had_made() {
    let ran = piped(
        r#"let old = vec![1]; let changed = 1;
let a = vec![1, 2]; let changed = "new"; let b: i32 = "x".parse()?; let c = 1;
a.len() + old.len()
changed
let d = 4; let e: Option<u8> = None; e.unwrap();
d
let a = a.len(); let f = old; panic!("after moving");
(a, f)
old
let mut s = String::from("s"); s = { let n: i32 = "y".parse()?; s + &n.to_string() };
s
c
"#,
    );
    ran.ends_with(1)
        .says("3\n\"new\"\n4\n(2, [1])\n")
        .complains("note: `old` was moved by `let f = old;`")
        .complains("note: `s` was used up by `s = {")
        .complains("cannot find value `c`");
}

#[test]
fn a_cell_that_is_interrupted_leaves_what_it_had_made() {
    let _alone = alone();
    let mut terminal = Terminal::open();
    terminal.types(r#"let vit = load("tiny_vit")?; let many = GeneratedSet::new(GeneratedSpec::unbiased(4, 100_000))?;"#);
    terminal.types("let made = 700 + 7; let z = embed_images(&vit, &many)?; let never = 1;");
    terminal.shows("embed tiny_vit");
    std::thread::sleep(std::time::Duration::from_secs(1));
    terminal.presses(ControlCode::EndOfText);
    terminal.shows("interrupted");
    terminal.types("made + 1000");
    terminal.shows("1707");
    terminal.types(":quit");
    terminal.ends();
}

#[test]
fn a_variable_that_holds_an_error_says_so() {
    let ran = piped(
        "let vit = load(\"typo\");\nlet fine = load(\"tiny_vit\");\n:vars\nlet fine = fine?; let vit = vit.is_err();\n:vars\n",
    );
    ran.ends_with(0)
        .complains("note: `vit` holds an error: unknown model \"typo\"")
        .says("vit: Result<Arc<Model>, Error> = Err(unknown model \"typo\"")
        .says("fine: Result<Arc<Model>, Error>\n")
        .says("vit: bool\n");
    assert!(!ran.err.contains("`fine` holds"), "{ran:#?}");
}

#[test]
fn an_underscore_is_the_last_result() {
    let ran = piped(
        r#"_ + 1
"#,
    );
    ran.ends_with(1)
        .complains("`_` is the last result: there is none yet");
    let ran = piped(
        r#"1 + 1
_ + 40
println!("it is {}", _)
let double = _ * 2; _ = double;
_ + double
let v = vec![1, 2, 3];
v
_.len() + 1000
v.len()
v.iter()
_ + 2000
format!("{}b", "a")
_ + "c"
_.len() + 3000
struct Own(u8);
vec![Some(Own(7)).map(|own| own.0)]
struct Own(u8, u8);
_.len() + 4000
"x".parse::<u8>()
_.is_err()
:vars
"#,
    );
    ran.ends_with(0)
        .says("2\n42\nit is 42\n")
        .says("\n126\n")
        .says("\n1003\n3\n")
        .says("\n2003\n")
        .says("\"ab\"\n\"abc\"\n3003\n")
        .says("\n4001\n")
        .says("\ntrue\n")
        .says("v: Vec<i32>");
    assert!(
        !ran.out.contains("Result<u8") && !ran.err.contains("holds an error"),
        "{ran:#?}"
    );
}

#[test]
fn values_of_what_is_defined_anew_are_dropped_at_any_depth_and_named() {
    for (first, then) in [
        ("struct P { x: f32 }", "struct P { x: u8, y: [u64; 4] }"),
        (
            "const N: usize = 1; struct P([u8; N]);",
            "const N: usize = 64;",
        ),
        ("enum P { A }", "enum P { B(u64), A }"),
        ("type P = u8;", "type P = [u64; 9];"),
        (
            "trait Has { type X; } struct K; impl Has for K { type X = u8; } struct P(<K as Has>::X);",
            "impl Has for K { type X = [u64; 8]; }",
        ),
        (
            "macro_rules! make { ($n:ident) => { struct $n(u8); } } make!(P);",
            "macro_rules! make { ($n:ident) => { struct $n([u64; 8]); } }",
        ),
        (
            "trait P { fn a(&self) -> u8 { 1 } }",
            "trait P { fn z(&self) -> u8 { 2 } fn a(&self) -> u8 { 3 } }",
        ),
    ] {
        let holder = if first.starts_with("trait P") {
            "impl P for u8 {} struct Line(Box<dyn P>);"
        } else {
            "struct Line(Option<P>);"
        };
        let value = if first.starts_with("trait P") {
            "Line(Box::new(1u8))"
        } else {
            "Line(None)"
        };
        let ran = piped(&format!(
            "{first}\n{holder}\nlet deep = vec![{value}]; let other = 5;\ndeep.len() + 10\nstruct P {{ broken\n}}\n\
             struct Wrong {{ x: Missing }}\ndeep.len() + 20\n{then}\ndeep\nother + 30\n"
        ));
        ran.ends_with(1)
            .says("11\n21\n")
            .complains(
                "note: `deep` was dropped: its type Vec<Line> depends on what was defined anew",
            )
            .complains("Error: `deep` was dropped")
            .says("35\n");
    }
}

#[test]
fn what_is_run_twice_gives_what_one_run_gives() {
    let cell = r#"#[derive(Debug, Clone)] struct Pair { a: u8, b: u8 }
impl Pair { fn sum(&self) -> u8 { self.a + self.b } }
impl From<u8> for Pair { fn from(a: u8) -> Self { Pair { a, b: 1 } } }
use std::collections::{BTreeMap as Map, HashSet};
fn double(x: u8) -> u8 { 2 * x }
macro_rules! triple { ($x:expr) => { 3 * $x } }
const LIMIT: u8 = triple!(4);
let pair: Pair = 6.into();
println!("{} {} {}", double(pair.sum()), LIMIT, Map::<u8, HashSet<u8>>::new().len());
"#;
    let ran = piped(&format!("{cell}{cell}{cell}pair.sum() + 100\n"));
    ran.ends_with(0);
    assert_eq!(
        ran.out,
        format!("{}107\n", "14 12 0\n".repeat(3)),
        "{ran:#?}"
    );
    assert_eq!(ran.err, "");
    let desk = Desk::new(&[("twice.rs", cell)]);
    desk.pipe(":load twice.rs\n:reload\npair.sum() + 100\n")
        .ends_with(0)
        .says("107\n");
}

#[test]
fn a_changed_method_is_used_by_older_values() {
    piped(
        "struct P { x: u8 }\nimpl P { fn a(&self) -> u8 { self.x } fn b(&self) -> u8 { self.x * 2 } }\nlet p = P { x: 7 };\n\
         impl P { fn a(&self) -> u8 { self.x + 100 } }\n(p.a(), p.b())\n",
    )
    .ends_with(0)
    .says("(107, 14)\n");
}

#[test]
fn macros_that_make_items_work_in_later_cells_and_unused_ones_are_silent() {
    let ran = piped(
        r#"macro_rules! model { ($(#[$m:meta])* $n:ident { $($f:ident: $t:ty),* }) => { $(#[$m])* struct $n { $($f: $t),* } impl $n { fn name() -> &'static str { stringify!($n) } } } }
macro_rules! unused { ($x:expr) => { no_such_function($x) } }
model! { #[derive(Debug)] Tiny { width: usize } }
model!(Big { depth: u8 });
macro_rules! five { () => { 5 } } fn uses() -> usize { five!() }
Tiny { width: uses() }

(Big::name(), Big { depth: 1 }.depth)
let wrong: u8 = "";
macro_rules! five { () => { 6 } }
uses()
"#,
    );
    ran.ends_with(1)
        .says("Tiny { width: 5 }\n(\"Big\", 1)\n6\n")
        .complains("mismatched types");
    assert!(!ran.err.contains("unused"), "{ran:#?}");
    assert_eq!(ran.err.matches("Error:").count(), 1, "{ran:#?}");
}

#[test]
fn a_static_is_one_over_all_cells() {
    piped(
        r#"use std::sync::{Mutex, atomic::{AtomicU32, Ordering::SeqCst}};
static COUNT: AtomicU32 = AtomicU32::new(10); static NAMES: Mutex<Vec<&str>> = Mutex::new(Vec::new());
static mut PLAIN: u32 = 1;
fn next() -> u32 { static INNER: AtomicU32 = AtomicU32::new(0); INNER.fetch_add(1, SeqCst) }
COUNT.fetch_add(1, SeqCst); next(); NAMES.lock().unwrap().push("a"); unsafe { PLAIN += 1; }
COUNT.fetch_add(1, SeqCst); next(); NAMES.lock().unwrap().push("b"); unsafe { PLAIN += 1; }
(COUNT.load(SeqCst), next(), NAMES.lock().unwrap().join("+"), unsafe { PLAIN })
std::process::abort();
(COUNT.load(SeqCst), next())
COUNT.fetch_add(1, SeqCst);
(COUNT.load(SeqCst), next())
"#,
    )
    .ends_with(1)
    .says("(12, 2, \"a+b\", 3)\n")
    .says("(10, 0)\n(11, 1)\n");
}

#[test]
fn errors_of_the_user_are_told_as_before() {
    let ran = piped(
        r#"let words = vec![String::from("a")];
let a = words; let b = words;
words.len()
let mut x = 5; let y = &mut x; let z = &mut x; *y = 1; *z = 2;
let fixed = 1; fixed = 2;
let late; if words.is_empty() { late = 1 } else { late = 2 }
late + 100
fn area(x: f64) -> f64 { x } struct Round;
fn area(x: f64, y: f64) -> f64 { x * y } fn user() -> f64 { area(1.0) }
struct Round(u8); fn of() -> Round { Round }
"#,
    );
    ran.ends_with(1)
        .complains("use of moved value: `words`")
        .says("1\n")
        .complains("cannot borrow `x` as mutable more than once")
        .complains("becomes mutable by: let mut x = x;")
        .says("102\n")
        .complains("this function takes 2 arguments but 1 argument was supplied")
        .complains("mismatched types");
    for line in ["vitrepl_runtime", "closure", "'static"] {
        assert!(!ran.err.contains(line), "{line}: {ran:#?}");
    }
}

#[test]
fn values_outlive_the_adding_of_a_crate_unless_their_types_are_others_with_it() {
    let manifest = "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2021\"\n";
    let other = manifest.replace("tiny", "other");
    let desk = Desk::new(&[
        ("first/Cargo.toml", manifest),
        ("first/src/lib.rs", "pub struct Own(pub u8);"),
        ("second/Cargo.toml", manifest),
        ("second/src/lib.rs", "pub struct Own(pub u64, pub u8);"),
        ("other/Cargo.toml", &other),
        ("other/src/lib.rs", ""),
    ]);
    let dep =
        |name: &str, folder: &str| format!(":dep {name} = {{ path = {:?} }}", desk.path(folder));
    let statements = [
        "struct P(u8); let p = P(3); let plain = 4u8;",
        &dep("tiny", "first"),
        "p.0 + 100",
        "struct Deep(Vec<tiny::Own>); let deep = Deep(vec![]); let own = tiny::Own(7); use tiny::Own as Same;",
        "struct Named(Option<Same>); let named = Named(None);",
        &dep("other", "other"),
        "deep.0.len() + own.0 as usize + 200 + named.0.is_none() as usize",
        &dep("tiny", "second"),
        "p.0 + plain + 100",
        "let own = tiny::Own(1, 9); own.1 + 200",
        "named",
    ];
    let ran = desk.pipe(&(statements.join("\n") + "\n"));
    ran.ends_with(1)
        .says("103\n208\n107\n209\n")
        .complains("note: `deep` was dropped: its type Deep depends on what was defined anew")
        .complains("note: `own` was dropped")
        .complains("note: `named` was dropped")
        .complains("Error: `named` was dropped");
    assert_eq!(ran.err.matches("note: ").count(), 3, "{ran:#?}");
}
