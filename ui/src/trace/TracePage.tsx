// One trace. URL state: `span` (the selected span), `view=logs`. Loads once; the layout is computed once per answer.
import { useEffect, useMemo, useState } from 'preact/hooks';
import '../styles/trace.css';
import { apiUrl } from '../api/client';
import type { LogRecord, TraceAnswer } from '../api/types';
import { useQuery } from '../api/useQuery';
import { PageHead } from '../app/Shell';
import { href, params, setParams } from '../app/router';
import { useShortcuts } from '../app/shortcuts';
import type { PageProps } from '../app/routes';
import { Receipt } from '../parts/Receipt';
import { Answer, Empty } from '../parts/States';
import { ServiceName } from '../parts/Badges';
import { FLAG_ERROR, type Layout, layoutTrace, visibleRows } from './layout';
import { Minimap } from './Minimap';
import type { View } from './paint';
import { SpanPanel } from './SpanPanel';
import { logsHref, TraceFacts } from './TraceHead';
import { TraceLogs } from './TraceLogs';
import { Waterfall, zoomed } from './Waterfall';

export default function TracePage({ id }: PageProps) {
  const query = useQuery<TraceAnswer>(apiUrl(`/traces/${encodeURIComponent(id)}`));
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
          data.spans?.length ? (
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

const wholeOf = (layout: Layout): View => ({ fromNs: 0, toNs: Math.max(1, layout.totalNs) });

function Loaded({ data }: { data: TraceAnswer }) {
  const layout = useMemo(() => layoutTrace(data.spans), [data]);
  const logs = useMemo(() => (data.logs ?? []).toSorted(byTime), [data]);
  const [collapsed, setCollapsed] = useState<ReadonlySet<number>>(new Set());
  const [view, setView] = useState<View>(wholeOf(layout));
  useEffect(() => setView(wholeOf(layout)), [layout]);
  const rows = useMemo(() => visibleRows(layout, collapsed), [layout, collapsed]);
  const span = params.value.get('span');
  const opened = span ? (layout.positionOf.get(span) ?? -1) : -1;
  const [cursor, setCursor] = useState(opened);
  useEffect(() => setCursor((old) => (opened >= 0 ? opened : old)), [opened]);
  const showLogs = params.value.get('view') === 'logs';

  const open = (position: number) => {
    reveal(position, layout, collapsed, setCollapsed);
    setCursor(position);
    setParams({ span: layout.spans[layout.order[position]].span_id, view: null }, true);
  };
  const toggle = (position: number) => {
    const next = new Set(collapsed);
    if (!next.delete(position)) next.add(position);
    setCollapsed(next);
  };
  useWaterfallKeys({
    layout,
    rows,
    collapsed,
    setCollapsed,
    cursor,
    setCursor,
    open,
    toggle,
    view,
    setView,
    close: () => setParams({ span: null }, true),
    isOpen: opened >= 0,
  });
  const spanLogs = opened >= 0 ? logs.filter((log) => log.span_id === span) : [];
  return (
    <>
      <TraceFacts trace={data.trace} layout={layout} logs={logs} />
      <section class="card trace-card" aria-label="Trace">
        <header>
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
              Logs <span class="muted">{logs.length}</span>
            </button>
          </div>
          {data.receipt?.complete && <Receipt receipt={data.receipt} />}
          {!showLogs && <Tools layout={layout} setCollapsed={setCollapsed} />}
        </header>
        {!data.receipt?.complete && (
          <div class="body">
            <Receipt receipt={data.receipt} />
          </div>
        )}
        {showLogs ? (
          <TraceLogs logs={logs} layout={layout} onSpan={open} more={logsHref(data.trace, layout)} />
        ) : (
          <div class={`trace-body ${opened >= 0 ? 'with-panel' : ''}`}>
            <div class="trace-main">
              <Minimap layout={layout} view={view} onView={setView} />
              <Waterfall
                layout={layout}
                rows={rows}
                collapsed={collapsed}
                selected={cursor}
                view={view}
                onSelect={open}
                onToggle={toggle}
                onOpen={open}
                onView={setView}
              />
            </div>
            {opened >= 0 && (
              <SpanPanel
                key={span}
                layout={layout}
                position={opened}
                logs={spanLogs}
                onClose={() => setParams({ span: null }, true)}
              />
            )}
          </div>
        )}
      </section>
    </>
  );
}

function Tools({ layout, setCollapsed }: { layout: Layout; setCollapsed: (next: ReadonlySet<number>) => void }) {
  return (
    <div class="row">
      <button type="button" class="button small" onClick={() => setCollapsed(allParents(layout))}>
        Collapse all
      </button>
      <button type="button" class="button small" onClick={() => setCollapsed(new Set())}>
        Expand all
      </button>
    </div>
  );
}

function allParents(layout: Layout): Set<number> {
  const all = new Set<number>();
  for (let position = 0; position < layout.order.length; position += 1)
    if (layout.end[position] > position + 1) all.add(position);
  return all;
}

/** Opens everything above `position`. */
function reveal(
  position: number,
  layout: Layout,
  collapsed: ReadonlySet<number>,
  setCollapsed: (next: ReadonlySet<number>) => void,
): void {
  const next = new Set(collapsed);
  for (let up = layout.parent[position]; up >= 0; up = layout.parent[up]) next.delete(up);
  if (next.size !== collapsed.size) setCollapsed(next);
}

interface Keys {
  layout: Layout;
  rows: Int32Array;
  collapsed: ReadonlySet<number>;
  setCollapsed: (next: ReadonlySet<number>) => void;
  cursor: number;
  setCursor: (position: number) => void;
  open: (position: number) => void;
  toggle: (position: number) => void;
  view: View;
  setView: (view: View) => void;
  close: () => void;
  isOpen: boolean;
}

function useWaterfallKeys(on: Keys): void {
  const { layout, rows, collapsed, cursor, view } = on;
  const go = (position: number) => (on.isOpen ? on.open(position) : on.setCursor(position));
  const move = (step: number) => () => {
    const now = rows.indexOf(cursor);
    go(rows[Math.min(rows.length - 1, Math.max(0, now + step))]);
  };
  const left = () => {
    if (cursor >= 0 && layout.end[cursor] > cursor + 1 && !collapsed.has(cursor)) on.toggle(cursor);
    else if (cursor >= 0 && layout.parent[cursor] >= 0) go(layout.parent[cursor]);
  };
  const right = () => {
    if (collapsed.has(cursor)) on.toggle(cursor);
    else move(1)();
  };
  const nextError = () => {
    for (let step = 1; step <= layout.order.length; step += 1) {
      const position = (Math.max(-1, cursor) + step) % layout.order.length;
      if (layout.flags[position] & FLAG_ERROR) return on.open(position);
    }
  };
  const zoom = (factor: number) => () => {
    const middle =
      cursor >= 0
        ? Math.min(view.toNs, Math.max(view.fromNs, layout.start[cursor] + layout.duration[cursor] / 2))
        : (view.fromNs + view.toNs) / 2;
    on.setView(zoomed(view, layout.totalNs, factor, middle));
  };
  useShortcuts('Trace', [
    { keys: 'j / ArrowDown', what: 'Next span', run: move(1) },
    { keys: 'k / ArrowUp', what: 'Previous span', run: move(-1) },
    { keys: 'ArrowLeft', what: 'Collapse, or go to the parent', run: left },
    { keys: 'ArrowRight', what: 'Expand, or go to the next span', run: right },
    { keys: 'Enter', what: 'Open the span’s details', run: () => cursor >= 0 && on.open(cursor) },
    { keys: 'Escape', what: 'Close the details', run: on.close },
    { keys: 'e', what: 'Next span with an error', run: nextError },
    { keys: '[', what: 'Collapse all', run: () => on.setCollapsed(allParents(layout)) },
    { keys: ']', what: 'Expand all', run: () => on.setCollapsed(new Set()) },
    { keys: '+', what: 'Zoom in', run: zoom(0.6) },
    { keys: '-', what: 'Zoom out', run: zoom(1.6) },
    { keys: '0', what: 'Show the whole trace', run: () => on.setView(wholeOf(layout)) },
  ]);
}
