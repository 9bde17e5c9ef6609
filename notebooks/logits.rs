// # Which components decided this prediction?
//
// A model says "star". Which heads and MLPs made it say so, and which spoke for something else? The representation is a
// sum of contributions, $z = \sum_i c_i$ (section 3 of the paper), and the logit of a class $a$ is linear in it:
//
// $$\ell_a = w_a \cdot z + b_a = \sum_i w_a \cdot c_i + b_a .$$
//
// So each component has a share $w_a \cdot c_i$ in the logit, and the shares with the bias $b_a$ sum to it exactly. This is
// known as direct logit attribution (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"). What made
// it class $a$ and not $b$ is the same with $w_a - w_b$. Shares are *direct* effects: what a component does through later
// layers is counted as theirs. The notebook `swap` holds the two against each other.
//
// The images are generated; with `VITREPL_IMAGES` set to a folder that has one sub-folder a class they are yours.

let vit = load("tiny_vit")?;
let clip = load_clip("tiny_clip")?;
let own = std::env::var("VITREPL_IMAGES").ok();
let set: Arc<dyn DataSet> = match &own {
    Some(folder) => Arc::new(FolderSet::open(folder, OnUnreadable::Skip)?),
    None => Arc::new(GeneratedSet::new(GeneratedSpec::unbiased(4_001, 1500))?),
};
let column = if own.is_some() { "class" } else { "shape" }.to_string();
let images = set.first(set.len().min(1500))?;
images.show(0..images.len().min(10))?

// ## A probe
//
// A linear probe for the classes, fitted on nine tenths of the images. The last tenth is asked about. Accuracy there:

let parts = images.split(7, &[0.9, 0.1])?;
let (train, test) = (parts[0].clone(), parts[1].clone());
let labels = train.labels(&column)?;
let options = score::ProbeOptions::default();
let (probe, _) = score::fit_probe(&embed_images(&vit, &train)?, &labels.values, labels.names.len(), &options)?;
let probe = probe.named(labels.names.clone())?;
probe.evaluate(&embed_images(&vit, &test)?, &test.labels(&column)?.values)?

// ## One image
//
// The logit of the predicted class, step by step from 0: the components with the largest shares, all others as one bar, the
// bias of the probe. `bias` is what the biases of the model's own layers add on their way to $z$.

let why = attribute_logits(&vit, &test, &probe)?;
why.image(0)?.predicted()?

// That it is exact is part of the result: the largest distance between an image's logit and the sum of its shares.

let predicted = why.predicted()?;
println!("largest distance between a logit and the sum of its shares, {} images: {:.1e}", why.images(), predicted.sum_error());
assert!(predicted.sum_error() < 1e-3);

// ## One class against another
//
// A logit alone says little: what counts is the difference to the others. What made the first image its predicted class and
// not the one that came second?

let order = {
    let logits = &why.logits()[0];
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    order
};
why.image(0)?.between(order[0], order[1])?

// ## Averaged over images
//
// The mean share of each component in the logit of the class predicted. Components with a large mean speak for whatever is
// predicted; the deviation in the table says how much that changes from image to image.

predicted.chart(12)

predicted.table()

// ## A zero-shot head
//
// A CLIP's zero-shot logit of a text $t_a$ is $s\, t_a \cdot z / |z|$, with the model's own factor $s$. Once $|z|$ is known,
// that is linear too (section 5.1 of Gandelsman et al. 2024). What made the first image "sea" or "forest"? On images of your
// own, put your own words here.

let places = Readout::texts(&clip, Factor::Location.names())?;
let why_clip = attribute_logits(&clip, &test, &places)?;
why_clip.image(0)?.predicted()?

// Averaged over all test images, what tells "sea" from "forest":

why_clip.between("sea", "forest")?

// ## Words for a model without a text tower
//
// The ViT has no text tower, but its components have maps to CLIP's space. There the same question can be put to it in
// words. The sum is exact in that space; how well the space is reached is the alignment's held-out cosine.

let alignment = align(&vit, &clip, &train, &DecomposeOptions::default(), &FitOptions { epochs: 4, ..FitOptions::default() })?;
println!("{alignment}");
let c = decompose(&vit, &test, &DecomposeOptions::default())?;
alignment.apply(&c)?.attribute_logits(&places)?.image(0)?.between("sea", "forest")?

// ## A model's own head
//
// A classifier that comes with its weights is a head like any other: `let vit = load("deit")?;` (ImageNet's 1000 classes by
// their names), then `attribute_logits(&vit, &images, vit.head()?)?.image(0)?.between("tabby", "tiger cat")?`. The embedded
// models have none, which they say:

match vit.head() {
    Ok(head) => println!("{head}"),
    Err(error) => println!("{error}"),
}
