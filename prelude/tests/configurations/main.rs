//! Configurations of timm, open_clip and transformers: what they say is done, refused by name, or said to be assumed.

#[path = "../common/mod.rs"]
mod common;
mod contradicted;
mod refused;
mod said;
mod sizes;
mod support;
mod texts;
mod values;
