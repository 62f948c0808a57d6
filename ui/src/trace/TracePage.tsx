// One trace. URL state: `span` (the selected span), `view=logs`, `times=original`. Loads once; the layout is computed
// once per answer and kind of times.
import { useMemo } from 'preact/hooks';
import '../styles/trace.css';
import { apiUrl } from '../api/client';
import type { LogRecord, TraceAnswer } from '../api/types';
import { useQuery } from '../api/useQuery';
import { PageHead } from '../app/Shell';
import { href, params, setParams } from '../app/router';
import type { PageProps } from '../app/routes';
import { CompleteReceipt, PartialReceipt } from '../parts/Receipt';
import { Answer, Empty } from '../parts/States';
import { ServiceName } from '../parts/Badges';
import { useWaterfallKeys } from './keys';
import { allFolded, type Folds, type Layout, layoutTrace, nothingFolded } from './layout';
import { Minimap } from './Minimap';
import { isOriginal, showOriginal, usePlace } from './place';
import { SpanPanel } from './SpanPanel';
import { readSpans, type Spans } from './spans';
import { logsHref, TraceFacts } from './TraceHead';
import { TraceLogs } from './TraceLogs';
import { Waterfall } from './Waterfall';

export default function TracePage({ id }: PageProps) {
  const query = useQuery(apiUrl(`/traces/${encodeURIComponent(id)}`), 0, readSpans<TraceAnswer>);
  const trace = query.data?.trace;
  return (
    <>
      <PageHead
        title={trace ? (trace.root_name ?? 'Trace without its root') : 'Trace'}
        lead={
          trace ? (
            <>
              {trace.root_service ? (
                <ServiceName name={trace.root_service} />
              ) : (
                <span class="muted">root service unknown</span>
              )}
            </>
          ) : (
            <span class="mono">{id}</span>
          )
        }
      >
        <a class="button quiet" href={href('/traces')}>
          All traces
        </a>
      </PageHead>
      <Answer query={query} what="this trace">
        {(data) =>
          data.spans.length > 0 ? (
            <Loaded data={data} />
          ) : (
            <Empty title="This trace has no spans yet">
              Only logs or events are known. <a href={href('/logs', { trace_id: id })}>See its logs</a>.
            </Empty>
          )
        }
      </Answer>
    </>
  );
}

/** Nanosecond texts in time order, without losing digits. */
function byTime(a: LogRecord, b: LogRecord): number {
  return a.time_unix_nano.length - b.time_unix_nano.length || (a.time_unix_nano < b.time_unix_nano ? -1 : 1);
}

function Loaded({ data }: { data: TraceAnswer & { spans: Spans } }) {
  const original = isOriginal(params.value);
  const layout = useMemo(() => layoutTrace(data.spans, !original), [data, original]);
  const logs = useMemo(() => (data.logs ?? []).toSorted(byTime), [data]);
  const place = usePlace(layout);
  const { rows, folds, setFolds, view, setView, cursor, opened, open, toggle, close } = place;
  useWaterfallKeys(place);
  const span = params.value.get('span');
  const showLogs = params.value.get('view') === 'logs';
  const spanLogs = opened >= 0 ? logs.filter((log) => log.span_id === span) : [];
  return (
    <>
      <TraceFacts trace={data.trace} layout={layout} logs={logs} />
      <section class="card trace-card" aria-label="Trace">
        <header>
          <Tabs showLogs={showLogs} lines={logs.length} />
          <CompleteReceipt receipt={data.receipt} />
          {layout.isSkewed && <Times original={original} />}
          {!showLogs && <Tools layout={layout} setFolds={setFolds} />}
        </header>
        <PartialReceipt receipt={data.receipt} />
        {showLogs ? (
          <TraceLogs logs={logs} layout={layout} onSpan={open} more={logsHref(data.trace, layout)} />
        ) : (
          <div class={`trace-body ${opened >= 0 ? 'with-panel' : ''}`}>
            <div class="trace-main">
              <Minimap layout={layout} view={view} onView={setView} />
              <Waterfall
                {...{ layout, rows, folds, view }}
                selected={cursor}
                onSelect={open}
                onToggle={toggle}
                onOpen={open}
                onView={setView}
              />
            </div>
            {opened >= 0 && <SpanPanel key={span} layout={layout} position={opened} logs={spanLogs} onClose={close} />}
          </div>
        )}
      </section>
    </>
  );
}

function Tabs({ showLogs, lines }: { showLogs: boolean; lines: number }) {
  return (
    <div class="tabs grow" role="group" aria-label="View">
      <button type="button" aria-pressed={!showLogs} onClick={() => setParams({ view: null }, true)}>
        Waterfall
      </button>
      <button
        type="button"
        aria-pressed={showLogs}
        onClick={() => setParams({ view: 'logs' }, true)}
        data-testid="trace-logs-tab"
      >
        Logs <span class="muted">{lines}</span>
      </button>
    </div>
  );
}

/** Whose clocks are off, their spans have two times. */
function Times({ original }: { original: boolean }) {
  return (
    <div class="row times" role="group" aria-label="Times">
      <span class="muted small-text">Times</span>
      <button
        type="button"
        class="button small"
        aria-pressed={!original}
        title="The errors of clocks taken out (c)"
        data-testid="times-corrected"
        onClick={() => showOriginal(false)}
      >
        Corrected
      </button>
      <button
        type="button"
        class="button small"
        aria-pressed={original}
        title="As the clocks of the senders had them (c)"
        data-testid="times-original"
        onClick={() => showOriginal(true)}
      >
        Original
      </button>
    </div>
  );
}

function Tools({ layout, setFolds }: { layout: Layout; setFolds: (next: Folds) => void }) {
  return (
    <div class="row">
      <button type="button" class="button small" onClick={() => setFolds(allFolded(layout))}>
        Collapse all
      </button>
      <button type="button" class="button small" onClick={() => setFolds(nothingFolded(layout))}>
        Expand all
      </button>
    </div>
  );
}
