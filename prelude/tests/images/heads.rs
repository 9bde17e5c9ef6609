//! Heads and units looked at closely.

use crate::support::*;
use vitrepl_prelude::prelude::*;

fn all_words() -> Arc<TextEmbeddings> {
    let factors = [
        Factor::Location,
        Factor::Shape,
        Factor::Colour,
        Factor::Pattern,
    ];
    class_embeddings(clip(), &factors.map(Factor::names).concat()).unwrap()
}

#[test]
fn a_head_shows_its_words_its_images_and_where_it_looks() {
    let set = images(300);
    for name in ["tiny_vit", "tiny_swin", "tiny_maxvit"] {
        let aligned = aligned(name, &set);
        let scores = aligned.score(words(Factor::Location)).unwrap();
        let head = scores.select("* head *").unwrap().top(1).unwrap()[0]
            .name
            .clone();
        let found = head_study(model(name), &set, &aligned, &head, all_words(), 5).unwrap();
        println!("{found}");
        look(&format!("head_{name}"), &found.chart().unwrap());
        look(
            &format!("head_{name}_attention"),
            &found.attention().unwrap(),
        );
        // The first word is a place, and the images are ordered by it.
        assert!(
            Factor::Location.names().contains(&&*found.words[0].0),
            "{name}: {found}"
        );
        assert!(found.top.is_sorted_by(|a, b| a.score >= b.score));
        assert!(found.bottom.is_sorted_by(|a, b| a.score <= b.score));
        assert!(found.top[4].score > found.bottom[4].score);
        // Attention is positive; a class token's is at most 1 in all.
        let sum = found.top[0]
            .attention
            .sum_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        let least = found.top[0]
            .attention
            .min_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        assert!(least >= 0.0 && sum > 0.0, "{name}: {least} {sum}");
        if name == "tiny_vit" {
            assert!(sum < 1.0 + 1e-5);
        }
        refused(
            head_study(model(name), &set, &aligned, "block 5 mlp", all_words(), 5),
            &["block 5 mlp"],
        );
    }
    let aligned = aligned("tiny_vit", &set);
    refused(
        head_study(
            model("tiny_vit"),
            &images(200),
            &aligned,
            "block 5 head 3",
            all_words(),
            5,
        ),
        &["studying a head", "belong"],
    );
}

#[test]
fn attention_of_windows_lies_where_the_tokens_lie() {
    // What every token has from its window sums to the number of tokens: each query gives 1 in all.
    let set = images(20);
    let aligned = aligned("tiny_swin", &set);
    for head in ["stage 0 block 1 head 0", "stage 1 block 1 head 1"] {
        let found = head_study(model("tiny_swin"), &set, &aligned, head, all_words(), 2).unwrap();
        let map = &found.top[0].attention;
        let windows = activations(
            model("tiny_swin"),
            set.subset(&[found.top[0].index]).unwrap(),
            &[&format!("{head} pattern")],
        );
        let pattern = windows.unwrap().get(&format!("{head} pattern")).unwrap();
        let n = *pattern.dims().last().unwrap() as f32;
        let expected = pattern.sum_all().unwrap().to_scalar::<f32>().unwrap() / n;
        let sum = map.sum_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(
            (sum - expected).abs() < 1e-3 * expected,
            "{head}: {sum} {expected}"
        );
    }
}

#[test]
fn units_of_the_last_mlps_show_their_words_and_images() {
    let set = images(300);
    for (name, block) in [("tiny_vit", "block 5"), ("tiny_swin", "stage 2 block 1")] {
        let block = match model(name).encoder().blocks().last() {
            Some(last) if name == "tiny_swin" => last.to_string(),
            _ => block.to_string(),
        };
        let found = neurons(model(name), clip(), &set, &block, all_words(), (4, 5)).unwrap();
        println!("{found}");
        look(&format!("neurons_{name}"), &found.chart().unwrap());
        assert_eq!(found.units.len(), 4);
        for unit in &found.units {
            assert!(unit.words[0].1 > 0.3, "{name}: {found}");
            assert!(unit.top[0].activation > unit.bottom[0].activation);
            let side = unit.top[0].map.dims()[0];
            assert_eq!(side, model(name).encoder().token_grid().0);
            let mean = unit.top[0]
                .map
                .mean_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap();
            assert!((f64::from(mean) - unit.top[0].activation).abs() < 1e-4);
        }
        found.save(file(&format!("neurons_{name}.csv"))).unwrap();
    }
    let vit = model("tiny_vit");
    refused(
        neurons(&vit, clip(), &set, "block 9", all_words(), (4, 5)),
        &["block 9 mlp_post"],
    );
    refused(
        neurons(&vit, clip(), &set, "block 5", all_words(), (0, 5)),
        &["units = 0"],
    );
}
