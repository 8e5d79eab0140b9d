//! A GGUF language model as a maker of candidate lists.
//!
//! A [`Generator`] answers a [`Query`] (a history, what to leave out, how many) with
//! distinct items of the catalogue, best first, each with its log-probability in nats.
//! Decoding is constrained: what is not in the catalogue, was seen or is excluded cannot
//! come out, because it is pruned before the first token is decoded.
//!
//! Two engines stand behind it, chosen by what a GGUF file says of itself: *titles* reads and
//! writes the catalogue as text with any language model; *item tokens* runs a decoder trained
//! on the catalogue ([`item_tokens`]).
//!
//! | module | what |
//! |---|---|
//! | [`trie`] | the catalogue's titles as a radix tree of tokens, and the per-query [`Mask`](trie::Mask) |
//! | [`experts`] | the distribution over a node's children: language model × popularity |
//! | [`search`] | best-first search for the `k` most probable items, over any [`LogitsSource`](search::LogitsSource) |
//! | [`item_tokens`] | decoders whose vocabulary is the catalogue: their GGUF files, and exact selection from logits |
//! | [`popularity`] | the order without a history |
//! | [`titles`] | how a title reads, and the prompt made of a history |
//! | [`gguf`] | a reader of metadata and a writer of GGUF files, in plain Rust |
//! | `llama` (feature `llama`) | llama.cpp behind [`LogitsSource`](search::LogitsSource); `Model` |
//! | `testing` (feature `testing`) | models with random weights |
//!
//! What is absent: no HTTP, no queue, no threads of its own. A generator owns one
//! llama.cpp context and stays on one thread; a server puts its queue in front of it.

mod error;
pub mod experts;
pub mod gguf;
pub mod item_tokens;
#[cfg(feature = "llama")]
pub mod llama;
pub mod popularity;
mod query;
pub mod search;
#[cfg(feature = "testing")]
pub mod testing;
pub mod titles;
pub mod trie;

pub use error::GeneratorError;
#[cfg(feature = "llama")]
pub use llama::{LoadOptions, Model};
pub use query::{Generation, Generator, Query, Ranked};
