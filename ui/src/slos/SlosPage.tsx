// Where every service stands against its objective: worst first, so that the first line is what to look at.
import '../styles/slos.css';
import { apiUrl } from '../api/client';
import type { Slo, SlosAnswer, SloState } from '../api/types';
import { usePoll, useQuery } from '../api/useQuery';
import { PageHead } from '../app/Shell';
import { href, navigate, params, setParams } from '../app/router';
import { useRowKeys } from '../app/shortcuts';
import { ServiceName, SloBadge } from '../parts/Badges';
import { Icon } from '../parts/Icon';
import { Receipt } from '../parts/Receipt';
import { Answer, Empty } from '../parts/States';
import { burn, percent, plural } from '../time/format';
import { ago, instantMs } from '../time/instant';
import { ranked, WORST_FIRST, worstBurn } from './ranking';

const POLL_MS = 10_000;
const WORDS: Record<SloState, string> = { breached: 'Breached', at_risk: 'At risk', unknown: 'Unknown', met: 'Met' };

export default function SlosPage() {
  usePoll(POLL_MS);
  const query = useQuery<SlosAnswer>(apiUrl('/slos'));
  const state = params.value.get('state') as SloState | null;
  const service = params.value.get('service');
  const all = ranked(query.data?.slos ?? []);
  const shown = all.filter((slo) => (!state || slo.state === state) && (!service || slo.service === service));
  useRowKeys('SLOs', 'SLO');
  return (
    <>
      <PageHead title="SLOs" lead="Where each service stands against its objectives, worst first." />
      <Answer query={query} what="SLOs">
        {(data) =>
          all.length === 0 ? (
            <Empty title="No SLO is defined yet" icon="slos">
              Put an SLO file into the definitions folder (<code>daymark up --definitions DIR</code>) and check it with{' '}
              <code>daymark slo check DIR</code>.
            </Empty>
          ) : (
            <>
              <Summary slos={all} chosen={state} />
              {service && (
                <p class="row">
                  Only SLOs of <ServiceName name={service} />{' '}
                  <button type="button" class="button small" onClick={() => setParams({ service: null })}>
                    Show all
                  </button>
                </p>
              )}
              <section class="card" aria-label="SLOs">
                <Table slos={shown} />
              </section>
              <Receipt receipt={data.receipt} />
            </>
          )
        }
      </Answer>
    </>
  );
}

const sloHref = (id: string) => href(`/slos/${encodeURIComponent(id)}`);

function Summary({ slos, chosen }: { slos: Slo[]; chosen: SloState | null }) {
  return (
    <div class="state-tiles" role="group" aria-label="Filter by state">
      {WORST_FIRST.map((state) => {
        const count = slos.filter((slo) => slo.state === state).length;
        return (
          <button
            key={state}
            type="button"
            class={`card state-tile ${state} ${count === 0 ? 'none' : ''}`}
            aria-pressed={chosen === state}
            onClick={() => setParams({ state: chosen === state ? null : state })}
          >
            <Icon
              name={state === 'met' ? 'ok' : state === 'breached' ? 'error' : state === 'at_risk' ? 'warn' : 'unknown'}
            />
            <strong>{count}</strong>
            <span>{WORDS[state]}</span>
          </button>
        );
      })}
    </div>
  );
}

function Table({ slos }: { slos: Slo[] }) {
  if (slos.length === 0) return <Empty title="None in this state">Choose another state above.</Empty>;
  return (
    <div class="scroll-x">
      <table class="table slos stacks">
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Objective</th>
            <th scope="col">Error budget left</th>
            <th scope="col">Burning now (long / short window)</th>
            <th scope="col" class="num">
              SLI
            </th>
            <th scope="col" class="num">
              Coverage
            </th>
            <th scope="col" class="num">
              Data up to
            </th>
          </tr>
        </thead>
        <tbody>
          {slos.map((slo) => (
            <Row key={slo.id} slo={slo} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ slo }: { slo: Slo }) {
  const open = (event: MouseEvent) =>
    event.target instanceof Element && !event.target.closest('a') && navigate(sloHref(slo.id));
  const watermark = instantMs(slo.watermark);
  return (
    <tr class="link-row" data-testid="slo-row" data-slo={slo.id} data-state={slo.state} onClick={open}>
      <td>
        <SloBadge state={slo.state} />
      </td>
      <td class="slo-name main-cell">
        <a class="row-link" href={sloHref(slo.id)}>
          {slo.name}
        </a>
        <p class="muted">
          <ServiceName name={slo.service} /> · {slo.target} % over {slo.window} · {slo.kind}
        </p>
        {slo.state_reason && <p class={`reason ${slo.state}`}>{slo.state_reason}</p>}
      </td>
      <td class="budget-cell" data-label="Error budget left">
        <BudgetBar ratio={slo.budget_remaining_ratio} />
      </td>
      <td class="nowrap" data-label="Burning now">
        <BurnNow slo={slo} />
      </td>
      <td class="num" data-label="SLI">
        {slo.sli === null || slo.sli === undefined ? '–' : percent(slo.sli)}
      </td>
      <td class="num" data-label="Coverage">
        {slo.coverage === null || slo.coverage === undefined ? (
          '–'
        ) : slo.state === 'unknown' && slo.coverage < 1 ? (
          <span class="chip warn">{percent(slo.coverage)}</span>
        ) : (
          percent(slo.coverage)
        )}
      </td>
      <td class="num muted" data-label="Data up to">
        {watermark === null ? 'no data yet' : ago(watermark, Date.now())}
      </td>
    </tr>
  );
}

/** A bar that runs left of zero, and says so, when more than the budget is spent. */
export function BudgetBar({ ratio }: { ratio: number | null }) {
  if (ratio === null || ratio === undefined) return <span class="muted">unknown</span>;
  const tone = ratio <= 0 ? 'bad' : ratio < 0.25 ? 'warn' : 'ok';
  return (
    <span class="budget">
      <span class={`budget-track ${tone}`}>
        <span style={{ width: `${Math.min(100, Math.max(0, ratio * 100))}%` }} />
      </span>
      <strong class={`tone-${tone}`}>{ratio < 0 ? `${percent(-ratio)} over` : percent(ratio)}</strong>
    </span>
  );
}

function BurnNow({ slo }: { slo: Slo }) {
  const worst = worstBurn(slo);
  if (!worst || worst.burn.long === null) return <span class="muted">unknown</span>;
  const others = Object.values(slo.burn).filter((one) => one.firing).length - 1;
  return (
    <span class="burn-now" title={`${worst.tier}: fires above ${worst.burn.threshold}× over both windows`}>
      {worst.burn.firing ? (
        <span class="chip bad">
          <Icon name="incidents" />
          {worst.tier} firing{others > 0 ? ` +${others}` : ''}
        </span>
      ) : (
        <span class="muted">quiet</span>
      )}
      <span>
        {burn(worst.burn.long)} / {burn(worst.burn.short)} <span class="muted">of {burn(worst.burn.threshold)}</span>
      </span>
      <span class="visually-hidden">{plural(others + 1, 'tier')} firing</span>
    </span>
  );
}
