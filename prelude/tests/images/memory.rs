//! A decomposition that will not fit.

use crate::support::*;
use vitrepl_prelude::prelude::*;

#[test]
fn a_decomposition_that_will_not_fit_is_refused_before_it_starts() {
    // Three terabytes of it; nothing is drawn, and no list of their names is made.
    let many = GeneratedSet::new(GeneratedSpec::unbiased(1, 100_000_000)).unwrap();
    for options in [DecomposeOptions::default(), with_tokens()] {
        let started = std::time::Instant::now();
        let refusal = decompose(model("tiny_vit"), &many, &options)
            .unwrap_err()
            .to_string();
        assert!(started.elapsed().as_secs() < 20, "{refusal}");
        for part in [
            "tiny_vit of generated seed 1",
            "100000000 images x 43 components x 96 channels",
            "what is free",
            "images.first(",
            "first_block",
        ] {
            assert!(refusal.contains(part), "no \"{part}\" in: {refusal}");
        }
    }
}
