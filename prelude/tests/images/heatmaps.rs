//! Token importance: where heads look for a text.

use crate::support::*;
use vitrepl_prelude::prelude::*;

/// The heads that carry most of a factor, and what they give along its words.
fn maps(name: &str, set: &GeneratedSet, factor: Factor) -> TokenScores {
    let aligned = aligned(name, set);
    let texts = words(factor);
    let scores = aligned.score(&texts).unwrap();
    let heads = scores.select("* head *").unwrap().top(3).unwrap();
    token_importance(&aligned, &heads, &texts).unwrap()
}

#[test]
fn the_hottest_patch_lies_on_the_object_for_shapes_and_off_it_for_locations() {
    let set = images(300);
    for name in MODELS {
        let game = |factor: Factor| {
            let labels = set.labels(factor.name()).unwrap();
            let game = pointing_game(&maps(name, &set, factor), &set, &labels).unwrap();
            println!("{game}");
            game
        };
        let (shape, location) = (game(Factor::Shape), game(Factor::Location));
        // A random point would lie on the object as often as that covers the image.
        let covered = shape.covered();
        assert!((0.1..0.2).contains(&covered), "{covered}");
        assert!(shape.share() > 0.5, "{name}:\n{shape}");
        assert!(location.share() < covered, "{name}:\n{location}");
    }
}

#[test]
fn heads_of_several_grids_are_summed_on_the_finest() {
    let set = images(2);
    let aligned = aligned("tiny_swin", &set);
    let texts = words(Factor::Shape);
    let heads = ["stage 0 block 0 head 0", "stage 1 block 0 head 0"];
    let both = token_importance(&aligned, heads, &texts).unwrap();
    let alone = heads.map(|head| aligned.tokens(head).unwrap().along(&texts).unwrap());
    assert!(alone[0].layout().side() > alone[1].layout().side());
    assert_eq!(both.layout(), alone[0].layout());
    let total = |scores: &TokenScores| scores.shares(1, "star").unwrap().total;
    assert!((total(&both) - total(&alone[0]) - total(&alone[1])).abs() < 1e-5);
    refused(
        token_importance(&aligned, "stage 1 block 0 *", &texts),
        &["stage 1 block 0 mlp", "head"],
    );
    let contrast = both.contrast("star", "circle").unwrap();
    assert_eq!(contrast.directions(), ["star less circle"]);
    look("contrast", &contrast.heatmap(&set).unwrap());
}

#[test]
fn heatmaps_stand_beside_each_other_on_three_scales() {
    let all = images(100);
    let of_all = aligned("tiny_vit", &all);
    let (set, aligned) = (all.first(3).unwrap(), of_all.select_images(0..3).unwrap());
    let column = |factor: Factor, text: &str| {
        let scores = of_all.score(words(factor)).unwrap();
        let heads = scores.select("* head *").unwrap().top(3).unwrap();
        (heads, class_embeddings(clip(), &[text]).unwrap())
    };
    let columns = [
        column(Factor::Shape, "star"),
        column(Factor::Location, "sea"),
        column(Factor::Colour, "red"),
    ];
    let found = heatmaps(&set, &aligned, &columns).unwrap();
    look("heatmaps_shared", &found.chart(HeatScale::Shared).unwrap());
    look("heatmaps_own", &found.chart(HeatScale::Own).unwrap());
    let published = found.chart(HeatScale::Published).unwrap();
    assert!(published.to_string().contains("98 % value"));
    look("heatmaps_published", &published);
    assert_eq!(found.table().unwrap().to_string().matches("sea").count(), 3);
    let text = class_embeddings(clip(), &["star"]).unwrap();
    let one = head_maps(set.subset(&[1]).unwrap(), aligned.image(1).unwrap(), &text).unwrap();
    assert_eq!(one.heads.len(), 36);
    look("head_maps", &one.chart().unwrap());
    refused(
        head_maps(&set, &aligned, &text),
        &["3 image", "subset(&[7])"],
    );
}
