// Copies text; says so to eye and ear. Falls back to a selection where the clipboard API is not allowed (plain http).
import { useState } from 'preact/hooks';
import { rangeParams, range } from '../time/range';
import { params, patched, path } from '../app/router';
import { Icon } from './Icon';

async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'visually-hidden';
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

export function CopyButton({
  text,
  label,
  quiet = true,
}: {
  text: string | (() => string);
  label: string;
  quiet?: boolean;
}) {
  const [state, setState] = useState<'idle' | 'done' | 'failed'>('idle');
  const copy = async () => {
    setState((await copyText(typeof text === 'string' ? text : text())) ? 'done' : 'failed');
    setTimeout(() => setState('idle'), 1600);
  };
  const shown = state === 'done' ? 'Copied' : state === 'failed' ? 'Not allowed' : label;
  return (
    <button type="button" class={`button small ${quiet ? 'quiet' : ''}`} onClick={copy} data-testid="copy">
      <Icon name={state === 'done' ? 'check' : 'link'} />
      <span aria-live="polite">{shown}</span>
    </button>
  );
}

/** This page with its relative range turned into absolute UTC instants, so it shows the same thing tomorrow. */
export function absoluteLink(): string {
  const { startMs, endMs } = range.value;
  const query = patched(params.value, rangeParams({ kind: 'absolute', startMs, endMs }));
  return `${location.origin}${path.value}?${query}`;
}
