import { describe, expect, it } from 'vitest';
import type { FacetsAnswer, LogFacet } from '../api/types';
import { patched } from '../app/router';
import { choose, cut, isChosen, isOpen, keysWith, lookedAt, openPatch, share, unlisted, unsearchable } from './facets';
import { hasTerm, term, withoutTerm, withTerm } from './query';

const facet = (key: string, more: Partial<LogFacet> = {}): LogFacet => ({
  key,
  attribute: true,
  records: 10,
  distinct: 1,
  values: [{ value: 'a', records: 10 }],
  ...more,
});
const SERVICE = facet('service', { attribute: false });
const none = { query: '', service: '', severity: '' };

it('shares do not lie by rounding', () => {
  expect([share(1, 3), share(1, 1e6), share(999_999, 1e6), share(0, 5), share(0, 0), share(5, 5)]).toEqual([
    '33 %',
    '< 1 %',
    '> 99 %',
    '0 %',
    '0 %',
    '100 %',
  ]);
});

it('open or closed is in the address, beside the search', () => {
  const search = new URLSearchParams('query=a&range=1h');
  expect(isOpen(search)).toBe(false);
  const open = patched(search, openPatch(true));
  expect(open.toString()).toBe('query=a&range=1h&facets=1');
  expect(isOpen(open)).toBe(true);
  expect(patched(open, openPatch(false)).toString()).toBe('query=a&range=1h');
});

describe('what was looked at is said', () => {
  const check = (name: string, records: number, complete: boolean, matched: number | null, text: string) =>
    it(name, () => expect(lookedAt({ records, complete } as FacetsAnswer, matched)).toBe(text));
  check('all', 1200, true, 1200, 'All 1,200 matching lines');
  it('all of what could be read', () => {
    const answer = { records: 7, complete: true, receipt: { complete: false } } as FacetsAnswer;
    expect(lookedAt(answer, 7)).toBe('7 matching lines found; there may be more');
  });
  check('one', 1, true, null, 'All 1 matching line');
  check('a part', 10_000, false, 53_012, 'Looked at the newest 10,000 of 53,012 matches');
  check('a part of nobody knows how many', 10_000, false, null, 'Looked at the newest 10,000 matches; there are more');
  check('a count older than the facets', 10_000, false, 9_990, 'Looked at the newest 10,000 matches; there are more');
});

it('values and keys beyond what is shown', () => {
  expect(unlisted(facet('a', { distinct: 12 }))).toBe('and 11 more values');
  expect(unlisted(facet('a', { distinct: 2 }))).toBe('and 1 more value');
  expect(unlisted(facet('a'))).toBeNull();
  expect(keysWith([facet('http.route'), facet('HTTP.method'), SERVICE], ' http').map((one) => one.key)).toEqual([
    'http.route',
    'HTTP.method',
  ]);
  expect(keysWith([SERVICE], '  ')).toEqual([SERVICE]);
  expect(cut('x'.repeat(9999))).toHaveLength(161);
});

describe('what the search language cannot ask for is not offered', () => {
  const check = (key: string, attribute: boolean, is: boolean) =>
    it(`${key} ${attribute}`, () => expect(unsearchable(facet(key, { attribute })) === null).toBe(is));
  check('service', false, true);
  check('service', true, false);
  check('level', true, false);
  check('message', true, false);
  check('http.route', true, true);
  check('größe/x@y-z', true, true);
  check('0day', true, false);
  check('a b', true, false);
  check('', true, false);
  check('<script>', true, false);
  it('large numbers', () => {
    expect(unsearchable(facet('id'), { value: 2 ** 53, records: 1 })).toMatch(/too large/);
    expect(unsearchable(facet('id'), { value: 2 ** 53 - 1, records: 1 })).toBeNull();
  });
});

describe('a value is', () => {
  it('asked for, and then no longer', () => {
    const after = choose(none, facet('http.route'), '/say "hi"', false);
    expect(after).toEqual({ query: 'http.route:"/say \\"hi\\""' });
    const filters = { ...none, ...after };
    expect(isChosen(filters, facet('http.route'), '/say "hi"')).toBe(true);
    expect(choose(filters, facet('http.route'), '/say "hi"', false)).toEqual({ query: '' });
  });
  it('left out', () => expect(choose(none, SERVICE, 'pay', true)).toEqual({ query: '-service:pay' }));
  it('left out instead of asked for', () => {
    expect(choose({ ...none, query: 'a service:pay' }, SERVICE, 'pay', true)).toEqual({ query: 'a -service:pay' });
    expect(choose({ ...none, service: 'pay' }, SERVICE, 'pay', true)).toEqual({ query: '-service:pay', service: '' });
  });
  it('chosen by the filter beside the search', () => {
    const filters = { ...none, query: 'a', service: 'pay' };
    expect(isChosen(filters, SERVICE, 'pay')).toBe(true);
    expect(isChosen(filters, facet('service'), 'pay')).toBe(false);
    expect(choose(filters, SERVICE, 'pay', false)).toEqual({ query: 'a', service: '' });
  });
});

describe('terms', () => {
  const add = (query: string, after: string) =>
    it(`added to ${query}`, () => expect(withTerm(query, 'service', 'pay', false)).toBe(after));
  add('', 'service:pay');
  add('service:payment', 'service:payment service:pay');
  add('-service:pay', 'service:pay');
  add('a -service:pay b', 'a b service:pay');
  add('"service:pay"', '"service:pay" service:pay');
  add('a OR b', '(a OR b) service:pay');
  add('(a OR b) c', '(a OR b) c service:pay');
  add('"a OR b"', '"a OR b" service:pay');
  add('service:pay OR b', '(service:pay OR b) service:pay');
  add('NOT service:pay', 'NOT service:pay service:pay');

  const drop = (query: string, after: string) =>
    it(`taken from ${query}`, () => {
      expect(withoutTerm(query, 'service', 'pay')).toBe(after);
      expect(hasTerm(query, 'service', 'pay')).toBe(after !== query);
    });
  drop('a service:pay b', 'a b');
  drop('a AND service:pay AND b', 'a AND b');
  drop('service:pay AND b', 'b');
  drop('a AND service:pay', 'a');
  drop('(x OR service:pay)', '(x OR service:pay)');
  drop('service:pay OR b', 'service:pay OR b');
  drop('service:payment', 'service:payment');

  it('quoted where the server would read something else', () => {
    expect([term('a', ''), term('a', '//x'), term('a', 'x*'), term('a', 'true'), term('a', '\\')]).toEqual([
      'a:""',
      'a:"//x"',
      'a:"x*"',
      'a:true',
      'a:"\\\\"',
    ]);
  });
});
