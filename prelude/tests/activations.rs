//! Named activations: what they are, what becomes of a model when they are changed, and their gradients.

mod common;

use candle_core::{D, DType, Device, Tensor};
use common::refused;
use vitrepl_prelude::activations::{
    Intervention, gradients, hook_points, record, run_with, select,
};
use vitrepl_prelude::models::vit::{Vit, VitConfig};
use vitrepl_prelude::models::weights::Parameters;
use vitrepl_prelude::prelude::*;

fn config() -> VitConfig {
    VitConfig {
        img_size: 32,
        patch_size: 8,
        embed_dim: 32,
        depth: 3,
        num_heads: 4,
        num_classes: 5,
        init_values: Some(0.5),
        reg_tokens: 2,
        no_embed_class: true,
        ..VitConfig::default()
    }
}

/// A random model, whose parameters can be changed, and images for it.
fn vit() -> (Parameters, Vit, Tensor) {
    let parameters = Parameters::new(11, &Device::Cpu);
    let model = Vit::new(&config(), parameters.builder()).unwrap();
    let values = (0..4 * 3 * 32 * 32).map(|i| ((i * 7919) % 256) as f32 / 128. - 1.);
    let pixels = Tensor::from_vec(values.collect(), (4, 3, 32, 32), &Device::Cpu).unwrap();
    (parameters, model, pixels)
}

fn representation(model: &Vit, pixels: &Tensor) -> Tensor {
    let features = model.forward(pixels, &Default::default()).unwrap();
    features.representation.value().clone()
}

/// The largest difference over the largest value.
fn error(a: &Tensor, b: &Tensor) -> f32 {
    let most = |t: &Tensor| {
        t.abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap()
    };
    most(&(a - b).unwrap()) / most(b)
}

#[test]
fn every_model_lists_its_activations() {
    let images = GeneratedSet::new(GeneratedSpec::unbiased(1, 2)).unwrap();
    for (name, count, shown) in [
        ("tiny_vit", 6 * 15, "block 5 pattern: 1 x 6 x 37 x 37"),
        ("tiny_clip", 6 * 15, "block 0 mlp_post: 1 x 37 x 384"),
        ("tiny_swin", 8 * 15, "stage 0 block 1 q: 16 x 2 x 9 x 24"),
        ("tiny_maxvit", 5 * 31, "stage 0 block 0 conv_out: "),
    ] {
        let model = load(name).unwrap();
        let names = activation_names(&model).unwrap();
        println!("{name}: {} activations\n{}", names.len(), names.join("\n"));
        assert!(
            names.iter().any(|own| own.contains(shown)),
            "{name}: {shown}"
        );
        assert_eq!(names.len(), count, "{name}");
        // Whatever is listed can be had, image by image.
        let all = activations(&model, &images, &["*"]).unwrap();
        assert_eq!(all.len(), names.len());
        for (name, value) in all.all().unwrap() {
            assert_eq!(value.dims()[0], 2, "{name}");
        }
        for (name, pattern) in activations(&model, &images, &["*pattern"])
            .unwrap()
            .all()
            .unwrap()
        {
            let sums = pattern.sum(D::Minus1).unwrap();
            let ones = sums.ones_like().unwrap();
            assert!(error(&sums, &ones) < 1e-5, "{name}: rows of probabilities");
        }
    }
}

#[test]
fn names_patterns_and_single_heads() {
    let (_, model, pixels) = vit();
    let names = |patterns: &[&str]| -> Vec<String> {
        let selected = select(&model, patterns).unwrap();
        selected.iter().map(ToString::to_string).collect()
    };
    assert_eq!(names(&["block 1 q"]), ["block 1 q"]);
    assert_eq!(
        names(&["block * z"]),
        ["block 0 z", "block 1 z", "block 2 z"]
    );
    assert_eq!(
        names(&["block 2 head 3 z", "block 2 head 0 z", "block 2 head 3 z"]),
        ["block 2 head 0 z", "block 2 head 3 z"]
    );
    assert_eq!(names(&["block 1 head * pattern"]).len(), 4);
    let asked = select(&model, &["block 2 head 3 z", "block 2 z"]).unwrap();
    let recorded = record(&model, &pixels, &asked).unwrap();
    let (one, all) = (
        recorded.get("block 2 head 3 z").unwrap(),
        recorded.get("block 2 z").unwrap(),
    );
    assert_eq!(one.dims(), [4, 19, 8]);
    let of_all = all.narrow(1, 3, 1).unwrap().squeeze(1).unwrap();
    assert_eq!(error(&one, &of_all), 0.0);
    refused(
        select(&model, &["block 1 patern"]),
        &["\"block 1 patern\"", "\"block 1 pattern\""],
    );
    refused(select(&model, &["block 9 head 0 z"]), &["block 9"]);
    refused(select(&model, &["block 1 head 4 z"]), &["block 1 head 4 z"]);
    refused(
        select(&model, &["nonsense"]),
        &["block 0 to block 2", "resid_pre"],
    );
    refused(select(&model, &[]), &["one name or pattern"]);
    refused(recorded.get("block 1 z"), &["block 1 z", "block 2 z"]);
}

#[test]
fn parts_of_a_block_are_what_the_model_makes_of_them() -> Result<()> {
    let (parameters, model, pixels) = vit();
    let seen = record(
        &model,
        &pixels,
        &select(&model, &["block 1 *", "block 2 resid_pre"])?,
    )?;
    let get = |kind: &str| seen.get(&format!("block 1 {kind}")).unwrap();
    assert!(error(&(get("resid_pre") + get("attn_out"))?, &get("resid_mid")) < 1e-6);
    assert!(error(&(get("resid_mid") + get("mlp_out"))?, &get("resid_post")) < 1e-6);
    assert_eq!(
        error(&get("resid_post"), &seen.get("block 2 resid_pre")?),
        0.0
    );
    assert!(error(&get("mlp_pre").gelu_erf()?, &get("mlp_post")) < 1e-5);
    let scale = (8f64).powf(-0.5);
    let scores = (get("q").matmul(&get("k").t()?.contiguous()?)? * scale)?;
    assert!(error(&scores, &get("attn_scores")) < 1e-5);
    assert!(
        error(
            &get("pattern").matmul(&get("v").contiguous()?)?,
            &get("z").contiguous()?
        ) < 1e-5
    );
    let variables = parameters.variables();
    let of = |name: &str| variables[&format!("blocks.1.{name}")].as_detached_tensor();
    let mixed = get("z").transpose(1, 2)?.reshape((4, 19, 32))?;
    let out = mixed
        .broadcast_matmul(&of("attn.proj.weight").t()?)?
        .broadcast_add(&of("attn.proj.bias"))?
        .broadcast_mul(&of("ls1.gamma"))?;
    assert!(error(&out, &get("attn_out")) < 1e-5);
    Ok(())
}

#[test]
fn a_head_set_to_zero_is_a_head_without_weights() -> Result<()> {
    let (parameters, model, pixels) = vit();
    let off = Intervention::on(&model, "block 1 head 2 z", ActivationChange::Zero)?;
    let hooked = run_with(&model, &pixels, &[off])?;
    assert!(error(&hooked.representation, &representation(&model, &pixels)) > 1e-3);
    let weight = &parameters.variables()["blocks.1.attn.proj.weight"];
    let zeros = Tensor::zeros((32, 8), DType::F32, &Device::Cpu)?;
    weight.set(
        &weight
            .as_detached_tensor()
            .slice_assign(&[0..32, 16..24], &zeros)?,
    )?;
    let without = Vit::new(&config(), parameters.builder())?;
    assert!(error(&hooked.representation, &representation(&without, &pixels)) < 1e-6);
    // The same for a whole layer.
    let off = Intervention::on(&without, "block 2 mlp_out", ActivationChange::Zero)?;
    let hooked = run_with(&without, &pixels, &[off])?;
    for name in ["blocks.2.mlp.fc2.weight", "blocks.2.mlp.fc2.bias"] {
        let own = &parameters.variables()[name];
        own.set(&own.as_detached_tensor().zeros_like()?)?;
    }
    let without = Vit::new(&config(), parameters.builder())?;
    assert!(error(&hooked.representation, &representation(&without, &pixels)) < 1e-6);
    Ok(())
}

#[test]
fn what_changes_nothing_changes_nothing() -> Result<()> {
    let (_, model, pixels) = vit();
    let plain = representation(&model, &pixels);
    let own = record(
        &model,
        &pixels,
        &select(&model, &["*", "block 0 head 1 q"])?,
    )?;
    for pattern in ["*", "block 1 *", "block 0 head 1 q"] {
        for change in [
            ActivationChange::Scale(1.0),
            ActivationChange::Swap(own.clone()),
        ] {
            let same = Intervention::on(&model, pattern, change)?;
            let run = run_with(&model, &pixels, &[same])?;
            assert!(error(&run.representation, &plain) < 1e-6, "{pattern}");
        }
    }
    // An image whose stream is another image's is that image from there on.
    let first = record(
        &model,
        &pixels.narrow(0, 0, 1)?,
        &select(&model, &["block 1 resid_pre"])?,
    )?;
    let swap = Intervention::on(&model, "block 1 resid_pre", ActivationChange::Swap(first))?;
    let run = run_with(&model, &pixels, &[swap])?;
    let wanted = plain.narrow(0, 0, 1)?.repeat((4, 1))?;
    assert!(error(&run.representation, &wanted) < 1e-6);
    Ok(())
}

#[test]
fn gradients_are_what_small_changes_come_to() -> Result<()> {
    let (_, model, pixels) = vit();
    let classes = [0, 3, 1, 4];
    for point in [
        "block 0 pattern",
        "block 1 head 2 v",
        "block 0 resid_mid",
        "block 1 mlp_pre",
    ] {
        let at = select(&model, &[point])?;
        let found = gradients(&model, &pixels, &at, Objective::Logit(&classes))?;
        let product = (found.values.get(point)? * found.gradients.get(point)?)?;
        let slope = product.sum_all()?.to_scalar::<f32>()?;
        // d/ds of the logits' sum when the activation is scaled by s, at 1.
        let logits = |factor: f64| -> Result<f64> {
            let scaled = Intervention::on(&model, point, ActivationChange::Scale(factor))?;
            let logits = run_with(&model, &pixels, &[scaled])?.logits.unwrap();
            let logits = logits.to_dtype(DType::F64)?.to_vec2::<f64>()?;
            Ok(classes
                .iter()
                .zip(logits)
                .map(|(class, row)| row[*class])
                .sum())
        };
        let difference = (logits(1.01)? - logits(0.99)?) / 0.02;
        let relative = (f64::from(slope) - difference).abs() / difference.abs().max(1e-3);
        assert!(relative < 2e-2, "{point}: {slope} {difference}");
    }
    refused(
        gradients(
            &model,
            &pixels,
            &select(&model, &["block 0 q"])?,
            Objective::Logit(&[0, 1, 2, 5]),
        ),
        &["class = 5", "below 5"],
    );
    Ok(())
}

#[test]
fn activations_show_themselves_and_go_out_with_their_names() {
    let images = GeneratedSet::new(GeneratedSpec::unbiased(1, 3)).unwrap();
    let swin = load("tiny_swin").unwrap();
    let names = activation_names(&swin).unwrap();
    let patterns = activations(&swin, &images, &["* pattern"]).unwrap();
    let one = activations(&swin, &images, &["stage 1 block 0 head 1 pattern"]).unwrap();
    let shown = [names.to_string(), format!("{patterns:?}"), one.to_string()];
    for text in &shown {
        println!("{text}\n");
        assert!(text.lines().count() <= 40, "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 150),
            "{text}"
        );
    }
    assert!(
        shown[1].contains("8 activations of 3 images of generated seed 1 in tiny_swin"),
        "{}",
        shown[1]
    );

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("patterns.safetensors");
    patterns.export(&path).unwrap();
    let read = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    let name = "stage 0 block 1 pattern";
    assert_eq!(read[name].dims(), patterns.get(name).unwrap().dims());
    assert!(error(&read[name], &patterns.get(name).unwrap()) == 0.0);
    refused(
        patterns.export(folder.path().join("p.npy")),
        &["p.npy", ".safetensors"],
    );
    one.export(folder.path().join("one.npy")).unwrap();
    let beside = std::fs::read_to_string(folder.path().join("one.npy.json")).unwrap();
    for part in ["stage 1 block 0 head 1 pattern", "tiny_swin", "\"image\""] {
        assert!(beside.contains(part), "{beside}");
    }
}

#[test]
fn sets_are_run_in_batches_like_one() -> Result<()> {
    let model = load("tiny_swin")?;
    let images = GeneratedSet::new(GeneratedSpec::unbiased(3, 9))?;
    let loading = vitrepl_prelude::session::loading();
    let run = |batch: usize| -> Result<(Tensor, Tensor)> {
        set_loading(Loading { batch, ..loading })?;
        let seen = activations(&model, &images, &["stage 1 block 0 z"])?;
        let swap = [("stage 1 block 0 z", ActivationChange::Swap(seen.clone()))];
        assert!(
            error(
                &intervene(&model, &images, &swap)?.representation,
                embed_images(&model, &images)?.tensor()
            ) < 1e-6
        );
        let mean = [(
            "stage 1 block 0 head 0 z",
            ActivationChange::Mean(activations(&model, &images, &["stage 1 block 0 head 0 z"])?),
        )];
        Ok((
            seen.get("stage 1 block 0 z")?,
            intervene(&model, &images, &mean)?.representation,
        ))
    };
    let (one, all) = (run(1)?, run(9)?);
    set_loading(loading)?;
    assert!(error(&one.0, &all.0) < 1e-6 && error(&one.1, &all.1) < 1e-6);
    let few = activations(
        &model,
        &GeneratedSet::new(GeneratedSpec::unbiased(3, 4))?,
        &["stage 1 block 0 z"],
    )?;
    refused(
        intervene(
            &model,
            &images,
            &[("stage 1 block 0 z", ActivationChange::Swap(few))],
        ),
        &["activations of 4 images", "9"],
    );
    Ok(())
}

#[test]
fn direct_and_total_effects_agree_where_nothing_follows() -> Result<()> {
    let images = GeneratedSet::new(GeneratedSpec::unbiased(5, 40))?;
    let model = load("tiny_vit")?;
    let found = effects(
        &model,
        &images,
        &["block 5 mlp", "block 5 head 0", "block 1 mlp"],
    )?;
    println!("{found}");
    let of = |i: usize| &found.effects[i];
    // After the last block only the final norm follows.
    assert!(of(0).cosine > 0.8, "{:?}", of(0));
    // Early ones work through everything that comes later.
    assert!(of(2).total > 2.0 * of(2).direct, "{:?}", of(2));
    assert!(found.table().to_string().lines().count() > 4);
    refused(
        effects(&model, &images, &["init"]),
        &["init", "block 5 head 3"],
    );
    refused(effects(&model, &images, &["block 9 mlp"]), &["block 9 mlp"]);
    Ok(())
}

#[test]
fn a_hook_point_of_the_decomposition_is_untouched_by_hooks() -> Result<()> {
    let (_, model, _) = vit();
    let kinds: Vec<_> = hook_points(&model)?
        .iter()
        .map(|named| named.point.kind.name())
        .collect();
    assert_eq!(
        kinds[..15],
        [
            "resid_pre",
            "ln1",
            "q",
            "k",
            "v",
            "attn_scores",
            "pattern",
            "z",
            "attn_out",
            "resid_mid",
            "ln2",
            "mlp_pre",
            "mlp_post",
            "mlp_out",
            "resid_post"
        ]
    );
    Ok(())
}

#[test]
fn gradients_over_a_set_are_those_of_each_image() -> Result<()> {
    let vit = load("tiny_vit")?;
    let set = GeneratedSet::new(GeneratedSpec::unbiased(3, 70))?;
    let head = vit.factor_head(Factor::Location)?;
    let classes = set.labels("location")?.values;
    let at = &["block 5 pattern", "block 3 head 1 z"];
    let all = activation_gradients(&vit, &set, at, Objective::Head(&head, &classes))?;
    assert_eq!(all.objective.len(), 70);
    let some = set.subset(&[33, 34, 66])?;
    let chosen = [classes[33], classes[34], classes[66]];
    let some = activation_gradients(&vit, &some, at, Objective::Head(&head, &chosen))?;
    for name in at {
        let whole = all.gradients.get(name)?;
        let index = Tensor::new(&[33u32, 34, 66], whole.device())?;
        assert!(error(&some.gradients.get(name)?, &whole.index_select(&index, 0)?) < 1e-5);
    }
    let direction = head.weight().get(0)?;
    let along = activation_gradients(&vit, set.first(5)?, at, Objective::Along(&direction))?;
    assert_eq!(along.objective.len(), 5);
    refused(
        activation_gradients(&vit, &set, at, Objective::Head(&head, &classes[..69])),
        &["classes", "69", "70"],
    );
    refused(
        activation_gradients(&vit, &set, at, Objective::Logit(&classes)),
        &["fit a probe"],
    );
    Ok(())
}
