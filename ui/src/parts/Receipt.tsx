// What an answer rests on (G6). Complete answers get one quiet line; partial ones say so loudly, with every reason.
import type { Receipt as ReceiptData } from '../api/types';
import { count, digits, plural } from '../time/format';
import { Icon } from './Icon';

export function receiptText(receipt: ReceiptData): string {
  const read = receipt.segments_read ?? 0;
  const total = receipt.segments_total ?? 0;
  const segments = read === total ? plural(total, 'segment') : `${count(read)} of ${plural(total, 'segment')}`;
  const parts = [segments, plural(receipt.rows_scanned ?? 0, 'row')];
  if (receipt.hot_rows) parts.push(`${count(receipt.hot_rows)} not yet published`);
  parts.push(`${digits(receipt.elapsed_ms ?? 0)} ms`);
  return parts.join(' · ');
}

/** Answers from a component's own state read nothing: figures of zero would only make readers wonder. */
function isFromMemory(receipt: ReceiptData): boolean {
  return !receipt.segments_total && !receipt.rows_scanned && !receipt.hot_rows;
}

export function Receipt({ receipt }: { receipt: ReceiptData | undefined | null }) {
  if (!receipt) return null;
  const missing = receipt.missing ?? [];
  const warnings = receipt.warnings ?? [];
  if (receipt.complete && warnings.length === 0) {
    return (
      <p class="receipt" data-testid="receipt" title="What this answer was computed from: nothing is missing">
        <Icon name="check" />
        <span>{isFromMemory(receipt) ? 'complete' : `complete · ${receiptText(receipt)}`}</span>
      </p>
    );
  }
  return (
    <div class="receipt partial" data-testid="receipt" role="status">
      <Icon name="warn" />
      <div>
        <strong>{receipt.complete ? 'Answer with a warning' : 'PARTIAL answer'}</strong>{' '}
        <span class="muted">{receiptText(receipt)}</span>
        <ul>
          {!receipt.complete && missing.length === 0 && <li>The server gave no reason.</li>}
          {[...missing, ...warnings].map((reason) => (
            <li key={reason}>{reason}</li>
          ))}
        </ul>
      </div>
    </div>
  );
}

/** The quiet line of a complete answer, for the head of its card. */
export function CompleteReceipt({ receipt }: { receipt: ReceiptData | undefined | null }) {
  return receipt?.complete ? <Receipt receipt={receipt} /> : null;
}

/** The loud one of a partial answer, for the card itself. */
export function PartialReceipt({ receipt }: { receipt: ReceiptData | undefined | null }) {
  if (!receipt || receipt.complete) return null;
  return (
    <div class="body">
      <Receipt receipt={receipt} />
    </div>
  );
}
