//! Images by a probe image, with respect to a feature.

use super::{Retrieved, RetrievedRow};
use crate::charts::of_images::whole;
use crate::charts::of_tokens::check_images;
use crate::data::DataSet;
use crate::decompose::{ContributionStack, Contributions, Side, same_components};
use crate::score::{Ranking, Scores, rank, retrieval};
use crate::{Error, Result, check};

/// The cosine that the probe has with itself, less what f16 loses.
const NEARLY_ONE: f64 = 0.999;

/// A feature, and the components that say more of it than of the others.
#[derive(Clone, Debug)]
pub struct FeatureComponents {
    pub feature: String,
    pub components: Ranking,
}

/// For each of `scores` (one feature each, of the same contributions) the `count` components whose score exceeds that for
/// every other feature most, where scores below 0 count as 0, as published. (The published number of components was set by
/// hand for each model and feature, between 1 and 12.)
///
/// # Errors
/// Scores of different contributions, measures or CLIPs, fewer than two features, a `count` of 0 or above the number of
/// components.
pub fn feature_components(scores: &[Scores], count: usize) -> Result<Vec<FeatureComponents>> {
    for other in scores.iter().skip(1) {
        // Refuses what does not belong together, by name.
        scores[0].minus(other)?;
    }
    let values: Vec<Vec<f64>> = scores.iter().map(|s| s.values().to_vec()).collect();
    let one = |(i, scores): (usize, &Scores)| {
        let contrast = retrieval::contrast(&values, i, true)?;
        if count == 0 || count > contrast.len() {
            return Err(Error::argument(
                "count",
                count,
                format!("from 1 to {}, the number of components", contrast.len()),
            ));
        }
        let mut rows = rank(&scores.names(), &contrast)?;
        rows.truncate(count);
        Ok(FeatureComponents {
            feature: scores.feature().to_string(),
            components: Ranking::of(rows, scores.origin().cloned()),
        })
    };
    scores.iter().enumerate().map(one).collect()
}

/// The `count` images of `images` nearest to the probe with respect to each of `features`: the cosine between the sums of the
/// feature's components, of the contributions as they are (not aligned), as published. `of_probe` are the contributions of
/// the one image in `probe`: of `image("cat.jpg")?`, or of a part of the same set. A probe from the set itself is left out of
/// what is found. The contributions may be in memory or in chunks, which are gone through once for all features.
///
/// # Errors
/// When `contributions` are of other images, the probe is not one image or of another model or options, or an image cannot
/// be read.
pub fn retrieve_by_image(
    images: impl DataSet,
    contributions: impl ContributionStack,
    probe: impl DataSet,
    of_probe: impl AsRef<Contributions>,
    features: &[FeatureComponents],
    count: usize,
) -> Result<Retrieved> {
    let of_probe = of_probe.as_ref();
    let own = || contributions.belongs().0;
    let (set, probe): (&dyn DataSet, &dyn DataSet) = (&images, &probe);
    let doing = "retrieving images";
    let origin = own().origin;
    let of = origin.map(|origin| &origin.images);
    check_images(doing, of, contributions.image_count(), set)?;
    let of = of_probe.origin().map(|origin| &origin.images);
    check_images(doing, of, of_probe.images(), probe)?;
    check::same("probe", of_probe.images(), 1, "image")?;
    let remedy = "decompose the probe with the same model and options";
    same_components(doing, own(), of_probe.side(), remedy)?;
    let names: Vec<String> = (0..set.len()).map(|i| set.image_name(i)).collect();
    let probe_name = probe.image_name(0);
    let values = of_probe.values().squeeze(1)?;
    let mut sets = Vec::new();
    for feature in features {
        let side = Side {
            what: "the ranking",
            components: None,
            origin: feature.components.origin(),
            part_of: None,
        };
        same_components(doing, side, own(), "rank scores of these contributions")?;
        sets.push(feature.components.iter().map(|r| r.index).collect());
    }
    let scores = retrieval::by_image_each::<_>(&contributions, &sets as &[Vec<usize>], &values)?;
    let rows = features.iter().zip(scores).map(|(feature, scores)| {
        let mut found = rank(&names, &scores)?;
        let mut itself = Vec::new();
        for found in found.iter().take_while(|found| found.score > NEARLY_ONE) {
            if same_picture(&contributions, of_probe, found.index)? {
                itself.push(found.index);
            }
        }
        found.retain(|found| !itself.contains(&found.index));
        found.truncate(count);
        if found.len() < count || count == 0 {
            let expected = format!("from 1 to {}, the images besides the probe", found.len());
            return Err(Error::argument("count", count, expected));
        }
        let components = feature.components.iter().map(|r| r.name.clone()).collect();
        RetrievedRow::new(set, feature.feature.clone(), components, &found)
    });
    let model = origin.map_or(String::new(), |origin| format!("{}: ", origin.model));
    Ok(Retrieved {
        title: format!(
            "{model}images like {probe_name} by feature, {}, n = {}",
            set.name(),
            set.len()
        ),
        score: "cosine",
        rows: rows.collect::<Result<_>>()?,
        probe: Some((probe_name, whole(probe, &[0])?.get(0)?)),
        beside: None,
    })
}

/// Whether image `index` is the probe itself: it has the same name, and the same representation.
fn same_picture(
    contributions: &impl ContributionStack,
    probe: &Contributions,
    index: usize,
) -> Result<bool> {
    let origin = contributions.belongs().0.origin;
    let name = origin.map(|origin| &origin.images.names[index]);
    if name != probe.image_names().map(|names| &names[0]) {
        return Ok(false);
    }
    let own = contributions.representation_of(index)?;
    let other = probe.representation_of(0)?;
    let size = own.iter().fold(0f32, |most, v| most.max(v.abs()));
    Ok(own
        .iter()
        .zip(&other)
        .all(|(a, b)| (a - b).abs() <= 1e-3 * size))
}
