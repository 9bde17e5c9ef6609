//! How the tokens of a stage lie in the image.

use crate::{Error, Result};

/// The tokens of a stage: some that have no place in the image (class token, registers), then a square grid of patches,
/// row by row, whatever windows they attended in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenLayout {
    before: Vec<String>,
    side: usize,
}

impl TokenLayout {
    /// `tokens` of which the first are called `before`.
    pub(super) fn new(tokens: usize, before: &[String]) -> Result<Self> {
        let patches = tokens.saturating_sub(before.len());
        let side = patches.isqrt();
        match side * side == patches && patches > 0 {
            true => Ok(Self {
                before: before.to_vec(),
                side,
            }),
            false => Err(Error::trace(format!(
                "{tokens} tokens, {} of them before the patches, are no square grid",
                before.len()
            ))),
        }
    }

    /// What the tokens before the patches are: `class token`, `register 1`.
    pub fn before(&self) -> &[String] {
        &self.before
    }

    /// Patches a row, and rows.
    pub fn side(&self) -> usize {
        self.side
    }

    /// All tokens.
    pub fn tokens(&self) -> usize {
        self.before.len() + self.side * self.side
    }

    /// What token number `token` is, and its row and column where it is a patch.
    pub(crate) fn place(&self, token: usize) -> (String, Option<(usize, usize)>) {
        match token.checked_sub(self.before.len()) {
            None => (self.before[token].clone(), None),
            Some(patch) => ("patch".into(), Some((patch / self.side, patch % self.side))),
        }
    }
}

impl std::fmt::Display for TokenLayout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let side = self.side;
        match self.before.is_empty() {
            true => write!(f, "{side} x {side} patches"),
            false => write!(f, "{}, {side} x {side} patches", self.before.join(", ")),
        }
    }
}
