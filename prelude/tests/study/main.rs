//! The study of a spurious correlation: on any data, by both protocols, and what goes beyond mean ablation.

mod adam_probe;
mod bootstrap;
mod columns;
#[path = "../common/mod.rs"]
mod common;
mod correction;
mod paths;
mod plain;
mod scaling;
mod shown;
mod support;
