// The lines found, virtual, each expandable in place. Bodies and attributes are text nodes, never markup.
import { useState } from 'preact/hooks';
import type { LogRecord } from '../api/types';
import { href } from '../app/router';
import { useShortcuts } from '../app/shortcuts';
import { navigate } from '../app/router';
import { AttributeTable } from '../parts/AttributeTable';
import { ServiceName } from '../parts/Badges';
import { CopyButton } from '../parts/Copy';
import { Icon } from '../parts/Icon';
import { isNarrow } from '../parts/narrow';
import { VirtualRows } from '../parts/VirtualRows';
import { instantMs, utcNanos } from '../time/instant';
import { highlight } from './query';

const ROW_PX = 26;
const NARROW_ROW_PX = 48;
const BODY_CHARS = 600;

interface Props {
  logs: LogRecord[];
  words: string[];
  onFilter: (key: string, value: string, exclude: boolean) => void;
  footer?: preact.ComponentChildren;
}

export function LogRows({ logs, words, onFilter, footer }: Props) {
  const [active, setActive] = useState(-1);
  const [expanded, setExpanded] = useState<ReadonlySet<number>>(new Set());
  const toggle = (index: number) => {
    const next = new Set(expanded);
    if (!next.delete(index)) next.add(index);
    setExpanded(next);
    setActive(index);
  };
  const move = (step: number) => () => setActive(Math.min(logs.length - 1, Math.max(0, active + step)));
  useShortcuts('Logs', [
    { keys: 'j / ArrowDown', what: 'Next line', run: move(1) },
    { keys: 'k / ArrowUp', what: 'Previous line', run: move(-1) },
    { keys: 'Enter', what: 'Show or hide the line’s details', run: () => active >= 0 && toggle(active) },
    {
      keys: 'o',
      what: 'Open the line’s trace',
      run: () => logs[active]?.trace_id && navigate(traceHref(logs[active])),
    },
  ]);
  return (
    <VirtualRows
      count={logs.length}
      rowHeight={isNarrow.value ? NARROW_ROW_PX : ROW_PX}
      expanded={expanded}
      active={active}
      label="Log lines"
      footer={footer}
      row={(index) => (
        <Line
          log={logs[index]}
          words={words}
          open={expanded.has(index)}
          active={index === active}
          onToggle={() => toggle(index)}
        />
      )}
      detail={(index) => <Detail log={logs[index]} onFilter={onFilter} />}
    />
  );
}

const traceHref = (log: LogRecord) => href(`/traces/${log.trace_id}`, { span: log.span_id });

function localTime(log: LogRecord): string {
  const ms = instantMs(log.time_unix_nano) ?? instantMs(log.time);
  return ms === null ? log.time : new Date(ms).toISOString().slice(5, 23).replace('T', ' ');
}

interface LineProps {
  log: LogRecord;
  words: string[];
  open: boolean;
  active: boolean;
  onToggle: () => void;
}

function Line({ log, words, open, active, onToggle }: LineProps) {
  const pieces = highlight(log.body.slice(0, BODY_CHARS), words);
  return (
    <div
      class={`log-line severity-${log.severity.toLowerCase()} ${active ? 'active' : ''}`}
      data-testid="log-row"
      onClick={(event) => event.target instanceof Element && !event.target.closest('a') && onToggle()}
    >
      <button type="button" class="twisty" tabIndex={-1} aria-expanded={open} aria-label="Details of this line">
        <Icon name={open ? 'down' : 'right'} />
      </button>
      <time class="mono log-time">{localTime(log)}</time>
      <span class="log-severity">{log.severity}</span>
      <span class="log-service" title={log.service_name}>
        <ServiceName name={log.service_name} />
      </span>
      <span class="log-text mono">
        {log.event_name && <span class="chip accent">{log.event_name}</span>}
        {pieces.map((piece, index) => (index % 2 ? <mark key={index}>{piece}</mark> : piece))}
      </span>
      {log.trace_id && (
        <a
          class="log-trace"
          href={traceHref(log)}
          title="Open the trace of this line"
          aria-label="Open the trace of this line"
          tabIndex={-1}
          data-testid="log-trace-link"
        >
          <Icon name="traces" /> trace
        </a>
      )}
    </div>
  );
}

function Detail({ log, onFilter }: { log: LogRecord; onFilter: Props['onFilter'] }) {
  const ids = Object.fromEntries(
    Object.entries({
      service: log.service_name,
      severity: log.severity,
      event: log.event_name,
      trace_id: log.trace_id,
      span_id: log.span_id,
      correlation_id: log.correlation_id,
    }).filter(([, value]) => value),
  );
  return (
    <div class="log-detail">
      <div class="row">
        <span class="mono">{utcNanos(log.time_unix_nano)} UTC</span>
        <span class="grow" />
        {log.trace_id && (
          <a class="button small" href={traceHref(log)}>
            <Icon name="traces" /> Open trace
          </a>
        )}
        <CopyButton text={() => JSON.stringify(log, null, 2)} label="Copy as JSON" quiet={false} />
      </div>
      <pre class="log-full">{log.body}</pre>
      <div class="log-columns">
        <section>
          <h3>Fields</h3>
          <AttributeTable attributes={ids} onFilter={onFilter} />
        </section>
        <section>
          <h3>Attributes</h3>
          <AttributeTable attributes={log.attributes} onFilter={onFilter} />
        </section>
        <section>
          <h3>Resource</h3>
          <AttributeTable attributes={log.resource_attributes} onFilter={onFilter} />
        </section>
      </div>
    </div>
  );
}
