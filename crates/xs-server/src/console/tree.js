// A JSON value as a tree to open and close. Branches are filled when they are opened, a page at a
// time, so that a large value costs what of it is looked at.

import { button, el } from "./dom.js";
import { compact, isBranch, kindOf, leafText } from "./json.js";

const PAGE = 100;
/// Branches up to this depth and size start open.
const OPEN_DEPTH = 2;
const OPEN_ENTRIES = 20;
/// A longer string is cut off until asked for.
const STRING_MAX = 500;

export function jsonTree(value, label) {
  const root = el("div", { class: "tree", role: "group", "aria-label": label }, node(null, value, 0));
  root.addEventListener("keydown", (event) => arrows(event, root));
  return root;
}

function node(key, value, depth) {
  if (!isBranch(value)) return el("div", { class: "leaf" }, ...keyOf(key), leaf(value));
  const entries = kindOf(value) === "array" ? value.map((item, at) => [at, item]) : Object.entries(value);
  const [before, after] = kindOf(value) === "array" ? ["[", "]"] : ["{", "}"];
  if (entries.length === 0) return el("div", { class: "leaf" }, ...keyOf(key), `${before}${after}`);
  const what = `${before}${entries.length}${after}`;
  const summary = el("summary", {}, ...keyOf(key), el("span", { class: "size" }, what),
    el("span", { class: "glimpse" }, compact(value, 80)));
  const inside = el("div", { class: "inside" });
  const details = el("details", {}, summary, inside);
  const fill = () => {
    if (inside.firstChild === null) page(inside, entries, 0, depth + 1);
  };
  // The event comes later than the attribute: what starts open is there from the start.
  details.addEventListener("toggle", () => details.open && fill());
  if (depth < OPEN_DEPTH && entries.length <= OPEN_ENTRIES) {
    fill();
    details.open = true;
  }
  return details;
}

function page(inside, entries, from, depth) {
  for (const [key, value] of entries.slice(from, from + PAGE)) inside.append(node(key, value, depth));
  const left = entries.length - from - PAGE;
  if (left > 0) {
    const more = button(`${Math.min(left, PAGE)} more of ${left}`, () => {
      page(inside, entries, from + PAGE, depth);
      const next = more.nextElementSibling;
      more.remove();
      (next?.querySelector("summary, button") ?? inside.closest("details")?.firstChild)?.focus();
    }, { class: "quiet" });
    inside.append(more);
  }
}

const keyOf = (key) => (key === null ? [] : [el("span", { class: "key" }, String(key)), ": "]);

function leaf(value) {
  const text = leafText(value);
  const shown = el("span", { class: `value ${kindOf(value)}` }, text);
  if (text.length <= STRING_MAX) return shown;
  shown.textContent = `${text.slice(0, STRING_MAX)}…`;
  const all = button(`all ${text.length} characters`, () => {
    shown.textContent = text;
    all.remove();
  }, { class: "quiet" });
  return el("span", {}, shown, " ", all);
}

/// Left closes, right opens, up and down move between branches.
function arrows(event, root) {
  const summary = event.target.closest("summary");
  if (summary === null || event.altKey || event.ctrlKey || event.metaKey) return;
  const details = summary.parentElement;
  const move = (to) => {
    if (to) to.focus();
  };
  if (event.key === "ArrowRight") details.open = true;
  else if (event.key === "ArrowLeft" && details.open) details.open = false;
  else if (event.key === "ArrowLeft") move(details.parentElement.closest("details")?.firstChild);
  else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const seen = [...root.querySelectorAll("summary")].filter((one) => one.checkVisibility?.() ?? true);
    move(seen[seen.indexOf(summary) + (event.key === "ArrowDown" ? 1 : -1)]);
  } else return;
  event.preventDefault();
  event.stopPropagation();
}
