import { describe, expect, it } from 'vitest';
import { readSpans, SpansReader } from './spans';

const bytes = (text: string) => new TextEncoder().encode(text);

/** Reads `text` in pieces of `size` bytes. */
function read(text: string, size = 1 << 20) {
  const reader = new SpansReader();
  const all = bytes(text);
  for (let at = 0; at < all.length; at += size) reader.push(all.subarray(at, at + size));
  return reader.finish<Record<string, unknown>>();
}

const SPAN = {
  span_id: 'a1',
  parent_span_id: null,
  service_name: 'kasse "süd"\\',
  name: 'POST /orders ☃',
  status: 'error',
  start_time_unix_nano: '1795248000000000001',
  duration_ns: 1500,
  clock_offset_ns: -7,
  self_time_ns: 0,
  critical_path_ns: 400,
  attributes: { name: 'not the name', nested: [{ span_id: 'x' }, '}]"\\'], start_time_unix_nano: '9' },
  events: [{ name: 'retry', time_unix_nano: '1', attributes: {} }],
};
const ANSWER = {
  trace: { trace_id: 't' },
  spans: [SPAN, { ...SPAN, span_id: 'b2', parent_span_id: 'a1', status: 'ok', events: [], duration_ns: 2.5e3 }],
  logs: [{ body: 'spans: [{' }],
  receipt: { complete: true },
};

describe('SpansReader', () => {
  it('makes columns of the spans and leaves the rest as it is', () => {
    const { spans, ...rest } = read(JSON.stringify(ANSWER));
    expect(rest).toEqual({ trace: ANSWER.trace, logs: ANSWER.logs, receipt: ANSWER.receipt });
    expect(spans.length).toBe(2);
    expect([spans.spanId(1), spans.serviceName(1), spans.spanName(1)]).toEqual(['b2', SPAN.service_name, SPAN.name]);
    expect(spans.parent).toEqual([-1, spans.id[0]]);
    expect(spans.service[0]).toBe(spans.service[1]);
    expect([spans.seconds[0], spans.nanos[0], spans.durationNs]).toEqual([1_795_248_000, 1, [1500, 2500]]);
    expect([spans.offsetNs[0], spans.selfNs[0], spans.criticalNs[0]]).toEqual([-7, 0, 400]);
    expect(spans.hasEvents).toEqual([true, false]);
    expect([spans.get(0), spans.get(1)]).toEqual(ANSWER.spans);
    expect([spans.texts.find('ok') >= 0, spans.texts.find('unset')]).toEqual([true, -1]);
  });
  it('reads the same however the bytes are cut, compact or spaced', () => {
    for (const text of [JSON.stringify(ANSWER), JSON.stringify(ANSWER, null, 2)])
      for (let size = 1; size < 200; size += 1) {
        const { spans, receipt } = read(text, size);
        expect([spans.length, spans.get(1), spans.spanName(0), receipt]).toEqual([
          2,
          ANSWER.spans[1],
          SPAN.name,
          ANSWER.receipt,
        ]);
      }
  });
  it('says so when the answer is cut, wherever', () => {
    const text = JSON.stringify(ANSWER);
    for (let length = 0; length < bytes(text).length; length += 1) {
      const reader = new SpansReader();
      reader.push(bytes(text).subarray(0, length));
      expect(() => reader.finish(), `cut after ${length} bytes`).toThrow(SyntaxError);
    }
  });
  it('refuses what is not such an answer', () => {
    for (const text of ['<html>', '[1]', '{"spans":[1]}', '{"spans":[{"name"}]}', '{"a":}', '{"a" 1}', '{1:2}', '"a"'])
      expect(() => read(text), text).toThrow(SyntaxError);
  });
  it('has no spans where the answer has none', () => {
    for (const text of ['{}', '{"spans":[]}', '{"spans":null,"logs":[]}', ' { "spans" : [ ] } '])
      expect(read(text).spans.length, text).toBe(0);
  });
  it('numbers many texts, each once', () => {
    const many = Array.from({ length: 5000 }, (_, index) => ({ span_id: `s${index}`, name: `n${index % 10}` }));
    const { spans } = read(JSON.stringify({ spans: many }), 1000);
    expect(new Set(spans.id).size).toBe(5000);
    expect(new Set(spans.name).size).toBe(10);
    expect(many.every((span, index) => spans.texts.find(span.span_id) === spans.id[index])).toBe(true);
  });
});

it('readSpans takes the body of a response, and complains of an empty one', async () => {
  const answer = await readSpans<{ receipt: object }>(new Response(JSON.stringify(ANSWER)));
  expect([answer.spans.length, answer.receipt]).toEqual([2, ANSWER.receipt]);
  await expect(readSpans(new Response(null))).rejects.toThrow(SyntaxError);
});
