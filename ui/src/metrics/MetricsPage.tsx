// Explore one metric. URL: metric, fn, service, group (repeatable), attributes. The chart says how exact it is.
import { useMemo } from 'preact/hooks';
import '../styles/metrics.css';
import { apiUrl } from '../api/client';
import type { MetricInfo, MetricsAnswer, RangeAnswer } from '../api/types';
import { useQuery } from '../api/useQuery';
import { PageHead } from '../app/Shell';
import { params, setParams } from '../app/router';
import { Chart } from '../charts/Chart';
import { Receipt } from '../parts/Receipt';
import { Answer, Empty } from '../parts/States';
import { plural } from '../time/format';
import { range, rangeParams, rangeQuery } from '../time/range';
import { splitAttributes } from '../traces/search';
import { MetricForm } from './MetricForm';
import { exactness, MAX_SERIES, plotExemplars, plotSeries, seriesName, settled } from './rangeChart';

const MAX_POINTS = 400;
const STEPS_S = [10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400];

/** The finest step that keeps a line under the points a screen can show. */
export function stepFor(spanMs: number): number {
  const raw = spanMs / 1000 / MAX_POINTS;
  return STEPS_S.find((step) => step >= raw) ?? 86_400;
}

export const FUNCTIONS: Record<string, string[]> = {
  histogram: ['p50', 'p75', 'p90', 'p95', 'p99', 'p99.9', 'rate', 'count', 'error_ratio', 'avg', 'min', 'max', 'sum'],
  counter: ['rate', 'increase', 'count', 'sum'],
  gauge: ['last', 'avg', 'min', 'max', 'sum'],
};
const FIRST_FN: Record<string, string> = { histogram: 'p99', counter: 'rate', gauge: 'avg' };

export default function MetricsPage() {
  const list = useQuery<MetricsAnswer>(apiUrl('/metrics', rangeQuery.value));
  return (
    <>
      <PageHead title="Metrics" lead="Exact counts and mergeable histograms, derived before sampling." />
      <Answer query={list} what="metrics">
        {(data) =>
          (data.metrics ?? []).length === 0 ? (
            <Empty title="No metric in this time range" icon="metrics">
              Send OTLP metrics or spans to port 4317 or 4318 of the agent, or widen the time range. Request metrics are
              derived from spans by themselves.
            </Empty>
          ) : (
            <Explorer metrics={data.metrics} />
          )
        }
      </Answer>
    </>
  );
}

function Explorer({ metrics }: { metrics: MetricInfo[] }) {
  const get = (key: string) => params.value.get(key) ?? '';
  const metric =
    metrics.find((one) => one.name === get('metric')) ??
    metrics.find((one) => one.name === 'traces.span.metrics.duration') ??
    metrics[0];
  const functions = FUNCTIONS[metric.kind] ?? FUNCTIONS.gauge;
  const fn = functions.includes(get('fn')) ? get('fn') : (FIRST_FN[metric.kind] ?? 'last');
  const groups = params.value.getAll('group');
  const attributes = splitAttributes(get('attributes')) ?? [];
  const step = stepFor(range.value.endMs - range.value.startMs);
  const url = apiUrl('/metrics/range', {
    metric: metric.name,
    fn,
    service: get('service'),
    attribute: attributes,
    group_by: groups,
    ...rangeQuery.value,
    step,
  });
  const query = useQuery<RangeAnswer>(url);
  return (
    <>
      <MetricForm
        metrics={metrics}
        metric={metric}
        functions={functions}
        fn={fn}
        service={get('service')}
        groups={groups}
        attributes={get('attributes')}
      />
      <Answer query={query} what="this metric">
        {(data) => <Drawn loaded={data} title={`${fn} of ${metric.name}`} />}
      </Answer>
    </>
  );
}

function Drawn({ loaded, title }: { loaded: RangeAnswer; title: string }) {
  const answer = useMemo(() => settled(loaded, Date.now()), [loaded]);
  const all = answer.series ?? [];
  const series = useMemo(
    () =>
      plotSeries(
        all,
        all.map((one) => seriesName(one.labels, null, answer.fn)),
      ),
    [answer],
  );
  const exemplars = useMemo(() => plotExemplars(answer, answer.unit), [answer]);
  const bound = exactness(answer);
  return (
    <section class="card" aria-label="Chart">
      <header>
        <h2 class="grow">
          {title}{' '}
          <span class="muted">
            · {answer.resolution} rollup, one point each {answer.step_s} s
          </span>
        </h2>
        {answer.receipt?.complete && <Receipt receipt={answer.receipt} />}
      </header>
      <div class="body stack">
        {!answer.receipt?.complete && <Receipt receipt={answer.receipt} />}
        {all.length === 0 || all.every((one) => one.points.every(([, value]) => value === null)) ? (
          <Empty title="No data points" icon="metrics">
            Nothing was recorded with these filters in this time range. Remove a filter or widen the range.
          </Empty>
        ) : (
          <>
            <Chart
              title={title}
              series={series}
              unit={answer.unit}
              height={340}
              exemplars={exemplars}
              xRangeMs={[range.value.startMs, range.value.endMs]}
              onZoom={(startMs, endMs) => setParams(rangeParams({ kind: 'absolute', startMs, endMs }))}
            />
            <p class="muted small-text" data-testid="error-bound">
              {bound ?? 'exact'}
              {exemplars.length > 0 && ` · ${plural(exemplars.length, 'example trace')}: click a diamond`}
              {all.length > MAX_SERIES && ` · ${all.length - MAX_SERIES} more series not drawn: add a filter`}
              {' · drag to zoom'}
            </p>
          </>
        )}
      </div>
    </section>
  );
}
