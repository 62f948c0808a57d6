// The waterfall's geometry: spans become typed arrays in tree order, so that 100,000 spans cost milliseconds and no
// object per row. Pure; knows nothing of the DOM.
//
// Invariants: every span has exactly one position in the order, also when its parent is missing (it becomes a root,
// flagged), when parents form a cycle, or when ids repeat. A collapsed row hides exactly the positions up to `end`.
// Either all times are corrected for clocks that are off, or none are.
import { NO_TEXT, type Spans } from './spans';

export const FLAG_ERROR = 1;
/** The parent is named but was not received. */
export const FLAG_ORPHAN = 2;
/** An error somewhere below. */
export const FLAG_ERROR_BELOW = 4;
/** Starts before its parent or ends after it by more than the tolerance: clocks differ, or work went on after the answer. */
export const FLAG_OUTSIDE = 8;
/** A part of the critical path is its own. */
export const FLAG_CRITICAL = 16;

export interface Layout {
  spans: Spans;
  /** Span index by position in tree order; all arrays below are by position. */
  order: Int32Array;
  /** Position by span index. */
  place: Int32Array;
  depth: Uint16Array;
  /** Position after the last descendant. */
  end: Int32Array;
  /** Position of the parent, or -1. */
  parent: Int32Array;
  /** Nanoseconds since `originNs`. */
  start: Float64Array;
  /** What `start` has more than the span itself says: all 0 in original times. */
  offset: Float64Array;
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
  /** Whether some span's clock is off, so that corrected and original times differ. */
  isSkewed: boolean;
  isCorrected: boolean;
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

/** `isCorrected` takes the errors of clocks out of the times, as far as the server knows them. */
export function layoutTrace(spans: Spans, isCorrected = true): Layout {
  const n = spans.length;
  const byId = firstById(spans);
  const { startOf, originNs } = starts(spans, isCorrected);
  const byStart = inStartOrder(startOf);
  const parentIndex = parents(spans, byId);
  const lists = childLists(parentIndex, byStart);
  const place = new Int32Array(n).fill(NONE);
  const layout: Layout = {
    spans,
    order: new Int32Array(n),
    place,
    depth: new Uint16Array(n),
    end: new Int32Array(n),
    parent: new Int32Array(n).fill(NONE),
    start: new Float64Array(n),
    offset: new Float64Array(n),
    duration: new Float64Array(n),
    service: new Uint16Array(n),
    flags: new Uint8Array(n),
    services: [],
    originNs,
    totalNs: 0,
    maxDepth: 0,
    errors: 0,
    orphans: 0,
    isSkewed: spans.offsetNs.some((ns) => ns !== 0),
    isCorrected,
    positionOf: (spanId) => {
      const index = byId[spans.texts.find(spanId)] ?? NONE;
      return index === NONE ? NONE : place[index];
    },
  };
  let position = 0;
  for (const root of lists.roots) position = placeTree(root, position, layout, lists);
  // What is left hangs in a cycle of parents: break it at its earliest span.
  for (let at = 0; position < n; at += 1) {
    const index = byStart[at];
    if (place[index] !== NONE) continue;
    parentIndex[index] = NOT_HERE;
    position = placeTree(index, position, layout, lists);
  }
  fill(layout, startOf, parentIndex);
  return layout;
}

/** Writes `root` and everything below it in depth-first order; returns the next free position. */
function placeTree(root: number, from: number, layout: Layout, lists: Lists): number {
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
    if (layout.place[index] !== NONE) continue;
    layout.place[index] = position;
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
    layout.offset[position] = layout.isCorrected ? spans.offsetNs[index] : 0;
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
    if (spans.criticalNs[index] > 0) layout.flags[position] |= FLAG_CRITICAL;
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
function starts(spans: Spans, isCorrected: boolean): { startOf: Float64Array; originNs: bigint } {
  const { seconds, nanos, offsetNs } = spans;
  const startOf = new Float64Array(seconds.length);
  let first = 0;
  for (let index = 0; index < startOf.length; index += 1) {
    // Relative to some span at first: differences are small enough for every digit.
    const since = (seconds[index] - seconds[0]) * 1e9 + (nanos[index] - nanos[0]);
    startOf[index] = since + (isCorrected ? offsetNs[index] : 0);
    if (startOf[index] < startOf[first]) first = index;
  }
  if (startOf.length === 0) return { startOf, originNs: 0n };
  const originNs = BigInt(seconds[0]) * 1_000_000_000n + BigInt(nanos[0]) + BigInt(startOf[first]);
  const before = startOf[first];
  for (let index = 0; index < startOf.length; index += 1) startOf[index] -= before;
  return { startOf, originNs };
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

/** The folds of the same spans in another layout. */
export function carried(folds: Folds, from: Layout, to: Layout): Folds {
  const next = nothingFolded(to);
  if (from.order.length !== to.order.length) return next;
  for (let position = 0; position < next.length; position += 1) next[position] = folds[from.place[to.order[position]]];
  return next;
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
