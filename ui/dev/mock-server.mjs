// A stand-in for the server, for work on the UI alone: `npm run build && npm run mock`, then http://127.0.0.1:8099.
// Serves dist with the production CSP and answers /api/v1 from seeded data: a payment fault 12 minutes ago.
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as logs from './mock-logs.mjs';
import * as slo from './seed-slo.mjs';
import * as seed from './seed.mjs';

const PORT = Number(process.env.PORT ?? 8099);
const DIST = fileURLToPath(new URL('../dist', import.meta.url));
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
};
export const BIG = 'b16000000000000000000000000000ff';
let big = null;

const when = (text, fallback) => (!text ? fallback : /^\d+$/.test(text) ? Number(text) / 1e6 : Date.parse(text));
function bounds(q) {
  return [when(q.get('start'), Date.now() - 3600e3), when(q.get('end'), Date.now())];
}

// Traces sit at fixed times so that a link to one stays good.
const ALL = seed.traceList(slo.FAULT_MS - 45 * 60e3, slo.FAULT_MS + 13 * 60e3, slo.FAULT_MS);

function traces(q) {
  const [start, end] = bounds(q);
  const min = Number(q.get('min_duration_ms') ?? 0);
  const list = ALL.filter((one) => one.at >= start && one.at <= end).map((one) => {
    const { spans, state } = seed.makeTrace(one.id, one.at, one.durationMs, one.failed);
    return seed.summary(one.id, spans, state);
  });
  const kept = list.filter(
    (one) =>
      one.duration_ns / 1e6 >= min &&
      (q.get('errors') !== 'true' || one.error_count > 0) &&
      (!q.get('service') || one.services.includes(q.get('service'))),
  );
  return { traces: kept.slice(0, Number(q.get('limit') ?? 20)), receipt: seed.receipt() };
}

function trace(id) {
  if (id === BIG) {
    big ??= seed.bigTrace(100_000);
    return {
      trace: seed.summary(BIG, big, 'missing_parents'),
      spans: big,
      logs: [],
      receipt: seed.receipt({ rows_scanned: 100_000, elapsed_ms: 312 }),
    };
  }
  const known = ALL.find((one) => one.id === id) ?? ALL.find((one) => one.failed);
  if (id.startsWith('00')) return null;
  const { spans, state } = seed.makeTrace(known.id, known.at, known.durationMs, known.failed);
  const lines = seed
    .logs(known.at, known.at + known.durationMs, known.failed ? 0 : Infinity, 14, [{ id }])
    .map((one, index) => ({ ...one, trace_id: id, span_id: spans[index % spans.length].span_id }));
  return {
    trace: seed.summary(id, spans, state),
    spans,
    logs: lines,
    receipt: seed.receipt({ segments_read: 1, rows_scanned: 91 }),
  };
}

function answer(path, q) {
  const [, kind, ...rest] = path.split('/');
  const id = decodeURIComponent(rest.join('/'));
  switch (kind) {
    case 'services':
      return id === 'graph' ? seed.graphAnswer(q.get('service')) : seed.servicesAnswer();
    case 'traces':
      return id ? trace(id) : traces(q);
    case 'logs':
      return id === 'facets' ? logs.facets(q, bounds(q), ALL) : logs.logs(q, bounds(q), ALL);
    case 'metrics':
      return id === 'range' ? slo.metricRange(q, bounds(q), ALL) : slo.metrics();
    case 'slos':
      return id ? slo.sloDetail(id, ALL) : slo.slos();
    case 'incidents':
      return id ? slo.incident(id.replace('/acknowledge', ''), ALL) : slo.incidents(q.get('state'), ALL);
    case 'dashboards':
      return id ? slo.dashboard(id) : slo.dashboards();
    case 'storage':
      return seed.storageAnswer();
    case 'ledger':
      return slo.ledger();
    default:
      return null;
  }
}

function file(response, pathname) {
  const wanted = join(DIST, normalize(pathname));
  const path =
    wanted.startsWith(DIST) && existsSync(wanted) && statSync(wanted).isFile() ? wanted : join(DIST, 'index.html');
  response.writeHead(200, {
    'content-type': TYPES[extname(path)] ?? 'application/octet-stream',
    'content-security-policy':
      "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  });
  createReadStream(path).pipe(response);
}

createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');
  if (!url.pathname.startsWith('/api/v1')) return file(response, url.pathname);
  let status = 200;
  let body;
  try {
    body = answer(url.pathname.slice('/api/v1'.length), url.searchParams);
    if (!body) {
      status = 404;
      body = { error: { class: 'reject', message: `nothing known as ${url.pathname}` } };
    }
  } catch (error) {
    status = 400;
    body = { error: { class: 'reject', message: error.message, field: error.field } };
  }
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}).listen(PORT, '127.0.0.1', () => console.log(`mock: http://127.0.0.1:${PORT}`));
