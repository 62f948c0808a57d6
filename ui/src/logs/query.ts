// Small edits of the Lucene-like query text, and the words to highlight. Parsing proper is the server's. Pure.

// `//` would make an address of `http://…`, not a field.
const PLAIN = /^(?!\/\/)[\w.@/-]+$/;
/** What the server takes for the name of a field: other keys cannot be written in a search. */
const FIELD = /^[\p{Alphabetic}_][\p{Alphabetic}\p{N}_.\-/@]*$/u;
const PIECE = /[()]|[-+]?(?:[^\s()":]+:)?"(?:[^"\\]|\\[^])*"|[^\s()"]+|"/g;

interface Piece {
  text: string;
  at: number;
}

/** `field:value`, quoted where needed. */
export function term(field: string, value: string): string {
  return `${field}:${PLAIN.test(value) ? value : `"${value.replace(/["\\]/g, '\\$&')}"`}`;
}

export const isFieldName = (key: string): boolean => FIELD.test(key);

/** `query` with a term added once, asked of all that `query` finds, in place of its opposite. */
export function withTerm(query: string, field: string, value: string, exclude: boolean): string {
  const only = term(field, value);
  const [piece, opposite] = exclude ? [`-${only}`, only] : [only, `-${only}`];
  const text = without(query, opposite);
  if (!text) return piece;
  if (placeOf(text, piece) >= 0) return text;
  // OR binds weaker than words side by side: the term would belong to the last alternative alone.
  return topLevel(text).some((one) => one.text === 'OR') ? `(${text}) ${piece}` : `${text} ${piece}`;
}

/** Whether every line found has to have `field:value`, as far as `query` says so on its own level. */
export function hasTerm(query: string, field: string, value: string): boolean {
  return placeOf(query, term(field, value)) >= 0;
}

/** `query` without a term that stands on its own level. */
export function withoutTerm(query: string, field: string, value: string): string {
  return without(query, term(field, value));
}

function without(query: string, wanted: string): string {
  const pieces = topLevel(query);
  const index = placeOf(query, wanted);
  if (index < 0) return query.trim();
  const { at, text } = pieces[index];
  const [before, after] = [pieces[index - 1], pieces[index + 1]];
  const from = before?.text === 'AND' ? before.at : at;
  const to = before?.text !== 'AND' && after?.text === 'AND' ? after.at + after.text.length : at + text.length;
  return `${query.slice(0, from).trimEnd()} ${query.slice(to).trimStart()}`.trim();
}

/** Which of the top-level pieces `wanted` is; -1 where it is one of several alternatives or negated. */
function placeOf(query: string, wanted: string): number {
  const pieces = topLevel(query);
  if (pieces.some((one) => one.text === 'OR')) return -1;
  return pieces.findIndex((one, index) => one.text === wanted && pieces[index - 1]?.text !== 'NOT');
}

/** The pieces outside of parentheses. */
function topLevel(query: string): Piece[] {
  const out: Piece[] = [];
  let depth = 0;
  for (const match of query.matchAll(PIECE)) {
    if (match[0] === '(') depth += 1;
    else if (match[0] === ')') depth -= 1;
    else if (depth === 0) out.push({ text: match[0], at: match.index });
  }
  return out;
}

/** The words and phrases a matching body contains: for highlighting, so a guess that errs on showing less. */
export function wordsOf(query: string): string[] {
  const words: string[] = [];
  for (const match of query.matchAll(/(-|NOT\s+)?(?:([\w.@/-]+):)?(?:"((?:[^"\\]|\\.)*)"|([^\s()"]+))/g)) {
    const [, negated, field, phrase, word] = match;
    if (negated || (field && field !== 'body')) continue;
    const text = (phrase?.replace(/\\(.)/g, '$1') ?? word ?? '').replace(/\*$/, '');
    if (text.length > 1 && !/^(AND|OR|NOT)$/.test(text) && !text.startsWith('-')) words.push(text);
  }
  return words;
}

/** `text` cut into pieces, every second one a match of one of `words` (case does not matter). */
export function highlight(text: string, words: readonly string[]): string[] {
  if (words.length === 0) return [text];
  const pattern = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|');
  return text.split(new RegExp(`(${pattern})`, 'gi'));
}
