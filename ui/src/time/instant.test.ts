import { describe, expect, it } from 'vitest';
import { instantMs, longDuration, parseDurationMs, parseDurationS, parseUtc, utcField, utcNanos } from './instant';
import { digits, nanos, percent, signedNanos, unitFactor, withUnit } from './format';

const NOW = Date.UTC(2026, 10, 21, 8, 0, 0);

describe('parseUtc reads what people type, always as UTC', () => {
  const check = (text: string, expected: string | null) =>
    it(text || '(empty)', () => expect(parseUtc(text, NOW)).toBe(expected === null ? null : Date.parse(expected)));
  check('2026-11-21', '2026-11-21T00:00:00Z');
  check('2026-11-21 07:30', '2026-11-21T07:30:00Z');
  check(' 2026-11-21T07:30:15 ', '2026-11-21T07:30:15Z');
  check('2026-11-21T07:30:15.250Z', '2026-11-21T07:30:15.250Z');
  check('2026-11-21T07:30:15.123456789Z', '2026-11-21T07:30:15.123Z');
  check('2026-11-21 07:30 UTC', '2026-11-21T07:30:00Z');
  check('2026-11-21T07:30+02:00', '2026-11-21T05:30:00Z');
  check('1795248000', '2026-11-21T08:00:00Z');
  check('1795248000000', '2026-11-21T08:00:00Z');
  check('1795248000000000000', '2026-11-21T08:00:00Z');
  check('now', '2026-11-21T08:00:00Z');
  check('now-15m', '2026-11-21T07:45:00Z');
  for (const wrong of ['', 'yesterday', '2026-02-31', '2026-13-01', '21.11.2026', '2026-11-21 25:00', 'now-x', '07:30'])
    check(wrong, null);
});

it('parseUtc reads back what utcField writes', () => {
  for (const ms of [0, NOW, NOW + 61_000, Date.UTC(2000, 1, 29, 23, 59, 59)])
    expect(parseUtc(utcField(ms), NOW)).toBe(ms);
});

it('durations', () => {
  expect([parseDurationS('15m'), parseDurationS('1.5h'), parseDurationS('2w'), parseDurationS('x')]).toEqual([
    900,
    5400,
    1_209_600,
    null,
  ]);
  expect([parseDurationMs('250'), parseDurationMs('1.5s'), parseDurationMs('300us'), parseDurationMs('-1')]).toEqual([
    250,
    1500,
    0.3,
    null,
  ]);
  expect([longDuration(0), longDuration(59), longDuration(7500), longDuration(273_600)]).toEqual([
    '0 s',
    '59 s',
    '2 h 5 min',
    '3 d 4 h',
  ]);
});

it('instants of any unit, and "never"', () => {
  expect(instantMs('1795248000000000000')).toBe(NOW);
  expect(instantMs('2026-11-21T08:00:00Z')).toBe(NOW);
  for (const never of [null, undefined, '', '0', 0, '18446744073709551615000', 'soon'])
    expect(instantMs(never)).toBeNull();
});

it('nanoseconds keep their digits', () => {
  expect(utcNanos('1795248000123456789')).toBe('2026-11-21 08:00:00.123456789');
  expect(utcNanos('nonsense')).toBe('nonsense');
});

it('numbers do not lie by rounding', () => {
  expect([percent(1), percent(0.9999996), percent(0.99949), percent(0.9988), percent(0.0144), percent(0.5)]).toEqual([
    '100 %',
    '> 99.999 %',
    '99.949 %',
    '99.88 %',
    '1.44 %',
    '50 %',
  ]);
  expect([nanos(950), nanos(1_240_000_000), nanos(340_000_000), nanos(90e9)]).toEqual([
    '950 ns',
    '1.24 s',
    '340 ms',
    '1 min 30 s',
  ]);
  expect([signedNanos(350e6), signedNanos(-1.2e9), signedNanos(0)]).toEqual(['+350 ms', '−1.2 s', '+0 ns']);
  expect([digits(0), digits(1234), digits(0.123)]).toEqual(['0', '1,234', '0.123']);
  expect([withUnit(1500, 'ms'), withUnit(2048, 'By'), withUnit(null, 's'), withUnit(14.4, '×')]).toEqual([
    '1.5 s',
    '2 KiB',
    '–',
    '14.4×',
  ]);
});

it('a panel may use another unit of time than the metric', () => {
  expect([unitFactor('ns', 'ms'), unitFactor('s', 'ms'), unitFactor('ns', 'ratio'), unitFactor('By', 's')]).toEqual([
    1e-6, 1000, 1, 1,
  ]);
  expect([withUnit(12, '1/s'), withUnit(12, '{order}/s'), withUnit(12, '1')]).toEqual(['12 /s', '12 order/s', '12']);
});
