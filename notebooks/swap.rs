// # What if one head had seen another image?
//
// The share of a component in a logit is a *direct* effect: what it adds to the representation itself. But later layers
// read what it wrote, so its *total* effect may be another. Both are measured here by swaps between two images A and B
// (activation patching; Wang et al. 2022, "Interpretability in the Wild", and `patching` in TransformerLens):
//
// - direct: B's contribution in place of A's, everything else as it was, $z = z_A - c_i(A) + c_i(B)$;
// - total: B's activation in place of A's in the forward pass of A, which then runs on to its end.
//
// What is looked at is the difference of two logits, of the class predicted for B less the class predicted for A. A swap
// that takes it from A's value to B's has gone all the way, 1; one that leaves it is at 0.
//
// The images are generated; with `VITREPL_IMAGES` set to a folder that has one sub-folder a class they are yours.

let vit = load("tiny_vit")?;
let own = std::env::var("VITREPL_IMAGES").ok();
let set: Arc<dyn DataSet> = match &own {
    Some(folder) => Arc::new(FolderSet::open(folder, OnUnreadable::Skip)?),
    None => Arc::new(GeneratedSet::new(GeneratedSpec::unbiased(4_001, 1500))?),
};
let images = set.first(set.len().min(1500))?;
let labels = images.labels(if own.is_some() { "class" } else { "location" })?;
let options = score::ProbeOptions::default();
let (probe, _) = score::fit_probe(&embed_images(&vit, &images)?, &labels.values, labels.names.len(), &options)?;
let probe = probe.named(labels.names.clone())?;

// ## The pair
//
// The first image, and the first of another class: images that the probe gets right.

let predictions = probe.predict(&embed_images(&vit, &images)?)?;
let right: Vec<usize> = (0..images.len()).filter(|&i| predictions[i] == labels.values[i]).collect();
let into = right[0];
let from = right.iter().copied().find(|&i| labels.values[i] != labels.values[into]).unwrap();
images.show([into, from])?

let pair = swap(&vit, &images, into, from, &probe)?;
pair

// ## Some components
//
// A name swaps one component, a pattern all that it fits together. Directly, all contributions together are image B, so
// that the last row but one is at 1: the decomposition is exact. `–` stands where there is nothing to swap in a forward
// pass: `init` is what was there before the first block.

let some = pair.of(&["block 5 mlp", "block 5 head *", "block 4 *", "block 0 *", "init", "*"])?;
some.table()

// The same as bars. Where total exceeds direct, later layers carried the swap on; where it falls short, they made up for
// it (the "Hydra effect", McGrath et al. 2023).

some.chart()

// ## Every head
//
// A whole sweep: each head and each MLP swapped by itself, the change of the difference of logits as a matrix of layers by
// heads. First the total effects, as TransformerLens shows them,

let sweep = pair.sweep()?;
sweep.heads()?

// then the direct ones. Each matrix has a scale of its own: look at its ends.

sweep.heads_direct()?

// The swaps that do most, side by side:

sweep.top(8).chart()

sweep.top(8).table()

// How the two differ over the depth of the model: the mean size of direct and of total effects by block.

let mut by_block: std::collections::BTreeMap<String, (f64, f64, f64)> = Default::default();
for effect in &sweep.effects {
    let (Some(block), Some(total)) = (effect.components[0].block(), &effect.total) else { continue };
    let entry = by_block.entry(block.to_string()).or_default();
    entry.0 += (effect.direct.difference - sweep.ends()[0]).abs();
    entry.1 += (total.difference - sweep.ends()[0]).abs();
    entry.2 += 1.0;
}
let title = format!("tiny_vit: effects of single swaps by block, image {into} with parts of image {from}, {}", images.name());
by_block.iter().fold(GroupedBars::new(title, "mean size of the change of the logit difference", ["direct", "total"]), |chart, (block, (direct, total, n))| {
    chart.group(block.as_str(), [direct / n, total / n])
})

// ## Another question of the same pair
//
// Any two classes can be looked at, by name or number: `pair.between("sea", "city")?.of("block 5 *")?`. A zero-shot
// classifier is a readout too: `swap(&clip, &images, 0, 1, Readout::texts(&clip, &["sea", "city"])?)?`. And `effects`
// measures direct against total effects of mean ablation, over many images:

effects(&vit, &images.first(200)?, &["block 0 mlp", "block 2 mlp", "block 4 mlp", "block 5 mlp", "block 5 head 0"])?.chart()
