//! Tests of the crate as a whole: tables on a real directory.

mod commits;
mod compaction;
mod crash;
mod damage;
mod many_files;
mod pinning;
mod reading;
mod remote;
mod samples;
mod sim;
mod upkeep;
