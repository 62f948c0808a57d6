// The drawn graph: boxes are links that narrow the page to one service, lines lead to traces. For the eye and the
// pointer; the table below says the same to everybody, so the lines are hidden from assistive technology.
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { href, navigate, params, patched } from '../app/router';
import { ServiceName } from '../parts/Badges';
import { Icon } from '../parts/Icon';
import { count, nanos, percent } from '../time/format';
import { type Call, connectionName, FAILING_RATIO, isFailing, rate, type Sketch, sketch, tracesPatch } from './calls';
import { labelSpots } from './labels';
import { draw, NODE_HEIGHT, NODE_WIDTH, pathOf, type Picture, type Point } from './layout';

/** With more lines than this, numbers beside them would cover each other. */
const MOST_LABELS = 40;

export function Drawing({ calls, service }: { calls: Call[]; service: string }) {
  const sketched = useMemo(() => sketch(calls), [calls]);
  const picture = useMemo(() => draw(sketched.boxes.length, sketched.arcs), [sketched]);
  const [hot, setHot] = useState(-1);
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    // A tall drawing starts where the calls do.
    if (box.current) box.current.scrollTop = startY(picture) - box.current.clientHeight / 2;
  }, [picture]);
  if (sketched.calls.length === 0) return null;
  return (
    <figure class="graph">
      <div class="graph-scroll" ref={box} role="region" tabIndex={0} aria-label="Drawing of the service graph">
        <div class="graph-space" style={{ width: `${picture.width}px`, height: `${picture.height}px` }}>
          <Lines sketched={sketched} picture={picture} hot={hot} />
          <ul>
            {sketched.boxes.map((box, at) => (
              <li key={`${box.kind} ${box.name}`} style={place(picture.nodes[at])}>
                <a
                  class={`graph-node ${box.kind} ${box.name === service ? 'chosen' : ''}`}
                  href={`?${patched(params.value, { service: box.name })}`}
                  title={box.kind === 'service' ? box.name : `${box.name}: known by its callers only`}
                  data-testid="graph-node"
                  onPointerEnter={() => setHot(at)}
                  onPointerLeave={() => setHot(-1)}
                  onFocus={() => setHot(at)}
                  onBlur={() => setHot(-1)}
                >
                  {box.kind === 'service' ? <ServiceName name={box.name} /> : <Peer name={box.name} />}
                </a>
              </li>
            ))}
          </ul>
        </div>
      </div>
      <Legend leftOut={sketched.leftOut} drawn={sketched.calls.length} />
    </figure>
  );
}

/** The middle of the leftmost boxes. */
function startY({ nodes }: Picture): number {
  const left = Math.min(...nodes.map((node) => node.x));
  const first = nodes.filter((node) => node.x === left);
  return first.reduce((sum, node) => sum + node.y, 0) / first.length;
}

const place = (node: Point) => ({
  transform: `translate(${node.x}px, ${node.y - NODE_HEIGHT / 2}px)`,
  width: `${NODE_WIDTH}px`,
  height: `${NODE_HEIGHT}px`,
});

function Peer({ name }: { name: string }) {
  return (
    <>
      <Icon name="external" />
      <span>{name}</span>
    </>
  );
}

function Lines({ sketched, picture, hot }: { sketched: Sketch; picture: Picture; hot: number }) {
  const most = sketched.calls.reduce((highest, call) => Math.max(highest, call.calls), 1);
  const spots = useMemo(() => {
    if (sketched.calls.length > MOST_LABELS) return [];
    return labelSpots(sketched.calls.map((call, at) => ({ points: picture.lines[at], hasErrors: isFailing(call) })));
  }, [picture]);
  const dim = (at: number) => {
    const { from, to } = sketched.arcs[at];
    return hot >= 0 && from !== hot && to !== hot ? 'dim' : '';
  };
  return (
    <svg width={picture.width} height={picture.height} aria-hidden="true">
      <defs>
        <Arrow id="arrow" />
        <Arrow id="arrow-failing" />
      </defs>
      {sketched.calls.map((call, at) => {
        const { from, to } = sketched.arcs[at];
        const path = from === to ? loop(picture.nodes[from]) : pathOf(picture.lines[at]);
        return (
          <g
            key={call.id}
            class={`graph-line ${isFailing(call) ? 'failing' : ''} ${dim(at)}`}
            data-testid="graph-line"
            onClick={() => navigate(href('/traces', tracesPatch(call)))}
          >
            <title>{summary(call)}</title>
            <path class="reach" d={path} />
            <path
              class="stroke"
              d={path}
              style={{ strokeWidth: `${1.25 + 2.25 * (Math.log1p(call.calls) / Math.log1p(most))}px` }}
              marker-end={`url(#${isFailing(call) ? 'arrow-failing' : 'arrow'})`}
            />
          </g>
        );
      })}
      {/* Over all lines, so that none strikes them out. */}
      {sketched.calls.map((call, at) => {
        const spot = spots[at];
        if (!spot) return null;
        return (
          <g key={call.id} class={`graph-label ${dim(at)}`}>
            <Label call={call} spot={spot} isBack={isBack(picture.lines[at])} />
          </g>
        );
      })}
    </svg>
  );
}

function Arrow({ id }: { id: string }) {
  return (
    <marker
      id={id}
      class={id}
      viewBox="0 0 8 8"
      refX="7"
      refY="4"
      markerWidth="8"
      markerHeight="8"
      markerUnits="userSpaceOnUse"
      orient="auto"
    >
      <path d="M0 0 8 4 0 8z" />
    </marker>
  );
}

/** Over the box and back to it. */
function loop({ x, y }: Point): string {
  const [right, top] = [x + NODE_WIDTH - 24, y - NODE_HEIGHT / 2];
  return `M ${right} ${top} C ${right} ${top - 20} ${right - 28} ${top - 20} ${right - 28} ${top - 1}`;
}

/** Calls above the line, errors below. */
function Label({ call, spot, isBack }: { call: Call; spot: Point; isBack: boolean }) {
  // Lines that go back run below their neighbours.
  const shift = isBack ? 20 : 0;
  return (
    <>
      <text x={spot.x} y={spot.y - 6 + shift} text-anchor="middle">
        {`${rate(call.perSecond)} /s`}
      </text>
      {isFailing(call) && (
        <text class="bad-text" x={spot.x} y={spot.y + (isBack ? 27 : 14)} text-anchor="middle">
          {`✕ ${percent(call.errorRatio)}`}
        </text>
      )}
    </>
  );
}

const isBack = (points: Point[]) => points[0].x > points[points.length - 1].x;

function summary(call: Call): string {
  return [
    `${call.caller} → ${call.callee} (${connectionName(call.connection)})`,
    `${rate(call.perSecond)} calls/s, ${count(call.calls)} calls`,
    `${count(call.errors)} failed, ${percent(call.errorRatio)}`,
    `p50 ${known(call.duration_p50_ns)}, p99 ${known(call.duration_p99_ns)}`,
  ].join('\n');
}

const known = (ns: number | null) => (ns === null ? 'unknown' : nanos(ns));

function Legend({ leftOut, drawn }: { leftOut: number; drawn: number }) {
  return (
    <figcaption class="muted">
      {leftOut > 0 && (
        <strong data-testid="graph-left-out">
          Drawn are the {count(drawn)} edges with the most calls; {count(leftOut)} more are in the table only.
        </strong>
      )}
      <span>Thicker: more calls.</span>
      <span class="failing">Red and dashed, with ✕: {percent(FAILING_RATIO)} or more fail.</span>
      <span>
        <Icon name="external" /> sends no spans itself, known by its callers only.
      </span>
      <span>A box narrows to one service, a line leads to traces.</span>
    </figcaption>
  );
}
