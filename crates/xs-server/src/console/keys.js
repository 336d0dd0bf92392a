// The keyboard.

import { byId } from "./dom.js";

const LETTERS = "xs-letters";
const letters = byId("letters");

// A person who speaks to the computer, or whose hands shake, can do without letters that act.
letters.checked = localStorage.getItem(LETTERS) !== "off";
letters.addEventListener("change", () => localStorage.setItem(LETTERS, letters.checked ? "on" : "off"));

/// Whether keys go into a text there.
const isTyping = (node) => node?.matches?.("input, textarea, select, [contenteditable]") ?? false;

/// Runs what a key is for, where it means nothing else.
export function shortcuts(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
    if (isTyping(event.target) || document.querySelector("dialog[open]") !== null) return;
    const action = actions[event.key];
    if (action === undefined || (event.key.length === 1 && !letters.checked)) return;
    // Elsewhere these keys press, scroll, or choose.
    const inList = event.target === byId("frames") || event.target === document.body;
    if (!inList && event.key.length > 1 && event.key !== "Escape") return;
    event.preventDefault();
    action();
  });
}
