/**
 * What a site tells whoever watches it of the requests for its flags, as
 * server-sent events.
 *
 * @module
 */

/** A flag is asked for or, with a status, answered. */
export interface LiveEvent {
  /** The number of the request: both its events have it. */
  id: number;
  /** The country code, in lower case. */
  cc: string;
  /** Milliseconds of the site's `performance.now()`. */
  at: number;
  /** That of the answer, or 0 when the client gave up. */
  status?: number;
}

/** Milliseconds without a request, after which the next begins a picture. */
const PAUSE = 1000;

/** The same when its code was asked for: a run asks for none twice. */
const PAUSE_AGAIN = 100;

/** Milliseconds for which a browser that loads the page again may be away. */
const RELOAD = 3000;

/** Milliseconds for which events are gathered, as many come at once. */
const GATHERING = 40;

/** So many events are no script's; two for each of 676 codes are. */
const MAX_EVENTS = 10_000;

type Watcher = ReadableStreamDefaultController<Uint8Array>;

/** The requests of a site, for all who watch it; for nobody it does nothing. */
export class Live {
  /** Each with whether it is a page. */
  readonly #watchers = new Map<Watcher, boolean>();
  #watchedUntil = -Infinity;
  /** The events since the first request of the latest run. */
  #picture: LiveEvent[] = [];
  #sent = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #requests = 0;
  #inFlight = 0;
  #lastEnd = -Infinity;

  /** Whether anybody watches, or did a moment ago. */
  get isWatched(): boolean {
    return this.#watchers.size > 0 || performance.now() < this.#watchedUntil;
  }

  /**
   * Tell of a request, and of its answer or that it was given up.
   *
   * @param signal The request's own.
   * @returns The answer.
   */
  async follow(
    cc: string,
    signal: AbortSignal,
    answer: () => Promise<Response>,
  ): Promise<Response> {
    const id = this.#requests++;
    const at = performance.now();
    const idle = this.#inFlight++ > 0 ? 0 : at - this.#lastEnd;
    const isNext = idle > PAUSE_AGAIN &&
      (idle > PAUSE || this.#picture.some((event) => event.cc === cc));
    if (isNext || this.#picture.length >= MAX_EVENTS) this.#beginPicture();
    this.#tell({ id, cc, at });
    let hasEnded = false;
    const end = (status: number) => {
      if (hasEnded) return;
      hasEnded = true;
      this.#inFlight--;
      this.#lastEnd = performance.now();
      this.#tell({ id, cc, status, at: this.#lastEnd });
    };
    signal.addEventListener("abort", () => end(0));
    const response = await answer();
    end(response.status);
    return response;
  }

  #tell(event: LiveEvent): void {
    this.#picture.push(event);
    this.#timer ??= setTimeout(() => this.#send(), GATHERING);
  }

  /** Send what was told since. */
  #send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const bytes = encode(this.#picture.slice(this.#sent).map(toText).join(""));
    this.#sent = this.#picture.length;
    for (const watcher of this.#watchers.keys()) watcher.enqueue(bytes);
  }

  #beginPicture(): void {
    this.#send();
    [this.#picture, this.#sent] = [[], 0];
    for (const [watcher, isPage] of this.#watchers) {
      if (isPage) watcher.enqueue(encode(pictureEvent()));
    }
  }

  /**
   * The stream of events from now on.
   *
   * @param isPage With an event `picture` for each run, whose data is the site's
   *   clock, and with the picture so far.
   */
  watch(isPage: boolean): Response {
    let watcher: Watcher;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        watcher = controller;
        this.#send(); // To those before, as the picture so far has it.
        this.#watchers.set(watcher, isPage);
        const events = this.#picture.map(toText).join("");
        const soFar = isPage ? pictureEvent() + events : "";
        watcher.enqueue(encode(`retry: 500\n\n${soFar}`));
      },
      cancel: () => {
        this.#watchers.delete(watcher);
        this.#watchedUntil = performance.now() + RELOAD;
      },
    });
    const headers = {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
    };
    return new Response(body, { headers });
  }
}

const encode = (text: string) => new TextEncoder().encode(text);
const toText = (event: LiveEvent) => `data: ${JSON.stringify(event)}\n\n`;
const pictureEvent = () => `event: picture\ndata: ${performance.now()}\n\n`;
