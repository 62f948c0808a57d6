// The keyboard of the waterfall: moving, folding, zooming, going from error to error.
import { useShortcuts } from '../app/shortcuts';
import { allFolded, FLAG_CRITICAL, FLAG_ERROR, type Folds, type Layout, nothingFolded } from './layout';
import type { View } from './paint';
import { zoomed } from './Waterfall';

/** The window of time that shows the whole trace. */
export const wholeOf = (layout: Layout): View => ({ fromNs: 0, toNs: Math.max(1, layout.totalNs) });

/** Opens everything above `position`. */
export function reveal(position: number, layout: Layout, folds: Folds, setFolds: (next: Folds) => void): void {
  let next: Folds | null = null;
  for (let up = layout.parent[position]; up >= 0; up = layout.parent[up]) {
    if (!folds[up]) continue;
    next ??= folds.slice();
    next[up] = 0;
  }
  if (next) setFolds(next);
}

export interface Keys {
  layout: Layout;
  rows: Int32Array;
  folds: Folds;
  setFolds: (next: Folds) => void;
  cursor: number;
  setCursor: (position: number) => void;
  open: (position: number) => void;
  toggle: (position: number) => void;
  view: View;
  setView: (view: View) => void;
  close: () => void;
  switchTimes: () => void;
  isOpen: boolean;
}

export function useWaterfallKeys(on: Keys): void {
  const { layout, rows, folds, cursor, view } = on;
  const go = (position: number) => (on.isOpen ? on.open(position) : on.setCursor(position));
  const move = (step: number) => () => {
    const now = rows.indexOf(cursor);
    go(rows[Math.min(rows.length - 1, Math.max(0, now + step))]);
  };
  const left = () => {
    if (cursor >= 0 && layout.end[cursor] > cursor + 1 && !folds[cursor]) on.toggle(cursor);
    else if (cursor >= 0 && layout.parent[cursor] >= 0) go(layout.parent[cursor]);
  };
  const right = () => {
    if (folds[cursor]) on.toggle(cursor);
    else move(1)();
  };
  const next = (flag: number) => () => {
    for (let step = 1; step <= layout.order.length; step += 1) {
      const position = (Math.max(-1, cursor) + step) % layout.order.length;
      if (layout.flags[position] & flag) return on.open(position);
    }
  };
  const zoom = (factor: number) => () => {
    const middle =
      cursor >= 0
        ? Math.min(view.toNs, Math.max(view.fromNs, layout.start[cursor] + layout.duration[cursor] / 2))
        : (view.fromNs + view.toNs) / 2;
    on.setView(zoomed(view, layout.totalNs, factor, middle));
  };
  useShortcuts('Trace', [
    { keys: 'j / ArrowDown', what: 'Next span', run: move(1) },
    { keys: 'k / ArrowUp', what: 'Previous span', run: move(-1) },
    { keys: 'ArrowLeft', what: 'Collapse, or go to the parent', run: left },
    { keys: 'ArrowRight', what: 'Expand, or go to the next span', run: right },
    { keys: 'Enter', what: 'Open the span’s details', run: () => cursor >= 0 && on.open(cursor) },
    { keys: 'Escape', what: 'Close the details', run: on.close },
    { keys: 'e', what: 'Next span with an error', run: next(FLAG_ERROR) },
    { keys: 'p', what: 'Next span of the critical path', run: next(FLAG_CRITICAL) },
    { keys: 'c', what: 'Corrected or original times', run: on.switchTimes },
    { keys: '[', what: 'Collapse all', run: () => on.setFolds(allFolded(layout)) },
    { keys: ']', what: 'Expand all', run: () => on.setFolds(nothingFolded(layout)) },
    { keys: '+', what: 'Zoom in', run: zoom(0.6) },
    { keys: '-', what: 'Zoom out', run: zoom(1.6) },
    { keys: '0', what: 'Show the whole trace', run: () => on.setView(wholeOf(layout)) },
  ]);
}
