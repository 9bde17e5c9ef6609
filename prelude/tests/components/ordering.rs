//! Rank correlations between scores and CLIP's own order.

use super::support::*;
use candle_core::D;
use vitrepl_prelude::Result;
use vitrepl_prelude::prelude::*;

fn features() -> Vec<FeatureWords> {
    FeatureWords::generated()
        .iter()
        .map(|f| f.first(4))
        .collect()
}

#[test]
fn the_table_has_what_plain_functions_give() -> Result<()> {
    let (clip, aligned) = (clip(), aligned("tiny_vit")?);
    let found = component_orderings(&clip, &[&aligned], tested(), &features())?;
    let words = features()
        .iter()
        .map(|f| Ok(class_embeddings(&clip, &f.words)?.tensor().clone()))
        .collect::<Result<Vec<_>>>()?;
    let images = embed_images(&clip, tested())?;
    let units = images.broadcast_div(&images.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?)?;
    let wanted = score::ordering(aligned.values(), &words, &units)?;
    let own = &found.models()[0];
    assert_eq!(own.ordering.within, wanted.within);
    assert_eq!(own.ordering.between, wanted.between);
    let other = score::spearman(&wanted.correlation[0], &wanted.attributed[1])?;
    let rest: f64 = (2..6)
        .map(|g| score::spearman(&wanted.correlation[0], &wanted.attributed[g]).unwrap())
        .sum();
    assert!((own.between_others[0] - (other + rest) / 5.0).abs() < 1e-12);
    let row = found.table().csv();
    assert!(
        row.contains(&format!("{:.3}", wanted.mean_within())),
        "{row}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ordering.csv");
    found.save(&path)?;
    assert_eq!(
        std::fs::read_to_string(path).unwrap().lines().count(),
        1 + 6 * 43
    );
    Ok(())
}

#[test]
fn scores_order_components_as_clip_does_and_better_than_other_features_scores() -> Result<()> {
    let all: Vec<AlignedContributions> = BACKBONES
        .iter()
        .map(|n| aligned(n))
        .collect::<Result<_>>()?;
    let found = component_orderings(
        clip(),
        &all.iter().collect::<Vec<_>>(),
        tested(),
        &features(),
    )?;
    println!("{}", found.table());
    found.chart().save(picture("ordering.png"))?;
    for model in found.models() {
        let (within, between) = (model.ordering.mean_within(), model.ordering.mean_between());
        assert!(
            within > 0.3 && between > 0.5,
            "{}: {within} {between}",
            model.model
        );
        assert!(
            between > model.mean_between_others() + 0.1,
            "{}",
            model.model
        );
    }
    Ok(())
}

#[test]
fn images_in_another_order_are_refused() -> Result<()> {
    let (clip, aligned) = (clip(), aligned("tiny_vit")?);
    let run = |images: &dyn DataSet| component_orderings(&clip, &[&aligned], images, &features());
    refused(
        run(&tested().shuffled(1)?),
        &["shuffled by 1", "give the images that were decomposed"],
    );
    refused(run(&fitted()), &["77101"]);
    refused(
        component_orderings(&clip, &[], tested(), &features()),
        &["models = []"],
    );
    refused(
        component_orderings(&clip, &[&aligned], tested(), &features()[..1]),
        &["2 or more"],
    );
    let heads = aligned.select("* head *")?;
    refused(
        component_orderings(&clip, &[&heads], tested(), &features()),
        &["36 of 43"],
    );
    Ok(())
}
