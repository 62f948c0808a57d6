// Reading and writing instants and durations. Everything shown is UTC. Pure functions.
import type { Instant } from '../api/types';

const LATEST_MS = 8.64e15;
const UNIT_S: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** `90s`, `15m`, `1.5h`, `7d`, `2w` in seconds; null when it is none of these. */
export function parseDurationS(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([smhdw])$/.exec(text.trim());
  return match ? Number(match[1]) * UNIT_S[match[2]] : null;
}

/** A span duration typed by a person (`250`, `250ms`, `1.5s`, `2 m`, `300us`) in ms; a bare number is ms. */
export function parseDurationMs(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s|m|h)?$/.exec(text.trim());
  if (!match) return null;
  const factor = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1e3, m: 6e4, h: 36e5 }[match[2] ?? 'ms'] ?? 1;
  return Number(match[1]) * factor;
}

/** Unix ms of a number whose unit is told by its size (s, ms, µs, ns). */
export function unixToMs(value: number): number {
  const size = Math.abs(value);
  if (size < 1e11) return value * 1e3;
  if (size < 1e14) return value;
  return size < 1e17 ? value / 1e3 : value / 1e6;
}

/** Unix ms of any instant of the API, or null. */
export function instantMs(value: Instant | null | undefined): number | null {
  if (value === null || value === undefined || value === '') return null;
  const isNumber = typeof value === 'number' || /^-?\d+(\.\d+)?$/.test(value);
  const ms = isNumber ? unixToMs(Number(value)) : Date.parse(value);
  // 0 and the largest integer stand for "never" in some answers; a Date can hold neither as an instant people mean.
  return Number.isFinite(ms) && ms > 0 && ms <= LATEST_MS ? ms : null;
}

/**
 * A UTC instant typed by a person: `2026-11-21`, `2026-11-21 07:30[:15[.5]]`, with `T`, `Z` or an offset, a unix
 * number, `now`, `now-15m`. Null when it is none of these. Text without a zone is UTC, never local time.
 */
export function parseUtc(text: string, nowMs: number): number | null {
  const trimmed = text.trim().replace(/\s*utc$/i, 'Z');
  const relative = /^now(?:\s*-\s*(.+))?$/.exec(trimmed);
  if (relative) {
    if (!relative[1]) return nowMs;
    const back = parseDurationS(relative[1]);
    return back === null ? null : nowMs - back * 1000;
  }
  if (/^\d{9,19}$/.test(trimmed)) return unixToMs(Number(trimmed));
  const match = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?))?\s*(Z|[+-]\d{2}:\d{2})?$/i.exec(
    trimmed,
  );
  if (!match) return null;
  const time = match[2] ?? '00:00';
  const ms = Date.parse(
    `${match[1]}T${time.length === 5 ? `${time}:00` : time.slice(0, 12)}${match[3]?.toUpperCase() ?? 'Z'}`,
  );
  if (Number.isNaN(ms)) return null;
  // Date.parse accepts 31 February and rolls over; a person who typed it wants to be told.
  const day = Number(match[1].slice(8));
  return !match[3] && new Date(ms).getUTCDate() !== day ? null : ms;
}

const pad = (value: number, width = 2) => String(value).padStart(width, '0');

/** `2026-11-21 07:30:15` */
export function utcDateTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
}
/** `07:30:15.123` */
export function utcClock(ms: number, withMs = false): string {
  return new Date(ms).toISOString().slice(11, withMs ? 23 : 19);
}
/** `21 Nov 07:30:15`, the year when it is another one. */
export function utcShort(ms: number, nowMs: number = Date.now()): string {
  const date = new Date(ms);
  const month = date.toLocaleString('en-GB', { month: 'short', timeZone: 'UTC' });
  const year = date.getUTCFullYear() === new Date(nowMs).getUTCFullYear() ? '' : ` ${date.getUTCFullYear()}`;
  return `${date.getUTCDate()} ${month}${year} ${utcClock(ms)}`;
}
/** `2026-11-21 07:30`, seconds only when there are any: what the absolute fields show and accept. */
export function utcField(ms: number): string {
  const text = utcDateTime(ms);
  return text.endsWith(':00') ? text.slice(0, 16) : text;
}
/** `2026-11-21 07:30:15.123456789` from a nanosecond text, without losing digits. */
export function utcNanos(nanos: string): string {
  if (!/^\d{1,20}$/.test(nanos)) return nanos;
  const value = BigInt(nanos);
  const date = new Date(Number(value / 1_000_000n));
  return `${date.toISOString().slice(0, 19).replace('T', ' ')}.${pad(Number(value % 1_000_000_000n), 9)}`;
}

/** `3 min ago`, `in 5 s`. */
export function ago(ms: number, nowMs: number): string {
  const seconds = Math.round((nowMs - ms) / 1000);
  const size = Math.abs(seconds);
  const text =
    size < 90
      ? `${size} s`
      : size < 5400
        ? `${Math.round(size / 60)} min`
        : size < 129_600
          ? `${Math.round(size / 3600)} h`
          : `${Math.round(size / 86_400)} d`;
  return seconds < 0 ? `in ${text}` : `${text} ago`;
}

/** `2 h 5 min`, `45 s`, `3 d 4 h`: two units at most. */
export function longDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor((whole % 86_400) / 3600), 'h'],
    [Math.floor((whole % 3600) / 60), 'min'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ');
}
