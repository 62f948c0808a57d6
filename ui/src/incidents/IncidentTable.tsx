// Incidents as rows, open ones first, newest first.
import type { Incident } from '../api/types';
import { href, navigate } from '../app/router';
import { IncidentBadge, ServiceName, SeverityBadge } from '../parts/Badges';
import { ago, instantMs, longDuration, utcShort } from '../time/instant';

export const incidentHref = (id: string) => href(`/incidents/${encodeURIComponent(id)}`);

export function inOrder(incidents: Incident[]): Incident[] {
  const closed = (one: Incident) => (one.state === 'resolved' ? 1 : 0);
  return incidents.toSorted(
    (a, b) => closed(a) - closed(b) || (instantMs(b.opened_at) ?? 0) - (instantMs(a.opened_at) ?? 0),
  );
}

export function lasted(incident: Incident, nowMs: number): string {
  const from = instantMs(incident.opened_at);
  return from === null ? '–' : longDuration(((instantMs(incident.resolved_at) ?? nowMs) - from) / 1000);
}

interface Props {
  incidents: Incident[];
  empty: string;
  withSlo?: boolean;
}

export function IncidentTable({ incidents, empty, withSlo = true }: Props) {
  if (incidents.length === 0) return <p class="muted body">{empty}</p>;
  return (
    <div class="scroll-x">
      <table class="table incidents stacks">
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">What</th>
            <th scope="col">Severity</th>
            <th scope="col">Opened (UTC)</th>
            <th scope="col">Lasted</th>
            <th scope="col">Notified</th>
          </tr>
        </thead>
        <tbody>
          {inOrder(incidents).map((incident) => (
            <Row key={incident.id} incident={incident} withSlo={withSlo} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ incident, withSlo }: { incident: Incident; withSlo: boolean }) {
  const opened = instantMs(incident.opened_at);
  const open = (event: MouseEvent) =>
    event.target instanceof Element && !event.target.closest('a') && navigate(incidentHref(incident.id));
  return (
    <tr class="link-row" data-testid="incident-row" data-state={incident.state} onClick={open}>
      <td>
        <IncidentBadge state={incident.state} />
      </td>
      <td class="incident-what main-cell">
        <a class="row-link" href={incidentHref(incident.id)}>
          {incident.summary || incident.slo}
        </a>
        {withSlo && (
          <p class="muted">
            <ServiceName name={incident.service} /> · {incident.slo}
          </p>
        )}
      </td>
      <td class="nowrap">
        <SeverityBadge severity={incident.severity} /> <span class="muted">{incident.tier}</span>
      </td>
      <td class="nowrap" data-label="Opened (UTC)">
        {opened === null ? '–' : utcShort(opened)}
        <p class="muted small-text">{opened === null ? '' : ago(opened, Date.now())}</p>
      </td>
      <td class="nowrap" data-label="Lasted">
        {lasted(incident, Date.now())}
      </td>
      <td data-label="Notified">
        <Notified incident={incident} />
      </td>
    </tr>
  );
}

function Notified({ incident }: { incident: Incident }) {
  const sent = incident.notifications ?? [];
  if (sent.length === 0) return <span class="chip warn">nobody yet</span>;
  const delivered = sent.filter((one) => isDelivered(one.status)).length;
  return (
    <span class={`chip ${delivered === sent.length ? 'ok' : 'warn'}`}>
      {delivered} of {sent.length} delivered
    </span>
  );
}

export function isDelivered(status: string): boolean {
  return /^(delivered|sent|ok|success)$/i.test(status);
}
