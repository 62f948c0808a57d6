//! Reading a request's body within the caps.

use std::fmt::Display;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use daymark_model::Refusal;
use http_body::Body;
use http_body_util::BodyExt;

use super::memory::Room;

/// How long the body is, if its sender says so, or 0.
pub(super) fn announced<B: Body>(body: &B, max_bytes: usize, frame_bytes: usize) -> Result<usize, Refusal> {
    let announced = usize::try_from(body.size_hint().exact().unwrap_or(0)).unwrap_or(usize::MAX);
    if announced > max_bytes + frame_bytes { Err(too_large(max_bytes)) } else { Ok(announced) }
}

/// Reads at most `max_bytes` and `frame_bytes` around them, reserving room before it takes memory.
pub(super) async fn read<B>(body: B, max_bytes: usize, frame_bytes: usize, room: &mut Room) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes>,
    B::Error: Display,
{
    let announced = announced(&body, max_bytes, frame_bytes)?;
    room.grow(announced)?;
    let mut reserved = announced;
    let (mut collected, mut only) = (BytesMut::new(), Bytes::new());
    let mut length = 0;
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::reject("malformed", format!("the body is broken: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > max_bytes + frame_bytes {
            return Err(too_large(max_bytes));
        }
        if length > reserved {
            room.grow(length - reserved)?;
            reserved = length;
        }
        // Small requests come in one piece, which is kept as it is.
        if only.is_empty() && collected.is_empty() {
            only = data;
            continue;
        }
        if collected.is_empty() {
            collected.reserve(announced.max(length));
            collected.extend_from_slice(&only);
        }
        collected.extend_from_slice(&data);
    }
    Ok(if collected.is_empty() { only } else { collected.freeze() })
}

/// Most of a refused request that is read and dropped, and for how long.
const DISCARD_BYTES: usize = 64 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// Reads the rest of a refused request, so that the client finishes writing and then reads why it was refused; a
/// connection closed at once would reset under it.
pub(super) async fn discard<B>(mut body: Pin<&mut B>)
where
    B: Body<Data = Bytes>,
{
    let rest = async {
        let mut length = 0;
        while let Some(Ok(frame)) = body.frame().await {
            length += frame.data_ref().map_or(0, Bytes::len);
            if length > DISCARD_BYTES {
                return;
            }
        }
    };
    // Whether all was read or not, the answer is the same.
    _ = tokio::time::timeout(DISCARD_TIME, rest).await;
}

fn too_large(max_bytes: usize) -> Refusal {
    Refusal::reject("too_large", format!("the request is larger than {max_bytes} bytes: send smaller batches"))
}
