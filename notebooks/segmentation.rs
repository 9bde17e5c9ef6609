// # Segmentation without training
//
// If source tokens give to a class where its object is, then their map segments the image. Section 5.3 of the paper compares
// that with other ways to explain a class score. The map of the decomposition is what the source tokens of all heads give to
// the logit of the image's class; MLPs have no source tokens and do not enter. What lies below 0 is cut off, and a pixel is
// foreground where the enlarged map lies above its own mean.
//
// Beside it: Grad-CAM, both methods of Chefer et al. (transformer attribution, 2021; generic attention, 2021), attention
// rollout, the last block's attention as it is, and Chefer et al.'s Grad-CAM of attention. All of them read the same traced
// model, see the same pixels and are measured by the same code. (The published comparison crops pictures in one way for the
// decomposition and in another for the rest.)
//
//     cargo run --release --locked -- notebooks/segmentation.rs
//
// `VITREPL_SEGMENTATION` names a folder with the folders `images` (one sub-folder a class, by the names of the model's classes)
// and `masks`; then DeiT and Swin with their own heads are compared. (MaxViT's head has a hidden layer, so that its logits are no
// sum over components; a probe on its representation has such logits.)

let quick = std::env::var("VITREPL_QUICK").is_ok();
let pairs = std::env::var("VITREPL_SEGMENTATION").ok();
let images: Arc<dyn DataSet> = match &pairs {
    Some(folder) => Arc::new(SegmentationSet::open(format!("{folder}/images"), format!("{folder}/masks"), OnUnreadable::Skip)?),
    None => Arc::new(GeneratedSet::new(GeneratedSpec::unbiased(77_000, if quick { 60 } else { 400 }))?),
};
let names = match (&pairs, quick) {
    (Some(_), _) => vec!["deit", "swin"],
    (None, true) => vec!["tiny_vit", "tiny_swin"],
    (None, false) => vec!["tiny_vit", "tiny_dinov2", "tiny_swin", "tiny_maxvit", "tiny_clip"],
};

// ## Classes
//
// The embedded models have no head of their own: a linear probe for the shape is fitted on other images. Their maps to a text
// take the words of the shapes, through the aligner.

let train = GeneratedSet::new(GeneratedSpec::unbiased(77_300, if quick { 500 } else { 2000 }))?;
let clip = load_clip("tiny_clip")?;
let fit = FitOptions { epochs: if quick { 2 } else { 4 }, ..FitOptions::default() };

fn probe(model: &Model, train: &GeneratedSet) -> Result<score::LinearHead> {
    let labels = train.labels("shape")?;
    let representations = embed_images(model, train)?;
    let (head, report) = score::fit_probe(&representations, &labels.values, labels.names.len(), &score::ProbeOptions::default())?;
    println!("{}: the probe knows {:.1} % of the images it was fitted on", model.name(), 100.0 * report.train_accuracy);
    head.named(labels.names)
}

// ## The comparison

let results = {
    let mut results = Vec::new();
    for name in &names {
        let model = load(name)?;
        let settings = match &pairs {
            Some(_) => SegmentationSettings { column: Some("class".into()), ..SegmentationSettings::default() },
            None => SegmentationSettings {
                column: Some("shape".into()),
                texts: Some((
                    align(&model, &clip, &train, &DecomposeOptions::default(), &fit)?,
                    class_embeddings(&clip, Factor::Shape.names())?,
                )),
                ..SegmentationSettings::default()
            },
        };
        let head = match &pairs {
            Some(_) => model.head()?,
            None => probe(&model, &train)?,
        };
        results.push(segmentation(&model, &images, &head, &settings)?);
    }
    results
};
segmentation_table(&results)

// The object, and what each method marks of it.

results[0].examples.chart()?

// A model with windows: methods that read the class token's row are not defined on it.

results[1].examples.chart()?

// ## Every measure under its own name
//
// The paper's "mIoU" is the IoU of the foreground, summed over the set; CLIP-PRS and Chefer et al. mean that of background and
// foreground. Average precision is of the foreground; "of both classes" joins the map and its opposite, as CLIP-PRS does. Pixels
// that a mask leaves out (255) count nowhere.

results[0].chart()

// All numbers, and why a method is missing.

for result in &results {
    println!("{result}");
}

// ## Is it a matter of depth?
//
// The published comparison decomposes the last seven of twelve blocks; above, all were. Foreground IoU of the decomposition
// where the blocks before one are left alone, beside raw attention, which has no such choice:

{
    let title = format!("IoU by the first block that is decomposed: {}, n = {}", images.name(), images.len());
    let mut chart = LineChart::new(title, "first block", "foreground IoU, %");
    for name in names.iter().filter(|name| !name.contains("swin") && !name.contains("maxvit")) {
        let model = load(name)?;
        let head = if pairs.is_some() { model.head()? } else { probe(&model, &train)? };
        let column = Some(if pairs.is_some() { "class" } else { "shape" }.to_string());
        let mut points = Vec::new();
        for block in model.encoder().blocks() {
            let settings = SegmentationSettings {
                methods: vec![SegmentationMethod::Decomposition],
                column: column.clone(),
                first_block: Some(block.whole()),
                examples: 0,
                ..SegmentationSettings::default()
            };
            let found = segmentation(&model, &images, &head, &settings)?;
            points.push((block.index as f64, 100.0 * found.scores("decomposition")?.foreground_iou()));
        }
        let above = results.iter().find(|found| found.model() == *name).ok_or("no such model above")?;
        let raw = 100.0 * above.scores("raw attention")?.foreground_iou();
        let level: Vec<(f64, f64)> = points.iter().map(|(block, _)| (*block, raw)).collect();
        chart = chart.line(*name, points).control("raw attention", level);
    }
    chart
}

// ## What it comes to
//
// In words, for each model: what the better of the decomposition's two maps is above, and what not.
//
// In the published table the decomposition is ahead of all other methods. Here it is ahead of Grad-CAM for every model, and of
// raw attention for CLIP; for the other two models raw attention marks the object as well or better, and rollout too. It is
// not a matter of depth: leaving the first blocks alone moves the decomposition by about two points at most. There is
// just one object in these pictures, and raw attention and rollout draw the same map whatever class is asked for: they
// answer where the object is, and the decomposition which patches speak for its class.

for result in &results {
    println!("{}", result.verdict());
}
