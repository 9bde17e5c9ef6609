// # Where heads look
//
// A head's contribution is itself a sum, over the tokens that it reads its values from. With $a_{ts}$ the attention that token
// $t$ pays to token $s$ and $v_s$ the value vector of $s$, its part in the representation is
//
// $$ z_h = \sum_s \Big(\sum_t w_t\, a_{ts}\Big)\, W_{h} v_s $$
//
// where $w$ and $W_h$ are what norms, pooling and projections make of the way from the head to the representation. How much
// token $s$ gives for a text is its term's product with the text, brought to the head's space through the aligner: a map over
// the image (section 5.2 of the paper and its figures of token importance).
//
//     cargo run --release --locked -- notebooks/heatmaps.rs
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

// ## A few images, token by token
//
// Source tokens are kept as the products they are, and asked along texts: nothing of the size images x tokens x width is ever
// written out. What will not fit in memory is refused before it starts.

let few = images.subset(&[0, 1, 2, 3])?;
let tokens = DecomposeOptions { granularity: Granularity::Tokens, ..DecomposeOptions::default() };
let of_few = alignment.apply(&decompose(&vit, &few, &tokens)?)?;
let texts = class_embeddings(&clip, &["circle", "star", "sea", "forest"])?;
let one_head = of_few.tokens("block 5 head 3")?.along(&texts)?;
one_head.heatmap(&few)?

// What has no place in the image stands apart: the class token (and registers, where a model has them). Its part is in no map.

one_head.table()?

// ## Features beside each other
//
// For each feature the three heads that carry most of it (of all images), summed, along one of its words. Blue speaks against
// the text and red for it, on one scale for all.

let aligned = alignment.apply(&decompose(&vit, &images, &DecomposeOptions::default())?)?;
let shape_heads = aligned.score(&class_embeddings(&clip, Factor::Shape.names())?)?.select("* head *")?.top(3)?;
let location_heads = aligned.score(&class_embeddings(&clip, Factor::Location.names())?)?.select("* head *")?.top(3)?;
let colour_heads = aligned.score(&class_embeddings(&clip, Factor::Colour.names())?)?.select("* head *")?.top(3)?;
let beside = heatmaps(&few, &of_few, &[
    (shape_heads.clone(), class_embeddings(&clip, &["star"])?),
    (location_heads.clone(), class_embeddings(&clip, &["sea"])?),
    (colour_heads.clone(), class_embeddings(&clip, &["red"])?),
])?;
beside.chart(HeatScale::Shared)?

// The same on the scale of the published pictures: grey image, each map divided by the value at which its sorted sizes have
// summed to 98 %. Every map then reaches full colour, whether it says much or little.

beside.chart(HeatScale::Published)?

// ## Contrast
//
// What speaks for one text rather than for another: two maps of the same heads, the one less the other.

token_importance(&of_few, &shape_heads, &class_embeddings(&clip, &["star", "circle"])?)?.contrast("star", "circle")?.heatmap(&few)?

// ## Every head
//
// One image and one text, all heads of the model. Most heads say nothing of it.

head_maps(few.subset(&[1])?, &of_few.image(1)?, &class_embeddings(&clip, &["star"])?)?.chart()?

// ## Every family
//
// Windows (Swin), windows and grids (MaxViT) and registers (DINOv2) answer on the same image. Heads of several stages are
// summed on the finest of their grids.

let zoo_clip = load_clip("tiny_clip")?;
let known = GeneratedSet::new(GeneratedSpec::unbiased(77_200, if quick { 200 } else { 1000 }))?;
let names = if quick { vec!["tiny_vit", "tiny_swin"] } else { vec!["tiny_vit", "tiny_dinov2", "tiny_swin", "tiny_maxvit", "tiny_clip"] };
let games = {
    let mut games = Vec::new();
    for name in &names {
        let model = load(name)?;
        let to_clip = align(&model, &zoo_clip, &known, &DecomposeOptions::default(), &fit)?;
        let of_known = to_clip.apply(&decompose(&model, &known, &tokens)?)?;
        for factor in [Factor::Shape, Factor::Location] {
            let words = class_embeddings(&zoo_clip, factor.names())?;
            let heads = of_known.score(&words)?.select("* head *")?.top(3)?;
            let maps = token_importance(&of_known, &heads, &words)?;
            games.push((name.to_string(), factor, pointing_game(&maps, &known, &known.labels(factor.name())?)?));
        }
    }
    games
};

// ## Where the hottest patch lies
//
// Of generated images the object's mask is known. For each image, along the word of its own shape (or place): does the middle of
// the hottest patch lie on the object? Beside it stands the share of the image that the object covers, which is what a random
// point would hit. Maps of shapes should lie on the object far more often than that, and maps of places less often.

let mut chart = GroupedBars::new(format!("Hottest patch on the object: {}, n = {}", known.name(), known.len()), "share of images", ["shape words", "location words", "object covers"]);
for pair in games.chunks(2) {
    chart = chart.group(pair[0].0.as_str(), [pair[0].2.share(), pair[1].2.share(), pair[0].2.covered()]);
}
chart

// Word by word.

for (_, _, game) in &games {
    println!("{game}");
}
