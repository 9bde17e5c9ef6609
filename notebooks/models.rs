// # The models that are here
//
// Every model that can be loaded without the network, side by side: the embedded zoo, the published models in the Hugging Face
// cache, and the weights files and folders in the folder that `VITREPL_MODELS` names. How large is each, into how many
// components is it taken apart, what does the decomposition cost beside a forward pass, and how far is the sum of the components
// $\sum_i c_i$ from the representation $z$ (section 3 of the paper: it should be rounding, and no more)?
//
//     cargo run --release --locked -- notebooks/models.rs

let folder = std::env::var_os("VITREPL_MODELS").map(std::path::PathBuf::from);
let names = local_models(folder.as_deref())?;
println!("{}", names.join(", "));

// ## Parameters, components, times
//
// Eight images at once; times are medians, of the forward pass and of the decomposition into heads and MLPs by turns.

let images = GeneratedSet::new(GeneratedSpec::unbiased(77_000, 8))?;
models_table(&names, &images, 8)?
