// @ts-check
/**
 * The layout of the lanes, for the page and for docs/lanes.svg: events in, bars
 * out. This module also runs in a browser, so it imports nothing.
 *
 * @module
 */

/** @typedef {import("./live.ts").LiveEvent} LiveEvent */

/** @typedef {"waiting" | "flag" | "none" | "error" | "gone"} Kind */

/**
 * A request on its lane.
 *
 * @typedef {object} Request
 * @property {number} id The number of the request.
 * @property {string} cc The country code, in lower case.
 * @property {Kind} kind What became of the request.
 * @property {number} lane The number of the lane, from 0.
 * @property {number} from Milliseconds from the first request to this one.
 * @property {number} [to] The same for the answer, unless still in flight.
 * @property {number} [status] The answer's status; 0 when given up.
 */

/** @type {Record<number, Kind>} */
const KINDS = { 0: "gone", 200: "flag", 404: "none" };

/** Pixels: the least width of a bar, and the gap after it. */
const [LEAST, GAP] = [3, 1];

/**
 * Put each request on the lane that has been free for longest, or on a new lane
 * when none is free. So the number of lanes is the most requests in flight at
 * once, and quick answers do not crowd the first lane.
 *
 * @param {LiveEvent[]} events The events of a run, from its first request on.
 */
export function layOut(events) {
  /** @type {Map<number, Request>} */
  const requests = new Map();
  /** @type {number[]} */
  const free = [];
  let lanes = 0;
  const counts = { waiting: 0, flag: 0, none: 0, error: 0, gone: 0 };
  for (const { id, cc, at, status } of events) {
    const ms = at - (events[0]?.at ?? 0);
    const request = requests.get(id);
    if (status === undefined) {
      const lane = free.shift() ?? lanes++;
      requests.set(id, { id, cc, kind: "waiting", lane, from: ms });
      counts.waiting++;
    } else if (request) {
      const kind = KINDS[status] ?? "error";
      Object.assign(request, { kind, status, to: ms });
      free.push(request.lane);
      counts.waiting--;
      counts[kind]++;
    }
  }
  return { requests: [...requests.values()], lanes, counts };
}

/**
 * Give each request the edges of its bar, in pixels from the left. A bar has a
 * least width, and never covers another: it moves its neighbours on the lane
 * instead. When a lane is too full for that, all bars may be narrower.
 *
 * @param {Request[]} requests Those of `layOut`.
 * @param {number} now Milliseconds, at which bars in flight end.
 * @param {number} scale Pixels for each millisecond.
 * @param {number} width Pixels that the bars may cover.
 */
export function toBars(requests, now, scale, width) {
  const bars = requests.map((request) => {
    const { from, to = now } = request;
    return { ...request, left: scale * from, right: scale * to };
  });
  const lanes = Object.values(Object.groupBy(bars, ({ lane }) => lane));
  const most = Math.max(...lanes.map((lane) => lane?.length ?? 0));
  const shrink = Math.min(1, width / most / (LEAST + GAP));
  const [least, gap] = [LEAST * shrink, GAP * shrink];
  for (const lane of lanes) {
    let edge = 0;
    for (const bar of lane ?? []) { // A narrow bar moves the next one.
      bar.left = Math.max(bar.left, edge);
      bar.right = Math.max(bar.right, bar.left + least);
      edge = bar.right + gap;
    }
    edge = width;
    for (const bar of lane?.toReversed() ?? []) { // The last bars move back.
      bar.right = Math.min(bar.right, edge);
      bar.left = Math.min(bar.left, bar.right - least);
      edge = bar.left - gap;
    }
  }
  return bars;
}
