// The frame around every page: navigation, time range, refresh, link, theme, help. Owns the global keys.
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { apiUrl } from '../api/client';
import type { IncidentsAnswer } from '../api/types';
import { inFlight, refreshTick, useQuery } from '../api/useQuery';
import { absoluteLink, CopyButton } from '../parts/Copy';
import { Icon, type IconName } from '../parts/Icon';
import { utcClock } from '../time/instant';
import { HelpDialog } from './HelpDialog';
import { RangePicker } from './RangePicker';
import { href, path } from './router';
import { CurrentPage } from './routes';
import { goTo, useShortcuts } from './shortcuts';
import { nextTheme, theme } from './theme';

const INCIDENTS_POLL_MS = 15_000;

interface Place {
  name: string;
  path: string;
  icon: IconName;
  key: string;
}
const PLACES: { title: string; places: Place[] }[] = [
  {
    title: 'Objectives',
    places: [
      { name: 'SLOs', path: '/slos', icon: 'slos', key: 's' },
      { name: 'Incidents', path: '/incidents', icon: 'incidents', key: 'i' },
    ],
  },
  {
    title: 'Signals',
    places: [
      { name: 'Service graph', path: '/services/graph', icon: 'graph', key: 'g' },
      { name: 'Traces', path: '/traces', icon: 'traces', key: 't' },
      { name: 'Logs', path: '/logs', icon: 'logs', key: 'l' },
      { name: 'Metrics', path: '/metrics', icon: 'metrics', key: 'm' },
      { name: 'Dashboards', path: '/dashboards', icon: 'dashboards', key: 'd' },
    ],
  },
  {
    title: 'Pipeline',
    places: [
      { name: 'Ledger', path: '/ledger', icon: 'ledger', key: 'e' },
      { name: 'Storage', path: '/storage', icon: 'storage', key: 'o' },
    ],
  },
];

export function Shell() {
  const [help, setHelp] = useState(false);
  useShortcuts('Everywhere', [
    { keys: '?', what: 'Show or hide these keys', run: () => setHelp((open) => !open) },
    { keys: '/', what: 'Go to the search field', run: focusSearch },
    { keys: 'r', what: 'Load fresh data', run: () => (refreshTick.value += 1) },
    ...PLACES.flatMap((group) => group.places).map((place) => ({
      keys: `g ${place.key}`,
      what: `Go to ${place.name}`,
      run: goTo(place.path),
    })),
  ]);
  return (
    <>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <Sidebar />
      <div class="frame">
        <Topbar onHelp={() => setHelp(true)} />
        <main id="main" tabIndex={-1}>
          <CurrentPage />
        </main>
      </div>
      <HelpDialog open={help} onClose={() => setHelp(false)} />
    </>
  );
}

function focusSearch(): void {
  document.querySelector<HTMLElement>('[data-search]')?.focus();
}

function Sidebar() {
  const here = path.value === '/' ? '/slos' : path.value;
  return (
    <nav class="sidebar" aria-label="Pages">
      <a class="brand" href={href('/slos')} aria-label="Daymark: start page">
        <Brand />
        <span>Daymark</span>
      </a>
      <div class="places">
        {PLACES.map((group) => (
          <section key={group.title} aria-label={group.title}>
            <h2>{group.title}</h2>
            <ul>
              {group.places.map((place) => (
                <li key={place.path}>
                  <a
                    href={href(place.path)}
                    aria-current={here.startsWith(place.path) ? 'page' : undefined}
                    data-testid={`nav-${place.path.slice(1).replaceAll('/', '-')}`}
                  >
                    <Icon name={place.icon} />
                    <span>{place.name}</span>
                    {place.path === '/incidents' && <OpenIncidents />}
                  </a>
                </li>
              ))}
            </ul>
          </section>
        ))}
      </div>
      <Clock />
    </nav>
  );
}

function Brand() {
  return (
    <svg class="brand-mark" viewBox="0 0 24 24" aria-hidden="true">
      <path d="M12 1.5 22.500 22h-21Z" fill="#fff" />
      <path d="M9.700 6h4.600l1.800 3.600H7.900ZM6.100 13h11.800l1.800 3.600H4.300Z" fill="#e5484d" />
    </svg>
  );
}

function OpenIncidents() {
  const { data, error } = useQuery<IncidentsAnswer>(apiUrl('/incidents', { state: 'open' }), INCIDENTS_POLL_MS);
  // Of yesterday's number or none, neither would tell the reader that nobody knows.
  if (error) {
    return (
      <span class="nav-count unknown" title="The number of open incidents is unknown: the server does not answer">
        ?<span class="visually-hidden"> open: unknown</span>
      </span>
    );
  }
  const open = data?.incidents?.length ?? 0;
  if (open === 0) return null;
  return (
    <span class="nav-count">
      {open}
      <span class="visually-hidden"> open</span>
    </span>
  );
}

function Clock() {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return (
    <p class="clock">
      <span class="mono">{utcClock(now)}</span> UTC
    </p>
  );
}

function Topbar({ onHelp }: { onHelp: () => void }) {
  const name = { auto: 'as the system', light: 'light', dark: 'dark' }[theme.value];
  const icon: IconName = theme.value === 'auto' ? 'auto' : theme.value === 'light' ? 'sun' : 'moon';
  return (
    <header class="topbar">
      <div class="progress" data-active={inFlight.value > 0} aria-hidden="true" />
      <RangePicker />
      <button
        type="button"
        class="button icon-only"
        aria-label="Load fresh data"
        title="Load fresh data (r)"
        data-testid="refresh"
        onClick={() => (refreshTick.value += 1)}
      >
        <Icon name="refresh" />
      </button>
      <span class="grow" />
      <CopyButton text={absoluteLink} label="Copy link" />
      <button
        type="button"
        class="button quiet icon-only"
        aria-label={`Colours: ${name}. Change`}
        title={`Colours: ${name}`}
        onClick={nextTheme}
      >
        <Icon name={icon} />
      </button>
      <button
        type="button"
        class="button quiet icon-only"
        aria-label="Keyboard help"
        title="Keyboard help (?)"
        onClick={onHelp}
      >
        <Icon name="help" />
      </button>
    </header>
  );
}

/** The head of a page: title, what it is about, actions. Sets the document title. */
export function PageHead({
  title,
  lead,
  children,
}: {
  title: string;
  lead?: ComponentChildren;
  children?: ComponentChildren;
}) {
  useEffect(() => {
    document.title = `${title} · Daymark`;
  }, [title]);
  return (
    <div class="page-head">
      <div class="grow">
        <h1>{title}</h1>
        {lead && <div class="lead">{lead}</div>}
      </div>
      {children && <div class="row">{children}</div>}
    </div>
  );
}
