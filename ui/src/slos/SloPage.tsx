// One objective: what to do now, the budget, the four tiers, what spent the budget, the evidence and the definition.
import { useMemo } from 'preact/hooks';
import '../styles/slos.css';
import { apiUrl } from '../api/client';
import type { SloDetail } from '../api/types';
import { usePoll, useQuery } from '../api/useQuery';
import { PageHead } from '../app/Shell';
import { href } from '../app/router';
import type { PageProps } from '../app/routes';
import { Chart } from '../charts/Chart';
import { IncidentTable } from '../incidents/IncidentTable';
import { ServiceName, SloBadge } from '../parts/Badges';
import { CopyButton } from '../parts/Copy';
import { Icon, type IconName } from '../parts/Icon';
import { dashboardHref, OutLink } from '../parts/OutLink';
import { Receipt } from '../parts/Receipt';
import { Answer } from '../parts/States';
import { burn, count, percent } from '../time/format';
import { ago, instantMs, longDuration, utcDateTime } from '../time/instant';
import { TierStrip } from './TierStrip';

const POLL_MS = 10_000;

export default function SloPage({ id }: PageProps) {
  usePoll(POLL_MS);
  const query = useQuery<SloDetail>(apiUrl(`/slos/${encodeURIComponent(id)}`));
  const slo = query.data;
  return (
    <>
      <PageHead
        title={slo?.name ?? id}
        lead={
          slo && (
            <span class="row">
              <ServiceName name={slo.service} />
              <span class="muted">
                {slo.kind} · {slo.target} % over {slo.window} · owner {slo.owner || 'not named'}
              </span>
            </span>
          )
        }
      >
        {slo && <SloBadge state={slo.state} />}
        <OutLink
          address={slo?.runbook}
          icon="book"
          label="Runbook"
          primary={slo?.state === 'breached' || slo?.state === 'at_risk'}
        />
        <OutLink address={dashboardHref(slo?.dashboard)} icon="dashboards" label="Dashboard" />
      </PageHead>
      <Answer query={query} what="this SLO">
        {(data) => <Body slo={data} />}
      </Answer>
    </>
  );
}

function Body({ slo }: { slo: SloDetail }) {
  return (
    <>
      <Verdict slo={slo} />
      {slo.description && <p class="slo-description">{slo.description}</p>}
      <Tiles slo={slo} />
      <div class="two">
        <Burndown slo={slo} />
        <GoodTotal slo={slo} />
      </div>
      <section aria-labelledby="tiers" class="stack">
        <h2 id="tiers">Burn-rate tiers: one fires when both windows are above its threshold</h2>
        <div class="two">
          {(slo.tiers ?? []).map((tier) => (
            <TierStrip key={tier.name} tier={tier} unknown={slo.burn?.[tier.name]?.unknown} />
          ))}
        </div>
      </section>
      <section class="card" aria-labelledby="incidents">
        <header>
          <h2 id="incidents">Incidents</h2>
        </header>
        <IncidentTable incidents={slo.incidents ?? []} empty="No incident of this SLO is known." withSlo={false} />
      </section>
      <div class="two">
        <Examples slo={slo} />
        <section class="card" aria-labelledby="definition">
          <header>
            <h2 id="definition" class="grow">
              Definition <span class="muted mono">{slo.definition_file}</span>
            </h2>
            <CopyButton text={slo.definition_yaml ?? ''} label="Copy" />
          </header>
          <pre class="yaml">{slo.definition_yaml}</pre>
        </section>
      </div>
      <Receipt receipt={slo.receipt} />
    </>
  );
}

/** The one sentence a tired person needs. */
function Verdict({ slo }: { slo: SloDetail }) {
  const firing = (slo.tiers ?? []).filter((tier) => tier.firing);
  const page = firing.find((tier) => tier.severity === 'page');
  const [tone, icon, text] = page
    ? ['bad', 'incidents', `Act now: ${page.name} is firing. Start with the runbook.`]
    : slo.state === 'breached'
      ? ['bad', 'error', 'The error budget of this window is spent. No page is due now; hold risky changes.']
      : firing.length > 0
        ? ['warn', 'warn', `Look into it today: ${firing[0].name} is firing.`]
        : slo.state === 'unknown'
          ? [
              'unknown',
              'unknown',
              'Nobody can tell: data is missing. Restore the data first; an objective over missing data is never called met.',
            ]
          : slo.state === 'at_risk'
            ? ['warn', 'warn', 'Little budget is left. Nothing is firing.']
            : ['ok', 'ok', 'Nothing to do: the objective is met and no tier is firing.'];
  return (
    <div class={`verdict ${tone}`} role="status" data-testid="slo-verdict">
      <Icon name={icon as IconName} />
      <div>
        <strong>{text}</strong>
        {slo.state_reason && <p>{slo.state_reason}</p>}
      </div>
    </div>
  );
}

function Tiles({ slo }: { slo: SloDetail }) {
  const remaining = slo.budget?.remaining_ratio ?? slo.budget_remaining_ratio;
  const fastest = slo.tiers?.[0];
  const watermark = instantMs(slo.watermark);
  return (
    <dl class="slo-tiles">
      <Tile name="SLI" note={`target ${slo.target} %`}>
        {slo.sli === null || slo.sli === undefined ? 'unknown' : percent(slo.sli)}
      </Tile>
      <Tile
        name="Error budget left"
        note={
          slo.budget
            ? `${count(Math.round(slo.budget.spent))} of ${count(Math.round(slo.budget.total))} bad allowed${overData(slo)}`
            : ''
        }
      >
        {remaining === null || remaining === undefined
          ? 'unknown'
          : remaining < 0
            ? `${percent(-remaining)} over`
            : percent(remaining)}
      </Tile>
      <Tile
        name="Burning now"
        note={fastest ? `over ${longDuration(fastest.short_s)}; 1× spends exactly the budget` : ''}
      >
        {burn(fastest?.short_burn)}
      </Tile>
      <Tile name="Spent at this pace in" note="a pace, not a forecast">
        {exhaustion(slo)}
      </Tile>
      <Tile name="Coverage" note="share of the window with data">
        {slo.coverage === null || slo.coverage === undefined ? '–' : percent(slo.coverage)}
      </Tile>
      {slo.latency_edge ? (
        <Tile name="Latency edge" note="the histogram edge the threshold snaps to">
          {slo.latency_edge}
        </Tile>
      ) : null}
      <Tile name="Data up to" note={watermark === null ? '' : `${utcDateTime(watermark)} UTC`}>
        {watermark === null ? 'no data yet' : ago(watermark, Date.now())}
      </Tile>
    </dl>
  );
}

function Tile({ name, note, children }: { name: string; note: string; children: preact.ComponentChildren }) {
  return (
    <div class="card">
      <dt>{name}</dt>
      <dd>
        {children}
        <small>{note}</small>
      </dd>
    </div>
  );
}

/** Over a short history a few bad events spend many times the budget, so the history is said with it. */
function overData(slo: SloDetail): string {
  return slo.data_s && (slo.coverage ?? 1) < 1 ? `, over ${longDuration(slo.data_s)} of data` : '';
}

const WINDOW_S: Record<string, number> = { d: 86_400, w: 604_800, h: 3600, m: 60 };

function exhaustion(slo: SloDetail): string {
  const remaining = slo.budget?.remaining_ratio ?? slo.budget_remaining_ratio;
  const pace = slo.tiers?.[0]?.long_burn;
  const match = /^(\d+)([dwhm])$/.exec(slo.window);
  if (remaining === null || remaining === undefined || pace === null || pace === undefined || !match) return 'unknown';
  if (remaining <= 0) return 'already spent';
  if (pace < 1) return 'not in this window';
  return longDuration((remaining * Number(match[1]) * WINDOW_S[match[2]]) / pace);
}

function Burndown({ slo }: { slo: SloDetail }) {
  // The last interval is still running: its value is of the newest data, not of its end.
  const until = instantMs(slo.watermark) ?? Date.now();
  const points = useMemo(
    () => (slo.budget?.series ?? []).map(([ms, left]) => [Math.min(ms, until), left] as [number, number | null]),
    [slo],
  );
  const series = useMemo(() => [{ label: 'budget left', token: '--c0', points, fill: true }], [points]);
  const lowest = Math.min(0, ...points.map(([, value]) => value ?? 0));
  return (
    <section class="card" aria-labelledby="budget">
      <header>
        <h2 id="budget">Error budget left</h2>
      </header>
      <div class="body">
        {points.length === 0 ? (
          <p class="muted">No data in the window yet, so there is no budget to draw.</p>
        ) : (
          <Chart
            title="Error budget left"
            series={series}
            unit="ratio"
            height={200}
            floor={lowest < 0 ? lowest * 1.1 : 0}
            thresholds={[{ value: 0, label: 'spent' }]}
          />
        )}
      </div>
    </section>
  );
}

function GoodTotal({ slo }: { slo: SloDetail }) {
  const points = slo.good_total_series ?? [];
  const series = useMemo(
    () => [
      { label: 'all', token: '--c9', points: points.map(([ms, , total]) => [ms, total] as [number, number]) },
      {
        label: 'bad',
        token: '--bad-fill',
        points: points.map(([ms, good, total]) => [ms, total - good] as [number, number]),
        fill: true,
      },
    ],
    [points],
  );
  return (
    <section class="card" aria-labelledby="events">
      <header>
        <h2 id="events">Requests, and the bad ones among them</h2>
      </header>
      <div class="body">
        {points.length === 0 ? (
          <p class="muted">No requests in the window yet.</p>
        ) : (
          <Chart title="Requests and bad requests" series={series} unit="" height={200} />
        )}
      </div>
    </section>
  );
}

function Examples({ slo }: { slo: SloDetail }) {
  const traces = slo.example_traces ?? [];
  return (
    <section class="card" aria-labelledby="examples">
      <header>
        <h2 id="examples" class="grow">
          Traces that spent the budget
        </h2>
        <a
          href={href(
            '/traces',
            slo.kind === 'latency'
              ? { service: slo.service, sort: 'duration' }
              : { service: slo.service, errors: 'true' },
          )}
        >
          Search more
        </a>
      </header>
      <div class="body">
        {traces.length === 0 && <p class="muted">No bad trace is known in the window.</p>}
        <ul class="link-list">
          {traces.map((id) => (
            <li key={id}>
              <a class="mono" href={href(`/traces/${id}`)} data-testid="example-trace">
                {id}
              </a>
            </li>
          ))}
        </ul>
      </div>
    </section>
  );
}
