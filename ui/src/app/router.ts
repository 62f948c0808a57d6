// Where the reader is. The URL is the only state that outlives a component: pages read it through `path` and
// `params`, and change it through `navigate` and `setParams`.
import { computed, signal } from '@preact/signals';

const here = () => new URL(window.location.href);
const url = signal(typeof window === 'undefined' ? new URL('http://localhost/') : here());

export const path = computed(() => url.value.pathname);
const search = computed(() => url.value.search);
export const params = computed(() => new URLSearchParams(search.value));

/** Parameters that follow the reader from page to page. */
const STICKY = ['range', 'start', 'end'];

export type ParamPatch = Record<string, string | string[] | null | undefined>;

/** A query string with `patch` applied; null, undefined and '' remove. */
export function patched(base: URLSearchParams, patch: ParamPatch): URLSearchParams {
  const next = new URLSearchParams(base);
  for (const [key, value] of Object.entries(patch)) {
    next.delete(key);
    if (Array.isArray(value)) for (const one of value) next.append(key, one);
    else if (value) next.set(key, value);
  }
  return next;
}

function join(pathname: string, query: URLSearchParams): string {
  const text = query.toString();
  return text ? `${pathname}?${text}` : pathname;
}

/** A link to another page that keeps the time range. */
export function href(pathname: string, patch: ParamPatch = {}): string {
  const kept = new URLSearchParams();
  for (const key of STICKY) {
    const value = params.value.get(key);
    if (value) kept.set(key, value);
  }
  return join(pathname, patched(kept, patch));
}

export function navigate(to: string, replace = false): void {
  if (replace) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  const before = url.value.pathname;
  url.value = here();
  if (url.value.pathname !== before) {
    window.scrollTo(0, 0);
    document.getElementById('main')?.focus({ preventScroll: true });
  }
}

export function setParams(patch: ParamPatch, replace = false): void {
  const to = join(url.value.pathname, patched(params.value, patch));
  if (to !== url.value.pathname + url.value.search) navigate(to, replace);
}

/** Lets plain links inside the app change the page without loading it anew. */
export function startRouter(): void {
  window.addEventListener('popstate', () => (url.value = here()));
  document.addEventListener('click', (event) => {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    const link = event.target instanceof Element ? event.target.closest('a[href]') : null;
    if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute('download')) return;
    if (link.origin !== location.origin || link.pathname.startsWith('/api/')) return;
    if (link.hash && link.pathname === location.pathname) return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  });
}

const SAFE = /^https?:\/\//i;
/** An address from a definition: http(s) or a path of our own, else null (telemetry may say `javascript:`). */
export function safeHref(address: string | null | undefined): string | null {
  if (!address) return null;
  if (SAFE.test(address))
    return address.startsWith(`${location.origin}/`) ? address.slice(location.origin.length) : address;
  return address.startsWith('/') && !address.startsWith('//') ? address : null;
}
