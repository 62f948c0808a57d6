//! End-to-end tests, a folder per promise. They start the real programs; `make test` builds those first.

mod crash;
mod roles;
mod tidy;
