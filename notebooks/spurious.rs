// # A spurious correlation, found and mended
//
// A classifier that was fitted on pictures in which waterbirds are over water and landbirds over land learns the water. Its
// accuracy falls where bird and background do not go together: the *worst group*. The representation it reads is a sum of
// what each attention head, MLP and the input add, $z = \sum_i c_i$ (section 3 of the paper). Some components carry the
// background more than the bird. Replace each of these by its mean over images,
//
// $$z' = \sum_{i \notin S} c_i + \sum_{i \in S} \bar c_i ,$$
//
// and the classifier, which stays as it is, is judged again (section 5.2). Nothing is trained anew.
//
// The images here are generated: an object of a known shape, colour and pattern in a known location. The backbones learned
// all of these from images without bias, and are frozen; only the probe below is fitted on biased ones.
//
//     cargo run --release --locked -- notebooks/spurious.rs
//
// `VITREPL_WATERBIRDS` names the folder of Waterbirds as published; then the models are DeiT, DINOv2, Swin and MaxViT, and
// CLIP ViT-L/14 gives the texts.

let waterbirds = std::env::var("VITREPL_WATERBIRDS").ok();
let clip = load_clip(if waterbirds.is_some() { "ViT-L-14" } else { "tiny_clip" })?;
let backbones = if waterbirds.is_some() { ["deit", "dinov2", "swin", "maxvit"] } else { ["tiny_vit", "tiny_dinov2", "tiny_swin", "tiny_maxvit"] };
let vit = load(backbones[0])?;
let data = match &waterbirds {
    Some(folder) => StudyData::waterbirds(folder, OnUnreadable::Fail)?,
    None => StudyData::generated(&GeneratedSplits::default())?,
};
let set: Arc<dyn DataSet> = match &waterbirds {
    Some(folder) => Arc::new(Waterbirds::open(folder, OnUnreadable::Fail)?.only("split", "test")?),
    None => Arc::new(GeneratedSet::new(GeneratedSpec::unbiased(77_000, 4000))?),
};
let images = set.first(set.len().min(4000))?;
images.show(0..10)?

// ## 1. Decompose
//
// One contribution for each head and each MLP. They sum to the representation, but for the rounding of numbers.

let contributions = decompose(&vit, &images, &DecomposeOptions::default())?;
println!("{} components, sum error {:.1e}", contributions.len(), contributions.sum_error()?);

// ## 2. Align
//
// One linear map for each component, fitted so that the mapped contributions sum to CLIP's embedding of the same image
// (section 4): from then on texts have a meaning for them.

let alignment = align(&vit, &clip, &images, &DecomposeOptions::default(), &FitOptions { epochs: 4, ..FitOptions::default() })?;
println!("{alignment}");
let aligned = alignment.apply(&contributions)?;

// ## 3. Score and rank
//
// Which components carry the location? A component's score for a feature is the share of its variance that lies along the
// feature's texts and goes with what the whole representation says along them (section 4.2).

let places: &[&str] = if waterbirds.is_some() { &["water", "land"] } else { Factor::Location.names() };
let scores = aligned.score(&class_embeddings(&clip, places)?)?.named("location");
let top = scores.top(8)?;
BarChart::ranked(format!("{}: who carries the location? {}, n = {}", backbones[0], images.name(), images.len()), "variance attributed", &top)

// What text says of them:

let words = [Factor::Location, Factor::Shape, Factor::Colour, Factor::Pattern].map(|factor| factor.names()).concat();
text_labels(&clip, &aligned, &top, &words, 4)?

// ## 4. Switch off what carries the location
//
// A linear probe for rounded against angular shapes is fitted on images in which rounded shapes are in open places and angular
// ones in covered places, in 95 % of them. It is tested where the two are independent. The components that say more of
// the location than of the shape are replaced by their means, the first $k$ of them, where $k$ is chosen on a validation split.
// (`StudySettings::paper()` in place of `StudySettings::default()` is the paper's protocol: ten whatever the model, scored and
// tested on the same images.)

let study = Arc::new(Study::new(&clip, data, StudySettings::default())?);
let results = {
    let mut results = Vec::new();
    for name in backbones {
        results.push(study.run(&load(name)?, Classifier::Probe)?);
    }
    results.push(study.run(&clip, Classifier::Probe)?);
    results.push(study.run(&clip, Classifier::ZeroShot)?);
    results
};

// The ranked components of each model, the first eight of them:

for result in &results {
    println!("{}", result.ranking(8));
}

// The scores behind the ranking of the first model: the components that differ most either way.

results[0].chart(12)

// How $k$ was chosen: accuracy on the validation split as more and more of the ranked components are switched off.

results[0].curve()

// Accuracy by group. The bars are before and after, the whiskers bootstrap intervals.

results[0].groups()

// ## 5. Beyond mean ablation
//
// Two more ways to change components without touching the backbone or the probe, both chosen on the validation split:
//
// - *Fitted weights*: each component is scaled about its mean by a weight of its own that is not negative, fitted to the loss of
//   the worst group and pulled towards 1.
// - *Locate then correct*: spurious components are switched off, and those of the shape strengthened by a common factor.
//
// What helps the first of the models?

results[0].remedies_chart()

// Every accuracy with its interval, and the same changes made to random components:

results[0].table()

// ## 6. What it comes to
//
// The worst group of all models, and whether anything beats mean ablation. Where the interval of the gain reaches below zero,
// another draw of test images could turn it round.

remedy_comparison(&results)

// In words, for each model:

for result in &results {
    println!("{}", result.verdict());
}

// What mean ablation did to the four groups, beside as many components taken at random (20 draws):

comparison(&results)
