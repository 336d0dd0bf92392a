// The frames on the page: newest first, no more than were asked for, each once.

import { byId } from "./dom.js";
import { Recent, excess } from "./recent.js";
import { Snippets, row, rowId } from "./row.js";

export class FrameList {
  #root = byId("frames");
  #newer = byId("newer");
  #snippets = new Snippets(this.#root);
  /// What is shown, oldest first.
  #frames = [];
  #waiting;
  #drawing = 0;
  #paused = false;
  #limit;
  #active = null;
  #onChange;
  /// Whether the store may have older ones than are shown.
  more = false;

  constructor({ limit, onOpen, onChange }) {
    this.#limit = limit;
    this.#waiting = new Recent(limit);
    this.#onChange = onChange;
    this.#root.addEventListener("click", (event) => {
      const node = event.target.closest(".row");
      if (node === null || String(getSelection()) !== "") return;
      this.#activate(node.id.slice(rowId("").length));
      onOpen(this.active, false);
    });
    this.#root.addEventListener("focus", () => {
      // Who comes by mouse or finger is at a row already, which is not to move away from under it.
      if (this.#active === null && this.#root.matches(":focus-visible")) this.move(0);
    });
    this.#root.addEventListener("scroll", () => this.#atTop() && this.#sawNewer());
    this.#newer.addEventListener("click", () => {
      this.#root.scrollTo({ top: 0 });
      this.#sawNewer();
    });
  }

  get length() {
    return this.#frames.length;
  }

  /// How many came while paused, up to what can be shown.
  get held() {
    return Math.min(this.#waiting.length, this.#limit);
  }

  get oldest() {
    return this.#frames[0] ?? null;
  }

  get active() {
    return this.find(this.#active);
  }

  find(id) {
    return this.#frames.find((frame) => frame.id === id) ?? null;
  }

  get paused() {
    return this.#paused;
  }

  set paused(paused) {
    this.#paused = paused;
    this.#schedule();
  }

  set limit(limit) {
    this.#limit = limit;
    this.#waiting.count = limit;
    this.#trim();
    this.#onChange();
  }

  /// Newer frames, oldest first. They are drawn together, when the browser draws.
  push(frames) {
    this.#waiting.push(frames);
    if (this.#paused) this.#onChange();
    else this.#schedule();
  }

  /// Frames of which some may be older than what is shown, oldest first; those come in.
  pushOlder(frames) {
    const { oldest } = this;
    const older = frames.filter((frame) => oldest === null || frame.id < oldest.id);
    const room = excess([...older, ...this.#frames], this.#limit);
    const fitting = older.slice(room);
    this.more = room > 0;
    this.#frames.unshift(...fitting);
    this.#root.append(...this.#rows(fitting));
    this.#onChange();
    return fitting.length;
  }

  clear() {
    cancelAnimationFrame(this.#drawing);
    this.#drawing = 0;
    this.#waiting.take();
    this.#frames = [];
    this.#active = null;
    this.more = false;
    this.#root.removeAttribute("aria-activedescendant");
    this.#root.replaceChildren();
    this.#root.scrollTop = 0;
    this.#sawNewer();
    this.#onChange();
  }

  forgetContent() {
    this.#snippets.forget();
  }

  /// Draws what waits at once.
  flush() {
    cancelAnimationFrame(this.#drawing);
    this.#drawing = 0;
    const frames = this.#waiting.take();
    if (frames.length > 0) {
      const unseen = this.#root.scrollTop > 0;
      this.#frames.push(...frames);
      this.#root.prepend(...this.#rows(frames));
      this.#trim();
      if (unseen) this.#countNewer(frames.length);
    }
    this.#onChange();
  }

  /// Moves by so many rows, downwards to older ones; gives where it is then.
  move(by) {
    const { length } = this.#frames;
    if (length === 0) return null;
    const at = this.#frames.findIndex((frame) => frame.id === this.#active);
    const to = at < 0 ? length - 1 : Math.min(length - 1, Math.max(0, at - by));
    this.#activate(this.#frames[to].id);
    byId(this.#root.getAttribute("aria-activedescendant"))?.scrollIntoView({ block: "nearest" });
    return this.#frames[to];
  }

  /// Marks the frame whose detail is open.
  select(id) {
    for (const node of this.#root.querySelectorAll('[aria-selected="true"]')) node.setAttribute("aria-selected", "false");
    if (id === null) return;
    byId(rowId(id))?.setAttribute("aria-selected", "true");
    if (this.find(id) !== null) this.#activate(id);
  }

  focus() {
    this.#root.focus({ preventScroll: true });
  }

  #schedule() {
    if (!this.#paused && this.#drawing === 0) this.#drawing = requestAnimationFrame(() => this.flush());
  }

  #rows(frames) {
    return frames.map((frame) => {
      const node = row(frame);
      if (frame.hash !== null) this.#snippets.watch(node, frame.hash);
      return node;
    }).reverse();
  }

  #trim() {
    const gone = this.#frames.splice(0, excess(this.#frames, this.#limit));
    for (const { id } of gone) {
      const node = byId(rowId(id));
      this.#snippets.unwatch(node);
      node.remove();
      if (id === this.#active) this.#activate(null);
    }
    this.more ||= gone.length > 0;
  }

  #activate(id) {
    byId(rowId(this.#active))?.classList.remove("active");
    this.#active = id;
    if (id === null) this.#root.removeAttribute("aria-activedescendant");
    else {
      this.#root.setAttribute("aria-activedescendant", rowId(id));
      byId(rowId(id))?.classList.add("active");
    }
  }

  #atTop() {
    return this.#root.scrollTop <= 0;
  }

  #countNewer(count) {
    const sum = Number(this.#newer.dataset.count ?? 0) + count;
    this.#newer.dataset.count = sum;
    this.#newer.textContent = `↑ ${sum} newer`;
    this.#newer.hidden = false;
  }

  #sawNewer() {
    this.#newer.dataset.count = 0;
    this.#newer.hidden = true;
  }
}
