// One dashboard. Its own time range counts until the reader chooses another; all panels share range and cursor.
import { useEffect } from 'preact/hooks';
import '../styles/dashboards.css';
import { apiUrl } from '../api/client';
import type { Dashboard } from '../api/types';
import { useQuery } from '../api/useQuery';
import { PageHead } from '../app/Shell';
import { href, params, setParams } from '../app/router';
import type { PageProps } from '../app/routes';
import { OutLink } from '../parts/OutLink';
import { Answer, Empty } from '../parts/States';
import { parseDurationS } from '../time/instant';
import { rangeParams } from '../time/range';
import { PanelCard } from './PanelCard';

/** `1h`, `last 1h` or seconds. */
function ownRange(dashboard: Dashboard): number | null {
  const text = dashboard.time_range;
  if (typeof text === 'number') return text;
  return parseDurationS(String(text ?? '').replace(/^(last|now-)\s*/, ''));
}

export default function DashboardPage({ id }: PageProps) {
  const query = useQuery<Dashboard>(apiUrl(`/dashboards/${encodeURIComponent(id)}`));
  const dashboard = query.data;
  useEffect(() => {
    if (!dashboard || params.value.get('range') || params.value.get('start')) return;
    const seconds = ownRange(dashboard);
    if (seconds) setParams(rangeParams({ kind: 'last', seconds }), true);
  }, [dashboard?.id]);
  return (
    <>
      <PageHead
        title={dashboard?.title ?? 'Dashboard'}
        lead={
          dashboard && (
            <>
              {dashboard.purpose} <span class="muted">For: {dashboard.audience || 'everybody'}</span>
            </>
          )
        }
      >
        <OutLink address={dashboard?.runbook} icon="book" label="Runbook" />
        <a class="button quiet" href={href('/dashboards')}>
          All dashboards
        </a>
      </PageHead>
      <Answer query={query} what="this dashboard">
        {(data) =>
          (data.panels ?? []).length === 0 ? (
            <Empty title="This dashboard has no panels" icon="dashboards">
              Add panels to its file and check it with <code>daymark dashboards check DIR</code>.
            </Empty>
          ) : (
            <div class="panels">
              {data.panels.map((panel) => (
                <PanelCard key={panel.id} panel={panel} stepS={data.step_s} syncKey={data.id} />
              ))}
            </div>
          )
        }
      </Answer>
    </>
  );
}
