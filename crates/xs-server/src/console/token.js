// Asking for the token that a server wants.

import { events, hasToken, setToken } from "./api.js";
import { byId, openDialog } from "./dom.js";

const dialog = byId("token");
const field = byId("token-text");
const failed = byId("token-error");
const forget = byId("forget");

const shown = () => { forget.hidden = !hasToken(); };

events.addEventListener("token", shown);
shown();

events.addEventListener("unauthorized", ({ detail }) => {
  // Other requests that failed for the same reason say nothing new.
  if (dialog.open) return;
  failed.textContent = detail.had ? `That token does not do: ${detail.error.message}` : "";
  if (detail.had) setToken(null);
  openDialog(dialog);
  field.value = "";
  field.focus();
});

byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = field.value.trim();
  // What a header cannot carry is no token.
  if (!/^[\x21-\x7e]+$/.test(token)) {
    failed.textContent = "A token is made of letters, digits and signs, without spaces.";
    field.focus();
    return;
  }
  field.value = "";
  dialog.close();
  setToken(token);
});

forget.addEventListener("click", () => setToken(null));
