// One panel: its queries run side by side, drawn in one chart with the thresholds its SLOs give.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { ApiError, apiUrl, call } from '../api/client';
import type { Panel, PanelQuery, RangeAnswer, Receipt as ReceiptData } from '../api/types';
import { inFlight, refreshTick } from '../api/useQuery';
import { href, safeHref, setParams } from '../app/router';
import { Chart } from '../charts/Chart';
import { inUnit, plotExemplars, plotSeries, seriesName, settled } from '../metrics/rangeChart';
import { stepFor } from '../metrics/MetricsPage';
import { Receipt } from '../parts/Receipt';
import { Failed, Loading } from '../parts/States';
import { withUnit } from '../time/format';
import { utcShort } from '../time/instant';
import { range, rangeParams, rangeQuery } from '../time/range';

interface Props {
  panel: Panel;
  stepS: number;
  syncKey: string;
}

export function PanelCard({ panel, stepS, syncKey }: Props) {
  const { answers, error, atMs } = useAnswers(panel.queries ?? [], stepS);
  const receipt = answers && merged(answers.map((one) => one.receipt));
  return (
    <section
      class={`card panel ${panel.kind === 'stat' ? 'stat' : ''}`}
      aria-label={panel.title}
      data-testid="panel"
      data-panel={panel.id}
    >
      <header>
        <h2 class="grow">{panel.title}</h2>
        <PanelLinks panel={panel} />
      </header>
      <div class="body stack">
        {panel.description && <p class="muted small-text">{panel.description}</p>}
        {error && <Failed error={error} what="this panel" staleMs={atMs} />}
        {!answers && !error && <Loading what={panel.title} rows={4} />}
        {answers && <Drawing panel={panel} answers={answers} syncKey={syncKey} />}
        <Receipt receipt={receipt} />
      </div>
    </section>
  );
}

function PanelLinks({ panel }: { panel: Panel }) {
  const query = panel.queries?.[0];
  const attributes = Object.entries(query?.attributes ?? {})
    .map(([key, value]) => `${key}=${value.includes(' ') ? `"${value}"` : value}`)
    .join(' ');
  const linked = JSON.stringify(panel.links ?? []);
  const named = (panel.thresholds ?? []).map((one) => one.from_slo).filter((id): id is string => Boolean(id));
  const slos = [...new Set(named)].filter((id) => !linked.includes(`/slos/${id}`));
  return (
    <span class="row small-text">
      {slos.map((id) => (
        <a key={id} href={href(`/slos/${encodeURIComponent(id)}`)}>
          SLO {slos.length > 1 ? id : ''}
        </a>
      ))}
      {(panel.links ?? []).map((link, index) => {
        const address = typeof link === 'string' ? link : (link.url ?? link.href);
        const to = safeHref(address);
        return to ? (
          <a
            key={index}
            href={to.startsWith('/') ? href(to) : to}
            target={to.startsWith('/') ? undefined : '_blank'}
            rel="noreferrer"
          >
            {(typeof link === 'string' ? undefined : link.title) ?? 'Link'}
          </a>
        ) : null;
      })}
      {query && (
        <a
          href={href('/metrics', {
            metric: query.metric,
            fn: query.fn,
            service: query.service,
            group: query.group_by ?? [],
            attributes,
          })}
        >
          Explore
        </a>
      )}
    </span>
  );
}

interface Answers {
  answers: RangeAnswer[] | null;
  error: ApiError | null;
  /** When the answers came. */
  atMs: number | null;
}

/** All queries of a panel; a panel is drawn when all have answered, so that lines never appear one by one. */
function useAnswers(queries: PanelQuery[], stepS: number): Answers {
  const [state, setState] = useState<Answers>({ answers: null, error: null, atMs: null });
  const step = Math.max(stepS || 0, stepFor(range.value.endMs - range.value.startMs));
  const urls = queries.map((query) =>
    apiUrl('/metrics/range', {
      metric: query.metric,
      service: query.service,
      fn: query.fn,
      group_by: query.group_by ?? [],
      attribute: Object.entries(query.attributes ?? {}).map(([key, value]) => `${key}=${value}`),
      ...rangeQuery.value,
      step,
    }),
  );
  const key = urls.join('\n');
  const tick = refreshTick.value;
  useEffect(() => {
    const abort = new AbortController();
    inFlight.value += 1;
    Promise.all(urls.map((url) => call<RangeAnswer>(url, abort.signal)))
      .then(
        (answers) => {
          const atMs = Date.now();
          setState({ answers: answers.map((one) => settled(one, atMs)), error: null, atMs });
        },
        (error: unknown) => {
          if (!abort.signal.aborted)
            setState((old) => ({
              ...old,
              error: error instanceof ApiError ? error : new ApiError(String(error), 0, 'bug'),
            }));
        },
      )
      .finally(() => (inFlight.value -= 1));
    return () => abort.abort();
  }, [key, tick]);
  return state;
}

function Drawing({ panel, answers, syncKey }: { panel: Panel; answers: RangeAnswer[]; syncKey: string }) {
  const unit = panel.unit || answers[0]?.unit || '';
  const series = useMemo(() => {
    let offset = 0;
    return answers.flatMap((answer, index) => {
      const query = panel.queries[index];
      const all = inUnit(answer, unit);
      const drawn = plotSeries(
        all,
        all.map((one) => seriesName(one.labels, query.legend, query.legend ?? query.fn, all.length === 1)),
        offset,
      );
      offset += drawn.length;
      return drawn;
    });
  }, [answers]);
  const exemplars = useMemo(() => answers.flatMap((answer) => plotExemplars(answer, unit)), [answers]);
  const empty = series.every((one) => one.points.every(([, value]) => value === null));
  if (empty) return <p class="muted">No data in this time range.</p>;
  if (panel.kind === 'stat') return <Stat series={series} unit={unit} panel={panel} />;
  return (
    <Chart
      title={panel.title}
      series={series}
      unit={unit}
      height={220}
      thresholds={(panel.thresholds ?? []).map((one) => ({
        value: one.value,
        label: one.from_slo && !one.label ? `SLO ${one.from_slo}` : one.label,
      }))}
      exemplars={exemplars}
      xRangeMs={[range.value.startMs, range.value.endMs]}
      syncKey={syncKey}
      onZoom={(startMs, endMs) => setParams(rangeParams({ kind: 'absolute', startMs, endMs }))}
    />
  );
}

function Stat({ series, unit, panel }: { series: ReturnType<typeof plotSeries>; unit: string; panel: Panel }) {
  return (
    <div class="stats">
      {series.map((one) => {
        const last = one.points.findLast(([, value]) => value !== null);
        const over = (panel.thresholds ?? []).find(
          (threshold) => last?.[1] !== undefined && (last?.[1] ?? 0) > threshold.value,
        );
        return (
          <div key={one.label}>
            <strong class={over ? 'tone-bad' : ''}>{withUnit(last?.[1], unit)}</strong>
            <span class="muted">
              {one.label}
              {last && ` · ${utcShort(last[0])} UTC`}
            </span>
            {over && <span class="chip bad">above {over.label}</span>}
          </div>
        );
      })}
      <div class="stat-line">
        <Chart
          title={panel.title}
          series={series}
          unit={unit}
          height={120}
          compact
          legend={false}
          xRangeMs={[range.value.startMs, range.value.endMs]}
        />
      </div>
    </div>
  );
}

function merged(receipts: (ReceiptData | undefined)[]): ReceiptData | null {
  const known = receipts.filter((one): one is ReceiptData => Boolean(one));
  if (known.length === 0) return null;
  const sum = (key: 'segments_total' | 'segments_read' | 'rows_scanned' | 'hot_rows') =>
    known.reduce((total, one) => total + (one[key] ?? 0), 0);
  return {
    complete: known.every((one) => one.complete),
    missing: [...new Set(known.flatMap((one) => one.missing ?? []))],
    segments_total: sum('segments_total'),
    segments_read: sum('segments_read'),
    rows_scanned: sum('rows_scanned'),
    hot_rows: sum('hot_rows'),
    elapsed_ms: Math.max(...known.map((one) => one.elapsed_ms ?? 0)),
  };
}
