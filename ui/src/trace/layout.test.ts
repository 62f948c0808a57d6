import { describe, expect, it } from 'vitest';
import type { Span } from '../api/types';
import {
  allFolded,
  carried,
  FLAG_CRITICAL,
  FLAG_ERROR,
  FLAG_ERROR_BELOW,
  FLAG_ORPHAN,
  FLAG_OUTSIDE,
  layoutTrace,
  nothingFolded,
  visibleRows,
} from './layout';
import { byService, clockOffsets } from './figures';
import { SpansReader } from './spans';

function span(id: string, parent: string | null, startNs: number, durationNs: number, more: Partial<Span> = {}): Span {
  const startOf = (offsetNs = 0) => String(1_795_248_000_000_000_000n + BigInt(startNs + offsetNs));
  return {
    span_id: id,
    parent_span_id: parent,
    service_name: 'shop',
    name: id,
    kind: 'server',
    start_time_unix_nano: startOf(),
    duration_ns: durationNs,
    corrected_start_time_unix_nano: startOf(more.clock_offset_ns),
    clock_offset_ns: 0,
    self_time_ns: 0,
    critical_path_ns: 0,
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
const laidOut = (spans: Span[], isCorrected = true) => {
  const reader = new SpansReader();
  reader.push(new TextEncoder().encode(JSON.stringify({ spans })));
  return layoutTrace(reader.finish().spans, isCorrected);
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

describe('times of clocks that are off', () => {
  // As sent, the server is half a second before its caller, and the order of the two calls is wrong.
  const spans = [
    span('root', null, 500_000_000, 100_000_000),
    span('first', 'root', 510_000_000, 10_000_000),
    span('second', 'root', 40_000_000, 20_000_000, { clock_offset_ns: 500_000_000, service_name: 'back' }),
  ];
  const rows = (isCorrected: boolean) => {
    const layout = laidOut(spans, isCorrected);
    const row = (position: number) => {
      const startMs = layout.start[position] / 1e6;
      return `${layout.spans.spanName(layout.order[position])} ${startMs} ${layout.offset[position] / 1e6}`;
    };
    return Array.from(layout.order, (_, position) => row(position));
  };
  it('are corrected, with the children in their true order', () => {
    expect(rows(true)).toEqual(['root 0 0', 'first 10 0', 'second 40 500']);
    const layout = laidOut(spans);
    expect([layout.totalNs, layout.isSkewed, layout.flags[2] & FLAG_OUTSIDE]).toEqual([100_000_000, true, 0]);
    expect(layout.originNs).toBe(1_795_248_000_500_000_000n);
  });
  it('are as sent when asked for', () => {
    expect(rows(false)).toEqual(['root 460 0', 'second 0 0', 'first 470 0']);
    const layout = laidOut(spans, false);
    expect([layout.isSkewed, layout.flags[1] & FLAG_OUTSIDE]).toEqual([true, FLAG_OUTSIDE]);
    expect(layout.originNs).toBe(1_795_248_000_040_000_000n);
  });
  it('name the services whose clocks are off, the worst first', () => {
    const more = span('third', 'first', 0, 1, { clock_offset_ns: -700, service_name: 'side' });
    const both = [
      { service: 'back', offsetNs: 500_000_000 },
      { service: 'side', offsetNs: -700 },
    ];
    expect(clockOffsets(laidOut([...spans, more]))).toEqual(both);
    expect(clockOffsets(laidOut([...spans, more], false))).toEqual(both);
    expect(laidOut([spans[0]]).isSkewed).toBe(false);
  });
  it('move rows, and what is folded stays folded', () => {
    const tree = [...spans, span('below', 'second', 41_000_000, 1, { clock_offset_ns: 500_000_000 })];
    const [corrected, original] = [laidOut(tree), laidOut(tree, false)];
    const folds = nothingFolded(corrected);
    folds[2] = 1;
    expect([...carried(folds, corrected, original)]).toEqual([0, 1, 0, 0]);
    expect([...carried(folds, corrected, laidOut(spans))]).toEqual([0, 0, 0]);
  });
});

it('self time and critical path add up by service', () => {
  const part = (self_time_ns: number, critical_path_ns: number, service_name: string) => ({
    self_time_ns,
    critical_path_ns,
    service_name,
  });
  const layout = laidOut([
    span('a', null, 0, 100, part(40, 30, 'front')),
    span('b', 'a', 10, 30, part(30, 0, 'back')),
    span('c', 'a', 20, 40, part(40, 40, 'back')),
  ]);
  expect(byService(layout)).toEqual([
    { service: 'back', selfNs: 70, criticalNs: 40 },
    { service: 'front', selfNs: 40, criticalNs: 30 },
  ]);
  expect(Array.from(layout.flags, (flags) => flags & FLAG_CRITICAL)).toEqual([FLAG_CRITICAL, 0, FLAG_CRITICAL]);
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
