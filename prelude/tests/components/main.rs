//! Components switched off one after the other, attributed to features and to texts, ordered, and compared between models.

mod ablation;
mod attribution;
mod charts;
#[path = "../common/mod.rs"]
mod common;
mod compare;
mod completeness;
mod labels;
mod ordering;
mod similar;
mod support;
