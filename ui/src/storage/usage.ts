// What the tables take, in words and sums. Pure. What the server does not know stays unknown: null is never shown as
// zero, and no sum is made of it.
import type { StorageAnswer, TableUsage } from '../api/types';
import { bytes, count, percent } from '../time/format';
import { instantMs, longDuration, utcField } from '../time/instant';

const HOUR_MS = 3_600_000;
/** The server takes the growth of so many newest hours. */
const GROWTH_HOURS = 24;
/** Time to react: below a day an operator is needed now, below a week in working hours. */
const SOON_HOURS = 24;
const NEAR_HOURS = 7 * 24;
export const NOT_SAID = 'the collector did not say what it stores';

const NO_DISK = 'no disk is known: tables are in an object store, or the system does not tell';

export const sizeOf = (table: TableUsage): number => table.data_bytes + table.index_bytes;

/** The largest first. */
export function bySize(tables: TableUsage[]): TableUsage[] {
  return tables.toSorted((a, b) => sizeOf(b) - sizeOf(a) || (a.table < b.table ? -1 : 1));
}

export interface Totals {
  segments: number;
  rows: number;
  dataBytes: number;
  indexBytes: number;
  bytesPerHour: number;
  freedBytes: number;
}

export function totals(tables: TableUsage[]): Totals {
  const sum = (of: (table: TableUsage) => number) => tables.reduce((all, table) => all + of(table), 0);
  return {
    segments: sum((table) => table.segments),
    rows: sum((table) => table.rows),
    dataBytes: sum((table) => table.data_bytes),
    indexBytes: sum((table) => table.index_bytes),
    bytesPerHour: sum((table) => table.bytes_per_hour),
    freedBytes: sum((table) => table.freed_in_24h_bytes),
  };
}

/** Of how long a time the growth is, when that is less than a day: `1 h 10 min`. An hour counts as the least. */
export function measuredOver(table: TableUsage, at: string | null): string | null {
  const [now, oldest] = [instantMs(at), instantMs(table.oldest)];
  if (now === null || oldest === null) return null;
  const ms = Math.max(HOUR_MS, now - oldest);
  return ms >= GROWTH_HOURS * HOUR_MS ? null : longDuration(ms / 1000);
}

/** A share of the whole that is not nothing does not read as nothing. */
export function share(part: number, whole: number): string {
  const ratio = whole > 0 ? part / whole : 0;
  return ratio > 0 && ratio < 0.0001 ? '< 0.01 %' : percent(ratio);
}

/** `7 d`, `400 d`, `36 h`. */
export function kept(hours: number): string {
  return hours >= 48 && hours % 24 === 0 ? `${count(hours / 24)} d` : `${count(hours)} h`;
}

export interface Forecast {
  tone: 'ok' | 'warn' | 'bad' | 'unknown';
  text: string;
  why: string;
}

/** When new data will be refused for lack of room. */
export function forecast({ at, disk, full_in_hours: hours }: StorageAnswer): Forecast {
  const now = instantMs(at);
  if (now === null) return { tone: 'unknown', text: 'Unknown', why: NOT_SAID };
  if (disk === null) return { tone: 'unknown', text: 'Unknown', why: NO_DISK };
  if (hours === null) return { tone: 'ok', text: 'Not within a year', why: 'at this growth and retention' };
  if (hours === 0) return { tone: 'bad', text: 'Now', why: 'new data is refused; reads go on' };
  const tone = hours < SOON_HOURS ? 'bad' : hours < NEAR_HOURS ? 'warn' : 'ok';
  const day = utcField(Math.round((now + hours * HOUR_MS) / HOUR_MS) * HOUR_MS);
  return { tone, text: `In ${longDuration(hours * 3600)}`, why: `about ${day} UTC, at this growth and retention` };
}

/** Bytes that new data may take, and of what that is left. */
export function room({ at, disk }: StorageAnswer): { text: string; why: string } {
  if (!disk) return { text: 'Unknown', why: at === null ? NOT_SAID : NO_DISK };
  const left = Math.max(0, disk.free_bytes - disk.reserved_bytes);
  return {
    text: bytes(left),
    why: `${bytes(disk.free_bytes)} are free, ${bytes(disk.reserved_bytes)} of them kept in reserve`,
  };
}
