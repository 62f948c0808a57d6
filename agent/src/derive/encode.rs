//! Derived series as the `derived` part of a batch (`daymark_wire::derived`).

use daymark_model::UnixNanos;
use daymark_wire::{DerivedExemplar, DerivedSource, DerivedView, DerivedWriter};

use super::series::{STATUS_ERROR, Series, SeriesMap};

/// Bytes of one series beside its name and its distribution, at most.
const SERIES_BYTES: usize = 80;
/// Bytes before the first series, at most.
const HEAD_BYTES: usize = 16;

/// At most how many bytes [`derived_series`] will write.
pub(crate) fn size_bound(series: &SeriesMap) -> usize {
    let of_one = |series: &Series| SERIES_BYTES + series.sketch.compact_bound();
    // Names are in the arena once for each series, those of services at least once for each of theirs.
    HEAD_BYTES + series.all().iter().map(of_one).sum::<usize>() + series.text_bytes()
}

/// Encodes all series. Errors, and the slowest of each service, are shown by an example.
pub(crate) fn derived_series(source: DerivedSource, series: &mut SeriesMap) -> Vec<u8> {
    let capacity = size_bound(series);
    let (series, texts) = series.sorted();
    let first = series.iter().map(|series| series.window).min().unwrap_or(UnixNanos(0));
    let mut out = DerivedWriter::new(source, first, capacity);
    for of_service in series.chunk_by(|a, b| a.service(texts) == b.service(texts)) {
        let service = of_service.first().map_or("", |series| series.service(texts));
        out.service(service, of_service.len());
        let slowest = of_service.iter().map(|series| series.slowest.0).max();
        for series in of_service {
            let shown = series.status == STATUS_ERROR || Some(series.slowest.0) == slowest;
            let (value_ns, item) = series.slowest;
            let exemplar = shown.then_some(DerivedExemplar {
                end: item.end,
                trace_id: item.trace_id,
                span_id: item.span_id,
                value_ns,
            });
            let view = DerivedView {
                source,
                service,
                name: series.name(texts),
                kind: series.kind,
                status: series.status,
                overflow: series.overflow,
                window: series.window,
                distribution: &[],
                exemplar,
            };
            out.series(&view, |out| series.sketch.encode_compact(out));
        }
    }
    out.into_bytes()
}
