// # What is lost when components are switched off?
//
// If a representation is a sum of contributions, $z = \sum_c z_c$, then components can be taken out of the sum one after
// the other, and one can watch a classifier fail. This asks which layers matter to a classification *directly*, by what
// they add to $z$ themselves. Section 3.1 of *Decomposing and Interpreting Image Representations via Text in ViTs Beyond
// CLIP* does so from the last layer back: with $S$ the components that are off, the classifier reads
//
// $$ z_S(x) = \sum_{c \notin S} z_c(x) + \sum_{c \in S} \bar z_c , \qquad \bar z_c = \frac1n \sum_x z_c(x) . $$
//
// A component is replaced by its mean over the tested images (mean ablation), so that the sum stays where representations
// usually are. Attention and norms stay as they were.
//
//     cargo run --release --locked -- notebooks/ablation.rs
//
// `VITREPL_IMAGENET` names ImageNet's validation folder; then the paper's models are tested on a thousand of its images by
// their own heads, CLIP by its texts. The published code takes the first thousand in the order of the files, which are
// images of twenty classes; here they are drawn from all.

let quick = std::env::var("VITREPL_QUICK").is_ok();
let imagenet = std::env::var("VITREPL_IMAGENET").ok();
let task = match &imagenet {
    Some(folder) => {
        let all = ImageNet::open(folder, OnUnreadable::Skip)?.shuffled(0)?;
        let images = all.first(all.len().min(1000))?;
        ClassificationTask::new(images, "class")?
    }
    None => {
        let tested = GeneratedSet::new(GeneratedSpec::unbiased(77_002, if quick { 400 } else { 2000 }))?;
        let fitted = GeneratedSet::new(GeneratedSpec::unbiased(77_001, if quick { 600 } else { 2000 }))?;
        ClassificationTask::new(tested, "location")?.fitted_on(fitted)?
    }
};
println!("{task}");
task.tested().labels(task.column())?

// ## From the last layer back
//
// Three kinds of classifiers read the sum. A model's **own head** was trained with it; the embedded backbones have one for
// each factor of the generated images. A **probe** is a linear classifier fitted on the frozen representations of *other*
// images than those tested: it would come out too well on its own. A **zero-shot** head is made of the texts of the classes,
// and needs a CLIP.
//
// Each line starts with all components on. A step takes one layer, an attention or an MLP (in MaxViT a convolution too);
// rings mark where a block is done. Dashed in the same colour is the mean over random orders of the same layers: what as
// many layers are worth on average.

let names = match &imagenet {
    Some(_) => vec!["deit", "swin", "maxvit"],
    None => vec!["tiny_vit", "tiny_dinov2", "tiny_swin", "tiny_maxvit"],
};
let models = names.iter().map(|name| load(name)).collect::<Result<Vec<_>>>()?;
let clip = load_clip(if imagenet.is_some() { "clip" } else { "tiny_clip" })?;
let by_layer = AblationSettings { random_orders: if quick { 3 } else { 10 }, ..AblationSettings::default() };
let curves = {
    let mut cases: Vec<(&Arc<Model>, Classifier)> = models.iter().map(|model| (model, Classifier::Own)).collect();
    cases.push((&clip, Classifier::ZeroShot));
    ablation_curves(&task, &cases, &by_layer)?
};
curves.chart()

// The same in numbers. *Mean over steps* is the mean of a line's points, beside that of the dashed one: a line that lies
// below its dashes loses what matters early. *Half is lost at* says after how many layers accuracy is for good below the
// middle between all layers and always answering the most frequent class.

curves.table()

// ## Own head, probe and zero-shot
//
// Does it depend on who reads? One model by its own head and by a probe, and CLIP by a probe and by texts. (A probe needs
// images to be fitted on, which there are none of here for ImageNet: then the lines are those of above.)

let readers = match task.fitted() {
    Some(_) => {
        let cases = [
            (&models[0], Classifier::Own),
            (&models[0], Classifier::Probe),
            (&clip, Classifier::Probe),
            (&clip, Classifier::ZeroShot),
        ];
        ablation_curves(&task, &cases, &by_layer)?
    }
    None => curves.clone(),
};
readers.chart()

// ## Other orders
//
// From the input on, and the order of the published code, which takes what is before the first block off first.

let forth = by_layer.clone().order(AblationOrder::FirstToLast);
let published = by_layer.clone().order(AblationOrder::Published);
let orders = {
    let case = [(&models[0], Classifier::Own)];
    let back = ablation_curves(&task, &case, &by_layer)?;
    let back_and_forth = back.with(&ablation_curves(&task, &case, &forth)?)?;
    back_and_forth.with(&ablation_curves(&task, &case, &published)?)?
};
orders.chart()

// ## Head by head, in the order of a score
//
// Layers are coarse. The heads and MLPs that score highest for the classes' words (section 3.3) are taken off first, one by
// one. If the score finds what the classifier needs, accuracy falls faster than in random orders, the dashed line.

let options = DecomposeOptions::default();
let contributions = decompose(&models[0], task.tested(), &options)?;
let teacher = load_clip(if imagenet.is_some() { "ViT-L-14" } else { "tiny_clip" })?;
let alignment = {
    let fit = FitOptions { epochs: if quick { 2 } else { 4 }, ..FitOptions::default() };
    align(&models[0], &teacher, task.fitted().unwrap_or(task.tested()), &options, &fit)?
};
let words: Vec<String> = match &imagenet {
    Some(_) => ["sea", "beach", "forest", "desert", "city", "sky"].map(String::from).to_vec(),
    None => task.classes().to_vec(),
};
let scores = alignment.apply(&contributions)?.score(&class_embeddings(&teacher, &words)?)?.named("location");
let by_head = AblationSettings { decompose: options, ..by_layer.clone() };
let ranked = by_head.clone().order(AblationOrder::ranked(scores.ranked()?));
let ranked = ablation_curves(&task, &[(&models[0], Classifier::Own)], &ranked)?;
ranked.chart()

// Any components can be named, patterns take several together: all MLPs at once, then the attention block by block.

let patterns = match &imagenet {
    Some(_) => vec!["* mlp"],
    None => vec!["* mlp", "*5 head *", "*4 head *", "*3 head *", "*2 head *", "*1 head *", "*0 head *"],
};
let in_turn = by_head.clone().order(AblationOrder::named(&patterns));
let named = ablation_curves(&task, &[(&models[0], Classifier::Own)], &in_turn)?;
named.curves()[0].clone()

// Rows for other programs: one for every step of every curve (`.parquet` too). The first of them:

let path = std::env::temp_dir().join(format!("ablation-{}.csv", std::process::id()));
curves.save(&path)?;
for line in std::fs::read_to_string(&path)?.lines().take(4) {
    println!("{line}");
}
std::fs::remove_file(&path)?;
