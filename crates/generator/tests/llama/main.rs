//! Both engines through llama.cpp: on tiny models with random weights, and on a real
//! one where `TANDEM_GGUF` names it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::float_cmp, reason = "ties are exact")]

mod bad_files;
mod item_tokens;
mod real;
mod reference;
mod support;
mod tiny;
