//! Retrieval by text and by a probe image, against known factors.

use crate::support::*;
use vitrepl_prelude::prelude::*;

fn features(set: &GeneratedSet) -> Vec<RetrievalFeature> {
    [
        Factor::Location,
        Factor::Shape,
        Factor::Colour,
        Factor::Pattern,
    ]
    .map(|factor| {
        let labels = set.labels(factor.name()).unwrap();
        RetrievalFeature::new(factor.name(), labels, words(factor))
    })
    .to_vec()
}

#[test]
fn components_of_the_location_find_it_better_than_the_whole_and_than_random_ones() {
    let set = images(1000);
    for name in MODELS {
        let heads = decompose(model(name), &set, &DecomposeOptions::default()).unwrap();
        let aligned = alignment(name).apply(&heads).unwrap();
        let settings = PrecisionSettings::default();
        let found = retrieval_precision(&heads, &aligned, &features(&set), &settings).unwrap();
        println!("{found}");
        look_at(name, &found);
        let row = found.row("location", "image").unwrap();
        assert!(row.chosen > row.full, "{name}: {row:?}");
        assert!(row.chosen > row.random + 0.2, "{name}: {row:?}");
        assert!(row.full > row.chance);
        // By text the whole representation needs no choice of components: a limit that the notebook reports.
        let row = found.row("location", "text").unwrap();
        assert!(
            row.full > row.chosen - 0.05 && row.chosen > row.chance,
            "{name}: {row:?}"
        );
        refused(
            found.row("place", "image"),
            &["place by image", "location by text"],
        );
    }
}

fn look_at(name: &str, found: &RetrievalPrecision) {
    found
        .chart()
        .save(file(&format!("precision_{name}.png")))
        .unwrap();
    found.save(file(&format!("precision_{name}.csv"))).unwrap();
}

#[test]
fn the_pictures_shown_are_those_that_were_found() {
    let set = images(300);
    let heads = decompose(model("tiny_vit"), &set, &DecomposeOptions::default()).unwrap();
    let aligned = alignment("tiny_vit").apply(&heads).unwrap();
    let texts = class_embeddings(clip(), &["sea", "snow"]).unwrap();
    let scores = aligned
        .score(words(Factor::Location))
        .unwrap()
        .named("location");
    let top = aligned.select(scores.top(3).unwrap()).unwrap();
    let found = retrieve_by_text(&set, &top, &texts, 5).unwrap();
    look("by_text", &found.chart().unwrap());
    let labels = set.labels("location").unwrap();
    let mut right = 0;
    for row in &found.rows {
        for image in &row.images {
            assert_eq!(image.image, set.image_name(image.index));
            right += usize::from(labels.names[labels.values[image.index]] == row.query);
        }
        assert!(row.images.is_sorted_by(|a, b| a.score >= b.score));
    }
    assert!(right >= 8, "{right} of 10:\n{found}");
    // Pictures of the same images in another order are not those that were found.
    refused(
        retrieve_by_text(set.shuffled(1).unwrap(), &top, &texts, 5),
        &["retrieving images", "belong"],
    );
    refused(retrieve_by_text(&set, &top, &texts, 0), &["k = 0"]);
    let groups = retrieve_by_groups(&set, &aligned, &scores.ranked().unwrap(), (4, 3), &texts, 3);
    let groups = groups.unwrap();
    assert_eq!(groups.rows.len(), 8);
    look("by_groups", &groups.chart().unwrap());
    found.save(file("by_text.csv")).unwrap();
    let text = std::fs::read_to_string(file("by_text.csv")).unwrap();
    assert_eq!(text.lines().count(), 1 + 10);
}

#[test]
fn a_probe_finds_others_like_it_and_not_itself() {
    let set = images(300);
    let c = decompose(model("tiny_vit"), &set, &DecomposeOptions::default()).unwrap();
    let aligned = alignment("tiny_vit").apply(&c).unwrap();
    let scored = [Factor::Location, Factor::Colour, Factor::Pattern]
        .map(|factor| aligned.score(words(factor)).unwrap().named(factor.name()));
    let chosen = feature_components(&scored, 3).unwrap();
    assert_eq!(chosen[0].feature, "location");
    let probe = set.subset(&[7]).unwrap();
    let found = retrieve_by_image(&set, &c, &probe, c.image(7).unwrap(), &chosen, 4).unwrap();
    look("by_image", &found.chart().unwrap());
    assert!(
        found
            .rows
            .iter()
            .all(|row| row.images.iter().all(|image| image.index != 7))
    );
    let location = set.labels("location").unwrap().values;
    let (mut like, mut all) = (0, 0);
    for i in 0..12 {
        let (probe, of_probe) = (set.subset(&[i]).unwrap(), c.image(i).unwrap());
        let found = retrieve_by_image(&set, &c, &probe, &of_probe, &chosen, 4).unwrap();
        let images = &found.rows[0].images;
        like += images
            .iter()
            .filter(|image| location[image.index] == location[i])
            .count();
        all += images.len();
    }
    // A sixth of them would be by chance.
    assert!(2 * like > all, "{like} of {all}");
    // A probe that is not in the set, decomposed alone, finds the set's image 7 first.
    let alone = decompose(
        model("tiny_vit"),
        images(8).subset(&[7]).unwrap(),
        &DecomposeOptions::default(),
    );
    let alone = alone.unwrap();
    let part = set.subset(&[6, 5, 4]).unwrap();
    let c_part = decompose(model("tiny_vit"), &part, &DecomposeOptions::default()).unwrap();
    let probe = images(8).subset(&[7]).unwrap();
    assert!(retrieve_by_image(&part, &c_part, &probe, &alone, &chosen, 3).is_ok());
    // What does not belong together.
    refused(
        retrieve_by_image(&set, &c, &probe, c.image(6).unwrap(), &chosen, 3),
        &["retrieving images", "belong"],
    );
    let dinov2 = decompose(model("tiny_dinov2"), &probe, &DecomposeOptions::default()).unwrap();
    refused(
        retrieve_by_image(&set, &c, &probe, &dinov2, &chosen, 3),
        &["tiny_dinov2"],
    );
    refused(feature_components(&scored[..1], 3), &["feature"]);
}
