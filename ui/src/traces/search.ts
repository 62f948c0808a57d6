// The trace search as it stands in the URL, and as the API wants it. Pure.
import type { Params } from '../api/client';
import { parseDurationMs } from '../time/instant';

export interface TraceSearch {
  service: string;
  operation: string;
  /** As typed: `250`, `250ms`, `1.5s`. */
  minDuration: string;
  maxDuration: string;
  errors: boolean;
  /** As typed: `key=value` pairs separated by spaces. */
  attributes: string;
  limit: number;
}

export const LIMITS = [20, 50, 100, 500];
const DEFAULT_LIMIT = 50;

export function readSearch(params: URLSearchParams): TraceSearch {
  const limit = Number(params.get('limit'));
  return {
    service: params.get('service') ?? '',
    operation: params.get('operation') ?? '',
    minDuration: params.get('min') ?? '',
    maxDuration: params.get('max') ?? '',
    errors: params.get('errors') === 'true',
    attributes: params.get('attributes') ?? '',
    limit: LIMITS.includes(limit) ? limit : DEFAULT_LIMIT,
  };
}

export function searchParams(search: TraceSearch): Record<string, string | null> {
  return {
    service: search.service || null,
    operation: search.operation || null,
    min: search.minDuration.trim() || null,
    max: search.maxDuration.trim() || null,
    errors: search.errors ? 'true' : null,
    attributes: search.attributes.trim() || null,
    limit: search.limit === DEFAULT_LIMIT ? null : String(search.limit),
  };
}

/** `a=1 b="x y"` as `['a=1', 'b=x y']`; null when a piece has no key or no `=`. */
export function splitAttributes(text: string): string[] | null {
  const pieces = text.match(/[^\s=]+=(?:"[^"]*"|\S*)|\S+/g) ?? [];
  const out: string[] = [];
  for (const piece of pieces) {
    const at = piece.indexOf('=');
    if (at <= 0) return null;
    const value = piece.slice(at + 1);
    out.push(`${piece.slice(0, at)}=${value.startsWith('"') ? value.slice(1, -1) : value}`);
  }
  return out;
}

export type Problems = Partial<Record<'minDuration' | 'maxDuration' | 'attributes', string>>;

export function problems(search: TraceSearch): Problems {
  const found: Problems = {};
  const bad = (text: string) => text.trim() !== '' && parseDurationMs(text) === null;
  if (bad(search.minDuration)) found.minDuration = 'Write a duration like 250ms or 1.5s; a bare number is ms.';
  if (bad(search.maxDuration)) found.maxDuration = 'Write a duration like 250ms or 1.5s; a bare number is ms.';
  if (splitAttributes(search.attributes) === null) found.attributes = 'Write key=value, several separated by spaces.';
  return found;
}

export function apiParams(search: TraceSearch): Params {
  const ms = (text: string) => parseDurationMs(text) ?? undefined;
  return {
    service: search.service,
    operation: search.operation,
    min_duration_ms: ms(search.minDuration),
    max_duration_ms: ms(search.maxDuration),
    errors: search.errors,
    attribute: splitAttributes(search.attributes) ?? [],
    limit: search.limit,
  };
}
