// # One head, looked at closely
//
// A score says that a head carries a feature. This notebook looks at a head itself: the images that it answers to most and
// least, the words that span what it does (text span, Gandelsman et al. 2024), the source tokens that give for these words, and
// where its attention goes. Then at units of the last MLP in the same way.
//
//     cargo run --release --locked -- notebooks/heads.rs
//
// `VITREPL_IMAGES` names a folder of one's own photos; then DeiT is taken apart and CLIP L/14 gives the texts.

let quick = std::env::var("VITREPL_QUICK").is_ok();
let own = std::env::var("VITREPL_IMAGES").ok();
let images: Arc<dyn DataSet> = match &own {
    Some(folder) => Arc::new(FolderSet::open(folder, OnUnreadable::Skip)?),
    None => Arc::new(GeneratedSet::new(GeneratedSpec::unbiased(77_000, if quick { 300 } else { 1500 }))?),
};
let (vit, clip) = match &own {
    Some(_) => (load("deit")?, load_clip("ViT-L-14")?),
    None => (load("tiny_vit")?, load_clip("tiny_clip")?),
};
let fit = FitOptions { epochs: if quick { 2 } else { 4 }, ..FitOptions::default() };
let alignment = align(&vit, &clip, &images, &DecomposeOptions::default(), &fit)?;
let tokens = DecomposeOptions { granularity: Granularity::Tokens, ..DecomposeOptions::default() };
let aligned = alignment.apply(&decompose(&vit, &images, &tokens)?)?;

// ## The head that carries most of the location

let words = match &own {
    Some(_) => vec!["sea", "beach", "forest", "desert", "city", "sky", "marsh", "face", "hand", "dog", "cat", "bird", "car", "red", "green", "blue", "black", "white", "striped", "spotted", "round", "square"],
    None => [Factor::Location, Factor::Shape, Factor::Colour, Factor::Pattern].map(|factor| factor.names()).concat(),
};
let texts = class_embeddings(&clip, &words)?;
let location = class_embeddings(&clip, &["sea", "desert", "snow", "forest", "meadow", "city"])?;
let best = aligned.score(&location)?.select("* head *")?.top(1)?;
let study = head_study(&vit, &images, &aligned, &best[0].name, &texts, 5)?;
study.table()

// The images in which it gives most along its first word, with the map of its source tokens below each, and those in which it
// gives least.

study.chart()?

// Where the class token looks in the same images. Attention and contribution are not the same: a patch may be looked at and give
// nothing for the word.

study.attention()?

// ## The head that carries most of the shape

let shape = class_embeddings(&clip, &["circle", "ring", "heart", "square", "triangle", "star"])?;
let best = aligned.score(&shape)?.select("* head *")?.top(1)?;
let study = head_study(&vit, &images, &aligned, &best[0].name, &texts, 5)?;
study.chart()?

study.table()

// ## Units of the last MLP
//
// The units whose activation, mean over patches, goes most with the similarity of some word to the images (Pearson correlation
// over images, by CLIP), each with the images it answers to most and its activation at every patch.

let block = vit.encoder().blocks().last().map_or("block 0".to_string(), |last| last.to_string());
let units = neurons(&vit, &clip, &images, &block, &texts, (6, 5))?;
units.chart()?

// Their words.

units.table()
