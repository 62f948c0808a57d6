// The trace search form. It edits a draft; submitting writes the draft into the URL, which runs the search.
import { useEffect, useState } from 'preact/hooks';
import type { ServicesAnswer } from '../api/types';
import { setParams } from '../app/router';
import { refreshTick } from '../api/useQuery';
import { Choice, sortedNames } from '../parts/Choice';
import { Icon } from '../parts/Icon';
import { LIMITS, problems, searchParams, type TraceSearch } from './search';

interface Props {
  search: TraceSearch;
  services: ServicesAnswer['services'];
}

export function SearchForm({ search, services }: Props) {
  const [draft, setDraft] = useState(search);
  const [touched, setTouched] = useState(false);
  const inUrl = JSON.stringify(search);
  useEffect(() => setDraft(search), [inUrl]);
  const set = (patch: Partial<TraceSearch>) => setDraft((old) => ({ ...old, ...patch }));
  const found = problems(draft);
  const submit = (event: Event) => {
    event.preventDefault();
    setTouched(true);
    if (Object.keys(found).length > 0) return;
    if (JSON.stringify(draft) === inUrl) refreshTick.value += 1;
    else setParams(searchParams(draft));
  };
  const shown = touched ? found : {};
  return (
    <form class="card search-form" onSubmit={submit} aria-label="Search traces">
      <PlaceFields draft={draft} services={services} set={set} />
      <DurationField
        label="Min duration"
        testid="field-min-duration"
        value={draft.minDuration}
        problem={shown.minDuration}
        placeholder="e.g. 500ms"
        onInput={(minDuration) => set({ minDuration })}
      />
      <DurationField
        label="Max duration"
        testid="field-max-duration"
        value={draft.maxDuration}
        problem={shown.maxDuration}
        placeholder="none"
        onInput={(maxDuration) => set({ maxDuration })}
      />
      <label class="field wide">
        <span>Attributes</span>
        <input
          class="input"
          placeholder='http.route=/orders customer.tier="pro"'
          data-testid="field-attribute"
          spellcheck={false}
          value={draft.attributes}
          aria-invalid={Boolean(shown.attributes)}
          onInput={(event) => set({ attributes: event.currentTarget.value })}
        />
        {shown.attributes && <em class="problem">{shown.attributes}</em>}
      </label>
      <label class="check">
        <input
          type="checkbox"
          data-testid="field-errors"
          checked={draft.errors}
          onChange={(event) => set({ errors: event.currentTarget.checked })}
        />
        Only with errors
      </label>
      <label class="field limit">
        <span>Show</span>
        <select
          class="input"
          value={String(draft.limit)}
          onChange={(event) => set({ limit: Number(event.currentTarget.value) })}
        >
          {LIMITS.map((limit) => (
            <option key={limit} value={String(limit)}>
              {limit}
            </option>
          ))}
        </select>
      </label>
      <button type="submit" class="button primary" data-testid="search-submit">
        <Icon name="search" /> Search
      </button>
    </form>
  );
}

/** Where to look: a service, and an operation of it. */
function PlaceFields({ draft, services, set }: PlaceProps) {
  const operations = services
    .filter((one) => !draft.service || one.name === draft.service)
    .flatMap((one) => one.operations ?? []);
  return (
    <>
      <label class="field">
        <span>Service</span>
        <Choice
          any="Any service"
          names={sortedNames(services.map((one) => one.name))}
          chosen={draft.service}
          testid="field-service"
          isSearch
          onChoose={(service) => set({ service, operation: '' })}
        />
      </label>
      <label class="field">
        <span>Operation</span>
        <input
          class="input"
          list="operations"
          placeholder="Any operation"
          data-testid="field-operation"
          value={draft.operation}
          onInput={(event) => set({ operation: event.currentTarget.value })}
        />
        <datalist id="operations">
          {sortedNames(operations).map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      </label>
    </>
  );
}

interface PlaceProps {
  draft: TraceSearch;
  services: Props['services'];
  set: (patch: Partial<TraceSearch>) => void;
}

interface DurationProps {
  label: string;
  testid: string;
  value: string;
  placeholder: string;
  problem?: string;
  onInput: (text: string) => void;
}

function DurationField({ label, testid, value, placeholder, problem, onInput }: DurationProps) {
  return (
    <label class="field duration">
      <span>{label}</span>
      <input
        class="input"
        data-testid={testid}
        placeholder={placeholder}
        value={value}
        aria-invalid={Boolean(problem)}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      {problem && <em class="problem">{problem}</em>}
    </label>
  );
}
