// The numbers of a chart, 25 rows a page, newest first, with the exemplars as ordinary links.
import { useState } from 'preact/hooks';
import { withUnit } from '../time/format';
import { utcDateTime } from '../time/instant';
import type { PlotExemplar, PlotSeries } from './plot';

const PAGE_ROWS = 25;

interface Props {
  title: string;
  data: (number | null)[][];
  series: PlotSeries[];
  unit: string;
  exemplars: PlotExemplar[];
}

export function DataTable(props: Props) {
  const [open, setOpen] = useState(false);
  return (
    <details class="data-table" data-testid="data-table" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Data as a table</summary>
      {open && <Pages {...props} />}
    </details>
  );
}

function Pages({ title, data, series, unit, exemplars }: Props) {
  const [page, setPage] = useState(0);
  const rows = data[0].length;
  const pages = Math.max(1, Math.ceil(rows / PAGE_ROWS));
  const shown = Array.from(
    { length: Math.min(PAGE_ROWS, rows - page * PAGE_ROWS) },
    (_, index) => rows - 1 - page * PAGE_ROWS - index,
  );
  return (
    <>
      <div class="scroll-x">
        <table class="table">
          <caption class="visually-hidden">{title}</caption>
          <thead>
            <tr>
              <th scope="col">Time (UTC)</th>
              {series.map((one) => (
                <th key={one.label} scope="col" class="num">
                  {one.label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((index) => (
              <tr key={index}>
                <td class="nowrap">{utcDateTime((data[0][index] as number) * 1000)}</td>
                {series.map((one, column) => (
                  <td key={one.label} class="num">
                    {withUnit(data[column + 1][index], unit)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <div class="row">
        <button type="button" class="button small" disabled={page === 0} onClick={() => setPage(page - 1)}>
          Newer
        </button>
        <span class="muted small-text">
          Page {page + 1} of {pages}
        </span>
        <button type="button" class="button small" disabled={page >= pages - 1} onClick={() => setPage(page + 1)}>
          Older
        </button>
      </div>
      {exemplars.length > 0 && (
        <>
          <h3>Example traces</h3>
          <ul class="exemplar-list">
            {exemplars.slice(0, 100).map((one) => (
              <li key={`${one.href}${one.timeMs}`}>
                <a href={one.href}>{one.label}</a>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}
