// Log volume over time, errors as a hatched part of each bar. Drag to zoom; with the keyboard ← → choose a bar and
// Enter zooms into it.
import { useRef, useState } from 'preact/hooks';
import type { VolumeBucket } from '../api/types';
import { count, plural } from '../time/format';
import { utcClock, utcField } from '../time/instant';
import type { ResolvedRange } from '../time/range';

const HEIGHT = 72;

interface Props {
  volume: VolumeBucket[];
  range: ResolvedRange;
  onZoom: (startMs: number, endMs: number) => void;
}

export function Volume({ volume, range, onZoom }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState(-1);
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  if (volume.length === 0) return null;
  const stepMs = volume.length > 1 ? volume[1].time_unix_ms - volume[0].time_unix_ms : range.endMs - range.startMs;
  const span = Math.max(1, range.endMs - range.startMs);
  const most = Math.max(0, ...volume.map((bucket) => bucket.count));
  const share = (event: PointerEvent) => {
    const rect = box.current?.getBoundingClientRect();
    return rect ? Math.min(1, Math.max(0, (event.clientX - rect.left) / rect.width)) : 0;
  };
  const bucketAt = (part: number) =>
    volume.findIndex((bucket) => bucket.time_unix_ms + stepMs > range.startMs + part * span);
  const zoomTo = (bucket: VolumeBucket) => onZoom(bucket.time_unix_ms, bucket.time_unix_ms + stepMs);
  const finish = () => {
    if (drag && Math.abs(drag.to - drag.from) > 0.004) {
      const [a, b] = [drag.from, drag.to].sort((one, two) => one - two);
      onZoom(range.startMs + a * span, range.startMs + b * span);
    } else if (drag && volume[bucketAt(drag.from)]) zoomTo(volume[bucketAt(drag.from)]);
    setDrag(null);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowRight') setAt(Math.min(volume.length - 1, at + 1));
    else if (event.key === 'ArrowLeft') setAt(Math.max(0, at - 1));
    else if (event.key === 'Enter' && volume[at]) zoomTo(volume[at]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const errors = volume.reduce((sum, bucket) => sum + bucket.errors, 0);
  const shown = volume[at];
  return (
    <div class="volume">
      <div
        class="volume-plot"
        ref={box}
        tabIndex={0}
        role="img"
        aria-label={`Log volume: at most ${count(most)} lines a bar, ${plural(errors, 'error')} in all. Left and right choose a bar, Enter zooms into it.`}
        onKeyDown={onKeyDown}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          setDrag({ from: share(event), to: share(event) });
        }}
        onPointerMove={(event) => {
          setAt(bucketAt(share(event)));
          if (drag) setDrag({ ...drag, to: share(event) });
        }}
        onPointerUp={finish}
        onPointerLeave={() => !drag && setAt(-1)}
      >
        <Bars volume={volume} range={range} stepMs={stepMs} active={at} />
        {drag && (
          <div
            class="volume-drag"
            style={{ left: `${Math.min(drag.from, drag.to) * 100}%`, width: `${Math.abs(drag.to - drag.from) * 100}%` }}
          />
        )}
      </div>
      <div class="volume-axis muted">
        <span>{utcField(range.startMs)} UTC</span>
        <span aria-live="polite">
          {shown
            ? `${utcClock(shown.time_unix_ms)} UTC: ${plural(shown.count, 'line')}, ${plural(shown.errors, 'error')}`
            : 'drag to zoom · hatched: errors'}
        </span>
        <span>{utcField(range.endMs)} UTC</span>
      </div>
    </div>
  );
}

interface BarsProps {
  volume: VolumeBucket[];
  range: ResolvedRange;
  stepMs: number;
  active: number;
}

function Bars({ volume, range, stepMs, active }: BarsProps) {
  const span = Math.max(1, range.endMs - range.startMs);
  const most = Math.max(1, ...volume.map((bucket) => bucket.count));
  const wide = `${Math.max(0.1, (stepMs / span) * 100 - 0.18)}%`;
  return (
    <svg width="100%" height={HEIGHT} aria-hidden="true">
      <defs>
        <pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect width="5" height="5" class="volume-error" />
          <line x1="0" y1="0" x2="0" y2="5" class="volume-hatch" />
        </pattern>
      </defs>
      {volume.map((bucket, index) => {
        const left = `${((bucket.time_unix_ms - range.startMs) / span) * 100}%`;
        const tall = (bucket.count / most) * (HEIGHT - 4);
        const errors = Math.min(bucket.errors, bucket.count);
        const bad = errors > 0 ? Math.max(2, (errors / most) * (HEIGHT - 4)) : 0;
        return (
          <g key={bucket.time_unix_ms} class={index === active ? 'active' : ''}>
            <rect x={left} width={wide} y={HEIGHT - tall} height={tall} class="volume-bar" />
            {bad > 0 && <rect x={left} width={wide} y={HEIGHT - bad} height={bad} fill="url(#hatch)" />}
          </g>
        );
      })}
    </svg>
  );
}
