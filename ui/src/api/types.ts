// The answers of /api/v1 as the UI uses them. Instants are kept as the API sends them; `time/instant.ts` reads them.

export interface Receipt {
  complete: boolean;
  missing: string[];
  warnings?: string[];
  segments_total: number;
  segments_read: number;
  rows_scanned: number;
  hot_rows: number;
  elapsed_ms: number;
}

export type Scalar = string | number | boolean | null;
export type AttributeValue = Scalar | AttributeValue[] | { [key: string]: AttributeValue };
export type Attributes = Record<string, AttributeValue>;
/** RFC3339, or unix seconds, ms, µs or ns as text or number. */
export type Instant = string | number;

export interface ServicesAnswer {
  services: { name: string; operations: string[] }[];
  receipt: Receipt;
}

export interface GraphEdge {
  caller: string;
  callee: string;
  /** `service`, or `peer`: known by its callers only. */
  callee_kind: string;
  /** `rpc`, `messaging`, `database`. */
  connection: string;
  calls: number;
  errors: number;
  duration_mean_ns: number;
  duration_p50_ns: number | null;
  duration_p90_ns: number | null;
  duration_p99_ns: number | null;
}
export interface GraphAnswer {
  start_time: string;
  end_time: string;
  nodes: { name: string; kind: string }[];
  edges: GraphEdge[];
  receipt: Receipt;
}

export interface TraceSummary {
  trace_id: string;
  root_service: string | null;
  root_name: string | null;
  start_time: string;
  start_time_unix_nano: string;
  duration_ns: number;
  span_count: number;
  error_count: number;
  services: string[];
  state: string;
  version?: number;
  /** Start and duration as the senders' clocks had them. */
  raw_start_time_unix_nano?: string;
  raw_duration_ns?: number;
  /** The largest correction of a clock; null without one. */
  clock_offset_ns?: number | null;
}
export interface TracesAnswer {
  traces: TraceSummary[];
  receipt: Receipt;
}

export interface SpanEvent {
  name: string;
  time_unix_nano: string;
  attributes: Attributes;
}
export interface SpanLink {
  trace_id: string;
  span_id: string;
  attributes: Attributes;
}
export interface Span {
  span_id: string;
  parent_span_id: string | null;
  service_name: string;
  name: string;
  kind: string;
  /** As the sender's clock had it. */
  start_time_unix_nano: string;
  duration_ns: number;
  corrected_start_time_unix_nano: string;
  /** What was added to the start for that. */
  clock_offset_ns: number;
  self_time_ns: number;
  critical_path_ns: number;
  status: string;
  status_message: string | null;
  scope_name: string | null;
  attributes: Attributes;
  resource_attributes: Attributes;
  events: SpanEvent[] | null;
  links: SpanLink[] | null;
}
/** `spans` is read apart: see `trace/spans.ts`. */
export interface TraceAnswer {
  trace: TraceSummary;
  logs: LogRecord[];
  receipt: Receipt;
}

export interface LogRecord {
  time: string;
  time_unix_nano: string;
  service_name: string;
  severity: string;
  severity_number: number;
  body: string;
  event_name: string | null;
  trace_id: string | null;
  span_id: string | null;
  correlation_id: string | null;
  attributes: Attributes;
  resource_attributes: Attributes;
}
export interface VolumeBucket {
  time_unix_ms: number;
  count: number;
  errors: number;
}
export interface LogsAnswer {
  logs: LogRecord[];
  /** Null when the server did not count. */
  matched: number | null;
  volume: VolumeBucket[] | null;
  receipt: Receipt;
}

export interface FacetValue {
  value: string | number | boolean;
  /** As a search finds it: `1.0`, of which `value` has lost the fraction. */
  text?: string;
  records: number;
}
export interface LogFacet {
  key: string;
  /** False for the fields `service` and `severity`. */
  attribute: boolean;
  /** Of the records looked at, how many have it. */
  records: number;
  distinct: number;
  /** Most frequent first, not all of them. */
  values: FacetValue[];
}
export interface FacetsAnswer {
  /** How many records were looked at: the newest ones that match. */
  records: number;
  /** Whether these are all that match. */
  complete: boolean;
  facets: LogFacet[];
  receipt: Receipt;
}

export interface MetricInfo {
  name: string;
  kind: string;
  unit: string;
  services: string[];
  attribute_keys: string[];
}
export interface MetricsAnswer {
  metrics: MetricInfo[];
  receipt: Receipt;
}
export interface Exemplar {
  time_ms: number;
  value: number;
  trace_id: string;
  span_id: string | null;
}
export interface RangeSeries {
  labels: Record<string, string>;
  points: [number, number | null][];
  err_bound?: number | null;
  bucket_bound?: string | null;
  exemplars?: Exemplar[];
}
export interface RangeAnswer {
  metric: string;
  unit: string;
  fn: string;
  resolution: string;
  step_s: number;
  series: RangeSeries[];
  receipt: Receipt;
}

export type SloState = 'met' | 'at_risk' | 'breached' | 'unknown';
export interface Burn {
  long: number | null;
  short: number | null;
  threshold: number;
  firing: boolean;
  unknown?: string | null;
}
export interface Slo {
  id: string;
  name: string;
  service: string;
  owner: string;
  kind: string;
  target: string;
  window: string;
  state: SloState;
  state_reason: string;
  description?: string | null;
  budget_remaining_ratio: number | null;
  sli: number | null;
  burn: Record<string, Burn>;
  watermark: Instant | null;
  coverage: number | null;
  /** Seconds of the window that lie after the first event known. */
  data_s?: number | null;
  runbook: string | null;
  dashboard: string | null;
}
export interface SlosAnswer {
  slos: Slo[];
  receipt: Receipt;
}
export interface Tier {
  name: string;
  severity: string;
  factor: number;
  long_s: number;
  short_s: number;
  threshold_ratio: number;
  long_burn: number | null;
  short_burn: number | null;
  firing: boolean;
  series: [number, number | null, number | null][];
}
export interface SloDetail extends Slo {
  definition_yaml: string;
  definition_file: string;
  latency_edge?: string | number | null;
  budget: { total: number; spent: number; remaining_ratio: number | null; series: [number, number | null][] };
  tiers: Tier[];
  good_total_series: [number, number, number][];
  incidents: Incident[];
  example_traces: string[];
  receipt?: Receipt;
}

export interface Notification {
  at: Instant;
  receiver: string;
  status: string;
  http_status: number | null;
  attempts: number;
  error?: string | null;
  /** `firing` or `resolved`: what was told. */
  alert?: string;
  severity?: string;
}
export interface Incident {
  id: string;
  slo: string;
  service: string;
  state: string;
  severity: string | null;
  tier: string | null;
  opened_at: Instant;
  escalated_at?: Instant | null;
  resolved_at?: Instant | null;
  acknowledged_at?: Instant | null;
  summary: string;
  runbook: string | null;
  dashboard: string | null;
  example_trace_id: string | null;
  notifications: Notification[];
  timeline: { at: Instant; what: string }[];
}
export interface IncidentsAnswer {
  incidents: Incident[];
  receipt: Receipt;
}

export interface DashboardInfo {
  id: string;
  title: string;
  purpose: string;
  audience: string;
}
export interface PanelQuery {
  metric: string;
  service?: string | null;
  fn: string;
  group_by?: string[];
  attributes?: Record<string, string>;
  legend?: string | null;
}
export interface Panel {
  id: string;
  title: string;
  unit: string;
  description: string;
  kind: 'timeseries' | 'stat';
  queries: PanelQuery[];
  thresholds: { value: number; label: string; from_slo?: string | null }[];
  links: ({ title?: string; url?: string; href?: string } | string)[];
}
export interface Dashboard extends DashboardInfo {
  time_range: string | number;
  step_s: number;
  owner?: string | null;
  runbook?: string | null;
  panels: Panel[];
}

export interface TableUsage {
  table: string;
  segments: number;
  rows: number;
  data_bytes: number;
  index_bytes: number;
  oldest: string | null;
  newest: string | null;
  kept_hours: number;
  bytes_per_hour: number;
  freed_in_24h_bytes: number;
}
export interface StorageAnswer {
  /** Null when the collector did not answer: then nothing below is known. */
  at: string | null;
  tables: TableUsage[];
  /** Of all tenants, as the forecast. */
  disk: { free_bytes: number; reserved_bytes: number } | null;
  /** Null when that is not within a year, or no disk is known. */
  full_in_hours: number | null;
  receipt: Receipt;
}

export interface LedgerRow {
  signal: string;
  received: number;
  stored: number;
  rejected: Record<string, number>;
  shed: Record<string, number>;
  sampled: Record<string, number>;
  in_flight: number;
  unexplained: number;
}
export interface AgentStatus {
  tenant?: string;
  agent: string;
  epoch: number;
  closed_until: Instant;
  last_seen: Instant;
  silent: boolean;
  services: string[];
}
export interface LedgerAnswer {
  components: { component: string; since?: Instant | null; rows: LedgerRow[] }[];
  agents: AgentStatus[];
  watermark: Instant | null;
  lost?: { frames: number; bytes: number; parts: unknown[] } | null;
  receipt: Receipt;
}
