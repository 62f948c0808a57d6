// Traces as dots, time against duration on a log scale: the slow and the failed stand out. For the pointer only; the
// table below is the same for keyboard and screen reader.
import type { TraceSummary } from '../api/types';
import { href, navigate } from '../app/router';
import { nanos } from '../time/format';
import { instantMs, utcField } from '../time/instant';
import type { ResolvedRange } from '../time/range';

const HEIGHT = 120;

export function Scatter({ traces, range }: { traces: TraceSummary[]; range: ResolvedRange }) {
  const durations = traces.map((trace) => Math.max(1000, trace.duration_ns));
  const low = Math.log10(Math.min(...durations)) - 0.15;
  const high = Math.log10(Math.max(...durations)) + 0.15;
  const x = (ms: number) => ((ms - range.startMs) / (range.endMs - range.startMs)) * 100;
  const y = (ns: number) => HEIGHT - ((Math.log10(Math.max(1000, ns)) - low) / (high - low)) * HEIGHT;
  const lines = decades(low, high);
  return (
    <div class="scatter" aria-hidden="true">
      <svg width="100%" height={HEIGHT} class="scatter-plot">
        {lines.map((ns) => (
          <g key={ns}>
            <line x1="0" x2="100%" y1={y(ns)} y2={y(ns)} class="grid-line" />
            <text x="4" y={y(ns) - 4} class="axis-text">
              {nanos(ns)}
            </text>
          </g>
        ))}
        {traces.map((trace) => {
          const ms = instantMs(trace.start_time_unix_nano) ?? range.startMs;
          return <Dot key={trace.trace_id} trace={trace} x={`${x(ms)}%`} y={y(trace.duration_ns)} />;
        })}
      </svg>
      <div class="scatter-axis muted">
        <span>{utcField(range.startMs)} UTC</span>
        <span>start time × duration (log scale) · click a dot to open its trace</span>
        <span>{utcField(range.endMs)} UTC</span>
      </div>
    </div>
  );
}

function Dot({ trace, x, y }: { trace: TraceSummary; x: string; y: number }) {
  const failed = trace.error_count > 0;
  const size = Math.min(9, 4 + Math.log10(Math.max(1, trace.span_count)));
  const open = () => navigate(href(`/traces/${trace.trace_id}`));
  const title = `${trace.root_name ?? 'no root'} · ${nanos(trace.duration_ns)}${failed ? ` · ${trace.error_count} errors` : ''}`;
  return (
    <svg x={x} y={y} overflow="visible" class={`dot ${failed ? 'bad' : ''}`} onClick={open}>
      <title>{title}</title>
      {failed ? (
        <rect x={-size / 2 - 0.5} y={-size / 2 - 0.5} width={size + 1} height={size + 1} transform="rotate(45)" />
      ) : (
        <circle r={size / 2} />
      )}
    </svg>
  );
}

function decades(low: number, high: number): number[] {
  const lines: number[] = [];
  for (let power = Math.ceil(low); power <= high && lines.length < 8; power += 1) lines.push(10 ** power);
  return lines;
}
