// Where the boxes and lines of a directed graph go: layers from left to right, few crossings, the same picture for the
// same graph. Pure; knows nothing of services or of the DOM.
//
// Arcs that close a cycle are turned around for the layers and drawn backwards. A line over several layers has a joint
// in each, so that it passes between boxes, not through them.
import { ordered } from './order';

export interface Arc {
  from: number;
  to: number;
}
/** A joint when `node` is none: only a line passes there. */
export interface Vertex {
  node: number | null;
  layer: number;
  y: number;
}
export interface Point {
  x: number;
  y: number;
}
export interface Picture {
  width: number;
  height: number;
  /** The middle of the left side of each box. */
  nodes: Point[];
  /** For each arc the points of its line, from caller to callee; empty for a call of itself. */
  lines: Point[][];
}

export const NODE_WIDTH = 160;
export const NODE_HEIGHT = 34;
const LAYER_STEP = 308;
const NODE_STEP = 50;
const JOINT_STEP = 24;
const MARGIN = 20;
const PORT_STEP = 9;
const SETTLE_SWEEPS = 6;

/** Which arcs close a cycle, seen from the nodes that call more than they are called. */
export function backArcs(count: number, arcs: Arc[]): boolean[] {
  const out: number[][] = Array.from({ length: count }, () => []);
  const surplus = new Array<number>(count).fill(0);
  arcs.forEach(({ from, to }, at) => {
    if (from === to) return;
    out[from].push(at);
    surplus[from] += 1;
    surplus[to] -= 1;
  });
  const called = new Set(arcs.filter(({ from, to }) => from !== to).map((arc) => arc.to));
  const isCalled = (node: number) => Number(called.has(node));
  const starts = Array.from({ length: count }, (_, node) => node).sort(
    (a, b) => isCalled(a) - isCalled(b) || surplus[b] - surplus[a] || a - b,
  );
  const back = new Array<boolean>(arcs.length).fill(false);
  const state = new Uint8Array(count);
  const [OPEN, DONE] = [1, 2];
  const visit = (node: number) => {
    state[node] = OPEN;
    for (const at of out[node]) {
      if (state[arcs[at].to] === OPEN) back[at] = true;
      else if (state[arcs[at].to] !== DONE) visit(arcs[at].to);
    }
    state[node] = DONE;
  };
  for (const node of starts) if (state[node] === 0) visit(node);
  return back;
}

/** Arcs without cycles: turned around where they would close one, without those to the node itself. */
function forward(arcs: Arc[], back: boolean[]): Arc[] {
  const turned = arcs.map((arc, at) => (back[at] ? { from: arc.to, to: arc.from } : arc));
  return turned.filter(({ from, to }) => from !== to);
}

/** The layer of each node: one further right than the furthest that calls it. */
export function layersOf(count: number, arcs: Arc[]): number[] {
  const callers: number[][] = Array.from({ length: count }, () => []);
  for (const { from, to } of arcs) callers[to].push(from);
  const layers = new Array<number>(count).fill(-1);
  const layerOf = (node: number): number => {
    if (layers[node] < 0) layers[node] = callers[node].reduce((most, caller) => Math.max(most, layerOf(caller) + 1), 0);
    return layers[node];
  };
  for (let node = 0; node < count; node += 1) layerOf(node);
  return layers;
}

/** Nodes and joints, the short pieces between neighbouring layers, and the vertices along each arc, left to right. */
export interface Woven {
  vertices: Vertex[];
  pieces: Arc[];
  along: number[][];
}

function weave(layers: number[], arcs: Arc[], back: boolean[]): Woven {
  const vertices: Vertex[] = layers.map((layer, node) => ({ node, layer, y: 0 }));
  const pieces: Arc[] = [];
  const along = arcs.map(({ from, to }, at) => {
    if (from === to) return [];
    const [left, right] = back[at] ? [to, from] : [from, to];
    const line = [left];
    for (let layer = layers[left] + 1; layer < layers[right]; layer += 1) {
      vertices.push({ node: null, layer, y: 0 });
      line.push(vertices.length - 1);
    }
    line.push(right);
    line.slice(1).forEach((vertex, index) => pieces.push({ from: line[index], to: vertex }));
    return line;
  });
  return { vertices, pieces, along };
}

/** Sets the heights of all vertices: near their neighbours, in the order of their layer, not too close. */
function settle(columns: number[][], { vertices, pieces }: Woven): void {
  const near: number[][] = vertices.map(() => []);
  for (const { from, to } of pieces) {
    near[from].push(to);
    near[to].push(from);
  }
  const apart = (a: number, b: number) =>
    vertices[a].node === null && vertices[b].node === null ? JOINT_STEP : NODE_STEP;
  const put = (column: number[], wanted: number[]) => {
    let push = 0;
    column.forEach((vertex, at) => {
      const lowest = at === 0 ? -Infinity : vertices[column[at - 1]].y + apart(column[at - 1], vertex);
      vertices[vertex].y = Math.max(wanted[at], lowest);
      push += vertices[vertex].y - wanted[at];
    });
    // Downwards only would make everything drift: the column as a whole stays where it was wanted.
    for (const vertex of column) vertices[vertex].y -= push / column.length;
  };
  for (const column of columns)
    put(
      column,
      column.map(() => 0),
    );
  for (let sweep = 0; sweep < SETTLE_SWEEPS; sweep += 1) {
    for (const column of sweep % 2 === 0 ? columns : columns.toReversed()) {
      const mean = (all: number[]) => all.reduce((sum, one) => sum + vertices[one].y, 0) / all.length;
      put(
        column,
        column.map((vertex) => (near[vertex].length > 0 ? mean(near[vertex]) : vertices[vertex].y)),
      );
    }
  }
}

/** Where on the side of its box each end of a line is: side by side, so that no two lines fall together. */
function ports(woven: Woven, side: 'left' | 'right'): Map<number, number> {
  const { vertices, along } = woven;
  const ends = new Map<number, { arc: number; towards: number }[]>();
  along.forEach((line, arc) => {
    if (line.length === 0) return;
    const [own, other] = side === 'right' ? [line[0], line[1]] : [line.at(-1) as number, line.at(-2) as number];
    const list = ends.get(own) ?? [];
    list.push({ arc, towards: vertices[other].y });
    ends.set(own, list);
  });
  const shifts = new Map<number, number>();
  for (const list of ends.values()) {
    const step = Math.min(PORT_STEP, (NODE_HEIGHT - 8) / list.length);
    list.sort((a, b) => a.towards - b.towards || a.arc - b.arc);
    list.forEach((end, at) => shifts.set(end.arc, (at - (list.length - 1) / 2) * step));
  }
  return shifts;
}

/** Draws `count` nodes and the arcs between them. */
export function draw(count: number, arcs: Arc[]): Picture {
  if (count === 0) return { width: 0, height: 0, nodes: [], lines: [] };
  const back = backArcs(count, arcs);
  const layers = layersOf(count, forward(arcs, back));
  const woven = weave(layers, arcs, back);
  const columns = ordered(woven);
  settle(columns, woven);
  const { vertices, along } = woven;
  const top = vertices.reduce((least, vertex) => Math.min(least, vertex.y), Infinity);
  const bottom = vertices.reduce((most, vertex) => Math.max(most, vertex.y), -Infinity);
  const x = (vertex: number) => MARGIN + vertices[vertex].layer * LAYER_STEP;
  const y = (vertex: number) => Math.round(vertices[vertex].y - top + MARGIN + NODE_HEIGHT / 2);
  const [out, into] = [ports(woven, 'right'), ports(woven, 'left')];
  const lines = along.map((line, arc) => {
    const points = line.flatMap((vertex, at) => {
      if (at === 0) return [{ x: x(vertex) + NODE_WIDTH, y: y(vertex) + (out.get(arc) ?? 0) }];
      if (at === line.length - 1) return [{ x: x(vertex), y: y(vertex) + (into.get(arc) ?? 0) }];
      // Level with the boxes of its layer, from side to side.
      return [
        { x: x(vertex), y: y(vertex) },
        { x: x(vertex) + NODE_WIDTH, y: y(vertex) },
      ];
    });
    return back[arc] ? points.reverse() : points;
  });
  return {
    width: Math.max(...layers) * LAYER_STEP + NODE_WIDTH + 2 * MARGIN,
    height: Math.round(bottom - top) + NODE_HEIGHT + 2 * MARGIN,
    nodes: layers.map((_, node) => ({ x: x(node), y: y(node) })),
    lines,
  };
}

/** An SVG path through the points, level at each. */
export function pathOf(points: Point[]): string {
  const [first, ...rest] = points;
  let last = first;
  const curves = rest.map((point) => {
    const middle = (last.x + point.x) / 2;
    const curve =
      last.y === point.y ? `H ${point.x}` : `C ${middle} ${last.y} ${middle} ${point.y} ${point.x} ${point.y}`;
    last = point;
    return curve;
  });
  return `M ${first.x} ${first.y} ${curves.join(' ')}`;
}
