//! The page of a session whose program keeps no record of it, as under stock evcxr: what the library has shown.

use roxmltree::Document;
use vitrepl_prelude::prelude::*;

#[test]
fn what_was_shown_is_on_the_page_in_order_and_nothing_else_is_needed() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("of a day/run.html");
    let refused = |path: &std::path::Path, parts: &[&str]| {
        let error = report(path).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    refused(&path, &["nothing to write", "display a chart"]);
    assert!(!path.exists());

    BarChart::new("First & <b>", "score")
        .bar("block 5 head 3", 0.5)
        .evcxr_display();
    Table::new("Second")
        .columns(["a"])
        .row(["x & y"])
        .evcxr_display();
    GeneratedSet::new(GeneratedSpec::unbiased(1, 10))?.evcxr_display();
    refused(&folder.path().join("run.pdf"), &["run.pdf", ".html"]);
    let written = report(&path)?;
    assert_eq!((written.cells, written.pictures), (3, 2));
    assert!(
        written.to_string().contains("3 cells, 2 pictures"),
        "{written}"
    );

    let page = std::fs::read_to_string(&path).unwrap();
    assert_eq!(page.len(), written.bytes);
    let at = |part: &str| page.find(part).unwrap_or_else(|| panic!("no {part}"));
    assert!(at("<title>block 5 head 3: 0.5</title>") < at("x &amp; y"));
    assert!(at("x &amp; y") < at("aria-label=\"generated seed 1"));
    assert!(!page.contains("<script"));
    // Pictures stand as SVG once, not as PNG too, and are well formed.
    let pictures: Vec<&str> = page.split("<div class=\"value\"><svg").skip(1).collect();
    assert_eq!(pictures.len(), 2);
    for picture in pictures {
        let svg = format!("<svg{}", picture.split("</div>").next().unwrap());
        let document = Document::parse(svg.trim()).unwrap();
        assert!(
            document
                .descendants()
                .any(|node| node.has_tag_name("title"))
        );
    }
    // Again, with more on it.
    LineChart::new("Third", "k", "accuracy")
        .line("l", [(0.0, 1.0), (1.0, 2.0)])
        .evcxr_display();
    assert_eq!(report(&path)?.pictures, 3);
    Ok(())
}
