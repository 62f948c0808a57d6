// Small edits of the Lucene-like query text, and the words to highlight. Parsing proper is the server's. Pure.

const PLAIN = /^[\w.@/-]+$/;

/** `field:value`, quoted where needed. */
export function term(field: string, value: string): string {
  return `${field}:${PLAIN.test(value) ? value : `"${value.replace(/["\\]/g, '\\$&')}"`}`;
}

/** `query` with a term added once. */
export function withTerm(query: string, field: string, value: string, exclude: boolean): string {
  const piece = `${exclude ? '-' : ''}${term(field, value)}`;
  const text = query.trim();
  return text.includes(piece) ? text : text ? `${text} ${piece}` : piece;
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
