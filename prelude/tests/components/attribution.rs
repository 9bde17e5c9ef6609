//! Components by features: the matrix, and how specialised components are.

use super::support::*;
use vitrepl_prelude::Result;
use vitrepl_prelude::prelude::*;

fn matrix(name: &str) -> Result<AttributionMatrix> {
    let measure = ScoreMeasure::VarianceAttributed;
    attribution_matrix(clip(), &aligned(name)?, &FeatureWords::generated(), measure)
}

#[test]
fn the_matrix_has_the_scores_of_each_feature() -> Result<()> {
    let matrix = matrix("tiny_vit")?;
    let colours = class_embeddings(clip(), Factor::Colour.names())?;
    let wanted = aligned("tiny_vit")?.score(&colours)?;
    assert_eq!(matrix.feature("colour")?.values(), wanted.values());
    assert_eq!(matrix.features(), Factor::ALL.map(Factor::name));
    refused(
        matrix.feature("animal").map(drop),
        &["\"animal\"", "shape, colour"],
    );
    let top = matrix.top(3)?.to_string();
    assert!(top.contains(&wanted.top(1)?[0].name), "{top}");
    refused(matrix.top(44), &["44", "43"]);
    matrix.chart().save(picture("attribution.png"))?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("matrix.csv");
    matrix.save(&path)?;
    assert_eq!(
        std::fs::read_to_string(path).unwrap().lines().count(),
        1 + 6 * 43
    );
    matrix.save(folder.path().join("matrix.parquet"))?;
    Ok(())
}

#[test]
fn features_that_cannot_be_compared_are_refused() -> Result<()> {
    let aligned = aligned("tiny_vit")?;
    let measure = ScoreMeasure::VarianceAttributed;
    let run = |features: &[FeatureWords]| attribution_matrix(clip(), &aligned, features, measure);
    refused(run(&[]), &["features = 0"]);
    let shape = FeatureWords::of_factor(Factor::Shape);
    refused(
        run(&[shape.clone(), shape.clone()]),
        &["shape", "names that differ"],
    );
    refused(run(&[FeatureWords::new("animal", &["camel"])]), &["camel"]);
    refused(
        run(&[FeatureWords::new("nothing", &[] as &[&str])]),
        &["at least one text"],
    );
    let heads = aligned.select("* head *")?;
    refused(
        attribution_matrix(clip(), &heads, &[shape], measure),
        &["36 of 43"],
    );
    Ok(())
}

#[test]
fn the_published_features_have_the_published_words() {
    let all = FeatureWords::published();
    let names: Vec<&str> = all.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "color", "texture", "animal", "person", "location", "pattern", "shape"
        ]
    );
    let first = |f: usize| all[f].first(4).words;
    assert_eq!(
        first(0),
        ["blue color", "green color", "red color", "yellow color"]
    );
    assert_eq!(first(2), ["cat", "dog", "camel", "elephant"]);
    assert_eq!(first(4), ["beach", "forest", "desert", "sea"]);
    assert_eq!(all[5].words[2], "polka dot pattern");
    assert_eq!(
        first(6),
        [
            "triangular shape",
            "rectangular shape",
            "circular shape",
            "octagon"
        ]
    );
}

#[test]
fn specialisation_is_told_of_each_component() -> Result<()> {
    for name in BACKBONES {
        let matrix = matrix(name)?;
        let found = matrix.specialisation()?;
        assert_eq!(found.components.len(), matrix.components().len());
        for component in &found.components {
            let scores: Vec<f64> = matrix
                .features()
                .iter()
                .map(|f| matrix.feature(f).unwrap().get(&component.name).unwrap())
                .collect();
            let wanted = score::specialisation(&scores)?;
            assert_eq!(component.spread, wanted, "{}", component.name);
        }
        println!("{}", found.table());
        found
            .chart(12)
            .save(picture(&format!("specialised-{name}.png")))?;
    }
    Ok(())
}
