//! Indexes of segments: the text index of logs (which pages of rows may hold a word) and the label postings of `series`
//! (`labels/`).
//!
//! In a text index one tantivy document stands for one page of rows (`rows_per_page`): document number = page number. Words used like
//! ids (numbers, hex) are not terms but bits of a bloom filter per page, because unique terms would make up most of the
//! index. Everything is packed into one `.idx` file (`pack.rs`), which for a merger has the index of each input as a part.
//!
//! Invariants:
//! - a page that is not chosen holds no match; a chosen one may, and the reader checks the bodies;
//! - no damage of the file and no panic of the library changes an answer: both are a `DamagedIndex`, and the reader scans.

mod bloom;
mod build;
mod labels;
mod of_table;
mod pack;
mod pages;
mod parts;
mod search;

pub(crate) use labels::{LabelIndex, RowSet};
pub(crate) use of_table::SegmentIndex;
pub(crate) use pack::{join, split};
pub(crate) use parts::{TextIndex, checked_parts};
