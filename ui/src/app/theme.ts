// Light, dark, or as the system says. Remembered in this browser.
import { signal } from '@preact/signals';

export type Theme = 'auto' | 'light' | 'dark';
const ITEM = 'daymark-theme';
const ORDER: Theme[] = ['auto', 'light', 'dark'];

function stored(): Theme {
  const text = storage()?.getItem(ITEM);
  return text === 'light' || text === 'dark' ? text : 'auto';
}

/** Null where the browser forbids storage. */
function storage(): Storage | null {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

export const theme = signal<Theme>('auto');
/** Moves when colours change, so that canvases draw themselves again. */
export const schemeTick = signal(0);

export function applyTheme(next: Theme): void {
  theme.value = next;
  if (next === 'auto') {
    storage()?.removeItem(ITEM);
    delete document.documentElement.dataset.theme;
  } else {
    storage()?.setItem(ITEM, next);
    document.documentElement.dataset.theme = next;
  }
  schemeTick.value += 1;
}

export function nextTheme(): void {
  applyTheme(ORDER[(ORDER.indexOf(theme.value) + 1) % ORDER.length]);
}

export function startTheme(): void {
  applyTheme(stored());
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => (schemeTick.value += 1));
}
