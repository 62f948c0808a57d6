// States as shape, word and colour, never colour alone.
import type { SloState } from '../api/types';
import { serviceColor } from '../charts/palette';
import { Icon, type IconName } from './Icon';

const SLO: Record<SloState, [string, string, IconName]> = {
  met: ['Met', 'ok', 'ok'],
  at_risk: ['At risk', 'warn', 'warn'],
  breached: ['Breached', 'bad', 'error'],
  unknown: ['Unknown', 'unknown', 'unknown'],
};

export function SloBadge({ state }: { state: SloState }) {
  const [word, tone, icon] = SLO[state] ?? SLO.unknown;
  return (
    <span class={`chip ${tone}`}>
      <Icon name={icon} />
      {word}
    </span>
  );
}

export function SeverityBadge({ severity }: { severity: string | null }) {
  if (!severity) return null;
  const tone = /page|critical/i.test(severity) ? 'bad' : /ticket|warn/i.test(severity) ? 'warn' : '';
  return <span class={`chip ${tone}`}>{severity}</span>;
}

export function IncidentBadge({ state }: { state: string }) {
  const open = state !== 'resolved';
  return (
    <span class={`chip ${open ? 'bad' : 'ok'}`}>
      <Icon name={open ? 'incidents' : 'ok'} />
      {open ? (state === 'open' ? 'Open' : state) : 'Resolved'}
    </span>
  );
}

export function ServiceName({ name }: { name: string }) {
  return (
    <span class="service">
      <span class="swatch" style={{ background: `var(${serviceColor(name)})` }} />
      {name}
    </span>
  );
}

const TRACE_STATE: Record<string, string> = {
  missing_root: 'Root span missing',
  missing_parents: 'Some parent spans missing',
  clock_skewed: 'Clocks disagree',
  truncated: 'Truncated',
};

/** Nothing for a complete trace; a warning with words for every other state. `isCorrected`: some clock was set right. */
export function TraceState({ state, isCorrected }: { state: string; isCorrected: boolean }) {
  if (!state || state === 'complete') return null;
  return (
    <span class="chip warn">
      <Icon name="warn" />
      {isCorrected && state === 'clock_skewed'
        ? 'Clock skew corrected'
        : (TRACE_STATE[state] ?? state.replaceAll('_', ' '))}
    </span>
  );
}
