//! Candidate lists from a GGUF language model.
//!
//! A [`Generator`] answers a [`Query`] (history, exclusions, `k`) with distinct items of the
//! catalogue, best first, each with a log-probability in nats. Decoding is constrained:
//! items outside the catalogue, seen items and excluded items are pruned before the first
//! token is decoded, so they can never be returned.
//!
//! There are two engines. The metadata of the GGUF file selects one: *titles* reads and
//! writes the catalogue as text with any causal language model; *item tokens* runs a decoder
//! that was trained on the catalogue ([`item_tokens`]).
//!
//! | module | contents |
//! |---|---|
//! | [`trie`] | the titles of the catalogue as a radix tree of tokens, and the [`Mask`](trie::Mask) of a query |
//! | [`branch_scores`] | the distribution over a node's children: language model × popularity |
//! | [`search`] | best-first search for the `k` most probable items, over any [`LogitsSource`](search::LogitsSource) |
//! | [`item_tokens`] | decoders with one token per item: their GGUF files, and exact top-k selection from logits |
//! | [`catalogue_index`] | an index for catalogues of hundreds of thousands of items |
//! | [`added_items`] | items that were added after the models were trained |
//! | [`popularity`] | the ranking for an empty history |
//! | [`ranking_signals`] | counts and text similarity, combined with the language model |
//! | [`titles`] | titles as text, and the prompt for a history |
//! | [`bert`] | conversion of sentence embedders to GGUF |
//! | [`gguf`] | a reader and a writer of GGUF files in plain Rust |
//! | `llama` (feature `llama`) | llama.cpp as a [`LogitsSource`](search::LogitsSource); `Model` |
//! | `testing` (feature `testing`) | models with random weights |
//!
//! This crate has no HTTP, no queue and no threads of its own. A generator owns one llama.cpp
//! context and stays on one thread; the server puts a queue in front of it.
//!
//! # Example
//! The most probable items under a trie of two-token titles, with popularity as the only
//! score (a language model would pass its logits):
//!
//! ```
//! use tandem_dataset::ItemIndex;
//! use tandem_generator::{popularity::most_popular, trie::Trie};
//!
//! const END: u32 = 0;
//! // Tokens of three titles, and how often each item was clicked.
//! let trie = Trie::new(&[vec![5, 6], vec![5, 7], vec![8]], &[1, 5, 3], END);
//! // Item 1 has been seen.
//! let mask = trie.mask([ItemIndex(1)]);
//! let list = most_popular(&trie, &mask, 10);
//! let items: Vec<u32> = list.iter().map(|ranked| ranked.item.0).collect();
//! assert_eq!(items, [2, 0]);
//! // (3 + 1) / ((3 + 1) + (1 + 1))
//! assert!((list[0].logprob - (4.0_f32 / 6.0).ln()).abs() < 1e-6);
//! ```

pub mod added_items;
pub mod bert;
pub mod branch_scores;
pub mod catalogue_index;
mod error;
pub mod gguf;
pub mod item_tokens;
#[cfg(feature = "llama")]
pub mod llama;
pub mod popularity;
mod products;
mod query;
pub mod ranking_signals;
pub mod search;
#[cfg(feature = "testing")]
pub mod testing;
pub mod titles;
pub mod trie;

pub use added_items::AddedItems;
pub use error::GeneratorError;
#[cfg(feature = "llama")]
pub use llama::{LoadOptions, Model};
pub use query::{Generation, Generator, Query, Ranked};
