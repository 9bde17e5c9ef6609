//! What people might write under a generated image: several phrasings, each naming some of the
//! factors, now and then inside one of the 80 prompt templates.

use super::factors::{Factor, Factors};
use crate::data::templates::{TEMPLATES, fill};
use rand::Rng;
use rand::seq::IndexedRandom;

/// Ways to say where the object is in the picture; `{}` is the position.
const POSITIONS: [&str; 3] = ["at the {}", "in the {}", "on the {}"];

/// Ways to open a sentence about the object.
const OPENINGS: [&str; 6] = [
    "a {}",
    "the {}",
    "there is a {}",
    "a picture of a {}",
    "an image with a {}",
    "this is a {}",
];

/// A caption of an image with these factors.
pub(super) fn write(factors: &Factors, rng: &mut impl Rng) -> String {
    match rng.random_range(0..10) {
        0..=3 => sentence(factors, rng),
        4..=6 => {
            let thing = thing(factors, rng);
            template(factors, &thing, rng)
        }
        // One factor alone, as a zero-shot prompt names it.
        _ => {
            let weights = [4, 3, 3, 4, 1, 1];
            let factor = Factor::ALL
                .choose_weighted(rng, |&factor| weights[factor as usize])
                .copied()
                .unwrap_or(Factor::Shape);
            template(factors, prompt(factor, factors.get(factor) as usize), rng)
        }
    }
}

/// How a value of a factor is put into a prompt template: "circle", "red", "top left".
pub fn prompt(factor: Factor, value: usize) -> &'static str {
    factor.names()[value]
}

/// "large striped red circle", with some of the words left out, and the place now and then.
fn thing(factors: &Factors, rng: &mut impl Rng) -> String {
    let mut words = Vec::new();
    for (factor, share) in [
        (Factor::Size, 0.3),
        (Factor::Pattern, 0.55),
        (Factor::Colour, 0.6),
    ] {
        if rng.random_bool(share) {
            words.push(factors.value_name(factor));
        }
    }
    words.push(match rng.random_range(0..10) {
        0 => "thing",
        1 => "object",
        _ => factors.value_name(Factor::Shape),
    });
    if rng.random_bool(0.35) {
        words.extend(["in", "the", factors.value_name(Factor::Location)]);
    }
    words.join(" ")
}

/// A sentence with the position or the place in it.
fn sentence(factors: &Factors, rng: &mut impl Rng) -> String {
    let opening = OPENINGS.choose(rng).unwrap_or(&OPENINGS[0]);
    let mut text = fill(opening, &thing(factors, rng));
    if rng.random_bool(0.35) {
        let at = POSITIONS.choose(rng).unwrap_or(&POSITIONS[0]);
        text = format!("{text} {}", fill(at, factors.value_name(Factor::Position)));
    }
    if rng.random_bool(0.5) && !text.contains(" in the ") {
        text = format!("{text} in the {}", factors.value_name(Factor::Location));
    }
    text
}

/// `thing` in a template that does not contradict the object's size.
fn template(factors: &Factors, thing: &str, rng: &mut impl Rng) -> String {
    let wrong = ["large", "small"][factors.get(Factor::Size) as usize];
    let fitting = || {
        let picked = TEMPLATES.choose(rng).copied().unwrap_or(TEMPLATES[0]);
        (!picked.contains(wrong)).then_some(picked)
    };
    let template = std::iter::repeat_with(fitting)
        .flatten()
        .next()
        .unwrap_or(TEMPLATES[0]);
    fill(template, thing)
}

/// Every word that a caption or a prompt can contain, sorted, each once.
pub fn vocabulary() -> Vec<String> {
    let names = Factor::ALL
        .into_iter()
        .flat_map(|factor| factor.names().iter().copied());
    // Words for factors and groups of values, so that prompts may name them too.
    let extra = [
        "thing",
        "object",
        "shape",
        "colour",
        "color",
        "pattern",
        "location",
        "place",
        "background",
        "size",
        "position",
        "rounded",
        "round",
        "angular",
        "open",
        "covered",
        "and",
        "with",
        "any",
        "some",
        ".",
        ",",
    ];
    let phrases = OPENINGS.iter().chain(&POSITIONS).chain(&TEMPLATES).copied();
    let mut words: Vec<String> = names
        .chain(extra)
        .chain(phrases)
        .flat_map(|text| text.split([' ', '-']))
        .map(|word| word.trim_end_matches('.').to_string())
        .chain([".".to_string(), "-".to_string()])
        .filter(|word| !word.is_empty() && word != "{}")
        .collect();
    words.sort();
    words.dedup();
    words
}
