//! Which of several models in a file is taken.
//!
//! Files of training hold the weights as they are trained and an average of them (EMA), or a student and a teacher.
//! The one that its authors evaluate is taken: the average (timm `load_state_dict(use_ema=True)`), the teacher (DINO
//! `--checkpoint_key teacher`), I-JEPA's target encoder, and of MoCo the encoder that is trained (`base_encoder`,
//! `encoder_q`). What was chosen is said when a model is loaded, and `weights` in
//! [`load_with`](crate::session::load_with) chooses another.

use super::roots::{self, Root};

/// How much rather a part of a name is taken than weights without any.
fn rank(segment: &str) -> i32 {
    let lower = segment.to_lowercase();
    let words: Vec<_> = lower.split(['_', '-']).collect();
    let has = |of: &[&str]| words.iter().any(|word| of.contains(word));
    if has(&["optimizer", "optimiser", "optim", "scheduler"]) {
        -3
    } else if has(&[
        "ema", "teacher", "averaged", "average", "avg", "swa", "polyak",
    ]) || lower == "target_encoder"
    {
        1
    } else if has(&["decoder", "predictor", "discriminator", "generator"]) {
        -2
    } else if has(&["student", "momentum", "target"])
        || ["encoder_k", "key_encoder"].contains(&lower.as_str())
    {
        -1
    } else {
        0
    }
}

/// One of several models in a file.
pub(super) enum Chosen {
    /// The number of the one that is taken.
    One(usize),
    /// None is called so.
    None,
    /// Any of these would do.
    Several(Vec<usize>),
}

/// The one of `roots` to take, which there is at least one of: the one called `asked`, or else the one with the
/// highest rank. `same` tells whether two hold the very same numbers.
pub(super) fn choose(
    roots: &[Root],
    asked: Option<&str>,
    same: impl Fn(usize, usize) -> bool,
) -> Chosen {
    let called = |root: &Root| match asked {
        None => true,
        Some(asked) => {
            let wanted: Vec<_> = asked.split('.').filter(|s| roots::tells(s)).collect();
            let segments = root.segments();
            let label = root.label();
            label == asked.trim_end_matches('.')
                || (!wanted.is_empty() && segments.windows(wanted.len()).any(|part| part == wanted))
        }
    };
    let exact = asked.and_then(|asked| roots.iter().position(|root| root.label() == asked));
    if let Some(exact) = exact {
        return Chosen::One(exact);
    }
    let worth = |i: &usize| roots[*i].segments().iter().map(|s| rank(s)).sum::<i32>();
    let candidates: Vec<usize> = (0..roots.len()).filter(|i| called(&roots[*i])).collect();
    let best = candidates.iter().map(worth).max();
    let best: Vec<_> = candidates
        .into_iter()
        .filter(|i| Some(worth(i)) == best)
        .collect();
    match best.as_slice() {
        [] => Chosen::None,
        [first, rest @ ..] if rest.iter().all(|other| same(*first, *other)) => Chosen::One(*first),
        _ => Chosen::Several(best),
    }
}

/// Why the one called `label` is taken, in words.
pub(super) fn reason(root: &Root) -> &'static str {
    let segments = root.segments();
    let any = |words: &[&str]| {
        let lower = segments.iter().map(|segment| segment.to_lowercase());
        lower
            .flat_map(|s| s.split(['_', '-']).map(str::to_string).collect::<Vec<_>>())
            .any(|word| words.contains(&word.as_str()))
    };
    if any(&["teacher"]) {
        "the teacher is what is evaluated"
    } else if any(&["ema", "averaged", "average", "avg", "swa", "polyak"]) {
        "the average of the weights is what is evaluated"
    } else {
        "it is the encoder that is evaluated"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The label that is taken of a file with a model behind each of `wrappers`.
    fn taken(wrappers: &[&str], asked: Option<&str>) -> Result<String, usize> {
        let keys: Vec<_> = wrappers
            .iter()
            .map(|w| format!("{w}patch_embed.proj.weight"))
            .collect();
        let names: Vec<(&[String], &str)> =
            keys.iter().map(|key| (&[][..], key.as_str())).collect();
        let roots = roots::find(&names);
        assert_eq!(roots.len(), wrappers.len());
        match choose(&roots, asked, |_, _| false) {
            Chosen::One(i) => Ok(roots[i].label()),
            Chosen::None => Err(0),
            Chosen::Several(all) => Err(all.len()),
        }
    }

    #[test]
    fn what_its_authors_evaluate_is_taken() {
        for (wrappers, wanted) in [
            (["model.", "model_ema."], "model_ema"),
            (
                ["student.backbone.", "teacher.backbone."],
                "teacher.backbone",
            ),
            (
                ["module.base_encoder.", "module.momentum_encoder."],
                "base_encoder",
            ),
            (["encoder_q.", "encoder_k."], "encoder_q"),
            (
                ["module.encoder.", "module.target_encoder."],
                "target_encoder",
            ),
            (["online_network.", "target_network."], "online_network"),
            (["ema_model.module.", "online_model."], "ema_model"),
            (["", "swa_model."], "swa_model"),
            // "ema" is no word of these.
            (["schema.", "student."], "schema"),
        ] {
            assert_eq!(taken(&wrappers, None), Ok(wanted.to_string()));
        }
        assert_eq!(taken(&["a.", "b."], None), Err(2));
    }

    #[test]
    fn another_is_taken_by_its_name_or_a_part_of_it() {
        let wrappers = ["student.backbone.", "teacher.backbone."];
        for asked in ["student", "student.backbone", "student.backbone."] {
            assert_eq!(taken(&wrappers, Some(asked)), Ok("student.backbone".into()));
        }
        assert_eq!(
            taken(&wrappers, Some("backbone")),
            Ok("teacher.backbone".into())
        );
        assert_eq!(taken(&wrappers, Some("nothing")), Err(0));
        assert_eq!(taken(&["", "ema."], Some("model")), Err(0));
    }
}
