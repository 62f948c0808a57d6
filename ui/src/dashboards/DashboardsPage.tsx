// The dashboards that are defined.
import '../styles/dashboards.css';
import { apiUrl } from '../api/client';
import type { DashboardInfo } from '../api/types';
import { useQuery } from '../api/useQuery';
import { PageHead } from '../app/Shell';
import { href } from '../app/router';
import { Answer, Empty } from '../parts/States';
import { Icon } from '../parts/Icon';

export default function DashboardsPage() {
  const query = useQuery<{ dashboards: DashboardInfo[] }>(apiUrl('/dashboards'));
  return (
    <>
      <PageHead title="Dashboards" lead="Kept as code, reviewed in pull requests, drawn here." />
      <Answer query={query} what="dashboards">
        {(data) =>
          (data.dashboards ?? []).length === 0 ? (
            <Empty title="No dashboard is defined yet" icon="dashboards">
              Put a dashboard file into the definitions folder and check it with{' '}
              <code>daymark dashboards check DIR</code>.
            </Empty>
          ) : (
            <ul class="dashboard-list">
              {data.dashboards.map((one) => (
                <li key={one.id}>
                  <a class="card" href={href(`/dashboards/${encodeURIComponent(one.id)}`)} data-testid="dashboard-link">
                    <h2>
                      <Icon name="dashboards" /> {one.title}
                    </h2>
                    <p>{one.purpose}</p>
                    <p class="muted small-text">For {one.audience || 'everybody'}</p>
                  </a>
                </li>
              ))}
            </ul>
          )
        }
      </Answer>
    </>
  );
}
