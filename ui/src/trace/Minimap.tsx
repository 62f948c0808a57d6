// The whole trace in a strip. Drag selects a window of time; a click outside a drag shows everything again.
import { useEffect, useRef, useState } from 'preact/hooks';
import { schemeTick } from '../app/theme';
import type { Layout } from './layout';
import { paintMinimap, timeAt, type View } from './paint';

const HEIGHT_PX = 64;
const DRAG_PX = 4;

export function Minimap({ layout, view, onView }: { layout: Layout; view: View; onView: (view: View) => void }) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  const scheme = schemeTick.value;
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (canvas.current && width > 0) paintMinimap(canvas.current, layout, width, HEIGHT_PX);
  }, [layout, width, scheme]);
  const whole: View = { fromNs: 0, toNs: Math.max(1, layout.totalNs) };
  const px = (event: PointerEvent) => event.clientX - (box.current?.getBoundingClientRect().left ?? 0);
  const finish = () => {
    if (drag && Math.abs(drag.to - drag.from) >= DRAG_PX) {
      const [a, b] = [timeAt(drag.from, whole, width), timeAt(drag.to, whole, width)].sort((one, two) => one - two);
      if (b - a > 0) onView({ fromNs: a, toNs: b });
    } else if (drag) onView(whole);
    setDrag(null);
  };
  const left = drag ? Math.min(drag.from, drag.to) : 10 + (view.fromNs / whole.toNs) * (width - 20);
  const right = drag ? Math.max(drag.from, drag.to) : 10 + (view.toNs / whole.toNs) * (width - 20);
  const zoomed = drag !== null || view.fromNs > 0 || view.toNs < whole.toNs;
  return (
    <div
      class="minimap"
      ref={box}
      aria-hidden="true"
      title="Drag to zoom into a window of time, click to see everything"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        setDrag({ from: px(event), to: px(event) });
      }}
      onPointerMove={(event) => drag && setDrag({ ...drag, to: px(event) })}
      onPointerUp={finish}
      onPointerCancel={() => setDrag(null)}
    >
      <canvas ref={canvas} />
      {zoomed && (
        <>
          <div class="minimap-shade" style={{ left: '0', width: `${Math.max(0, left)}px` }} />
          <div class="minimap-shade" style={{ left: `${right}px`, right: '0' }} />
          <div class="minimap-window" style={{ left: `${left}px`, width: `${Math.max(1, right - left)}px` }} />
        </>
      )}
    </div>
  );
}
