// How much disk the tables take, how fast they grow, and when the disk is full.
import '../styles/storage.css';
import { apiUrl } from '../api/client';
import type { StorageAnswer } from '../api/types';
import { usePoll, useQuery } from '../api/useQuery';
import { PageHead } from '../app/Shell';
import { Icon, type IconName } from '../parts/Icon';
import { CompleteReceipt, PartialReceipt } from '../parts/Receipt';
import { Answer, Empty } from '../parts/States';
import { bytes, plural } from '../time/format';
import { ago, instantMs, utcClock } from '../time/instant';
import { type Forecast, forecast, NOT_SAID, room, totals } from './usage';
import { UsageTable } from './UsageTable';

const POLL_MS = 15_000;

export default function StoragePage() {
  usePoll(POLL_MS);
  const query = useQuery<StorageAnswer>(apiUrl('/storage'));
  return (
    <>
      <PageHead title="Storage" lead="How much disk the tables take, how fast they grow, and when the disk is full." />
      <Answer query={query} what="the storage">
        {(data) => (
          <>
            <Tiles data={data} />
            <section class="card" aria-labelledby="tables">
              <header class="wraps">
                <h2 id="tables">{data.at === null ? 'Tables' : plural(data.tables.length, 'table')}</h2>
                <p class="muted small-text grow">
                  <AsOf at={data.at} />
                </p>
                <CompleteReceipt receipt={data.receipt} />
              </header>
              <PartialReceipt receipt={data.receipt} />
              <Tables data={data} />
            </section>
          </>
        )}
      </Answer>
    </>
  );
}

function AsOf({ at }: { at: string | null }) {
  const ms = instantMs(at);
  return ms === null ? null : (
    <>
      as of {utcClock(ms)} UTC, {ago(ms, Date.now())}
    </>
  );
}

const ICONS: Record<Forecast['tone'], IconName> = { ok: 'ok', warn: 'warn', bad: 'error', unknown: 'unknown' };

function Tiles({ data }: { data: StorageAnswer }) {
  const full = forecast(data);
  const left = room(data);
  const sum = totals(data.tables);
  return (
    <dl class="storage-tiles">
      <div class={`card ${full.tone}`} data-testid="storage-forecast" data-tone={full.tone}>
        <dt>Disk full (all tenants)</dt>
        <dd>
          <Icon name={ICONS[full.tone]} />
          {full.text}
        </dd>
        <dd class="why">{full.why}</dd>
      </div>
      <div class="card">
        <dt>Room for new data (all tenants)</dt>
        <dd data-testid="storage-room">{left.text}</dd>
        <dd class="why">{left.why}</dd>
      </div>
      <div class="card">
        <dt>Your tables</dt>
        <dd data-testid="storage-total">{data.at === null ? 'Unknown' : bytes(sum.dataBytes + sum.indexBytes)}</dd>
        <dd class="why">
          {data.at === null
            ? NOT_SAID
            : `growing at ${bytes(sum.bytesPerHour * 24)} a day; retention frees ${bytes(sum.freedBytes)} within 24\u00a0h`}
        </dd>
      </div>
    </dl>
  );
}

function Tables({ data }: { data: StorageAnswer }) {
  if (data.at === null)
    return (
      <Empty title="What is stored is not known" icon="unknown">
        The collector of these tables did not answer. Nothing is lost by that: stored data can be read, and this page
        asks again. <code>daymark store usage</code> looks at a data directory by itself.
      </Empty>
    );
  if (data.tables.length === 0)
    return (
      <Empty title="Nothing is published yet" icon="storage">
        Acknowledged data is in the ingest log and can be queried; it comes into tables about a minute after it arrived.
      </Empty>
    );
  return (
    <>
      <UsageTable tables={data.tables} at={data.at} />
      <p class="muted small-text storage-note">
        Published segments only: the ingest log and rows not yet published are bounded by other options and not counted.
        Growth is that of the newest 24 hours. The forecast holds the growth of all tenants against the disk and what
        retention frees.
      </p>
    </>
  );
}
