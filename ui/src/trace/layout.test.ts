import { describe, expect, it } from 'vitest';
import type { Span } from '../api/types';
import {
  allFolded,
  FLAG_ERROR,
  FLAG_ERROR_BELOW,
  FLAG_ORPHAN,
  FLAG_OUTSIDE,
  layoutTrace,
  nothingFolded,
  selfTime,
  visibleRows,
} from './layout';
import { SpansReader } from './spans';

function span(id: string, parent: string | null, startNs: number, durationNs: number, more: Partial<Span> = {}): Span {
  return {
    span_id: id,
    parent_span_id: parent,
    service_name: 'shop',
    name: id,
    kind: 'server',
    start_time_unix_nano: String(1_795_248_000_000_000_000n + BigInt(startNs)),
    duration_ns: durationNs,
    status: 'unset',
    status_message: null,
    scope_name: null,
    attributes: {},
    resource_attributes: {},
    events: [],
    links: [],
    ...more,
  };
}
const laidOut = (spans: Span[]) => {
  const reader = new SpansReader();
  reader.push(new TextEncoder().encode(JSON.stringify({ spans })));
  return layoutTrace(reader.finish().spans);
};
const names = (spans: Span[], collapsed: number[] = []) => {
  const layout = laidOut(spans);
  const folds = nothingFolded(layout);
  for (const position of collapsed) folds[position] = 1;
  return Array.from(
    visibleRows(layout, folds),
    (position) => `${'.'.repeat(layout.depth[position])}${layout.spans.spanName(layout.order[position])}`,
  );
};

describe('layoutTrace', () => {
  it('is a tree in start order, whatever the order of arrival', () => {
    expect(
      names([span('c', 'a', 50, 10), span('d', 'b', 20, 5), span('b', 'a', 10, 30), span('a', null, 0, 100)]),
    ).toEqual(['a', '.b', '..d', '.c']);
  });
  it('keeps spans whose parent is missing, and says so', () => {
    const spans = [span('b', 'gone', 5, 1), span('a', null, 0, 10)];
    const layout = laidOut(spans);
    expect(names(spans)).toEqual(['a', 'b']);
    expect([layout.orphans, layout.flags[1] & FLAG_ORPHAN]).toEqual([1, FLAG_ORPHAN]);
  });
  it('shows every span of a cycle, of a self-parent and of a repeated id exactly once', () => {
    expect(names([span('a', 'b', 0, 9), span('b', 'a', 1, 2)])).toEqual(['a', '.b']);
    expect(names([span('a', 'a', 0, 9)])).toEqual(['a']);
    expect(names([span('a', null, 0, 9), span('a', null, 1, 2), span('b', 'a', 2, 1)]).sort()).toEqual([
      '.b',
      'a',
      'a',
    ]);
  });
  it('takes errors up and collapses exactly what is below', () => {
    const spans = [
      span('a', null, 0, 100),
      span('b', 'a', 1, 50),
      span('c', 'b', 2, 10, { status: 'error' }),
      span('d', 'a', 60, 10),
    ];
    const layout = laidOut(spans);
    expect([...layout.flags]).toEqual([FLAG_ERROR_BELOW, FLAG_ERROR_BELOW, FLAG_ERROR, 0]);
    expect(names(spans, [1])).toEqual(['a', '.b', '.d']);
    expect(names(spans, [0])).toEqual(['a']);
  });
  it('marks a child that starts before its parent', () => {
    const layout = laidOut([span('a', null, 50_000_000, 10), span('b', 'a', 0, 10)]);
    expect(layout.flags[1] & FLAG_OUTSIDE).toBe(FLAG_OUTSIDE);
  });
  it('survives an empty trace and unreadable times', () => {
    expect(laidOut([]).order.length).toBe(0);
    expect(names([span('a', null, 0, 1, { start_time_unix_nano: 'x' })])).toEqual(['a']);
  });
});

it('self time is the duration less the union of the children', () => {
  const layout = laidOut([
    span('a', null, 0, 100, { service_name: 'front' }),
    span('b', 'a', 10, 30, { service_name: 'back' }),
    span('c', 'a', 20, 40, { service_name: 'back' }),
    span('d', 'a', 90, 50, { service_name: 'back' }),
  ]);
  expect(selfTime(layout)).toEqual([
    { service: 'back', ns: 120 },
    { service: 'front', ns: 40 },
  ]);
});

it('finds a span by its id, the first where ids repeat', () => {
  const layout = laidOut([span('a', null, 0, 9), span('b', 'a', 1, 2), span('b', 'a', 2, 2)]);
  expect([layout.positionOf('a'), layout.positionOf('b'), layout.positionOf('c')]).toEqual([0, 1, -1]);
});

it('100,000 spans in any order have one row each; collapsed, only the roots', () => {
  const spans = [span('0', null, 0, 1e9)];
  for (let index = 1; index < 100_000; index += 1)
    spans.push(span(String(index), String((index * 7919) % index), ((index * 31) % 9973) * 1000, 500_000));
  const layout = laidOut(spans);
  const rows = visibleRows(layout, nothingFolded(layout));
  expect(rows.length).toBe(100_000);
  expect(new Set(layout.order).size).toBe(100_000);
  expect([...visibleRows(layout, allFolded(layout))]).toEqual([0]);
});

it('a chain of 100,000 spans does not overflow anything', () => {
  const spans = Array.from({ length: 100_000 }, (_, index) =>
    span(String(index), index === 0 ? null : String(index - 1), index, 1e6),
  );
  expect(laidOut(spans).end[0]).toBe(100_000);
});
