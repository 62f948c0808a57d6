// The head of a trace: where the time went by service, what is incomplete, and the way on to logs and SLOs.
import { useMemo } from 'preact/hooks';
import { apiUrl } from '../api/client';
import type { LogRecord, Slo, SlosAnswer, TraceSummary } from '../api/types';
import { useQuery } from '../api/useQuery';
import { href } from '../app/router';
import { serviceColor } from '../charts/palette';
import { SloBadge, TraceState } from '../parts/Badges';
import { CopyButton } from '../parts/Copy';
import { Icon } from '../parts/Icon';
import { nanos, percent, plural, signedNanos } from '../time/format';
import { instantMs, utcNanos } from '../time/instant';
import { rangeParams } from '../time/range';
import { byService, clockOffsets } from './figures';
import type { Layout } from './layout';

const MOST_PARTS = 8;
const MOST_CLOCKS = 4;
const MOST_SLOS = 3;
const MARGIN_MS = 60_000;

/** The address of the logs of this trace, with an absolute range around it: logs carry the times of their senders. */
export function logsHref(trace: TraceSummary, layout: Layout): string {
  const startMs = instantMs(trace.start_time_unix_nano) ?? Number(layout.originNs / 1_000_000n);
  const rawMs = instantMs(trace.raw_start_time_unix_nano) ?? startMs;
  const endMs = startMs + Math.max(layout.totalNs, trace.duration_ns) / 1e6;
  const rawEndMs = rawMs + (trace.raw_duration_ns ?? 0) / 1e6;
  const bounds = rangeParams({
    kind: 'absolute',
    startMs: Math.floor(Math.min(startMs, rawMs) - MARGIN_MS),
    endMs: Math.ceil(Math.max(endMs, rawEndMs) + MARGIN_MS),
  });
  return href('/logs', { ...bounds, trace_id: trace.trace_id });
}

/** The way to the logs of this trace. */
export function LogsLink({ trace, layout, logs }: { trace: TraceSummary; layout: Layout; logs: LogRecord[] }) {
  return (
    <a class="button" href={logsHref(trace, layout)} data-testid="trace-logs-link">
      <Icon name="logs" /> {logs.length > 0 ? plural(logs.length, 'log line') : 'Search its logs'}
    </a>
  );
}

export function TraceFacts({ trace, layout, logs }: { trace: TraceSummary; layout: Layout; logs: LogRecord[] }) {
  const sent = !layout.isCorrected;
  const durationNs = (sent && trace.raw_duration_ns) || trace.duration_ns || layout.totalNs;
  const start = (sent && trace.raw_start_time_unix_nano) || trace.start_time_unix_nano;
  return (
    <div class="trace-facts">
      <div class="trace-top">
        <dl class="tiles">
          <Tile name="Duration">{nanos(durationNs)}</Tile>
          <Tile name="Spans">
            {plural(layout.order.length, 'span')} <span class="muted">{layout.maxDepth + 1} deep</span>
          </Tile>
          <Tile name="Errors">
            {layout.errors > 0 ? (
              <span class="chip bad">
                <Icon name="error" />
                {plural(layout.errors, 'error')}
              </span>
            ) : (
              'None'
            )}
          </Tile>
          <Tile name="Start (UTC)">
            <span class="mono">{utcNanos(start).slice(0, 23)}</span>
          </Tile>
          <Tile name="Trace id">
            <span class="mono trace-id">{trace.trace_id}</span> <CopyButton text={trace.trace_id} label="Copy" />
          </Tile>
        </dl>
        <LogsLink trace={trace} layout={layout} logs={logs} />
      </div>
      <Gaps trace={trace} layout={layout} />
      <div class="trace-links">
        <SelfTime layout={layout} />
        <Slos services={layout.services} />
      </div>
    </div>
  );
}

function Tile({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** What is not here or not as sent, said plainly. */
function Gaps({ trace, layout }: { trace: TraceSummary; layout: Layout }) {
  const rootless = !trace.root_name || trace.state === 'missing_root';
  const whole = !trace.state || trace.state === 'complete';
  if (!rootless && layout.orphans === 0 && whole && !layout.isSkewed) return null;
  const isSkewed = layout.isSkewed || trace.state === 'clock_skewed';
  const isCorrected = layout.isSkewed && layout.isCorrected;
  return (
    <div class="trace-gaps" role="note" data-testid="trace-gaps">
      <TraceState state={trace.state} isCorrected={isCorrected} />
      {isSkewed && trace.state !== 'clock_skewed' && <TraceState state="clock_skewed" isCorrected={isCorrected} />}
      <p>
        {rootless &&
          'The root span was not received, so the true start, duration and outcome of the request are unknown. '}
        {layout.orphans > 0 &&
          `${plural(layout.orphans, 'span')} ${layout.orphans === 1 ? 'names a parent that was' : 'name parents that were'} not received; ${layout.orphans === 1 ? 'it is' : 'they are'} shown at the top level. `}
        {isSkewed && <ClockNote layout={layout} />}
        {(rootless || layout.orphans > 0) && 'Late spans join the trace when they arrive.'}
      </p>
    </div>
  );
}

/** Whose clocks are off, and which times are shown. */
function ClockNote({ layout }: { layout: Layout }) {
  const offsets = useMemo(() => clockOffsets(layout), [layout]);
  if (offsets.length === 0) return <>Spans start before their parents, and no correction of clocks mends that. </>;
  const named = offsets.slice(0, MOST_CLOCKS).map((one) => `${one.service} by ${signedNanos(one.offsetNs)}`);
  const more = offsets.length > named.length ? `, ${offsets.length - named.length} more` : '';
  return (
    <>
      {layout.isCorrected
        ? 'Clocks are off, and these services are moved to where their callers leave room: '
        : 'These are the times as sent, though clocks are off. The correction moves '}
      {`${named.join(', ')}${more}. `}
    </>
  );
}

function SelfTime({ layout }: { layout: Layout }) {
  const parts = useMemo(() => byService(layout).filter((part) => part.selfNs > 0), [layout]);
  const total = parts.reduce((sum, part) => sum + part.selfNs, 0);
  const critical = parts.reduce((sum, part) => sum + part.criticalNs, 0);
  if (total === 0) return null;
  const shown = parts.slice(0, MOST_PARTS);
  const label = shown.map((part) => `${part.service} ${percent(part.selfNs / total)}`).join(', ');
  return (
    <div class="self-time">
      <div class="self-bar" role="img" aria-label={`Time spent in each service itself: ${label}`}>
        {shown.map((part) => (
          <span
            key={part.service}
            style={{ width: `${(100 * part.selfNs) / total}%`, background: `var(${serviceColor(part.service)})` }}
          />
        ))}
      </div>
      <ul title="Time a service spent itself, not waiting for the spans below, and its share of the critical path">
        {shown.map((part) => (
          <li key={part.service}>
            <span class="swatch" style={{ background: `var(${serviceColor(part.service)})` }} />
            {part.service} <strong>{nanos(part.selfNs)}</strong>{' '}
            <span class="muted">
              {percent(part.selfNs / total)}
              {part.criticalNs > 0 && `, ${percent(part.criticalNs / critical)} of the critical path`}
            </span>
          </li>
        ))}
        {parts.length > shown.length && <li class="muted">+{parts.length - shown.length}</li>}
      </ul>
    </div>
  );
}

function Slos({ services }: { services: string[] }) {
  const { data } = useQuery<SlosAnswer>(apiUrl('/slos'));
  const rank = (slo: Slo) => ['breached', 'at_risk', 'unknown', 'met'].indexOf(slo.state);
  const touched = (data?.slos ?? []).filter((slo) => services.includes(slo.service)).sort((a, b) => rank(a) - rank(b));
  if (touched.length === 0) return null;
  return (
    <ul class="trace-slos" aria-label="SLOs of these services">
      {touched.slice(0, MOST_SLOS).map((slo) => (
        <li key={slo.id}>
          <a
            href={href(`/slos/${encodeURIComponent(slo.id)}`)}
            title={`${slo.name}: ${slo.state_reason || 'objective met'}`}
          >
            {slo.name}
          </a>{' '}
          <SloBadge state={slo.state} />
        </li>
      ))}
      {touched.length > MOST_SLOS && <li class="muted">+{touched.length - MOST_SLOS}</li>}
    </ul>
  );
}
