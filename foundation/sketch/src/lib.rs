//! Distributions: HDR histograms of 2 significant digits, explicit-bucket histograms, and the way between HDR and
//! OTLP's exponential histograms.
//!
//! Where it sits: the agent records durations into a [`Sketch`] and sends it as an [`Exponential`] of scale 8; the
//! collector turns it back, merges and stores [`Histogram`] bytes in the `hist` column; readers merge and ask for
//! quantiles.
//!
//! Invariants:
//! - count, sum, min and max are exact (saturating at their type), whatever the buckets are;
//! - merging is associative and commutative, and never widens a bucket;
//! - a quantile lies in the bucket of the true value: within 0.39 % of it for [`Sketch`], between the stated bounds
//!   for [`ExplicitHistogram`];
//! - decoding never panics and never allocates more than a small multiple of the bytes given.
//!
//! Deliberately absent: negative values (HDR has none) and any choice of digits but 2.

mod bucket;
mod compact;
mod error;
mod explicit;
mod exponential;
mod histogram;
mod rungs;
mod sketch;
mod sketch_bytes;
mod spread;
mod varint;

pub use bucket::{Bucket, bucket_edge};
pub use error::{BoundsDiffer, KindsDiffer, NotHdr, SketchError};
pub use explicit::{BucketQuantile, ExplicitHistogram};
pub use exponential::{Exponential, HDR_SCALE};
pub use histogram::Histogram;
pub use sketch::Sketch;
pub use spread::spread_exponential;

/// Largest relative error of a [`Sketch`] quantile: half a bucket, 1/256.
pub const HDR_ERROR: f64 = 1.0 / 256.0;
