// The logs of the trace on its own clock; a click goes to the span that wrote the line.
import type { LogRecord } from '../api/types';
import { LongText } from '../parts/AttributeTable';
import { ServiceName } from '../parts/Badges';
import { signedNanos } from '../time/format';
import { utcNanos } from '../time/instant';
import type { Layout } from './layout';

const MOST_LINES = 500;

export function TraceLogs({
  logs,
  layout,
  onSpan,
  more,
}: {
  logs: LogRecord[];
  layout: Layout;
  onSpan: (position: number) => void;
  more: string;
}) {
  if (logs.length === 0) {
    return (
      <p class="muted body">
        No log names this trace. <a href={more}>Search the logs around it</a>, or check that the services write the
        trace id into their logs.
      </p>
    );
  }
  return (
    <div class="scroll-x">
      <table class="table trace-logs">
        <thead>
          <tr>
            <th scope="col">After start</th>
            <th scope="col">Severity</th>
            <th scope="col">Service</th>
            <th scope="col">Message</th>
            <th scope="col">Span</th>
          </tr>
        </thead>
        <tbody>
          {logs.slice(0, MOST_LINES).map((log, index) => (
            <Line key={index} log={log} layout={layout} onSpan={onSpan} />
          ))}
        </tbody>
      </table>
      {logs.length > MOST_LINES && (
        <p class="body">
          <a href={more}>All {logs.length} lines in the log search</a>
        </p>
      )}
    </div>
  );
}

function Line({ log, layout, onSpan }: { log: LogRecord; layout: Layout; onSpan: (position: number) => void }) {
  const position = log.span_id ? layout.positionOf(log.span_id) : -1;
  const known = /^\d+$/.test(log.time_unix_nano);
  // Written by the process of the span, so its clock is off by as much.
  const offsetNs = position < 0 ? 0 : layout.offset[position];
  return (
    <tr data-testid="log-row" class={`severity-${log.severity.toLowerCase()}`}>
      <td
        class="nowrap mono"
        title={`${utcNanos(log.time_unix_nano)} UTC${offsetNs ? `, corrected by ${signedNanos(offsetNs)}` : ''}`}
      >
        {known ? signedNanos(Number(BigInt(log.time_unix_nano) - layout.originNs) + offsetNs) : '–'}
      </td>
      <td>
        <span class="log-severity">{log.severity}</span>
      </td>
      <td>
        <ServiceName name={log.service_name} />
      </td>
      <td class="mono log-body">
        <LongText text={log.body} />
      </td>
      <td>
        {position < 0 ? (
          <span class="muted">{log.span_id ? 'not received' : '–'}</span>
        ) : (
          <button type="button" class="text-button" onClick={() => onSpan(position)}>
            {layout.spans.spanName(layout.order[position])}
          </button>
        )}
      </td>
    </tr>
  );
}
