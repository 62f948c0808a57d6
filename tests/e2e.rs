//! End-to-end tests, a folder per promise. They start the real programs; `make test` builds those first.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail by panicking, and say what they saw")]

mod browser;
mod conformance;
mod crash;
mod demo;
mod limits;
mod mutation;
mod operation;
mod roles;
mod s3;
mod tables;
mod tidy;
mod upgrade;
