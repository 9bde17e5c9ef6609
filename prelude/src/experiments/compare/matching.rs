//! Components of two models matched one to one by what they say in CLIP's space.

use crate::align::AlignedContributions;
use crate::decompose::{same_images, unrelated};
use crate::identity::TextEmbeddings;
use crate::process::stop;
use crate::score::{best_assignment, component_similarity};
use crate::{Error, Result};
use candle_core::Tensor;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// How components are compared.
#[derive(Clone, Debug)]
pub struct SimilarityOptions {
    /// Only the span of these texts counts, such as the words of a feature; the whole space without them.
    pub directions: Option<Arc<TextEmbeddings>>,
    /// The same matching with the images of one side shuffled is made so many times: how similar the best matches are by
    /// chance. 0 for none.
    pub shuffles: usize,
    /// Seed of the shuffles.
    pub seed: u64,
}

impl Default for SimilarityOptions {
    fn default() -> Self {
        Self {
            directions: None,
            shuffles: 3,
            seed: 0,
        }
    }
}

/// The components of one model matched with those of another.
#[derive(Clone)]
pub struct ComponentMatching {
    /// The models.
    pub models: [String; 2],
    /// Their components, rows and columns of [`Self::similarity`].
    pub components: [Vec<String>; 2],
    /// For each component of the first model its similarity with each of the second
    /// ([`score::component_similarity`](crate::score::component_similarity)).
    pub similarity: Vec<Vec<f64>>,
    /// For each component of the first model the component of the second it is matched with; none for those left over where
    /// the first has more.
    pub matches: Vec<Option<usize>>,
    /// The mean similarity of matched components with the images of one side shuffled, the mean over shuffles; none
    /// where none were asked for.
    pub shuffled: Option<f64>,
}

/// The first of several models against each other one.
#[derive(Clone)]
pub struct ComponentComparison {
    /// One for each model but the first.
    pub matchings: Vec<ComponentMatching>,
    /// The images.
    pub data: String,
    pub images: usize,
    /// The CLIP in whose space they are compared.
    pub clip: String,
    /// The texts in whose span, where it is not the whole space.
    pub directions: Option<String>,
}

impl ComponentMatching {
    /// The similarity of a component of the first model with what it is matched with.
    pub fn matched(&self, component: usize) -> Option<f64> {
        let partner = (*self.matches.get(component)?)?;
        Some(self.similarity[component][partner])
    }

    /// The mean similarity over matched components.
    pub fn mean_matched(&self) -> f64 {
        mean_matched(&self.similarity, &self.matches)
    }
}

fn mean_matched(similarity: &[Vec<f64>], matches: &[Option<usize>]) -> f64 {
    let each = similarity.iter().zip(matches);
    let each: Vec<f64> = each.filter_map(|(row, to)| Some(row[(*to)?])).collect();
    each.iter().sum::<f64>() / each.len() as f64
}

/// Compares the components of the first of `models` with those of each other one, all aligned to one CLIP, on the same
/// images. Commonly some of the components, `aligned.select("* head *")?`.
///
/// # Errors
/// When two are aligned to different CLIPs or of other images, fewer than two models or images, directions of another CLIP,
/// or the call was stopped.
pub fn compare_components(
    models: &[&AlignedContributions],
    options: &SimilarityOptions,
) -> Result<ComponentComparison> {
    let [first, others @ ..] = models else {
        return Err(Error::argument(
            "models",
            0,
            "two models or more to be compared",
        ));
    };
    if others.is_empty() {
        return Err(Error::argument(
            "models",
            1,
            "two models or more to be compared",
        ));
    }
    let doing = "comparing components";
    let directions = options.directions.as_ref();
    if let Some(origin) = directions.and_then(|texts| texts.origin()) {
        first.check_clip(doing, "directions", &origin.clip)?;
    }
    stop::begin();
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut matchings = Vec::with_capacity(others.len());
    for other in others {
        check(doing, first, other)?;
        matchings.push(matched(first, other, options, &mut rng)?);
    }
    let origin = first.origin();
    Ok(ComponentComparison {
        matchings,
        data: origin.map_or("unknown images".to_string(), |o| o.images.set.clone()),
        images: first.images(),
        clip: first
            .clip()
            .map_or("an unknown CLIP".to_string(), |clip| clip.name.clone()),
        directions: (options.directions.as_ref())
            .map(|texts| crate::facts::list(texts.texts(), 60)),
    })
}

fn matched(
    a: &AlignedContributions,
    b: &AlignedContributions,
    options: &SimilarityOptions,
    rng: &mut ChaCha8Rng,
) -> Result<ComponentMatching> {
    let directions = options.directions.as_ref().map(|texts| texts.tensor());
    let similarity = component_similarity(a.values(), b.values(), directions)?;
    let matches = best_assignment(&similarity)?;
    let mut shuffled = 0.0;
    for _ in 0..options.shuffles {
        if stop::requested() {
            return Err(Error::Interrupted {
                what: format!("compare {} and {}", name(a), name(b)),
                kept: "contributions are kept; call it again".to_string(),
            });
        }
        let mut order: Vec<u32> = (0..b.images() as u32).collect();
        order.shuffle(rng);
        let order = Tensor::new(order, b.values().device())?;
        let other = b.values().index_select(&order, 1)?;
        let by_chance = component_similarity(a.values(), &other, directions)?;
        shuffled += mean_matched(&by_chance, &best_assignment(&by_chance)?);
    }
    Ok(ComponentMatching {
        models: [name(a), name(b)],
        components: [a.names(), b.names()],
        similarity,
        matches,
        shuffled: (options.shuffles > 0).then(|| shuffled / options.shuffles as f64),
    })
}

fn name(aligned: &AlignedContributions) -> String {
    let origin = aligned.origin();
    origin.map_or("unknown".to_string(), |o| o.model.name.clone())
}

fn check(doing: &'static str, a: &AlignedContributions, b: &AlignedContributions) -> Result<()> {
    if let (Some(of_a), Some(of_b)) = (a.clip(), b.clip())
        && let Some(reason) = of_a.weights_differ(of_b)
    {
        return Err(unrelated(
            doing,
            &format!("{} in the space of {of_a}", name(a)),
            &format!("{} in the space of {of_b}", name(b)),
            reason,
            "align both to one CLIP",
        ));
    }
    let images = |of: &AlignedContributions| of.origin().map(|origin| origin.images.clone());
    let (of_a, of_b) = (images(a), images(b));
    same_images(
        doing,
        (&name(a), of_a.as_ref()),
        (&name(b), of_b.as_ref()),
        "decompose the same images with both",
    )
}
