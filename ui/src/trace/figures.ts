// What the figures of the spans come to, by service. The server measured them on corrected times, all spans together;
// here they are only added up. Pure.
import type { Layout } from './layout';

export interface ServicePart {
  service: string;
  /** Time that was not spent waiting for a child span. */
  selfNs: number;
  criticalNs: number;
}

/** Every service, the one that spent most itself first. */
export function byService({ spans, order, service, services }: Layout): ServicePart[] {
  const parts = services.map((name) => ({ service: name, selfNs: 0, criticalNs: 0 }));
  for (let position = 0; position < order.length; position += 1) {
    const part = parts[service[position]];
    part.selfNs += spans.selfNs[order[position]];
    part.criticalNs += spans.criticalNs[order[position]];
  }
  return parts.sort((a, b) => b.selfNs - a.selfNs);
}

export interface ClockOffset {
  service: string;
  /** The correction of its clocks that is furthest from none. */
  offsetNs: number;
}

/** The services whose clocks are off, the worst first. */
export function clockOffsets({ spans, order, service, services }: Layout): ClockOffset[] {
  const worst = new Float64Array(services.length);
  for (let position = 0; position < order.length; position += 1) {
    const offset = spans.offsetNs[order[position]];
    if (Math.abs(offset) > Math.abs(worst[service[position]])) worst[service[position]] = offset;
  }
  return services
    .map((name, index) => ({ service: name, offsetNs: worst[index] }))
    .filter((one) => one.offsetNs !== 0)
    .sort((a, b) => Math.abs(b.offsetNs) - Math.abs(a.offsetNs));
}
