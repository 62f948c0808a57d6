// Keyboard: pages register keys while they are mounted; the help dialog lists what is registered now.
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { href, navigate } from './router';

export interface Shortcut {
  /** `j`, `?`, `Enter`, or two keys in a row: `g t`. */
  keys: string;
  what: string;
  run: (event: KeyboardEvent) => void;
}
export interface ShortcutGroup {
  title: string;
  shortcuts: Shortcut[];
}

export const groups = signal<ShortcutGroup[]>([]);
const SEQUENCE_MS = 1200;
let pending = { key: '', at: 0 };

function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || /^(input|select|textarea)$/i.test(target.tagName);
}

/** Enter and Space belong to the button or link that has the focus. */
function belongsToControl(event: KeyboardEvent): boolean {
  const control = event.target instanceof Element && event.target.closest('a, button, summary, dialog');
  return Boolean(control) && (event.key === 'Enter' || event.key === ' ');
}

export function startShortcuts(): void {
  window.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || belongsToControl(event)) return;
    if (typing(event.target)) {
      // Out of the field, so that the keys of the page work again.
      if (event.key === 'Escape') (event.target as HTMLElement).blur();
      return;
    }
    if (document.querySelector('dialog[open]')) return;
    const two = performance.now() - pending.at < SEQUENCE_MS ? `${pending.key} ${event.key}` : '';
    const known = groups.value.flatMap((group) => group.shortcuts);
    const hit =
      known.findLast((one) => one.keys === two) ?? known.findLast((one) => one.keys.split(' / ').includes(event.key));
    pending = { key: event.key, at: performance.now() };
    if (!hit) return;
    pending = { key: '', at: 0 };
    event.preventDefault();
    hit.run(event);
  });
}

/** Registers a page's keys; `shortcuts` may close over fresh state on every render. */
export function useShortcuts(title: string, shortcuts: Shortcut[]): void {
  const latest = useRef(shortcuts);
  latest.current = shortcuts;
  useEffect(() => {
    const group: ShortcutGroup = {
      title,
      shortcuts: latest.current.map((one, index) => ({ ...one, run: (event) => latest.current[index]?.run(event) })),
    };
    groups.value = [...groups.value, group];
    return () => {
      groups.value = groups.value.filter((other) => other !== group);
    };
  }, [title]);
}

/** `j` and `k` move the focus over the links of a table's rows; Enter on a link is the browser's own. */
export function useRowKeys(title: string, noun: string): void {
  const move = (step: number) => () => {
    const links = [...document.querySelectorAll<HTMLElement>('main a.row-link')];
    const now = links.findIndex((link) => link === document.activeElement);
    links[Math.min(links.length - 1, Math.max(0, now + step))]?.focus();
  };
  useShortcuts(title, [
    { keys: 'j / ArrowDown', what: `Next ${noun}`, run: move(1) },
    { keys: 'k / ArrowUp', what: `Previous ${noun}`, run: move(-1) },
    { keys: 'Enter', what: `Open the ${noun}`, run: () => undefined },
  ]);
}

export const goTo = (pathname: string) => () => navigate(href(pathname));
