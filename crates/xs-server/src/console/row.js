// A frame in the list: one line of what it is, and the beginning of its content when it is looked at.

import { head, sniff } from "./content.js";
import { el } from "./dom.js";
import { compact, isBranch, leafText } from "./json.js";
import { bytes as size, idMs, localTime, shortTime } from "./time.js";

/// How much of content a row reads, and how much of it a row can show.
const HEAD_BYTES = 256;
const SHOWN_CHARACTERS = 160;
/// A browser has six connections for a server; the stream and what a person asks for come first.
const AT_ONCE = 2;
const KEPT = 2000;

export const rowId = (id) => `frame-${id}`;

export function row(frame) {
  const ms = idMs(frame.id);
  const node = el("li", { class: "row", role: "option", id: rowId(frame.id), "aria-selected": "false" },
    el("time", { title: localTime(ms) }, shortTime(ms)),
    el("span", { class: "topic" }, frame.topic),
    el("span", { class: "about" }, ...meta(frame.meta)),
    frame.ttl !== null && frame.ttl !== "forever" ? el("span", { class: "tag" }, frame.ttl) : null,
    el("code", { class: "short", title: frame.id }, frame.id.slice(-5)));
  // By its own rules and not by an attribute, which the page's policy forbids.
  node.style.setProperty("--hue", hue(frame.topic));
  return node;
}

/// The same colour for the same first part of a topic.
export function hue(topic) {
  let sum = 7;
  for (const sign of topic.split(".", 1)[0]) sum = (sum * 31 + sign.codePointAt(0)) % 3600;
  return (sum * 137.5) % 360;
}

/// Names and values of an object; any other value as it is.
function meta(value) {
  if (value === null) return [];
  if (!isBranch(value)) return [el("bdi", {}, text(value))];
  if (Array.isArray(value)) return [el("bdi", {}, compact(value))];
  const parts = [];
  for (const name of Object.keys(value).slice(0, 8)) {
    const one = value[name];
    parts.push(el("span", { class: "key" }, name.slice(0, 40)), el("bdi", {}, isBranch(one) ? compact(one) : text(one)));
  }
  return parts;
}

const text = (value) => (typeof value === "string" ? value : leafText(value)).slice(0, SHOWN_CHARACTERS);

/// The first lines of content for rows that are seen, a few at a time.
export class Snippets {
  #wanted = [];
  #running = 0;
  #known = new Map();
  #observer;
  #abort = new AbortController();

  constructor(root) {
    this.#observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) this.#want(target);
      }
    }, { root, rootMargin: "120px" });
  }

  watch(node, hash) {
    node.dataset.hash = hash;
    this.#observer.observe(node);
  }

  unwatch(node) {
    this.#observer.unobserve(node);
  }

  /// Nothing of what was read stays, as when the token that it was read with is forgotten.
  forget() {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#known.clear();
    this.#wanted = [];
  }

  #want(node) {
    this.#observer.unobserve(node);
    const known = this.#known.get(node.dataset.hash);
    if (known !== undefined) show(node, known);
    else {
      this.#wanted.push(node);
      this.#next();
    }
  }

  async #next() {
    if (this.#running >= AT_ONCE) return;
    // What came last is what is looked at; what has left the list since is not asked for.
    let node = this.#wanted.pop();
    while (node !== undefined && !node.isConnected) node = this.#wanted.pop();
    if (node === undefined) return;
    this.#running += 1;
    const { hash } = node.dataset;
    const { signal } = this.#abort;
    try {
      const line = this.#known.get(hash) ?? firstLine(await head(hash, HEAD_BYTES, signal));
      if (!signal.aborted) {
        if (this.#known.size >= KEPT) this.#known.delete(this.#known.keys().next().value);
        this.#known.set(hash, line);
        show(node, line);
      }
    } catch {
      // The row does without; the detail says why.
    }
    this.#running -= 1;
    this.#next();
  }
}

function firstLine({ bytes, total }) {
  const what = sniff(bytes, total);
  if (what.text === undefined) return { note: `${what.ending === "bin" ? "bytes" : what.ending} · ${size(total)}` };
  const line = what.text.trimStart().replace(/\x1b\[[0-9;]*m/g, "").split(/[\r\n]/, 1)[0];
  return { line: line.slice(0, SHOWN_CHARACTERS) };
}

function show(node, { line, note }) {
  node.querySelector(".about").append(line === undefined
    ? el("span", { class: "note" }, note)
    : el("bdi", { class: "snippet" }, line));
}
