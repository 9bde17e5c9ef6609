// # A tour of five minutes
//
// From nothing to a picture of what a model looks at, and to a classifier that no longer falls for the background. All
// of it runs on small models and generated images that come with the program; nothing is downloaded.
//
// A cell is run as it stands. Try your own numbers and words in any of them; Tab completes, and `:doc decompose` (with any
// other name) explains.

// ## 1. A model and pictures
//
// `tiny_vit` is a small vision transformer, `tiny_clip` a small CLIP, which knows pictures and words. The pictures show one
// object in one place, and what is on each is known. Your own come from a folder: `FolderSet::open("photos", OnUnreadable::Skip)?`.

let vit = load("tiny_vit")?;
let clip = load_clip("tiny_clip")?;
let images = GeneratedSet::new(GeneratedSpec::unbiased(1, 1000))?;
images.show(0..10)?

// ## 2. Take the model apart
//
// What the model says of a picture, a vector $z$, is a sum of contributions: one of every attention head, one of every MLP,
// and one of what was there before the first block, $z = \sum_i c_i$. The sum is exact.

let c = decompose(&vit, &images, &DecomposeOptions::default())?;
println!("{} components sum to the representation, off by {:.0e} of its length", c.len(), c.sum_error()?);
c.select("block 5 *")?

// ## 3. Ask in words which part carries what
//
// One linear map for each component brings its contributions to CLIP's space, where texts are. A component carries the
// location if what it says along the words for places goes with what the whole model says along them.

let alignment = align(&vit, &clip, &images, &DecomposeOptions::default(), &FitOptions::default())?;
let location = class_embeddings(&clip, &["sea", "desert", "snow", "forest", "meadow", "city"])?;
let scores = alignment.apply(&c)?.score(&location)?.named("location");
scores.chart(10)?

// ## 4. See where a head looks
//
// The head that carries most of the location, patch by patch: how much each patch gives along "sea".

let few = images.only("location", "sea")?.first(5)?;
let with_tokens = DecomposeOptions { granularity: Granularity::Tokens, ..DecomposeOptions::default() };
let c_few = decompose(&vit, &few, &with_tokens)?;
let head = scores.select("* head *")?.top(1)?[0].name.clone();
alignment.apply(&c_few)?.tokens(&head)?.along(&class_embeddings(&clip, &["sea"])?)?.heatmap(&few)?

// ## 5. Why did it say that?
//
// The zero-shot classifier of CLIP names the shape of the first picture. Its logit is a sum too: each bar is what one
// component adds, from 0 to the logit. The notebook `logits` says more.

let shapes = Readout::texts(&clip, &["circle", "ring", "heart", "square", "triangle", "star"])?;
attribute_logits(&clip, &images.first(1)?, &shapes)?.predicted()?

// ## 6. Mend a classifier
//
// Now a classifier with a bad habit. It is to tell rounded from angular shapes, and was fitted on pictures in which 95 of
// 100 rounded shapes are in open places and as many angular ones in covered places. Where shape and place do not go
// together it is often wrong. The cure: find the components that say more of the place than of the shape, and put their
// mean in their place. Nothing is trained again. How many components is chosen on validation images.

let splits = match std::env::var("VITREPL_QUICK") {
    Ok(_) => GeneratedSplits { reference: 1000, train: 1000, validation: 500, test: 500, ..GeneratedSplits::default() },
    Err(_) => GeneratedSplits { reference: 2000, train: 2000, validation: 1000, test: 2000, ..GeneratedSplits::default() },
};
let study = Study::new(&clip, StudyData::generated(&splits)?, StudySettings::default())?;
let result = study.run(&vit, Classifier::Probe)?;
result.groups()

// What it came to, in words:

println!("{}", result.verdict());

// ## 7. Keep it
//
// Charts, tables and results write themselves by the ending of the name: `.svg`, `.png`, `.pdf`, `.csv`, `.parquet`,
// `.tex`. `report` writes all that this session has shown as one page, to be opened in any browser and sent to anybody.

result.groups().save("tour/groups.pdf")?;
scores.save("tour/scores.csv")?;
report("tour/tour.html")?

// ## Where to go from here
//
// | notebook | what it asks |
// | --- | --- |
// | `spurious` | section 6 for every model, with better cures than the mean |
// | `logits` | which components decided a prediction |
// | `swap` | what becomes of a prediction when parts of another image take part in it |
// | `models` | which models there are, how large and how fast |
//
// Real models load by name, `load("dinov2")?`, or from a file, `load("weights/model.safetensors")?`; then every line above
// is the same.
