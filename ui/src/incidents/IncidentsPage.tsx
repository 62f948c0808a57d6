// All incidents; the URL holds which state is shown.
import '../styles/incidents.css';
import { apiUrl } from '../api/client';
import type { IncidentsAnswer } from '../api/types';
import { usePoll, useQuery } from '../api/useQuery';
import { PageHead } from '../app/Shell';
import { href, params, setParams } from '../app/router';
import { useRowKeys } from '../app/shortcuts';
import { Receipt } from '../parts/Receipt';
import { Answer, Empty } from '../parts/States';
import { IncidentTable, inOrder } from './IncidentTable';

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
  useRowKeys('Incidents', 'incident');
  return (
    <>
      <PageHead title="Incidents" lead="What paged, whom, and why.">
        <div class="segmented" role="group" aria-label="Which incidents">
          {STATES.map(([value, word]) => (
            <button
              key={word}
              type="button"
              aria-pressed={state === value}
              onClick={() => setParams({ state: value || null })}
            >
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
                <IncidentTable incidents={incidents} empty="" />
              )}
            </section>
            <Receipt receipt={data.receipt} />
          </>
        )}
      </Answer>
    </>
  );
}
