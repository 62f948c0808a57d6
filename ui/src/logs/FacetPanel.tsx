// What the lines found have in common: keys, their most frequent values, and how many lines have them. Asked for only
// while it is open. Keys and values are text nodes, cut: telemetry is hostile input.
import { useEffect, useRef, useState } from 'preact/hooks';
import '../styles/facets.css';
import { apiUrl } from '../api/client';
import type { FacetsAnswer, FacetValue, LogFacet } from '../api/types';
import { useQuery } from '../api/useQuery';
import { setParams } from '../app/router';
import { Icon } from '../parts/Icon';
import { Receipt, receiptText } from '../parts/Receipt';
import { Answer, Empty } from '../parts/States';
import { count } from '../time/format';
import { rangeQuery } from '../time/range';
import * as facets from './facets';

const LIMIT_RECORDS = 10_000;

interface Props {
  filters: facets.Filters & Record<string, string>;
  /** What the search itself counted, when it did. */
  matched: number | null;
  /** The search cannot be understood; its form says why. */
  isMisread: boolean;
  takesFocus: boolean;
  onClose: () => void;
}

type OnChoose = (facet: LogFacet, text: string, exclude: boolean) => void;

export function FacetPanel({ filters, matched, isMisread, takesFocus, onClose }: Props) {
  const panel = useRef<HTMLElement>(null);
  const chose = useRef(false);
  const url = apiUrl('/logs/facets', { ...filters, ...rangeQuery.value, limit: LIMIT_RECORDS });
  const query = useQuery<FacetsAnswer>(isMisread ? null : url);
  useEffect(() => {
    if (takesFocus) panel.current?.focus();
  }, []);
  // A value that was excluded is gone, and the focus with it.
  useEffect(() => {
    if (chose.current && document.activeElement === document.body) panel.current?.focus();
    chose.current = false;
  }, [query.data]);
  const choose: OnChoose = (facet, text, exclude) => {
    chose.current = true;
    setParams(facets.choose(filters, facet, text, exclude));
  };
  return (
    <aside
      ref={panel}
      id="facets"
      class="card facets"
      tabIndex={-1}
      aria-label="Facets"
      aria-busy={query.loading}
      data-testid="facets"
      onKeyDown={(event) => onKey(event, onClose)}
    >
      <div class="facets-scroll">
        <header class="facets-head">
          <h2 class="grow">Facets</h2>
          <span class="muted keys">
            <kbd class="kbd">↑</kbd> <kbd class="kbd">↓</kbd> <kbd class="kbd">Enter</kbd> only{' '}
            <kbd class="kbd">-</kbd> without
          </span>
          <button type="button" class="button quiet small" aria-label="Close the facets" onClick={onClose}>
            <Icon name="close" />
          </button>
        </header>
        {isMisread ? (
          <p class="body muted">Correct the search first.</p>
        ) : (
          <Answer query={query} what="facets">
            {(answer) => <Facets answer={answer} filters={filters} matched={matched} onChoose={choose} />}
          </Answer>
        )}
      </div>
    </aside>
  );
}

/** Arrows go from value to value, over the bounds of facets; they are not for the list while the focus is here. */
function onKey(event: KeyboardEvent, onClose: () => void): void {
  if (!(event.target instanceof HTMLElement) || event.ctrlKey || event.metaKey) return;
  const isField = event.target instanceof HTMLInputElement;
  const panel = event.currentTarget as HTMLElement;
  const values = [...panel.querySelectorAll<HTMLButtonElement>('.facet-value')];
  const now = values.findIndex((one) => one === document.activeElement);
  if (event.key === 'ArrowDown') values[Math.min(values.length - 1, now + 1)]?.focus();
  else if (event.key === 'ArrowUp' && !isField) values[Math.max(0, now - 1)]?.focus();
  else if (event.key === '-' && now >= 0)
    values[now].parentElement?.querySelector<HTMLButtonElement>('.facet-without')?.click();
  else if (event.key === 'Escape' && !isField) onClose();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

interface FacetsProps {
  answer: FacetsAnswer;
  filters: facets.Filters;
  matched: number | null;
  onChoose: OnChoose;
}

function Facets({ answer, filters, matched, onChoose }: FacetsProps) {
  const [wanted, setWanted] = useState('');
  const all = answer.facets ?? [];
  const hasFilter = all.length > facets.FILTER_FROM;
  const shown = hasFilter ? facets.keysWith(all, wanted) : all;
  return (
    <>
      <div class="facets-basis">
        <Basis answer={answer} matched={matched} />
        {hasFilter && (
          <input
            class="input"
            type="search"
            aria-label="Filter facets by key"
            placeholder={`Filter ${count(all.length)} keys`}
            data-testid="facets-filter"
            spellcheck={false}
            autocomplete="off"
            value={wanted}
            onInput={(event) => setWanted(event.currentTarget.value)}
          />
        )}
      </div>
      {all.length === 0 && <Empty title="Nothing to count">No line matches.</Empty>}
      {all.length > 0 && shown.length === 0 && <p class="body muted">No key contains “{facets.cut(wanted)}”.</p>}
      <div class="facet-list">
        {shown.map((facet) => (
          <Facet
            key={`${facet.attribute} ${facet.key}`}
            facet={facet}
            records={answer.records}
            filters={filters}
            onChoose={onChoose}
          />
        ))}
      </div>
    </>
  );
}

/** How far these counts reach. The receipt's word "complete" would read wrong beside "the newest of". */
function Basis({ answer, matched }: { answer: FacetsAnswer; matched: number | null }) {
  const { receipt } = answer;
  const isQuiet = receipt?.complete && (receipt.warnings ?? []).length === 0;
  return (
    <>
      {answer.records > 0 && (
        <p class={answer.complete ? 'muted' : 'facets-part'} data-testid="facets-basis">
          {facets.lookedAt(answer, matched)}
        </p>
      )}
      {isQuiet ? <p class="muted">{receiptText(receipt)}</p> : <Receipt receipt={receipt} />}
    </>
  );
}

interface FacetProps {
  facet: LogFacet;
  /** How many were looked at. */
  records: number;
  filters: facets.Filters;
  onChoose: OnChoose;
}

function Facet({ facet, records, filters, onChoose }: FacetProps) {
  const more = facets.unlisted(facet);
  const withKey = `${count(facet.records)} of ${count(records)} lines have it`;
  return (
    <section class="facet" aria-label={facets.cut(facet.key)} data-testid="facet" data-key={facet.key}>
      <h3>
        <span class="facet-text mono" title={facet.key}>
          {facets.cut(facet.key)}
        </span>
        <span class="muted nowrap" title={withKey}>
          {facets.share(facet.records, records)}
          <span class="visually-hidden"> of lines have it</span>
        </span>
      </h3>
      <ul>
        {facet.values.map((one, index) => (
          <Value
            key={`${typeof one.value} ${one.value}`}
            facet={facet}
            one={one}
            isFirst={index === 0}
            isChosen={facets.isChosen(filters, facet, facets.valueText(one))}
            onChoose={onChoose}
          />
        ))}
      </ul>
      {more && <p class="facet-more muted">{more}</p>}
    </section>
  );
}

interface ValueProps {
  facet: LogFacet;
  one: FacetValue;
  /** Tab goes to the first of each facet, arrows to the others. */
  isFirst: boolean;
  isChosen: boolean;
  onChoose: OnChoose;
}

function Value({ facet, one, isFirst, isChosen, onChoose }: ValueProps) {
  const text = facets.valueText(one);
  const problem = facets.unsearchable(facet, one);
  const share = facets.share(one.records, facet.records);
  const counted = `${count(one.records)} of ${count(facet.records)} lines with this key, ${share}`;
  const hint = problem ?? (isChosen ? 'Click to no longer ask for it' : 'Click: only this. Alt or Shift: without it');
  return (
    <li class={isChosen ? 'chosen' : ''}>
      <button
        type="button"
        class="facet-value"
        tabIndex={isFirst ? 0 : -1}
        aria-pressed={isChosen}
        aria-disabled={problem !== null}
        title={`${text}\n${counted}\n${hint}`}
        data-testid="facet-value"
        onClick={(event) => problem === null && onChoose(facet, text, event.altKey || event.shiftKey)}
      >
        <span class="facet-bar" style={{ '--part': facets.part(one, facet) }} />
        {isChosen && <Icon name="check" />}
        <span class={`facet-text mono ${typeof one.value === 'string' ? '' : 'typed'}`}>
          {text === '' ? <em class="muted">(empty)</em> : facets.cut(text)}
        </span>
        <span class="facet-count">{count(one.records)}</span>
      </button>
      {problem === null && (
        <button
          type="button"
          class="button quiet small facet-without"
          tabIndex={-1}
          aria-label={`Without ${facets.cut(facet.key)} = ${facets.cut(text)}`}
          title="Without this value"
          onClick={() => onChoose(facet, text, true)}
        >
          <Icon name="minus" />
        </button>
      )}
    </li>
  );
}
