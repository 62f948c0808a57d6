// A time-series chart: uPlot for the picture; legend, read-out, keyboard and data table in the DOM. With the chart in
// focus, ← → move the cursor and a polite live region reads the values; the table holds every number.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import '../styles/chart.css';
import { schemeTick } from '../app/theme';
import { withUnit } from '../time/format';
import { utcDateTime } from '../time/instant';
import { align } from './align';
import { DataTable } from './DataTable';
import { type PlotExemplar, plotOptions, type PlotSeries, type Threshold } from './plot';

export interface ChartProps {
  title: string;
  series: PlotSeries[];
  unit: string;
  height?: number;
  thresholds?: Threshold[];
  exemplars?: PlotExemplar[];
  xRangeMs?: [number, number] | null;
  floor?: number;
  /** The top of the y axis at most; lines run out of the picture above it. */
  ceiling?: number;
  syncKey?: string;
  compact?: boolean;
  legend?: boolean;
  onZoom?: (startMs: number, endMs: number) => void;
}

export function Chart(props: ChartProps) {
  const { series, unit, height = 240, thresholds = [], exemplars = [], compact = false } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [cursor, setCursor] = useState<number | null>(null);
  const [spoken, setSpoken] = useState('');
  const data = useMemo(() => align(series.map((one) => one.points)), [series]);
  const largest = useMemo(() => largestOf(data, exemplars), [data]);
  const scheme = schemeTick.value;
  const span = props.xRangeMs?.join();

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const options = plotOptions(
      {
        series,
        unit,
        height,
        thresholds,
        exemplars,
        xRangeMs: props.xRangeMs ?? null,
        floor: props.floor ?? 0,
        ceiling: props.ceiling ?? null,
        syncKey: props.syncKey ?? null,
        compact,
        onCursor: setCursor,
        onZoom: props.onZoom ?? null,
      },
      element.clientWidth,
      largest,
    );
    const made = new uPlot(options, data as uPlot.AlignedData, element);
    plot.current = made;
    const observer = new ResizeObserver(() => {
      if (element.clientWidth !== made.width) made.setSize({ width: element.clientWidth, height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [data, unit, height, scheme, span, compact]);

  const onKeyDown = (event: KeyboardEvent) => {
    const made = plot.current;
    if (
      !made ||
      !['ArrowLeft', 'ArrowRight', 'Home', 'End'].includes(event.key) ||
      event.target !== event.currentTarget
    )
      return;
    event.preventDefault();
    const last = data[0].length - 1;
    const now = cursor ?? (event.key === 'ArrowLeft' ? last + 1 : -1);
    const next = event.key === 'Home' ? 0 : event.key === 'End' ? last : now + (event.key === 'ArrowRight' ? 1 : -1);
    const index = Math.min(last, Math.max(0, next));
    made.setCursor({ left: made.valToPos(data[0][index] as number, 'x'), top: 10 });
    setCursor(index);
    setSpoken(readout(data, series, unit, index));
  };
  return (
    <div class="chart">
      {/* A group, not an img: the exemplars inside are links. Its numbers are in the table. */}
      <div
        class="plot"
        ref={box}
        tabIndex={0}
        role="group"
        aria-roledescription="chart"
        aria-label={`${props.title}. ${summary(data, series, unit)} Arrow keys read single points.`}
        onKeyDown={onKeyDown}
        onBlur={() => setCursor(null)}
      />
      <p class="visually-hidden" aria-live="polite">
        {spoken}
      </p>
      {props.legend !== false && <Legend data={data} series={series} unit={unit} cursor={cursor} />}
      <DataTable title={props.title} data={data} series={series} unit={unit} exemplars={exemplars} />
    </div>
  );
}

function largestOf(data: (number | null)[][], exemplars: PlotExemplar[]): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const column of data.slice(1))
    for (const value of column) if (value !== null && value > largest) largest = value;
  // Exemplars are single requests and may lie far above the line; they stretch the axis only so far.
  const top = exemplars.reduce((max, one) => Math.max(max, one.value), 0);
  return Math.max(largest, Math.min(top, largest * 1.6));
}

function lastIndex(data: (number | null)[][], column: number): number {
  return data[column].findLastIndex((value) => value !== null);
}

function summary(data: (number | null)[][], series: PlotSeries[], unit: string): string {
  if (data[0].length === 0) return 'No data.';
  const lines = series
    .slice(0, 6)
    .map((one, index) => `${one.label}: last ${withUnit(data[index + 1][lastIndex(data, index + 1)], unit)}.`);
  return `${series.length} series. ${lines.join(' ')}`;
}

function readout(data: (number | null)[][], series: PlotSeries[], unit: string, index: number): string {
  const values = series.slice(0, 6).map((one, column) => `${one.label} ${withUnit(data[column + 1][index], unit)}`);
  return `${utcDateTime((data[0][index] as number) * 1000)} UTC: ${values.join(', ')}`;
}

function Legend({
  data,
  series,
  unit,
  cursor,
}: {
  data: (number | null)[][];
  series: PlotSeries[];
  unit: string;
  cursor: number | null;
}) {
  const at =
    cursor !== null && data[0][cursor] !== undefined
      ? `${utcDateTime((data[0][cursor] as number) * 1000)} UTC`
      : 'last value';
  return (
    <div class="legend">
      <ul>
        {series.map((one, index) => (
          <li key={one.label}>
            <span class={`legend-line ${one.dash ? 'dashed' : ''}`} style={{ borderColor: `var(${one.token})` }} />
            <span class="legend-name" title={one.label}>
              {one.label}
            </span>
            <strong>{withUnit(data[index + 1][cursor ?? lastIndex(data, index + 1)] ?? null, unit)}</strong>
          </li>
        ))}
      </ul>
      <span class="muted">{at}</span>
    </div>
  );
}
