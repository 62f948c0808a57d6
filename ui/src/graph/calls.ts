// The edges of the service graph as a reader wants them: rates, shares of errors, order, and where to look next. Pure.
import type { GraphAnswer, GraphEdge } from '../api/types';
import { digits } from '../time/format';
import { instantMs } from '../time/instant';
import type { Arc } from './layout';

export interface Call extends GraphEdge {
  id: string;
  perSecond: number;
  errorRatio: number;
}

/** What the server counts calls on for which it kept no edge. */
const OVERFLOW = '_overflow';
/** From here on a line is drawn as failing. */
export const FAILING_RATIO = 0.01;
export const MOST_DRAWN = 200;

export const isOverflow = (edge: GraphEdge): boolean => edge.caller === OVERFLOW && edge.callee === OVERFLOW;
export const isFailing = (call: Call): boolean => call.errorRatio >= FAILING_RATIO;

/** Seconds that the counts are of: whole minutes, of which the last may not be over. */
export function coveredSeconds(answer: GraphAnswer, nowMs: number): number {
  const [start, end] = [instantMs(answer.start_time), instantMs(answer.end_time)];
  if (start === null || end === null) return 0;
  return Math.max(0, Math.min(end, nowMs) - start) / 1000;
}

export function callsOf(answer: GraphAnswer, nowMs: number): Call[] {
  const seconds = coveredSeconds(answer, nowMs);
  return (answer.edges ?? []).map((edge) => ({
    ...edge,
    id: JSON.stringify([edge.caller, edge.callee, edge.callee_kind, edge.connection]),
    perSecond: seconds > 0 ? edge.calls / seconds : 0,
    errorRatio: edge.calls > 0 ? edge.errors / edge.calls : 0,
  }));
}

/** `0.44`; what is rarer than digits can say is not nothing. */
export function rate(perSecond: number): string {
  return perSecond > 0 && perSecond < 0.001 ? '< 0.001' : digits(perSecond);
}

const CONNECTIONS: Record<string, string> = { rpc: 'call', messaging: 'message', database: 'database' };

export const connectionName = (connection: string): string => CONNECTIONS[connection] ?? connection;

export type SortKey = 'caller' | 'callee' | 'kind' | 'rate' | 'calls' | 'errors' | 'p50' | 'p99';
const VALUES: Record<SortKey, (call: Call) => number | string | null> = {
  caller: (call) => call.caller,
  callee: (call) => call.callee,
  kind: (call) => `${call.connection} ${call.callee_kind}`,
  rate: (call) => call.perSecond,
  calls: (call) => call.calls,
  errors: (call) => call.errorRatio,
  p50: (call) => call.duration_p50_ns,
  p99: (call) => call.duration_p99_ns,
};
const DEFAULT_SORT: SortKey = 'rate';

export interface Sort {
  key: SortKey;
  ascending: boolean;
}

export function readSort(search: URLSearchParams): Sort {
  const asked = search.get('sort') ?? '';
  return {
    key: Object.hasOwn(VALUES, asked) ? (asked as SortKey) : DEFAULT_SORT,
    ascending: search.get('order') === 'asc',
  };
}

/** What a click on the head of a column makes of the address: the largest first, then the other way round. */
export function sortParams(now: Sort, key: SortKey): Record<'sort' | 'order', string | null> {
  const isText = key === 'caller' || key === 'callee' || key === 'kind';
  const ascending = now.key === key ? !now.ascending : isText;
  return { sort: key === DEFAULT_SORT ? null : key, order: ascending ? 'asc' : null };
}

/** In order; what is not known comes last either way, ties keep the server's order. */
export function sorted(calls: Call[], { key, ascending }: Sort): Call[] {
  const value = VALUES[key];
  return calls.toSorted((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    const order = a < b ? -1 : a > b ? 1 : 0;
    return ascending ? order : -order;
  });
}

/** The traces to look at: those of the callee, or of the caller where the callee sends no spans itself. */
export function tracesPatch(call: Call, errors = false): Record<string, string> {
  const service = call.callee_kind === 'service' ? call.callee : call.caller;
  return errors ? { service, errors: 'true' } : { service };
}

export interface Box {
  name: string;
  kind: string;
}
export interface Sketch {
  boxes: Box[];
  /** One for each of `calls`. */
  arcs: Arc[];
  calls: Call[];
  leftOut: number;
}

/**
 * What is drawn: the calls that happen most, at most `most`, and who takes part in them. Everything is in order of
 * names, so that the picture does not change with the counts.
 */
export function sketch(calls: Call[], most = MOST_DRAWN): Sketch {
  const known = calls.filter((call) => !isOverflow(call));
  const drawn = sorted(known, { key: 'calls', ascending: false }).slice(0, most);
  drawn.sort((a, b) => (a.id < b.id ? -1 : 1));
  const ends = drawn.flatMap((call) => [boxId(call.caller, 'service'), boxId(call.callee, call.callee_kind)]);
  const ids = [...new Set(ends)].sort();
  const numbers = new Map(ids.map((id, at) => [id, at]));
  const arcs = drawn.map((_, at) => ({
    from: numbers.get(ends[2 * at]) as number,
    to: numbers.get(ends[2 * at + 1]) as number,
  }));
  const boxes = ids.map((id) => JSON.parse(id) as [string, string]).map(([name, kind]) => ({ name, kind }));
  return { boxes, arcs, calls: drawn, leftOut: known.length - drawn.length };
}

const boxId = (name: string, kind: string): string => JSON.stringify([name, kind]);
