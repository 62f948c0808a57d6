// Which page an address shows. Every page is its own chunk, loaded when first opened.
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Empty, Loading } from '../parts/States';
import { Guard } from './Guard';
import { href, path } from './router';

export interface PageProps {
  id: string;
}
type Page = ComponentType<PageProps>;

interface Route {
  pattern: RegExp;
  load: () => Promise<{ default: Page }>;
}

const ROUTES: Route[] = [
  { pattern: /^\/traces\/?$/, load: () => import('../traces/TracesPage') },
  { pattern: /^\/traces\/([^/]+)$/, load: () => import('../trace/TracePage') },
  { pattern: /^\/logs\/?$/, load: () => import('../logs/LogsPage') },
  { pattern: /^\/metrics\/?$/, load: () => import('../metrics/MetricsPage') },
  { pattern: /^\/(?:slos\/?)?$/, load: () => import('../slos/SlosPage') },
  { pattern: /^\/slos\/(.+)$/, load: () => import('../slos/SloPage') },
  { pattern: /^\/incidents\/?$/, load: () => import('../incidents/IncidentsPage') },
  { pattern: /^\/incidents\/(.+)$/, load: () => import('../incidents/IncidentPage') },
  { pattern: /^\/dashboards\/?$/, load: () => import('../dashboards/DashboardsPage') },
  { pattern: /^\/dashboards\/(.+)$/, load: () => import('../dashboards/DashboardPage') },
  { pattern: /^\/services(?:\/graph)?\/?$/, load: () => import('../graph/GraphPage') },
  { pattern: /^\/ledger\/?$/, load: () => import('../ledger/LedgerPage') },
  { pattern: /^\/storage\/?$/, load: () => import('../storage/StoragePage') },
];

const loaded = new Map<Route, Page>();

function decode(text: string | undefined): string {
  try {
    return decodeURIComponent(text ?? '');
  } catch {
    return text ?? '';
  }
}

export function CurrentPage() {
  const route = ROUTES.find((one) => one.pattern.test(path.value));
  const [, redraw] = useState(0);
  const [failed, setFailed] = useState<Route | null>(null);
  useEffect(() => {
    if (!route || loaded.has(route)) return;
    route.load().then(
      (module) => {
        loaded.set(route, module.default);
        redraw((n) => n + 1);
      },
      () => setFailed(route),
    );
  }, [route]);
  if (!route) return <NotFound />;
  if (failed === route) {
    return (
      <Empty title="This page could not be loaded" icon="warn">
        The server may have been upgraded or stopped.{' '}
        <a href={location.href} target="_self">
          Load the app anew
        </a>
        .
      </Empty>
    );
  }
  const Page = loaded.get(route);
  if (!Page) return <Loading what="page" />;
  const id = decode(route.pattern.exec(path.value)?.[1]);
  return (
    <Guard key={path.value}>
      <Page id={id} />
    </Guard>
  );
}

function NotFound() {
  return (
    <Empty title="There is no page at this address">
      <p class="mono">{path.value}</p>
      <p>
        <a href={href('/slos')}>Go to the SLOs</a> or press <kbd class="kbd">?</kbd> for all keys.
      </p>
    </Empty>
  );
}
