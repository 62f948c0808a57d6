// Where the reader is in a trace: what is folded, the row of the cursor, the open span, the window of time. Folds and
// cursor stay on their spans when the layout changes, which moves rows (fresh data, other times).
import { useEffect, useMemo, useState } from 'preact/hooks';
import { params, setParams } from '../app/router';
import { type Keys, reveal, wholeOf } from './keys';
import { carried, type Folds, type Layout, nothingFolded, visibleRows } from './layout';
import type { View } from './paint';

export function isOriginal(search: URLSearchParams): boolean {
  return search.get('times') === 'original';
}

/** Times as the senders' clocks had them, or corrected. */
export const showOriginal = (original: boolean) => setParams({ times: original ? 'original' : null }, true);

function useFolds(layout: Layout): [Folds, (next: Folds) => void] {
  const [kept, keep] = useState(() => ({ layout, folds: nothingFolded(layout) }));
  const folds = useMemo(
    () => (kept.layout === layout ? kept.folds : carried(kept.folds, kept.layout, layout)),
    [kept, layout],
  );
  return [folds, (next) => keep({ layout, folds: next })];
}

export type Place = Keys & { opened: number };

export function usePlace(layout: Layout): Place {
  const [folds, setFolds] = useFolds(layout);
  const [view, setView] = useState<View>(wholeOf(layout));
  useEffect(() => setView(wholeOf(layout)), [layout]);
  const rows = useMemo(() => visibleRows(layout, folds), [layout, folds]);
  const span = params.value.get('span');
  const opened = span ? layout.positionOf(span) : -1;
  const [at, setAt] = useState(-1);
  const cursor = layout.place[at] ?? -1;
  const setCursor = (position: number) => setAt(position < 0 ? -1 : layout.order[position]);
  useEffect(() => {
    if (opened >= 0) setCursor(opened);
  }, [opened]);
  const open = (position: number) => {
    reveal(position, layout, folds, setFolds);
    setCursor(position);
    setParams({ span: layout.spans.spanId(layout.order[position]), view: null }, true);
  };
  const toggle = (position: number) => {
    const next = folds.slice();
    next[position] ^= 1;
    setFolds(next);
  };
  const close = () => setParams({ span: null }, true);
  const switchTimes = () => layout.isSkewed && showOriginal(layout.isCorrected);
  const isOpen = opened >= 0;
  return {
    ...{ layout, folds, setFolds, view, setView, rows, cursor, setCursor },
    ...{ opened, isOpen, open, toggle, close, switchTimes },
  };
}
