// One incident: what users feel, since when, why it fired, who was told and how that went, where to go from here.
import { useState } from 'preact/hooks';
import '../styles/incidents.css';
import '../styles/slos.css';
import { ApiError, apiUrl, call } from '../api/client';
import type { Incident, Notification, SloDetail } from '../api/types';
import { refreshTick, usePoll, useQuery } from '../api/useQuery';
import { PageHead } from '../app/Shell';
import { href } from '../app/router';
import type { PageProps } from '../app/routes';
import { IncidentBadge, ServiceName, SeverityBadge } from '../parts/Badges';
import { Icon } from '../parts/Icon';
import { Answer } from '../parts/States';
import { dashboardHref, OutLink } from '../parts/OutLink';
import { TierStrip } from '../slos/TierStrip';
import { plural } from '../time/format';
import { ago, instantMs, utcDateTime } from '../time/instant';
import { rangeParams } from '../time/range';
import { isDelivered, lasted } from './IncidentTable';

const POLL_MS = 5_000;
const BEFORE_MS = 15 * 60_000;
const AFTER_MS = 5 * 60_000;

export default function IncidentPage({ id }: PageProps) {
  usePoll(POLL_MS);
  const query = useQuery<Incident | { incident: Incident }>(apiUrl(`/incidents/${encodeURIComponent(id)}`));
  const incident = query.data ? ('incident' in query.data ? query.data.incident : query.data) : null;
  return (
    <>
      <PageHead
        title={incident?.summary ?? `Incident ${id}`}
        lead={
          incident && (
            <span class="row">
              <ServiceName name={incident.service} />
              <span class="muted">incident {incident.id}</span>
            </span>
          )
        }
      >
        {incident && <IncidentBadge state={incident.state} />}
        {incident && <SeverityBadge severity={incident.severity} />}
      </PageHead>
      <Answer query={{ ...query, data: incident }} what="this incident">
        {(data) => <Body incident={data} />}
      </Answer>
    </>
  );
}

/** The range around the incident, for links to its evidence. */
function around(incident: Incident) {
  const from = instantMs(incident.opened_at) ?? Date.now();
  const to = Math.min(Date.now(), (instantMs(incident.resolved_at) ?? Date.now()) + AFTER_MS);
  return rangeParams({ kind: 'absolute', startMs: from - BEFORE_MS, endMs: Math.max(to, from + 60_000) });
}

function Body({ incident }: { incident: Incident }) {
  const bounds = around(incident);
  return (
    <>
      <div class="row incident-actions">
        <OutLink address={incident.runbook} icon="book" label="Runbook" primary />
        <OutLink address={dashboardHref(incident.dashboard)} icon="dashboards" label="Dashboard" />
        {incident.example_trace_id && (
          <a class="button" href={href(`/traces/${incident.example_trace_id}`)} data-testid="example-trace">
            <Icon name="traces" /> Example trace
          </a>
        )}
        <a class="button" href={href(`/slos/${encodeURIComponent(incident.slo)}`)}>
          <Icon name="slos" /> SLO
        </a>
        <a class="button" href={href('/traces', { ...bounds, service: incident.service, errors: 'true' })}>
          <Icon name="traces" /> Failing traces
        </a>
        <a class="button" href={href('/logs', { ...bounds, service: incident.service, severity: 'ERROR' })}>
          <Icon name="logs" /> Error logs
        </a>
        <span class="grow" />
        <Acknowledge incident={incident} />
      </div>
      <Facts incident={incident} />
      <Why incident={incident} />
      <div class="two">
        <section class="card" aria-labelledby="timeline">
          <header>
            <h2 id="timeline">Timeline (UTC)</h2>
          </header>
          <Timeline incident={incident} />
        </section>
        <section class="card" aria-labelledby="notified">
          <header>
            <h2 id="notified">Who was told</h2>
          </header>
          <Notifications sent={incident.notifications ?? []} />
        </section>
      </div>
    </>
  );
}

function Facts({ incident }: { incident: Incident }) {
  const opened = instantMs(incident.opened_at);
  const rows: [string, preact.ComponentChildren][] = [
    [
      'Opened (UTC)',
      opened === null ? (
        '–'
      ) : (
        <>
          {utcDateTime(opened)} <small>{ago(opened, Date.now())}</small>
        </>
      ),
    ],
    [
      'Lasted',
      <>
        {lasted(incident, Date.now())} <small>{incident.resolved_at ? 'resolved' : 'still open'}</small>
      </>,
    ],
    [
      'Tier',
      <>
        {incident.tier ?? '–'} <small>{incident.severity ?? ''}</small>
      </>,
    ],
  ];
  for (const [name, value] of [
    ['Escalated (UTC)', incident.escalated_at],
    ['Acknowledged (UTC)', incident.acknowledged_at],
    ['Resolved (UTC)', incident.resolved_at],
  ] as const) {
    const ms = instantMs(value);
    if (ms !== null)
      rows.push([
        name,
        <>
          {utcDateTime(ms)} <small>{ago(ms, Date.now())}</small>
        </>,
      ]);
  }
  return (
    <dl class="slo-tiles">
      {rows.map(([name, value]) => (
        <div key={name} class="card">
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** The numbers that made it fire: its tier's two windows against the threshold. */
function Why({ incident }: { incident: Incident }) {
  const { data } = useQuery<SloDetail>(apiUrl(`/slos/${encodeURIComponent(incident.slo)}`));
  const tier = data?.tiers?.find((one) => one.name === incident.tier);
  if (!tier) return null;
  return (
    <section aria-labelledby="why" class="stack">
      <h2 id="why">
        Why it fired: <a href={href(`/slos/${encodeURIComponent(incident.slo)}`)}>{data?.name}</a> burned its budget
        above the threshold over both windows
      </h2>
      <TierStrip tier={tier} unknown={data?.burn?.[tier.name]?.unknown} />
    </section>
  );
}

function Timeline({ incident }: { incident: Incident }) {
  const steps = incident.timeline ?? [];
  if (steps.length === 0) return <p class="muted body">Nothing is recorded yet.</p>;
  const first = instantMs(incident.opened_at);
  return (
    <ol class="timeline">
      {steps.map((step, index) => {
        const ms = instantMs(step.at);
        return (
          <li key={index} data-testid="timeline-step">
            <time class="mono">{ms === null ? '–' : utcDateTime(ms)}</time>
            <span class="muted offset">{ms === null || first === null ? '' : offset((ms - first) / 1000)}</span>
            <p>{step.what}</p>
          </li>
        );
      })}
    </ol>
  );
}

function offset(seconds: number): string {
  const rounded = Math.round(seconds);
  return `${rounded < 0 ? '−' : '+'}${Math.abs(rounded)} s`;
}

function Notifications({ sent }: { sent: Notification[] }) {
  if (sent.length === 0) {
    return (
      <p class="muted body">
        Nobody was told: no receiver matched, or the notification is still queued. Check the routes in the definitions
        folder.
      </p>
    );
  }
  return (
    <div class="scroll-x">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Receiver</th>
            <th scope="col">Outcome</th>
            <th scope="col" class="num">
              HTTP
            </th>
            <th scope="col" class="num">
              Attempts
            </th>
            <th scope="col">At (UTC)</th>
          </tr>
        </thead>
        <tbody>
          {sent.map((one, index) => {
            const ms = instantMs(one.at);
            const ok = isDelivered(one.status);
            return (
              <tr key={index} data-testid="notification-row">
                <td>
                  <strong>{one.receiver}</strong>
                  {one.alert && (
                    <p class="muted small-text">
                      told: {one.alert}
                      {one.severity ? ` · ${one.severity}` : ''}
                    </p>
                  )}
                  {one.error && <p class="problem">{one.error}</p>}
                </td>
                <td>
                  <span class={`chip ${ok ? 'ok' : 'warn'}`}>
                    <Icon name={ok ? 'ok' : 'warn'} />
                    {one.status}
                  </span>
                </td>
                <td class="num mono">{one.http_status ?? '–'}</td>
                <td class="num">{plural(one.attempts, 'attempt')}</td>
                <td class="nowrap">{ms === null ? '–' : utcDateTime(ms)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Acknowledge({ incident }: { incident: Incident }) {
  const [state, setState] = useState<'idle' | 'busy' | ApiError>('idle');
  if (incident.state === 'resolved') return null;
  if (incident.acknowledged_at)
    return (
      <span class="chip ok">
        <Icon name="check" /> acknowledged
      </span>
    );
  const acknowledge = async () => {
    setState('busy');
    try {
      await call(apiUrl(`/incidents/${encodeURIComponent(incident.id)}/acknowledge`), undefined, 'POST');
      setState('idle');
      refreshTick.value += 1;
    } catch (error) {
      setState(error instanceof ApiError ? error : new ApiError(String(error), 0, 'bug'));
    }
  };
  return (
    <>
      {state instanceof ApiError && (
        <span class="problem" role="alert">
          Not acknowledged: {state.message}
        </span>
      )}
      <button type="button" class="button" disabled={state === 'busy'} onClick={acknowledge} data-testid="acknowledge">
        <Icon name="check" /> Acknowledge
      </button>
    </>
  );
}
