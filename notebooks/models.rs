// All models side by side: parameters, components, the time of a forward pass and of its decomposition, and how far
// the sum of the components is from the representation.
//
//   cargo run --release --locked -- notebooks/models.rs
//
// The embedded zoo, the published models in the Hugging Face cache, and the weights files and folders in the folder
// that VITREPL_MODELS names.

let folder = std::env::var_os("VITREPL_MODELS").map(std::path::PathBuf::from);
let names = local_models(folder.as_deref())?;
println!("{}", names.join(", "));
let images = GeneratedSet::new(GeneratedSpec::unbiased(77_000, 8))?;
models_table(&names, &images, 8)?
