// All incidents; the URL holds which state is shown.
import { useState } from 'preact/hooks';
import '../styles/incidents.css';
import { apiUrl } from '../api/client';
import type { IncidentsAnswer } from '../api/types';
import { usePoll, useQuery } from '../api/useQuery';
import { PageHead } from '../app/Shell';
import { href, navigate, params, setParams } from '../app/router';
import { useShortcuts } from '../app/shortcuts';
import { Receipt } from '../parts/Receipt';
import { Answer, Empty } from '../parts/States';
import { incidentHref, IncidentTable, inOrder } from './IncidentTable';

const POLL_MS = 5_000;
const STATES: [string, string][] = [
  ['', 'All'],
  ['open', 'Open'],
  ['resolved', 'Resolved'],
];

export default function IncidentsPage() {
  usePoll(POLL_MS);
  const state = params.value.get('state') ?? '';
  const query = useQuery<IncidentsAnswer>(apiUrl('/incidents', { state }));
  const incidents = inOrder(query.data?.incidents ?? []);
  const [active, setActive] = useState(-1);
  const move = (step: number) => () => setActive(Math.min(incidents.length - 1, Math.max(0, active + step)));
  useShortcuts('Incidents', [
    { keys: 'j / ArrowDown', what: 'Next incident', run: move(1) },
    { keys: 'k / ArrowUp', what: 'Previous incident', run: move(-1) },
    { keys: 'Enter', what: 'Open the incident', run: () => incidents[active] && navigate(incidentHref(incidents[active].id)) },
  ]);
  return (
    <>
      <PageHead title="Incidents" lead="What paged, whom, and why.">
        <div class="segmented" role="group" aria-label="Which incidents">
          {STATES.map(([value, word]) => (
            <button key={word} type="button" aria-pressed={state === value} onClick={() => setParams({ state: value || null })}>
              {word}
            </button>
          ))}
        </div>
      </PageHead>
      <Answer query={query} what="incidents">
        {(data) => (
          <>
            <section class="card" aria-label="Incidents">
              {incidents.length === 0 ? (
                <Empty title={state === 'open' ? 'No incident is open' : 'No incident is known'} icon="ok">
                  An incident opens when a burn-rate tier of an SLO fires. <a href={href('/slos')}>See the SLOs</a>.
                </Empty>
              ) : (
                <IncidentTable incidents={incidents} empty="" active={active} />
              )}
            </section>
            <Receipt receipt={data.receipt} />
          </>
        )}
      </Answer>
    </>
  );
}
