//! The same cases on a folder and on S3.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod cases;
mod s3;
mod s3_server;
mod settings;
mod shop;
