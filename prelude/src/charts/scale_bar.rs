//! The bar beside a chart that says which colour stands for which value.

use super::color::{FAINT, INK};
use super::heat_scale::Scale;
use super::scene::{Anchor, Scene, plain};

const STEPS: usize = 84;

/// Draws the colours of `scale` from `top` down, `width` x `height`, and beside them `labels` at their places between 0
/// (the lower end) and 1. Where all values are alike one square of their colour is enough.
pub(super) fn scale_bar(
    scene: &mut Scene,
    scale: Scale,
    labels: &[(f32, String)],
    (x, top): (f64, f64),
    (width, height): (f64, f64),
) {
    if let Scale::Neutral(value) = scale {
        scene.rect((x, top), (width, width), scale.color(value).0);
    } else {
        let step = height / STEPS as f64;
        // Each step reaches below the next, so that no seams show where a viewer scales the picture.
        for i in 0..STEPS {
            let place = 1.0 - (i as f32 + 0.5) / STEPS as f32;
            let (color, _) = scale.color(scale.at(place));
            scene.rect((x, top + i as f64 * step), (width, step + 0.5), color);
        }
    }
    for (place, text) in labels {
        let y = top + height * (1.0 - f64::from(*place));
        // The ends stand within the bar's height, a middle beside its mark.
        let base = match *place {
            1.0 => y + 10.0,
            0.0 => y,
            _ => {
                scene.line(vec![(x - 2.0, y), (x + width + 4.0, y)], INK, 1.0);
                y + 4.0
            }
        };
        let place = (x + width + 6.0, base);
        scene.text(text, place, Anchor::Start, plain(11.5, FAINT));
    }
}
