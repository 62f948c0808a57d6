import { describe, expect, it } from 'vitest';
import { labelSpots } from './labels';
import { type Arc, backArcs, draw, layersOf, NODE_HEIGHT, NODE_WIDTH, pathOf } from './layout';

/** `a>b b>c` as arcs; nodes are letters in order. */
function arcs(text: string): Arc[] {
  const node = (letter: string) => letter.charCodeAt(0) - 97;
  return text.split(' ').map((pair) => ({ from: node(pair[0]), to: node(pair[2]) }));
}
const count = (all: Arc[]) => Math.max(...all.flatMap(({ from, to }) => [from, to])) + 1;

describe('layers', () => {
  const check = (text: string, expected: number[]) =>
    it(text, () => expect(layersOf(count(arcs(text)), arcs(text))).toEqual(expected));
  check('a>b b>c', [0, 1, 2]);
  check('a>b a>c b>c', [0, 1, 2]);
  check('a>c b>c c>d a>d', [0, 0, 1, 2]);
});

describe('arcs that close a cycle are turned around', () => {
  const check = (text: string, turned: string[]) =>
    it(text, () => {
      const all = arcs(text);
      const back = backArcs(count(all), all);
      expect(text.split(' ').filter((_, at) => back[at])).toEqual(turned);
    });
  check('a>b b>c', []);
  check('a>b b>a', ['b>a']);
  check('b>a a>b c>b', ['a>b']);
  check('a>b b>c c>d d>b', ['d>b']);
  check('a>a a>b', []);
});

/** A graph like none that people build: dense, with cycles. */
function tangle(nodes: number, lines: number): Arc[] {
  let state = 9;
  const next = (most: number) => {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
    return (state >>> 8) % most;
  };
  return Array.from({ length: lines }, () => ({ from: next(nodes), to: next(nodes) }));
}

describe('draw', () => {
  it('puts callers left of callees, and lines from side to side', () => {
    const picture = draw(3, arcs('a>b a>c b>c'));
    const [a, b, c] = picture.nodes;
    expect([a.x < b.x, b.x < c.x]).toEqual([true, true]);
    for (const [line, from, to] of [
      [picture.lines[0], a, b],
      [picture.lines[1], a, c],
    ] as const) {
      expect([line[0].x, line.at(-1)?.x]).toEqual([from.x + NODE_WIDTH, to.x]);
      expect(Math.abs(line[0].y - from.y)).toBeLessThan(NODE_HEIGHT / 2);
    }
    // Over b's layer on a level of its own.
    expect(picture.lines[1].length).toBe(4);
    expect(Math.abs(picture.lines[1][1].y - b.y)).toBeGreaterThan(NODE_HEIGHT / 2);
  });
  it('draws both lines of a cycle, apart and against each other', () => {
    const [there, back] = draw(2, arcs('a>b b>a')).lines;
    expect(there[0].x).toBeLessThan(there[1].x);
    expect(back[0].x).toBeGreaterThan(back[1].x);
    expect(there[0].y).not.toBe(back[1].y);
  });
  it('keeps lines from crossing where they need not', () => {
    const { lines } = draw(4, arcs('a>d b>c'));
    const [[a, d], [b, c]] = lines;
    expect((a.y - b.y) * (d.y - c.y)).toBeGreaterThan(0);
  });
  it('has no line for a call of itself, and nothing for nothing', () => {
    expect(draw(1, arcs('a>a')).lines).toEqual([[]]);
    expect(draw(0, [])).toEqual({ width: 0, height: 0, nodes: [], lines: [] });
  });
  it('never lays a box over another, is the same each time, and holds everything', () => {
    const all = tangle(90, 200);
    const picture = draw(90, all);
    expect(draw(90, all)).toEqual(picture);
    for (const x of new Set(picture.nodes.map((node) => node.x))) {
      const column = picture.nodes.filter((node) => node.x === x);
      const ys = column.map((node) => node.y).sort((a, b) => a - b);
      for (let at = 1; at < ys.length; at += 1) expect(ys[at] - ys[at - 1]).toBeGreaterThan(NODE_HEIGHT);
    }
    for (const { x, y } of [...picture.nodes, ...picture.lines.flat()]) {
      expect([x >= 0, y >= 0, x <= picture.width, y <= picture.height]).toEqual([true, true, true, true]);
    }
  });
});

it('numbers beside lines do not cover each other while there is room', () => {
  const line = (from: number, to: number, hasErrors = false) => ({
    points: [
      { x: 0, y: from },
      { x: 150, y: to },
    ],
    hasErrors,
  });
  const [one, other, none] = labelSpots([line(0, 60, true), line(60, 0), { points: [], hasErrors: false }]);
  expect(none).toBeNull();
  if (!one || !other) throw new Error('both have a spot');
  expect(Math.abs(one.x - other.x) >= 60 || Math.abs(one.y - other.y) >= 17).toBe(true);
});

it('a path is level where it starts and ends', () => {
  expect(
    pathOf([
      { x: 0, y: 5 },
      { x: 10, y: 5 },
      { x: 20, y: 9 },
    ]),
  ).toBe('M 0 5 H 10 C 15 5 15 9 20 9');
});
