// Search logs. The URL holds query, filters and range. Older lines are appended on demand, below what is shown.
import { useEffect, useRef, useState } from 'preact/hooks';
import '../styles/trace.css';
import '../styles/logs.css';
import { ApiError, apiUrl, call } from '../api/client';
import type { LogRecord, LogsAnswer, ServicesAnswer } from '../api/types';
import { useQuery } from '../api/useQuery';
import { PageHead } from '../app/Shell';
import { href, params, setParams } from '../app/router';
import { useShortcuts } from '../app/shortcuts';
import { Icon } from '../parts/Icon';
import { CompleteReceipt, PartialReceipt } from '../parts/Receipt';
import { Answer, Empty } from '../parts/States';
import { count, plural } from '../time/format';
import { iso, range, rangeParams, rangeQuery } from '../time/range';
import { FacetPanel } from './FacetPanel';
import { isOpen, openPatch } from './facets';
import { LogRows } from './LogRows';
import { wordsOf, withTerm } from './query';
import { FACETS_BUTTON, QueryForm } from './QueryForm';
import { Volume } from './Volume';

const PAGE_ROWS = 500;

export default function LogsPage() {
  const get = (key: string) => params.value.get(key) ?? '';
  const filters = {
    query: get('query'),
    service: get('service'),
    severity: get('severity'),
    trace_id: get('trace_id'),
    correlation_id: get('correlation_id'),
  };
  const services = useQuery<ServicesAnswer>(apiUrl('/services', rangeQuery.value));
  const query = useQuery<LogsAnswer>(apiUrl('/logs', { ...filters, ...rangeQuery.value, limit: PAGE_ROWS }));
  const facets = useFacets();
  const misread = query.error?.status === 400 ? query.error.message : null;
  return (
    <>
      <PageHead title="Logs" lead="What the services said." />
      <QueryForm
        {...filters}
        services={(services.data?.services ?? []).map((one) => one.name)}
        problem={misread}
        facets={facets}
      />
      <Pinned filters={filters} />
      <div class={`log-layout ${facets.open ? 'with-facets' : ''}`}>
        {facets.open && (
          <FacetPanel
            filters={filters}
            matched={query.loading ? null : (query.data?.matched ?? null)}
            isMisread={misread !== null}
            takesFocus={facets.asked}
            onClose={facets.toggle}
          />
        )}
        <div class="log-found">
          <Answer query={misread ? { ...query, error: null } : query} what="logs">
            {(data) => <Found data={data} filters={filters} />}
          </Answer>
        </div>
      </div>
    </>
  );
}

/** Whether the facets are shown: kept in the address. Not a step of its own to go back to. */
function useFacets() {
  const open = isOpen(params.value);
  const asked = useRef(false);
  const toggle = () => {
    asked.current = true;
    setParams(openPatch(!open), true);
    if (open) document.getElementById(FACETS_BUTTON)?.focus();
  };
  useShortcuts('Facets', [
    { keys: 'f', what: 'Show or hide them: ↑ ↓ choose, Enter takes only this, - leaves it out', run: toggle },
  ]);
  return { open, asked: asked.current, toggle };
}

/** Filters that came with a link and have no field of their own. */
function Pinned({ filters }: { filters: Record<string, string> }) {
  const pinned = ['trace_id', 'correlation_id'].filter((key) => filters[key]);
  if (pinned.length === 0) return null;
  return (
    <div class="row" data-testid="pinned-filters">
      {pinned.map((key) => (
        <span key={key} class="chip accent pinned">
          {key} <span class="mono">{filters[key]}</span>
          <button type="button" aria-label={`Remove the filter on ${key}`} onClick={() => setParams({ [key]: null })}>
            <Icon name="close" />
          </button>
        </span>
      ))}
      {filters.trace_id && (
        <a class="button small" href={href(`/traces/${filters.trace_id}`)}>
          <Icon name="traces" /> Open this trace
        </a>
      )}
    </div>
  );
}

function Found({ data, filters }: { data: LogsAnswer; filters: Record<string, string> }) {
  const older = useOlder(data, filters);
  const logs = older.logs;
  const counted = data.matched !== null && data.matched !== undefined;
  const matched = Math.max(data.matched ?? 0, logs.length);
  const more = !older.end && (counted ? logs.length < matched : logs.length >= PAGE_ROWS);
  const zoom = (startMs: number, endMs: number) =>
    setParams(rangeParams({ kind: 'absolute', startMs: Math.floor(startMs), endMs: Math.ceil(endMs) }));
  const filter = (key: string, value: string, exclude: boolean) =>
    setParams({ query: withTerm(filters.query, key, value, exclude) });
  const footer = more && (
    <div class="log-more">
      <button type="button" class="button" disabled={older.loading} onClick={older.load}>
        {older.loading ? 'Loading…' : `Load ${count(PAGE_ROWS)} older lines`}
      </button>
      {older.error && <span class="problem">{older.error.message}</span>}
    </div>
  );
  return (
    <section class="card log-card" aria-label="Lines found">
      <header>
        <h2 class="grow" data-testid="log-count">
          {plural(matched, 'line')}
          {!counted && more ? ' or more' : ''}{' '}
          {matched > logs.length && <span class="muted">· newest {count(logs.length)} shown</span>}
        </h2>
        <CompleteReceipt receipt={data.receipt} />
      </header>
      <PartialReceipt receipt={data.receipt} />
      <Volume volume={data.volume ?? []} range={range.value} onZoom={zoom} />
      {logs.length === 0 ? (
        <Empty title="No line matches">
          Widen the time range or drop a word. Words must match whole; add * for beginnings, like time*.
        </Empty>
      ) : (
        <>
          <div class="log-line log-head" aria-hidden="true">
            <span class="twisty" />
            <span class="log-time">Time (UTC)</span>
            <span class="log-severity">Severity</span>
            <span class="log-service">Service</span>
            <span class="log-text">Message</span>
          </div>
          <LogRows logs={logs} words={wordsOf(filters.query)} onFilter={filter} footer={footer} />
        </>
      )}
    </section>
  );
}

/** The first answer and what was loaded below it; starts anew with every new first answer. */
function useOlder(data: LogsAnswer, filters: Record<string, string>) {
  const [state, setState] = useState<{
    from: LogsAnswer;
    extra: LogRecord[];
    loading: boolean;
    end: boolean;
    error: ApiError | null;
  }>({ from: data, extra: [], loading: false, end: false, error: null });
  useEffect(() => setState({ from: data, extra: [], loading: false, end: false, error: null }), [data]);
  const extra = state.from === data ? state.extra : [];
  const logs = extra.length > 0 ? [...(data.logs ?? []), ...extra] : (data.logs ?? []);
  const load = () => {
    const last = logs.at(-1);
    if (!last) return;
    setState((old) => ({ ...old, loading: true }));
    // Whether the server's `end` is inclusive or not, lines of that very instant come once: known ones are dropped.
    const end = /^\d+$/.test(last.time_unix_nano) ? String(BigInt(last.time_unix_nano) + 1n) : last.time;
    call<LogsAnswer>(apiUrl('/logs', { ...filters, start: iso(range.value.startMs), end, limit: PAGE_ROWS })).then(
      (answer) => {
        const known = new Set(logs.slice(-PAGE_ROWS).map(identity));
        const fresh = (answer.logs ?? []).filter((log) => !known.has(identity(log)));
        setState((old) =>
          old.from === data
            ? { ...old, extra: [...old.extra, ...fresh], loading: false, end: fresh.length === 0, error: null }
            : old,
        );
      },
      (error: unknown) =>
        setState((old) => ({
          ...old,
          loading: false,
          error: error instanceof ApiError ? error : new ApiError(String(error), 0, 'bug'),
        })),
    );
  };
  return { logs, load, loading: state.loading, end: state.end, error: state.error };
}

const identity = (log: LogRecord) => `${log.time_unix_nano} ${log.service_name} ${log.span_id} ${log.body}`;
