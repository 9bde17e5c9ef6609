//! The SVG of charts, read back by an XML parser: that it is well formed whatever the labels, and that what can be pointed
//! at has a title with its name and value.

use candle_core::{Device, Tensor};
use image::RgbImage;
use proptest::prelude::*;
use roxmltree::{Document, Node};
use vitrepl_prelude::charts::*;
use vitrepl_prelude::decompose::{BlockPart, Component};
use vitrepl_prelude::trace::Block;

/// Everything that means something in XML or HTML, a control character, and a character that XML has no way to write.
const NASTY: &str = "<b>&amp; \"x\" 'y' ]]> \u{1b}[0m \u{ffff} </svg><script>";
const SHOWN: &str = "<b>&amp; \"x\" 'y' ]]>  [0m \u{fffd} </svg><script>";

fn titles(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).unwrap_or_else(|e| panic!("{e} in {svg}"));
    let title = |node: Node| {
        node.has_tag_name("title")
            .then(|| node.text().unwrap_or_default().to_owned())
    };
    document.descendants().filter_map(title).collect()
}

/// Texts that are drawn, not those that only the pointer shows.
fn drawn(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).unwrap();
    let texts = document
        .descendants()
        .filter(|node| node.tag_name().name() == "text");
    texts
        .map(|node| node.text().unwrap_or_default().trim().to_owned())
        .collect()
}

/// A long title is broken at its spaces.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn map(rows: usize, columns: usize) -> Tensor {
    let values: Vec<f32> = (0..rows * columns).map(|i| i as f32 / 10.0).collect();
    Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
}

fn picture() -> RgbImage {
    RgbImage::from_fn(40, 20, |x, y| image::Rgb([x as u8 * 5, y as u8 * 9, 90]))
}

#[test]
fn every_bar_has_a_title() {
    let chart = BarChart::new("t", "score")
        .bar("block 5 head 3", 0.123_456_78)
        .bar("init", -2.0);
    assert_eq!(
        titles(&chart.svg().unwrap()),
        ["block 5 head 3: 0.123457", "init: -2"]
    );
}

#[test]
fn every_grouped_bar_has_a_title_with_its_interval_or_that_it_is_missing() {
    let chart = GroupedBars::new("t", "accuracy", ["before", "after"])
        .group_between("worst", [(Some(0.5), Some((0.4, 0.6))), (None, None)]);
    let expected = ["worst, before: 0.5 [0.4, 0.6]", "worst, after: missing"];
    assert_eq!(titles(&chart.svg().unwrap()), expected);
}

#[test]
fn every_point_and_mark_has_a_title() {
    let chart = LineChart::new("t", "k", "accuracy")
        .line("worst", [(0.0, 0.5), (1.0, 0.25)])
        .mark(1.0, "chosen");
    let expected = ["chosen (k 1)", "worst: 0.5 at k 0", "worst: 0.25 at k 1"];
    assert_eq!(titles(&chart.svg().unwrap()), expected);
    // A line of more points than are drawn as dots answers at each of them all the same.
    let many = LineChart::new("t", "k", "y").line("l", (0..200).map(|i| (i as f64, i as f64)));
    assert_eq!(titles(&many.svg().unwrap()).len(), 200);
}

#[test]
fn every_patch_has_a_title_and_an_image_without_heat_its_caption() {
    let grid = HeatmapGrid::new("t", "value")
        .tile(Tile::new(picture(), "a cat").heat(&map(2, 3)).unwrap())
        .tile(Tile::new(picture(), "a dog"));
    let found = titles(&grid.svg().unwrap());
    assert_eq!(found.len(), 7);
    assert_eq!(found[5], "a cat: row 2, column 3: 0.5");
    assert_eq!(found[6], "a dog");
    // So many patches would make a page slow: then the range is shown.
    let tile = |i| {
        Tile::new(picture(), format!("image {i}"))
            .heat(&map(60, 60))
            .unwrap()
    };
    let grid = (0..6).fold(HeatmapGrid::new("t", "value"), |grid, i| grid.tile(tile(i)));
    let found = titles(&grid.svg().unwrap());
    assert_eq!(found.len(), 6);
    assert_eq!(found[2], "image 2: 0 to 359.9");
}

#[test]
fn patches_lie_where_their_pixels_are() {
    let grid = HeatmapGrid::new("t", "").tile(Tile::new(picture(), "x").heat(&map(2, 4)).unwrap());
    let scene = grid.scene().unwrap();
    let image = scene.shapes.iter().find_map(|shape| match *shape {
        Shape::Image {
            x,
            y,
            width,
            height,
            ..
        } => Some((x, y, width, height)),
        _ => None,
    });
    let (x, y, width, height) = image.unwrap();
    // The second row's first patch: half the height down.
    let expected = Area::Rect {
        x,
        y: y + height / 2.0,
        width: width / 4.0,
        height: height / 2.0,
    };
    assert_eq!(scene.hovers[4].area, expected);
}

#[test]
fn cells_of_a_table_have_titles_with_all_of_what_is_shortened() {
    let long = "word ".repeat(60);
    let table = Table::new("t")
        .columns(["model", "text"])
        .row(["vit", long.trim()]);
    let found = titles(&table.svg().unwrap());
    assert_eq!(
        found,
        [
            "vit".to_string(),
            format!("vit, text: {}", long.trim()),
            "model".into(),
            "text".into()
        ]
    );
}

#[test]
fn every_step_of_a_waterfall_has_a_title_with_where_it_leads() {
    let chart = Waterfall::new("t", "logit")
        .step("block 5 head 3", 2.0)
        .step("b", -0.5)
        .rest("7 others", 0.25)
        .total("cat");
    let expected = [
        "block 5 head 3: 2, which makes 2",
        "b: -0.5, which makes 1.5",
        "7 others: 0.25, which makes 1.75",
        "cat: 1.75",
    ];
    assert_eq!(titles(&chart.svg().unwrap()), expected);
}

fn head_grid(title: &str) -> HeadGrid {
    let at = |block, part| Component::Part {
        block: Block::at(block),
        part,
    };
    let values = [
        (at(0, BlockPart::Head(0)), 0.5),
        (at(0, BlockPart::Mlp), -0.25),
        (at(1, BlockPart::Head(0)), 0.0),
        (at(1, BlockPart::Head(1)), -1.5),
        // No part of a block, so that it has no cell.
        (Component::Init, 9.0),
    ];
    HeadGrid::new(title, "effect", values).unwrap()
}

#[test]
fn every_head_has_a_title() {
    let expected = [
        "block 0 head 0: 0.5",
        "block 0 mlp: -0.25",
        "block 1 head 0: 0",
        "block 1 head 1: -1.5",
    ];
    assert_eq!(titles(&head_grid("t").svg().unwrap()), expected);
    assert!(head_grid("t").to_string().contains("head 1"));
}

#[test]
fn a_grid_of_no_heads_and_a_waterfall_of_no_steps_say_what_to_give() {
    let empty = HeadGrid::new("t", "effect", [(Component::Init, 1.0)])
        .unwrap_err()
        .to_string();
    assert!(
        empty.contains("\"t\" has no cells; give values of heads"),
        "{empty}"
    );
    let empty = Waterfall::new("t", "logit").svg().unwrap_err().to_string();
    assert!(empty.contains(".step(label, value)"), "{empty}");
    let infinite = Waterfall::new("t", "logit")
        .step("a", f64::INFINITY)
        .svg()
        .unwrap_err()
        .to_string();
    assert!(infinite.contains("\"a\" is inf"), "{infinite}");
    let many = (0..80).fold(Waterfall::new("t", "logit"), |chart, _| {
        chart.step("a", 1.0)
    });
    assert!(
        many.svg()
            .unwrap_err()
            .to_string()
            .contains(".rest(label, value)")
    );
}

#[test]
fn labels_that_are_markup_stay_text() {
    let charts: Vec<(&str, String)> = vec![
        (
            "bars",
            BarChart::new(NASTY, NASTY).bar(NASTY, 1.0).svg().unwrap(),
        ),
        (
            "grouped",
            GroupedBars::new(NASTY, NASTY, [NASTY])
                .group(NASTY, [1.0])
                .svg()
                .unwrap(),
        ),
        (
            "line",
            LineChart::new(NASTY, NASTY, NASTY)
                .line(NASTY, [(0.0, 1.0)])
                .mark(0.0, NASTY)
                .svg()
                .unwrap(),
        ),
        (
            "heatmap",
            HeatmapGrid::new(NASTY, NASTY)
                .tile(Tile::new(picture(), NASTY))
                .svg()
                .unwrap(),
        ),
        (
            "waterfall",
            Waterfall::new(NASTY, NASTY)
                .step(NASTY, 1.0)
                .total(NASTY)
                .svg()
                .unwrap(),
        ),
        (
            "table",
            Table::new(NASTY)
                .columns([NASTY])
                .row([NASTY])
                .svg()
                .unwrap(),
        ),
    ];
    for (name, svg) in charts {
        assert!(
            titles(&svg).iter().any(|title| title.contains(SHOWN)),
            "{name}: {:?}",
            titles(&svg)
        );
        let document = Document::parse(&svg).unwrap();
        let label = document.root_element().attribute("aria-label");
        assert_eq!(words(label.unwrap()), words(SHOWN), "{name}");
        assert!(
            drawn(&svg)
                .iter()
                .any(|text| text.contains("</svg><script>")),
            "{name}"
        );
        assert!(
            !document
                .descendants()
                .any(|node| node.tag_name().name() == "script"),
            "{name}"
        );
    }
}

#[test]
fn a_page_has_the_svg_with_its_titles_and_the_png_for_where_it_is_taken_out() {
    let blocks = BarChart::new(NASTY, "score").bar("a & b", 1.0).blocks();
    let html = blocks
        .strip_prefix("EVCXR_BEGIN_CONTENT text/html\n")
        .unwrap();
    let html = html.split("\nEVCXR_END_CONTENT").next().unwrap();
    // HTML has no end of an image.
    let html = html.replace("\"></div>", "\"/></div>");
    let page = Document::parse(&html).unwrap();
    let named = |name: &'static str| {
        page.descendants()
            .filter(move |node| node.tag_name().name() == name)
    };
    assert_eq!(named("svg").count(), 1);
    assert_eq!(named("title").next().unwrap().text(), Some("a & b: 1"));
    let image = named("img").next().unwrap();
    assert!(
        image
            .attribute("src")
            .unwrap()
            .starts_with("data:image/png;base64,iVBOR")
    );
    // What shows the one and hides the other goes with the SVG, whose texts stay hidden where it is taken out.
    let svg = named("svg").next().unwrap().parent().unwrap();
    assert_eq!(svg.attribute("hidden"), Some("hidden"));
    let style = named("style").next().unwrap();
    assert!(
        style
            .ancestors()
            .any(|node| node.tag_name().name() == "svg")
    );
    assert!(
        style
            .text()
            .unwrap()
            .contains(".vitrepl-chart>img{display:none}")
    );
    assert_eq!(named("script").count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    /// Whatever a label is, the SVG is well formed and has as many titles as bars.
    #[test]
    fn any_label_is_well_formed(labels in proptest::collection::vec(any::<String>(), 1..8)) {
        let chart = labels.iter().fold(BarChart::new(&labels[0], &labels[0]), |chart, label| chart.bar(label, 1.0));
        prop_assert_eq!(titles(&chart.svg().unwrap()).len(), labels.len());
    }
}
