// Draws the waterfall's bars and the minimap on canvas. Called for the rows in view only; the minimap folds all spans
// into one line per pixel row.
import { canvasFont, resolveToken, serviceColor } from '../charts/palette';
import { nanos } from '../time/format';
import { FLAG_CRITICAL, FLAG_ERROR, FLAG_ERROR_BELOW, type Layout } from './layout';

export interface View {
  /** Window of time shown, ns since the trace's start. */
  fromNs: number;
  toNs: number;
}

export const ROW_PX = 26;
export const AXIS_PX = 28;
const EDGE_PX = 10;

/** Sets the canvas up for the device's pixels and clears it; all drawing is in CSS pixels. */
export function prepare(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D | null {
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const ctx = canvas.getContext('2d');
  ctx?.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx?.clearRect(0, 0, width, height);
  return ctx;
}

/** Round steps of time, at most one each 110 px. */
export function ticks(view: View, width: number): number[] {
  const span = view.toNs - view.fromNs;
  const most = Math.max(2, Math.floor(width / 110));
  const raw = span / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5, 10].find((one) => one * power >= raw) ?? 10) * power;
  const out: number[] = [];
  for (let at = Math.ceil(view.fromNs / step) * step; at <= view.toNs; at += step) out.push(at);
  return out;
}

const scaleX = (view: View, width: number) => (ns: number) =>
  EDGE_PX + ((ns - view.fromNs) / (view.toNs - view.fromNs)) * (width - 2 * EDGE_PX);

export interface BarsInput {
  layout: Layout;
  rows: Int32Array;
  first: number;
  offsetPx: number;
  selected: number;
  view: View;
  width: number;
  height: number;
}

export function paintAxis(canvas: HTMLCanvasElement, view: View, width: number): void {
  const ctx = prepare(canvas, width, AXIS_PX);
  if (!ctx) return;
  const x = scaleX(view, width);
  ctx.font = canvasFont(11);
  ctx.fillStyle = resolveToken('--text-3');
  ctx.textBaseline = 'middle';
  for (const at of ticks(view, width)) {
    const left = x(at);
    ctx.textAlign = left < 30 ? 'left' : left > width - 40 ? 'right' : 'center';
    ctx.fillText(at === 0 ? '0' : nanos(at), left, AXIS_PX / 2);
  }
}

export function paintBars(canvas: HTMLCanvasElement, input: BarsInput): void {
  const { layout, rows, view, width, height } = input;
  const ctx = prepare(canvas, width, height);
  if (!ctx) return;
  const x = scaleX(view, width);
  ctx.fillStyle = resolveToken('--grid');
  for (const at of ticks(view, width)) ctx.fillRect(Math.round(x(at)), 0, 1, height);
  const colors = layout.services.map((name) => resolveToken(serviceColor(name)));
  ctx.font = canvasFont(11);
  ctx.textBaseline = 'middle';
  const count = Math.ceil((height + input.offsetPx) / ROW_PX) + 1;
  for (let at = 0; at < count && input.first + at < rows.length; at += 1) {
    const position = rows[input.first + at];
    paintBar(ctx, layout, position, at * ROW_PX - input.offsetPx, x, width, colors[layout.service[position]]);
  }
}

function paintBar(
  ctx: CanvasRenderingContext2D,
  layout: Layout,
  position: number,
  top: number,
  x: (ns: number) => number,
  width: number,
  color: string,
): void {
  const failed = (layout.flags[position] & FLAG_ERROR) !== 0;
  const from = x(layout.start[position]);
  const to = x(layout.start[position] + layout.duration[position]);
  const left = Math.max(-4, Math.min(from, width + 4));
  const wide = Math.max(2, Math.min(to, width + 4) - left);
  const y = top + 6;
  const tall = ROW_PX - 12;
  ctx.fillStyle = color;
  ctx.beginPath();
  ctx.roundRect(left, y, wide, tall, Math.min(3, wide / 2));
  ctx.fill();
  if (layout.flags[position] & FLAG_CRITICAL) {
    ctx.fillStyle = resolveToken('--text');
    ctx.fillRect(left, y + tall + 2, wide, 2);
  }
  if (failed) paintFailure(ctx, left, y, wide, tall);
  paintEvents(ctx, layout, position, top, x);
  if (to < 0 || from > width) return;
  const label = `${failed ? '✕ ' : ''}${nanos(layout.duration[position])}`;
  const room = ctx.measureText(label).width + 8;
  ctx.fillStyle = failed ? resolveToken('--bad') : resolveToken('--text-2');
  const end = left + wide;
  if (end + room < width) {
    ctx.textAlign = 'left';
    ctx.fillText(label, end + 6, top + ROW_PX / 2 + 0.5);
  } else if (left - room > 0) {
    ctx.textAlign = 'right';
    ctx.fillText(label, left - 6, top + ROW_PX / 2 + 0.5);
  } else {
    // On the bar itself, over whatever event marks are there.
    const right = Math.min(end, width) - 4;
    ctx.fillStyle = color;
    ctx.fillRect(right - room, y + 1, room, tall - 2);
    ctx.textAlign = 'right';
    ctx.fillStyle = resolveToken('--surface');
    ctx.fillText(label, Math.min(end, width) - 8, top + ROW_PX / 2 + 0.5);
  }
}

/** Failed spans: a red frame and a cross, so they are told apart without colour. */
function paintFailure(ctx: CanvasRenderingContext2D, left: number, y: number, wide: number, tall: number): void {
  const red = resolveToken('--bad-fill');
  ctx.strokeStyle = red;
  ctx.lineWidth = 2;
  ctx.strokeRect(left - 1, y - 1, wide + 2, tall + 2);
}

function paintEvents(
  ctx: CanvasRenderingContext2D,
  layout: Layout,
  position: number,
  top: number,
  x: (ns: number) => number,
): void {
  const index = layout.order[position];
  const events = layout.spans.hasEvents[index] ? layout.spans.get(index).events : null;
  if (!events) return;
  ctx.fillStyle = resolveToken('--text');
  for (const event of events.slice(0, 50)) {
    if (!/^\d+$/.test(event.time_unix_nano)) continue;
    const left = x(Number(BigInt(event.time_unix_nano) - layout.originNs) + layout.offset[position]);
    const y = top + ROW_PX / 2;
    ctx.beginPath();
    ctx.moveTo(left, y - 4);
    ctx.lineTo(left + 4, y);
    ctx.lineTo(left, y + 4);
    ctx.lineTo(left - 4, y);
    ctx.fill();
  }
}

/** The whole trace in a strip: spans in tree order folded onto the height, errors on top. */
export function paintMinimap(canvas: HTMLCanvasElement, layout: Layout, width: number, height: number): void {
  const ctx = prepare(canvas, width, height);
  if (!ctx) return;
  const x = scaleX({ fromNs: 0, toNs: Math.max(1, layout.totalNs) }, width);
  const colors = layout.services.map((name) => resolveToken(serviceColor(name)));
  const n = layout.order.length;
  const line = Math.max(1, Math.min(4, (height - 8) / n));
  const step = (height - 8 - line) / Math.max(1, n - 1);
  // From each pixel, the longest bar is enough: 100,000 bars on 60 lines would only paint over each other.
  const across = Math.ceil(width) + 1;
  const longest = new Uint16Array(n > 2000 ? across * height : 0);
  let service = -1;
  ctx.globalAlpha = n > 4000 ? 0.6 : 0.9;
  for (let position = 0; position < n; position += 1) {
    const left = x(layout.start[position]);
    const wide = Math.max(1, x(layout.start[position] + layout.duration[position]) - left);
    const y = 4 + step * position;
    if (longest.length > 0) {
      const pixel = Math.floor(y) * across + Math.floor(left);
      if (Math.ceil(wide) <= longest[pixel]) continue;
      longest[pixel] = Math.ceil(wide);
    }
    if (layout.service[position] !== service) {
      service = layout.service[position];
      ctx.fillStyle = colors[service];
    }
    ctx.fillRect(left, y, wide, Math.max(1, line - 0.5));
  }
  ctx.globalAlpha = 1;
  ctx.fillStyle = resolveToken('--bad-fill');
  for (let position = 0; position < n; position += 1) {
    if (!(layout.flags[position] & FLAG_ERROR) || layout.flags[position] & FLAG_ERROR_BELOW) continue;
    ctx.fillRect(
      x(layout.start[position] + layout.duration[position]) - 2,
      4 + step * position - 1,
      4,
      Math.max(3, line),
    );
  }
}

/** The instant under a pointer at `px`. */
export function timeAt(px: number, view: View, width: number): number {
  const ratio = (px - EDGE_PX) / Math.max(1, width - 2 * EDGE_PX);
  return view.fromNs + Math.min(1, Math.max(0, ratio)) * (view.toNs - view.fromNs);
}
