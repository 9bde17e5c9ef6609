//! Every layout of data and every kind of broken file, in small folders made from the generated set.

#[path = "../common/mod.rs"]
mod common;
mod desk;
mod imagenet;
mod layouts;
mod odd_parquet;
mod odd_tars;
mod parquet;
mod segmentation;
mod subsets;
mod tar;
mod waterbirds;
