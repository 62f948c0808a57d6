// Who calls whom: the drawn graph and the same as a table. URL state: `service` (its calls only), `sort` and `order`.
import { useMemo } from 'preact/hooks';
import '../styles/graph.css';
import { apiUrl } from '../api/client';
import type { GraphAnswer, ServicesAnswer } from '../api/types';
import { useQuery } from '../api/useQuery';
import { PageHead } from '../app/Shell';
import { params, setParams } from '../app/router';
import { useRowKeys } from '../app/shortcuts';
import { Choice, sortedNames } from '../parts/Choice';
import { Icon } from '../parts/Icon';
import { CompleteReceipt, PartialReceipt } from '../parts/Receipt';
import { Answer, Empty } from '../parts/States';
import { count, plural } from '../time/format';
import { instantMs, utcField } from '../time/instant';
import { rangeQuery } from '../time/range';
import { type Call, callsOf, isOverflow, readSort } from './calls';
import { CallTable } from './CallTable';
import { Drawing } from './Drawing';

export default function GraphPage() {
  const service = params.value.get('service') ?? '';
  const services = useQuery<ServicesAnswer>(apiUrl('/services', rangeQuery.value));
  const query = useQuery<GraphAnswer>(apiUrl('/services/graph', { ...rangeQuery.value, service }));
  const { data, atMs } = query;
  const calls = useMemo(() => (data ? callsOf(data, atMs ?? Date.now()) : []), [data]);
  const names = [...(services.data?.services ?? []), ...(data?.nodes ?? [])].map((one) => one.name);
  useRowKeys('Service graph', 'edge');
  return (
    <>
      <PageHead title="Service graph" lead="Who calls whom, how often, how often in vain, and how long it takes.">
        <label class="row graph-of">
          <span class="muted">Calls from and to</span>
          <Choice
            any="Every service"
            names={sortedNames(names)}
            chosen={service}
            testid="field-service"
            isSearch
            onChoose={(name) => setParams({ service: name })}
          />
        </label>
        {service && (
          <button type="button" class="button" data-testid="show-all" onClick={() => setParams({ service: null })}>
            Show all
          </button>
        )}
      </PageHead>
      <Answer query={query} what="the service graph">
        {(answer) => (
          <section class="card" aria-label="Service graph">
            <header class="wraps">
              <h2>{plural(calls.length, 'edge')}</h2>
              <p class="muted small-text grow" data-testid="graph-time">
                {covered(answer)}
              </p>
              <CompleteReceipt receipt={answer.receipt} />
            </header>
            <PartialReceipt receipt={answer.receipt} />
            {calls.length === 0 ? (
              <NoCalls service={service} isComplete={answer.receipt.complete} />
            ) : (
              <>
                <Overflow calls={calls} />
                <Drawing calls={calls} service={service} />
                <CallTable calls={calls} sort={readSort(params.value)} />
              </>
            )}
          </section>
        )}
      </Answer>
    </>
  );
}

/** Edges are kept by the minute, so that the range grows to whole ones. */
function covered(answer: GraphAnswer): string {
  const [start, end] = [instantMs(answer.start_time), instantMs(answer.end_time)];
  if (start === null || end === null) return '';
  const to = utcField(end);
  return `${utcField(start)} → ${utcField(start).slice(0, 10) === to.slice(0, 10) ? to.slice(11) : to} UTC, in whole minutes`;
}

function NoCalls({ service, isComplete }: { service: string; isComplete: boolean }) {
  const where = isComplete ? 'in this time range' : 'in what could be read';
  return (
    <Empty
      title={service ? `No call from or to ${service} ${where}` : `No call between services ${where}`}
      icon="graph"
    >
      A call is a server or consumer span below a client or producer span, or a client span that names its peer (
      <code>peer.service</code>, <code>db.system.name</code>, <code>server.address</code> and the like). Widen the time
      range{service && ', or show all services'}; calls appear about 2 s after they are acknowledged.
    </Empty>
  );
}

/** Calls that are counted, and nobody knows of whom. */
function Overflow({ calls }: { calls: Call[] }) {
  const lost = calls.filter(isOverflow).reduce((sum, call) => sum + call.calls, 0);
  if (lost === 0) return null;
  return (
    <p class="graph-note" role="status" data-testid="graph-overflow">
      <Icon name="warn" />
      <span>
        {count(lost)} calls belong to more edges than the collector keeps (<code>--max-edges</code>): who made them is
        not known. They stand as <code>_overflow</code> in the table and are not drawn.
      </span>
    </p>
  );
}
