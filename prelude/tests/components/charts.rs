//! The matrix, and lines with controls and rings: what they show, what they refuse, and that nothing is cut off.

use super::support::{picture, refused};
use proptest::prelude::*;
use vitrepl_prelude::charts::{Chart, Shape};
use vitrepl_prelude::prelude::*;

fn matrix(rows: usize, columns: usize, of: impl Fn(usize, usize) -> f64) -> MatrixChart {
    let names = (0..columns).map(|c| format!("feature {c}"));
    let chart = MatrixChart::new(
        "Components by features of tiny_vit",
        "variance attributed",
        names,
    );
    (0..rows).fold(chart, |chart, r| {
        let chart = if r % 7 == 1 { chart.gap() } else { chart };
        chart.row(
            format!("block {} head {}", r / 6, r % 6),
            (0..columns).map(|c| of(r, c)),
        )
    })
}

#[test]
fn a_matrix_of_any_size_is_drawn_whole() {
    for (rows, columns) in [(1, 1), (43, 6), (36, 36), (408, 7), (3, 60)] {
        for signed in [false, true] {
            let shift = if signed { 0.5 } else { 0.0 };
            let chart = matrix(rows, columns, |r, c| {
                ((r * 7 + c * 3) % 11) as f64 / 11.0 - shift
            });
            let scene = chart.scene().unwrap();
            assert!(scene.nothing_cut_off(), "{rows} x {columns}");
            let name = format!("matrix-{rows}x{columns}-{signed}.png");
            chart.frame(0, 0).save(picture(&name)).unwrap();
        }
    }
}

#[test]
fn the_text_of_a_matrix_has_its_values_and_frames() {
    let chart = MatrixChart::new("t", "score", ["shape", "place"])
        .row("head", [Some(0.5), None])
        .row("mlp", [Some(-0.25), Some(0.125)])
        .frame(1, 1);
    let text = chart.to_string();
    for part in ["t (score)", "0.50", "-0.25", "0.12*", "–"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
}

#[test]
fn a_matrix_refuses_what_cannot_be_shown() {
    refused(
        MatrixChart::new("empty", "", ["a"]).svg(),
        &["empty", "no cells"],
    );
    let chart = || MatrixChart::new("t", "", ["a", "b"]);
    refused(
        chart().row("r", [1.0]).svg(),
        &["row \"r\"", "1 values for 2 columns"],
    );
    refused(
        chart().row("r", [1.0, f64::NAN]).svg(),
        &["row \"r\"", "NaN"],
    );
    refused(
        chart().row("r", [1.0, 2.0]).frame(1, 0).svg(),
        &["row 1, column 0"],
    );
}

fn lines(series: usize) -> LineChart {
    let chart = LineChart::new(
        "layers mean-ablated from the last layer back: location, generated seed 77002, n = 2000",
        "layers switched off",
        "accuracy, %",
    );
    (0..series).fold(chart, |chart, s| {
        let y = |k: f64, slope: f64| 98.0 - 4.0 * s as f64 - slope * k;
        chart
            .line(
                format!("model {s}, probe"),
                (0..13).map(|k| (k as f64, y(k as f64, 5.0))),
            )
            .rings((0..13).step_by(2).map(|k| k as f64))
            .control(
                "random orders, mean of 10",
                (0..13).map(|k| (k as f64, y(k as f64, 3.0))),
            )
    })
}

#[test]
fn many_lines_stay_apart() {
    let chart = lines(10);
    let scene = chart.scene().unwrap();
    assert!(scene.nothing_cut_off());
    chart.save(picture("lines.png")).unwrap();
    // Seven colours of dots; the eighth line has the first one's colour, and squares.
    let dots = scene
        .shapes
        .iter()
        .filter(|s| matches!(s, Shape::Dot { .. }))
        .count();
    let squares = scene
        .shapes
        .iter()
        .filter(|s| matches!(s, Shape::Rect { .. }))
        .count();
    assert!(
        dots > 7 * 13 && squares > 3 * 13,
        "{dots} dots, {squares} squares"
    );
    let text = chart.to_string();
    // Its line, and the control beside it.
    assert_eq!(text.matches("model 9,").count(), 2, "{text}");
}

#[test]
fn a_control_that_is_not_finite_is_refused() {
    let chart = LineChart::new("t", "x", "y").line("a", [(0.0, 1.0)]);
    refused(
        chart.control("random", [(0.0, f64::NAN)]).svg(),
        &["\"a\"", "NaN"],
    );
}

proptest! {
    /// Dashes end where the line ends, whatever its points.
    #[test]
    fn dashed_lines_are_drawn_of_any_points(points in prop::collection::vec((-1e6..1e6f64, -1e6..1e6f64), 1..40)) {
        let chart = LineChart::new("t", "x", "y").line("a", [(0.0, 1.0)]).control("random", points);
        prop_assert!(chart.scene().unwrap().shapes.len() < 40_000);
    }
}
