import { describe, expect, it } from 'vitest';
import type { GraphAnswer, GraphEdge } from '../api/types';
import { patched } from '../app/router';
import {
  callsOf,
  coveredSeconds,
  rate,
  readSort,
  sketch,
  sorted,
  type SortKey,
  sortParams,
  tracesPatch,
} from './calls';

const NOW = Date.UTC(2026, 10, 21, 8, 0, 30);

function edge(caller: string, callee: string, calls: number, more: Partial<GraphEdge> = {}): GraphEdge {
  return {
    caller,
    callee,
    callee_kind: 'service',
    connection: 'rpc',
    calls,
    errors: 0,
    duration_mean_ns: 1,
    duration_p50_ns: 1,
    duration_p90_ns: 1,
    duration_p99_ns: 1,
    ...more,
  };
}
function answer(edges: GraphEdge[], end = '2026-11-21T08:01:00Z'): GraphAnswer {
  return { start_time: '2026-11-21T07:59:00Z', end_time: end, nodes: [], edges } as unknown as GraphAnswer;
}
const calls = (...edges: GraphEdge[]) => callsOf(answer(edges), NOW);

describe('rates', () => {
  it('are over the time that has passed, not over a minute that has not', () => {
    expect(coveredSeconds(answer([]), NOW)).toBe(90);
    expect(coveredSeconds(answer([], '2026-11-21T08:00:00Z'), NOW)).toBe(60);
    expect(calls(edge('a', 'b', 45))[0].perSecond).toBe(0.5);
  });
  it('are zero where no time is known, and never shown as nothing', () => {
    expect(callsOf(answer([edge('a', 'b', 3)], ''), NOW)[0].perSecond).toBe(0);
    expect([rate(0), rate(0.00001), rate(0.5), rate(1234)]).toEqual(['0', '< 0.001', '0.5', '1,234']);
  });
});

describe('order', () => {
  const some = calls(
    edge('a', 'b', 10, { errors: 1, duration_p99_ns: null }),
    edge('b', 'c', 30, { duration_p99_ns: 5 }),
    edge('c', 'a', 20, { errors: 10, duration_p99_ns: 9 }),
  );
  const check = (key: SortKey, ascending: boolean, callers: string) =>
    it(`${key} ${ascending ? 'up' : 'down'}`, () =>
      expect(
        sorted(some, { key, ascending })
          .map((call) => call.caller)
          .join(''),
      ).toBe(callers));
  check('rate', false, 'bca');
  check('rate', true, 'acb');
  check('errors', false, 'cab');
  check('callee', true, 'cab');
  check('p99', false, 'cba');
  check('p99', true, 'bca');
});

it('the order survives the address; nonsense is the default', () => {
  const clicked = (key: SortKey, before = '') => {
    const search = new URLSearchParams(before);
    return readSort(patched(search, sortParams(readSort(search), key)));
  };
  expect(clicked('p99')).toEqual({ key: 'p99', ascending: false });
  expect(clicked('p99', 'sort=p99')).toEqual({ key: 'p99', ascending: true });
  expect(clicked('caller')).toEqual({ key: 'caller', ascending: true });
  expect(clicked('rate', 'sort=p99&order=asc')).toEqual({ key: 'rate', ascending: false });
  for (const wrong of ['sort=constructor', 'sort=', 'sort=x&order=y'])
    expect(readSort(new URLSearchParams(wrong))).toEqual({ key: 'rate', ascending: false });
});

it('traces are those of the callee, or of the caller of what sends no spans', () => {
  const [call, query] = calls(edge('a', 'b', 1), edge('a', 'postgres', 1, { callee_kind: 'peer' }));
  expect([tracesPatch(call), tracesPatch(call, true), tracesPatch(query)]).toEqual([
    { service: 'b' },
    { service: 'b', errors: 'true' },
    { service: 'a' },
  ]);
});

describe('what is drawn', () => {
  it('is the same whatever the counts and their order', () => {
    const some = calls(edge('web', 'cart', 5), edge('cart', 'db', 9, { callee_kind: 'peer' }), edge('a', 'cart', 1));
    const drawn = sketch(some);
    expect(drawn.boxes).toEqual([
      { name: 'a', kind: 'service' },
      { name: 'cart', kind: 'service' },
      { name: 'db', kind: 'peer' },
      { name: 'web', kind: 'service' },
    ]);
    expect(drawn.calls.map((call, at) => [call.caller, drawn.arcs[at]])).toEqual([
      ['a', { from: 0, to: 1 }],
      ['cart', { from: 1, to: 2 }],
      ['web', { from: 3, to: 1 }],
    ]);
    expect(sketch(some.toReversed()).arcs).toEqual(drawn.arcs);
  });
  it('is what is called most, with a word on the rest, and no box for calls of unknown services', () => {
    const some = calls(edge('a', 'b', 1), edge('a', 'c', 9), edge('_overflow', '_overflow', 99));
    const drawn = sketch(some, 1);
    expect([drawn.calls.map((call) => call.callee), drawn.leftOut]).toEqual([['c'], 1]);
  });
  it('tells a service from a peer of the same name', () => {
    const some = calls(edge('a', 'b', 1), edge('a', 'b', 1, { callee_kind: 'peer' }));
    expect(sketch(some).boxes.length).toBe(3);
  });
});
