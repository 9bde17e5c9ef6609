// # Do the scores order components as images do?
//
// A component's score for a feature says how much of it the component carries. If that is so, a component with a high
// score should rank images by a word of the feature as CLIP itself ranks them. Section 5 of *Decomposing and Interpreting
// Image Representations via Text in ViTs Beyond CLIP* measures it by rank correlations.
//
// For feature $f$ with words $t$, component $c$ with aligned contribution $f_c(z_c)$ and CLIP's own image embedding $e$,
//
// $$ r_{fc} = \frac1{|f|} \sum_{t \in f} \operatorname{corr}_x\big(f_c(z_c(x)) \cdot t,\; e(x) \cdot t\big) $$
//
// is how well the component orders images, and $v_{fc}$ its score (variance attributed). Spearman's correlation of $r$ and
// $v$ is taken **within** a component over the features (which feature is it best for?) and **between** components for a
// feature (which component is best for it?).
//
//     cargo run --release --locked -- notebooks/ordering.rs
//
// `VITREPL_IMAGENET` names ImageNet's validation folder; then it is the paper's table: its models, 6400 images, seven features of
// four words each. In the published code the images of both sides come from two separately shuffled loaders; here both are
// of the same images in the same order, and others are refused.

let quick = std::env::var("VITREPL_QUICK").is_ok();
let imagenet = std::env::var("VITREPL_IMAGENET").ok();
let (images, fitted): (Arc<dyn DataSet>, Arc<dyn DataSet>) = match &imagenet {
    Some(folder) => {
        let all = ImageNet::open(folder, OnUnreadable::Skip)?.shuffled(0)?;
        let tested = all.first(all.len().min(6400))?;
        let rest: Vec<usize> = (tested.len()..all.len().min(16_400)).collect();
        (Arc::new(tested), Arc::new(all.subset(&rest)?))
    }
    None => (
        Arc::new(GeneratedSet::new(GeneratedSpec::unbiased(77_002, if quick { 400 } else { 2000 }))?),
        Arc::new(GeneratedSet::new(GeneratedSpec::unbiased(77_001, if quick { 600 } else { 3000 }))?),
    ),
};
let (names, clip, features) = match &imagenet {
    Some(_) => (vec!["deit", "dino", "dinov2", "swin", "maxvit"], load_clip("ViT-L-14")?, FeatureWords::published()),
    None => (vec!["tiny_vit", "tiny_dinov2", "tiny_swin", "tiny_maxvit"], load_clip("tiny_clip")?, FeatureWords::generated()),
};
let features: Vec<FeatureWords> = features.iter().map(|feature| feature.first(4)).collect();
for feature in &features {
    println!("{}: {}", feature.name, feature.words.join(", "));
}

// ## Components in CLIP's space
//
// One linear map for each component of each model, fitted on other images than those the correlations are taken on.

let options = DecomposeOptions::default();
let aligned = {
    let mut aligned = Vec::new();
    for name in &names {
        let fit = FitOptions { epochs: if quick { 2 } else { 4 }, ..FitOptions::default() };
        let model = load(name)?;
        let alignment = align(&model, &clip, &fitted, &options, &fit)?;
        aligned.push(alignment.apply(&decompose(&model, &images, &options)?)?);
    }
    aligned
};
println!("{} models", aligned.len());

// ## The table
//
// *Within* and *between* are means. A high value between components could also mean that some components order images well
// whatever the feature, and have high scores for everything. So beside it stands a control that the paper does not have: the
// same correlation with the scores for the *other* features, on average. Only what is above it is about the feature.

let table = component_orderings(&clip, &aligned.iter().collect::<Vec<_>>(), &images, &features)?;
table.table()

// The same as bars.

table.chart()

// The scores behind it, for the first model.

table.models()[0].chart()
