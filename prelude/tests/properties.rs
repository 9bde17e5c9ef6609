//! What must hold for any model: components sum to the representation, tokens to their head, kernels to candle's.
//! `VITREPL_TEST_DEVICE=cuda:0` has the models' part of it computed on that device.

mod common;

use candle_core::{D, Device, Tensor, Var};
use candle_nn::VarBuilder;
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use vitrepl_prelude::decompose::{
    BlockPart, Component, DecomposeOptions, DecomposeTarget, Decomposer, Granularity, Sharing,
};
use vitrepl_prelude::models::layers::Activation;
use vitrepl_prelude::models::vit::Pool;
use vitrepl_prelude::models::weights::Parameters;
use vitrepl_prelude::models::{
    Clip, ClipConfig, ImageEncoder, MaxVit, MaxVitConfig, Swin, SwinConfig, Vit, VitConfig,
};
use vitrepl_prelude::ops;
use vitrepl_prelude::trace::{Block, Tape};

fn vit_config() -> impl Strategy<Value = VitConfig> {
    let shape = (1usize..5, 1usize..4, 1usize..5, 1usize..5, 1usize..5);
    let choices = (
        any::<bool>(),
        any::<bool>(),
        0usize..3,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    let ends = (
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(vec![None, Some(true), Some(false)]),
        any::<bool>(),
        prop::sample::select(vec![
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::QuickGelu,
            Activation::Relu,
            Activation::Silu,
        ]),
    );
    (shape, choices, ends, 0usize..4).prop_map(
        |((heads, width, depth, grid, patch), c, ends, num_classes)| VitConfig {
            img_size: grid * patch + usize::from(c.1 && patch > 1),
            patch_size: patch,
            embed_dim: heads * width * 4,
            depth,
            num_heads: heads,
            mlp_ratio: 2.0,
            qkv_bias: c.0,
            init_values: c.1.then_some(0.3),
            reg_tokens: c.2,
            no_embed_class: c.3,
            pre_norm: c.4,
            global_pool: if c.5 { Pool::Avg } else { Pool::Token },
            class_token: ends.0 || !c.5,
            proj_bias: ends.1,
            fc_norm: ends.2,
            final_norm: ends.3,
            pool_include_prefix: ends.1,
            act_layer: ends.4,
            num_classes,
            ..VitConfig::default()
        },
    )
}

fn swin_config() -> impl Strategy<Value = SwinConfig> {
    let shape = (1usize..4, 1usize..5, 1usize..3, 1usize..4);
    let depths = prop::collection::vec(1usize..4, 1..4);
    (shape, depths, any::<bool>(), 0usize..4).prop_map(
        |((patch, window, across, heads), depths, qkv_bias, num_classes)| SwinConfig {
            img_size: (patch * window * across) << (depths.len() - 1),
            patch_size: patch,
            embed_dim: 4 * heads,
            num_heads: (0..depths.len()).map(|s| heads << s).collect(),
            depths,
            window_size: window,
            mlp_ratio: 2.0,
            qkv_bias,
            num_classes,
            ..SwinConfig::default()
        },
    )
}

fn maxvit_config() -> impl Strategy<Value = MaxVitConfig> {
    let shape = (1usize..4, 1usize..3, 1usize..3, 1usize..9);
    let stages = prop::collection::vec((1usize..3, 1usize..3), 1..4);
    (shape, stages).prop_map(|((window, across, head, stem), stages)| {
        let partition_ratio = across * (4 << (stages.len() - 1));
        MaxVitConfig {
            img_size: window * partition_ratio,
            stem_width: stem,
            embed_dim: stages.iter().map(|(width, _)| 4 * head * width).collect(),
            depths: stages.iter().map(|(_, depth)| *depth).collect(),
            transformer_dim_head: 2 * head,
            transformer_partition_ratio: partition_ratio,
            ..MaxVitConfig::default()
        }
    })
}

fn random_pixels(model: &dyn ImageEncoder, batch: usize, seed: u64) -> Tensor {
    let size = model.image_size();
    let mut state = seed | 1;
    let values: Vec<f32> = (0..batch * 3 * size * size)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect();
    Tensor::from_vec(values, (batch, 3, size, size), model.device()).unwrap()
}

/// Biases and norm parameters start at 0 and 1: move them, so that a lost constant shows.
fn stirred<M>(seed: u64, new: impl FnOnce(VarBuilder) -> vitrepl_prelude::Result<M>) -> M {
    let parameters = Parameters::new(seed, &common::device());
    let model = new(parameters.builder()).unwrap();
    for var in parameters.variables().values() {
        let noise = var.rand_like(-0.3, 0.3).unwrap();
        var.set(&(var.as_tensor() + noise).unwrap()).unwrap();
    }
    model
}

fn stir(config: &VitConfig, seed: u64) -> Vit {
    stirred(seed, |vb| Vit::new(config, vb))
}

/// What is asked of a decomposition; the first block is taken as far as the model has blocks.
fn options() -> impl Strategy<Value = (Granularity, Sharing, usize)> {
    let granularities = [Granularity::Layers, Granularity::Heads, Granularity::Tokens];
    (
        prop::sample::select(granularities.to_vec()),
        prop::sample::select(vec![Sharing::Equal, Sharing::Own]),
        0usize..8,
    )
}

/// Components sum to the representation, which is that of a plain forward pass; source tokens sum to their head.
fn check_sums(
    model: &dyn ImageEncoder,
    (granularity, sharing, first): (Granularity, Sharing, usize),
    batch: usize,
    seed: u64,
) -> Result<(), TestCaseError> {
    let blocks = model.blocks();
    let options = DecomposeOptions {
        granularity,
        sharing,
        first_block: Some(blocks[first % blocks.len()]),
        ..DecomposeOptions::default()
    };
    let decomposer = Decomposer::new(model, options).unwrap();
    let pixels = random_pixels(model, batch, seed);
    let c = decomposer.run(&pixels).unwrap();
    prop_assert_eq!(c.components(), decomposer.components());
    let error = c.sum_error().unwrap();
    prop_assert!(error < 1e-5, "sum error {}", error);
    let plain = model.forward(&pixels, &Tape::off()).unwrap();
    let gap = (plain.representation.value() - c.representation()).unwrap();
    prop_assert_eq!(largest(&gap), 0.0);
    prop_assert_eq!(
        c.token_contributions().is_some(),
        granularity == Granularity::Tokens
    );
    let Some(tokens) = c.token_contributions() else {
        return Ok(());
    };
    for component in c.components() {
        if let Component::Part {
            part: BlockPart::Head(_),
            ..
        } = component
        {
            let head = c.of(*component).unwrap();
            let parts = tokens.of(*component).unwrap();
            let gap = largest(&(parts.sum(1).unwrap() - &head).unwrap());
            let scale = largest(c.representation()).max(largest(&head));
            prop_assert!(gap <= 1e-5 * scale, "{component}: {gap}");
        }
    }
    Ok(())
}

fn largest(x: &Tensor) -> f32 {
    x.abs()
        .unwrap()
        .flatten_all()
        .unwrap()
        .max(0)
        .unwrap()
        .to_scalar()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn components_sum_to_the_representation(
        config in vit_config(),
        seed in any::<u64>(),
        batch in 1usize..4,
        options in options(),
    ) {
        check_sums(&stir(&config, seed), options, batch, seed)?
    }

    #[test]
    fn a_swins_components_sum(config in swin_config(), seed in any::<u64>(), batch in 1usize..3, options in options()) {
        check_sums(&stirred(seed, |vb| Swin::new(&config, vb)), options, batch, seed)?
    }

    #[test]
    fn a_maxvits_components_sum(config in maxvit_config(), seed in any::<u64>(), batch in 1usize..3, options in options()) {
        check_sums(&stirred(seed, |vb| MaxVit::new(&config, vb)), options, batch, seed)?
    }

    #[test]
    fn components_sum_to_each_logit(config in vit_config(), seed in any::<u64>(), own in any::<bool>()) {
        prop_assume!(config.num_classes > 0);
        let vit = stir(&config, seed);
        let pixels = random_pixels(&vit, 2, seed);
        let sharing = if own { Sharing::Own } else { Sharing::Equal };
        for k in 0..config.num_classes {
            let options = DecomposeOptions { target: DecomposeTarget::Logit(k), sharing, ..DecomposeOptions::default() };
            let c = Decomposer::new(&vit, options).unwrap().run(&pixels).unwrap();
            let logits = vit.forward(&pixels, &Default::default()).unwrap().logits.unwrap();
            let logit = logits.value().narrow(1, k, 1).unwrap();
            let sum = c.values().sum(0).unwrap();
            // A logit may be near zero where its parts are not: compare with the largest part.
            let gap = largest(&(sum - &logit).unwrap());
            prop_assert!(gap <= 1e-5 * largest(c.values()).max(1.0), "logit {k}: {gap}");
        }
        let beyond = DecomposeOptions { target: DecomposeTarget::Logit(config.num_classes), ..DecomposeOptions::default() };
        prop_assert!(Decomposer::new(&vit, beyond).is_err());
    }
}

#[test]
fn clip_components_sum_and_own_has_a_bias() {
    let config: ClipConfig = serde_json::from_value(serde_json::json!({
        "embed_dim": 20, "quick_gelu": true,
        "vision_cfg": {"layers": 3, "width": 32, "head_width": 8, "patch_size": 8, "image_size": 24},
        "text_cfg": {"context_length": 8, "vocab_size": 30, "width": 16, "heads": 2, "layers": 1},
    }))
    .unwrap();
    let clip = Clip::random(&config, 7).unwrap();
    let pixels = random_pixels(&clip, 3, 5);
    for sharing in [Sharing::Equal, Sharing::Own] {
        let options = DecomposeOptions {
            sharing,
            granularity: Granularity::Tokens,
            ..DecomposeOptions::default()
        };
        let c = Decomposer::new(&clip, options)
            .unwrap()
            .run(&pixels)
            .unwrap();
        assert!(c.sum_error().unwrap() < 1e-5);
        assert_eq!(
            c.components().contains(&Component::Bias),
            sharing == Sharing::Own
        );
        assert_eq!(c.len(), 1 + 3 * 5 + usize::from(sharing == Sharing::Own));
    }
}

fn two_blocks_of_two_heads() -> Vit {
    let config = VitConfig {
        img_size: 16,
        embed_dim: 16,
        depth: 2,
        num_heads: 2,
        patch_size: 8,
        ..VitConfig::default()
    };
    Vit::random(&config, 1).unwrap()
}

#[test]
fn a_component_has_the_name_of_its_place_from_the_input() {
    let vit = two_blocks_of_two_heads();
    let names: Vec<String> = Decomposer::new(&vit, DecomposeOptions::default())
        .unwrap()
        .components()
        .iter()
        .map(|c| c.to_string())
        .collect();
    let want = [
        "init",
        "block 0 head 0",
        "block 0 head 1",
        "block 0 mlp",
        "block 1 head 0",
        "block 1 head 1",
        "block 1 mlp",
    ];
    assert_eq!(names, want);
}

#[test]
fn a_wrong_block_or_image_is_refused_by_name() {
    let vit = two_blocks_of_two_heads();
    let options = DecomposeOptions {
        first_block: Some(Block::at(2)),
        ..DecomposeOptions::default()
    };
    let error = Decomposer::new(&vit, options).err().unwrap().to_string();
    assert!(
        error.contains("first_block = block 2") && error.contains("block 0 to block 1"),
        "{error}"
    );
    let decomposer = Decomposer::new(&vit, DecomposeOptions::default()).unwrap();
    let wrong = Tensor::zeros((1, 3, 17, 16), candle_core::DType::F32, &Device::Cpu).unwrap();
    let error = decomposer.run(&wrong).err().unwrap().to_string();
    assert!(
        error.contains("[1, 3, 17, 16]") && error.contains("[batch, 3, 16, 16]"),
        "{error}"
    );
}

/// Gradient of sum(weights * f(x)) with respect to x.
fn gradient(x: &Var, weights: &Tensor, y: &Tensor) -> Tensor {
    let loss = (y * weights).unwrap().sum_all().unwrap();
    loss.backward().unwrap().get(x).unwrap().clone()
}

fn near(a: &Tensor, b: &Tensor, tolerance: f32) {
    let gap = largest(&(a - b).unwrap());
    assert!(gap <= tolerance * largest(b).max(1.0), "{gap}");
}

#[test]
fn fused_kernels_match_candle_forward_and_backward() {
    let cpu = Device::Cpu;
    for (rows, width) in [(3, 1), (5, 17), (64, 96), (7, 1030)] {
        let x = Var::from_tensor(&Tensor::randn(0f32, 2.0, (rows, width), &cpu).unwrap()).unwrap();
        let g = Tensor::randn(0f32, 1.0, (rows, width), &cpu).unwrap();
        for (mine, theirs) in [
            (ops::gelu(&x).unwrap(), x.gelu_erf().unwrap()),
            (ops::gelu_tanh(&x).unwrap(), x.gelu().unwrap()),
            (
                ops::quick_gelu(&x).unwrap(),
                (x.as_tensor()
                    * candle_nn::ops::sigmoid(&(x.as_tensor() * 1.702).unwrap()).unwrap())
                .unwrap(),
            ),
            (
                ops::softmax_last_dim(&x).unwrap(),
                candle_nn::ops::softmax(&x, D::Minus1).unwrap(),
            ),
        ] {
            near(&mine, &theirs, 1e-6);
            near(&gradient(&x, &g, &mine), &gradient(&x, &g, &theirs), 2e-6);
        }
        if width == 1 {
            continue; // a row of one has no variance
        }
        let gamma = Var::from_tensor(&Tensor::randn(1f32, 0.5, width, &cpu).unwrap()).unwrap();
        let beta = Var::from_tensor(&Tensor::randn(0f32, 0.5, width, &cpu).unwrap()).unwrap();
        let mine = ops::layer_norm(&x, &gamma, &beta, 1e-6).unwrap();
        let theirs = candle_nn::ops::layer_norm_slow(&x, &gamma, &beta, 1e-6).unwrap();
        near(&mine, &theirs, 2e-6);
        for var in [&x, &gamma, &beta] {
            near(&gradient(var, &g, &mine), &gradient(var, &g, &theirs), 2e-5);
        }
    }
}

#[test]
fn a_logit_behind_a_nonlinear_head_is_refused() {
    let config = MaxVitConfig {
        img_size: 8,
        stem_width: 4,
        embed_dim: vec![8],
        depths: vec![1],
        transformer_dim_head: 4,
        transformer_partition_ratio: 4,
        num_classes: 3,
        ..MaxVitConfig::default()
    };
    let maxvit = MaxVit::random(&config, 1).unwrap();
    let options = DecomposeOptions {
        target: DecomposeTarget::Logit(1),
        ..DecomposeOptions::default()
    };
    let error = Decomposer::new(&maxvit, options).err().unwrap().to_string();
    assert!(
        error.contains("not linear in its representation"),
        "{error}"
    );
}

#[test]
fn a_grid_that_is_no_whole_windows_is_refused() {
    let swin = SwinConfig {
        img_size: 256,
        ..SwinConfig::default()
    };
    let error = Swin::random(&swin, 0).err().unwrap().to_string();
    assert!(
        error.contains("img_size = 256") && error.contains("multiple of 224"),
        "{error}"
    );
    let maxvit = MaxVitConfig {
        img_size: 230,
        ..MaxVitConfig::default()
    };
    let error = MaxVit::random(&maxvit, 0).err().unwrap().to_string();
    assert!(
        error.contains("img_size = 230") && error.contains("multiple of 32"),
        "{error}"
    );
}

/// How many source tokens a head has.
fn sources(model: &dyn ImageEncoder, block: Block) -> usize {
    let options = DecomposeOptions {
        granularity: Granularity::Tokens,
        ..DecomposeOptions::default()
    };
    let decomposer = Decomposer::new(model, options).unwrap();
    let c = decomposer.run(&random_pixels(model, 2, 3)).unwrap();
    let part = BlockPart::Head(0);
    let tokens = c
        .token_contributions()
        .unwrap()
        .of(Component::Part { block, part });
    tokens.unwrap().dim(1).unwrap()
}

#[test]
fn source_tokens_are_those_of_the_heads_stage() {
    assert_eq!(sources(&two_blocks_of_two_heads(), Block::at(1)), 1 + 4);
    let swin = SwinConfig {
        img_size: 24,
        patch_size: 2,
        embed_dim: 8,
        depths: vec![2, 1],
        num_heads: vec![2, 4],
        window_size: 3,
        ..SwinConfig::default()
    };
    let swin = Swin::random(&swin, 0).unwrap();
    assert_eq!(sources(&swin, Block::in_stage(0, 1)), 12 * 12);
    assert_eq!(sources(&swin, Block::in_stage(1, 0)), 6 * 6);
}

#[test]
fn a_run_can_be_ended_in_the_middle_of_a_batch() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    fn stop() -> bool {
        ASKED.fetch_add(1, Ordering::Relaxed) >= 5
    }
    let model = two_blocks_of_two_heads();
    let pixels = random_pixels(&model, 2, 3);
    let decomposer = Decomposer::new(&model, DecomposeOptions::default()).unwrap();
    decomposer.run(&pixels).unwrap();
    let error = decomposer.until(stop).run(&pixels).unwrap_err().to_string();
    assert!(error.contains("stopped"), "{error}");
    assert_eq!(
        ASKED.load(Ordering::Relaxed),
        6,
        "nothing is computed after it"
    );
}
