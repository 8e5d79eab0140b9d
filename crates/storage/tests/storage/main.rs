//! Tests of the storage, each on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod announcements;
mod backup;
mod databases;
mod events;
mod faults;
mod items;
mod keys;
mod lost;
mod outage;
mod proxy;
mod retention;
mod stream;
