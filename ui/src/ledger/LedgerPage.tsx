// The ledger (G3): every item that was received has an outcome, at every component; what has none is shown in red.
import '../styles/ledger.css';
import { apiUrl } from '../api/client';
import type { AgentStatus, LedgerAnswer, LedgerRow } from '../api/types';
import { usePoll, useQuery } from '../api/useQuery';
import { PageHead } from '../app/Shell';
import { ServiceName } from '../parts/Badges';
import { Icon } from '../parts/Icon';
import { Receipt } from '../parts/Receipt';
import { Answer, Empty } from '../parts/States';
import { count, percent, plural } from '../time/format';
import { ago, instantMs, utcDateTime } from '../time/instant';

const POLL_MS = 5_000;

const total = (by: Record<string, number> | undefined) => Object.values(by ?? {}).reduce((sum, n) => sum + n, 0);

/** Received less every outcome; computed here too, so that a wrong sum of the server cannot hide. */
export function unexplained(row: LedgerRow): number {
  const explained = row.stored + total(row.rejected) + total(row.shed) + total(row.sampled) + row.in_flight;
  const own = row.received - explained;
  return own !== 0 ? own : (row.unexplained ?? 0);
}

export default function LedgerPage() {
  usePoll(POLL_MS);
  const query = useQuery<LedgerAnswer>(apiUrl('/ledger'));
  return (
    <>
      <PageHead title="Ledger" lead={<code>received = stored + rejected + shed + sampled + in flight</code>} />
      <Answer query={query} what="the ledger">
        {(data) => (
          <>
            <Verdict data={data} />
            <Lost lost={data.lost} />
            {(data.components ?? []).map((one) => (
              <section
                key={one.component}
                class="card"
                aria-label={`Ledger of ${one.component}`}
                data-testid="ledger-component"
              >
                <header>
                  <h2>{one.component}</h2>
                  <Since at={one.since} />
                </header>
                <Rows rows={one.rows ?? []} />
              </section>
            ))}
            <section class="card" aria-labelledby="agents">
              <header>
                <h2 id="agents">Agents</h2>
              </header>
              <Agents agents={data.agents ?? []} />
            </section>
            <Receipt receipt={data.receipt} />
          </>
        )}
      </Answer>
    </>
  );
}

/** A restart begins anew: the counts say nothing of what was before. */
function Since({ at }: { at: LedgerAnswer['components'][number]['since'] }) {
  const since = instantMs(at);
  return since === null ? null : <p class="muted small-text">counted since {utcDateTime(since)} UTC, the last start</p>;
}

function Verdict({ data }: { data: LedgerAnswer }) {
  const off = (data.components ?? [])
    .flatMap((one) => (one.rows ?? []).map((row) => unexplained(row)))
    .filter((n) => n !== 0);
  const silent = (data.agents ?? []).filter((agent) => agent.silent).length;
  const watermark = instantMs(data.watermark);
  return (
    <dl class="ledger-tiles">
      <div class={`card ${off.length > 0 ? 'bad' : 'ok'}`}>
        <dt>The sum</dt>
        <dd>
          <Icon name={off.length > 0 ? 'error' : 'ok'} />
          {off.length > 0
            ? `${count(off.reduce((sum, n) => sum + Math.abs(n), 0))} unexplained`
            : 'Every item is explained'}
        </dd>
      </div>
      <div class="card">
        <dt>Watermark (UTC)</dt>
        <dd title="All data up to here has arrived; SLOs are evaluated at this instant">
          <Icon name="clock" />
          {watermark === null ? 'none yet' : utcDateTime(watermark)}{' '}
          {watermark !== null && <small>{ago(watermark, Date.now())}</small>}
        </dd>
      </div>
      <div class={`card ${silent > 0 ? 'bad' : ''}`}>
        <dt>Agents</dt>
        <dd>
          <Icon name={silent > 0 ? 'warn' : 'ok'} />
          {plural((data.agents ?? []).length, 'agent')} {silent > 0 && <small>{silent} silent</small>}
        </dd>
      </div>
    </dl>
  );
}

/** Acknowledged data that nobody can read any more. */
function Lost({ lost }: { lost: LedgerAnswer['lost'] }) {
  if (!lost || lost.parts.length === 0) return null;
  return (
    <p class="card bad" role="status" data-testid="ledger-lost">
      <Icon name="error" /> {plural(lost.frames, 'acknowledged batch', 'acknowledged batches')} ({count(lost.bytes)} bytes
      of the ingest log, in {plural(lost.parts.length, 'place')}) could not be read and are lost. See{' '}
      <code>daymark log inspect</code>.
    </p>
  );
}

function Rows({ rows }: { rows: LedgerRow[] }) {
  return (
    <div class="scroll-x">
      <table class="table ledger">
        <thead>
          <tr>
            <th scope="col">Signal</th>
            <th scope="col" class="num">
              Received
            </th>
            <th scope="col" class="num">
              = Stored
            </th>
            <th scope="col" class="num">
              + Rejected
            </th>
            <th scope="col" class="num">
              + Shed
            </th>
            <th scope="col" class="num">
              + Sampled out
            </th>
            <th scope="col" class="num">
              + In flight
            </th>
            <th scope="col" class="num">
              Unexplained
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => {
            const off = unexplained(row);
            return (
              <tr key={row.signal} class={off !== 0 ? 'off' : ''} data-testid="ledger-row" data-unexplained={off}>
                <th scope="row">{row.signal}</th>
                <td class="num">
                  <strong>{count(row.received)}</strong>
                </td>
                <td class="num">
                  {count(row.stored)}
                  <p class="muted small-text">{row.received > 0 ? percent(row.stored / row.received) : ''}</p>
                </td>
                <Reasons by={row.rejected} tone="bad" />
                <Reasons by={row.shed} tone="warn" />
                <Reasons by={row.sampled} tone="" />
                <td class="num">{count(row.in_flight)}</td>
                <td class="num">
                  {off === 0 ? (
                    <span class="chip ok">
                      <Icon name="check" />0
                    </span>
                  ) : (
                    <span class="chip bad">
                      <Icon name="error" />
                      {count(off)}
                    </span>
                  )}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Reasons({ by, tone }: { by: Record<string, number> | undefined; tone: string }) {
  const entries = Object.entries(by ?? {})
    .filter(([, n]) => n > 0)
    .sort(([, a], [, b]) => b - a);
  if (entries.length === 0) return <td class="num muted">0</td>;
  return (
    <td class="num">
      {count(total(by))}
      <ul class="reasons">
        {entries.map(([reason, n]) => (
          <li key={reason} class={`chip ${tone}`}>
            {reason} {count(n)}
          </li>
        ))}
      </ul>
    </td>
  );
}

function Agents({ agents }: { agents: AgentStatus[] }) {
  if (agents.length === 0)
    return (
      <Empty title="No agent has reported yet">
        Agents send a heartbeat every second. Without agents, data counts as closed on arrival.
      </Empty>
    );
  return (
    <div class="scroll-x">
      <table class="table stacks">
        <thead>
          <tr>
            <th scope="col">Agent</th>
            <th scope="col">State</th>
            <th scope="col">Last seen</th>
            <th scope="col">Closed up to (UTC)</th>
            <th scope="col">Services</th>
          </tr>
        </thead>
        <tbody>
          {agents.map((agent) => {
            const seen = instantMs(agent.last_seen);
            const closed = instantMs(agent.closed_until);
            return (
              <tr key={`${agent.tenant} ${agent.agent} ${agent.epoch}`} data-testid="agent-row">
                <td class="main-cell">
                  <strong class="mono">{agent.agent}</strong> <span class="muted small-text">
                    epoch {agent.epoch}
                    {agent.tenant && agent.tenant !== 'default' ? `, tenant ${agent.tenant}` : ''}
                  </span>
                </td>
                <td>
                  {agent.silent ? (
                    <span class="chip bad">
                      <Icon name="warn" />
                      silent
                    </span>
                  ) : (
                    <span class="chip ok">
                      <Icon name="ok" />
                      live
                    </span>
                  )}
                </td>
                <td data-label="Last seen">{seen === null ? '–' : ago(seen, Date.now())}</td>
                <td class="nowrap" data-label="Closed up to (UTC)">
                  {closed === null ? '–' : utcDateTime(closed)}
                </td>
                <td data-label="Services">
                  <span class="row small-text">
                    {(agent.services ?? []).map((name) => (
                      <ServiceName key={name} name={name} />
                    ))}
                  </span>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
