// uPlot's options and drawing hooks for our charts: tokens for colours, UTC axis, threshold lines with their names,
// exemplars as links.
import uPlot from 'uplot';
import { withUnit } from '../time/format';
import { isolated, timeLabels, yRange } from './align';
import { canvasFont, resolveToken } from './palette';

export interface PlotSeries {
  label: string;
  token: string;
  points: readonly (readonly [number, number | null])[];
  fill?: boolean;
  dash?: boolean;
  step?: boolean;
}
export interface Threshold {
  value: number;
  label: string;
  token?: string;
}
export interface PlotExemplar {
  timeMs: number;
  value: number;
  href: string;
  label: string;
}
export interface PlotInput {
  series: PlotSeries[];
  unit: string;
  height: number;
  thresholds: Threshold[];
  exemplars: PlotExemplar[];
  xRangeMs: [number, number] | null;
  floor: number;
  ceiling: number | null;
  syncKey: string | null;
  compact: boolean;
  onCursor: (index: number | null) => void;
  onZoom: ((startMs: number, endMs: number) => void) | null;
}

/** Half of the widest label of the time axis, so that the last one is whole wherever it falls. */
const LABEL_ROOM_PX = 26;
/** Exemplars closer than this cover each other and the line: the largest stands for them. */
const EXEMPLAR_PX = 12;
/** How much of the end of a long name is its value. */
const VALUE_CHARS = 7;

const ratio = () => window.devicePixelRatio || 1;

export function plotOptions(input: PlotInput, width: number, largest: number): uPlot.Options {
  const axis: uPlot.Axis = {
    stroke: resolveToken('--text-3'),
    grid: { stroke: resolveToken('--grid'), width: 1 },
    ticks: { show: false },
    font: canvasFont(11),
  };
  return {
    width,
    height: input.height,
    legend: { show: false },
    padding: [10, LABEL_ROOM_PX, 0, 0],
    tzDate: (seconds) => {
      const date = new Date(seconds * 1000);
      return new Date(date.getTime() + date.getTimezoneOffset() * 60_000);
    },
    cursor: {
      y: false,
      drag: { x: input.onZoom !== null, y: false, setScale: false },
      points: { size: 7 },
      ...(input.syncKey ? { sync: { key: input.syncKey, setSeries: false } } : {}),
    },
    scales: {
      x: {
        time: true,
        ...(input.xRangeMs
          ? { range: (): [number, number] => [input.xRangeMs![0] / 1000, input.xRangeMs![1] / 1000] }
          : {}),
      },
      y: {
        range: () =>
          yRange(
            input.ceiling === null ? largest : Math.min(largest, input.ceiling),
            input.thresholds.map((one) => one.value),
            input.floor,
          ),
      },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 26,
        space: 70,
        values: (_u, splits, _axis, _space, step) => timeLabels(splits, step),
      },
      {
        ...axis,
        size: (_u, labels) => labelRoom(labels),
        space: input.compact ? 26 : 36,
        values: (_u, splits) => splits.map((value) => (value === 0 ? '0' : withUnit(value, input.unit))),
      },
    ],
    series: [{}, ...input.series.map(seriesOptions)],
    hooks: hooks(input),
  };
}

/** Width of the y axis in px: as wide as its longest label. */
function labelRoom(labels: string[] | null): number {
  const longest = Math.max(4, ...(labels ?? []).map((label) => label.length));
  return Math.min(120, 16 + longest * 6.2);
}

function seriesOptions(one: PlotSeries): uPlot.Series {
  const stroke = resolveToken(one.token);
  return {
    label: one.label,
    stroke,
    width: 1.75,
    dash: one.dash ? [5, 4] : undefined,
    fill: one.fill ? stroke.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.12)') : undefined,
    paths: one.step ? uPlot.paths.stepped?.({ align: 1 }) : uPlot.paths.linear?.(),
    points: {
      show: one.points.length < 3,
      size: 5,
      filter: (u, column, all) => (all ? null : isolated(u.data[column] as (number | null)[])),
    },
    spanGaps: false,
  };
}

function hooks(input: PlotInput): uPlot.Hooks.Arrays {
  return {
    draw: [(u) => drawThresholds(u, input.thresholds, input.unit), (u) => placeExemplars(u, input.exemplars)],
    setCursor: [(u) => input.onCursor(u.cursor.idx ?? null)],
    setSelect: [
      (u) => {
        if (!input.onZoom || u.select.width < 6) return;
        const start = u.posToVal(u.select.left, 'x') * 1000;
        const end = u.posToVal(u.select.left + u.select.width, 'x') * 1000;
        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        input.onZoom(start, end);
      },
    ],
  };
}

/** A name that ends in a value with its unit. */
const MEASURED = /\d\s?(ns|µs|us|ms|s)$/;

function drawThresholds(u: uPlot, thresholds: Threshold[], unit: string): void {
  const { ctx, bbox } = u;
  const scale = ratio();
  const lines = thresholds.map(({ value, label, token }) => {
    const above = value > (u.scales.y.max ?? 0);
    const y = above ? bbox.top + 2 * scale : Math.round(u.valToPos(value, 'y', true));
    const named = MEASURED.test(label) || label.includes(withUnit(value, unit));
    const text = `${label}${named ? '' : ` ${withUnit(value, unit)}`}${above ? ' ↑' : ''}`;
    return { above, y, text, color: resolveToken(token ?? '--bad') };
  });
  ctx.save();
  for (const line of lines) if (!line.above) drawLine(ctx, bbox, line.y, line.color, scale);
  // Lines that are close to each other have their names side by side, above the highest of them; where the picture is
  // too narrow for that, one above the other.
  const taken: { y: number; right: number }[] = [];
  ctx.font = canvasFont(11 * scale, 600);
  const start = bbox.left + 4 * scale;
  const end = bbox.left + bbox.width;
  for (const { y, text, color } of lines.toSorted((one, two) => one.y - two.y)) {
    const name = shortened(ctx, text, end - start - 8 * scale);
    const wide = ctx.measureText(name).width + 8 * scale;
    const beside = taken.filter((other) => Math.abs(other.y - y) < 15 * scale);
    let top = Math.min(y, ...beside.map((other) => other.y));
    let left = Math.max(start, ...beside.map((other) => other.right));
    if (left + wide > end) {
      left = start;
      top -= 15 * scale;
    }
    drawName(ctx, bbox, left, top, wide, name, color, scale);
    taken.push({ y: top, right: left + wide + 4 * scale });
  }
  ctx.restore();
}

function drawLine(ctx: CanvasRenderingContext2D, bbox: uPlot.BBox, y: number, color: string, scale: number): void {
  ctx.strokeStyle = color;
  ctx.lineWidth = 1.25 * scale;
  ctx.setLineDash([6 * scale, 4 * scale]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.setLineDash([]);
}

/** `text` without its middle, where it is too long: the value at its end stays. */
function shortened(ctx: CanvasRenderingContext2D, text: string, room: number): string {
  if (ctx.measureText(text).width <= room) return text;
  const tail = text.slice(-VALUE_CHARS);
  let length = text.length - VALUE_CHARS;
  while (length > 1 && ctx.measureText(`${text.slice(0, length)}…${tail}`).width > room) length -= 1;
  return `${text.slice(0, length)}…${tail}`;
}

/** The name of a line, above it where there is room. */
function drawName(
  ctx: CanvasRenderingContext2D,
  bbox: uPlot.BBox,
  left: number,
  y: number,
  wide: number,
  text: string,
  color: string,
  scale: number,
): void {
  ctx.textAlign = 'left';
  const room = y - bbox.top > 16 * scale;
  ctx.textBaseline = room ? 'bottom' : 'top';
  const textY = y + (room ? -3 : 3) * scale;
  ctx.fillStyle = resolveToken('--surface');
  ctx.globalAlpha = 0.82;
  ctx.fillRect(left, room ? textY - 12 * scale : textY - scale, wide, 13 * scale);
  ctx.globalAlpha = 1;
  ctx.fillStyle = color;
  ctx.fillText(text, left + 4 * scale, textY);
}

/** Exemplars are DOM links over the plot for the pointer; the data table below lists the same for the keyboard. */
function placeExemplars(u: uPlot, exemplars: PlotExemplar[]): void {
  for (const old of u.over.querySelectorAll('.exemplar')) old.remove();
  const [min, max] = [u.scales.x.min ?? 0, u.scales.x.max ?? 0];
  const placed: { left: number; top: number }[] = [];
  for (const one of exemplars.toSorted((a, b) => b.value - a.value)) {
    const seconds = one.timeMs / 1000;
    if (seconds < min || seconds > max) continue;
    const left = u.valToPos(seconds, 'x');
    const top = Math.max(0, u.valToPos(Math.min(one.value, u.scales.y.max ?? one.value), 'y'));
    if (placed.some((other) => Math.abs(other.left - left) + Math.abs(other.top - top) < EXEMPLAR_PX)) continue;
    placed.push({ left, top });
    const link = document.createElement('a');
    link.className = 'exemplar';
    link.href = one.href;
    link.title = one.label;
    link.tabIndex = -1;
    link.setAttribute('aria-hidden', 'true');
    link.dataset.testid = 'exemplar';
    link.style.left = `${left}px`;
    link.style.top = `${top}px`;
    link.addEventListener('mousedown', (event) => event.stopPropagation());
    u.over.append(link);
  }
}
