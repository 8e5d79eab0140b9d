//! Tests of the HTTP routes with a scripted generator, and of the program with a GGUF file.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod access;
mod admin;
mod api_docs;
mod artifacts;
mod bad_input;
mod candidates;
mod connections;
mod crafted;
mod erasure;
mod event_stream;
mod events;
mod filters;
mod fixture;
mod fuzz;
mod generators;
mod http;
mod item_bodies;
mod models;
mod new_items;
mod operation;
mod postgres;
mod process;
#[path = "../../../crates/storage/tests/storage/proxy.rs"]
mod proxy;
mod queue;
mod ranking_signals;
mod rankings;
mod redis;
mod release_routes;
mod release_store;
mod releases;
mod request_log;
mod rows;
#[path = "../../../crates/release-store/tests/store/s3_server.rs"]
mod s3_server;
mod site;
mod soak;
mod start;
mod storage;
mod storage_faults;
mod storage_outage;
mod stored_keys;
mod traces;
