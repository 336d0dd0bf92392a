// One frame in full, beside the list, or over it where the window is narrow.

import { byId, button, copyButton, el } from "./dom.js";
import { parseFaithful } from "./json.js";
import { preview } from "./preview.js";
import { hue } from "./row.js";
import { ago, duration, idMs, localTime, utcTime } from "./time.js";
import { jsonTree } from "./tree.js";

/// Below this width the detail is a sheet, and what it covers is out of reach.
const narrow = matchMedia("(max-width: 899px)");
/// Content of a frame that is only passed by on the way through the list is not fetched.
const SETTLE_MS = 120;

export class Detail {
  #place = byId("detail");
  #abort = new AbortController();
  #onClose;
  #onTopic;

  constructor({ onClose, onTopic }) {
    this.#onClose = onClose;
    this.#onTopic = onTopic;
    narrow.addEventListener("change", () => this.#cover());
  }

  get open() {
    return !this.#place.hidden;
  }

  get holdsFocus() {
    return this.#place.contains(document.activeElement);
  }

  /// Shows a frame; the focus comes along when asked for, and when there is nothing else to reach.
  show(frame, focus) {
    const fresh = !this.open;
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#place.hidden = false;
    document.body.classList.add("has-detail");
    this.#fill(frame, this.#abort.signal);
    this.#place.scrollTop = 0;
    this.#cover();
    if (focus || (fresh && narrow.matches)) byId("detail-title").focus({ preventScroll: true });
  }

  /// Says why there is no frame to show.
  showError(message) {
    this.close();
    this.#place.hidden = false;
    document.body.classList.add("has-detail");
    this.#place.replaceChildren(this.#head("Frame"), el("p", { class: "error", role: "alert" }, message));
    this.#cover();
  }

  close() {
    this.#abort.abort();
    this.#place.hidden = true;
    this.#place.replaceChildren();
    document.body.classList.remove("has-detail");
    this.#cover();
  }

  #cover() {
    const covered = narrow.matches && this.open;
    for (const node of document.querySelectorAll(".bar, .topics, .stream")) node.inert = covered;
  }

  #head(...title) {
    return el("div", { class: "head" },
      el("h2", { id: "detail-title", tabindex: "-1" }, ...title),
      button("Close", () => this.#onClose(), { class: "quiet", "aria-keyshortcuts": "Escape" }));
  }

  #fill(frame, signal) {
    const ms = idMs(frame.id);
    const rows = [
      ["id", el("code", { class: "id" }, frame.id), copyButton("id", () => frame.id)],
      ["time", el("time", { datetime: utcTime(ms), title: utcTime(ms) }, localTime(ms)), el("span", { class: "note" }, `${ago(ms)} ago`.replace("now ago", "now"))],
      ["ttl", el("span", { class: "mono" }, frame.ttl ?? "forever"), el("span", { class: "note" }, ttlNote(frame.ttl, ms))],
      ["hash", frame.hash === null ? el("span", { class: "note" }, "no content") : el("code", { class: "id" }, frame.hash),
        frame.hash === null ? "" : copyButton("hash", () => frame.hash)],
    ];
    const list = el("dl", { class: "facts" });
    for (const [name, value, beside] of rows) list.append(el("dt", {}, name), el("dd", {}, value, " ", beside));
    const head = this.#head(...this.#crumbs(frame.topic));
    head.style.setProperty("--hue", hue(frame.topic));
    this.#place.replaceChildren(head, list, ...meta(frame));
    if (frame.hash !== null) {
      const place = el("div", { class: "preview" });
      this.#place.append(place);
      const name = `${frame.topic}-${frame.id.slice(-5)}`;
      const timer = setTimeout(() => preview(place, frame.hash, name, signal), SETTLE_MS);
      signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
    }
    this.#place.append(el("div", { class: "head" }, el("h3", {}, "Frame"), el("span", { class: "note" }, "as the server sends it"),
      copyButton("frame as JSON", () => frame.text)));
  }

  /// The parts of a topic: each shows what lies below it, the last one the topic.
  #crumbs(topic) {
    const parts = topic.split(".");
    return parts.flatMap((part, at) => {
      const whole = parts.slice(0, at + 1).join(".");
      const pattern = at + 1 < parts.length ? `${whole}.*` : whole;
      const crumb = button(part, () => this.#onTopic(pattern), { class: "crumb", title: `Show ${pattern}` });
      return at === 0 ? [crumb] : [el("span", { class: "dot" }, "."), crumb];
    });
  }
}

function meta(frame) {
  if (frame.meta === null) return [];
  let value = frame.meta;
  let text = () => JSON.stringify(frame.meta, null, 2);
  try {
    value = parseFaithful(frame.text).meta;
    // The text of the meta alone, as it came: the value that follows its name in the frame.
    text = () => metaText(frame.text) ?? JSON.stringify(frame.meta, null, 2);
  } catch {
    // Nested too deep to be looked at so closely.
  }
  return [
    el("div", { class: "head" }, el("h3", {}, "Meta"), copyButton("meta", text)),
    jsonTree(value, "Meta"),
  ];
}

/// The server writes `"meta":` once before the meta, and `,"ttl":` behind it.
function metaText(text) {
  const from = text.indexOf(',"meta":');
  const to = text.lastIndexOf(',"ttl":');
  return from < 0 || to < from ? null : text.slice(from + 8, to);
}

function ttlNote(ttl, ms) {
  const [kind, number] = (ttl ?? "forever").split(":");
  if (kind === "ephemeral") return "live only, not stored";
  if (kind === "last") return `while among the newest ${number} of its topic`;
  if (kind !== "time") return "";
  const left = ms + Number(number) - Date.now();
  return left > 0 ? `${duration(Number(number))}; ${duration(left)} left` : `${duration(Number(number))}; over`;
}
