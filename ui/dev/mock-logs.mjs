// The log endpoints of the mock server: a search of words and `key:value` side by side, and facets of what it found.
import * as seed from './seed.mjs';
import { FAULT_MS } from './seed-slo.mjs';

const FIELDS = { service: 'service_name', event: 'event_name' };
const ALL_LINES = 14_000;

function matches(one, q) {
  for (const key of ['severity', 'trace_id', 'correlation_id']) if (q.get(key) && one[key] !== q.get(key)) return false;
  if (q.get('service') && one.service_name !== q.get('service')) return false;
  const pieces = (q.get('query') ?? '').matchAll(/(-)?(?:([^\s":]+):)?(?:"((?:[^"\\]|\\.)*)"|(\S+))/g);
  for (const [, negated, key, quoted, word] of pieces) {
    const wanted = quoted?.replace(/\\(["\\])/g, '$1') ?? word;
    const found = key
      ? String(one[FIELDS[key] ?? key] ?? one.attributes[key] ?? one.resource_attributes[key]) === wanted
      : one.body.toLowerCase().includes(wanted.toLowerCase());
    if (found === Boolean(negated)) return false;
  }
  return true;
}

function find(q, [start, end], traces) {
  if (q.get('query') === '(')
    throw Object.assign(new Error('query: unclosed parenthesis at column 1'), { field: 'query' });
  return seed.logs(start, end, FAULT_MS, ALL_LINES, traces).filter((one) => matches(one, q));
}

function receipt(q) {
  if (q.get('service') !== 'shipping') return seed.receipt({ rows_scanned: 118_204, segments_read: 9 });
  return seed.receipt({
    complete: false,
    missing: [
      'collector http://10.0.0.3:14317 could not be reached within 2 s: rows not yet published are missing',
      'tables/default/logs/01JD8….parquet: checksum of the index is wrong at offset 4096, scanned instead',
    ],
  });
}

export function logs(q, [start, end], traces) {
  const found = find(q, [start, end], traces);
  const step = (end - start) / 60;
  const volume = Array.from({ length: 60 }, (_, index) => ({
    time_unix_ms: Math.round(start + index * step),
    count: 0,
    errors: 0,
  }));
  for (const one of found) {
    const bucket = volume[Math.min(59, Math.floor((Date.parse(one.time) - start) / step))];
    bucket.count += 1;
    if (one.severity === 'ERROR') bucket.errors += 1;
  }
  return {
    logs: found.slice(0, Number(q.get('limit') ?? 100)),
    matched: found.length,
    volume,
    receipt: receipt(q),
  };
}

function facet(key, attribute, values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const list = [...counts].map(([value, records]) => ({ value, records })).sort((a, b) => b.records - a.records);
  return { key, attribute, records: values.length, distinct: list.length, values: list.slice(0, 10) };
}

export function facets(q, range, traces) {
  const found = find(q, range, traces);
  const newest = found.slice(0, Number(q.get('limit') ?? 10_000));
  const byKey = new Map();
  for (const one of newest)
    for (const [key, value] of Object.entries(one.attributes)) {
      if (!byKey.has(key)) byKey.set(key, []);
      byKey.get(key).push(value);
    }
  const attributes = [...byKey].map(([key, values]) => facet(key, true, values)).sort((a, b) => b.records - a.records);
  const of = (key, field) =>
    facet(
      key,
      false,
      newest.map((one) => one[field]),
    );
  return {
    records: newest.length,
    complete: newest.length === found.length,
    facets: newest.length === 0 ? [] : [of('service', 'service_name'), of('severity', 'severity'), ...attributes],
    receipt: receipt(q),
  };
}
