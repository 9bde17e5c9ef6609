//! Prints the `tokenizer.json` of the embedded CLIP, made from the words of captions and templates:
//! `cargo run --release -p vitrepl-prelude --example tokenizer > prelude/src/data/tokenizer.json`.

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    println!("{}", vitrepl_prelude::data::tokenizer::build()?);
    Ok(())
}
