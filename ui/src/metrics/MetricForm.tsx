// What to draw. Every control writes the URL at once.
import type { MetricInfo } from '../api/types';
import { params, setParams } from '../app/router';
import { splitAttributes } from '../traces/search';
import { Choice, sortedNames } from '../parts/Choice';

interface Props {
  metrics: MetricInfo[];
  metric: MetricInfo;
  functions: string[];
  fn: string;
  service: string;
  groups: string[];
  attributes: string;
}

export function MetricForm({ metrics, metric, functions, fn, service, groups, attributes }: Props) {
  const keys = ['service', ...(metric.attribute_keys ?? []).filter((key) => key !== 'service')];
  const kinds = [...new Set(metrics.map((one) => one.kind))].sort();
  const toggle = (key: string) =>
    setParams({ group: groups.includes(key) ? groups.filter((one) => one !== key) : [...groups, key] });
  const wrong = splitAttributes(attributes) === null;
  return (
    <div class="card metric-form">
      <label class="field metric-name">
        <span>Metric</span>
        <select
          class="input"
          data-search
          data-testid="field-metric"
          value={metric.name}
          onChange={(event) => setParams({ metric: event.currentTarget.value, fn: null, group: null })}
        >
          {kinds.map((kind) => (
            <optgroup key={kind} label={kind}>
              {metrics
                .filter((one) => one.kind === kind)
                .map((one) => (
                  <option key={one.name} value={one.name}>
                    {one.name} {one.unit ? `(${one.unit})` : ''}
                  </option>
                ))}
            </optgroup>
          ))}
        </select>
      </label>
      <label class="field">
        <span>Function</span>
        <select
          class="input"
          data-testid="field-fn"
          value={fn}
          onChange={(event) => setParams({ fn: event.currentTarget.value })}
        >
          {functions.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </label>
      <label class="field">
        <span>Service</span>
        <Choice
          any="All services"
          names={sortedNames(metric.services ?? [])}
          chosen={service}
          testid="field-service"
          onChoose={(name) => setParams({ service: name })}
        />
      </label>
      <label class="field metric-attributes">
        <span>Only where</span>
        <input
          key={params.value.get('attributes') ?? ''}
          class="input"
          placeholder="key=value"
          spellcheck={false}
          defaultValue={attributes}
          aria-invalid={wrong}
          onChange={(event) => setParams({ attributes: event.currentTarget.value })}
        />
      </label>
      <fieldset class="metric-groups">
        <legend>Group by</legend>
        {keys.map((key) => (
          <button
            key={key}
            type="button"
            class="button small"
            aria-pressed={groups.includes(key)}
            onClick={() => toggle(key)}
          >
            {key}
          </button>
        ))}
      </fieldset>
    </div>
  );
}
