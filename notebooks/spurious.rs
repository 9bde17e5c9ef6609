// From a model to a mitigated spurious correlation, step by step.
//
//     cargo run --release --locked -- notebooks/spurious.rs
//
// The images are generated: an object of a known shape, colour and pattern in a known location. The backbones
// learned all of these from images without bias, and are frozen.

let clip = load_clip("tiny_clip")?;
let vit = load("tiny_vit")?;
let images = Arc::new(GeneratedSet::new(GeneratedSpec::unbiased(77_000, 4000))?);

// Some of them, with one of the captions CLIP learned from.
let pixels = images.pixels(&(0..10).collect::<Vec<_>>(), 96.into())?;
let tiles = (0..10).map(|i| Tile::of_pixels(&pixels.get(i)?, images.caption(i, 0))).collect::<Result<Vec<_>>>()?;
tiles.into_iter().fold(HeatmapGrid::new("Generated images and captions", ""), HeatmapGrid::tile)

// 1. Decompose: one contribution for each head and each MLP. They sum to the representation.
let contributions = decompose(&vit, &*images, &Options::default())?;
println!("{} components, sum error {:.1e}", contributions.len(), contributions.sum_error()?);

// 2. Align: one linear map for each component, to the image space of CLIP.
let alignment = align(&vit, &clip, &*images, &Options::default(), &FitOptions { epochs: 4, ..FitOptions::default() })?;
println!("{alignment}");
let aligned = alignment.apply(&contributions)?;

// 3. Score and rank: which components carry the location?
let location = class_embeddings(&clip, Factor::Location.names())?;
let scores = aligned.score(&location)?;
let top = scores.top(8)?;
BarChart::ranked("tiny_vit: who carries the location?", "variance attributed", &top)

// What text says of them.
let texts = [Factor::Location, Factor::Shape, Factor::Colour, Factor::Pattern].map(|factor| factor.names()).concat();
text_labels(&clip, &aligned, &top, &texts, 4)?

// 4. Mitigate. A linear probe for rounded against angular shapes is fitted on images in which rounded shapes are
// in open places and angular ones in covered places, in 95 % of them. It is tested where the two are independent.
// Then the components that say more of the location than of the shape are replaced by their means.
let study = Arc::new(Study::new(&clip, Setting::default())?);
let [dinov2, swin, maxvit] = [load("tiny_dinov2")?, load("tiny_swin")?, load("tiny_maxvit")?];
let results = vec![
    study.run(&vit, Head::Probe)?,
    study.run(&dinov2, Head::Probe)?,
    study.run(&swin, Head::Probe)?,
    study.run(&maxvit, Head::Probe)?,
    study.run(&clip, Head::Probe)?,
    study.run(&clip, Head::ZeroShot)?,
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

// What it did to the four groups, beside as many components taken at random (20 draws).
comparison(&results)
