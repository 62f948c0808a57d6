// The spans of a trace as columns, read from the answer while it arrives. 100,000 spans are 70 MB of JSON, mostly
// attributes that nobody looks at: as objects they cost a second and a long pause of the collector of garbage. Here a
// span is its place in the bytes and a few numbers; it is parsed in full when a reader opens it.
//
// Invariants: a span is in the columns exactly once its last byte has arrived; the rest of the answer (trace, logs,
// receipt) is parsed as it is.
import type { Span } from '../api/types';
import {
  CLOSE_LIST,
  CLOSE_OBJECT,
  MORE,
  OPEN_LIST,
  OPEN_OBJECT,
  QUOTE,
  skipGap,
  skipString,
  skipValue,
  toValue,
} from './bytes';
import { Texts } from './texts';

/** No text: null, absent or empty. */
export const NO_TEXT = -1;
const MOST_PARSED = 256;

export class Spans {
  readonly texts = new Texts();
  /** Numbers of texts, or NO_TEXT. */
  readonly id: number[] = [];
  readonly parent: number[] = [];
  readonly service: number[] = [];
  readonly name: number[] = [];
  readonly status: number[] = [];
  /** Start since 1970: seconds, and nanoseconds within the second. Apart, they keep every digit. */
  readonly seconds: number[] = [];
  readonly nanos: number[] = [];
  readonly durationNs: number[] = [];
  /** What is added to the times of the span where its clock is off; 0 without a correction. */
  readonly offsetNs: number[] = [];
  readonly selfNs: number[] = [];
  /** Its own part of the critical path. */
  readonly criticalNs: number[] = [];
  readonly hasEvents: boolean[] = [];
  /** Where the span stands: in this block of bytes, from here to there. */
  readonly block: Uint8Array[] = [];
  readonly from: number[] = [];
  readonly to: number[] = [];
  private readonly parsed = new Map<number, Span>();

  get length(): number {
    return this.from.length;
  }

  /** One span in full. */
  get(index: number): Span {
    let span = this.parsed.get(index);
    if (!span) {
      span = parse(this.block[index], this.from[index], this.to[index]) as Span;
      if (this.parsed.size >= MOST_PARSED) this.parsed.clear();
      this.parsed.set(index, span);
    }
    return span;
  }

  spanId(index: number): string {
    return this.textOf(this.id[index]);
  }

  serviceName(index: number): string {
    return this.textOf(this.service[index]);
  }

  spanName(index: number): string {
    return this.textOf(this.name[index]);
  }

  private textOf(number: number): string {
    return number === NO_TEXT ? '' : this.texts.text(number);
  }
}

const parse = (bytes: Uint8Array, from: number, to: number): unknown =>
  JSON.parse(new TextDecoder().decode(bytes.subarray(from, to)));

function joined(pieces: Uint8Array[], length: number): Uint8Array {
  if (pieces.length === 1) return pieces[0];
  const all = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** Takes the bytes of an object with a list `spans`, piece by piece. */
export class SpansReader {
  private readonly spans = new Spans();
  private readonly rest: Record<string, unknown> = {};
  private within: 'start' | 'object' | 'spans' | 'end' = 'start';
  /** What is not read yet: a value that is not all here, and the pieces after it. */
  private readonly waiting: Uint8Array[] = [];
  private waitingBytes = 0;
  /** Such a value is not looked at again before it is half as long again. */
  private waitFor = 1;
  // The span being read.
  private readonly row = new Int32Array(5);
  private startSeconds = 0;
  private startNanos = 0;
  private readonly numbers = new Float64Array(NUMBERS);
  private events = false;

  /** Takes the next piece, which must not change from now on. */
  push(piece: Uint8Array): void {
    this.waiting.push(piece);
    this.waitingBytes += piece.length;
    if (this.waitingBytes >= this.waitFor) this.advance();
  }

  /** The answer; throws a SyntaxError when it is not all there. */
  finish<T extends object>(): T & { spans: Spans } {
    this.advance();
    if (this.within !== 'end') throw new SyntaxError('the answer breaks off');
    return { ...(this.rest as T), spans: this.spans };
  }

  private advance(): void {
    const bytes = joined(this.waiting, this.waitingBytes);
    let at = 0;
    for (let next = 0; next !== MORE; next = this.step(bytes, at)) at = next;
    const rest = bytes.subarray(at);
    this.waiting.splice(0, this.waiting.length, rest);
    this.waitingBytes = rest.length;
    this.waitFor = rest.length * 1.5 + 1;
  }

  /** Reads one value from `from` on; answers where the next one starts. */
  private step(bytes: Uint8Array, from: number): number {
    const at = skipGap(bytes, from, bytes.length);
    if (this.within === 'end' || at === bytes.length) return MORE;
    if (this.within === 'start') {
      if (bytes[at] !== OPEN_OBJECT) throw new SyntaxError('expected an object');
      this.within = 'object';
      return at + 1;
    }
    if (this.within === 'spans') {
      if (bytes[at] === OPEN_OBJECT) return this.span(bytes, at);
      if (bytes[at] !== CLOSE_LIST) throw new SyntaxError('expected a span');
      this.within = 'object';
      return at + 1;
    }
    if (bytes[at] !== CLOSE_OBJECT) return this.member(bytes, at);
    this.within = 'end';
    return at + 1;
  }

  private member(bytes: Uint8Array, at: number): number {
    if (bytes[at] !== QUOTE) throw new SyntaxError('expected a name');
    const afterKey = skipString(bytes, at, bytes.length);
    const value = afterKey === MORE ? MORE : toValue(bytes, afterKey, bytes.length);
    if (value === MORE) return MORE;
    const key = parse(bytes, at, afterKey) as string;
    if (key === 'spans' && bytes[value] === OPEN_LIST) {
      this.within = 'spans';
      return value + 1;
    }
    const end = skipValue(bytes, value, bytes.length);
    if (end !== MORE && key !== 'spans') this.rest[key] = parse(bytes, value, end);
    return end;
  }

  private span(bytes: Uint8Array, from: number): number {
    this.row.fill(NO_TEXT);
    this.numbers.fill(0);
    this.startSeconds = this.startNanos = 0;
    this.events = false;
    let at = from + 1;
    for (;;) {
      at = skipGap(bytes, at, bytes.length);
      if (at === bytes.length) return MORE;
      if (bytes[at] === CLOSE_OBJECT) break;
      if (bytes[at] !== QUOTE) throw new SyntaxError('expected a name');
      const afterKey = skipString(bytes, at, bytes.length);
      const value = afterKey === MORE ? MORE : toValue(bytes, afterKey, bytes.length);
      const end = value === MORE ? MORE : skipValue(bytes, value, bytes.length);
      if (end === MORE) return MORE;
      this.field(bytes, at + 1, afterKey - 1, value, end);
      at = end;
    }
    this.keep(bytes, from, at + 1);
    return at + 1;
  }

  private keep(bytes: Uint8Array, from: number, to: number): void {
    const { spans, row, numbers } = this;
    spans.id.push(row[0]);
    spans.parent.push(row[1]);
    spans.service.push(row[2]);
    spans.name.push(row[3]);
    spans.status.push(row[4]);
    spans.seconds.push(this.startSeconds);
    spans.nanos.push(this.startNanos);
    spans.durationNs.push(numbers[0]);
    spans.offsetNs.push(numbers[1]);
    spans.selfNs.push(numbers[2]);
    spans.criticalNs.push(numbers[3]);
    spans.hasEvents.push(this.events);
    spans.block.push(bytes);
    spans.from.push(from);
    spans.to.push(to);
  }

  private field(bytes: Uint8Array, keyFrom: number, keyTo: number, value: number, end: number): void {
    const field = fieldAt(bytes, keyFrom, keyTo);
    if (field < 0) return;
    if (field < this.row.length) {
      const isText = bytes[value] === QUOTE && end - value > 2;
      this.row[field] = isText ? this.spans.texts.number(bytes, value + 1, end - 1) : NO_TEXT;
    } else if (field === START) this.start(bytes, bytes[value] === QUOTE ? value + 1 : value, end);
    else if (field < EVENTS) this.numbers[field - START - 1] = numberAt(bytes, value, end);
    else this.events = bytes[value] === OPEN_LIST && bytes[skipGap(bytes, value + 1, end)] !== CLOSE_LIST;
  }

  /** Zero where it is not a number. */
  private start(bytes: Uint8Array, from: number, end: number): void {
    const to = bytes[end - 1] === QUOTE ? end - 1 : end;
    const middle = Math.max(from, to - 9);
    this.startSeconds = digits(bytes, from, middle) || 0;
    this.startNanos = digits(bytes, middle, to) || 0;
  }
}

/** Zero where it is not a number. */
function numberAt(bytes: Uint8Array, from: number, end: number): number {
  const whole = digits(bytes, from, end);
  return Number.isNaN(whole) ? Number(parse(bytes, from, end)) || 0 : whole;
}

/** NaN for anything but digits. */
function digits(bytes: Uint8Array, from: number, to: number): number {
  let sum = 0;
  for (let at = from; at < to; at += 1) {
    const digit = bytes[at] - 0x30;
    if (digit < 0 || digit > 9) return NaN;
    sum = sum * 10 + digit;
  }
  return sum;
}

/** Names of the fields that become columns: texts in the order of `row`, the start, then those of `numbers`. */
const FIELDS = [
  'span_id',
  'parent_span_id',
  'service_name',
  'name',
  'status',
  'start_time_unix_nano',
  'duration_ns',
  'clock_offset_ns',
  'self_time_ns',
  'critical_path_ns',
  'events',
].map((name) => new TextEncoder().encode(name));
const START = 5;
const EVENTS = 10;
const NUMBERS = EVENTS - START - 1;

/** Which of FIELDS stands in `from..to`, or -1. */
function fieldAt(bytes: Uint8Array, from: number, to: number): number {
  for (let field = 0; field < FIELDS.length; field += 1) {
    const name = FIELDS[field];
    if (name.length !== to - from) continue;
    let at = 0;
    while (at < name.length && bytes[from + at] === name[at]) at += 1;
    if (at === name.length) return field;
  }
  return -1;
}

/** Reads the body of an answer that holds a list `spans`. */
export async function readSpans<T extends object>(response: Response): Promise<T & { spans: Spans }> {
  const reader = new SpansReader();
  const body = response.body?.getReader();
  for (let piece = await body?.read(); piece && !piece.done; piece = await body?.read()) reader.push(piece.value);
  return reader.finish<T>();
}
