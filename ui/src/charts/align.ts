// Series with their own timestamps become uPlot's shape: one time axis, one column a series, nulls for gaps.

export type Points = readonly (readonly [number, number | null])[];

/** Column 0 is unix seconds, ascending, each instant once; the others are the values or null. */
export function align(series: readonly Points[]): (number | null)[][] {
  const instants = new Set<number>();
  for (const points of series) for (const [ms] of points) instants.add(ms);
  const times = [...instants].sort((a, b) => a - b);
  const position = new Map(times.map((ms, index) => [ms, index]));
  const columns = series.map((points) => {
    const column = new Array<number | null>(times.length).fill(null);
    for (const [ms, value] of points) column[position.get(ms) as number] = Number.isFinite(value) ? value : null;
    return column;
  });
  return [times.map((ms) => ms / 1000), ...columns];
}

/**
 * The y range: from 0 (or `floor`) to a little over the largest value. A threshold stretches it when it is at most
 * four times the data's maximum; beyond that it would flatten the data, and is named at the edge instead.
 */
export function yRange(max: number, thresholds: readonly number[], floor = 0): [number, number] {
  let top = Number.isFinite(max) && max > floor ? max : floor;
  const flat = top === floor;
  for (const value of thresholds) if (flat || value <= floor + (top - floor) * 4) top = Math.max(top, value);
  return [floor, top === floor ? floor + 1 : floor + (top - floor) * 1.12];
}

const two = (value: number) => String(value).padStart(2, '0');

/** Labels of the time axis in UTC: a date at midnight, else the clock, seconds only when ticks are that close. */
export function timeLabels(splits: readonly number[], stepS: number): string[] {
  return splits.map((seconds) => {
    const date = new Date(seconds * 1000);
    const midnight = seconds % 86_400 === 0;
    if (midnight || stepS >= 86_400)
      return `${date.getUTCDate()} ${date.toLocaleString('en-GB', { month: 'short', timeZone: 'UTC' })}`;
    const clock = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
    return stepS < 60 ? `${clock}:${two(date.getUTCSeconds())}` : clock;
  });
}

/** Positions of values with a gap on both sides: a line cannot show them, a dot must. */
export function isolated(column: readonly (number | null)[]): number[] {
  const empty = (index: number) => column[index] === null || column[index] === undefined;
  return column.flatMap((value, index) => (value !== null && empty(index - 1) && empty(index + 1) ? [index] : []));
}
