// The bound of what the page keeps.

/// Frames in the list at most, whatever is asked for.
export const FRAMES_MAX = 1000;
/// Characters of frames at most: a meta may be as long as a mebibyte.
const TEXT_MAX = 32 * 1024 * 1024;

/// How many of `frames`, newest last, lie beyond the bounds, counted from the oldest. The newest one
/// never does.
export function excess(frames, count) {
  let first = Math.max(0, frames.length - count);
  let text = 0;
  for (let at = frames.length - 1; at >= first; at -= 1) {
    text += frames[at].text.length;
    if (text > TEXT_MAX && at < frames.length - 1) first = at + 1;
  }
  return first;
}

/// The newest frames of those that came.
export class Recent {
  #frames = [];
  #text = 0;

  constructor(count) {
    this.count = count;
  }

  get length() {
    return this.#frames.length;
  }

  push(frames) {
    for (const frame of frames) this.#text += frame.text.length;
    this.#frames.push(...frames);
    // Not at each frame: what goes is moved at once.
    if (this.#frames.length >= 2 * this.count || this.#text > TEXT_MAX) this.#trim();
  }

  /// All of them, oldest first; none are left.
  take() {
    this.#trim();
    const frames = this.#frames;
    this.#frames = [];
    this.#text = 0;
    return frames;
  }

  #trim() {
    this.#frames.splice(0, excess(this.#frames, this.count));
    this.#text = this.#frames.reduce((sum, frame) => sum + frame.text.length, 0);
  }
}
