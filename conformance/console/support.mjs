// A server of its own for each test, and the browser that they share.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";
import { chromium } from "playwright-core";

const XS = process.env.XS_BIN;
/// Long for a machine that is busy, short for a person who waits for a failure.
export const PATIENCE_MS = 60_000;

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

const servers = new Set();

/// `xs serve` on a store that is gone at the end.
export class Server {
  static async start({ tokens } = {}) {
    const it = new Server();
    it.directory = await mkdtemp(join(tmpdir(), "xs-console-"));
    it.port = await freePort();
    it.url = `http://127.0.0.1:${it.port}`;
    if (tokens !== undefined) {
      it.tokenFile = join(it.directory, "tokens");
      await writeFile(it.tokenFile, tokens, { mode: 0o600 });
    }
    servers.add(it);
    await it.run();
    return it;
  }

  /// Starts it, again at the same place after `stop`.
  async run() {
    const tokens = this.tokenFile === undefined ? [] : ["--token-file", this.tokenFile];
    const command = ["serve", join(this.directory, "store"), "--expose", `127.0.0.1:${this.port}`, ...tokens];
    this.child = spawn(XS, command, { stdio: ["ignore", "ignore", "pipe"] });
    let log = "";
    this.child.stderr.on("data", (data) => { log = (log + data).slice(-8000); });
    this.ended = once(this.child, "exit");
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      if (this.child.exitCode !== null || Date.now() > end) throw new Error(`xs does not serve:\n${log}`);
      const answer = await fetch(`${this.url}/version`).catch(() => null);
      await answer?.arrayBuffer();
      if (answer !== null && answer.status < 500) return;
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
  }

  async stop(signal = "SIGTERM") {
    this.child.kill(signal);
    await this.ended;
  }

  /// Ends it and removes the store.
  async remove() {
    servers.delete(this);
    if (this.child.exitCode === null && this.child.signalCode === null) await this.stop();
    await rm(this.directory, { recursive: true, force: true });
  }

  /// Appends a frame over HTTP.
  async append(topic, { meta, ttl, content = "", token } = {}) {
    const headers = meta === undefined ? {} : { "xs-meta": Buffer.from(typeof meta === "string" ? meta : JSON.stringify(meta)).toString("base64") };
    if (token !== undefined) headers.authorization = `Bearer ${token}`;
    const query = ttl === undefined ? "" : `?ttl=${ttl}`;
    const answer = await fetch(`${this.url}/append/${topic}${query}`, { method: "POST", headers, body: content });
    const text = await answer.text();
    assert.equal(answer.status, 200, text);
    return JSON.parse(text);
  }

  /// Many frames in one append.
  async appendAll(frames, token) {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const body = frames.map((frame) => `${JSON.stringify(frame)}\n`).join("");
    const answer = await fetch(`${this.url}/append`, { method: "POST", headers, body });
    const text = await answer.text();
    assert.equal(answer.status, 200, text);
    return text.trim().split("\n").map((line) => JSON.parse(line));
  }

  /// The newest frame of a topic.
  async last(topic) {
    return (await fetch(`${this.url}/last/${topic}`)).json();
  }
}

let shared;

/// Chromium; one for all tests of a file.
export function browser() {
  shared ??= chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  return shared;
}

/// At the end of a file: also what a test that failed has left.
export async function cleanUp() {
  await (await shared)?.close();
  await Promise.all([...servers].map((server) => server.remove()));
}

/// A page in a profile of its own. What its console says is kept: `errors` are to be none but those
/// that the browser itself writes for a status that `expected` names.
export async function open(server, { path = "/ui", expected = [], ...options } = {}) {
  const context = await (await browser()).newContext({ viewport: { width: 1360, height: 800 }, ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(`${error}`));
  page.on("dialog", (dialog) => {
    errors.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("console", (message) => {
    const known = expected.some((text) => message.text().includes(text));
    if (["error", "warning"].includes(message.type()) && !known) errors.push(message.text());
  });
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (!["blob:", "data:"].includes(protocol) && origin !== server.url) errors.push(`a request to ${request.url()}`);
  });
  const it = {
    page,
    errors,
    state: page.locator("#state-text"),
    rows: page.locator("#frames .row"),
    detail: page.locator("#detail"),
    /// The ids in the list, newest first.
    ids: () => page.$$eval("#frames .row", (rows) => rows.map((row) => row.id.slice("frame-".length))),
    topics: () => page.$$eval("#frames .row > .topic", (all) => all.map((one) => one.textContent)),
    row: (frame) => page.locator(`#frame-${frame.id}`),
    /// What the address keeps.
    addressSays: (parameters) => until(() => new URL(page.url()).hash.slice(1) === `${parameters}`, async () => `${parameters} in ${page.url()}`),
    live: () => it.says(it.state, "Live"),
    says: (locator, text) => until(async () => {
      const shown = (await locator.textContent()) ?? "";
      return text instanceof RegExp ? text.test(shown) : shown === text;
    }, () => locator.textContent().then((shown) => `expected ${text}, it is ${JSON.stringify(shown).slice(0, 400)}`)),
    async close() {
      await context.close();
      assert.deepEqual(errors, []);
    },
  };
  if (path !== null) await page.goto(`${server.url}${path}`);
  return it;
}

/// Waits for what is to come.
export async function until(check, describe = async () => `${check}`) {
  const end = Date.now() + PATIENCE_MS;
  while (!(await check())) {
    if (Date.now() > end) assert.fail(`it did not come: ${await describe()}`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

/// A PNG of some hills, with a comment.
export function png(width, height, comment) {
  const hills = [[0.42, 31, [178, 201, 190]], [0.58, 47, [116, 158, 146]], [0.74, 23, [64, 112, 104]], [0.9, 61, [28, 66, 64]]];
  const rows = Buffer.alloc(height * (1 + width * 3));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      let colour = [236, 222 - Math.floor((y * 8) / height) * 3, 190];
      for (const [level, period, hill] of hills) {
        if (y > height * (level + 0.06 * Math.sin((x + period) / period) + 0.03 * Math.cos(x / (period / 3)))) colour = hill;
      }
      rows.set(colour, y * (1 + width * 3) + 1 + x * 3);
    }
  }
  const chunk = (name, data) => {
    const body = Buffer.concat([Buffer.from(name), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc32(body), body.length + 4);
    return out;
  };
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  const magic = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const text = comment === undefined ? [] : [chunk("tEXt", Buffer.from(`Comment\0${comment}`))];
  return Buffer.concat([magic, chunk("IHDR", header), ...text, chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}
