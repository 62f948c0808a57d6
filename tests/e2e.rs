//! End-to-end tests, a folder per promise. They start the real programs; `make test` builds those first.

mod browser;
mod conformance;
mod crash;
mod demo;
mod limits;
mod mutation;
mod roles;
mod tidy;
mod upgrade;
