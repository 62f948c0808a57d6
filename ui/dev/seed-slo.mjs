// Objectives, incidents, metrics, dashboards and ledger of the mock.
import { lognormal, random, receipt, SERVICES } from './seed.mjs';

/** Fixed at start-up, a little in the past. */
export const FAULT_MS = Date.now() - 12 * 60e3;
const iso = (ms) => new Date(ms).toISOString();

const TIERS = [
  ['page-fast', 'page', 14.4, 3600, 300],
  ['page-slow', 'page', 6, 21_600, 1800],
  ['ticket-fast', 'ticket', 3, 86_400, 7200],
  ['ticket-slow', 'ticket', 1, 259_200, 21_600],
];
const BURNS = {
  breached: [
    [101, 412],
    [17.4, 389],
    [4.4, 120],
    [1.5, 18],
  ],
  at_risk: [
    [8.2, 6.1],
    [6.9, 7.4],
    [2.2, 2.5],
    [1.1, 1.4],
  ],
  met: [
    [0.3, 0.1],
    [0.4, 0.3],
    [0.35, 0.4],
    [0.3, 0.3],
  ],
  unknown: [
    [null, null],
    [null, null],
    [null, null],
    [null, null],
  ],
};

function slo(id, name, service, kind, target, state, budget, sli, reason, coverage = 1) {
  const burn = Object.fromEntries(
    TIERS.map(([tier, , threshold], index) => {
      const [long, short] = BURNS[state][index];
      return [tier, { long, short, threshold, firing: long !== null && long > threshold && short > threshold }];
    }),
  );
  return {
    id,
    name,
    service,
    owner: 'team-shop',
    kind,
    target,
    window: '30d',
    state,
    state_reason: reason,
    budget_remaining_ratio: budget,
    sli,
    burn,
    watermark: iso(Date.now() - 6200),
    coverage,
    runbook: `https://runbooks.example/${id}`,
    dashboard: '/dashboards/shop',
  };
}
const SLOS = () => [
  slo(
    'checkout-availability',
    'Checkout succeeds',
    'checkout',
    'availability',
    '99.9',
    'breached',
    -0.182,
    0.99882,
    'error budget of the window is spent',
  ),
  slo(
    'payment-latency',
    'Charges answer within 800 ms',
    'payment',
    'latency',
    '99',
    'at_risk',
    0.214,
    0.9921,
    'page-slow is firing: 6.9× over 6 h and 7.4× over 30 min',
  ),
  slo('storefront-availability', 'Storefront answers', 'storefront', 'availability', '99.5', 'met', 0.873, 0.99936, ''),
  slo('catalog-latency', 'Catalog answers within 150 ms', 'catalog', 'latency', '95', 'met', 0.641, 0.982, ''),
  slo(
    'shipping-availability',
    'Shipping quotes succeed',
    'shipping',
    'availability',
    '99.9',
    'unknown',
    null,
    null,
    'agent down: shop-3 has been silent for 2 min',
    0.71,
  ),
];
export const slos = () => ({ slos: SLOS(), receipt: receipt() });

function series(points, spanS, shape) {
  const end = Math.floor(Date.now() / 60e3) * 60e3;
  return Array.from({ length: points }, (_, index) => {
    const at = end - spanS * 1000 * (1 - index / (points - 1));
    return [Math.round(at), ...shape(at)];
  });
}
const ramp = (at, top, lengthS) =>
  at < FAULT_MS ? top * 0.002 : top * Math.min(1, (at - FAULT_MS) / (lengthS * 1000) + 0.02);

const YAML = `apiVersion: daymark/v1
kind: SLO
metadata:
  id: checkout-availability
  name: Checkout succeeds
  owner: team-shop
spec:
  service: checkout
  indicator:
    availability:
      total: { span_kind: server }
      bad: { status: error }
  target: "99.9"
  window: 30d
  runbook: https://runbooks.example/checkout-availability
  dashboard: /dashboards/shop
`;

export function sloDetail(id, traces) {
  const one = SLOS().find((other) => other.id === id);
  if (!one) return null;
  const known = one.state !== 'unknown';
  const tiers = TIERS.map(([name, severity, factor, long_s, short_s], index) => {
    const burn = one.burn[name];
    return {
      name,
      severity,
      factor,
      long_s,
      short_s,
      threshold_ratio: (factor * (100 - Number(one.target))) / 100,
      long_burn: burn.long,
      short_burn: burn.short,
      firing: burn.firing,
      series: known
        ? series(180, 7200, (at) => [
            ramp(at, burn.long, long_s / 4) + 0.1 * index,
            at < FAULT_MS ? 0.2 : burn.short * Math.min(1, (at - FAULT_MS) / (short_s * 700)),
          ])
        : [],
    };
  });
  return {
    ...one,
    definition_yaml: YAML.replaceAll('checkout-availability', id),
    definition_file: `slo/${id}.yaml`,
    latency_edge: one.kind === 'latency' ? '802.816 ms' : null,
    budget: {
      total: 43_200,
      spent: 51_062,
      remaining_ratio: one.budget_remaining_ratio,
      series: known
        ? series(240, 30 * 86_400, (at) => [
            at > FAULT_MS - 5e7
              ? one.budget_remaining_ratio
              : 1 - ((at - (Date.now() - 30 * 864e5)) / (30 * 864e5)) * 0.34,
          ])
        : [],
    },
    tiers,
    good_total_series: series(120, 3600, (at) => {
      const total = 900 + Math.round(80 * Math.sin(at / 3e5));
      return [Math.round(total * (at > FAULT_MS ? 0.55 : 0.9997)), total];
    }),
    incidents: one.state === 'breached' ? incidents(null, traces).incidents : [],
    example_traces: known
      ? traces
          .filter((trace) => trace.failed)
          .slice(0, 8)
          .map((trace) => trace.id)
      : [],
    receipt: receipt(),
  };
}

function build(traces) {
  const example = traces.find((one) => one.failed).id;
  const open = {
    id: 'inc-01JD8QG4',
    slo: 'checkout-availability',
    service: 'checkout',
    state: 'open',
    severity: 'page',
    tier: 'page-fast',
    opened_at: iso(FAULT_MS + 104e3),
    escalated_at: null,
    resolved_at: null,
    summary: 'checkout: 44 % of requests fail; burning 412× the sustainable rate over 5 min (threshold 14.4×)',
    runbook: 'https://runbooks.example/checkout-availability',
    dashboard: '/dashboards/shop',
    example_trace_id: example,
    notifications: [
      { at: iso(FAULT_MS + 105e3), receiver: 'on-call-webhook', status: 'delivered', http_status: 200, attempts: 3 },
      {
        at: iso(FAULT_MS + 105e3),
        receiver: 'chat',
        status: 'retrying',
        http_status: 503,
        attempts: 6,
        error: 'chat answered 503 Service Unavailable; next attempt in 40 s',
      },
    ],
    timeline: [
      { at: iso(FAULT_MS), what: 'error ratio rises above the objective: 0.44 over 10 s' },
      { at: iso(FAULT_MS + 104e3), what: 'page-fast fires: 14.6× over 1 h and 171× over 5 min, threshold 14.4×' },
      { at: iso(FAULT_MS + 104e3), what: 'incident opened, 1 receiver matched route shop/page' },
      { at: iso(FAULT_MS + 105e3), what: 'on-call-webhook: delivered after 3 attempts (503, 503, 200)' },
      { at: iso(FAULT_MS + 260e3), what: 'page-slow fires as well: same incident, no second page' },
    ],
  };
  const old = {
    ...open,
    id: 'inc-01JCZ7M2',
    slo: 'payment-latency',
    service: 'payment',
    state: 'resolved',
    severity: 'ticket',
    tier: 'ticket-fast',
    opened_at: iso(FAULT_MS - 86e6),
    resolved_at: iso(FAULT_MS - 79e6),
    summary: 'payment: 4.1 % of charges slower than 802.816 ms',
    notifications: open.notifications.slice(0, 1),
  };
  return [open, old];
}
export const incidents = (state, traces) => ({
  incidents: build(traces).filter((one) => !state || one.state === state),
  receipt: receipt(),
});
export const incident = (id, traces) => build(traces).find((one) => one.id === id) ?? null;

export const metrics = () => ({
  metrics: [
    {
      name: 'traces.span.metrics.duration',
      kind: 'histogram',
      unit: 'ns',
      services: SERVICES,
      attribute_keys: ['span.name', 'span.kind', 'status.code'],
    },
    {
      name: 'shop.orders',
      kind: 'counter',
      unit: '{order}',
      services: ['checkout'],
      attribute_keys: ['customer.tier'],
    },
    {
      name: 'shop.cart.value',
      kind: 'histogram',
      unit: 'EUR',
      services: ['checkout'],
      attribute_keys: ['customer.tier'],
    },
    { name: 'process.memory.usage', kind: 'gauge', unit: 'By', services: SERVICES, attribute_keys: ['host.name'] },
  ],
  receipt: receipt(),
});

export function metricRange(q, [start, end], traces) {
  const fn = q.get('fn') ?? 'rate';
  const groups = q.getAll('group_by');
  const service = q.get('service');
  const names = groups.length
    ? groups[0] === 'service'
      ? SERVICES
      : ['POST /orders', 'GET /stock/{sku}', 'POST /charges']
    : [''];
  const step = Math.max(10, Math.round((end - start) / 1000 / 240 / 10) * 10);
  const list = names.map((name, index) => {
    const next = random(index + fn.length * 17);
    const points = [];
    for (let at = Math.ceil(start / step / 1000) * step * 1000; at < end; at += step * 1000) {
      const hurt =
        at > FAULT_MS && (name === '' || name === 'payment' || name === 'checkout' || name === 'POST /charges');
      const wave = 1 + 0.25 * Math.sin(at / 9e5 + index) + 0.06 * (next() - 0.5);
      const value =
        fn === 'error_ratio'
          ? (hurt ? 0.42 : 0.0006) * wave
          : /^p\d|max|min|avg/.test(fn)
            ? (hurt ? 1.7e9 : (40 + 30 * index) * 1e6) * wave * (fn === 'p99' ? 2 : 1)
            : (18 + 9 * index) * wave;
      const gap = at > FAULT_MS - 1.5e6 && at < FAULT_MS - 1.3e6;
      const sparse = fn === 'min' && next() < 0.6;
      points.push([at, gap || sparse ? null : value]);
    }
    const exemplars = /^p|max/.test(fn)
      ? traces
          .filter((one) => one.durationMs > 900)
          .slice(0, 12)
          .map((one) => ({
            time_ms: one.at,
            value: one.durationMs * 1e6 * (0.8 + 0.2 * lognormal(next, 1, 0.1)),
            trace_id: one.id,
            span_id: 'aa',
          }))
      : [];
    return {
      labels: name ? { [groups[0]]: name } : service ? { service } : {},
      points,
      err_bound: 0.0039,
      bucket_bound: 'hdr 0.39 %',
      exemplars: index === 0 ? exemplars : [],
    };
  });
  const unit =
    fn === 'error_ratio' ? 'ratio' : fn === 'rate' ? '{request}/s' : /^p|max|min|avg/.test(fn) ? 'ns' : '{request}';
  return {
    metric: q.get('metric'),
    unit,
    fn,
    resolution: step > 60 ? '1m' : '10s',
    step_s: step,
    series: list,
    receipt: receipt(),
  };
}

export const dashboards = () => ({
  dashboards: [
    {
      id: 'shop',
      title: 'Shop: what customers feel',
      purpose: 'Is the shop selling, and if not, which dependency hurts?',
      audience: 'on-call of team-shop',
    },
    {
      id: 'daymark',
      title: 'Daymark itself',
      purpose: 'Is telemetry arriving, stored and answered in time?',
      audience: 'operators of Daymark',
    },
  ],
});

const METRIC = 'traces.span.metrics.duration';
export function dashboard(id) {
  const info = dashboards().dashboards.find((one) => one.id === id);
  if (!info) return null;
  const panel = (pid, title, unit, description, kind, queries, thresholds = []) => ({
    id: pid,
    title,
    unit,
    description,
    kind,
    queries,
    thresholds,
    links: [{ title: 'Runbook', url: 'https://runbooks.example/checkout-availability' }],
  });
  return {
    ...info,
    time_range: '1h',
    step_s: 30,
    panels: [
      panel(
        'errors',
        'Checkout error ratio',
        'ratio',
        'Share of checkout requests that fail. Users feel this first.',
        'timeseries',
        [{ metric: METRIC, service: 'checkout', fn: 'error_ratio', group_by: [], attributes: {}, legend: 'errors' }],
        [
          { value: 0.001, label: 'budget', from_slo: 'checkout-availability' },
          { value: 0.0144, label: 'page-fast 14.4×', from_slo: 'checkout-availability' },
        ],
      ),
      panel(
        'latency',
        'Payment latency',
        'ms',
        'p50 and p99 of charges.',
        'timeseries',
        [
          { metric: METRIC, service: 'payment', fn: 'p50', group_by: [], attributes: {}, legend: 'p50' },
          { metric: METRIC, service: 'payment', fn: 'p99', group_by: [], attributes: {}, legend: 'p99' },
        ],
        [{ value: 802.816, label: 'objective', from_slo: 'payment-latency' }],
      ),
      panel(
        'rate',
        'Requests by service',
        '{request}/s',
        'A drop means customers left or cannot reach us.',
        'timeseries',
        [{ metric: METRIC, fn: 'rate', group_by: ['service'], attributes: {}, legend: '{service}' }],
      ),
      panel('orders', 'Orders per second', '{order}/s', 'The money.', 'stat', [
        { metric: 'shop.orders', service: 'checkout', fn: 'rate', group_by: [], attributes: {}, legend: 'orders' },
      ]),
    ],
  };
}

export function ledger() {
  const row = (signal, received, rejected, shed, in_flight, unexplained = 0) => {
    const lost = Object.values({ ...rejected, ...shed }).reduce((sum, n) => sum + n, 0);
    return {
      signal,
      received,
      stored: received - lost - in_flight - unexplained,
      rejected,
      shed,
      sampled: {},
      in_flight,
      unexplained,
    };
  };
  const agent = (name, silent, lag) => ({
    agent: name,
    epoch: 17,
    closed_until: String(BigInt(Date.now() - lag) * 1_000_000n),
    last_seen: String(BigInt(Date.now() - lag) * 1_000_000n),
    silent,
    services: silent ? ['shipping'] : SERVICES.slice(0, 4),
  });
  return {
    components: [
      {
        component: 'agent',
        rows: [
          row('traces', 1_204_311, { malformed: 12 }, { queue_full: 820 }, 64),
          row('logs', 3_911_020, {}, {}, 0),
          row('metrics', 88_120, { duplicate: 40 }, {}, 0),
        ],
      },
      {
        component: 'collector',
        rows: [
          row('traces', 1_203_415, {}, {}, 12),
          row('logs', 3_911_020, { invalid_id: 3 }, {}, 0),
          row('metrics', 88_080, {}, {}, 0, 7),
        ],
      },
    ],
    agents: [agent('shop-1', false, 900), agent('shop-2', false, 1100), agent('shop-3', true, 131_000)],
    watermark: String(BigInt(Date.now() - 6100) * 1_000_000n),
    receipt: receipt(),
  };
}
