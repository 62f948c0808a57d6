// Loads one URL for a component: aborts the old call when the URL changes, keeps the last answer on screen while the
// next one loads, reloads when `refreshTick` moves.
import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { ApiError, call, type Read } from './client';

/** Moves when the reader (or a poll) asks for fresh data; relative time ranges are resolved anew with it. */
export const refreshTick = signal(0);
/** Calls under way, for the thin progress line. */
export const inFlight = signal(0);

export interface Query<T> {
  data: T | null;
  error: ApiError | null;
  loading: boolean;
  /** When `data` came. */
  atMs: number | null;
}

/**
 * `pollMs` loads this one answer again and again, without asking the rest of the page to follow. `read` reads the body
 * in another way than as JSON; it must be the same function on every call.
 */
export function useQuery<T>(url: string | null, pollMs = 0, read?: Read<T>): Query<T> {
  const tick = refreshTick.value;
  const [own, setOwn] = useState(0);
  useEffect(() => {
    if (pollMs === 0) return;
    const timer = setInterval(() => document.visibilityState === 'visible' && setOwn((n) => n + 1), pollMs);
    return () => clearInterval(timer);
  }, [pollMs]);
  const [state, setState] = useState<Query<T> & { url: string | null }>({
    url: null,
    data: null,
    error: null,
    loading: url !== null,
    atMs: null,
  });
  useEffect(() => {
    if (url === null) {
      setState({ url, data: null, error: null, loading: false, atMs: null });
      return;
    }
    const abort = new AbortController();
    setState((old) => ({ ...old, loading: true }));
    inFlight.value += 1;
    call<T>(url, abort.signal, 'GET', read)
      .then(
        (data) => setState({ url, data, error: null, loading: false, atMs: Date.now() }),
        (error: unknown) => {
          if (abort.signal.aborted) return;
          const known = error instanceof ApiError ? error : new ApiError(String(error), 0, 'bug');
          setState((old) => {
            const data = samePage(old.url, url) ? old.data : null;
            return { url, data, error: known, loading: false, atMs: old.atMs };
          });
        },
      )
      .finally(() => (inFlight.value -= 1));
    return () => abort.abort();
  }, [url, tick, own]);
  return { data: state.data, error: state.error, loading: state.loading, atMs: state.atMs };
}

function samePage(a: string | null, b: string): boolean {
  return a !== null && a.split('?')[0] === b.split('?')[0];
}

/** Asks for fresh data every `ms` while the page is visible and mounted. */
export function usePoll(ms: number): void {
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible' && inFlight.value === 0) refreshTick.value += 1;
    }, ms);
    return () => clearInterval(timer);
  }, [ms]);
}
