// # What is each component about?
//
// A representation is a sum of what heads and MLPs add to it, $z = \sum_c z_c$. With one linear map $f_c$ for each component
// the contributions come to CLIP's space, where texts are. There one can ask three things of every component: how much of a
// *feature* ("location") it carries, which *texts* describe it, and whether those texts are all there is to it. Sections
// 3.3 and 4 of *Decomposing and Interpreting Image Representations via Text in ViTs Beyond CLIP*.
//
//     cargo run --release --locked -- notebooks/attribution.rs
//
// `VITREPL_IMAGENET` names ImageNet's validation folder; then DeiT is taken apart, CLIP L/14 gives the texts, and the
// features are the paper's.

let quick = std::env::var("VITREPL_QUICK").is_ok();
let imagenet = std::env::var("VITREPL_IMAGENET").ok();
let (images, fitted): (Arc<dyn DataSet>, Arc<dyn DataSet>) = match &imagenet {
    Some(folder) => {
        let all = ImageNet::open(folder, OnUnreadable::Skip)?.shuffled(0)?;
        let tested = all.first(all.len().min(1000))?;
        let rest: Vec<usize> = (tested.len()..all.len().min(6000)).collect();
        (Arc::new(tested), Arc::new(all.subset(&rest)?))
    }
    None => (
        Arc::new(GeneratedSet::new(GeneratedSpec::unbiased(77_002, if quick { 400 } else { 2000 }))?),
        Arc::new(GeneratedSet::new(GeneratedSpec::unbiased(77_001, if quick { 600 } else { 3000 }))?),
    ),
};
let (model, clip) = match &imagenet {
    Some(_) => (load("deit")?, load_clip("ViT-L-14")?),
    None => (load("tiny_vit")?, load_clip("tiny_clip")?),
};
let options = DecomposeOptions::default();
let alignment = {
    let fit = FitOptions { epochs: if quick { 2 } else { 4 }, ..FitOptions::default() };
    align(&model, &clip, &fitted, &options, &fit)?
};
let aligned = alignment.apply(&decompose(&model, &images, &options)?)?;
println!("{alignment}");

// ## Components by features
//
// A feature is given by words, "sea", "desert", "forest" for location. With $Q$ an orthonormal basis of the span of their
// embeddings, the score of component $c$ is the mean over the basis of the correlation over images of the component with the
// whole,
//
// $$ v_c = \frac1k \sum_j \operatorname{corr}\big(q_j \cdot f_c(z_c),\; q_j \cdot \textstyle\sum_{c'} f_{c'}(z_{c'})\big) . $$
//
// One row a component, one column a feature; frames mark the highest score of each feature. Blue is below zero: such a
// component works against the sum.

let features = match &imagenet {
    Some(_) => FeatureWords::published(),
    None => FeatureWords::generated(),
};
let matrix = attribution_matrix(&clip, &aligned, &features, ScoreMeasure::VarianceAttributed)?;
matrix.chart()

// The five components with the highest scores of each feature.

matrix.top(5)?

// ## How specialised are they?
//
// A component may carry one feature or a little of each. Its scores $v_f$ over $F$ features (those below 0 count as 0) are
// brought to shares $p_f = v_f / \sum v$. **Selectivity** is
//
// $$ 1 - \frac{H}{\ln F}, \qquad H = -\sum_f p_f \ln p_f , $$
//
// 0 where all features have the same score and 1 where one has everything. Beside it stand the share of the best feature and
// the largest score over the second. Scores are correlations: the shares compare features, they are no shares of variance.
// The bars show the components with the highest scores of any feature.

let specialised = matrix.specialisation()?;
specialised.chart(16)

specialised.table()

// ## Texts of every component, in three ways
//
// **Text span** (Gandelsman, Efros, Steinhardt, ICLR 2024) picks the text along which the component varies most over all
// images, takes its direction out of data and texts, and goes on: a few directions for all images. **Matching pursuit** and
// a **sparse non-negative code** (as SpLiCE, Bhalla et al., NeurIPS 2024) write the contribution to *each* image, as its
// difference from the mean, by a few texts of that image's own; the texts that count most over all images are the label.
// The code is the $c \ge 0$ with the least $\frac12 |y - c^\top T|^2 + \lambda \sum c$.
//
// Behind each text is what it counts in %, and for each way the share of the component's own variance that its texts
// explain.

let vocabulary: Vec<String> = features.iter().flat_map(|feature| feature.words.clone()).collect();
let labels = component_labels(&clip, &aligned, &vocabulary, &LabelOptions { coded_images: if quick { 50 } else { 200 }, ..LabelOptions::default() })?;
labels.table()

// How much the texts explain, component by component. Text span spends three directions on all images, the others choose
// anew for each.

labels.chart()

// ## Are the texts all there is?
//
// Heads of the last layers are rebuilt from their texts alone: mean plus the part within the span of the texts picked.
// Heads of earlier layers are at their mean. If a classifier does as well on the sum as on the whole representation, the
// texts are complete for it. The classifier is zero-shot, in CLIP's space, so any model has one. Beside the rebuilt heads
// stand the same heads as they are, at their mean, and rebuilt from as many random directions. MLPs and what is before the first block
// stay as they are in one half of the table, as published, and are at their means in the other, where only heads can say
// anything.

let task = ClassificationTask::new(images.clone(), if imagenet.is_some() { "class" } else { "location" })?;
let complete = CompletenessOptions { last_layers: 4, texts: if imagenet.is_some() { 20 } else { 8 }, ..CompletenessOptions::default() };
let completeness = text_completeness(&clip, &aligned, &task, &vocabulary, &complete)?;
completeness.table()

completeness.chart()
