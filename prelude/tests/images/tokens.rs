//! Source tokens along texts.

use crate::support::*;
use candle_core::{DType, Tensor};
use vitrepl_prelude::prelude::*;

fn far(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let most = |t: &Tensor| {
        let t = t.to_dtype(DType::F64).unwrap().abs().unwrap();
        t.flatten_all()
            .unwrap()
            .max(0)
            .unwrap()
            .to_scalar::<f64>()
            .unwrap()
    };
    most(&(a - b).unwrap()) / most(b)
}

#[test]
fn what_tokens_give_along_texts_is_what_they_give_written_out() {
    let set = images(6);
    let texts = words(Factor::Location);
    for name in MODELS {
        let aligned = aligned(name, &set);
        let heads = aligned.select("* head 0").unwrap();
        let together = aligned.tokens_along(heads.names(), &texts).unwrap();
        for (head, one) in heads.names().into_iter().zip(&together) {
            let tokens = aligned.tokens(&head).unwrap();
            let scores = tokens.along(&texts).unwrap();
            assert_eq!(one.component(), head);
            assert!(far(one.values(), scores.values()) < 1e-6, "{name} {head}");
            let written = tokens.values().unwrap();
            let expected = written.broadcast_matmul(&texts.t().unwrap()).unwrap();
            let apart = far(scores.values(), &expected);
            assert!(apart < 1e-5, "{name} {head}: {apart:.1e}");
            // The same for any chunks of images.
            let some = aligned.select_images(2..5).unwrap();
            let some = some.tokens(&head).unwrap().along(&texts).unwrap();
            let part = scores.values().narrow(0, 2, 3).unwrap();
            assert!(far(some.values(), &part) < 1e-6, "{name} {head}");
        }
    }
}

#[test]
fn class_token_and_registers_are_kept_apart_from_patches() {
    let set = images(3);
    let texts = words(Factor::Shape);
    for (name, before) in [
        ("tiny_vit", 1),
        ("tiny_dinov2", usize::MAX),
        ("tiny_swin", 0),
        ("tiny_maxvit", 0),
    ] {
        let aligned = aligned(name, &set);
        let head = aligned.select("* head 0").unwrap().names().pop().unwrap();
        let scores = aligned.tokens(&head).unwrap().along(&texts).unwrap();
        let layout = scores.layout();
        let (side, tokens) = model(name).encoder().token_grid();
        assert_eq!(
            (layout.side(), layout.before().len()),
            (side, tokens),
            "{name}"
        );
        if before != usize::MAX {
            assert_eq!(tokens, before);
        }
        assert_eq!(
            scores.maps().unwrap().dims(),
            [3, texts.texts().len(), side, side]
        );
        let shares = scores.shares(1, "star").unwrap();
        let apart: f64 = shares.before.iter().map(|(_, v)| v).sum();
        assert!((apart + shares.patches - shares.total).abs() < 1e-6);
        let table = scores.table().unwrap().to_string();
        assert_eq!(table.contains("class token"), tokens > 0, "{table}");
        look(&format!("tokens_{name}"), &scores.heatmap(&set).unwrap());
    }
}

#[test]
fn pictures_and_texts_that_do_not_belong_to_the_scores_are_refused() {
    let set = images(3);
    let aligned = aligned("tiny_vit", &set);
    let scores = aligned
        .tokens("block 5 head 3")
        .unwrap()
        .along(&words(Factor::Shape))
        .unwrap();
    refused(
        scores.heatmap(images(4)),
        &["4 images", "3 images", "belong"],
    );
    let others = GeneratedSet::new(GeneratedSpec::unbiased(5, 3)).unwrap();
    refused(scores.heatmap(others), &["seed 88000", "seed 5"]);
    refused(scores.map(0, "stra"), &["\"stra\"", "\"star\""]);
    refused(scores.map(3, "star"), &["image 3 does not exist"]);
    refused(aligned.tokens("block 5 mlp"), &["block 5 mlp", "head"]);
    refused(aligned.tokens("block 5 head 9"), &["block 5 head 9"]);
    let heads = decompose(model("tiny_vit"), &set, &DecomposeOptions::default()).unwrap();
    refused(heads.tokens("block 5 head 3"), &["Granularity::Tokens"]);
    // One part of both goes together.
    let part = scores.select_images(1..3).unwrap();
    assert!(part.heatmap(set.subset(&[1, 2]).unwrap()).is_ok());
    refused(part.heatmap(set.subset(&[0, 1]).unwrap()), &["images"]);
}

#[test]
fn token_scores_go_out_as_rows() {
    let set = images(2);
    let aligned = aligned("tiny_vit", &set);
    let scores = aligned
        .tokens("block 5 head 3")
        .unwrap()
        .along(&words(Factor::Shape))
        .unwrap();
    let path = file("tokens.csv");
    scores.save(&path).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 2 * 37 * 6);
    assert_eq!(
        lines[0],
        "image,direction,token,row,column,value,component,model"
    );
    assert!(
        lines[1].starts_with("88000:0,circle,class token,,,"),
        "{}",
        lines[1]
    );
    assert!(
        lines[7].starts_with("88000:0,circle,patch,0,0,"),
        "{}",
        lines[7]
    );
    assert!(text.ends_with("block 5 head 3,tiny_vit\n"));
}
