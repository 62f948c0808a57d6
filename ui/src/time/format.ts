// Numbers for people: three significant digits, a unit, no surprises. Pure functions.

const GROUP = new Intl.NumberFormat('en-US');

/** `1,234,567` */
export function count(value: number): string {
  return GROUP.format(value);
}

/** Three significant digits without an exponent for what people meet: `0.12`, `1.23`, `12.3`, `123`, `1,234`. */
export function digits(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 100) return GROUP.format(Math.round(value));
  if (size < 0.001) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

/** `1.24 s` from nanoseconds. */
export function nanos(ns: number): string {
  const size = Math.abs(ns);
  if (size < 1e3) return `${Math.round(ns)} ns`;
  if (size < 1e6) return `${digits(ns / 1e3)} µs`;
  if (size < 1e9) return `${digits(ns / 1e6)} ms`;
  if (size < 60e9) return `${digits(ns / 1e9)} s`;
  const seconds = ns / 1e9;
  if (size < 3600e9) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

/** `+350 ms`, `−1.2 s`: how far something is off. */
export function signedNanos(ns: number): string {
  return `${ns < 0 ? '−' : '+'}${nanos(Math.abs(ns))}`;
}

/** `99.95 %`, with as many digits as the ratio needs near 1 so that 0.99949 is not shown as 100 %. */
export function percent(ratio: number, most = 3): string {
  const value = ratio * 100;
  const near = Math.abs(100 - value);
  if (near === 0 || value === 0) return `${value} %`;
  if (near >= 10) return `${Number(value.toPrecision(3))} %`;
  const rounded = Number(value.toFixed(near < 0.1 ? most : 2));
  // A ratio that is not quite one must not read as one.
  if (rounded === 100) return value < 100 ? `> 99.${'9'.repeat(most)} %` : '> 100 %';
  return `${rounded} %`;
}

/** `14.4×` */
export function burn(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  return `${value >= 100 ? Math.round(value) : Number(value.toFixed(value >= 10 ? 1 : 2))}×`;
}

/** Short counts: `950`, `12.3 k`, `4.56 M`. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${digits(value / 1e9)} G`;
  if (size >= 1e6) return `${digits(value / 1e6)} M`;
  if (size >= 1e4) return `${digits(value / 1e3)} k`;
  return digits(value);
}

const TIME_UNITS: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9 };

/** What a value in unit `from` is multiplied with to be in unit `to`; 1 when both are not times. */
export function unitFactor(from: string, to: string): number {
  return from in TIME_UNITS && to in TIME_UNITS ? TIME_UNITS[from] / TIME_UNITS[to] : 1;
}

/** A metric value with its unit (UCUM as OTLP sends it). */
export function withUnit(value: number | null | undefined, unit: string): string {
  if (value === null || value === undefined) return '–';
  if (unit in TIME_UNITS) return nanos(value * TIME_UNITS[unit]);
  if (unit === 'By' || unit === 'bytes') return bytes(value);
  if (unit === 'ratio') return percent(value);
  if (unit === '×') return burn(value);
  if (unit === '%' || unit === 'percent') return `${digits(value)} %`;
  const suffix = unit.replace(/^\{(.*)\}/, '$1').replace(/^1\//, '/');
  return suffix && suffix !== '1' ? `${short(value)} ${suffix}` : short(value);
}

export function bytes(value: number): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let scaled = value;
  let index = 0;
  while (Math.abs(scaled) >= 1024 && index < names.length - 1) {
    scaled /= 1024;
    index += 1;
  }
  return `${digits(scaled)} ${names[index]}`;
}

/** `1 span`, `3 spans`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}
