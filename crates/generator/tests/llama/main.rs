//! Both engines through llama.cpp: on tiny models with random weights, and on a real model if
//! `TEST_GGUF` is set to its path; a sentence embedder if `TEST_EMBEDDER` is set to its folder.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]
#![expect(clippy::float_cmp, reason = "ties are exact")]

mod added_items;
mod bad_files;
mod catalogue_index;
mod embedding;
mod filters;
mod fuzz;
mod item_tokens;
mod real;
mod reference;
mod support;
mod tiny;
mod title_signals;
