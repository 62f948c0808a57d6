// What the facet panel says about an answer: shares, which keys are shown, what was looked at. Pure.
import type { FacetsAnswer, FacetValue, LogFacet } from '../api/types';
import { count, plural } from '../time/format';
import { hasTerm, isFieldName, withoutTerm, withTerm } from './query';

/** With more facets than this, a field to filter their keys. */
export const FILTER_FROM = 12;
/** What is put into the page of a key or a value; the title has all of it. */
const TEXT_CHARS = 160;
/** Names the search language has for fields of the record: an attribute that is called so cannot be asked for. */
const FIELDS = new Set(
  'service service_name severity level event event_name event.name scope scope_name'
    .concat(' correlation_id trace_id span_id body message')
    .split(' '),
);

export interface Filters {
  query: string;
  service: string;
  severity: string;
}

export const isOpen = (params: URLSearchParams): boolean => params.get('facets') === '1';
export const openPatch = (open: boolean) => ({ facets: open ? '1' : null });

/** `43 %`; neither a few nor nearly all read as none or all. */
export function share(part: number, whole: number): string {
  if (whole <= 0 || part <= 0) return '0 %';
  if (part >= whole) return '100 %';
  const rounded = Math.round((100 * part) / whole);
  return rounded < 1 ? '< 1 %' : rounded > 99 ? '> 99 %' : `${rounded} %`;
}

/** Of the lines with the key, the part with this value: from 0 to 1. */
export const part = (one: FacetValue, facet: LogFacet): number =>
  Math.min(1, one.records / Math.max(1, facet.records));

export const valueText = ({ value, text }: FacetValue): string => text ?? String(value);

export function cut(text: string): string {
  return text.length > TEXT_CHARS ? `${text.slice(0, TEXT_CHARS)}…` : text;
}

/** Why a value of this facet cannot be searched for; null when it can. */
export function unsearchable(facet: LogFacet, one?: FacetValue): string | null {
  if (!isFieldName(facet.key)) return 'The search language cannot write this key.';
  if (facet.attribute && FIELDS.has(facet.key)) return `In a search, ${facet.key}: means the field of that name.`;
  // The digits of larger numbers were lost when the answer was read.
  if (typeof one?.value === 'number' && Math.abs(one.value) > Number.MAX_SAFE_INTEGER)
    return 'This number is too large to be searched for exactly.';
  return null;
}

/** The facets whose key contains `text`, whatever the case. */
export function keysWith(facets: LogFacet[], text: string): LogFacet[] {
  const wanted = text.trim().toLowerCase();
  return wanted ? facets.filter((facet) => facet.key.toLowerCase().includes(wanted)) : facets;
}

/** How many values the answer leaves out. */
export function unlisted(facet: LogFacet): string | null {
  const more = facet.distinct - facet.values.length;
  return more > 0 ? `and ${plural(more, 'more value')}` : null;
}

/** `matched`: what the search itself counted, when it did. */
export function lookedAt(answer: FacetsAnswer, matched: number | null): string {
  if (answer.complete)
    return answer.receipt?.complete === false
      ? `${plural(answer.records, 'matching line')} found; there may be more`
      : `All ${plural(answer.records, 'matching line')}`;
  const newest = `Looked at the newest ${count(answer.records)}`;
  return matched !== null && matched > answer.records
    ? `${newest} of ${plural(matched, 'match', 'matches')}`
    : `${newest} matches; there are more`;
}

/** Whether the search already asks for this value: in its text, or with the filter beside it. */
export function isChosen(filters: Filters, facet: LogFacet, text: string): boolean {
  return filterOf(filters, facet) === text || hasTerm(filters.query, facet.key, text);
}

/** The change of the address that asks for a value, leaves it out, or no longer asks for it. */
export function choose(filters: Filters, facet: LogFacet, text: string, exclude: boolean): Record<string, string> {
  const drops = !exclude && isChosen(filters, facet, text);
  const query = drops
    ? withoutTerm(filters.query, facet.key, text)
    : withTerm(filters.query, facet.key, text, exclude);
  return filterOf(filters, facet) === text ? { query, [facet.key]: '' } : { query };
}

function filterOf(filters: Filters, facet: LogFacet): string | null {
  if (facet.attribute || (facet.key !== 'service' && facet.key !== 'severity')) return null;
  return filters[facet.key] || null;
}
