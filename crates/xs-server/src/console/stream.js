// Following the store: one request that goes on, taken up again after what was seen when it breaks.

import { ApiError, lines, request } from "./api.js";
import { parseFaithful } from "./json.js";
import { Recent } from "./recent.js";

/// The server says at least this often that it is there.
const PULSE_MS = 15_000;
/// Silence after which the connection is taken for dead.
const SILENCE_MS = 3 * PULSE_MS;
const BACKOFF_MIN_MS = 250;
const BACKOFF_MAX_MS = 10_000;
/// How long a page that nobody looks at keeps its connection: a browser has only six for a server.
const HIDDEN_MS = 60_000;

const SYNTHETIC = new Set(["xs.threshold", "xs.pulse"]);

/// The frames of a filter, live. `onFrames` gets those of one piece of the response together, oldest
/// first; `onState` is told `connecting`, `live`, `waiting` (it tries again by itself), `locked` (a
/// token is needed) and `refused` (it does not).
export class Follower {
  #onFrames;
  #onState;
  #topic = "";
  #last = 0;
  /// The newest id that was seen, synthetic ones too: no frame lies between it and the next.
  #seen = null;
  #abort = null;
  #hurry = () => {};
  #hidden = 0;
  #parked = false;

  constructor({ onFrames, onState }) {
    this.#onFrames = onFrames;
    this.#onState = onState;
    // A network that comes back is a reason not to wait any longer.
    addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => this.#visibility());
  }

  /// Follows `topic` from its newest `last` frames on; what was followed before ends.
  start(topic, last) {
    this.#topic = topic;
    this.#last = last;
    this.#seen = null;
    this.#run();
  }

  /// How many frames are wanted of what is missed.
  set last(last) {
    this.#last = last;
  }

  /// Goes on now where it waits or has given up.
  retry() {
    if (this.#abort === null) this.#run();
    else this.#hurry();
  }

  #stop() {
    this.#abort?.abort();
    this.#abort = null;
  }

  #visibility() {
    clearTimeout(this.#hidden);
    if (document.visibilityState === "hidden") {
      this.#hidden = setTimeout(() => {
        this.#parked = this.#abort !== null;
        this.#stop();
      }, HIDDEN_MS);
    } else if (this.#parked) {
      this.#run();
    } else {
      this.#hurry();
    }
  }

  async #run() {
    this.#stop();
    this.#parked = false;
    const abort = new AbortController();
    this.#abort = abort;
    const { signal } = abort;
    let delay = BACKOFF_MIN_MS;
    while (!signal.aborted) {
      let failure = null;
      const before = this.#seen;
      try {
        this.#onState("connecting");
        await this.#connection(signal);
      } catch (error) {
        failure = error;
      }
      if (signal.aborted) return;
      if (failure instanceof ApiError && !failure.passes) {
        this.#abort = null;
        this.#onState(failure.status === 401 ? "locked" : "refused", failure);
        return;
      }
      this.#onState("waiting", failure);
      if (this.#seen !== before) delay = BACKOFF_MIN_MS;
      const asked = (failure?.retryAfter ?? 0) * 1000;
      // Many pages that lost the same server do not come back at one moment.
      await this.#pause(Math.max(asked, delay * (0.5 + Math.random() / 2)), signal);
      delay = Math.min(delay * 2, BACKOFF_MAX_MS);
    }
  }

  /// One response, to its end.
  async #connection(signal) {
    const silence = new AbortController();
    const watch = { timer: 0 };
    const alive = () => {
      clearTimeout(watch.timer);
      watch.timer = setTimeout(() => silence.abort(), SILENCE_MS);
    };
    alive();
    const parameters = {
      follow: PULSE_MS,
      topic: this.#topic || null,
      // Of what was missed, too, no more than can be shown.
      last: this.#last,
      after: this.#seen,
    };
    try {
      const response = await request("", {
        parameters,
        headers: { Accept: "text/event-stream" },
        signal: AbortSignal.any([signal, silence.signal]),
        cache: "no-store",
      });
      for await (const piece of lines(response.body)) {
        alive();
        this.#take(piece, signal);
      }
    } finally {
      clearTimeout(watch.timer);
    }
  }

  /// The events of one piece. Of an event only `data` matters here: it is one line, and holds the id.
  #take(piece, signal) {
    if (signal.aborted) return;
    const frames = [];
    let live = false;
    for (const line of piece) {
      if (!line.startsWith("data:")) continue;
      const frame = frameOf(line.slice(5).trim());
      if (this.#seen !== null && frame.id <= this.#seen) continue;
      this.#seen = frame.id;
      if (!SYNTHETIC.has(frame.topic) || frame.ttl !== "ephemeral") frames.push(frame);
      else live ||= frame.topic === "xs.threshold";
    }
    if (frames.length > 0) this.#onFrames(frames);
    if (live) this.#onState("live");
  }

  #pause(ms, signal) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
      signal.addEventListener("abort", this.#hurry, { once: true });
    });
  }
}

/// A frame from its JSON text, which is kept: it spells numbers in a way that JavaScript may not.
export function frameOf(text) {
  // Numbers that long lose digits otherwise; the careful way costs more, and few frames need it.
  const parse = /\d{16}/.test(text) ? parseFaithful : JSON.parse;
  return { ...parse(text), text };
}

/// The newest `count` stored frames of a filter, oldest first, within the bounds of what is shown.
export async function newest(topic, count, signal) {
  const response = await request("", { parameters: { topic: topic || null, last: count }, signal, cache: "no-store" });
  const frames = new Recent(count);
  for await (const piece of lines(response.body)) {
    frames.push(piece.filter((line) => line !== "").map(frameOf));
  }
  return frames.take();
}

/// One frame, by its id.
export async function frameById(id, signal) {
  const response = await request(encodeURIComponent(id), { signal, cache: "no-store" });
  return frameOf(await response.text());
}
