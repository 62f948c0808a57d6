// The waterfall: one scroll box, DOM rows for names (only those in view), one canvas for the bars in view. A treegrid
// for assistive technology, with the focus on the grid and the active row named by aria-activedescendant.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { schemeTick } from '../app/theme';
import { serviceColor } from '../charts/palette';
import { Icon } from '../parts/Icon';
import { count, nanos } from '../time/format';
import {
  FLAG_CRITICAL,
  FLAG_ERROR,
  FLAG_ERROR_BELOW,
  FLAG_ORPHAN,
  FLAG_OUTSIDE,
  type Folds,
  type Layout,
} from './layout';
import { AXIS_PX, paintAxis, paintBars, ROW_PX, timeAt, type View } from './paint';

export interface WaterfallProps {
  layout: Layout;
  rows: Int32Array;
  folds: Folds;
  selected: number;
  view: View;
  onSelect: (position: number) => void;
  onToggle: (position: number) => void;
  onOpen: (position: number) => void;
  onView: (view: View) => void;
}

const OVERSCAN = 4;
const MAX_INDENT = 14;

export function Waterfall(props: WaterfallProps) {
  const { layout, rows, selected, view } = props;
  const box = useRef<HTMLDivElement>(null);
  const bars = useRef<HTMLCanvasElement>(null);
  const pane = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [top, setTop] = useState(0);
  const scheme = schemeTick.value;

  useLayoutEffect(() => {
    const [element, right] = [box.current, pane.current];
    if (!element || !right) return;
    const observer = new ResizeObserver(() => setSize({ width: right.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    observer.observe(right);
    return () => observer.disconnect();
  }, []);
  const first = Math.max(0, Math.floor(top / ROW_PX));
  const offsetPx = top - first * ROW_PX;
  useLayoutEffect(() => {
    if (bars.current && size.width > 0)
      paintBars(bars.current, { layout, rows, first, offsetPx, selected, view, ...size });
  }, [layout, rows, top, view, size, scheme]);
  useEffect(() => {
    const element = box.current;
    const row = rows.indexOf(selected);
    if (!element || row < 0) return;
    const y = row * ROW_PX;
    if (y < element.scrollTop) element.scrollTop = Math.max(0, y - ROW_PX * 2);
    else if (y + ROW_PX > element.scrollTop + element.clientHeight)
      element.scrollTop = y + ROW_PX * 3 - element.clientHeight;
  }, [selected, rows]);

  const shown: number[] = [];
  for (let row = first; row < Math.min(rows.length, first + Math.ceil(size.height / ROW_PX) + OVERSCAN); row += 1)
    shown.push(row);
  return (
    <div class="waterfall">
      <Head view={view} width={size.width} />
      <div
        class="waterfall-scroll"
        ref={box}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
        onWheel={(event) => zoomByWheel(event, pane.current, view, layout, props.onView)}
        role="treegrid"
        tabIndex={0}
        aria-label="Spans"
        aria-rowcount={rows.length}
        aria-activedescendant={selected >= 0 ? `span-${selected}` : undefined}
        data-testid="waterfall"
      >
        <div class="waterfall-space" role="none" style={{ height: `${rows.length * ROW_PX}px` }}>
          {/* Everything in view is laid out against the sticky window, so names and bars can never drift apart. */}
          <div class="waterfall-window" role="none" style={{ height: `${size.height}px` }}>
            {shown.map((row) => (
              <Row key={rows[row]} {...props} position={rows[row]} row={row} y={(row - first) * ROW_PX - offsetPx} />
            ))}
            <div class="waterfall-bars" ref={pane} aria-hidden="true">
              <canvas ref={bars} style={{ height: `${size.height}px` }} />
            </div>
          </div>
        </div>
      </div>
    </div>
  );
}

function Head({ view, width }: { view: View; width: number }) {
  const axis = useRef<HTMLCanvasElement>(null);
  const scheme = schemeTick.value;
  useLayoutEffect(() => {
    if (axis.current && width > 0) paintAxis(axis.current, view, width);
  }, [view, width, scheme]);
  return (
    <div class="waterfall-head">
      <div>
        Service and operation
        <span class="legend" title="The spans that the request waited for, one after the other: underlined below">
          <Icon name="critical" /> on the critical path
        </span>
      </div>
      <canvas ref={axis} style={{ height: `${AXIS_PX}px` }} aria-hidden="true" />
    </div>
  );
}

/** Ctrl + wheel (and the pinch of a touchpad, which browsers report the same way) zooms around the pointer. */
function zoomByWheel(
  event: WheelEvent,
  pane: HTMLElement | null,
  view: View,
  layout: Layout,
  onView: (view: View) => void,
): void {
  if (!event.ctrlKey || !pane) return;
  event.preventDefault();
  const box = pane.getBoundingClientRect();
  onView(
    zoomed(view, layout.totalNs, event.deltaY > 0 ? 1.25 : 0.8, timeAt(event.clientX - box.left, view, box.width)),
  );
}

/** `view` wider or narrower by `factor` around `at`, kept inside the trace. */
export function zoomed(view: View, totalNs: number, factor: number, at: number): View {
  const total = Math.max(1, totalNs);
  const span = Math.min(total, Math.max(100, (view.toNs - view.fromNs) * factor));
  const share = (at - view.fromNs) / (view.toNs - view.fromNs);
  const from = Math.min(Math.max(0, at - span * share), total - span);
  return { fromNs: from, toNs: from + span };
}

type RowProps = WaterfallProps & { position: number; row: number; y: number };

function Row({ layout, position, row, y, selected, folds, onSelect, onToggle, onOpen }: RowProps) {
  const index = layout.order[position];
  const service = layout.services[layout.service[position]];
  const name = layout.spans.spanName(index);
  const flags = layout.flags[position];
  const below = layout.end[position] - position - 1;
  const closed = folds[position] === 1;
  const depth = layout.depth[position];
  const failed = (flags & FLAG_ERROR) !== 0;
  return (
    <div
      id={`span-${position}`}
      class={`span-row ${selected === position ? 'selected' : ''} ${failed ? 'failed-span' : ''}`}
      style={{ transform: `translateY(${y}px)`, height: `${ROW_PX}px` }}
      role="row"
      aria-level={depth + 1}
      aria-expanded={below > 0 ? !closed : undefined}
      aria-selected={selected === position}
      aria-rowindex={row + 1}
      aria-label={`${service} ${name}, ${nanos(layout.duration[position])}${failed ? ', error' : ''}${flags & FLAG_CRITICAL ? ', on the critical path' : ''}`}
      data-testid="span-row"
      data-span-id={layout.spans.spanId(index)}
      onClick={() => (selected === position ? onOpen(position) : onSelect(position))}
    >
      <div
        class="span-name"
        role="gridcell"
        style={{ paddingLeft: `calc(6px + ${Math.min(depth, MAX_INDENT)} * var(--indent))` }}
      >
        {depth > MAX_INDENT && <span class="depth">{depth}</span>}
        {below > 0 ? (
          <button
            type="button"
            class="twisty"
            tabIndex={-1}
            aria-label={closed ? `Show ${below} spans below` : `Hide ${below} spans below`}
            onClick={(event) => {
              event.stopPropagation();
              onToggle(position);
            }}
          >
            <Icon name={closed ? 'right' : 'down'} />
          </button>
        ) : (
          <span class="twisty" />
        )}
        <span class="span-bar-mark" style={{ background: `var(${serviceColor(service)})` }} />
        <Signs flags={flags} closed={closed} />
        <span class="span-text" title={`${service} ${name}`}>
          <strong>{service}</strong> {name}
        </span>
        <Chips layout={layout} position={position} />
        {closed && <span class="chip">+{count(below)}</span>}
      </div>
    </div>
  );
}

/** What stands before the name. */
function Signs({ flags, closed }: { flags: number; closed: boolean }) {
  const failed = (flags & FLAG_ERROR) !== 0;
  return (
    <>
      {failed && (
        <span class="bad-icon" title="This span failed">
          <Icon name="error" />
        </span>
      )}
      {!failed && flags & FLAG_ERROR_BELOW && closed ? (
        <span class="bad-icon hollow" title="An error below">
          <Icon name="warn" />
        </span>
      ) : null}
      {flags & FLAG_CRITICAL ? (
        <span class="critical-icon" title="On the critical path: the request waited for it" data-testid="critical">
          <Icon name="critical" />
        </span>
      ) : null}
    </>
  );
}

/** What is wrong with its place in the trace. */
function Chips({ layout, position }: { layout: Layout; position: number }) {
  const flags = layout.flags[position];
  return (
    <>
      {flags & FLAG_ORPHAN ? (
        <span
          class="chip warn"
          title={`Its parent ${layout.spans.get(layout.order[position]).parent_span_id} was not received`}
        >
          parent missing
        </span>
      ) : null}
      {flags & FLAG_OUTSIDE ? (
        <span class="chip warn" title="Starts before its parent: the clocks of the two hosts differ">
          clock skew
        </span>
      ) : null}
    </>
  );
}
