// From a range answer to a chart: labels to names, exemplars to links, and the sentence on how exact it is. Pure but
// for `href`, which keeps the reader's time range.
import type { RangeAnswer, RangeSeries } from '../api/types';
import { href } from '../app/router';
import { categoryToken, serviceColor } from '../charts/palette';
import type { PlotExemplar, PlotSeries } from '../charts/plot';
import { percent, unitFactor, withUnit } from '../time/format';
import { utcDateTime } from '../time/instant';

export const MAX_SERIES = 24;

/** `{service}` and `{label}` filled in from the labels; without a template the label values, or `fallback`. */
export function seriesName(
  labels: Record<string, string>,
  template: string | null | undefined,
  fallback: string,
  only = false,
): string {
  const entries = Object.entries(labels ?? {});
  if (template) {
    const filled = template.replace(/\{\{?\s*([^{}]+?)\s*\}?\}/g, (_all, key: string) => labels?.[key] ?? '–');
    return filled !== template || entries.length === 0 || only
      ? filled
      : `${template} ${entries.map(([, value]) => value).join(' · ')}`;
  }
  if (entries.length === 0) return fallback;
  return entries.length === 1 ? entries[0][1] || '(empty)' : entries.map(([key, value]) => `${key}=${value}`).join(' ');
}

/** Services keep their own colour; anything else gets the next one. Past ten, dashes tell the repeats apart. */
export function plotSeries(series: RangeSeries[], names: string[], offset = 0): PlotSeries[] {
  return series.slice(0, MAX_SERIES).map((one, index) => {
    const keys = Object.keys(one.labels ?? {});
    const byService = keys.length === 1 && /^service(_name|\.name)?$/.test(keys[0]) && series.length > 1;
    return {
      label: names[index],
      token: byService ? serviceColor(one.labels[keys[0]]) : categoryToken(offset + index),
      points: one.points,
      dash: offset + index >= 10,
      fill: series.length === 1 && offset === 0,
    };
  });
}

/** Functions whose values are single measurements, so that an example of one has a place on their axis. */
const MEASURES = /^(p[\d.]+|min|max|avg|last)$/;

/** The exemplars of an answer, in the unit the chart is drawn in. */
export function plotExemplars(answer: RangeAnswer, unit: string): PlotExemplar[] {
  if (!MEASURES.test(answer.fn)) return [];
  const factor = unitFactor(answer.unit, unit);
  return (answer.series ?? []).flatMap((one) =>
    (one.exemplars ?? []).map((exemplar) => ({
      timeMs: exemplar.time_ms,
      value: exemplar.value * factor,
      href: href(`/traces/${exemplar.trace_id}`, { span: exemplar.span_id }),
      label: `${withUnit(exemplar.value * factor, unit)} at ${utcDateTime(exemplar.time_ms)} UTC · trace ${exemplar.trace_id.slice(0, 8)}…`,
    })),
  );
}

/** The series of an answer in another unit: a panel may say ms where the metric is kept in ns. */
export function inUnit(answer: RangeAnswer, unit: string): RangeSeries[] {
  const factor = unitFactor(answer.unit, unit);
  const all = answer.series ?? [];
  if (factor === 1) return all;
  return all.map((one) => ({
    ...one,
    points: one.points.map(([ms, value]) => [ms, value === null ? null : value * factor] as [number, number | null]),
  }));
}

/** Functions that count, whose value is too small while their interval still fills. */
const COUNTS = /^(count|rate|sum|increase)$/;
/** How long what has happened may be on its way. */
const ON_ITS_WAY_MS = 6000;

/** Without the points whose interval is not over: they would look like traffic that falls to nothing. */
export function settled(answer: RangeAnswer, nowMs: number): RangeAnswer {
  if (!COUNTS.test(answer.fn)) return answer;
  const lastMs = nowMs - ON_ITS_WAY_MS - answer.step_s * 1000;
  const series = (answer.series ?? []).map((one) => ({ ...one, points: one.points.filter(([ms]) => ms <= lastMs) }));
  return { ...answer, series };
}

/** How far a drawn value can be from the truth, in words; null when it is exact. */
export function exactness(answer: RangeAnswer): string | null {
  const bounds = [...new Set(answer.series.map((one) => one.bucket_bound).filter(Boolean))];
  const worst = Math.max(0, ...answer.series.map((one) => one.err_bound ?? 0));
  if (bounds.some((bound) => bound?.startsWith('explicit')))
    return 'explicit buckets: the true quantile is somewhere in its bucket';
  if (worst > 0) return `HDR histogram: within ±${percent(worst)} of the true value`;
  return bounds[0] ?? null;
}
