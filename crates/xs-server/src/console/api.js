// Requests to the server that gave this page.

// Credentials of the page's own address would make every fetch fail.
const base = new URL("..", import.meta.url);
base.username = "";
base.password = "";

const TOKEN = "xs-token";

/// What the server answered instead of what was asked for.
export class ApiError extends Error {
  constructor(status, message, retryAfter) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    /// Seconds, where the server names them.
    this.retryAfter = retryAfter;
  }

  /// Whether the same request can do later.
  get passes() {
    return this.status >= 500 || this.status === 408 || this.status === 429;
  }
}

export const events = new EventTarget();

// Of this tab only, and gone with it.
export const hasToken = () => sessionStorage.getItem(TOKEN) !== null;

export function setToken(token) {
  if (token === null) sessionStorage.removeItem(TOKEN);
  else sessionStorage.setItem(TOKEN, token);
  events.dispatchEvent(new Event("token"));
}

/// The address of a path, with those parameters that have a value.
export function address(path, parameters = {}) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}

/// A response that is good, or `ApiError`; a `TypeError` when nothing answers.
export async function request(path, { parameters, headers = {}, ...options } = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const all = token === null ? headers : { ...headers, Authorization: `Bearer ${token}` };
  const response = await fetch(address(path, parameters), {
    // What a token was needed for is not to stay in a cache that needs none.
    cache: token === null ? "default" : "no-store",
    // The browser does not ask for passwords: this page does.
    credentials: "omit",
    redirect: "error",
    referrerPolicy: "no-referrer",
    ...options,
    headers: all,
  });
  if (response.ok) return response;
  const error = await refusal(response);
  // One that another request has replaced since is not to blame.
  if (error.status === 401 && token === sessionStorage.getItem(TOKEN)) {
    events.dispatchEvent(new CustomEvent("unauthorized", { detail: { error, had: token !== null } }));
  }
  throw error;
}

async function refusal(response) {
  let message = `the server answers ${response.status} ${response.statusText}`.trimEnd();
  try {
    const text = await response.text();
    message = String(JSON.parse(text).error.message);
  } catch {
    // Not from xs, maybe from a proxy: the status has to do.
  }
  return new ApiError(response.status, message, Number(response.headers.get("retry-after")) || 0);
}

/// A sentence for a person.
export function describe(error) {
  if (error instanceof ApiError) return error.message;
  if (error instanceof TypeError) return "the server does not answer";
  return String(error?.message ?? error);
}

/// The lines of a body, those of each piece that comes together. What follows the last line break
/// is a line too. A long line costs its own length once, not again for each piece.
export async function* lines(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let parts = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const text = done ? decoder.decode() : decoder.decode(value, { stream: true });
      const pieces = text.split("\n");
      const last = pieces.pop();
      if (pieces.length > 0) {
        pieces[0] = parts.join("") + pieces[0];
        parts = [];
      }
      if (last !== "") parts.push(last);
      if (done && parts.length > 0) pieces.push(parts.join(""));
      if (pieces.length > 0 || !done) yield pieces;
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
