//! The kernels of `ops` at the sizes of ViT-B/16, Swin-B and MaxViT-S with 8 images, each beside candle's own operations
//! where these have it.
//!
//!     cargo bench --locked --workspace --bench kernels

use candle_core::{D, Device, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use vitrepl_prelude::ops::{self, Slots, activation, attention, depthwise};

fn random(shape: &[usize]) -> Tensor {
    Tensor::randn(0f32, 1., shape, &Device::Cpu).expect("random numbers")
}

type Work<'a> = (&'a str, &'a dyn Fn() -> candle_core::Result<Tensor>);

fn group(criterion: &mut Criterion, name: &str, works: &[Work]) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    for (what, work) in works {
        group.bench_function(*what, |b| b.iter(|| black_box(work().expect("a result"))));
    }
    group.finish();
}

fn kernels(c: &mut Criterion) {
    let (x, norm) = (random(&[8, 197, 768]), random(&[768]));
    group(
        c,
        "layer norm, 8 x 197 x 768",
        &[
            ("ours", &|| ops::layer_norm(&x, &norm, &norm, 1e-6)),
            ("candle", &|| {
                candle_nn::ops::layer_norm(&x, &norm, &norm, 1e-6)
            }),
        ],
    );
    // What the norm of Swin-B's first merging is taken by.
    let merged = random(&[8, 784, 512]);
    group(
        c,
        "statistics of a layer norm, 8 x 784 x 512",
        &[
            ("ours", &|| Ok(ops::layer_norm_statistics(&merged, 1e-6)?.1)),
            ("candle", &|| {
                let centred = merged.broadcast_sub(&merged.mean_keepdim(D::Minus1)?)?;
                (centred.sqr()?.mean(D::Minus1)? + 1e-6)?.sqrt()?.recip()
            }),
        ],
    );
    let (weight, bias) = (random(&[3072, 768]), random(&[3072]));
    group(
        c,
        "linear and GELU, 8 x 197 x 768 to 3072",
        &[
            ("ours", &|| {
                ops::linear(&x, &weight, Some(&bias), Some(activation::Activation::Gelu))
            }),
            ("candle", &|| {
                let y = x
                    .flatten_to(1)?
                    .matmul(&weight.t()?)?
                    .broadcast_add(&bias)?;
                y.gelu_erf()
            }),
        ],
    );
    let qkv = random(&[8, 197, 3 * 768]);
    group(
        c,
        "attention, 8 x 197 tokens, 12 heads of 64",
        &[
            ("ours", &|| {
                Ok(attention::attention(&qkv, 12, None, None, None)?.mixed)
            }),
            ("ours, probabilities kept", &|| {
                Ok(attention::attention(&qkv, 12, None, None, Some(0..197))?.mixed)
            }),
            ("candle", &|| {
                let parts = qkv.reshape((8, 197, 3, 12, 64))?.permute((2, 0, 3, 1, 4))?;
                let parts = parts.contiguous()?;
                let (q, k, v) = (parts.get(0)?, parts.get(1)?, parts.get(2)?);
                let scores = ((q * 0.125)?).matmul(&k.t()?)?;
                let mixed = candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&v)?;
                mixed.transpose(1, 2)?.reshape((8, 197, 768))
            }),
        ],
    );
    // The maps of a layer of Swin-B's third stage, of 16 heads.
    let (rows, maps) = (random(&[16, 8, 128]), random(&[16, 1024, 128]));
    let lines = random(&[16, 128, 1024]);
    group(
        c,
        "layers side by side, 16 of 128 to 1024 on 8 rows each",
        &[
            ("ours", &|| ops::batched_linear(&rows, &maps)),
            ("ours, in lines", &|| {
                ops::batched_linear(&rows, &lines.transpose(1, 2)?)
            }),
            ("candle", &|| rows.matmul(&maps.t()?)),
        ],
    );
    let (a, b) = (random(&[8, 3136, 128]), random(&[8, 3136, 128]));
    group(
        c,
        "residual sum, 8 x 3136 x 128",
        &[("ours", &|| ops::add(&a, &b)), ("candle", &|| &a + &b)],
    );
    let (image, taps) = (random(&[8, 56, 56, 256]), random(&[9, 256]));
    let placement = depthwise::Placement::same(56, 3, 1);
    group(
        c,
        "depthwise convolution, 8 x 56 x 56 x 256",
        &[("ours", &|| ops::depthwise_conv(&image, &taps, placement))],
    );
    // A head's pooling in Swin-B's first stage: each token in one of the 64 places that merges put side by side.
    let of = (0..3136u32).map(|t| t / 56 % 8 * 8 + t % 8).collect();
    let slots = Slots::new(64, of).expect("slots");
    let (tokens, weights) = (random(&[8, 1, 3136, 128]), random(&[8, 3136]));
    let spread = random(&[8, 64, 3136]);
    group(
        c,
        "weighted sums in 64 slots, 8 x 3136 x 128",
        &[
            ("ours", &|| ops::slot_sums(&tokens, &weights, &slots)),
            ("candle", &|| spread.matmul(&tokens.squeeze(1)?)),
        ],
    );
    // Ten directions over the same stage's tokens, of one of four heads.
    let (v, products) = (random(&[512, 4, 49, 32]), random(&[512, 4, 64, 49]));
    let directions = random(&[10, 64, 128]);
    group(
        c,
        "a head's tokens along 10 directions, 512 windows of 49, 64 rows",
        &[("ours", &|| {
            ops::weighted_products(&v, &products, &directions, 1, None)
        })],
    );
    // Of a head of Swin-B's third stage, and of ViT-B/16.
    let (v_of_four, of_four) = (random(&[32, 16, 49, 32]), random(&[32, 16, 4, 49]));
    let four = random(&[10, 4, 512]);
    group(
        c,
        "a head's tokens along 10 directions, 32 windows of 49, 4 rows",
        &[("ours", &|| {
            ops::weighted_products(&v_of_four, &of_four, &four, 1, None)
        })],
    );
    let (v_of_one, of_one) = (random(&[8, 12, 197, 64]), random(&[8, 12, 1, 197]));
    let many = random(&[512, 1, 768]);
    group(
        c,
        "a head's tokens along 512 directions, 8 images of 197, one row",
        &[("ours", &|| {
            ops::weighted_products(&v_of_one, &of_one, &many, 1, None)
        })],
    );
    group(
        c,
        "the sums over all tokens, 512 windows of 49, 64 rows, 4 heads",
        &[
            ("ours", &|| ops::window_sums(&v, &products, 64)),
            ("candle", &|| {
                let sums = products.matmul(&v)?;
                sums.reshape((8, 64, 4, 64, 32))?.sum(1)
            }),
        ],
    );
}

criterion_group!(benches, kernels);
criterion_main!(benches);
