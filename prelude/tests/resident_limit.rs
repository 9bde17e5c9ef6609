//! What stays in memory has a limit, and what went is found again. A process of its own: the limit is the session's.

mod common;

use common::{CACHE, refused};
use std::sync::LazyLock;
use vitrepl_prelude::prelude::*;
use vitrepl_prelude::session::{cache, memory};

#[test]
fn the_longest_unused_goes_and_is_read_again() -> Result<()> {
    LazyLock::force(&CACHE);
    let vit = load("tiny_vit")?;
    let set = |seed| GeneratedSet::new(GeneratedSpec::unbiased(seed, 40));
    let decomposed = |seed| decompose(&vit, set(seed)?, &DecomposeOptions::default());
    let in_memory = || {
        let table = resident().to_string();
        table
            .lines()
            .filter(|line| line.starts_with("│ contributions"))
            .count()
    };
    let (first, second) = (decomposed(1)?, decomposed(2)?);
    let values = first.values().flatten_all()?.to_vec1::<f32>()?;
    let bytes = first.bytes() as f64;
    // Room for two and a half.
    let said = limit_resident(&format!("{} kB", 2.5 * bytes / 1e3))?;
    assert!(!said.contains("dropped"), "{said}");
    // The first was used last, so the second goes when a third comes.
    assert!(Arc::ptr_eq(&first, &decomposed(1)?));
    assert_eq!(in_memory(), 2, "{}", resident());
    decomposed(3)?;
    assert_eq!(in_memory(), 2, "{}", resident());
    assert!(Arc::ptr_eq(&first, &decomposed(1)?), "it stayed");
    // The variable keeps what it holds, and asking again reads the same from disk.
    let again = decomposed(2)?;
    assert!(!Arc::ptr_eq(&second, &again));
    assert_eq!(
        again.values().flatten_all()?.to_vec1::<f32>()?,
        second.values().flatten_all()?.to_vec1::<f32>()?
    );
    let said = limit_resident("1 kB")?;
    assert!(said.contains("dropped"), "{said}");
    assert!(resident().to_string().contains("tiny_vit"), "models stay");
    assert_eq!(in_memory(), 0, "{}", resident());
    // What is larger than the limit by itself is kept until something newer comes.
    let found = decomposed(1)?;
    assert!(Arc::ptr_eq(&found, &decomposed(1)?));
    assert_eq!(found.values().flatten_all()?.to_vec1::<f32>()?, values);
    assert!(memory().to_string().contains("1.0 kB"), "{}", memory());
    assert!(cache().to_string().contains("disk"));
    refused(limit_resident("much"), &["much", "20 GB"]);
    Ok(())
}
