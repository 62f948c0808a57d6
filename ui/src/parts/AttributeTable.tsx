// Attributes as text nodes (they are hostile input), long values folded, with buttons that add them to a search.
import { useState } from 'preact/hooks';
import type { Attributes, AttributeValue } from '../api/types';
import { Icon } from './Icon';

const FOLD_CHARS = 400;

export function valueText(value: AttributeValue): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

interface Props {
  attributes: Attributes | null | undefined;
  empty?: string;
  onFilter?: (key: string, value: string, exclude: boolean) => void;
}

export function AttributeTable({ attributes, empty = 'None.', onFilter }: Props) {
  const entries = Object.entries(attributes ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  if (entries.length === 0) return <p class="muted small-text">{empty}</p>;
  return (
    <table class="attributes">
      <tbody>
        {entries.map(([key, value]) => (
          <tr key={key}>
            <th scope="row">{key}</th>
            <td class={typeof value === 'string' ? '' : 'typed'}>
              <LongText text={valueText(value)} />
            </td>
            {onFilter && (
              <td class="attribute-actions">
                <button
                  type="button"
                  class="button quiet small"
                  aria-label={`Only ${key} = this value`}
                  title="Only this value"
                  onClick={() => onFilter(key, valueText(value), false)}
                >
                  <Icon name="plus" />
                </button>
                <button
                  type="button"
                  class="button quiet small"
                  aria-label={`Without ${key} = this value`}
                  title="Without this value"
                  onClick={() => onFilter(key, valueText(value), true)}
                >
                  <Icon name="minus" />
                </button>
              </td>
            )}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function LongText({ text }: { text: string }) {
  const [open, setOpen] = useState(false);
  if (text.length <= FOLD_CHARS || open) return <>{text}</>;
  return (
    <>
      {text.slice(0, FOLD_CHARS)}…{' '}
      <button type="button" class="button quiet small" onClick={() => setOpen(true)}>
        all {text.length.toLocaleString('en-US')} characters
      </button>
    </>
  );
}
