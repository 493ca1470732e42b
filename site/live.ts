/**
 * The requests for the flags of a site as server-sent events, for its page.
 *
 * @module
 */

/** A request for a flag or, with a status, its answer. */
export interface LiveEvent {
  /** The number of the request, which both its events have. */
  id: number;
  /** The country code, in lower case. */
  cc: string;
  /** Milliseconds of the site's `performance.now()`. */
  at: number;
  /** The answer's status; 0 when the client gave up. */
  status?: number;
}

/** Milliseconds with nothing in flight after which the next run begins. */
const PAUSE = 1000;

/** Milliseconds for which events are gathered, because many come at once. */
const GATHERING = 40;

/** More events than any run has: 676 codes have two each. */
const MAX_EVENTS = 10_000;

type Watcher = ReadableStreamDefaultController<string>;

/**
 * The picture of a site, which is the events of its latest run, and its watchers.
 *
 * A run never requests a code twice. So a repeated code belongs to a new run; it
 * began after the longest pause since that code's last request. A pause is a time
 * with nothing in flight. Any code after a pause of a second begins a new run, too.
 * Runs with a shorter pause between them and no code in common are one picture,
 * and so are runs that overlap all the time. Concurrent runs with pauses in both, as
 * on LOCAL, split each other's pictures.
 */
export class Live {
  readonly #watchers = new Set<Watcher>();
  #picture: LiveEvent[] = [];
  #codes = new Set<string>();
  #unsent = "";
  #sentAt = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #requests = 0;
  #inFlight = 0;
  #hasEnded = false;

  /** Begin each picture with these words about the site. */
  constructor(readonly site: string) {}

  /** Respond to a request, and report it and its end to the watchers. */
  async track(
    cc: string,
    request: Request,
    respond: () => Response | Promise<Response>,
  ): Promise<Response> {
    const id = this.#requests++;
    this.#inFlight++;
    this.#tell({ id, cc, at: performance.now() });
    let isOver = false;
    const end = (status: number) => {
      if (isOver) return;
      isOver = true;
      this.#inFlight--;
      this.#tell({ id, cc, at: performance.now(), status });
    };
    const answer = respond();
    if (answer instanceof Promise) { // Otherwise the signal is not worth its cost.
      request.signal.addEventListener("abort", () => end(0));
    }
    const response = await answer;
    end(response.status);
    return response;
  }

  #tell(event: LiveEvent): void {
    const start = event.status === undefined ? this.#startOfRun(event) : 0;
    this.#picture.push(event);
    if (start > 0) {
      this.#picture = this.#picture.slice(start);
      this.#codes = new Set(this.#picture.map(({ cc }) => cc));
    }
    this.#codes.add(event.cc);
    if (this.#watchers.size === 0) return;
    this.#unsent += start > 0 ? this.#pictureSoFar() : toText(event);
    const isFirst = performance.now() - this.#sentAt > GATHERING;
    if (isFirst && this.#inFlight === 0) return this.#send();
    this.#timer ??= setTimeout(() => this.#send(), GATHERING);
  }

  /** Find the index in the picture of the first event of a request's run. */
  #startOfRun({ cc, at }: LiveEvent): number {
    const { length } = this.#picture;
    const pause = this.#inFlight > 1
      ? 0
      : at - (this.#picture.at(-1)?.at ?? at);
    if (pause > PAUSE || length > MAX_EVENTS) return length;
    if (!this.#codes.has(cc)) return 0;
    let [longest, start, inFlight, lastEnd] = [0, 0, 0, 0];
    for (const [i, event] of [...this.#picture, { cc: "", at }].entries()) {
      if ("status" in event) {
        inFlight--;
        lastEnd = event.at;
      } else if (inFlight++ === 0 && event.at - lastEnd > longest) {
        [longest, start] = [event.at - lastEnd, i];
      }
      if (event.cc === cc) [longest, start] = [0, 0];
    }
    return start;
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sentAt = performance.now();
    for (const watcher of this.#watchers) watcher.enqueue(this.#unsent);
    this.#unsent = "";
  }

  #pictureSoFar(): string {
    const data = JSON.stringify({ now: performance.now(), site: this.site });
    const events = this.#picture.map(toText).join("");
    return `event: picture\ndata: ${data}\n\n${events}`;
  }

  /** Answer with a stream of the picture and of all later events. */
  watch(): Response {
    this.#send(); // The others have not seen all events of the picture yet.
    let watcher: Watcher;
    const events = new ReadableStream<string>({
      start: (controller) => void (watcher = controller),
      cancel: () => void this.#watchers.delete(watcher), // The client has gone.
    });
    this.#watchers.add(watcher!);
    watcher!.enqueue(`retry: 500\n\n${this.#pictureSoFar()}`);
    if (this.#hasEnded) this.end();
    const headers = { "content-type": "text/event-stream" };
    return new Response(events.pipeThrough(new TextEncoderStream()), {
      headers,
    });
  }

  /** Send all events that the watchers lack, and close their streams. */
  end(): void {
    this.#hasEnded = true;
    this.#send();
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers.clear();
  }
}

const toText = (event: LiveEvent) => `data: ${JSON.stringify(event)}\n\n`;
