// The one place that calls the server. Every call has a timeout; every failure becomes an `ApiError` that says what
// the reader can do. The tenant key, when the server asks for one, lives in this tab only (sessionStorage).

const TIMEOUT_MS = 30_000;
const KEY_ITEM = 'daymark-key';

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly errorClass: string,
    readonly field?: string,
  ) {
    super(message);
  }
}

export type Params = Record<string, string | number | boolean | string[] | null | undefined>;

/** `/api/v1` + path with the parameters that have a value. */
export function apiUrl(path: string, params: Params = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (Array.isArray(value)) for (const one of value) search.append(key, one);
    else if (value !== null && value !== undefined && value !== '' && value !== false) search.set(key, String(value));
  }
  const text = search.toString();
  return `/api/v1${path}${text ? `?${text}` : ''}`;
}

export function setKey(key: string): void {
  if (key) sessionStorage.setItem(KEY_ITEM, key);
  else sessionStorage.removeItem(KEY_ITEM);
}

/** Makes an answer of a response's body. */
export type Read<T> = (response: Response) => Promise<T>;

const readJson = (response: Response) => response.json();

export async function call<T>(url: string, signal?: AbortSignal, method = 'GET', read: Read<T> = readJson): Promise<T> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const headers: Record<string, string> = { accept: 'application/json' };
  const key = sessionStorage.getItem(KEY_ITEM);
  if (key) headers['x-daymark-key'] = key;
  let response: Response;
  try {
    response = await fetch(url, { method, headers, signal: signal ? AbortSignal.any([signal, timeout]) : timeout });
  } catch (error) {
    if (signal?.aborted) throw error;
    if (timeout.aborted) throw new ApiError(`no answer within ${TIMEOUT_MS / 1000} s`, 0, 'retry');
    throw new ApiError('the server cannot be reached', 0, 'retry');
  }
  if (!response.ok) throw await failure(response);
  try {
    return await read(response);
  } catch (error) {
    if (signal?.aborted) throw error;
    if (error instanceof SyntaxError)
      throw new ApiError('the server sent something that is not JSON', response.status, 'bug');
    if (timeout.aborted) throw new ApiError(`no full answer within ${TIMEOUT_MS / 1000} s`, 0, 'retry');
    throw new ApiError('the answer broke off before its end', 0, 'retry');
  }
}

async function failure(response: Response): Promise<ApiError> {
  const fallback = `${response.status} ${response.statusText}`.trim();
  try {
    const body = (await response.json()) as { error?: { message?: string; class?: string; field?: string } | string };
    if (typeof body.error === 'string') return new ApiError(body.error, response.status, 'reject');
    return new ApiError(body.error?.message ?? fallback, response.status, body.error?.class ?? '', body.error?.field);
  } catch {
    return new ApiError(fallback, response.status, '');
  }
}
