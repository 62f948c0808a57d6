// Light, dark, or as the system says. Remembered in this browser.
import { signal } from '@preact/signals';

export type Theme = 'auto' | 'light' | 'dark';
const ITEM = 'daymark-theme';
const ORDER: Theme[] = ['auto', 'light', 'dark'];

function stored(): Theme {
  const text = localStorage.getItem(ITEM);
  return text === 'light' || text === 'dark' ? text : 'auto';
}

export const theme = signal<Theme>(stored());
/** Moves when colours change, so that canvases draw themselves again. */
export const schemeTick = signal(0);

export function applyTheme(next: Theme): void {
  theme.value = next;
  if (next === 'auto') {
    localStorage.removeItem(ITEM);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(ITEM, next);
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
