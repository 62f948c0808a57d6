// One span in full: times, status, attributes, events, links, its logs. Everything is text nodes.
import '../styles/span.css';
import type { LogRecord, Span } from '../api/types';
import { href } from '../app/router';
import { AttributeTable, LongText } from '../parts/AttributeTable';
import { ServiceName } from '../parts/Badges';
import { CopyButton } from '../parts/Copy';
import { Icon } from '../parts/Icon';
import { nanos, percent, plural, signedNanos } from '../time/format';
import { utcNanos } from '../time/instant';
import { FLAG_ORPHAN, FLAG_OUTSIDE, type Layout } from './layout';

interface Props {
  layout: Layout;
  position: number;
  logs: LogRecord[];
  onClose: () => void;
}

export function SpanPanel({ layout, position, logs, onClose }: Props) {
  const span = layout.spans.get(layout.order[position]);
  const flags = layout.flags[position];
  return (
    <aside class="span-panel" aria-label="Span details" data-testid="span-panel">
      <header>
        <div class="grow">
          <ServiceName name={span.service_name} />
          <h2>{span.name}</h2>
        </div>
        <button type="button" class="button quiet icon-only" aria-label="Close span details" onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      {span.status === 'error' && (
        <p class="span-error">
          <Icon name="error" />
          <span>
            <strong>Error.</strong> {span.status_message || 'The span carries no status message.'}
          </span>
        </p>
      )}
      {flags & FLAG_ORPHAN ? (
        <p class="span-warn">
          <Icon name="warn" /> Its parent <code>{span.parent_span_id}</code> was not received. It is shown at the top
          level.
        </p>
      ) : null}
      {flags & FLAG_OUTSIDE ? (
        <p class="span-warn">
          <Icon name="warn" /> It starts before its parent: the clocks of the two hosts differ
          {layout.isCorrected && ', and no correction is known'}.
        </p>
      ) : null}
      <Facts span={span} layout={layout} position={position} />
      <Section title="Attributes" open>
        <AttributeTable attributes={span.attributes} empty="This span has no attributes." />
      </Section>
      <Section title={`Events (${span.events?.length ?? 0})`} open={(span.events?.length ?? 0) > 0}>
        <Events span={span} />
      </Section>
      <Section title={`Links (${span.links?.length ?? 0})`} open={(span.links?.length ?? 0) > 0}>
        <Links span={span} />
      </Section>
      <Section title={`Logs (${logs.length})`} open={logs.length > 0}>
        {logs.length === 0 && <p class="muted small-text">No log names this span.</p>}
        <ul class="mini-logs">
          {logs.slice(0, 100).map((log, index) => (
            <li key={index} class={`severity-${log.severity.toLowerCase()}`}>
              <span class="log-severity">{log.severity}</span> <LongText text={log.body} />
            </li>
          ))}
        </ul>
      </Section>
      <Section title="Resource">
        <AttributeTable attributes={span.resource_attributes} />
      </Section>
    </aside>
  );
}

function Section({
  title,
  open = false,
  children,
}: {
  title: string;
  open?: boolean;
  children: preact.ComponentChildren;
}) {
  return (
    <details open={open}>
      <summary>{title}</summary>
      <div>{children}</div>
    </details>
  );
}

function Facts({ span, layout, position }: { span: Span; layout: Layout; position: number }) {
  const below = layout.end[position] - position - 1;
  return (
    <dl class="facts">
      <Fact name="Duration">{nanos(span.duration_ns)}</Fact>
      <Fact name="Starts after">{nanos(layout.start[position])}</Fact>
      <Fact name="Kind">{span.kind}</Fact>
      <Fact name="Below">{plural(below, 'span')}</Fact>
      <Fact name="Self time">{part(span.self_time_ns, span.duration_ns)}</Fact>
      <Fact name="Of the critical path">
        {span.critical_path_ns > 0 ? part(span.critical_path_ns, span.duration_ns) : 'nothing'}
      </Fact>
      <Start span={span} />
      <Fact name="Span id" wide>
        <span class="mono">{span.span_id}</span> <CopyButton text={span.span_id} label="Copy" />
      </Fact>
      {span.scope_name && (
        <Fact name="Scope" wide>
          {span.scope_name}
        </Fact>
      )}
    </dl>
  );
}

/** `8 ms` of a span, with the share where that says more. */
function part(ns: number, durationNs: number): string {
  return ns > 0 && ns < durationNs ? `${nanos(ns)} (${percent(ns / durationNs)})` : nanos(ns);
}

/** Both starts where they differ: no view hides what was sent. */
function Start({ span }: { span: Span }) {
  if (!span.clock_offset_ns)
    return (
      <Fact name="Start (UTC)" wide>
        <span class="mono">{utcNanos(span.start_time_unix_nano)}</span>
      </Fact>
    );
  return (
    <>
      <Fact name="Start, corrected (UTC)" wide>
        <span class="mono" data-testid="start-corrected">
          {utcNanos(span.corrected_start_time_unix_nano)}
        </span>
      </Fact>
      <Fact name="Start as sent (UTC)" wide>
        <span class="mono" data-testid="start-original">
          {utcNanos(span.start_time_unix_nano)}
        </span>
      </Fact>
      <Fact name="Correction of its clock" wide>
        <span data-testid="clock-offset">{signedNanos(span.clock_offset_ns)}</span>
      </Fact>
    </>
  );
}

function Fact({ name, wide, children }: { name: string; wide?: boolean; children: preact.ComponentChildren }) {
  return (
    <div class={wide ? 'wide' : ''}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Events({ span }: { span: Span }) {
  if (!span.events || span.events.length === 0) return <p class="muted small-text">None.</p>;
  return (
    <ul class="events">
      {span.events.map((event, index) => (
        <li key={index}>
          <p class="row">
            <strong>{event.name}</strong>
            <span class="muted">
              {/^\d+$/.test(event.time_unix_nano)
                ? signedNanos(Number(BigInt(event.time_unix_nano) - BigInt(span.start_time_unix_nano)))
                : ''}
            </span>
          </p>
          <AttributeTable attributes={event.attributes} empty="" />
        </li>
      ))}
    </ul>
  );
}

function Links({ span }: { span: Span }) {
  if (!span.links || span.links.length === 0) return <p class="muted small-text">None.</p>;
  return (
    <ul class="events">
      {span.links.map((link, index) => (
        <li key={index}>
          <a class="mono" href={href(`/traces/${link.trace_id}`, { span: link.span_id })}>
            {link.trace_id}
          </a>
          <AttributeTable attributes={link.attributes} empty="" />
        </li>
      ))}
    </ul>
  );
}
