// Walks through the web app of a running Daymark as the person on call would, and keeps a screenshot of every page.
//
// In: DAYMARK_URL, SCREENSHOTS (folder), SLOW_TRACE, SLOW_TRACE_LOGS, SLO, INCIDENT: what is known to be there.
// Fails on anything that is not as promised, and on any error the browser reports: scripts, requests, content policy.
import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const env = (name) => {
  const value = process.env[name];
  assert.ok(value, `${name} is not set`);
  return value;
};
const base = env('DAYMARK_URL');
const shots = env('SCREENSHOTS');
const slowTrace = env('SLOW_TRACE');
const slowTraceLogs = Number(env('SLOW_TRACE_LOGS'));
const slo = env('SLO');
const incident = env('INCIDENT');
// A machine that is busy with other tests is slow.
const PATIENCE_MS = 30_000;
const WINDOW = { width: 1440, height: 900 };
const TALLEST_PX = 2_400;

rmSync(shots, { recursive: true, force: true });
mkdirSync(shots, { recursive: true });

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
const context = await browser.newContext({
  viewport: WINDOW,
  colorScheme: 'light',
  reducedMotion: 'reduce',
  timezoneId: 'America/Los_Angeles',
});
context.setDefaultTimeout(PATIENCE_MS);
const page = await context.newPage();

const complaints = [];
page.on('console', (message) => {
  if (message.type() === 'error' || message.type() === 'warning') complaints.push(`console: ${message.text()}`);
});
page.on('pageerror', (error) => complaints.push(`script: ${error.stack ?? error}`));
page.on('response', (response) => {
  if (response.status() >= 400) complaints.push(`${response.status()} ${response.url()}`);
});
page.on('requestfailed', (request) => {
  // Leaving a page ends what it still asked for.
  const why = request.failure()?.errorText;
  if (why !== 'net::ERR_ABORTED') complaints.push(`${why} ${request.url()}`);
});
page.on('request', (request) => {
  if (!request.url().startsWith(base) && !request.url().startsWith('data:')) complaints.push(`outside: ${request.url()}`);
});

const id = (name) => page.getByTestId(name);
let step = 'start';
function say(text) {
  step = text;
  console.log(`browser: ${text}`);
}

/** Waits until the page has settled, and keeps what it looks like. */
async function shot(name) {
  await page.locator('.progress[data-active="false"]').waitFor({ state: 'attached' });
  await page.waitForTimeout(250);
  assert.equal(await id('failed').count(), 0, `${name}: a part of the page failed to load`);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `${name}: the page is ${overflow} px too wide`);
  // As tall as the page, so that what sticks to the window reaches its end.
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  await page.setViewportSize({ ...WINDOW, height: Math.min(Math.max(WINDOW.height, height), TALLEST_PX) });
  await page.waitForTimeout(250);
  await page.screenshot({ path: join(shots, `${name}.png`) });
  await page.setViewportSize(WINDOW);
}

async function see(locator, what) {
  await locator.first().waitFor({ state: 'visible' }).catch(() => assert.fail(`not to be seen: ${what}`));
}

async function slowTraceToItsLogs() {
  say('find the slow trace by its minimum duration');
  await page.goto(base);
  await id('nav-traces').click();
  await see(id('trace-row'), 'traces of the last hour');
  await shot('traces');
  await id('field-service').selectOption('frontend');
  await id('field-min-duration').fill('2s');
  await id('search-submit').click();
  await page.waitForFunction(() => document.querySelectorAll('[data-testid="trace-row"]').length === 1);
  assert.match(page.url(), /min/, 'the search is in the address');
  assert.equal(await id('trace-row').getAttribute('data-trace-id'), slowTrace);
  await see(id('receipt'), 'the receipt of the search');
  await shot('traces-slow');

  say('open it');
  await id('trace-row').click();
  await page.waitForURL(`**/traces/${slowTrace}**`);
  await see(id('span-row'), 'the waterfall');
  assert.equal(await id('span-row').count(), 3, 'frontend, checkout, payment');
  await shot('trace');
  await id('span-row').filter({ hasText: 'payment' }).first().click();
  await see(id('span-panel'), 'the details of a span');
  assert.match(await id('span-panel').innerText(), /http\.route[\s\S]*\/charge/, 'attributes of the span');
  await shot('trace-span');
  await correctedTimes();
  await id('trace-logs-tab').click();
  await see(id('log-row'), 'logs within the trace');
  await shot('trace-logs');

  say('go to its logs');
  await id('trace-logs-link').click();
  await page.waitForURL('**/logs?**');
  await see(id('log-row'), 'log lines of the trace');
  assert.equal(await id('log-row').count(), slowTraceLogs, 'all log lines of the trace, and no others');
  await see(page.getByText('the card network took 2600 ms'), 'the line that explains the wait');
  await shot('logs-of-trace');
  await id('log-trace-link').first().click();
  await page.waitForURL(`**/traces/${slowTrace}**`);
  await see(id('span-row'), 'the same trace, from its log line');
}

/** The payment's clock was 400 ms behind; its callers leave it 8 ms of room. */
async function correctedTimes() {
  say('its corrected and its original times');
  await see(page.getByText('Clock skew corrected'), 'the badge');
  await see(id('critical'), 'the critical path');
  assert.equal(await id('clock-offset').innerText(), '+398 ms');
  const facts = id('span-panel');
  assert.match(await facts.innerText(), /Starts after\s+8 ms/, 'drawn where its callers leave room');
  assert.match(await facts.innerText(), /Self time\s+2\.6 s/);
  const [corrected, sent] = [await id('start-corrected').innerText(), await id('start-original').innerText()];
  assert.ok(sent < corrected, `as sent ${sent}, corrected ${corrected}`);
  await page.keyboard.press('c');
  await page.waitForURL('**times=original**');
  await see(page.getByText('These are the times as sent'), 'that the times are the original ones');
  assert.equal(await id('times-original').getAttribute('aria-pressed'), 'true');
  assert.match(await facts.innerText(), /Starts after\s+0 ns/, 'drawn as sent');
  assert.match(await facts.innerText(), /starts before its parent/);
  await shot('trace-original-times');
  await id('times-corrected').click();
  assert.doesNotMatch(page.url(), /times=/);
}

async function logSearch() {
  say('search the logs');
  await page.goto(`${base}/logs`);
  await see(id('log-row'), 'logs of the last hour');
  await shot('logs');
  await id('log-query').fill('"card network" severity:error');
  await id('search-submit').click();
  await page.waitForFunction(() => {
    const rows = [...document.querySelectorAll('[data-testid="log-row"]')];
    return rows.length > 0 && rows.every((row) => row.textContent.includes('payment failed'));
  });
  await id('log-row').first().click();
  await see(page.locator('.log-detail'), 'the details of a line');
  await shot('logs-errors');
}

async function logFacets() {
  say('what the logs have in common');
  await page.goto(`${base}/logs`);
  await see(id('log-row'), 'logs of the last hour');
  assert.equal(await id('facets').count(), 0, 'closed unless asked for');
  await page.keyboard.press('f');
  const value = page.locator('[data-testid="facet"][data-key="service"] [data-testid="facet-value"]');
  const payment = value.filter({ hasText: 'payment' });
  await see(payment, 'the service payment');
  assert.match(await payment.innerText(), /^payment\s*[1-9][\d,]*$/, 'with the number of its lines');
  assert.match(await id('facets-basis').innerText(), /[1-9]/, 'how many lines were looked at');
  await shot('logs-facets');
  await payment.click();
  await page.waitForFunction(() => {
    const rows = [...document.querySelectorAll('[data-testid="log-row"] .log-service')];
    return rows.length > 0 && rows.every((row) => row.textContent === 'payment');
  });
  const address = new URL(page.url()).searchParams;
  assert.deepEqual([address.get('query'), address.get('facets')], ['service:payment', '1'], 'all of it in the address');
  await page.waitForFunction((other) => document.querySelectorAll(other).length === 1, '[data-key="service"] li');
  assert.equal(await payment.getAttribute('aria-pressed'), 'true');

  say('the other services');
  await payment.press('-');
  await page.waitForFunction(() => {
    const rows = [...document.querySelectorAll('[data-testid="log-row"] .log-service')];
    return rows.length > 0 && rows.every((row) => row.textContent !== 'payment');
  });
  await shot('logs-facets-without');
  await page.keyboard.press('f');
  await id('facets').waitFor({ state: 'detached' });
}

async function burningSloToItsPage() {
  say('see the burning SLO');
  await id('nav-slos').click();
  const row = page.locator(`[data-testid="slo-row"][data-slo="${slo}"]`);
  await see(row, `SLO ${slo}`);
  assert.equal(await id('slo-row').first().getAttribute('data-slo'), slo, 'the worst SLO comes first');
  await shot('slos');
  await row.click();
  await page.waitForURL(`**/slos/${slo}**`);
  await see(id('slo-verdict'), 'the verdict');
  assert.match(await id('slo-verdict').innerText(), /page-fast is firing/);
  assert.equal(await id('tier').count(), 4, 'the four default tiers');
  await see(page.locator('.uplot'), 'charts of budget and burn');
  await shot('slo');

  say('go to its page');
  await id('incident-row').first().click();
  await page.waitForURL(`**/incidents/${encodeURIComponent(incident)}**`);
  await see(id('timeline-step'), 'what happened');
  await see(id('notification-row'), 'who was told');
  assert.match(await id('notification-row').first().innerText(), /pager/);
  await shot('incident');
  await id('example-trace').first().click();
  await page.waitForURL('**/traces/**');
  await see(id('span-row'), 'an example trace of the incident');
  await see(page.getByText(/error/i), 'its error');
  await shot('incident-example-trace');
  await id('nav-incidents').click();
  await see(id('incident-row'), 'the list of incidents');
  assert.equal(await id('incident-row').first().getAttribute('data-state'), 'open');
  await shot('incidents');
}

async function metricsAndDashboards() {
  say('metrics, and from a point to its trace');
  await page.goto(`${base}/metrics`);
  await see(id('field-metric'), 'the metric picker');
  await id('field-metric').selectOption('traces.span.metrics.duration');
  await id('field-fn').selectOption('p99');
  await see(page.locator('.uplot'), 'a chart');
  await see(id('exemplar'), 'an exemplar');
  await shot('metrics');
  // Neighbours overlap; the last one is on top.
  await id('exemplar').last().click();
  await page.waitForURL('**/traces/**');
  await see(id('span-row'), 'the exemplar’s trace');

  say('dashboards');
  await id('nav-dashboards').click();
  await see(id('dashboard-link'), 'the list of dashboards');
  await shot('dashboards');
  await id('dashboard-link').first().click();
  await see(page.locator('[data-testid="panel"] .uplot'), 'drawn panels');
  await page.waitForFunction(() => {
    const panels = document.querySelectorAll('[data-testid="panel"]');
    return panels.length >= 6;
  });
  await shot('dashboard');
}

async function serviceGraph() {
  say('who calls whom');
  await page.goto(base);
  await see(id('nav-services-graph'), 'the pages');
  await page.keyboard.press('g');
  await page.keyboard.press('g');
  await page.waitForURL('**/services/graph**');
  const row = page.locator('[data-testid="call-row"][data-caller="reports"][data-callee="archive"]');
  await see(row, 'the calls of the reports');
  assert.match(await row.innerText(), /call\s[\s\S]*40[\s\S]*10 %[\s\S]*ms/, 'kind, calls, errors and durations');
  const database = page.locator('[data-testid="call-row"][data-caller="archive"]');
  assert.match(await database.innerText(), /postgresql[\s\S]*database\s+peer/);
  assert.equal(await id('graph-line').count(), await id('call-row').count(), 'drawn as in the table');
  await see(id('receipt'), 'the receipt of the graph');
  await shot('service-graph');

  say('only the archive, ordered by p99, then its traces with errors');
  await id('graph-node').filter({ hasText: 'archive' }).click();
  await page.waitForURL('**service=archive**');
  await id('sort-p99').click();
  assert.match(page.url(), /sort=p99/, 'the order is in the address');
  assert.equal(await page.locator('th[aria-sort="descending"]').innerText(), 'p99');
  await page.keyboard.press('j');
  assert.match(await page.evaluate(() => document.activeElement.className), /row-link/, 'j goes to the first row');
  await row.getByTestId('call-errors').click();
  await page.waitForURL('**/traces?**');
  assert.match(page.url(), /service=archive/);
  await page.waitForFunction(() => document.querySelectorAll('[data-testid="trace-row"]').length === 4);
}

async function ledger() {
  say('the ledger balances');
  await id('nav-ledger').click();
  await see(id('ledger-row'), 'agent and collector by signal');
  await see(id('agent-row'), 'the agents');
  for (const row of await id('ledger-row').all()) {
    assert.equal(await row.getAttribute('data-unexplained'), '0', await row.innerText());
  }
  await shot('ledger');
}

async function storage() {
  say('how much disk that takes');
  await id('nav-storage').click();
  await see(page.locator('[data-testid="storage-row"][data-table="spans"]'), 'the table of spans');
  const spans = await page.locator('[data-testid="storage-row"][data-table="spans"]').innerText();
  assert.match(spans, /[1-9][\d,]+\s[\s\S]*(KiB|MiB)[\s\S]*7 d[\s\S]*\/h/, 'rows, bytes, retention and growth');
  assert.match(await id('storage-sum').innerText(), /All tables/);
  assert.match(await id('storage-room').innerText(), /iB$/, 'how much is free');
  const forecast = id('storage-forecast');
  assert.notEqual(await forecast.getAttribute('data-tone'), 'unknown', await forecast.innerText());
  await shot('storage');
}

async function help() {
  say('every page in the help');
  await page.keyboard.press('?');
  const keys = page.locator('dialog[open]');
  await see(keys, 'the keys');
  for (const name of ['Go to Service graph', 'Go to Storage']) await see(keys.getByText(name), name);
  await page.keyboard.press('Escape');
}

async function inTheDark() {
  say('the same in the dark');
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.goto(`${base}/slos/${slo}`);
  await see(page.locator('.uplot'), 'charts of budget and burn');
  await shot('slo-dark');
  await page.goto(`${base}/traces/${slowTrace}`);
  await see(id('span-row'), 'the waterfall');
  await shot('trace-dark');
  await page.goto(`${base}/services/graph`);
  await see(id('call-row'), 'who calls whom');
  await shot('service-graph-dark');
  await page.goto(`${base}/storage`);
  await see(id('storage-row'), 'the tables');
  await shot('storage-dark');
}

try {
  await slowTraceToItsLogs();
  await logSearch();
  await logFacets();
  await burningSloToItsPage();
  await metricsAndDashboards();
  await serviceGraph();
  await ledger();
  await storage();
  await help();
  await inTheDark();
  assert.deepEqual(complaints, [], 'the browser complained');
  say('all seen');
} catch (error) {
  await page.screenshot({ path: join(shots, 'failed.png'), fullPage: true }).catch(() => {});
  console.error(`while: ${step}\nat: ${page.url()}\ncomplaints: ${complaints.join('\n  ')}`);
  console.error(error);
  process.exitCode = 1;
} finally {
  await browser.close();
}
