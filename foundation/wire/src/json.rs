//! OTLP/JSON to protobuf bytes.

use daymark_model::{Refusal, Signal};

/// Turns the OTLP/JSON body of an export request into the same request as protobuf bytes.
///
/// # Errors
/// [`Refusal`] (reject, `malformed`) that names the key path and the expected spelling or type.
pub fn to_protobuf(signal: Signal, json: &[u8], max_bytes: usize) -> Result<Vec<u8>, Refusal> {
    let _ = (signal, json, max_bytes);
    todo!()
}
