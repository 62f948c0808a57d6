// Texts by number: equal texts share one, and stay bytes until somebody reads them. What 100,000 spans repeat (names,
// services, the ids of parents) costs one number each.
//
// Texts are compared as they stand in the JSON, so two ways to escape the same text count as two.

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const FIRST_SLOTS = 1024;

export class Texts {
  /** Where each text stands, without its quotes. */
  private readonly block: Uint8Array[] = [];
  private readonly from: number[] = [];
  private readonly to: number[] = [];
  private readonly hashes: number[] = [];
  /** Open addressing: text number + 1, or 0. At most half full. */
  private slots = new Int32Array(FIRST_SLOTS);
  private readonly decoded = new Map<number, string>();

  get size(): number {
    return this.from.length;
  }

  /** The number of the text in `from..to` of `bytes`, which must not change from now on. */
  number(bytes: Uint8Array, from: number, to: number): number {
    const hash = hashOf(bytes, from, to);
    const slot = this.slotOf(bytes, from, to, hash);
    if (this.slots[slot] > 0) return this.slots[slot] - 1;
    this.block.push(bytes);
    this.from.push(from);
    this.to.push(to);
    this.hashes.push(hash);
    this.slots[slot] = this.size;
    if (this.size * 2 > this.slots.length) this.grow();
    return this.size - 1;
  }

  /** The number of `text`, or -1 when it was never seen. */
  find(text: string): number {
    const wanted = new TextEncoder().encode(JSON.stringify(text));
    const hash = hashOf(wanted, 1, wanted.length - 1);
    return this.slots[this.slotOf(wanted, 1, wanted.length - 1, hash)] - 1;
  }

  text(number: number): string {
    let known = this.decoded.get(number);
    if (known === undefined) {
      const bytes = this.block[number].subarray(this.from[number], this.to[number]);
      known = JSON.parse(`"${new TextDecoder().decode(bytes)}"`) as string;
      this.decoded.set(number, known);
    }
    return known;
  }

  private slotOf(bytes: Uint8Array, from: number, to: number, hash: number): number {
    const mask = this.slots.length - 1;
    let slot = hash & mask;
    while (this.slots[slot] > 0 && !this.equals(this.slots[slot] - 1, bytes, from, to, hash)) slot = (slot + 1) & mask;
    return slot;
  }

  private equals(number: number, bytes: Uint8Array, from: number, to: number, hash: number): boolean {
    const start = this.from[number];
    if (this.hashes[number] !== hash || this.to[number] - start !== to - from) return false;
    const known = this.block[number];
    for (let at = 0; at < to - from; at += 1) if (known[start + at] !== bytes[from + at]) return false;
    return true;
  }

  private grow(): void {
    this.slots = new Int32Array(this.slots.length * 2);
    const mask = this.slots.length - 1;
    for (let number = 0; number < this.size; number += 1) {
      let slot = this.hashes[number] & mask;
      while (this.slots[slot] > 0) slot = (slot + 1) & mask;
      this.slots[slot] = number + 1;
    }
  }
}

function hashOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = FNV_OFFSET;
  for (let at = from; at < to; at += 1) hash = Math.imul(hash ^ bytes[at], FNV_PRIME);
  return hash ^ (hash >>> 15);
}
