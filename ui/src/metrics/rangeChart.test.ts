import { expect, it } from 'vitest';
import type { RangeAnswer } from '../api/types';
import { settled } from './rangeChart';

const answer = (fn: string) =>
  ({
    fn,
    step_s: 10,
    series: [
      {
        labels: {},
        points: [
          [0, 5],
          [10_000, 5],
          [20_000, 1],
        ],
      },
    ],
  }) as unknown as RangeAnswer;
const kept = (fn: string, nowMs: number) => settled(answer(fn), nowMs).series[0].points.length;

it('an interval that still fills is not drawn as a fall of traffic', () => {
  for (const fn of ['rate', 'count', 'sum', 'increase']) expect(kept(fn, 27_000), fn).toBe(2);
  expect(kept('rate', 36_000), 'over, and all there').toBe(3);
  expect(kept('rate', 15_999), 'only the first is over').toBe(0);
});

it('values that do not grow with time are drawn at once', () => {
  for (const fn of ['p99', 'last', 'max', 'error_ratio']) expect(kept(fn, 27_000), fn).toBe(3);
});
