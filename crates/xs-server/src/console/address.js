// The address of the page: the filter and the open frame are in it, so that they can be shared, kept,
// and gone back from. They are in its fragment, which no server sees.

/// What the address says: a filter, empty for all topics, and the id of a frame or `null`.
export function readAddress() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  return { topic: parameters.get("topic") ?? "", frame: parameters.get("frame") };
}

/// A browser does not let the address change as fast as keys repeat.
const SETTLE_MS = 150;
let settling = 0;

/// Has the address say it: with `pushState` so that one can go back, with `replaceState` in place,
/// and what the view is by then.
export function writeAddress(view, method) {
  document.title = view.topic === "" ? "xs" : `${view.topic} · xs`;
  clearTimeout(settling);
  if (method === "pushState") write(view, method);
  else settling = setTimeout(() => write(view, method), SETTLE_MS);
}

function write(view, method) {
  const url = new URL(location.href);
  url.hash = new URLSearchParams(Object.entries(view).filter(([, value]) => value)).toString();
  const opened = view.frame !== null && (method === "pushState" || wasOpenedHere());
  history[method]({ opened }, "", url);
}

/// Whether the frame of this address was opened on the page, so that going back closes it.
export const wasOpenedHere = () => history.state?.opened === true;
