//! What a heatmap says of its values: their sign, their range, and what its colours do not show. The pictures are left in
//! `target/tmp/heatmaps` to be looked at.

use candle_core::{DType, Device, Tensor};
use image::{Rgb, RgbImage};
use vitrepl_prelude::Result;
use vitrepl_prelude::charts::{Chart, HeatmapGrid, Shape, Tile};

fn grey() -> RgbImage {
    RgbImage::from_pixel(64, 64, Rgb([128, 128, 128]))
}

fn map(values: &[f32], columns: usize) -> Tensor {
    let rows = values.len() / columns;
    Tensor::from_slice(values, (rows, columns), &Device::Cpu).unwrap()
}

fn tile(map: &Tensor, caption: &str) -> Tile {
    Tile::new(grey(), caption).heat(map).unwrap()
}

/// A hill of height `top` over 8 x 8 patches, on a ground of `ground`.
fn hill(top: f32, ground: f32) -> Vec<f32> {
    let at = |t: usize| ((t % 8) as f32 - 3.5, (t / 8) as f32 - 3.5);
    (0..64)
        .map(|t| ground + top * (-(at(t).0.powi(2) + at(t).1.powi(2)) / 6.0).exp())
        .collect()
}

fn save(name: &str, chart: &HeatmapGrid) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("heatmaps");
    chart.save(folder.join(format!("{name}.png"))).unwrap();
    assert!(chart.scene().unwrap().nothing_cut_off(), "{name}");
}

fn texts(chart: &HeatmapGrid) -> Vec<String> {
    let scene = chart.scene().unwrap();
    let texts = scene.shapes.into_iter().filter_map(|shape| match shape {
        Shape::Text { text, .. } => Some(text),
        _ => None,
    });
    texts.collect()
}

fn pictures(chart: &HeatmapGrid) -> Vec<RgbImage> {
    let scene = chart.scene().unwrap();
    let images = scene.shapes.into_iter().filter_map(|shape| match shape {
        Shape::Image { image, .. } => Some(image),
        _ => None,
    });
    images.collect()
}

/// How much redder than blue a pixel is, at a share of width and height.
fn red(image: &RgbImage, x: f64, y: f64) -> i32 {
    let at = |share: f64, n: u32| (share * f64::from(n)) as u32;
    let Rgb([r, _, b]) = *image.get_pixel(at(x, image.width()), at(y, image.height()));
    i32::from(r) - i32::from(b)
}

#[test]
fn a_constant_map_is_grey_and_said_to_be() {
    for value in [0.0, 0.31, -7.0] {
        let chart = HeatmapGrid::new("A constant map", "contribution")
            .tile(tile(&map(&[value; 49], 7), "the same everywhere"));
        save(&format!("constant{value}"), &chart);
        let first = *pictures(&chart)[0].get_pixel(0, 0);
        assert!(pictures(&chart)[0].pixels().all(|p| *p == first));
        let [r, g, b] = first.0;
        assert!(r == g && g == b && r > 90, "{first:?}");
        let all = texts(&chart).join("|");
        assert!(
            all.contains("grey: the map has one value everywhere"),
            "{all}"
        );
        assert!(all.contains("all "), "{all}");
        assert!(chart.to_string().contains("everywhere"), "{chart}");
    }
    // Among others on one scale it has its value's colour; on its own scale it is grey.
    let both = |own: bool| {
        let chart = HeatmapGrid::new("One of them constant", "contribution")
            .tile(tile(&map(&hill(1.0, 0.0), 8), "a hill"))
            .tile(tile(&map(&[1.0; 64], 8), "the same everywhere"));
        if own { chart.own_scales() } else { chart }
    };
    save("constant_among", &both(false));
    save("constant_own", &both(true));
    assert!(!both(false).to_string().contains("grey"));
    assert!(
        both(true)
            .to_string()
            .contains("grey: 1 of 2 maps has one value everywhere")
    );
    let Rgb([r, g, b]) = *pictures(&both(true))[1].get_pixel(9, 9);
    assert!(r == g && g == b);
}

#[test]
fn a_signed_map_is_white_at_zero_and_symmetric() {
    let values: Vec<f32> = (0..64).map(|t| (t % 8) as f32 / 2.0 - 1.0).collect();
    let chart =
        HeatmapGrid::new("From -1 to 2.5", "contribution").tile(tile(&map(&values, 8), "signed"));
    save("signed", &chart);
    let picture = &pictures(&chart)[0];
    // Column 3 of 8 is zero, the first -1, the last 2.5.
    assert!(red(picture, 0.02, 0.5) < -20 && red(picture, 0.98, 0.5) > 60);
    assert!(red(picture, 2.5 / 8.0, 0.5).abs() < 4);
    let all = texts(&chart);
    for label in ["2.500", "0", "-2.500"] {
        assert!(all.iter().any(|t| t == label), "{label} is not in {all:?}");
    }
    // Of one sign it goes from the least to the greatest value.
    let positive = HeatmapGrid::new("Positive", "").tile(tile(&map(&hill(1.0, 0.1), 8), "hill"));
    save("positive", &positive);
    assert!(!texts(&positive).iter().any(|t| t == "0"));
    let own = HeatmapGrid::new("Own scales, one of them signed", "contribution")
        .tile(tile(&map(&values, 8), "signed"))
        .tile(tile(&map(&hill(9.0, 0.0), 8), "positive"))
        .own_scales();
    save("signed_own", &own);
    for label in ["+ most", "0", "- most"] {
        assert!(texts(&own).iter().any(|t| t == label), "{label}");
    }
}

#[test]
fn an_outlier_does_not_take_the_colours_from_the_rest_and_is_named() {
    let mut values = hill(1.0, 0.0);
    values[2 * 8 + 4] = 35.2;
    let chart = HeatmapGrid::new("One value far beyond the others", "contribution")
        .tile(tile(&map(&hill(1.0, 0.0), 8), "without"))
        .tile(tile(&map(&values, 8), "with"));
    save("outlier", &chart);
    let note = "1 value beyond the scale: 35.20 (\"with\", row 3, column 5)";
    assert!(
        texts(&chart).contains(&note.to_owned()),
        "{:?}",
        texts(&chart)
    );
    assert!(chart.to_string().contains(note));
    // The first map looks as it does alone.
    let alone = HeatmapGrid::new("", "").tile(tile(&map(&hill(1.0, 0.0), 8), "without"));
    let (a, b) = (&pictures(&chart)[0], &pictures(&alone)[0]);
    let apart = a
        .pixels()
        .zip(b.pixels())
        .map(|(a, b)| a.0[0].abs_diff(b.0[0]));
    assert!(apart.max().unwrap() < 12);
    // A signed one, below; and on scales of their own.
    let mut values: Vec<f32> = hill(1.0, -0.2);
    values[0] = -80.0;
    let signed = HeatmapGrid::new("", "").tile(tile(&map(&values, 8), "x"));
    save("outlier_signed", &signed);
    assert!(
        signed
            .to_string()
            .contains("beyond the scale: -80.00 (row 1, column 1)"),
        "{signed}"
    );
    assert!(signed.own_scales().to_string().contains("-80.00"));
    // A steep hill has no outlier, and neither has a map with two values or one patch of nine alone.
    for values in [hill(1000.0, 0.0), [vec![0.0; 63], vec![1.0]].concat()] {
        let chart = HeatmapGrid::new("", "").tile(tile(&map(&values, 8), "x"));
        assert!(!chart.to_string().contains("beyond"), "{chart}");
    }
    let few = HeatmapGrid::new("", "").tile(tile(&map(&[0.1, 0.2, 0.3, 9.0], 2), "x"));
    assert!(!few.to_string().contains("beyond"), "{few}");
}

#[test]
fn a_grid_is_checked() {
    let fails = |result: Result<Tile>, parts: &[&str]| {
        let text = result.expect_err("an error").to_string();
        for part in parts {
            assert!(text.contains(part), "\"{part}\" is not in: {text}");
        }
        assert!(!text.contains("tensor:"), "{text}");
    };
    let tile = || Tile::new(grey(), "x");
    let row = |n: usize| Tensor::arange(0f32, n as f32, &Device::Cpu).unwrap();
    fails(
        tile().heat(&row(49)),
        &["49 values in a row", "rows x columns", "heat_tokens"],
    );
    let stack = Tensor::zeros((2, 7, 7), DType::F32, &Device::Cpu).unwrap();
    fails(tile().heat(&stack), &["[2, 7, 7]", "of one image"]);
    let empty = Tensor::zeros((0, 7), DType::F32, &Device::Cpu).unwrap();
    fails(tile().heat(&empty), &["[0, 7]", "nothing empty"]);
    let mut values = [0.5f32; 12];
    values[7] = f32::NAN;
    fails(
        tile().heat(&map(&values, 4)),
        &["NaN in row 2, column 4", "finite"],
    );
    // One value a token: with the class token and registers, or the patches alone.
    assert!(tile().heat_tokens(&row(1 + 2 + 49), (7, 3)).is_ok());
    assert!(tile().heat_tokens(&row(49), (7, 3)).is_ok());
    fails(
        tile().heat_tokens(&row(50), (7, 3)),
        &["50 values", "49 for a grid of 7 x 7", "52 with the 3"],
    );
    fails(
        tile().heat_tokens(&row(144), (3, 0)),
        &["144 values", "9 for a grid", "earlier stage"],
    );
    fails(
        tile().heat_tokens(&stack, (7, 0)),
        &["[2, 7, 7]", "one value a token"],
    );
    fails(tile().heat_tokens(&row(0), (0, 0)), &["0 values"]);
    // The patches are those after the others, row by row.
    let by_tokens = tile().heat_tokens(&row(5), (2, 1)).unwrap();
    let by_grid = tile().heat(&map(&[1.0, 2.0, 3.0, 4.0], 2)).unwrap();
    let picture = |tile: Tile| pictures(&HeatmapGrid::new("", "").tile(tile)).remove(0);
    assert_eq!(picture(by_tokens), picture(by_grid));
}
