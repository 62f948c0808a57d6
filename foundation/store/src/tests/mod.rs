//! Tests of the crate as a whole: tables on a real directory.

mod commits;
mod damage;
mod figures;
mod reading;
mod remote;
mod samples;
mod upkeep;
