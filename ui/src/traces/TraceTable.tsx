// The traces found, sortable by any number; the bar behind a duration compares it with the longest shown.
import type { TraceSummary } from '../api/types';
import { href, navigate, setParams } from '../app/router';
import { ServiceName, TraceState } from '../parts/Badges';
import { Icon } from '../parts/Icon';
import { count, nanos } from '../time/format';
import { instantMs, utcClock, utcShort } from '../time/instant';

export type SortKey = 'start' | 'duration' | 'spans' | 'errors';
const MOST_SERVICES = 3;

const SORTS: Record<SortKey, (trace: TraceSummary) => number> = {
  start: (trace) => instantMs(trace.start_time_unix_nano) ?? 0,
  duration: (trace) => trace.duration_ns,
  spans: (trace) => trace.span_count,
  errors: (trace) => trace.error_count,
};

export function sorted(traces: TraceSummary[], key: SortKey, ascending: boolean): TraceSummary[] {
  const by = SORTS[key] ?? SORTS.start;
  return traces.toSorted((a, b) => (ascending ? by(a) - by(b) : by(b) - by(a)));
}

interface Props {
  traces: TraceSummary[];
  sort: SortKey;
  ascending: boolean;
}

export function TraceTable({ traces, sort, ascending }: Props) {
  const longest = Math.max(1, ...traces.map((trace) => trace.duration_ns));
  const head = (key: SortKey, label: string, numeric: boolean) => (
    <th
      scope="col"
      class={numeric ? 'num' : ''}
      aria-sort={sort === key ? (ascending ? 'ascending' : 'descending') : undefined}
    >
      <button
        type="button"
        onClick={() =>
          setParams({ sort: key === 'start' ? null : key, order: sort === key && !ascending ? 'asc' : null }, true)
        }
      >
        {label}
        {sort === key && <Icon name={ascending ? 'up' : 'down'} />}
      </button>
    </th>
  );
  return (
    <div class="scroll-x">
      <table class="table traces stacks">
        <thead>
          <tr>
            {head('start', 'Start (UTC)', false)}
            <th scope="col">Root</th>
            {head('duration', 'Duration', false)}
            {head('spans', 'Spans', true)}
            {head('errors', 'Errors', true)}
            <th scope="col">Services</th>
          </tr>
        </thead>
        <tbody>
          {traces.map((trace) => (
            <Row key={trace.trace_id} trace={trace} longest={longest} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ trace, longest }: { trace: TraceSummary; longest: number }) {
  const startMs = instantMs(trace.start_time_unix_nano);
  const to = href(`/traces/${trace.trace_id}`);
  const services = trace.services ?? [];
  const open = (event: MouseEvent) => {
    if (event.target instanceof Element && !event.target.closest('a') && !window.getSelection()?.toString())
      navigate(to);
  };
  return (
    <tr class="link-row" data-testid="trace-row" data-trace-id={trace.trace_id} onClick={open}>
      <td class="nowrap" title={startMs === null ? '' : `${new Date(startMs).toISOString()} (UTC)`}>
        {startMs === null ? '–' : utcShort(startMs).replace(utcClock(startMs), '')}
        <span class="mono">{startMs === null ? '' : utcClock(startMs, true)}</span>
      </td>
      <td class="root-cell main-cell">
        <a class="row-link" href={to}>
          {trace.root_name ?? 'root span not received'}
        </a>
        <span class="muted">{trace.root_service ? <ServiceName name={trace.root_service} /> : 'unknown service'}</span>
        <TraceState state={trace.state} isCorrected={Boolean(trace.clock_offset_ns)} />
      </td>
      <td class="duration-cell" data-label="Duration">
        <span
          class={`duration-bar ${trace.error_count > 0 ? 'bad' : ''}`}
          style={{ width: `${Math.max(1, (100 * trace.duration_ns) / longest)}%` }}
        />
        <strong>{nanos(trace.duration_ns)}</strong>
      </td>
      <td class="num" data-label="Spans">
        {count(trace.span_count)}
      </td>
      <td class="num" data-label="Errors">
        {trace.error_count > 0 ? (
          <span class="chip bad">
            <Icon name="error" />
            {count(trace.error_count)}
          </span>
        ) : (
          <span class="muted">0</span>
        )}
      </td>
      <td>
        <span class="services">
          {services.slice(0, MOST_SERVICES).map((name) => (
            <ServiceName key={name} name={name} />
          ))}
          {services.length > MOST_SERVICES && <span class="muted">+{services.length - MOST_SERVICES}</span>}
        </span>
      </td>
    </tr>
  );
}
