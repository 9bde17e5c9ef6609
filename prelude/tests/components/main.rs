//! Components switched off one after the other, attributed to features and to texts, ordered, and compared between models.

mod ablation;
mod attribution;
mod charts;
mod compare;
mod completeness;
mod labels;
mod ordering;
mod similar;
mod support;
