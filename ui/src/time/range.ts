// The global time range. It lives in the URL (`range=1h`, or `start=` and `end=` in UTC) and nowhere else.
import { computed } from '@preact/signals';
import { refreshTick } from '../api/useQuery';
import { params } from '../app/router';
import { longDuration, parseDurationS, parseUtc, utcField } from './instant';

export type RangeSpec = { kind: 'last'; seconds: number } | { kind: 'absolute'; startMs: number; endMs: number };
export interface ResolvedRange {
  startMs: number;
  endMs: number;
}

export const DEFAULT_RANGE = '1h';
export const PRESETS = ['5m', '15m', '30m', '1h', '3h', '6h', '12h', '1d', '2d', '7d', '30d'];
const MAX_RANGE_S = 366 * 86_400;

/** The range a query string asks for; anything unreadable falls back to the default, never to an error page. */
export function parseRange(search: URLSearchParams, nowMs: number): RangeSpec {
  const start = search.get('start');
  const end = search.get('end');
  if (start) {
    const startMs = parseUtc(start, nowMs);
    const endMs = end ? parseUtc(end, nowMs) : nowMs;
    if (startMs !== null && endMs !== null && startMs < endMs) return { kind: 'absolute', startMs, endMs };
  }
  const seconds = parseDurationS(search.get('range') ?? DEFAULT_RANGE);
  const valid = seconds !== null && seconds > 0 && seconds <= MAX_RANGE_S;
  return { kind: 'last', seconds: valid ? seconds : 3600 };
}

export function resolveRange(spec: RangeSpec, nowMs: number): ResolvedRange {
  if (spec.kind === 'absolute') return { startMs: spec.startMs, endMs: spec.endMs };
  return { startMs: nowMs - spec.seconds * 1000, endMs: nowMs };
}

/** The query-string patch that sets `spec`. */
export function rangeParams(spec: RangeSpec): Record<'range' | 'start' | 'end', string | null> {
  if (spec.kind === 'absolute') {
    return { range: null, start: iso(spec.startMs), end: iso(spec.endMs) };
  }
  const seconds = spec.seconds;
  const text =
    seconds % 86_400 === 0
      ? `${seconds / 86_400}d`
      : seconds % 3600 === 0
        ? `${seconds / 3600}h`
        : seconds % 60 === 0
          ? `${seconds / 60}m`
          : `${seconds}s`;
  return { range: text === DEFAULT_RANGE ? null : text, start: null, end: null };
}

export function rangeLabel(spec: RangeSpec): string {
  if (spec.kind === 'last') return `Last ${longDuration(spec.seconds)}`;
  const start = utcField(spec.startMs);
  const end = utcField(spec.endMs);
  return `${start} → ${start.slice(0, 10) === end.slice(0, 10) ? end.slice(11) : end}`;
}

export const iso = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');

export const rangeSpec = computed<RangeSpec>(() => parseRange(params.value, Date.now()));
/** Concrete bounds; a relative range moves forward with every refresh. */
export const range = computed<ResolvedRange>(() => {
  void refreshTick.value;
  return resolveRange(rangeSpec.value, Date.now());
});
/** `start` and `end` for an API call. */
export const rangeQuery = computed(() => ({ start: iso(range.value.startMs), end: iso(range.value.endMs) }));
