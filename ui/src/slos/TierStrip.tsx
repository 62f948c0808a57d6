// One burn-rate tier: the long and the short window against the threshold. The scale is cut a little above the
// threshold's neighbourhood, because a fault of 500× would flatten what matters: when the line was crossed.
import { useMemo } from 'preact/hooks';
import type { Tier } from '../api/types';
import { Chart } from '../charts/Chart';
import { SeverityBadge } from '../parts/Badges';
import { Icon } from '../parts/Icon';
import { burn, percent } from '../time/format';
import { longDuration } from '../time/instant';

const CUT_FACTORS = 4;

interface Props {
  tier: Tier;
  /** Why nothing can be said about the tier, when nothing can. */
  unknown?: string | null;
}

export function TierStrip({ tier, unknown }: Props) {
  const points = tier.series ?? [];
  const cut = tier.factor * CUT_FACTORS;
  const series = useMemo(() => {
    const column = (at: 1 | 2) => points.map((point) => [point[0], point[at]] as [number, number | null]);
    return [
      { label: `long ${longDuration(tier.long_s)}`, token: '--c0', points: column(1), fill: true },
      { label: `short ${longDuration(tier.short_s)}`, token: '--c2', points: column(2), dash: true },
    ];
  }, [points]);
  const isCut = points.some((point) => (point[1] ?? 0) > cut || (point[2] ?? 0) > cut);
  return (
    <section
      class={`card tier ${tier.firing ? 'firing' : ''}`}
      aria-label={`Tier ${tier.name}`}
      data-testid="tier"
      data-firing={tier.firing}
    >
      <header>
        <h3 class="grow">
          {tier.name}{' '}
          <span class="muted">
            fires above {tier.factor}× = {percent(tier.threshold_ratio)} bad
          </span>
        </h3>
        <SeverityBadge severity={tier.severity} />
        {tier.firing ? (
          <span class="chip bad">
            <Icon name="incidents" /> firing
          </span>
        ) : (
          <span class="chip">{unknown || tier.long_burn === null ? 'unknown' : 'quiet'}</span>
        )}
      </header>
      <div class="body">
        <p class="small-text">
          now <strong>{burn(tier.long_burn)}</strong> over {longDuration(tier.long_s)} and{' '}
          <strong>{burn(tier.short_burn)}</strong> over {longDuration(tier.short_s)}
          {isCut && <span class="muted"> · drawn up to {burn(cut)}</span>}
          {unknown && <span class="muted"> · {unknown}</span>}
        </p>
        {points.length < 2 ? (
          <p class="muted small-text">Too little data to draw yet.</p>
        ) : (
          <Chart
            title={`Burn rate of ${tier.name}`}
            series={series}
            unit="×"
            height={130}
            ceiling={cut}
            compact
            thresholds={[{ value: tier.factor, label: 'threshold' }]}
            syncKey="tiers"
          />
        )}
      </div>
    </section>
  );
}
