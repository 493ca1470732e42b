/**
 * What a site tells whoever watches it of the requests for its flags: server-sent
 * events.
 *
 * @module
 */

/** A flag is asked for or, with a status, answered. */
export interface LiveEvent {
  /** The same for both events of a request, and no other's. */
  id: number;
  /** The country code, in lower case. */
  cc: string;
  /** Milliseconds of the site's clock. */
  at: number;
  /** That of the answer; 0 when the client gave up. */
  status?: number;
}

/** Milliseconds without a request after which the next one begins a picture. */
const PAUSE = 1000;

/** The same, when its code is in the picture already: a script asks for it once. */
const PAUSE_AGAIN = 100;

/** Milliseconds in which who has gone may be back: a page is loaded again. */
const RELOAD = 3000;

/** A picture of so many events is no script's: 676 codes have two each. */
const MAX_EVENTS = 10_000;

const encode = (text: string) => new TextEncoder().encode(text);
const message = (event: LiveEvent) => `data: ${JSON.stringify(event)}\n\n`;

type Watcher = ReadableStreamDefaultController<Uint8Array>;

/** The requests of one site, for all who watch it. Unwatched, it does nothing. */
export class Live {
  /** Each with whether it is a page, which is told of pictures, too. */
  readonly #watchers = new Map<Watcher, boolean>();
  #watchedUntil = -Infinity;
  /** Since the first request of the latest run. */
  #picture: LiveEvent[] = [];
  #requests = 0;
  #inFlight = 0;
  #lastEnd = -Infinity;

  /** Whether anybody watches, or did a moment ago. */
  get isWatched(): boolean {
    return this.#watchers.size > 0 || performance.now() < this.#watchedUntil;
  }

  /**
   * Tell of a request: at once, and when it is answered or given up.
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
    this.#begin({ id, cc, at: performance.now() });
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

  #begin(event: LiveEvent): void {
    const idle = this.#inFlight++ > 0 ? 0 : event.at - this.#lastEnd;
    const isNew = idle > PAUSE_AGAIN &&
      (idle > PAUSE || this.#picture.some(({ cc }) => cc === event.cc));
    if (isNew || this.#picture.length >= MAX_EVENTS) {
      this.#picture = [];
      this.#send(newPicture(), true);
    }
    this.#tell(event);
  }

  #tell(event: LiveEvent): void {
    this.#picture.push(event);
    this.#send(message(event));
  }

  #send(text: string, pagesOnly = false): void {
    const bytes = encode(text);
    for (const [watcher, isPage] of this.#watchers) {
      if (isPage || !pagesOnly) watcher.enqueue(bytes);
    }
  }

  /**
   * The stream of events from now on.
   *
   * @param isPage Begins with the picture so far, and tells of new ones: an event
   *   `picture`, with the site's clock as its data.
   */
  watch(isPage: boolean): Response {
    let watcher: Watcher;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        watcher = controller;
        this.#watchers.set(watcher, isPage);
        const soFar = isPage
          ? newPicture() + this.#picture.map(message).join("")
          : ": the flags that are asked for from now on\n\n";
        watcher.enqueue(encode("retry: 500\n" + soFar));
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

const newPicture = () => `event: picture\ndata: ${performance.now()}\n\n`;
