// The same numbers as the drawing, one row an edge, sortable by every column.
import { useState } from 'preact/hooks';
import { href, navigate, setParams } from '../app/router';
import { ServiceName } from '../parts/Badges';
import { Icon } from '../parts/Icon';
import { count, nanos, percent, plural } from '../time/format';
import {
  type Call,
  connectionName,
  isFailing,
  rate,
  sorted,
  type Sort,
  type SortKey,
  sortParams,
  tracesPatch,
} from './calls';

const ROWS_STEP = 500;

const COLUMNS: { key: SortKey; name: string; numeric: boolean; title?: string }[] = [
  { key: 'caller', name: 'Caller', numeric: false },
  { key: 'callee', name: 'Callee', numeric: false },
  { key: 'kind', name: 'Kind', numeric: false },
  { key: 'rate', name: 'Calls/s', numeric: true, title: 'Mean over the time above' },
  { key: 'calls', name: 'Calls', numeric: true },
  { key: 'errors', name: 'Errors', numeric: true, title: 'Calls that failed at the caller or at the callee' },
  { key: 'p50', name: 'p50', numeric: true, title: 'Half of the calls took no longer' },
  { key: 'p99', name: 'p99', numeric: true, title: '99 of 100 calls took no longer' },
];

export function CallTable({ calls, sort }: { calls: Call[]; sort: Sort }) {
  const [most, setMost] = useState(ROWS_STEP);
  const rows = sorted(calls, sort);
  const left = rows.length - most;
  return (
    <>
      <div class="scroll-x">
        <table class="table calls stacks">
          <caption class="visually-hidden">Who calls whom</caption>
          <thead>
            <tr>
              {COLUMNS.map((column) => (
                <th
                  key={column.key}
                  scope="col"
                  class={column.numeric ? 'num' : ''}
                  title={column.title}
                  aria-sort={sort.key === column.key ? (sort.ascending ? 'ascending' : 'descending') : undefined}
                >
                  <button
                    type="button"
                    data-testid={`sort-${column.key}`}
                    onClick={() => setParams(sortParams(sort, column.key), true)}
                  >
                    {column.name}
                    {sort.key === column.key && <Icon name={sort.ascending ? 'up' : 'down'} />}
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, most).map((call) => (
              <Row key={call.id} call={call} />
            ))}
          </tbody>
        </table>
      </div>
      {left > 0 && (
        <p class="body row">
          {plural(left, 'more edge')} in this order.
          <button type="button" class="button small" onClick={() => setMost(most + ROWS_STEP)}>
            Show {count(Math.min(left, ROWS_STEP))} more
          </button>
        </p>
      )}
    </>
  );
}

function Row({ call }: { call: Call }) {
  const to = href('/traces', tracesPatch(call));
  const open = (event: MouseEvent) => {
    if (event.target instanceof Element && !event.target.closest('a') && !window.getSelection()?.toString())
      navigate(to);
  };
  const isService = call.callee_kind === 'service';
  const title = `Traces of ${isService ? call.callee : call.caller}${isService ? '' : `, which calls ${call.callee}`}`;
  return (
    <tr class="link-row" data-testid="call-row" data-caller={call.caller} data-callee={call.callee} onClick={open}>
      <td class="end-cell">
        <ServiceName name={call.caller} />
      </td>
      <td class="end-cell main-cell">
        <span class="only-narrow">{call.caller} → </span>
        <a class="row-link" href={to} title={title}>
          {call.callee}
        </a>
      </td>
      <td class="nowrap">
        {connectionName(call.connection)}
        {!isService && (
          <>
            {' '}
            <span class="chip" title="Known by its callers only: it sends no spans itself">
              {call.callee_kind}
            </span>
          </>
        )}
      </td>
      <td class="num" data-label="Calls/s">
        <strong>{rate(call.perSecond)}</strong>
      </td>
      <td class="num" data-label="Calls">
        {count(call.calls)}
      </td>
      <td class="num" data-label="Errors">
        <Errors call={call} />
      </td>
      <td class="num" data-label="p50">
        {call.duration_p50_ns === null ? '–' : nanos(call.duration_p50_ns)}
      </td>
      <td class="num" data-label="p99">
        {call.duration_p99_ns === null ? '–' : nanos(call.duration_p99_ns)}
      </td>
    </tr>
  );
}

function Errors({ call }: { call: Call }) {
  if (call.errors === 0) return <span class="muted">0</span>;
  return (
    <a href={href('/traces', tracesPatch(call, true))} title="Only traces with errors" data-testid="call-errors">
      {count(call.errors)}{' '}
      <span class={`chip ${isFailing(call) ? 'bad' : ''}`}>
        {isFailing(call) && <Icon name="error" />}
        {percent(call.errorRatio)}
      </span>
    </a>
  );
}
