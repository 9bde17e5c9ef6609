//! `report("run.html")`: the page of a session, from a script and from statements on standard input.

mod desk;

use desk::Desk;

const SCRIPT: &str = r##"// # A run
// of *words* and $a < b$.

println!("six times seven <is>");
6 * 7

BarChart::new("Who & what?", "score").bar("block 5 head 3", 0.5)

Table::new("T").columns(["a", "b"]).row(["1", "x & y"])

report("run.html")?
"##;

/// The parts of the page in their order, each behind the one before.
fn in_order(page: &str, parts: &[&str]) {
    let mut from = 0;
    for part in parts {
        let found = page[from..].find(part);
        let at =
            found.unwrap_or_else(|| panic!("{part:?} is not behind {:?}", &page[..from.min(2000)]));
        from += at + part.len();
    }
}

fn check(page: &str) {
    in_order(
        page,
        &[
            "println!(&quot;six times seven &lt;is&gt;&quot;);",
            "six times seven &lt;is&gt;",
            "42",
            "BarChart::new(&quot;Who &amp; what?&quot;",
            "<svg",
            "<title>block 5 head 3: 0.5</title>",
            "<td style=\"text-align:left\">x &amp; y</td>",
            "vitrepl",
        ],
    );
    // It stands alone: nothing is fetched, nothing runs.
    assert!(!page.contains("<script"));
    for fetched in ["src=\"http", "href=\"http", "url("] {
        assert!(!page.contains(fetched), "{fetched}");
    }
}

#[test]
fn a_script_writes_its_page() {
    let desk = Desk::new(&[("run.rs", SCRIPT)]);
    desk.run(&["run.rs"])
        .ends_with(0)
        .says("run.html: ")
        .says("1 picture");
    let page = std::fs::read_to_string(desk.path("run.html")).unwrap();
    check(&page);
    in_order(&page, &["<h1>A run</h1>", "<em>words</em>", "println!"]);
}

/// Comments between the statements of a prompt are no statements, so that they are not on its page.
#[test]
fn a_session_writes_its_page_again_and_again_and_says_what_cannot_be() {
    let desk = Desk::new(&[]);
    let statements = format!(
        "report(\"run.html\")\n{SCRIPT}fn keep() -> Result<()> {{ report(\"again.html\").map(drop) }}\nkeep()?\nreport(\"run.txt\")?\n"
    );
    let ran = desk.pipe(&statements);
    ran.says("nothing to write").complains("ends in .html");
    check(&std::fs::read_to_string(desk.path("run.html")).unwrap());
    // What came after the first page is on the second, which a function of one's own has written.
    let again = std::fs::read_to_string(desk.path("again.html")).unwrap();
    check(&again);
    assert!(again.contains("fn keep()") && again.contains("run.html: "));
}
