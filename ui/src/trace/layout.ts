// The waterfall's geometry: spans become typed arrays in tree order, so that 100,000 spans cost milliseconds and no
// object per row. Pure; knows nothing of the DOM.
//
// Invariants: every span has exactly one position in the order, also when its parent is missing (it becomes a root,
// flagged), when parents form a cycle, or when ids repeat. A collapsed row hides exactly the positions up to `end`.
import type { Span } from '../api/types';

export const FLAG_ERROR = 1;
/** The parent is named but was not received. */
export const FLAG_ORPHAN = 2;
/** An error somewhere below. */
export const FLAG_ERROR_BELOW = 4;
/** Starts before its parent or ends after it by more than the tolerance: clocks differ, or work went on after the answer. */
export const FLAG_OUTSIDE = 8;

export interface Layout {
  spans: Span[];
  /** Span index by position in tree order; all arrays below are by position. */
  order: Int32Array;
  depth: Uint16Array;
  /** Position after the last descendant. */
  end: Int32Array;
  /** Position of the parent, or -1. */
  parent: Int32Array;
  /** Nanoseconds since `originNs`. */
  start: Float64Array;
  duration: Float64Array;
  /** Index into `services`. */
  service: Uint16Array;
  flags: Uint8Array;
  services: string[];
  originNs: bigint;
  totalNs: number;
  maxDepth: number;
  errors: number;
  orphans: number;
  positionOf: Map<string, number>;
}

const NONE = -1;

/** The parent's index of every span: -1 for a root, -2 for a parent that is not here. */
function parents(spans: Span[], byId: Map<string, number>): Int32Array {
  const out = new Int32Array(spans.length);
  spans.forEach((span, index) => {
    if (!span.parent_span_id) out[index] = NONE;
    else {
      const parent = byId.get(span.parent_span_id);
      out[index] = parent === undefined || parent === index ? -2 : parent;
    }
  });
  return out;
}

/** Children of each span as linked lists in start order: `first[parent]`, then `next[child]`. */
function childLists(parent: Int32Array, byStart: Int32Array): { first: Int32Array; next: Int32Array; roots: number[] } {
  const first = new Int32Array(parent.length).fill(NONE);
  const next = new Int32Array(parent.length).fill(NONE);
  const roots: number[] = [];
  for (let at = byStart.length - 1; at >= 0; at -= 1) {
    const index = byStart[at];
    if (parent[index] < 0) roots.push(index);
    else {
      next[index] = first[parent[index]];
      first[parent[index]] = index;
    }
  }
  return { first, next, roots: roots.reverse() };
}

export function layoutTrace(spans: Span[]): Layout {
  const n = spans.length;
  const byId = new Map<string, number>();
  spans.forEach((span, index) => byId.has(span.span_id) || byId.set(span.span_id, index));
  const { startOf, originNs } = starts(spans);
  const byStart = Int32Array.from({ length: n }, (_, index) => index).sort((a, b) => startOf[a] - startOf[b] || a - b);
  const parentIndex = parents(spans, byId);
  const lists = childLists(parentIndex, byStart);
  const layout: Layout = {
    spans,
    order: new Int32Array(n),
    depth: new Uint16Array(n),
    end: new Int32Array(n),
    parent: new Int32Array(n).fill(NONE),
    start: new Float64Array(n),
    duration: new Float64Array(n),
    service: new Uint16Array(n),
    flags: new Uint8Array(n),
    services: [],
    originNs,
    totalNs: 0,
    maxDepth: 0,
    errors: 0,
    orphans: 0,
    positionOf: new Map(),
  };
  const placed = new Uint8Array(n);
  let position = 0;
  for (const root of lists.roots) position = place(root, position, layout, lists, placed);
  // What is left hangs in a cycle of parents: break it at its earliest span.
  for (const index of byStart) {
    if (placed[index]) continue;
    parentIndex[index] = -2;
    position = place(index, position, layout, lists, placed);
  }
  fill(layout, startOf, parentIndex);
  return layout;
}

/** Writes `root` and everything below it in depth-first order; returns the next free position. */
function place(
  root: number,
  from: number,
  layout: Layout,
  lists: { first: Int32Array; next: Int32Array },
  placed: Uint8Array,
): number {
  let position = from;
  const stack: number[] = [root];
  const parents: number[] = [NONE];
  while (stack.length > 0) {
    const index = stack.pop() as number;
    const parent = parents.pop() as number;
    if (placed[index]) continue;
    placed[index] = 1;
    layout.order[position] = index;
    layout.parent[position] = parent;
    layout.depth[position] = parent === NONE ? 0 : Math.min(65_535, layout.depth[parent] + 1);
    const children: number[] = [];
    for (let child = lists.first[index]; child !== NONE; child = lists.next[child]) children.push(child);
    for (let at = children.length - 1; at >= 0; at -= 1) {
      stack.push(children[at]);
      parents.push(position);
    }
    position += 1;
  }
  return position;
}

function fill(layout: Layout, startOf: Float64Array, parentIndex: Int32Array): void {
  const names = new Map<string, number>();
  const n = layout.spans.length;
  for (let position = 0; position < n; position += 1) {
    const index = layout.order[position];
    const span = layout.spans[index];
    layout.start[position] = startOf[index];
    layout.duration[position] = Math.max(0, span.duration_ns);
    layout.totalNs = Math.max(layout.totalNs, startOf[index] + layout.duration[position]);
    layout.maxDepth = Math.max(layout.maxDepth, layout.depth[position]);
    layout.end[position] = position + 1;
    if (!layout.positionOf.has(span.span_id)) layout.positionOf.set(span.span_id, position);
    let service = names.get(span.service_name);
    if (service === undefined) {
      service = names.size;
      names.set(span.service_name, service);
    }
    layout.service[position] = Math.min(65_535, service);
    if (span.status === 'error') {
      layout.flags[position] |= FLAG_ERROR;
      layout.errors += 1;
    }
    if (parentIndex[index] === -2) {
      layout.flags[position] |= FLAG_ORPHAN;
      layout.orphans += 1;
    }
  }
  layout.services = [...names.keys()];
  bubbleUp(layout);
}

/** Ends of subtrees and marks that parents take from their children, last position first. */
function bubbleUp(layout: Layout): void {
  const tolerance = Math.max(1e6, layout.totalNs * 1e-4);
  for (let position = layout.order.length - 1; position >= 0; position -= 1) {
    const parent = layout.parent[position];
    if (parent === NONE) continue;
    layout.end[parent] = Math.max(layout.end[parent], layout.end[position]);
    if (layout.flags[position] & (FLAG_ERROR | FLAG_ERROR_BELOW)) layout.flags[parent] |= FLAG_ERROR_BELOW;
    if (layout.start[position] < layout.start[parent] - tolerance) layout.flags[position] |= FLAG_OUTSIDE;
  }
}

/**
 * Starts relative to the earliest. The texts are read as seconds and nanoseconds apart, which keeps every digit and is
 * several times faster than a BigInt a span.
 */
function starts(spans: Span[]): { startOf: Float64Array; originNs: bigint } {
  const n = spans.length;
  const seconds = new Float64Array(n);
  const nanos = new Float64Array(n);
  let first = 0;
  for (let index = 0; index < n; index += 1) {
    const text = spans[index].start_time_unix_nano;
    seconds[index] = Number(text.slice(0, -9)) || 0;
    nanos[index] = Number(text.slice(-9)) || 0;
    if (seconds[index] < seconds[first] || (seconds[index] === seconds[first] && nanos[index] < nanos[first]))
      first = index;
  }
  const startOf = new Float64Array(n);
  for (let index = 0; index < n; index += 1)
    startOf[index] = (seconds[index] - seconds[first]) * 1e9 + (nanos[index] - nanos[first]);
  return { startOf, originNs: n === 0 ? 0n : BigInt(seconds[first]) * 1_000_000_000n + BigInt(nanos[first]) };
}

/** Positions that are shown when the positions in `collapsed` hide what is below them. */
export function visibleRows(layout: Layout, collapsed: ReadonlySet<number>): Int32Array {
  const n = layout.order.length;
  const out = new Int32Array(n);
  let shown = 0;
  for (let position = 0; position < n;) {
    out[shown] = position;
    shown += 1;
    position = collapsed.has(position) ? layout.end[position] : position + 1;
  }
  return out.subarray(0, shown);
}

/** Time in each service that was not spent waiting for a child span: descending, in ns. */
export function selfTime(layout: Layout): { service: string; ns: number }[] {
  const sums = new Float64Array(layout.services.length);
  const covered = new Float64Array(layout.order.length);
  const coveredTo = new Float64Array(layout.order.length);
  for (let position = 0; position < layout.order.length; position += 1) {
    const parent = layout.parent[position];
    if (parent === NONE) continue;
    // Children come in start order, so one sweep per parent gives the union of their intervals, cut to the parent's.
    const parentEnd = layout.start[parent] + layout.duration[parent];
    const from = Math.max(layout.start[position], layout.start[parent], coveredTo[parent]);
    const to = Math.min(layout.start[position] + layout.duration[position], parentEnd);
    if (to > from) {
      covered[parent] += to - from;
      coveredTo[parent] = to;
    }
  }
  for (let position = 0; position < layout.order.length; position += 1) {
    sums[layout.service[position]] += Math.max(0, layout.duration[position] - covered[position]);
  }
  return layout.services.map((service, index) => ({ service, ns: sums[index] })).sort((a, b) => b.ns - a.ns);
}
