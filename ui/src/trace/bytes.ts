// Steps over JSON as bytes, without building anything. Every step answers where the value ends, or MORE when the bytes
// end first, so that a reader can go on as they arrive. It follows the structure only: whoever reads a value in full
// parses its slice.

export const MORE = -1;
export const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
export const OPEN_LIST = 0x5b;
export const CLOSE_LIST = 0x5d;
export const OPEN_OBJECT = 0x7b;
export const CLOSE_OBJECT = 0x7d;
const COLON = 0x3a;
/** `[` and `{` are one bit apart, and so are `]` and `}`. */
const FOLD = 0x20;

/** Over white space and commas. */
export function skipGap(bytes: Uint8Array, at: number, end: number): number {
  let next = at;
  while (next < end && (bytes[next] <= 0x20 || bytes[next] === COMMA)) next += 1;
  return next;
}

/** After the string that opens at `at`. */
export function skipString(bytes: Uint8Array, at: number, end: number): number {
  for (let next = at + 1; next < end; next += 1) {
    const byte = bytes[next];
    if (byte === QUOTE) return next + 1;
    if (byte === BACKSLASH) next += 1;
  }
  return MORE;
}

/** After the value that starts at `at`. */
export function skipValue(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at];
  if (first === QUOTE) return skipString(bytes, at, end);
  if ((first | FOLD) === OPEN_OBJECT) return skipNested(bytes, at, end);
  for (let next = at; next < end; next += 1) {
    const byte = bytes[next];
    if (byte > 0x20 && byte !== COMMA && (byte | FOLD) !== CLOSE_OBJECT) continue;
    if (next === at) throw new SyntaxError('a value is missing');
    return next;
  }
  return MORE;
}

function skipNested(bytes: Uint8Array, at: number, end: number): number {
  let depth = 0;
  for (let next = at; next < end; next += 1) {
    const byte = bytes[next];
    if (byte === QUOTE) {
      next = skipString(bytes, next, end) - 1;
      if (next < 0) return MORE;
    } else if ((byte | FOLD) === OPEN_OBJECT) depth += 1;
    else if ((byte | FOLD) === CLOSE_OBJECT) {
      depth -= 1;
      if (depth === 0) return next + 1;
    }
  }
  return MORE;
}

/** From the end of a key to the start of its value. */
export function toValue(bytes: Uint8Array, at: number, end: number): number {
  let next = at;
  while (next < end && bytes[next] <= 0x20) next += 1;
  if (next === end) return MORE;
  if (bytes[next] !== COLON) throw new SyntaxError('expected a colon');
  next += 1;
  while (next < end && bytes[next] <= 0x20) next += 1;
  return next === end ? MORE : next;
}
