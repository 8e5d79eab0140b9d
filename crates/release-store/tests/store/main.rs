//! The same cases on a folder, on S3 and on Azure Blob Storage.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod azure;
mod cases;
mod s3;
mod s3_server;
mod settings;
mod shop;
