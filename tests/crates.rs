//! Crates that cells add by `:dep`, and those that they can name without.

mod desk;

use desk::Desk;

#[test]
fn a_crate_that_is_there_is_named_with_its_version() {
    let ran = Desk::new(&[]).pipe(
        r#":dep candle-core
:dep candle_core = "0.11"
let t = candle_core::Tensor::new(&[1f32, 2.], &candle_core::Device::Cpu)?;
t.elem_count()
"#,
    );
    ran.ends_with(0).says("\n2\n");
    assert_eq!(
        ran.out
            .matches(" is there already: the library uses it")
            .count(),
        2,
        "{ran:#?}"
    );
    assert!(ran.out.contains("candle-core 0.11."), "{ran:#?}");
}

#[test]
fn plotters_draws_with_the_features_that_are_asked_for() {
    let desk = Desk::new(&[]);
    let ran = desk.pipe(
        r#":dep plotters = { version = "0.3", default-features = false, features = ["evcxr", "all_series"] }
use plotters::prelude::*;
let figure = evcxr_figure((320, 240), |root| { root.fill(&WHITE)?; root.draw(&Circle::new((160, 120), 50, RED))?; Ok(()) });
figure
let vit = load("tiny_vit")?;
vit.name()
"#,
    );
    ran.ends_with(0)
        .complains("`plotters` is this crate from now on")
        .says("chart: charts/")
        .says("\"tiny_vit\"");
    let charts = std::fs::read_dir(desk.path("charts")).unwrap();
    let chart = image::open(charts.last().unwrap().unwrap().path()).unwrap();
    assert_eq!((chart.width(), chart.height()), (320, 240));
    let middle = chart.to_rgb8().get_pixel(110, 120).0;
    assert_ne!(middle, [255, 255, 255]);
}

#[test]
fn await_is_refused_with_what_runs_it_and_nothing_is_compiled_for_it() {
    let ran = Desk::new(&[]).pipe(
        r#"async fn later() -> u8 { 7 }
later().await
tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async { later().await + 70 })
"#,
    );
    ran.ends_with(1)
        .complains("`await` is only allowed inside `async`")
        .complains("block_on(async { ... })")
        .says("77\n");
    assert!(!ran.err.contains("Compiling tokio"), "{ran:#?}");
}
