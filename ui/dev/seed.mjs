// Seeded, plausible data of a small shop for the mock server. The same seed gives the same ids and shapes.

export const SERVICES = ['storefront', 'checkout', 'payment', 'inventory', 'shipping', 'catalog'];

export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export const hex = (next, bytes) =>
  Array.from({ length: bytes }, () =>
    Math.floor(next() * 256)
      .toString(16)
      .padStart(2, '0'),
  ).join('');
const pick = (next, list) => list[Math.floor(next() * list.length)];
const lognormal = (next, median, sigma) =>
  median * Math.exp(sigma * Math.sqrt(-2 * Math.log(next() + 1e-9)) * Math.cos(6.283 * next()));

export const receipt = (extra = {}) => ({
  complete: true,
  missing: [],
  segments_total: 12,
  segments_read: 4,
  rows_scanned: 34_120,
  hot_rows: 812,
  elapsed_ms: 7.6,
  ...extra,
});

const OPERATIONS = {
  storefront: ['GET /', 'GET /product/{id}', 'POST /cart', 'POST /checkout'],
  checkout: ['POST /orders', 'validate cart', 'reserve stock'],
  payment: ['POST /charges', 'card gateway call', 'INSERT payments'],
  inventory: ['GET /stock/{sku}', 'SELECT stock', 'UPDATE stock'],
  shipping: ['POST /quotes', 'carrier lookup'],
  catalog: ['GET /items', 'SELECT items'],
};
export const servicesAnswer = () => ({
  services: SERVICES.map((name) => ({ name, operations: OPERATIONS[name] })),
  receipt: receipt(),
});

const EDGES = {
  storefront: ['catalog', 'checkout', 'inventory'],
  checkout: ['inventory', 'payment', 'shipping'],
  payment: [],
  inventory: [],
  shipping: [],
  catalog: [],
};

/** The last hour of calls; `service` leaves those from and to it. */
export function graphAnswer(service) {
  const next = random(21);
  const edge = (caller, callee, callee_kind, connection, errorRatio) => {
    const calls = Math.round(lognormal(next, 4000, 0.8));
    const p50 = lognormal(next, 18e6, 0.9);
    return {
      caller,
      callee,
      callee_kind,
      connection,
      calls,
      errors: Math.round(calls * errorRatio),
      duration_mean_ns: p50 * 1.2,
      duration_p50_ns: Math.round(p50),
      duration_p90_ns: Math.round(p50 * 2.1),
      duration_p99_ns: Math.round(p50 * 6.4),
    };
  };
  const edges = [
    ...Object.entries(EDGES).flatMap(([caller, callees]) =>
      callees.map((callee) => edge(caller, callee, 'service', 'rpc', callee === 'payment' ? 0.11 : 0.0004)),
    ),
    edge('payment', 'checkout', 'service', 'rpc', 0),
    edge('payment', 'gateway.cards.example', 'peer', 'rpc', 0.12),
    edge('checkout', 'orders', 'peer', 'messaging', 0),
    ...['catalog', 'inventory', 'payment'].map((caller) => edge(caller, 'postgresql', 'peer', 'database', 0)),
  ];
  const end = Math.ceil(Date.now() / 60e3) * 60e3;
  return {
    start_time: new Date(end - 3600e3).toISOString(),
    end_time: new Date(end).toISOString(),
    nodes: SERVICES.map((name) => ({ name, kind: 'service' })),
    edges: edges
      .filter((one) => !service || one.caller === service || one.callee === service)
      .sort((a, b) => b.calls - a.calls),
    receipt: receipt(),
  };
}

export function storageAnswer() {
  const GIB = 1024 ** 3;
  const table = (name, days, gib, index_gib = 0) => ({
    table: name,
    segments: Math.ceil(gib * 3),
    rows: Math.round(gib * 31e6),
    data_bytes: Math.round(gib * GIB),
    index_bytes: Math.round(index_gib * GIB),
    oldest: new Date(Date.now() - Math.min(days, 6.4) * 86_400e3).toISOString(),
    newest: new Date(Date.now() - 40e3).toISOString(),
    kept_hours: days * 24,
    bytes_per_hour: Math.round(((gib + index_gib) * GIB) / 154),
    freed_in_24h_bytes: days === 7 ? Math.round((gib * GIB) / 7) : 0,
  });
  return {
    at: new Date(Date.now() - 3000).toISOString(),
    disk: { free_bytes: 22 * GIB, reserved_bytes: GIB / 4 },
    full_in_hours: 77,
    tables: [
      table('spans', 7, 19.2),
      table('logs', 7, 11.3, 2.1),
      table('traces', 7, 1.8),
      table('metrics_10s', 32, 2.7),
      table('edges', 32, 0.04),
    ],
    receipt: receipt({ segments_total: 0, segments_read: 0, rows_scanned: 0, hot_rows: 0 }),
  };
}

function span(next, parent, service, name, kind, startNs, durationNs, failed) {
  return {
    span_id: hex(next, 8),
    parent_span_id: parent,
    service_name: service,
    name,
    kind,
    start_time_unix_nano: String(startNs),
    duration_ns: Math.round(durationNs),
    corrected_start_time_unix_nano: String(startNs),
    clock_offset_ns: 0,
    self_time_ns: 0,
    critical_path_ns: 0,
    status: failed ? 'error' : 'unset',
    status_message: failed ? 'card gateway: 503 Service Unavailable' : null,
    scope_name: `${service}-server`,
    attributes: {
      'http.request.method': name.split(' ')[0],
      'url.path': '/orders/83121',
      'http.response.status_code': failed ? 503 : 200,
      'customer.tier': pick(next, ['free', 'pro']),
      'cart.items': 3,
      sampled: true,
    },
    resource_attributes: {
      'service.name': service,
      'service.version': '2.14.0',
      'host.name': `shop-${Math.ceil(next() * 3)}`,
      'deployment.environment.name': 'demo',
    },
    events: failed
      ? [
          {
            name: 'exception',
            time_unix_nano: String(startNs + BigInt(Math.round(durationNs * 0.9))),
            attributes: {
              'exception.type': 'GatewayUnavailable',
              'exception.message': 'upstream answered 503 after 3 attempts',
              'exception.stacktrace': 'at charge (payment/src/gateway.rs:88)\nat handle (payment/src/main.rs:41)',
            },
          },
        ]
      : [],
    links: [],
  };
}

function children(next, spans, parent, depth) {
  const start = BigInt(parent.start_time_unix_nano);
  const list = [...EDGES[parent.service_name], parent.service_name].slice(0, depth > 2 ? 1 : 4);
  let at = parent.duration_ns * 0.06;
  for (const service of list) {
    const own = service === parent.service_name;
    const room = (parent.duration_ns * 0.9 - at) * (service === 'payment' ? 0.8 : 0.35);
    if (room < 20_000) break;
    const failed =
      parent.status === 'error' &&
      (service === 'payment' || service === 'checkout' || (own && parent.service_name === 'payment'));
    const child = span(
      next,
      parent.span_id,
      service,
      own ? OPERATIONS[service].at(-1) : pick(next, OPERATIONS[service].slice(0, 1)),
      own ? 'internal' : 'server',
      start + BigInt(Math.round(at)),
      room,
      failed,
    );
    spans.push(child);
    if (!own || depth < 1) children(next, spans, child, depth + 1);
    at += room * 1.04;
  }
}

/** Self times, and a critical path of all spans, since no two run at once. */
function measure(spans) {
  for (const one of spans) {
    const below = spans.filter((child) => child.parent_span_id === one.span_id);
    const waited = below.reduce((sum, child) => sum + child.duration_ns, 0);
    one.self_time_ns = one.critical_path_ns = Math.max(0, one.duration_ns - waited);
  }
}

/** Sets the clock of a service back, and lets the server have found out. */
function setBack(spans, service, ns) {
  for (const one of spans.filter((span) => span.service_name === service)) {
    one.start_time_unix_nano = String(BigInt(one.start_time_unix_nano) - BigInt(ns));
    for (const event of one.events) event.time_unix_nano = String(BigInt(event.time_unix_nano) - BigInt(ns));
    one.clock_offset_ns = ns;
  }
}

export function makeTrace(id, startMs, durationMs, failed) {
  const next = random(parseInt(id.slice(0, 8), 16));
  const spans = [];
  const root = span(
    next,
    null,
    'storefront',
    failed || durationMs > 400 ? 'POST /checkout' : pick(next, OPERATIONS.storefront),
    'server',
    BigInt(Math.round(startMs)) * 1_000_000n + 123_457n,
    durationMs * 1e6,
    failed,
  );
  spans.push(root);
  children(next, spans, root, 0);
  const orphan = id.startsWith('0f');
  if (orphan) spans.splice(0, 1);
  if (spans[2])
    spans[2].links = [{ trace_id: hex(next, 16), span_id: hex(next, 8), attributes: { 'link.kind': 'retry of' } }];
  measure(spans);
  const skewed = id.startsWith('a3');
  if (skewed) setBack(spans, 'checkout', 180_000_000);
  return { spans, state: orphan ? 'missing_root' : skewed ? 'clock_skewed' : 'complete' };
}

export function summary(id, spans, state) {
  const root = spans.find((one) => one.parent_span_id === null);
  const first = spans.reduce(
    (min, one) => (BigInt(one.corrected_start_time_unix_nano) < min ? BigInt(one.corrected_start_time_unix_nano) : min),
    BigInt(spans[0].corrected_start_time_unix_nano),
  );
  return {
    trace_id: id,
    root_service: root?.service_name ?? null,
    root_name: root?.name ?? null,
    start_time: new Date(Number(first / 1_000_000n)).toISOString(),
    start_time_unix_nano: String(first),
    duration_ns: Math.max(
      ...spans.slice(0, 500).map((one) => Number(BigInt(one.corrected_start_time_unix_nano) - first) + one.duration_ns),
    ),
    clock_offset_ns: spans.find((one) => one.clock_offset_ns !== 0)?.clock_offset_ns ?? null,
    span_count: spans.length,
    error_count: spans.filter((one) => one.status === 'error').length,
    services: [...new Set(spans.map((one) => one.service_name))],
    state,
    version: 1,
  };
}

export function traceList(startMs, endMs, faultMs) {
  const next = random(7);
  return Array.from({ length: 140 }, (_, index) => {
    const at = startMs + ((endMs - startMs) * (index + next())) / 140;
    const hurt = at > faultMs && next() < 0.5;
    const id = (index % 41 === 5 ? '0f' : 'a' + Math.floor(next() * 9)) + hex(next, 15);
    return {
      id,
      at,
      durationMs: hurt ? lognormal(next, 1900, 0.4) : lognormal(next, 85, 0.7),
      failed: hurt && next() < 0.8,
    };
  }).reverse();
}

/** A trace of `n` spans: batches of queries under services, a few failures, some orphans. */
export function bigTrace(n) {
  const next = random(99);
  const start = BigInt(Date.now() - 900_000) * 1_000_000n;
  const total = 42e9;
  const spans = [span(next, null, 'storefront', 'nightly reindex', 'server', start, total, false)];
  for (let index = 1; index < n; index += 1) {
    const up =
      spans[
        index < 40
          ? 0
          : next() < 0.7
            ? Math.floor(next() * Math.min(index, 2000))
            : Math.max(0, index - 1 - Math.floor(next() * 8))
      ];
    const room = up.duration_ns;
    const from = room * next() * 0.7;
    const one = span(
      next,
      index % 9973 === 0 ? 'dead00000000beef' : up.span_id,
      pick(next, SERVICES),
      pick(next, ['SELECT items', 'UPDATE stock', 'render batch', 'GET /stock/{sku}']),
      'internal',
      BigInt(up.start_time_unix_nano) + BigInt(Math.round(from)),
      Math.max(1000, (room - from) * (0.2 + 0.75 * next())),
      next() < 0.002,
    );
    one.attributes = { 'db.rows': index };
    spans.push(one);
  }
  return spans;
}

const BODIES = [
  ['INFO', 'order accepted id=83121 items=3 total=59.90 EUR'],
  ['INFO', 'stock reserved sku=DM-1180 quantity=2'],
  ['DEBUG', 'cache hit key=item:441 age_ms=1204'],
  ['INFO', 'GET /product/441 200 in 23 ms'],
  ['WARN', 'card gateway slow: 1840 ms, budget 800 ms'],
  ['ERROR', 'charge failed after 3 attempts: card gateway answered 503 Service Unavailable'],
  ['INFO', 'quote computed carrier=post weight_g=840'],
  ['WARN', '<img src=x onerror=alert(1)> is what a hostile client sent as its name'],
];

const ROUTES = ['/', '/cart', '/checkout', '/orders/{id}', '/product/{id}', '/search', '/stock/{sku}', '/say "hi"'];

function logAttributes(next, index, bad) {
  const attributes = {
    'thread.name': `worker-${Math.ceil(next() * 40)}`,
    attempt: bad ? 3 : 1,
    'order.id': String(83_000 + Math.floor(next() * 4000)),
    'http.route': bad ? '/checkout' : pick(next, ROUTES),
    'http.request.method': pick(next, ['GET', 'GET', 'GET', 'POST', 'PUT']),
    'http.response.status_code': bad ? 503 : pick(next, [200, 200, 200, 204, 404]),
    'customer.tier': pick(next, ['free', 'free', 'pro']),
    'cache.hit': next() < 0.8,
    'cloud.region': pick(next, ['eu-central-1', 'eu-west-1', 'us-east-1']),
    'feature.flag': pick(next, ['', 'new-cart']),
  };
  if (bad) attributes['error.type'] = 'GatewayUnavailable';
  if (index % 9 === 0) attributes['user.agent'] = `Mozilla/5.0 (X11; Linux x86_64) ${'Hostile/9.9 '.repeat(30)}`;
  if (index % 400 === 0) attributes['db.query.text'] = 'SELECT *\n\tFROM "orders" WHERE id = $1';
  if (index % 700 === 0) attributes[`<script>alert("${'k'.repeat(300)}")</script>`] = '\u202e<b>txt.exe</b>';
  if (index % 900 === 0) attributes.level = 'verbose';
  return attributes;
}

export function logs(startMs, endMs, faultMs, limit, traces) {
  const next = random(3);
  const out = [];
  for (let index = 0; index < limit; index += 1) {
    const at = endMs - ((endMs - startMs) * (index + next())) / limit;
    const bad = at > faultMs && next() < 0.3;
    const [severity, body] = bad
      ? BODIES[pick(next, [4, 5, 5])]
      : pick(next, [BODIES[0], BODIES[1], BODIES[2], BODIES[3], BODIES[6], ...(next() < 0.02 ? [BODIES[7]] : [])]);
    const trace = next() < 0.7 ? pick(next, traces).id : null;
    out.push({
      time: new Date(at).toISOString(),
      time_unix_nano: `${Math.round(at)}${String(Math.floor(next() * 1e6)).padStart(6, '0')}`,
      service_name: bad ? 'payment' : pick(next, SERVICES),
      severity,
      severity_number: { DEBUG: 5, INFO: 9, WARN: 13, ERROR: 17 }[severity],
      body,
      event_name: null,
      trace_id: trace,
      span_id: trace && hex(next, 8),
      correlation_id: next() < 0.2 ? `req-${hex(next, 4)}` : null,
      attributes: logAttributes(next, index, bad),
      resource_attributes: { 'service.version': '2.14.0', 'host.name': 'shop-2' },
    });
  }
  return out;
}

export { lognormal, pick };
