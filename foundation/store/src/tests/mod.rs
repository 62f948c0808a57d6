//! Tests of the crate as a whole: tables on a real directory.

mod cold;
mod columns;
mod commits;
mod compaction;
mod crash;
mod damage;
mod delete;
mod joining;
mod labels;
mod many_files;
mod many_writers;
mod pinning;
mod reading;
mod remote;
mod samples;
mod shared_store;
mod sim;
mod splicing;
mod tallies;
mod typed;
mod upkeep;
mod verify;
