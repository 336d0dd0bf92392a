// The topics of the store with their last activity.

import { describe, lines, request } from "./api.js";
import { button, byId, el } from "./dom.js";
import { hue } from "./row.js";
import { ago, idMs, localTime } from "./time.js";

const PAGE = 500;
/// The topics of a store are not bounded; this page is.
const TOPICS_MAX = 5000;
const TYPING_MS = 250;
const REDRAW_MS = 1000;
/// Topics that the filter leaves out are not seen in the stream.
const REFRESH_MS = 20_000;

export class Topics {
  #list = byId("topics-list");
  #note = byId("topics-note");
  #more = byId("topics-more");
  #prefix = byId("topics-prefix");
  #order = byId("topics-order");
  #last = new Map();
  #wanted = PAGE;
  #chosen = new Set();
  #abort = new AbortController();
  #redraw = 0;
  #typing = 0;
  #failed = false;
  #onChoose;

  constructor({ onChoose }) {
    this.#onChoose = onChoose;
    this.#list.addEventListener("click", (event) => {
      const it = event.target.closest("button");
      if (it !== null) this.#choose(it.dataset.topic, event.ctrlKey || event.metaKey || event.shiftKey);
    });
    this.#list.addEventListener("keydown", (event) => this.#arrows(event));
    this.#prefix.addEventListener("input", () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.load(), TYPING_MS);
    });
    this.#order.addEventListener("click", () => {
      const pressed = this.#order.getAttribute("aria-pressed") !== "true";
      this.#order.setAttribute("aria-pressed", String(pressed));
      this.#draw();
    });
    this.#more.addEventListener("click", () => {
      this.#wanted = Math.min(TOPICS_MAX, this.#wanted + PAGE);
      this.load();
    });
    // What has failed is tried again when the stream is back, and asks for no token meanwhile.
    setInterval(() => document.visibilityState === "visible" && !this.#failed && this.load(), REFRESH_MS);
  }

  get names() {
    return [...this.#last.keys()];
  }

  /// Reads them anew.
  async load() {
    this.#abort.abort();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    try {
      const parameters = { prefix: this.#prefix.value.trim() || null, limit: this.#wanted };
      const response = await request("topics", { parameters, signal, cache: "no-store" });
      const found = new Map();
      for await (const piece of lines(response.body)) {
        for (const line of piece) {
          if (line === "") continue;
          const { topic, last_id: id } = JSON.parse(line);
          found.set(topic, id);
        }
      }
      this.#last = found;
      this.#failed = false;
      this.#more.hidden = found.size < this.#wanted || this.#wanted >= TOPICS_MAX;
      this.#draw();
    } catch (error) {
      if (signal.aborted) return;
      this.#failed = true;
      // For want of a token, a token is asked for: that says it.
      this.#note.textContent = error.status === 401 ? "" : `No topics: ${describe(error)}`;
    }
  }

  /// Nothing is shown any more.
  clear() {
    this.#abort.abort();
    this.#failed = true;
    this.#note.textContent = "";
    this.#last.clear();
    this.#draw();
  }

  /// The topics that the stream is filtered by, to be marked.
  set filter(filter) {
    this.#chosen = new Set(filter.split(",").map((part) => part.trim()));
    this.#draw();
  }

  /// What came through the stream.
  saw(frames) {
    const prefix = this.#prefix.value.trim();
    for (const { topic, id, ttl } of frames) {
      const known = this.#last.has(topic);
      if (ttl === "ephemeral" || !topic.startsWith(prefix) || (!known && this.#last.size >= this.#wanted)) continue;
      if (!known || this.#last.get(topic) < id) this.#last.set(topic, id);
    }
    if (this.#redraw === 0) {
      this.#redraw = setTimeout(() => {
        this.#redraw = 0;
        this.#draw();
      }, this.#list.childElementCount === 0 ? 0 : REDRAW_MS);
    }
  }

  #about() {
    if (this.#last.size > 0) return this.#last.size < this.#wanted ? "" : `The first ${this.#last.size} by name.`;
    return this.#prefix.value.trim() === "" ? "No topics yet." : "No topic starts so.";
  }

  #draw() {
    const byName = this.#order.getAttribute("aria-pressed") === "true";
    const entries = [...this.#last].sort(byName
      ? ([a], [b]) => (a < b ? -1 : 1)
      : ([a, x], [b, y]) => (x === y ? (a < b ? -1 : 1) : x > y ? -1 : 1));
    // A button that has the focus keeps it, wherever it moves to.
    const focused = this.#list.contains(document.activeElement) ? document.activeElement.dataset.topic : null;
    const old = new Map([...this.#list.children].map((item) => [item.firstChild.dataset.topic, item]));
    const items = entries.map(([topic, id]) => {
      const item = old.get(topic) ?? this.#item(topic);
      const ms = idMs(id);
      const time = item.querySelector("time");
      if (time.textContent !== ago(ms)) time.textContent = ago(ms);
      if (time.dataset.id !== id) {
        time.dataset.id = id;
        time.title = localTime(ms);
      }
      item.firstChild.setAttribute("aria-pressed", String(this.#chosen.has(topic)));
      return item;
    });
    if (items.length !== this.#list.children.length || items.some((item, at) => item !== this.#list.children[at])) {
      this.#list.replaceChildren(...items);
      if (focused !== null) items.find((item) => item.firstChild.dataset.topic === focused)?.firstChild.focus({ preventScroll: true });
    }
    if (!this.#failed) this.#note.textContent = this.#about();
  }

  #item(topic) {
    const name = el("span", { class: "topic" }, topic);
    const it = button(name, null, { "data-topic": topic, title: topic });
    it.append(el("time"));
    it.style.setProperty("--hue", hue(topic));
    return el("li", {}, it);
  }

  /// This one alone; again, all; with Ctrl or Shift, this one too.
  #choose(topic, also) {
    const chosen = [...this.#chosen].filter((part) => part !== "");
    const others = chosen.filter((part) => part !== topic);
    if (also) this.#onChoose((others.length < chosen.length ? others : [...chosen, topic]).join(","));
    else this.#onChoose(chosen.length === 1 && others.length === 0 ? "" : topic);
  }

  #arrows(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const item = event.target.closest("li");
    if (step === undefined || item === null) return;
    event.preventDefault();
    event.stopPropagation();
    item[step]?.firstChild.focus();
  }
}
