import { describe, expect, it } from 'vitest';
import { patched, safeHref } from '../app/router';
import { readSearch, searchParams, splitAttributes, type TraceSearch } from '../traces/search';
import { withTerm, wordsOf, highlight } from '../logs/query';
import { parseRange, rangeLabel, rangeParams, resolveRange, type RangeSpec } from './range';

const NOW = Date.UTC(2026, 10, 21, 8, 0, 0);
const query = (text: string) => new URLSearchParams(text);

describe('the time range in the URL', () => {
  it('round-trips every form', () => {
    const specs: RangeSpec[] = [
      { kind: 'last', seconds: 300 },
      { kind: 'last', seconds: 3600 },
      { kind: 'last', seconds: 604_800 },
      { kind: 'absolute', startMs: NOW - 5000, endMs: NOW + 250 },
    ];
    for (const spec of specs) expect(parseRange(patched(query('a=1'), rangeParams(spec)), NOW)).toEqual(spec);
  });
  it('falls back to the last hour on nonsense', () => {
    for (const wrong of [
      '',
      'range=x',
      'range=-5m',
      'range=900d',
      'start=x&end=y',
      'start=2026-11-21&end=2026-11-20',
    ]) {
      expect(parseRange(query(wrong), NOW)).toEqual({ kind: 'last', seconds: 3600 });
    }
  });
  it('an absolute start without an end runs to now', () => {
    expect(parseRange(query('start=2026-11-21T07:00:00Z'), NOW)).toEqual({
      kind: 'absolute',
      startMs: NOW - 3_600_000,
      endMs: NOW,
    });
  });
  it('resolves and names itself', () => {
    expect(resolveRange({ kind: 'last', seconds: 60 }, NOW)).toEqual({ startMs: NOW - 60_000, endMs: NOW });
    expect(rangeLabel({ kind: 'absolute', startMs: NOW, endMs: NOW + 3_600_000 })).toBe('2026-11-21 08:00 → 09:00');
  });
});

it('a trace search survives the URL', () => {
  const search: TraceSearch = {
    service: 'pay & go',
    operation: 'GET /a?b=c',
    minDuration: '1.5s',
    maxDuration: '',
    errors: true,
    attributes: 'a=1 b="x y"',
    limit: 100,
  };
  expect(readSearch(patched(query(''), searchParams(search)))).toEqual(search);
  expect(readSearch(query('limit=99999')).limit).toBe(50);
});

it('attributes split at spaces outside quotes', () => {
  expect(splitAttributes('a=1  http.route=/x b="x y"')).toEqual(['a=1', 'http.route=/x', 'b=x y']);
  expect(splitAttributes('')).toEqual([]);
  expect(splitAttributes('novalue')).toBeNull();
});

it('log terms are quoted, added once, and highlighted', () => {
  expect(withTerm('gateway', 'http.route', '/a b"c', false)).toBe('gateway http.route:"/a b\\"c"');
  expect(withTerm('service:pay', 'service', 'pay', false)).toBe('service:pay');
  expect(withTerm('', 'service', 'pay', true)).toBe('-service:pay');
  expect(wordsOf('card "gateway slow" -health NOT ping service:pay time* (a1 OR b2)')).toEqual([
    'card',
    'gateway slow',
    'time',
    'a1',
    'b2',
  ]);
  expect(highlight('Card (gateway) CARD', ['card', '(gate'])).toEqual(['', 'Card', ' ', '(gate', 'way) ', 'CARD', '']);
});

it('addresses from telemetry are linked only when harmless', () => {
  (globalThis as { location?: unknown }).location = { origin: 'http://localhost:8080' };
  expect(safeHref('javascript:alert(1)')).toBeNull();
  expect(safeHref('//evil.example')).toBeNull();
  expect(safeHref('data:text/html,x')).toBeNull();
  expect(safeHref('https://runbooks.example/a')).toBe('https://runbooks.example/a');
  expect(safeHref('http://localhost:8080/dashboards/shop')).toBe('/dashboards/shop');
});
