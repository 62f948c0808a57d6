// Search traces. The URL holds the search; the page shows what the URL says.
import { useEffect, useMemo, useState } from 'preact/hooks';
import '../styles/traces.css';
import { apiUrl } from '../api/client';
import type { ServicesAnswer, TracesAnswer } from '../api/types';
import { useQuery } from '../api/useQuery';
import { PageHead } from '../app/Shell';
import { href, navigate, params } from '../app/router';
import { useRowKeys } from '../app/shortcuts';
import { CompleteReceipt, PartialReceipt } from '../parts/Receipt';
import { Answer, Empty } from '../parts/States';
import { plural } from '../time/format';
import { range, rangeQuery } from '../time/range';
import { Scatter } from './Scatter';
import { apiParams, problems, readSearch } from './search';
import { SearchForm } from './SearchForm';
import { sorted, type SortKey, TraceTable } from './TraceTable';

const TRACE_ID = /^[0-9a-f]{32}$/i;

export default function TracesPage() {
  const search = readSearch(params.value);
  const valid = Object.keys(problems(search)).length === 0;
  const services = useQuery<ServicesAnswer>(apiUrl('/services', rangeQuery.value));
  const query = useQuery<TracesAnswer>(valid ? apiUrl('/traces', { ...apiParams(search), ...rangeQuery.value }) : null);
  const sort = (params.value.get('sort') ?? 'start') as SortKey;
  const ascending = params.value.get('order') === 'asc';
  const traces = useMemo(() => sorted(query.data?.traces ?? [], sort, ascending), [query.data, sort, ascending]);
  useRowKeys('Traces', 'trace');
  // The next click most likely opens a trace: its code is then here.
  useEffect(() => void import('../trace/TracePage').catch(() => undefined), []);
  return (
    <>
      <PageHead title="Traces" lead="What happened to single requests, across services.">
        <OpenById />
      </PageHead>
      <SearchForm search={search} services={services.data?.services ?? []} />
      <Answer query={query} what="traces">
        {(data) => (
          <section class="card" aria-label="Traces found">
            <header>
              <h2 class="grow">
                {plural(traces.length, 'trace')}
                {traces.length === search.limit ? ' (the newest; there may be more)' : ''}
              </h2>
              <CompleteReceipt receipt={data.receipt} />
            </header>
            <PartialReceipt receipt={data.receipt} />
            {traces.length === 0 ? (
              <Empty title="No trace matches">
                Widen the time range, lower the minimum duration or drop a filter. Traces appear about 2 s after they
                are acknowledged.
              </Empty>
            ) : (
              <>
                <Scatter traces={traces} range={range.value} />
                <TraceTable traces={traces} sort={sort} ascending={ascending} />
              </>
            )}
          </section>
        )}
      </Answer>
    </>
  );
}

function OpenById() {
  const [id, setId] = useState('');
  const wrong = id.trim() !== '' && !TRACE_ID.test(id.trim());
  const open = (event: Event) => {
    event.preventDefault();
    if (TRACE_ID.test(id.trim())) navigate(href(`/traces/${id.trim().toLowerCase()}`));
  };
  return (
    <form class="row" onSubmit={open}>
      <label class="visually-hidden" for="trace-id">
        Trace id
      </label>
      <input
        id="trace-id"
        class="input mono by-id"
        placeholder="Open by trace id (32 hex digits)"
        spellcheck={false}
        aria-invalid={wrong}
        value={id}
        onInput={(event) => setId(event.currentTarget.value)}
      />
      <button type="submit" class="button" disabled={!TRACE_ID.test(id.trim())}>
        Open
      </button>
    </form>
  );
}
