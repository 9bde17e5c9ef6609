// From a model to a mitigated spurious correlation, step by step.
//
//     cargo run --release --locked -- notebooks/spurious.rs
//
// The images are generated: an object of a known shape, colour and pattern in a known location. The backbones
// learned all of these from images without bias, and are frozen.

let clip = load_clip("tiny_clip")?;
let vit = load("tiny_vit")?;
let images = GeneratedSet::new(GeneratedSpec::unbiased(77_000, 4000))?;

// Some of them, with what is known of each.
images.show(0..10)?

// 1. Decompose: one contribution for each head and each MLP. They sum to the representation.
let contributions = decompose(&vit, &images, &DecomposeOptions::default())?;
println!("{} components, sum error {:.1e}", contributions.len(), contributions.sum_error()?);

// 2. Align: one linear map for each component, to the image space of CLIP.
let alignment = align(&vit, &clip, &images, &DecomposeOptions::default(), &FitOptions { epochs: 4, ..FitOptions::default() })?;
println!("{alignment}");
let aligned = alignment.apply(&contributions)?;

// 3. Score and rank: which components carry the location?
let location = class_embeddings(&clip, Factor::Location.names())?;
let scores = aligned.score(&location)?.named("location");
let top = scores.top(8)?;
BarChart::ranked("tiny_vit: who carries the location?", "variance attributed", &top)

// What text says of them.
let texts = [Factor::Location, Factor::Shape, Factor::Colour, Factor::Pattern].map(|factor| factor.names()).concat();
text_labels(&clip, &aligned, &top, &texts, 4)?

// 4. Mitigate. A linear probe for rounded against angular shapes is fitted on images in which rounded shapes are
// in open places and angular ones in covered places, in 95 % of them. It is tested where the two are independent.
// Then the components that say more of the location than of the shape are replaced by their means. How many is chosen
// on a validation split; `StudySettings::paper()` in place of `StudySettings::default()` is the paper's protocol: ten, whatever the
// model, scored and tested on the same images. For Waterbirds the data is `StudyData::waterbirds("waterbirds",
// OnUnreadable::Fail)?`, for other sets `StudyData::new` with the names of their label columns.
let data = StudyData::generated(&GeneratedSplits::default())?;
let study = Arc::new(Study::new(&clip, data, StudySettings::default())?);
let [dinov2, swin, maxvit] = [load("tiny_dinov2")?, load("tiny_swin")?, load("tiny_maxvit")?];
let results = vec![
    study.run(&vit, Classifier::Probe)?,
    study.run(&dinov2, Classifier::Probe)?,
    study.run(&swin, Classifier::Probe)?,
    study.run(&maxvit, Classifier::Probe)?,
    study.run(&clip, Classifier::Probe)?,
    study.run(&clip, Classifier::ZeroShot)?,
];

// The ranked components of each, the first 8 of them.
for result in &results {
    println!("{}", result.ranking(8));
}

// The scores behind the ranking: the components that differ most either way.
results[0].chart(12)

// How k was chosen.
results[0].curve()

// Accuracy by group, for the first of the models.
results[0].groups()

// 5. Beyond mean ablation. Two more ways to change components without touching the backbone or the probe, both chosen
// on the validation split. Fitted weights: each component is scaled about its mean by a weight of its own that is not
// negative, fitted to the loss of the worst group and pulled towards 1. Locate then correct: spurious components are
// switched off and those of the shape strengthened by a common factor. What helps the first of the models?
results[0].remedies_chart()

// Every accuracy with its interval, and the same changes made to random components.
results[0].table()

// The worst group of all models, and whether anything beats mean ablation. Where the interval of the gain reaches below
// zero, another draw of test images could turn it round.
remedy_comparison(&results)

// The same in words, for each model.
for result in &results {
    println!("{}", result.verdict());
}

// What mean ablation did to the four groups, beside as many components taken at random (20 draws).
comparison(&results)
