// Rows that exist only while they are seen. Row heights are fixed, except that a few may be expanded by a measured
// height, so the offset of any row is known without touching the rows before it.
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { rowAt } from './rowAt';

export interface VirtualProps {
  count: number;
  rowHeight: number;
  /** Rows that have a detail below them. */
  expanded: ReadonlySet<number>;
  /** The row to keep in view. */
  active: number;
  label: string;
  row: (index: number) => ComponentChildren;
  detail: (index: number) => ComponentChildren;
  footer?: ComponentChildren;
}

const OVERSCAN = 8;
const GUESS_PX = 220;

export function VirtualRows(props: VirtualProps) {
  const { count, rowHeight, expanded } = props;
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [heights, setHeights] = useState<ReadonlyMap<number, number>>(new Map());
  const order = [...expanded].filter((index) => index < count).sort((a, b) => a - b);
  const extra = (index: number) => heights.get(index) ?? GUESS_PX;
  const offset = (index: number) => {
    let sum = index * rowHeight;
    for (const open of order) if (open < index) sum += extra(open);
    return sum;
  };
  const total = offset(count);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setView((old) => ({ ...old, height: element.clientHeight })));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    const element = box.current;
    if (!element || props.active < 0) return;
    const top = offset(props.active);
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + rowHeight > element.scrollTop + element.clientHeight)
      element.scrollTop = top + rowHeight - element.clientHeight;
  }, [props.active]);

  const first = Math.max(0, rowAt(view.top, rowHeight, order, extra) - OVERSCAN);
  const rows: ComponentChildren[] = [];
  for (
    let index = first, y = offset(first);
    index < count && y < view.top + view.height + OVERSCAN * rowHeight;
    index += 1
  ) {
    const open = expanded.has(index);
    rows.push(
      <div key={index} class="virtual-row" role="listitem" style={{ transform: `translateY(${y}px)` }}>
        {props.row(index)}
        {open && (
          <Measured onHeight={(px) => heights.get(index) !== px && setHeights(new Map(heights).set(index, px))}>
            {props.detail(index)}
          </Measured>
        )}
      </div>,
    );
    y += rowHeight + (open ? extra(index) : 0);
  }
  return (
    <div
      class="virtual"
      ref={box}
      role="region"
      aria-label={props.label}
      tabIndex={0}
      onScroll={(event) => setView({ top: event.currentTarget.scrollTop, height: event.currentTarget.clientHeight })}
    >
      <div class="virtual-space" role="list" style={{ height: `${total}px` }}>
        {rows}
      </div>
      {props.footer}
    </div>
  );
}

function Measured({ children, onHeight }: { children: ComponentChildren; onHeight: (px: number) => void }) {
  const box = useRef<HTMLDivElement>(null);
  const latest = useRef(onHeight);
  latest.current = onHeight;
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => latest.current(element.offsetHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return <div ref={box}>{children}</div>;
}
