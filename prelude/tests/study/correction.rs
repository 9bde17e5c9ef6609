use super::support::{World, refused};
use vitrepl_prelude::Result;
use vitrepl_prelude::score::{Correction, CorrectionOptions, Ranked, locate_then_correct, rank};

/// Place, place, nothing, class: spurious less core score in that order.
fn world() -> World {
    World::new(
        40,
        1,
        &[
            (0.0, 0.6, 0.0),
            (0.0, 0.5, 0.0),
            (0.0, 0.0, 0.01),
            (0.3, 0.0, 0.0),
        ],
    )
}

fn order() -> Vec<Ranked> {
    let names = ["head 0", "head 1", "mlp 0", "head 2"].map(String::from);
    rank(&names, &[0.9, 0.8, 0.0, -0.7]).unwrap()
}

fn choose(options: &CorrectionOptions) -> Result<Correction> {
    let world = world();
    locate_then_correct(&world.ablation(), &order(), world.grouped(), options)
}

#[test]
fn what_cannot_be_switched_off_is_outshouted() -> Result<()> {
    // One of the two places may be switched off, and 0.3 must come above the 0.5 of the other: by 2, not by 1.5.
    let found = choose(&CorrectionOptions {
        off: vec![0, 1],
        ..CorrectionOptions::default()
    })?;
    assert_eq!((found.off, found.strengthened, found.factor), (1, 1, 2.0));
    assert_eq!(found.weights, [0.0, 1.0, 1.0, 2.0]);
    assert_eq!(found.chosen_on.worst(), 1.0);
    Ok(())
}

#[test]
fn nothing_is_strengthened_without_need() -> Result<()> {
    let found = choose(&CorrectionOptions::default())?;
    assert_eq!((found.off, found.strengthened, found.factor), (2, 0, 1.0));
    assert_eq!(found.weights, [0.0, 0.0, 1.0, 1.0]);
    Ok(())
}

#[test]
fn only_components_of_the_core_feature_are_strengthened() -> Result<()> {
    let only = |strengthened: Vec<usize>| {
        choose(&CorrectionOptions {
            strengthened,
            ..CorrectionOptions::default()
        })
    };
    // One component has the higher core score.
    assert_eq!(only(vec![1, 4])?.strengthened, 1);
    refused(only(vec![2, 4]), &["strengthened = [2, 4]", "up to 1"]);
    Ok(())
}

#[test]
fn senseless_settings_are_refused() {
    let with = |change: fn(&mut CorrectionOptions)| {
        let mut options = CorrectionOptions::default();
        change(&mut options);
        choose(&options)
    };
    refused(with(|o| o.off = vec![5]), &["k = 5", "at most 4"]);
    refused(with(|o| o.factors = vec![2.0, 1.0]), &["factors = 1"]);
    refused(with(|o| o.factors = vec![]), &["one factor"]);
    refused(with(|o| o.strengthened = vec![]), &["at least one number"]);
    let world = world();
    let short = locate_then_correct(
        &world.ablation(),
        &order()[..3],
        world.grouped(),
        &CorrectionOptions::default(),
    );
    refused(short, &["order", "4 components"]);
}
