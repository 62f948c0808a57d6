// The waterfall's geometry: spans become typed arrays in tree order, so that 100,000 spans cost milliseconds and no
// object per row. Pure; knows nothing of the DOM.
//
// Invariants: every span has exactly one position in the order, also when its parent is missing (it becomes a root,
// flagged), when parents form a cycle, or when ids repeat. A collapsed row hides exactly the positions up to `end`.
import { NO_TEXT, type Spans } from './spans';

export const FLAG_ERROR = 1;
/** The parent is named but was not received. */
export const FLAG_ORPHAN = 2;
/** An error somewhere below. */
export const FLAG_ERROR_BELOW = 4;
/** Starts before its parent or ends after it by more than the tolerance: clocks differ, or work went on after the answer. */
export const FLAG_OUTSIDE = 8;

export interface Layout {
  spans: Spans;
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
  /** The position of the first span with this id, or -1. */
  positionOf: (spanId: string) => number;
}

const NONE = -1;
const NOT_HERE = -2;

/** The parent's index of every span: NONE for a root, NOT_HERE for a parent that was not received. */
function parents(spans: Spans, byId: Int32Array): Int32Array {
  const out = new Int32Array(spans.length);
  for (let index = 0; index < out.length; index += 1) {
    const parent = spans.parent[index];
    const found = parent === NO_TEXT ? NONE : byId[parent];
    out[index] = parent === NO_TEXT ? NONE : found === NONE || found === index ? NOT_HERE : found;
  }
  return out;
}

/** The first span with each id, by number of text. */
function firstById(spans: Spans): Int32Array {
  const byId = new Int32Array(spans.texts.size).fill(NONE);
  for (let index = spans.length - 1; index >= 0; index -= 1)
    if (spans.id[index] !== NO_TEXT) byId[spans.id[index]] = index;
  return byId;
}

/** Span indices in order of start. The server sends them so; any other order is sorted. */
function inStartOrder(startOf: Float64Array): Int32Array {
  const order = new Int32Array(startOf.length);
  let sorted = true;
  for (let index = 0; index < order.length; index += 1) {
    order[index] = index;
    if (index > 0 && startOf[index] < startOf[index - 1]) sorted = false;
  }
  return sorted ? order : order.sort((a, b) => startOf[a] - startOf[b] || a - b);
}

/** Children of each span as linked lists in start order: `first[parent]`, then `next[child]`. */
interface Lists {
  first: Int32Array;
  next: Int32Array;
  roots: number[];
}

function childLists(parent: Int32Array, byStart: Int32Array): Lists {
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

export function layoutTrace(spans: Spans): Layout {
  const n = spans.length;
  const byId = firstById(spans);
  const { startOf, originNs } = starts(spans);
  const byStart = inStartOrder(startOf);
  const parentIndex = parents(spans, byId);
  const lists = childLists(parentIndex, byStart);
  const positions = new Int32Array(n).fill(NONE);
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
    positionOf: (spanId) => {
      const index = byId[spans.texts.find(spanId)] ?? NONE;
      return index === NONE ? NONE : positions[index];
    },
  };
  let position = 0;
  for (const root of lists.roots) position = place(root, position, layout, lists, positions);
  // What is left hangs in a cycle of parents: break it at its earliest span.
  for (let at = 0; position < n; at += 1) {
    const index = byStart[at];
    if (positions[index] !== NONE) continue;
    parentIndex[index] = NOT_HERE;
    position = place(index, position, layout, lists, positions);
  }
  fill(layout, startOf, parentIndex);
  return layout;
}

/** Writes `root` and everything below it in depth-first order; returns the next free position. */
function place(root: number, from: number, layout: Layout, lists: Lists, positions: Int32Array): number {
  let position = from;
  const stack: number[] = [root];
  const parents: number[] = [NONE];
  while (stack.length > 0) {
    const index = stack.pop() as number;
    const parent = parents.pop() as number;
    if (index !== root && lists.next[index] !== NONE) {
      stack.push(lists.next[index]);
      parents.push(parent);
    }
    if (positions[index] !== NONE) continue;
    positions[index] = position;
    layout.order[position] = index;
    layout.parent[position] = parent;
    layout.depth[position] = parent === NONE ? 0 : Math.min(65_535, layout.depth[parent] + 1);
    if (lists.first[index] !== NONE) {
      stack.push(lists.first[index]);
      parents.push(position);
    }
    position += 1;
  }
  return position;
}

function fill(layout: Layout, startOf: Float64Array, parentIndex: Int32Array): void {
  const { spans } = layout;
  const numbers = new Map<number, number>();
  const failed = spans.texts.find('error');
  for (let position = 0; position < spans.length; position += 1) {
    const index = layout.order[position];
    layout.start[position] = startOf[index];
    layout.duration[position] = Math.max(0, spans.durationNs[index]);
    layout.totalNs = Math.max(layout.totalNs, startOf[index] + layout.duration[position]);
    layout.maxDepth = Math.max(layout.maxDepth, layout.depth[position]);
    layout.end[position] = position + 1;
    let service = numbers.get(spans.service[index]);
    if (service === undefined) {
      service = numbers.size;
      numbers.set(spans.service[index], service);
      layout.services.push(spans.serviceName(index));
    }
    layout.service[position] = Math.min(65_535, service);
    if (failed !== NO_TEXT && spans.status[index] === failed) {
      layout.flags[position] |= FLAG_ERROR;
      layout.errors += 1;
    }
    if (parentIndex[index] === NOT_HERE) {
      layout.flags[position] |= FLAG_ORPHAN;
      layout.orphans += 1;
    }
  }
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

/** Starts relative to the earliest. Seconds and nanoseconds apart keep every digit without a BigInt a span. */
function starts({ seconds, nanos }: Spans): { startOf: Float64Array; originNs: bigint } {
  const n = seconds.length;
  let first = 0;
  for (let index = 1; index < n; index += 1)
    if (seconds[index] < seconds[first] || (seconds[index] === seconds[first] && nanos[index] < nanos[first]))
      first = index;
  const startOf = new Float64Array(n);
  for (let index = 0; index < n; index += 1)
    startOf[index] = (seconds[index] - seconds[first]) * 1e9 + (nanos[index] - nanos[first]);
  return { startOf, originNs: n === 0 ? 0n : BigInt(seconds[first]) * 1_000_000_000n + BigInt(nanos[first]) };
}

/** What is collapsed, by position: 1 hides everything below. A change makes a copy. */
export type Folds = Uint8Array;

export const nothingFolded = (layout: Layout): Folds => new Uint8Array(layout.order.length);

export function allFolded(layout: Layout): Folds {
  const folds = nothingFolded(layout);
  for (let position = 0; position < folds.length; position += 1)
    if (layout.end[position] > position + 1) folds[position] = 1;
  return folds;
}

/** Positions that are shown. */
export function visibleRows(layout: Layout, folds: Folds): Int32Array {
  const n = layout.order.length;
  const out = new Int32Array(n);
  let shown = 0;
  for (let position = 0; position < n;) {
    out[shown] = position;
    shown += 1;
    position = folds[position] ? layout.end[position] : position + 1;
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
