// The query box with its syntax help, and the two filters everybody uses.
import { useEffect, useState } from 'preact/hooks';
import { setParams } from '../app/router';
import { refreshTick } from '../api/useQuery';
import { Choice, sortedNames } from '../parts/Choice';
import { Icon } from '../parts/Icon';

export const SEVERITIES = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];

export const FACETS_BUTTON = 'facets-button';

const SYNTAX: [string, string][] = [
  ['gateway timeout', 'both words, in any order'],
  ['"gateway timeout"', 'the exact phrase'],
  ['time*', 'words that begin with time'],
  ['refused OR reset', 'either word'],
  ['-health, NOT health', 'without this word'],
  ['(a OR b) c', 'parentheses group'],
  ['service:payment', 'a field: service, severity, event, trace_id, span_id, correlation_id'],
  ['http.route:"/orders/{id}"', 'any attribute by its key'],
];

interface Props {
  query: string;
  service: string;
  severity: string;
  services: string[];
  problem: string | null;
  facets: { open: boolean; toggle: () => void };
}

export function QueryForm({ query, service, severity, services, problem, facets }: Props) {
  const [draft, setDraft] = useState(query);
  const [help, setHelp] = useState(false);
  useEffect(() => setDraft(query), [query]);
  const submit = (event: Event) => {
    event.preventDefault();
    if (draft.trim() === query) refreshTick.value += 1;
    else setParams({ query: draft.trim() });
  };
  return (
    <form class="card log-form" onSubmit={submit} aria-label="Search logs">
      <div class="log-form-row">
        <label class="visually-hidden" for="log-query">
          Query
        </label>
        <div class="query-box">
          <Icon name="search" />
          <input
            id="log-query"
            class="input mono"
            data-search
            data-testid="log-query"
            spellcheck={false}
            autocomplete="off"
            placeholder='Search: words, "a phrase", field:value, -without, (a OR b)'
            value={draft}
            aria-invalid={problem !== null}
            aria-describedby="log-query-problem"
            onInput={(event) => setDraft(event.currentTarget.value)}
          />
        </div>
        <Choice
          label="Service"
          any="Any service"
          names={sortedNames(services)}
          chosen={service}
          testid="field-service"
          onChoose={(name) => setParams({ service: name })}
        />
        <Choice
          label="Severity"
          any="Any severity"
          names={SEVERITIES}
          chosen={severity}
          testid="field-severity"
          onChoose={(name) => setParams({ severity: name })}
        />
        <button
          id={FACETS_BUTTON}
          type="button"
          class="button"
          aria-expanded={facets.open}
          aria-controls={facets.open ? 'facets' : undefined}
          title="What the lines have in common (f)"
          data-testid="facets-toggle"
          onClick={facets.toggle}
        >
          Facets
        </button>
        <button type="button" class="button" aria-expanded={help} onClick={() => setHelp(!help)}>
          Syntax
        </button>
        <button type="submit" class="button primary" data-testid="search-submit">
          <Icon name="search" /> Search
        </button>
      </div>
      <p id="log-query-problem" class="problem" role="alert">
        {problem}
      </p>
      {help && (
        <dl class="syntax">
          {SYNTAX.map(([example, meaning]) => (
            <div key={example}>
              <dt>
                <code>{example}</code>
              </dt>
              <dd>{meaning}</dd>
            </div>
          ))}
        </dl>
      )}
    </form>
  );
}
