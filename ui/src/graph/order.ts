// In which order the vertices of each layer stand, so that few lines cross: every vertex goes to the mean place of its
// neighbours, layer by layer, back and forth; the best order that was met is kept.
import type { Woven } from './layout';

const SWEEPS = 12;

export function ordered({ vertices, pieces }: Woven): number[][] {
  const count = vertices.reduce((most, vertex) => Math.max(most, vertex.layer + 1), 0);
  let columns: number[][] = Array.from({ length: count }, () => []);
  vertices.forEach((vertex, at) => columns[vertex.layer].push(at));
  const [left, right]: number[][][] = [vertices.map(() => []), vertices.map(() => [])];
  for (const { from, to } of pieces) {
    left[to].push(from);
    right[from].push(to);
  }
  let [best, fewest] = [columns, crossings(columns, right)];
  for (let sweep = 0; sweep < SWEEPS && fewest > 0; sweep += 1) {
    columns = swept(columns, sweep % 2 === 0 ? left : right, sweep % 2 === 0);
    const crossed = crossings(columns, right);
    if (crossed < fewest) [best, fewest] = [columns, crossed];
  }
  return best;
}

function swept(columns: number[][], near: number[][], rightwards: boolean): number[][] {
  const next = columns.map((column) => column.slice());
  const place = new Map<number, number>();
  const keep = (column: number[]) => column.forEach((vertex, at) => place.set(vertex, at));
  for (const column of rightwards ? next : next.toReversed()) {
    const mean = new Map<number, number>();
    column.forEach((vertex, at) => {
      const places = near[vertex].map((other) => place.get(other) ?? 0);
      mean.set(vertex, places.length > 0 ? places.reduce((sum, one) => sum + one, 0) / places.length : at);
    });
    column.sort((a, b) => (mean.get(a) ?? 0) - (mean.get(b) ?? 0));
    keep(column);
  }
  return next;
}

/** Pairs of lines that cross. */
export function crossings(columns: number[][], right: number[][]): number {
  let crossed = 0;
  for (let layer = 0; layer + 1 < columns.length; layer += 1) {
    const place = new Map(columns[layer + 1].map((vertex, at) => [vertex, at]));
    const ends = columns[layer].map((vertex) => right[vertex].map((other) => place.get(other) ?? 0));
    const before: number[] = [];
    for (const list of ends) {
      for (const end of list) crossed += before.reduce((sum, other) => sum + Number(other > end), 0);
      before.push(...list);
    }
  }
  return crossed;
}
