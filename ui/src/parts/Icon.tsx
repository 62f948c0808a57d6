// The icons, drawn as strokes on a 16-unit grid. Decorative: the text beside them carries the meaning.

const PATHS = {
  traces: 'M2 4h7M5 8h8M8 12h6',
  logs: 'M3 3.5h10M3 6.5h10M3 9.5h10M3 12.5h6',
  metrics: 'M2 13V3M2 13h12M4.5 10l3-3.5 2.5 2L14 4',
  dashboards: 'M2.5 2.5h5v5h-5zM9.5 2.5h4v3h-4zM9.5 7.5h4v6h-4zM2.5 9.5h5v4h-5z',
  slos: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12M8 8l3-3M8 11a3 3 0 1 1 0-6',
  incidents: 'M8 2 14.5 13.5h-13zM8 6.5v3M8 11.6v.1',
  ledger: 'M3 2.5h10v11H3zM5.5 5.5h5M5.5 8h5M5.5 10.5h3',
  graph:
    'M3.500 9.500a1.500 1.500 0 1 0 0-3 1.500 1.500 0 0 0 0 3M12.500 5.500a1.500 1.500 0 1 0 0-3 1.500 1.500 0 0 0 0 3M12.500 13.500a1.500 1.500 0 1 0 0-3 1.500 1.500 0 0 0 0 3M4.900 7.300 11 4.700M4.900 8.700 11 11.300',
  clock: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12M8 5v3l2 1.5',
  refresh: 'M13.5 8A5.5 5.5 0 1 1 11.6 3.8M13.5 2v3h-3',
  link: 'M6.5 9.5 9.5 6.5M7 4.5 8.7 2.8a3.2 3.2 0 0 1 4.5 4.5L11.5 9M9 11.5l-1.7 1.7a3.2 3.2 0 0 1-4.5-4.5L4.5 7',
  sun: 'M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6M8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M3.4 12.6l.7-.7M11.9 4.1l.7-.7',
  moon: 'M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7',
  auto: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12M8 2v12M8 5h3M8 8h5.5M8 11h4',
  help: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12M6.3 6.2a1.8 1.8 0 1 1 2.5 1.7c-.6.3-.8.6-.8 1.2M8 11.3v.1',
  close: 'M4 4l8 8M12 4l-8 8',
  check: 'M3.5 8.5 6.5 11.5 12.5 4.5',
  right: 'M6 3.5 10.5 8 6 12.5',
  down: 'M3.5 6 8 10.5 12.5 6',
  up: 'M3.5 10 8 5.5 12.5 10',
  search: 'M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9M10.3 10.3 14 14',
  error: 'M5.5 2h5L14 5.5v5L10.5 14h-5L2 10.5v-5zM8 5v3.5M8 10.9v.1',
  warn: 'M8 2 14.5 13.5h-13zM8 6.5v3M8 11.6v.1',
  ok: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12M5.5 8.2l1.8 1.8 3.3-3.8',
  unknown: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12M6.3 6.2a1.8 1.8 0 1 1 2.5 1.7c-.6.3-.8.6-.8 1.2M8 11.3v.1',
  external: 'M6.5 3.5h-4v10h10v-4M9.5 2.5h4v4M13.5 2.5 7.5 8.5',
  critical: 'M3.5 3.5 8 8l-4.5 4.500M8.500 3.500 13 8l-4.500 4.500',
  plus: 'M8 3v10M3 8h10',
  minus: 'M3 8h10',
  book: 'M8 4c-1.5-1.2-3.5-1.5-5.5-1.5v10c2 0 4 .3 5.5 1.5 1.5-1.2 3.5-1.5 5.5-1.5v-10C11.500 2.500 9.500 2.800 8 4v10',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
