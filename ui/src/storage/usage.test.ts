import { describe, expect, it } from 'vitest';
import type { StorageAnswer, TableUsage } from '../api/types';
import { bySize, forecast, kept, measuredOver, room, share, totals } from './usage';

const AT = '2026-11-21T08:10:00.123456789Z';
const DISK = { free_bytes: 3 * 1024 ** 3, reserved_bytes: 1024 ** 3 };

function table(name: string, data_bytes: number, more: Partial<TableUsage> = {}): TableUsage {
  return {
    table: name,
    segments: 2,
    rows: 10,
    data_bytes,
    index_bytes: 0,
    oldest: '2026-11-01T00:00:00Z',
    newest: AT,
    kept_hours: 168,
    bytes_per_hour: 5,
    freed_in_24h_bytes: 1,
    ...more,
  };
}
const answer = (more: Partial<StorageAnswer> = {}): StorageAnswer =>
  ({ at: AT, tables: [], disk: DISK, full_in_hours: null, ...more }) as StorageAnswer;

it('tables come largest first, with their indexes, and add up', () => {
  const all = [table('spans', 100), table('logs', 80, { index_bytes: 40 }), table('edges', 100)];
  expect(bySize(all).map((one) => one.table)).toEqual(['logs', 'edges', 'spans']);
  expect(totals(all)).toEqual({
    segments: 6,
    rows: 30,
    dataBytes: 280,
    indexBytes: 40,
    bytesPerHour: 15,
    freedBytes: 3,
  });
});

it('growth of less than a day says of how long it is', () => {
  const over = (oldest: string | null) => measuredOver(table('spans', 1, { oldest }), AT);
  expect(over('2026-11-20T08:10:00Z')).toBeNull();
  expect(over('2026-11-21T07:00:00Z')).toBe('1 h 10 min');
  expect(over('2026-11-21T08:09:00Z')).toBe('1 h');
  expect(over(null)).toBeNull();
});

it('shares and times that rows are kept do not lie by rounding', () => {
  expect([share(1, 3), share(1, 1e9), share(0, 5), share(0, 0), share(5, 5)]).toEqual([
    '33.3 %',
    '< 0.01 %',
    '0 %',
    '0 %',
    '100 %',
  ]);
  expect([kept(24), kept(36), kept(168), kept(43_800), kept(49)]).toEqual(['24 h', '36 h', '7 d', '1,825 d', '49 h']);
});

describe('the forecast', () => {
  const check = (name: string, more: Partial<StorageAnswer>, tone: string, text: string) =>
    it(name, () => expect(forecast(answer(more))).toMatchObject({ tone, text }));
  check('is unknown without a collector', { at: null, disk: null }, 'unknown', 'Unknown');
  check('is unknown without a disk', { disk: null }, 'unknown', 'Unknown');
  check('may be far off', {}, 'ok', 'Not within a year');
  check('may be months', { full_in_hours: 24 * 90 }, 'ok', 'In 90 d');
  check('may be days', { full_in_hours: 50 }, 'warn', 'In 2 d 2 h');
  check('may be hours', { full_in_hours: 3 }, 'bad', 'In 3 h');
  check('may be over', { full_in_hours: 0 }, 'bad', 'Now');
  it('names the hour', () =>
    expect(forecast(answer({ full_in_hours: 50 })).why).toMatch(/^about 2026-11-23 10:00 UTC/));
});

it('room is what is free less the reserve, never less than nothing', () => {
  expect(room(answer()).text).toBe('2 GiB');
  expect(room(answer({ disk: { free_bytes: 1, reserved_bytes: 9 } })).text).toBe('0 B');
  expect(room(answer({ disk: null })).text).toBe('Unknown');
});
