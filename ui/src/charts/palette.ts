// Colours for canvas and for categories. Services keep their colour across pages: a hash picks the token.

const CATEGORIES = 10;

/** The token (`--c3`) of a category by position. */
export function categoryToken(index: number): string {
  return `--c${index % CATEGORIES}`;
}

const given = new Map<string, number>();

/**
 * The token of a service name, the same on every page: its hash picks, and where another service was there first the
 * next free one is taken, so that up to ten services never share a colour.
 */
export function serviceColor(name: string): string {
  let slot = given.get(name);
  if (slot === undefined) {
    const taken = new Set(given.values());
    const wanted = hashOf(name) % CATEGORIES;
    slot = wanted;
    for (let step = 0; step < CATEGORIES && taken.has(slot); step += 1) slot = (wanted + step) % CATEGORIES;
    given.set(name, slot);
  }
  return categoryToken(slot);
}

function hashOf(name: string): number {
  let hash = 2_166_136_261;
  for (let index = 0; index < name.length; index += 1) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 16_777_619);
  }
  hash = Math.imul(hash ^ (hash >>> 15), 2_246_822_519);
  return (hash ^ (hash >>> 13)) >>> 0;
}

let cache = new Map<string, string>();
let cachedFor = '';

/** What canvas needs: a token resolved to a plain colour for the scheme in force. */
export function resolveToken(token: string): string {
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const scheme = `${document.documentElement.dataset.theme ?? 'auto'}${dark}`;
  if (scheme !== cachedFor) {
    cache = new Map();
    cachedFor = scheme;
  }
  let color = cache.get(token);
  if (color === undefined) {
    const probe = document.createElement('span');
    probe.style.color = `var(${token})`;
    document.body.append(probe);
    color = getComputedStyle(probe).color;
    probe.remove();
    cache.set(token, color);
  }
  return color;
}

/** The canvas font at `px`, the same family as the page. */
export function canvasFont(px: number, weight = 400): string {
  return `${weight} ${px}px ${getComputedStyle(document.body).fontFamily}`;
}
