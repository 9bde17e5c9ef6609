//! Charts: what they write, that nothing is cut off, and what they refuse. The pictures of the gallery are left in
//! `target/tmp/charts` to be looked at.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use candle_core::{Device, Tensor};
use image::RgbImage;
use proptest::prelude::*;
use vitrepl_prelude::Result;
use vitrepl_prelude::charts::*;

fn ranked(n: usize) -> BarChart {
    let mut chart = BarChart::new(
        "Components by location less shape, ViT of the embedded zoo",
        "variance attributed: location - shape",
    );
    for i in 0..n {
        let name = match i % 4 {
            0 => format!("block {} mlp", i / 4),
            h => format!("block {} head {h}", i / 4),
        };
        chart = chart.bar(name, 0.62 - 0.9 * (i as f64 / n as f64).sqrt());
    }
    chart.emphasise(["block 0 mlp", "block 0 head 1", "block 0 head 2"])
}

fn groups(series: &[&str]) -> GroupedBars {
    let mut chart = GroupedBars::new(
        "Accuracy by group, before and after 10 of 43 components are switched off",
        "accuracy",
        series.iter().copied(),
    );
    for (i, label) in [
        "circle, on sand",
        "circle, on grass",
        "square, on sand",
        "square, on grass",
        "worst",
        "average",
    ]
    .iter()
    .enumerate()
    {
        chart = chart.group(
            *label,
            (0..series.len()).map(|s| 0.99 - 0.07 * i as f64 + 0.03 * s as f64),
        );
    }
    chart
}

fn lines() -> LineChart {
    LineChart::new(
        "Choosing k on the validation split",
        "components switched off",
        "accuracy",
    )
    .line(
        "worst group",
        (0..=21).map(|k| (k as f64, 0.65 + 0.02 * k as f64 - 0.0011 * (k * k) as f64)),
    )
    .line(
        "average",
        (0..=21).map(|k| (k as f64, 0.83 + 0.01 * k as f64 - 0.0006 * (k * k) as f64)),
    )
    .mark(9.0, "chosen: k = 9")
}

fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (dx, dy) = (
            x as f32 / width as f32 - 0.5,
            y as f32 / height as f32 - 0.4,
        );
        match dx * dx + dy * dy < 0.06 {
            true => image::Rgb([210, 60, 50]),
            false => image::Rgb([90 + (x * 7 % 40) as u8, 140 + (y * 5 % 30) as u8, 90]),
        }
    })
}

fn heatmaps() -> HeatmapGrid {
    let mut grid = HeatmapGrid::new(
        "Tokens that matter for shape",
        "contribution of the token to the text's direction",
    );
    for i in 0..7 {
        let values: Vec<f32> = (0..64)
            .map(|t| {
                let (x, y) = ((t % 8) as f32 - 3.5, (t / 8) as f32 - 2.7);
                (-(x * x + y * y) / (2.0 + i as f32)).exp() * (1.0 - 0.05 * i as f32)
            })
            .collect();
        let map = Tensor::from_vec(values, (8, 8), &Device::Cpu).unwrap();
        let size = [(48, 48), (224, 224), (300, 200)][i % 3];
        let caption = [
            "a red circle on sand",
            "a photo of a rather large striped pentagon in the upper left corner",
        ][i % 2];
        grid = grid.tile(
            Tile::new(picture(size.0, size.1), caption)
                .heat(&map)
                .unwrap(),
        );
    }
    grid
}

fn table() -> Table {
    Table::new("Accuracy before → after")
        .columns([
            "model",
            "k",
            "worst group",
            "average",
            "random k, worst (mean of 20)",
        ])
        .row(["ViT", "10", "0.654 → 0.770", "0.827 → 0.886", "0.570"])
        .row([
            "DINOv2 style, with LayerScale",
            "7",
            "0.912 → 0.931",
            "0.944 → 0.951",
            "0.803",
        ])
        .row([
            "CLIP, zero-shot & <prompts>",
            "12",
            "0.507 → 0.744",
            "0.727 → 0.790",
            "–",
        ])
}

#[test]
fn gallery_is_written_whole() -> Result<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("charts");
    let charts: Vec<(&str, Box<dyn Chart>)> = vec![
        ("bars", Box::new(ranked(16))),
        ("bars_many", Box::new(ranked(75))),
        (
            "bars_one",
            Box::new(BarChart::new("One", "score").bar("init", -0.004)),
        ),
        ("grouped", Box::new(groups(&["before", "after", "random"]))),
        ("grouped_two", Box::new(groups(&["before", "after"]))),
        (
            "grouped_many",
            Box::new(groups(&[
                "ViT",
                "DINO",
                "DINOv2",
                "Swin",
                "MaxViT",
                "CLIP",
                "a seventh with a long name",
                "8",
                "9",
                "10",
                "11",
            ])),
        ),
        ("line", Box::new(lines())),
        ("heatmap", Box::new(heatmaps())),
        (
            "heatmap_one",
            Box::new(
                HeatmapGrid::new("One image and no heat", "")
                    .tile(Tile::new(picture(64, 64), "plain")),
            ),
        ),
        ("table", Box::new(table())),
    ];
    for (name, chart) in charts {
        let scene = chart.scene()?;
        assert!(scene.nothing_cut_off(), "{name}");
        chart.write(&folder.join(format!("{name}.svg")))?;
        chart.write(&folder.join(format!("{name}.png")))?;
        let svg = std::fs::read_to_string(folder.join(format!("{name}.svg"))).unwrap();
        assert!(
            svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"),
            "{name}"
        );
        assert!(
            svg.contains(&format!("width=\"{}\"", scene.width)),
            "{name}"
        );
        let png = image::open(folder.join(format!("{name}.png"))).unwrap();
        assert_eq!(png.width(), (2.0 * scene.width).round() as u32, "{name}");
        let colours: std::collections::HashSet<_> = png.to_rgb8().pixels().map(|p| p.0).collect();
        assert!(colours.len() > 20, "{name} has {} colours", colours.len());
        println!("{}", chart.text());
    }
    Ok(())
}

#[test]
fn notebook_blocks_are_read_by_evcxr() -> Result<()> {
    let text = lines().blocks();
    let mut forms = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (first, tail) = rest.split_once('\n').unwrap();
        let (data, tail) = tail.split_once("\nEVCXR_END_CONTENT\n").unwrap();
        forms.push((first.strip_prefix("EVCXR_BEGIN_CONTENT ").unwrap(), data));
        rest = tail;
    }
    let kinds: Vec<&str> = forms.iter().map(|f| f.0).collect();
    let expected = ["text/html", "image/svg+xml", "image/png", "text/plain"];
    assert_eq!(kinds, expected);
    assert!(forms[0].1.contains(lines().svg()?.trim_end()));
    assert_eq!(forms[1].1, lines().svg()?.trim_end());
    assert_eq!(BASE64_STANDARD.decode(forms[2].1).unwrap(), lines().png()?);
    assert!(forms[3].1.contains("chosen: k = 9"));
    assert!(
        table()
            .blocks()
            .starts_with("EVCXR_BEGIN_CONTENT text/html\n<table>")
    );
    Ok(())
}

#[test]
fn tables_take_every_form() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    for extension in ["csv", "html", "txt", "png", "SVG"] {
        table().save(folder.path().join(format!("t.{extension}")))?;
    }
    assert!(table().html().contains("zero-shot &amp; &lt;prompts&gt;"));
    assert!(
        table()
            .csv()
            .contains("\"CLIP, zero-shot & <prompts>\",12,")
    );
    let text = table().to_string();
    assert!(
        text.contains("│") && text.contains("0.654 → 0.770"),
        "{text}"
    );
    Ok(())
}

#[test]
fn text_shows_lengths() {
    let chart = BarChart::new("t", "score")
        .bar("full", 1.0)
        .bar("größer half", -0.5)
        .bar("none", 0.0);
    let text = chart.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1], format!("       full {} 1.000", "█".repeat(40)));
    assert_eq!(lines[2], format!("größer half {} -0.500", "░".repeat(20)));
    assert_eq!(lines[3], "       none  0");
}

#[test]
fn what_cannot_be_drawn_is_named() {
    let fails = |result: Result<()>, expected: &str| {
        let text = result.unwrap_err().to_string();
        assert!(text.contains(expected), "{text:?} lacks {expected:?}");
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let chart = || BarChart::new("A title", "score").bar("a", 1.0);
    fails(chart().save(path("a.gif")), "png, svg, not \"gif\"");
    fails(chart().save(path("a")), "png, svg, not \"\"");
    fails(
        table().save(path("a.jpeg")),
        "csv, html, md, pdf, png, svg, tex, txt",
    );
    fails(
        BarChart::new("A title", "score").save(path("a.png")),
        "\"A title\" has no bars",
    );
    fails(
        chart().bar("b", f64::NAN).save(path("a.png")),
        "\"b\" is NaN",
    );
    fails(groups(&[]).save(path("a.png")), "has no bars");
    fails(
        groups(&["x"]).group("y", [1.0, 2.0]).save(path("a.png")),
        "2 values for 1 series",
    );
    fails(
        LineChart::new("L", "x", "y").save(path("a.png")),
        "\"L\" has no points",
    );
    fails(
        lines()
            .line("z", [(0.0, f64::INFINITY)])
            .save(path("a.png")),
        "\"z\" has a point",
    );
    fails(
        HeatmapGrid::new("H", "").save(path("a.png")),
        "\"H\" has no images",
    );
    fails(Table::new("T").save(path("a.png")), "\"T\" is empty");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let flat = Tensor::zeros((4, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
    fails(Tile::of_pixels(&flat, "x").map(drop), "3 x height x width");
    // A value at the end of a cell shows why instead of a picture.
    assert!(
        BarChart::new("A title", "score")
            .blocks()
            .contains("text/plain\nchart: \"A title\" has no bars")
    );
}

#[test]
fn pixels_become_an_image() -> Result<()> {
    let white = Tensor::ones((3, 8, 8), candle_core::DType::F32, &Device::Cpu)?;
    let grid = HeatmapGrid::new("White", "").tile(Tile::of_pixels(&white, "white")?);
    let scene = grid.scene()?;
    let tile = scene.shapes.iter().find_map(|s| match s {
        Shape::Image { image, .. } => Some(image),
        _ => None,
    });
    assert!(tile.unwrap().pixels().all(|p| p.0 == [255, 255, 255]));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    /// Whatever the labels and values, no text leaves the canvas.
    #[test]
    fn nothing_is_cut_off(
        labels in proptest::collection::vec("[a-zA-ZäöüΣ ,0-9]{0,90}", 1..30),
        title in "[a-zA-Z ]{0,150}",
        power in -9i32..9,
        signs in 0usize..3,
        many in 1usize..9,
    ) {
        let value = |i: usize| {
            let v = (1.0 + i as f64 * 1.37) * 10f64.powi(power);
            match signs { 0 => v, 1 => -v, _ if i.is_multiple_of(2) => v, _ => -v }
        };
        let mut bars = BarChart::new(&title, &title);
        let mut groups = GroupedBars::new(&title, &title, labels.iter().take(many));
        let mut lines = LineChart::new(&title, &title, &title).mark(value(0), &title).mark(value(1), "k");
        let mut grid = HeatmapGrid::new(&title, &title).columns(many);
        let mut table = Table::new(&title).columns(&labels[..labels.len().min(many)]);
        for (i, label) in labels.iter().enumerate() {
            bars = bars.bar(label, value(i));
            groups = groups.group(label, (0..many.min(labels.len())).map(|s| value(i + s)));
            lines = lines.line(label, [(value(i), value(i + 1)), (value(i + 2), value(i))]);
            grid = grid.tile(Tile::new(picture(12, 9), label));
            table = table.row([label, &format!("{}", value(i))]);
        }
        prop_assert!(bars.scene().unwrap().nothing_cut_off());
        prop_assert!(groups.scene().unwrap().nothing_cut_off());
        prop_assert!(lines.scene().unwrap().nothing_cut_off());
        prop_assert!(grid.scene().unwrap().nothing_cut_off());
        prop_assert!(table.scene().unwrap().nothing_cut_off());
    }
}
