// Runs after `vite build`: writes .br and .gz beside every text file of dist, prints the sizes, and fails when the
// first route (entry, its static imports, their CSS and the default page) is over its budget.
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const FIRST_ROUTE_BUDGET_BYTES = 80 * 1024;
const TOTAL_BUDGET_BYTES = 600 * 1024;
const DEFAULT_PAGE = 'src/slos/SlosPage.tsx';
const TEXT = /\.(html|js|css|svg|json|txt)$/;

const dist = fileURLToPath(new URL('../dist', import.meta.url));

function files(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : [path];
  });
}

function compress(path) {
  const bytes = readFileSync(path);
  const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
  const gzip = gzipSync(bytes, { level: 9 });
  writeFileSync(`${path}.br`, brotli);
  writeFileSync(`${path}.gz`, gzip);
  return { raw: bytes.length, gzip: gzip.length, brotli: brotli.length };
}

/** The files a browser fetches before the default page is drawn. */
function firstRoute(manifest) {
  const wanted = new Set(['index.html']);
  const visit = (key) => {
    const chunk = manifest[key];
    if (!chunk || wanted.has(chunk.file)) return;
    wanted.add(chunk.file);
    for (const css of chunk.css ?? []) wanted.add(css);
    for (const next of chunk.imports ?? []) visit(next);
  };
  visit('index.html');
  visit(DEFAULT_PAGE);
  return wanted;
}

const manifest = JSON.parse(readFileSync(join(dist, 'manifest.json'), 'utf8'));
// Only this script reads the manifest; it is not part of the app.
rmSync(join(dist, 'manifest.json'));
const first = firstRoute(manifest);
const kb = (bytes) => `${(bytes / 1024).toFixed(1)} KB`.padStart(10);
let firstBrotli = 0;
let totalBrotli = 0;
console.log(`${'file'.padEnd(44)}${'raw'.padStart(10)}${'gzip'.padStart(10)}${'brotli'.padStart(10)}`);
for (const path of files(dist)
  .filter((path) => TEXT.test(path))
  .sort()) {
  const name = relative(dist, path);
  const size = compress(path);
  totalBrotli += size.brotli;
  if (first.has(name)) firstBrotli += size.brotli;
  console.log(`${(first.has(name) ? '* ' : '  ') + name.padEnd(42)}${kb(size.raw)}${kb(size.gzip)}${kb(size.brotli)}`);
}
console.log(`first route (*): ${kb(firstBrotli).trim()} brotli, budget ${kb(FIRST_ROUTE_BUDGET_BYTES).trim()}`);
console.log(`everything:      ${kb(totalBrotli).trim()} brotli, budget ${kb(TOTAL_BUDGET_BYTES).trim()}`);
if (firstBrotli > FIRST_ROUTE_BUDGET_BYTES || totalBrotli > TOTAL_BUDGET_BYTES) {
  console.error('over budget: lazy-load or drop something');
  process.exit(1);
}
