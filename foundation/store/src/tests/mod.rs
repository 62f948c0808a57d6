//! Tests of the crate as a whole: tables on a real directory.

mod commits;
mod compaction;
mod damage;
mod many_files;
mod pinning;
mod reading;
mod remote;
mod samples;
mod upkeep;
