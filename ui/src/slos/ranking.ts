// Which SLO comes first, and which of its tiers speaks for it. Pure.
import type { Burn, Slo, SloState } from '../api/types';

export const WORST_FIRST: SloState[] = ['breached', 'at_risk', 'unknown', 'met'];

/** Worst state first, then whoever is paging, then the least budget. */
export function ranked(slos: Slo[]): Slo[] {
  const budget = (slo: Slo) => slo.budget_remaining_ratio ?? 2;
  const firing = (slo: Slo) => (worstBurn(slo)?.burn.firing ? 0 : 1);
  return slos.toSorted(
    (a, b) =>
      WORST_FIRST.indexOf(a.state) - WORST_FIRST.indexOf(b.state) || firing(a) - firing(b) || budget(a) - budget(b),
  );
}

/** The tier to show: the firing one with the highest threshold, else the one nearest to firing. */
export function worstBurn(slo: Slo): { tier: string; burn: Burn } | null {
  const tiers = Object.entries(slo.burn ?? {}).map(([tier, one]) => ({ tier, burn: one }));
  const near = (one: Burn) => Math.min(one.long ?? 0, one.short ?? 0) / (one.threshold || 1);
  const firing = tiers.filter((one) => one.burn.firing).sort((a, b) => b.burn.threshold - a.burn.threshold);
  return firing[0] ?? tiers.sort((a, b) => near(b.burn) - near(a.burn))[0] ?? null;
}
