// The stream: what comes, what is shown of it, and what a broken connection costs.

import assert from "node:assert/strict";
import { after, before, beforeEach, afterEach, describe, test } from "node:test";
import { Server, cleanUp, open, until } from "./support.mjs";

after(cleanUp);

describe("the stream", () => {
  let server;
  let it;
  beforeEach(async () => {
    server = await Server.start();
  });
  afterEach(async () => {
    await it.close();
    await server.remove();
  });

  test("frames that are there and frames that come are shown, newest first, each once", async () => {
    const old = await server.append("notes.a", { meta: { n: 1 }, content: "the first line\nthe second" });
    it = await open(server);
    await it.live();
    await it.row(old).waitFor();
    const fresh = await server.append("notes.b", { meta: { n: 2, deep: { list: [1, "two"] } }, ttl: "time:3600000" });
    await it.row(fresh).waitFor();
    const passing = await server.append("notes.c", { meta: '"passing"', ttl: "ephemeral" });
    await it.row(passing).waitFor();
    const ids = await it.ids();
    assert.deepEqual(ids.slice(0, 3), [passing.id, fresh.id, old.id]);
    assert.equal(new Set(ids).size, ids.length);
    // What a row says of its frame.
    await it.says(it.row(old).locator(".snippet"), "the first line");
    const text = await it.row(fresh).textContent();
    for (const part of ["notes.b", "n2", 'deep{"list": [1, "two"]}', "time:3600000", fresh.id.slice(-5)]) assert.ok(text.includes(part), text);
    // The synthetic frames of a follower are not the store's.
    assert.ok(!(await it.topics()).some((topic) => topic === "xs.threshold" || topic === "xs.pulse"));
  });

  test("the time of a frame is that of its id", async () => {
    it = await open(server, { timezoneId: "Asia/Kolkata" });
    const before = Date.now();
    const frame = await server.append("notes");
    const late = Date.now();
    await it.row(frame).locator("time").waitFor();
    const title = await it.row(frame).locator("time").getAttribute("title");
    const shown = Date.parse(title.replace(" +", "+").replace(" ", "T"));
    assert.match(title, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \+05:30$/);
    assert.ok(shown >= before - 1 && shown <= late + 1, `${before} ${shown} ${late}`);
    assert.ok(title.includes(await it.row(frame).locator("time").textContent()));
  });

  test("a filter shows its topics and nothing else", async () => {
    for (const topic of ["a", "a.b", "a.b.c", "ab", "z"]) await server.append(topic);
    it = await open(server);
    await it.live();
    const filter = it.page.getByLabel("Topics to show");
    for (const [text, topics] of [["a.b", ["a.b"]], ["a.*", ["a.b.c", "a.b"]], ["z, a.*", ["z", "a.b.c", "a.b"]]]) {
      await filter.fill(text);
      await until(async () => JSON.stringify(await it.topics()) === JSON.stringify(topics), it.topics);
      await it.live();
      await it.addressSays(new URLSearchParams({ topic: text }));
    }
    const inside = await server.append("a.x");
    await server.append("y");
    await server.append("z");
    await it.row(inside).waitFor();
    await until(async () => (await it.topics())[0] === "z");
    assert.deepEqual(await it.topics(), ["z", "a.x", "z", "a.b.c", "a.b"]);
    // The address keeps it.
    await it.page.reload();
    await it.live();
    assert.equal(await filter.inputValue(), "z, a.*");
    assert.equal((await it.topics()).length, 5);
    await it.page.getByRole("button", { name: "Clear" }).click();
    await until(async () => (await it.topics()).includes("ab"));
  });

  test("a filter that is none is refused in the server's words, and forgotten with the next", async () => {
    const frame = await server.append("a.b");
    it = await open(server, { expected: ["400"] });
    await it.live();
    const filter = it.page.getByLabel("Topics to show");
    await filter.fill("a..b");
    await filter.press("Enter");
    await it.says(it.page.locator("#filter-error"), /topic.*a\.\.b/);
    await it.says(it.state, "Refused");
    assert.equal(await filter.getAttribute("aria-invalid"), "true");
    assert.deepEqual(await it.ids(), []);
    await filter.fill("a.*");
    await it.row(frame).waitFor();
    await it.live();
    assert.equal(await it.page.locator("#filter-error").textContent(), "");
    assert.equal(await filter.getAttribute("aria-invalid"), null);
  });

  test("while paused nothing moves, and nothing is lost", async () => {
    it = await open(server);
    await it.live();
    await it.page.getByRole("button", { name: "Pause" }).click();
    await it.says(it.state, "Paused");
    const before = await it.ids();
    const held = [];
    for (let n = 0; n < 3; n += 1) held.unshift((await server.append("held")).id);
    await it.says(it.page.locator("#pause"), "Resume, 3 new");
    assert.deepEqual(await it.ids(), before);
    await it.page.locator("#pause").click();
    await it.live();
    await until(async () => (await it.ids()).length === before.length + 3);
    assert.deepEqual(await it.ids(), [...held, ...before]);
  });

  test("the list is bounded: the newest stay, older ones come when asked for", async () => {
    const frames = [];
    for (let page = 0; page < 3; page += 1) {
      frames.push(...await server.appendAll(Array.from({ length: 420 }, (_, n) => ({ topic: "many", meta: page * 420 + n }))));
    }
    const newestFirst = frames.map((frame) => frame.id).reverse();
    it = await open(server, { path: "/ui#topic=many" });
    await it.live();
    assert.deepEqual(await it.ids(), newestFirst.slice(0, 200));
    await it.page.getByRole("button", { name: "Show older" }).click();
    await until(async () => (await it.rows.count()) === 500);
    assert.deepEqual(await it.ids(), newestFirst.slice(0, 500));
    await it.page.getByLabel("Show the newest").selectOption("1000");
    await until(async () => (await it.rows.count()) === 1000);
    assert.deepEqual(await it.ids(), newestFirst.slice(0, 1000));
    // More than it holds, at once.
    const more = await server.appendAll(Array.from({ length: 1200 }, (_, n) => ({ topic: "many", meta: n })));
    await it.row(more.at(-1)).waitFor();
    assert.deepEqual(await it.ids(), more.map((frame) => frame.id).reverse().slice(0, 1000));
    await it.page.getByLabel("Show the newest").selectOption("100");
    assert.deepEqual(await it.ids(), more.map((frame) => frame.id).reverse().slice(0, 100));
  });

  test("who reads further down is not moved, and is told of what is new", async () => {
    await server.appendAll(Array.from({ length: 150 }, (_, n) => ({ topic: "many", meta: n })));
    it = await open(server);
    await it.live();
    const list = it.page.locator("#frames");
    await list.evaluate((node) => node.scrollTo(0, 1500));
    const looked = await list.evaluate((node) => {
      const at = node.getBoundingClientRect();
      return document.elementFromPoint(at.left + 60, at.top + 60).closest(".row").id;
    });
    const top = await it.page.locator(`#${looked}`).evaluate((node) => node.getBoundingClientRect().top);
    await server.appendAll(Array.from({ length: 7 }, (_, n) => ({ topic: "fresh", meta: n })));
    await it.page.getByRole("button", { name: "↑ 7 newer" }).waitFor();
    const now = await it.page.locator(`#${looked}`).evaluate((node) => node.getBoundingClientRect().top);
    assert.ok(Math.abs(now - top) < 40, `${top} became ${now}`);
    await it.page.getByRole("button", { name: "↑ 7 newer" }).click();
    await until(() => list.evaluate((node) => node.scrollTop === 0));
    await it.page.locator("#newer").waitFor({ state: "hidden" });
  });
});

describe("a connection that breaks", () => {
  let server;
  before(async () => {
    server = await Server.start();
  });
  after(() => server.remove());

  test("a server that starts again costs no frame and repeats none", async () => {
    // What the browser writes of a server that is not there.
    const it = await open(server, { path: "/ui#topic=n.*", expected: ["ERR_", "503", "502"] });
    await it.live();
    const sent = [];
    for (const [round, signal] of ["SIGTERM", "SIGKILL", "SIGTERM"].entries()) {
      for (let n = 0; n < 5; n += 1) sent.unshift((await server.append(`n.r${round}`, { meta: n })).id);
      await server.stop(signal);
      await it.says(it.state, /Reconnecting|Connecting/);
      await server.run();
      // Before the page is back, and after.
      for (let n = 0; n < 5; n += 1) sent.unshift((await server.append(`n.r${round}`, { meta: n })).id);
      await it.live();
      sent.unshift((await server.append("n.back")).id);
      await until(async () => (await it.ids())[0] === sent[0]);
      assert.deepEqual(await it.ids(), sent);
    }
    await it.close();
  });

  test("where it waits, a person need not", async () => {
    const it = await open(server, { expected: ["ERR_", "503", "502"] });
    await it.live();
    // No chance but the button.
    await it.page.evaluate(() => { Math.random = () => 1e5; });
    await server.stop();
    await it.says(it.state, "Reconnecting");
    await server.run();
    await it.page.getByRole("button", { name: "Retry now" }).click();
    await it.live();
    await it.close();
  });

  test("a page that nobody looks at lets go, and misses nothing", async () => {
    const it = await open(server, { path: null });
    const asked = [];
    let ended = 0;
    it.page.on("request", (request) => request.url().includes("follow=") && asked.push(new URL(request.url())));
    it.page.on("requestfailed", (request) => { ended += request.url().includes("follow="); });
    await it.page.clock.install();
    await it.page.goto(`${server.url}/ui#topic=unseen`);
    await it.live();
    const look = (state) => it.page.evaluate((visibility) => {
      Object.defineProperty(document, "visibilityState", { value: visibility, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, state);
    // Away for a moment only.
    await look("hidden");
    await it.page.clock.runFor(30_000);
    await look("visible");
    assert.equal(ended, 0);
    await look("hidden");
    await it.page.clock.runFor(61_000);
    await until(() => ended === asked.length);
    const before = asked.length;
    await it.page.clock.runFor(600_000);
    assert.equal(asked.length, before);
    const frame = await server.append("unseen");
    await look("visible");
    await until(() => asked.length === before + 1);
    assert.ok(asked.at(-1).searchParams.has("after"));
    await until(async () => {
      await it.page.clock.runFor(20);
      return (await it.rows.count()) === 1;
    });
    assert.deepEqual(await it.ids(), [frame.id]);
    await it.close();
  });

  test("silence is no connection", async () => {
    // The first request is taken, and nothing is said to it; the clock is the test's.
    let asked = 0;
    const it = await open(server, { path: null, expected: ["ERR_"] });
    await it.page.clock.install();
    await it.page.route((url) => url.searchParams.has("follow"), async (route) => {
      asked += 1;
      if (asked > 1) await route.continue();
    });
    await it.page.goto(`${server.url}/ui#topic=quiet`);
    await until(() => asked === 1);
    await it.says(it.state, "Connecting");
    await it.page.clock.runFor(46_000);
    await until(() => asked === 2);
    await it.live();
    await it.close();
  });
});
