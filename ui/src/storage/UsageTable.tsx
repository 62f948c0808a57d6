// One row a table, the largest first, and the sums.
import type { TableUsage } from '../api/types';
import { bytes, count } from '../time/format';
import { instantMs, utcShort } from '../time/instant';
import { bySize, kept, measuredOver, share, totals } from './usage';

export function UsageTable({ tables, at }: { tables: TableUsage[]; at: string }) {
  const sum = totals(tables);
  const whole = sum.dataBytes + sum.indexBytes;
  return (
    <div class="scroll-x">
      <table class="table storage stacks">
        <caption class="visually-hidden">Storage by table</caption>
        <thead>
          <tr>
            <th scope="col">Table</th>
            <th scope="col" class="num">
              Segments
            </th>
            <th scope="col" class="num">
              Rows
            </th>
            <th scope="col" class="num">
              Data
            </th>
            <th scope="col" class="num">
              Text index
            </th>
            <th scope="col" class="num">
              Together
            </th>
            <th scope="col">Oldest and newest row (UTC)</th>
            <th scope="col" class="num" title="Rows older than this are removed with their segment">
              Kept
            </th>
            <th scope="col" class="num">
              Growth
            </th>
            <th scope="col" class="num" title="What retention removes within the next 24 hours">
              Freed in 24 h
            </th>
          </tr>
        </thead>
        <tbody>
          {bySize(tables).map((table) => (
            <Row key={table.table} table={table} whole={whole} at={at} />
          ))}
        </tbody>
        <tfoot>
          <tr data-testid="storage-sum">
            <th scope="row" class="main-cell">
              All tables
            </th>
            <Numbers
              segments={sum.segments}
              rows={sum.rows}
              dataBytes={sum.dataBytes}
              indexBytes={sum.indexBytes}
              whole={whole}
            />
            <td />
            <td />
            <Growth bytesPerHour={sum.bytesPerHour} over={null} />
            <td class="num" data-label="Freed in 24 h">
              {bytes(sum.freedBytes)}
            </td>
          </tr>
        </tfoot>
      </table>
    </div>
  );
}

function Row({ table, whole, at }: { table: TableUsage; whole: number; at: string }) {
  return (
    <tr data-testid="storage-row" data-table={table.table}>
      <th scope="row" class="main-cell">
        {table.table}
      </th>
      <Numbers
        segments={table.segments}
        rows={table.rows}
        dataBytes={table.data_bytes}
        indexBytes={table.index_bytes}
        whole={whole}
      />
      <td class="nowrap" data-label="Rows from">
        {day(table.oldest)} <span class="muted">to</span> {day(table.newest)}
      </td>
      <td class="num" data-label="Kept">
        {kept(table.kept_hours)}
      </td>
      <Growth bytesPerHour={table.bytes_per_hour} over={measuredOver(table, at)} />
      <td class="num" data-label="Freed in 24 h">
        {table.freed_in_24h_bytes > 0 ? bytes(table.freed_in_24h_bytes) : <span class="muted">0 B</span>}
      </td>
    </tr>
  );
}

function day(at: string | null): string {
  const ms = instantMs(at);
  return ms === null ? 'unknown' : utcShort(ms);
}

interface NumbersProps {
  segments: number;
  rows: number;
  dataBytes: number;
  indexBytes: number;
  whole: number;
}

function Numbers({ segments, rows, dataBytes, indexBytes, whole }: NumbersProps) {
  const size = dataBytes + indexBytes;
  return (
    <>
      <td class="num" data-label="Segments">
        {count(segments)}
      </td>
      <td class="num" data-label="Rows">
        {count(rows)}
      </td>
      <td class="num" data-label="Data">
        {bytes(dataBytes)}
      </td>
      <td class="num" data-label="Text index">
        {indexBytes > 0 ? bytes(indexBytes) : <span class="muted">none</span>}
      </td>
      <td class="num share-cell" data-label="Together">
        <strong>{bytes(size)}</strong> <span class="muted share">{share(size, whole)}</span>
        <span class="share-bar">
          <span style={{ width: `${whole > 0 ? (100 * size) / whole : 0}%` }} />
        </span>
      </td>
    </>
  );
}

/** `over`: of how long a time, when a table is younger than a day. */
function Growth({ bytesPerHour, over }: { bytesPerHour: number; over: string | null }) {
  return (
    <td class="num" data-label="Growth">
      {bytes(bytesPerHour)}/h{' '}
      <p class="muted small-text">
        {bytes(bytesPerHour * 24)}/d{over && `, seen for ${over}`}
      </p>
    </td>
  );
}
