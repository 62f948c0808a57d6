// Loading, empty and failed, each with what to do next.
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { type ApiError, setKey } from '../api/client';
import { type Query, refreshTick } from '../api/useQuery';
import { utcDateTime } from '../time/instant';
import { Icon, type IconName } from './Icon';

const retry = () => (refreshTick.value += 1);

export function Loading({ what, rows = 6 }: { what: string; rows?: number }) {
  return (
    <div class="skeleton" role="status" aria-label={`Loading ${what}`}>
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} />
      ))}
    </div>
  );
}

export function Empty({
  title,
  icon = 'search',
  children,
}: {
  title: string;
  icon?: IconName;
  children?: ComponentChildren;
}) {
  return (
    <div class="empty">
      <Icon name={icon} />
      <h2>{title}</h2>
      <div class="muted">{children}</div>
    </div>
  );
}

const ADVICE: Record<string, string> = {
  overload:
    'The server is busy and turned this request away. Wait a few seconds or narrow the time range, then try again.',
  corrupt: 'A stored file is damaged. The server log names the file and offset; the rest of the data is unaffected.',
  bug: 'This is a fault in Daymark. The server log has the details.',
};

function advice(error: ApiError, what: string): string {
  if (error.status === 0)
    return 'Check that daymark is running and that this machine can reach it. Nothing acknowledged is lost; while it is down, senders keep what they have and try again.';
  if (error.status === 404 && /SLO|dashboard/.test(what))
    return 'Its definition may have been renamed or removed; the list shows those that are loaded.';
  if (error.status === 404)
    return 'It may be older than the retention, mistyped, or not yet stored. New data can be queried about 2 s after it is acknowledged.';
  if (error.status === 501) return 'This server was built without that feature.';
  if (error.errorClass in ADVICE) return ADVICE[error.errorClass];
  if (error.status >= 500) return 'Try again; if it stays, look at the server log.';
  return error.field ? `Correct the field “${error.field}” and try again.` : 'Correct the request and try again.';
}

/** `staleMs`: when the data came that is still on screen. */
export function Failed({ error, what, staleMs = null }: { error: ApiError; what: string; staleMs?: number | null }) {
  if (error.status === 401) return <AskKey />;
  return (
    <div class="failed" role="alert" data-testid="failed">
      <Icon name="error" />
      <div class="stack-s">
        <strong>Could not load {what}</strong>
        <p class="mono">{error.message}</p>
        <p class="muted">{advice(error, what)}</p>
        {staleMs !== null && <p>Below is the last answer, of {utcDateTime(staleMs)} UTC. It may be out of date.</p>}
        <button type="button" class="button small" onClick={retry}>
          <Icon name="refresh" /> Try again
        </button>
      </div>
    </div>
  );
}

function AskKey() {
  const [key, set] = useState('');
  return (
    <form
      class="failed"
      onSubmit={(event) => {
        event.preventDefault();
        setKey(key.trim());
        retry();
      }}
    >
      <Icon name="warn" />
      <div class="stack-s">
        <strong>This server asks for a tenant key</strong>
        <label class="field">
          <span>Key (kept in this tab only)</span>
          <input
            class="input"
            type="password"
            autocomplete="off"
            value={key}
            onInput={(event) => set(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="button primary">
          Use this key
        </button>
      </div>
    </form>
  );
}

/** Shows the children once there is data; keeps showing the last data under an error. */
export function Answer<T>({
  query,
  what,
  children,
}: {
  query: Query<T>;
  what: string;
  children: (data: T) => ComponentChildren;
}) {
  return (
    <>
      {query.error && <Failed error={query.error} what={what} staleMs={query.data === null ? null : query.atMs} />}
      {query.data === null && query.loading && !query.error && <Loading what={what} />}
      {query.data !== null && children(query.data)}
    </>
  );
}
