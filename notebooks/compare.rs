// # Do different models have the same heads?
//
// A class token or a mean over windows, a teacher or labels: models differ in how they are built and trained. Through one CLIP
// their components can be put side by side. Each component $c$ of each model has a linear map $f_c$ to CLIP's space, where its
// contribution to an image is a vector $x = f_c(z_c)$ that can be held against that of any other model's component.
//
//     cargo run --release --locked -- notebooks/compare.rs
//
// `VITREPL_IMAGES` names a folder of one's own images; then DeiT, DINO and Swin are compared through CLIP L/14.

let quick = std::env::var("VITREPL_QUICK").is_ok();
let own = std::env::var("VITREPL_IMAGES").ok();
let (images, fitted): (Arc<dyn DataSet>, Arc<dyn DataSet>) = match &own {
    Some(folder) => {
        let parts = FolderSet::open(folder, OnUnreadable::Skip)?.split(0, &[0.5, 0.5])?;
        (Arc::new(parts[0].clone()), Arc::new(parts[1].clone()))
    }
    None => (
        Arc::new(GeneratedSet::new(GeneratedSpec::unbiased(77_002, if quick { 400 } else { 1500 }))?),
        Arc::new(GeneratedSet::new(GeneratedSpec::unbiased(77_001, if quick { 600 } else { 3000 }))?),
    ),
};
let (names, clip) = match &own {
    Some(_) => (vec!["deit", "dino", "swin"], load_clip("ViT-L-14")?),
    None => (vec!["tiny_vit", "tiny_dinov2", "tiny_swin", "tiny_maxvit"], load_clip("tiny_clip")?),
};
let options = DecomposeOptions::default();
let (contributions, heads) = {
    let (mut contributions, mut heads) = (Vec::new(), Vec::new());
    for name in &names {
        let fit = FitOptions { epochs: if quick { 2 } else { 4 }, ..FitOptions::default() };
        let model = load(name)?;
        let own = decompose(&model, &images, &options)?;
        let alignment = align(&model, &clip, &fitted, &options, &fit)?;
        heads.push(alignment.apply(&own)?.select("* head *")?);
        contributions.push((*own).clone());
    }
    (contributions, heads)
};
heads[0].clone()

// ## Whole representations
//
// Before any map to CLIP: how alike do the images lie in two models? Linear CKA (Kornblith et al., ICML 2019) of
// representations $X$ and $Y$ of the same images, centred, is
//
// $$ \operatorname{CKA}(X, Y) = \frac{|Y^\top X|_F^2}{|X^\top X|_F \, |Y^\top Y|_F} , $$
//
// 1 where one is a rotation of the other, whatever their widths. That estimate is too high where images are few for the
// width; here it is the unbiased one (Song et al., JMLR 2012), which is 0 on average for representations that have nothing
// in common. `CkaEstimate::Plain` is Kornblith et al.'s.

representation_cka(&contributions.iter().collect::<Vec<_>>(), CkaEstimate::Unbiased)?

// ## Layers
//
// The same between what each layer of one model and each layer of another adds to its representation directly.

layer_cka(&contributions[0], &contributions[names.len() - 1], CkaEstimate::Unbiased)?

// ## Heads through CLIP
//
// The similarity of two heads is the correlation of their contributions over images *and* channels of CLIP's space,
//
// $$ s(x, y) = \frac{\sum_{i} \tilde x_i \cdot \tilde y_i}{\sqrt{\sum_i |\tilde x_i|^2 \sum_i |\tilde y_i|^2}} , \qquad \tilde x_i = x_i - \bar x , $$
//
// over images $i$: 1 where both move every image in the same direction. It does not ask how strong a head is, only what it
// says. Frames show the one-to-one matching with the greatest sum (the Hungarian method).

let compared = compare_components(&heads.iter().collect::<Vec<_>>(), &SimilarityOptions::default())?;
compared.chart()

// The matches of the first model's heads in every other model. The last row is the same matching with the images of one side
// shuffled: how similar best matches are by chance.

compared.table()

// ## One feature alone
//
// Two heads may agree on the location and differ in the rest. In the span of a feature's words only that feature counts.

let words: Vec<&str> = match &own {
    Some(_) => vec!["sea", "beach", "forest", "desert", "city", "sky"],
    None => Factor::Location.names().to_vec(),
};
let by_location = SimilarityOptions { directions: Some(class_embeddings(&clip, &words)?), ..SimilarityOptions::default() };
compare_components(&heads.iter().collect::<Vec<_>>(), &by_location)?.chart()
