// The global time range: presets and absolute UTC entry. Closes on Escape and on a click elsewhere.
import { useEffect, useRef, useState } from 'preact/hooks';
import { Icon } from '../parts/Icon';
import { parseDurationS, parseUtc, longDuration, utcField } from '../time/instant';
import { PRESETS, range, rangeLabel, rangeParams, rangeSpec, type RangeSpec } from '../time/range';
import { setParams } from './router';

export function RangePicker() {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    const outside = (event: Event) => {
      if (event.target instanceof Node && !root.current?.contains(event.target)) setOpen(false);
    };
    document.addEventListener('pointerdown', outside);
    document.addEventListener('focusin', outside);
    return () => {
      document.removeEventListener('pointerdown', outside);
      document.removeEventListener('focusin', outside);
    };
  }, [open]);
  const choose = (spec: RangeSpec) => {
    setParams(rangeParams(spec));
    setOpen(false);
    root.current?.querySelector('button')?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'Escape' || !open) return;
    event.stopPropagation();
    setOpen(false);
    root.current?.querySelector('button')?.focus();
  };
  return (
    <div class="range" ref={root} onKeyDown={onKeyDown}>
      <button
        type="button"
        class="button"
        aria-expanded={open}
        aria-haspopup="dialog"
        data-testid="range-picker"
        onClick={() => setOpen(!open)}
      >
        <Icon name="clock" />
        <span>{rangeLabel(rangeSpec.value)}</span>
        <span class="muted">UTC</span>
        <Icon name="down" />
      </button>
      {open && <RangePanel choose={choose} />}
    </div>
  );
}

function RangePanel({ choose }: { choose: (spec: RangeSpec) => void }) {
  const [from, setFrom] = useState(utcField(range.value.startMs));
  const [to, setTo] = useState(utcField(range.value.endMs));
  const [problem, setProblem] = useState('');
  const spec = rangeSpec.value;
  const apply = (event: Event) => {
    event.preventDefault();
    const back = /^now\s*-\s*(.+)$/.exec(from.trim());
    const seconds = back && to.trim() === 'now' ? parseDurationS(back[1]) : null;
    if (seconds) return choose({ kind: 'last', seconds });
    const startMs = parseUtc(from, Date.now());
    const endMs = parseUtc(to, Date.now());
    if (startMs === null) return setProblem('From is not a UTC time. Write it like 2026-11-21 07:30.');
    if (endMs === null) return setProblem('To is not a UTC time. Write it like 2026-11-21 08:30, or now.');
    if (startMs >= endMs) return setProblem('From must be before To.');
    return choose({ kind: 'absolute', startMs, endMs });
  };
  return (
    <div class="range-panel" role="dialog" aria-label="Time range">
      <ul class="range-presets">
        {PRESETS.map((preset) => {
          const seconds = parseDurationS(preset) ?? 3600;
          const current = spec.kind === 'last' && spec.seconds === seconds;
          return (
            <li key={preset}>
              <button
                type="button"
                class="button quiet"
                aria-pressed={current}
                onClick={() => choose({ kind: 'last', seconds })}
              >
                Last {longDuration(seconds)}
              </button>
            </li>
          );
        })}
      </ul>
      <form class="stack-s" onSubmit={apply}>
        <label class="field">
          <span>From (UTC)</span>
          <input
            class="input mono"
            value={from}
            aria-invalid={problem.startsWith('From')}
            spellcheck={false}
            data-testid="range-from"
            onInput={(event) => setFrom(event.currentTarget.value)}
          />
        </label>
        <label class="field">
          <span>To (UTC)</span>
          <input
            class="input mono"
            value={to}
            aria-invalid={problem.startsWith('To')}
            spellcheck={false}
            data-testid="range-to"
            onInput={(event) => setTo(event.currentTarget.value)}
          />
        </label>
        <p class="muted small-text">A date, a date and time, a unix time, “now” or “now-15m”.</p>
        {problem && (
          <p class="problem" role="alert">
            {problem}
          </p>
        )}
        <button type="submit" class="button primary">
          Apply
        </button>
      </form>
    </div>
  );
}
