//! `google.rpc.Status`, the body of every refusal: written by the listeners, read by the agent's client.
//!
//! Its details are `google.rpc.RetryInfo`, when there is a time to wait, and `google.rpc.ErrorInfo`, which carries the
//! refusal's reason in capitals and its class, so that an agent can pass on to its clients what the collector said.

use daymark_model::{ErrorClass, Refusal};
use serde_json::json;

use crate::decode::{Fields, Parse};
use crate::proto;

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
/// `ErrorInfo.domain`: whose reasons they are.
const DOMAIN: &str = "daymark";

/// Reasons of a collector that an agent passes on as they are. Others are summed up by their HTTP status.
const PASSED_ON: [&str; 18] = [
    "concurrency",
    "disk_full",
    "failed",
    "internal",
    "log_closed",
    "log_failed",
    "log_unavailable",
    "malformed",
    "memory_full",
    "memory_hard",
    "memory_soft",
    "queue_full",
    "quota_bytes",
    "quota_items",
    "stopping",
    "timeout",
    "too_large",
    "under_way",
];

fn class_name(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Retry => "retry",
        ErrorClass::Reject => "reject",
        ErrorClass::Overload => "overload",
        ErrorClass::Corrupt => "corrupt",
        ErrorClass::Bug => "bug",
    }
}

fn class_of(name: &str) -> Option<ErrorClass> {
    use ErrorClass::{Bug, Corrupt, Overload, Reject, Retry};
    [Retry, Reject, Overload, Corrupt, Bug].into_iter().find(|class| class_name(*class) == name)
}

/// A refusal in protobuf, with its gRPC code.
pub(crate) fn to_protobuf(refusal: &Refusal, code: u64) -> Vec<u8> {
    let mut out = Vec::new();
    proto::put_number(&mut out, 1, code);
    proto::put_bytes(&mut out, 2, refusal.message.as_bytes());
    if let Some(ms) = refusal.retry_after_ms {
        detail(&mut out, RETRY_INFO, |out| {
            let delay = proto::open(out, 1);
            proto::put_number(out, 1, ms / 1_000);
            proto::put_number(out, 2, ms % 1_000 * 1_000_000);
            proto::close(out, delay);
        });
    }
    detail(&mut out, ERROR_INFO, |out| {
        proto::put_bytes(out, 1, refusal.reason.to_ascii_uppercase().as_bytes());
        proto::put_bytes(out, 2, DOMAIN.as_bytes());
        let entry = proto::open(out, 3);
        proto::put_bytes(out, 1, b"class");
        proto::put_bytes(out, 2, class_name(refusal.class).as_bytes());
        proto::close(out, entry);
    });
    out
}

fn detail(out: &mut Vec<u8>, kind: &str, write: impl FnOnce(&mut Vec<u8>)) {
    let any = proto::open(out, 3);
    proto::put_bytes(out, 1, kind.as_bytes());
    let value = proto::open(out, 2);
    write(out);
    proto::close(out, value);
    proto::close(out, any);
}

/// A refusal in JSON, with its gRPC code.
pub(crate) fn to_json(refusal: &Refusal, code: i32) -> String {
    let mut details = Vec::new();
    if let Some(ms) = refusal.retry_after_ms {
        let delay = format!("{}.{:03}s", ms / 1_000, ms % 1_000);
        details.push(json!({"@type": RETRY_INFO, "retryDelay": delay}));
    }
    let (reason, class) = (refusal.reason.to_ascii_uppercase(), class_name(refusal.class));
    details.push(json!({"@type": ERROR_INFO, "reason": reason, "domain": DOMAIN, "metadata": {"class": class}}));
    json!({"code": code, "message": refusal.message, "details": details}).to_string()
}

/// What a status in protobuf says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) message: String,
    pub(crate) retry_after_ms: Option<u64>,
    /// Its class and reason, when they are of those that are passed on.
    pub(crate) refused: Option<(ErrorClass, &'static str)>,
}

/// Reads a status in protobuf; of one that is not whole, what could be read.
pub(crate) fn read(body: &[u8]) -> Said {
    let mut said = Said::default();
    // A body that is no status says nothing; the HTTP status beside it decides then.
    let _ = read_status(body, &mut said);
    said
}

fn read_status(body: &[u8], said: &mut Said) -> Parse<()> {
    let mut fields = Fields::of(body);
    while let Some(field) = fields.next()? {
        match field.number {
            2 => said.message = field.text("message")?.to_owned(),
            3 => read_detail(field.bytes("details")?, said)?,
            _ => {}
        }
    }
    Ok(())
}

fn read_detail(any: &[u8], said: &mut Said) -> Parse<()> {
    let (mut kind, mut value) = ("", &b""[..]);
    let mut fields = Fields::of(any);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => kind = field.text("type_url")?,
            2 => value = field.bytes("value")?,
            _ => {}
        }
    }
    match kind {
        RETRY_INFO => said.retry_after_ms = read_delay(value)?,
        ERROR_INFO => said.refused = read_error_info(value)?,
        _ => {}
    }
    Ok(())
}

fn read_delay(retry_info: &[u8]) -> Parse<Option<u64>> {
    let mut fields = Fields::of(retry_info);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            let (mut seconds, mut nanos) = (0, 0);
            let mut delay = Fields::of(field.bytes("retry_delay")?);
            while let Some(field) = delay.next()? {
                match field.number {
                    1 => seconds = field.varint("seconds")?,
                    2 => nanos = field.varint("nanos")?,
                    _ => {}
                }
            }
            return Ok(Some(seconds.saturating_mul(1_000).saturating_add(nanos.div_ceil(1_000_000))));
        }
    }
    Ok(None)
}

fn read_error_info(bytes: &[u8]) -> Parse<Option<(ErrorClass, &'static str)>> {
    let (mut reason, mut domain, mut class) = ("", "", None);
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => reason = field.text("reason")?,
            2 => domain = field.text("domain")?,
            3 => {
                let mut entry = Fields::of(field.bytes("metadata")?);
                while let Some(field) = entry.next()? {
                    if field.number == 2 {
                        class = class.or(class_of(field.text("value")?));
                    }
                }
            }
            _ => {}
        }
    }
    let known = PASSED_ON.into_iter().find(|known| known.eq_ignore_ascii_case(reason));
    Ok(class.zip(known).filter(|_| domain == DOMAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_listener_refuses_a_client_reads_unchanged() {
        for class in [ErrorClass::Retry, ErrorClass::Reject, ErrorClass::Overload, ErrorClass::Corrupt, ErrorClass::Bug]
        {
            for (reason, retry_after_ms) in [("quota_bytes", Some(12_223)), ("malformed", None), ("disk_full", Some(0))]
            {
                let refusal = Refusal { class, reason, message: "why: ü".into(), retry_after_ms };
                let said = read(&to_protobuf(&refusal, 8));
                assert_eq!(said, Said { message: "why: ü".into(), retry_after_ms, refused: Some((class, reason)) });
            }
        }
        assert!(PASSED_ON.is_sorted());
    }

    #[test]
    fn strange_bodies_say_nothing_and_break_nothing() {
        let whole = to_protobuf(&Refusal::overload("quota_items", "later", 5), 8);
        for length in 0..whole.len() {
            read(&whole[..length]);
        }
        assert_eq!(read(b"<html>502</html>"), Said::default());
        let unknown = to_protobuf(&Refusal::reject("reason_of_another_version", "no"), 3);
        assert_eq!((read(&unknown).refused, read(&unknown).message), (None, "no".to_owned()));
    }
}
