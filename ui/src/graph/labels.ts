// Where the numbers beside the lines go: along the last piece of each, nearer to the callee, further along or back
// where another's numbers are. Pure.
import type { Point } from './layout';

/** Along the last piece, in order of preference. */
const SHARES = [0.66, 0.5, 0.8, 0.36, 0.58, 0.73, 0.43, 0.28];
const WIDTH = 60;
/** What the numbers take above the line, and below where errors stand. */
const ABOVE = 17;
const BELOW = 17;

/** A line with the numbers that it has. */
export interface Labelled {
  points: Point[];
  hasErrors: boolean;
}

interface Taken {
  x: number;
  top: number;
  bottom: number;
}

/** A spot for each line; lines without points (a call of itself) have none. */
export function labelSpots(lines: Labelled[]): (Point | null)[] {
  const taken: Taken[] = [];
  return lines.map(({ points, hasErrors }) => {
    if (points.length < 2) return null;
    const [before, end] = points.slice(-2);
    let [best, least] = [at(before, end, SHARES[0]), Infinity];
    for (const share of SHARES) {
      const spot = at(before, end, share);
      const hidden = taken.reduce((sum, other) => sum + overlap(box(spot, hasErrors), other), 0);
      if (hidden < least) [best, least] = [spot, hidden];
    }
    taken.push(box(best, hasErrors));
    return best;
  });
}

const box = ({ x, y }: Point, hasErrors: boolean): Taken => ({ x, top: y - ABOVE, bottom: hasErrors ? y + BELOW : y });

/** The area that two have in common. */
function overlap(one: Taken, other: Taken): number {
  const wide = Math.max(0, WIDTH - Math.abs(one.x - other.x));
  return wide * Math.max(0, Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top));
}

function at(before: Point, end: Point, share: number): Point {
  // How far up a line that is level at both ends has come at a share of its way across.
  const risen = share * share * (3 - 2 * share);
  return { x: before.x + (end.x - before.x) * share, y: before.y + (end.y - before.y) * risen };
}
