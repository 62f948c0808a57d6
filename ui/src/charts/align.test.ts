import { expect, it } from 'vitest';
import { ranked } from '../slos/ranking';
import type { Slo } from '../api/types';
import { rowAt } from '../parts/rowAt';
import { align, isolated, timeLabels, yRange } from './align';

it('align puts series with different instants on one axis', () => {
  expect(
    align([
      [
        [1000, 1],
        [3000, null],
      ],
      [
        [2000, 5],
        [1000, Number.NaN],
      ],
    ]),
  ).toEqual([
    [1, 2, 3],
    [1, null, null],
    [null, 5, null],
  ]);
  expect(align([])).toEqual([[]]);
});

it('yRange shows a near threshold and never hides the data for a far one', () => {
  expect(yRange(10, [20])[1]).toBeCloseTo(22.4);
  expect(yRange(10, [1000])[1]).toBeCloseTo(11.2);
  expect(yRange(Number.NEGATIVE_INFINITY, [])).toEqual([0, 1]);
});

it('time labels are UTC whatever the zone of the browser', () => {
  expect(timeLabels([Date.UTC(2026, 10, 21) / 1000, Date.UTC(2026, 10, 21, 7, 5) / 1000], 300)).toEqual([
    '21 Nov',
    '07:05',
  ]);
});

it('rowAt finds rows between expanded ones', () => {
  const at = (y: number) => rowAt(y, 10, [2], () => 100);
  expect([at(0), at(25), at(60), at(129), at(130), at(145)]).toEqual([0, 2, 2, 2, 3, 4]);
});

it('the worst SLO comes first', () => {
  const slo = (id: string, state: Slo['state'], budget: number | null) =>
    ({ id, state, budget_remaining_ratio: budget, burn: {} }) as unknown as Slo;
  expect(
    ranked([
      slo('ok', 'met', 0.2),
      slo('?', 'unknown', null),
      slo('bad', 'breached', -1),
      slo('risk', 'at_risk', 0.1),
      slo('worse', 'breached', -2),
    ]).map((one) => one.id),
  ).toEqual(['worse', 'bad', 'risk', '?', 'ok']);
});

it('values between gaps are found, so that sparse series are not invisible', () => {
  expect(isolated([1, null, 2, 3, null, 4, null, null])).toEqual([0, 5]);
  expect(isolated([])).toEqual([]);
});
