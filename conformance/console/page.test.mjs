// The page as a page: topics, keys, small windows, colours, and what it is allowed to do.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { Server, cleanUp, open, until } from "./support.mjs";

after(cleanUp);

describe("the page", () => {
  let server;
  let it;
  let frames;
  before(async () => {
    server = await Server.start();
    frames = [];
    for (let n = 0; n < 8; n += 1) frames.push(await server.append(["notes.todo", "sensor.kitchen"][n % 2], { meta: { n, note: "lorem ipsum dolor sit amet ".repeat(6) }, content: `line ${n}` }));
    frames.push(await server.append(`long.${"abcdefghij".repeat(12)}`, { meta: { [`key-${"x".repeat(120)}`]: "y".repeat(400) }, content: "w".repeat(3000) }));
  });
  after(() => server.remove());
  afterEach(() => it.close());

  const focused = () => it.page.evaluate(() => document.activeElement.id || document.activeElement.textContent || document.activeElement.tagName);

  test("topics have their last activity, and filter the stream", async () => {
    it = await open(server);
    await it.live();
    const topics = it.page.locator("#topics-list button");
    await until(async () => (await topics.count()) === 4, () => topics.allTextContents());
    const names = () => it.page.locator("#topics-list .topic").allTextContents();
    assert.ok((await names())[0].startsWith("long."), `${await names()}`);
    await it.page.getByRole("button", { name: "by name" }).click();
    assert.deepEqual((await names()).toSorted(), await names());
    await it.page.getByRole("button", { name: "by name" }).click();
    assert.match(await topics.first().locator("time").textContent(), /^(now|\d+[sm])$/);
    const todo = it.page.getByRole("button", { name: /^notes\.todo/ });
    await todo.click();
    await until(async () => (await it.topics()).every((topic) => topic === "notes.todo") && (await it.rows.count()) === 4);
    assert.equal(await todo.getAttribute("aria-pressed"), "true");
    await it.page.getByRole("button", { name: /^sensor\.kitchen/ }).click({ modifiers: ["Shift"] });
    await until(async () => (await it.rows.count()) === 8);
    assert.equal(await it.page.getByLabel("Topics to show").inputValue(), "notes.todo,sensor.kitchen");
    await todo.click();
    await todo.click();
    assert.equal(await it.page.getByLabel("Topics to show").inputValue(), "");
    // One that comes new is there without asking again, in its place.
    await server.append("appeared");
    await until(async () => (await names())[0] === "appeared", names);
    await it.page.getByLabel("Topics that start with").fill("se");
    await until(async () => (await names()).join() === "sensor.kitchen", names);
  });

  test("everything is reached by keys", async () => {
    it = await open(server, { path: "/ui#topic=notes.todo,sensor.kitchen" });
    await it.live();
    const { keyboard } = it.page;
    const newest = frames.slice(0, 8).reverse();
    const active = () => it.page.locator("#frames").getAttribute("aria-activedescendant");
    // The first stop leads past the bar.
    await keyboard.press("Tab");
    assert.equal(await focused(), "Skip to the frames");
    await keyboard.press("Enter");
    assert.equal(await focused(), "frames");
    assert.equal(await active(), `frame-${newest[0].id}`);
    await keyboard.press("j");
    await keyboard.press("ArrowDown");
    await keyboard.press("k");
    assert.equal(await active(), `frame-${newest[1].id}`);
    await keyboard.press("End");
    assert.equal(await active(), `frame-${newest.at(-1).id}`);
    await keyboard.press("Home");
    await keyboard.press("j");
    await keyboard.press("Enter");
    await until(async () => (await it.detail.textContent()).includes(newest[1].id));
    assert.equal(await focused(), "detail-title");
    assert.equal(await it.row(newest[1]).getAttribute("aria-selected"), "true");
    // The detail goes along.
    await keyboard.press("j");
    await until(async () => (await it.detail.textContent()).includes(newest[2].id));
    await it.says(it.detail.getByLabel("Content as text"), "line 5");
    await keyboard.press("Escape");
    await it.detail.waitFor({ state: "hidden" });
    assert.equal(await focused(), "frames");
    await keyboard.press("/");
    assert.equal(await focused(), "filter");
    await keyboard.press("Control+a");
    await keyboard.type("sensor.*");
    await keyboard.press("Enter");
    await until(async () => (await it.rows.count()) === 4);
    await keyboard.press("ArrowDown");
    assert.equal(await focused(), "frames");
    await keyboard.press("p");
    await it.says(it.state, "Paused");
    await keyboard.press("p");
    await it.live();
    await keyboard.press("a");
    await it.page.getByRole("dialog", { name: "Append a frame" }).waitFor();
    await keyboard.press("Escape");
    await keyboard.press("?");
    await it.page.getByRole("dialog", { name: "Keyboard" }).waitFor();
    // Letters can be switched off.
    await it.page.getByLabel("Letters work as shortcuts").uncheck();
    await keyboard.press("Escape");
    await keyboard.press("a");
    await keyboard.press("ArrowDown");
    assert.equal(await it.page.getByRole("dialog").count(), 0);
    // Every control is a stop, and shows that it is.
    const stops = new Set();
    await it.page.evaluate(() => document.activeElement.blur());
    for (let n = 0; n < 40; n += 1) {
      await keyboard.press("Tab");
      stops.add(await focused());
      const ring = await it.page.evaluate(() => {
        const at = document.activeElement;
        const shown = at.id === "frames" ? at.querySelector(".row.active") : at;
        return at === document.body || getComputedStyle(shown).outlineStyle === "solid";
      });
      assert.ok(ring, await focused());
    }
    for (const stop of ["filter", "pause", "append-open", "help-open", "topics-order", "topics-prefix", "frames", "limit"]) assert.ok(stops.has(stop), `${stop} in ${[...stops]}`);
  });

  test("what is there has a name and a role", async () => {
    it = await open(server);
    await it.live();
    await it.row(frames[0]).click();
    await it.detail.locator(".preview pre").waitFor();
    const nameless = await it.page.evaluate(() => [...document.querySelectorAll("button, input, select, textarea, [role]")]
      .filter((node) => node.getClientRects().length > 0)
      .filter((node) => !(node.getAttribute("aria-label") || node.getAttribute("aria-labelledby") || node.labels?.length || node.textContent.trim()
        || ["status", "alert"].includes(node.getAttribute("role"))))
      .map((node) => node.outerHTML.slice(0, 120)));
    assert.deepEqual(nameless, []);
    const ids = await it.page.evaluate(() => [...document.querySelectorAll("[id]")].map((node) => node.id));
    assert.equal(new Set(ids).size, ids.length);
    const landmarks = await it.page.evaluate(() => ["main", "nav", "header", "h1", "[role=search]", "[role=listbox]"].map((one) => document.querySelectorAll(one).length));
    assert.deepEqual(landmarks, [1, 1, 1, 1, 1, 1]);
  });

  for (const [width, height] of [[360, 640], [320, 568], [768, 1024], [1024, 700], [1920, 1080]]) {
    test(`a window of ${width} pixels needs no scrolling sideways`, async () => {
      it = await open(server, { viewport: { width, height }, hasTouch: width < 700, isMobile: width < 700 });
      await it.live();
      const fits = async (what) => {
        const wide = await it.page.evaluate(() => {
          const limit = document.documentElement.clientWidth;
          const beyond = [...document.querySelectorAll("body *")].filter((node) => {
            const at = node.getBoundingClientRect();
            const seen = node.checkVisibility() && at.width > 1 && getComputedStyle(node).clipPath === "none";
            // What a parent cuts off or scrolls is where it belongs.
            return seen && at.right > limit + 1 && ![...parents(node)].some((one) => getComputedStyle(one).overflowX !== "visible");
          });
          function* parents(node) {
            for (let at = node.parentElement; at !== null; at = at.parentElement) yield at;
          }
          for (const node of document.querySelectorAll("dialog, .detail, .topics, #topics-list, .frames, .foot")) {
            if (node.checkVisibility() && node.scrollWidth > node.clientWidth) beyond.push(node);
          }
          return [document.documentElement.scrollWidth - limit, ...beyond.map((node) => node.outerHTML.slice(0, 90))];
        });
        assert.deepEqual(wide, [0], what);
        assert.equal(await it.page.evaluate(() => document.documentElement.scrollHeight - document.documentElement.clientHeight), 0, `${what}, downwards`);
      };
      await fits("the list");
      if (width < 680) {
        await it.page.getByRole("button", { name: "Topics", exact: true }).click();
        await it.page.getByRole("button", { name: /^notes\.todo/ }).waitFor();
        await fits("topics");
        await it.page.getByRole("button", { name: "Topics", exact: true }).click();
      }
      for (const frame of [frames[0], frames.at(-1)]) {
        await it.row(frame).click();
        await it.detail.getByLabel("Content as text").waitFor();
        await fits("the detail");
        if (width < 900) {
          // A sheet: what it covers is out of reach.
          assert.equal(await it.page.locator(".stream").evaluate((node) => node.inert), true);
          await it.detail.getByRole("button", { name: "Close", exact: true }).click();
          await it.detail.waitFor({ state: "hidden" });
          assert.equal(await it.page.locator(".stream").evaluate((node) => node.inert), false);
        }
      }
      await it.page.getByRole("button", { name: "Append", exact: true }).click();
      await it.page.getByRole("dialog").getByLabel("Kept").selectOption("time");
      await fits("the form");
    });
  }

  test("it is light and dark, each with enough contrast", async () => {
    const grounds = [];
    for (const colorScheme of ["light", "dark"]) {
      it = await open(server, { colorScheme });
      await it.live();
      await it.row(frames[0]).click();
      await it.detail.getByLabel("Content as text").waitFor();
      await it.page.keyboard.press("a");
      await it.page.getByRole("dialog", { name: "Append a frame" }).waitFor();
      const found = await it.page.evaluate(() => {
        const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
        const colour = (text, over) => {
          canvas.clearRect(0, 0, 1, 1);
          if (over) {
            canvas.fillStyle = over;
            canvas.fillRect(0, 0, 1, 1);
          }
          canvas.fillStyle = text;
          canvas.fillRect(0, 0, 1, 1);
          return [...canvas.getImageData(0, 0, 1, 1).data];
        };
        const light = ([r, g, b]) => [[r, 0.2126], [g, 0.7152], [b, 0.0722]].reduce((sum, [part, weight]) => {
          const level = part / 255;
          return sum + weight * (level <= 0.04045 ? level / 12.92 : ((level + 0.055) / 1.055) ** 2.4);
        }, 0);
        const ground = (node) => {
          for (let at = node; at !== null; at = at.parentElement) {
            const { backgroundColor } = getComputedStyle(at);
            if (colour(backgroundColor)[3] === 255) return backgroundColor;
          }
          return "white";
        };
        const low = [];
        for (const node of document.querySelectorAll("body *")) {
          const writes = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim() !== "");
          if (!(writes || node.placeholder) || !node.checkVisibility({ visibilityProperty: true })) continue;
          const below = ground(node);
          const text = node.placeholder ? getComputedStyle(node, "::placeholder").color : getComputedStyle(node).color;
          const [a, b] = [light(colour(text, below)), light(colour(below))];
          const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
          if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${node.outerHTML.slice(0, 100)}`);
        }
        return { low, ground: light(colour(getComputedStyle(document.body).backgroundColor)) };
      });
      assert.deepEqual(found.low, [], colorScheme);
      grounds.push(found.ground);
      if (colorScheme === "light") await it.close();
    }
    assert.ok(grounds[0] > 0.8 && grounds[1] < 0.05, `${grounds}`);
  });

  test("who wants no motion sees none", async () => {
    it = await open(server, { reducedMotion: "reduce", viewport: { width: 360, height: 640 } });
    await it.live();
    await it.row(frames[0]).click();
    const moving = await it.page.evaluate(() => document.getAnimations().length);
    assert.equal(moving, 0);
  });

  test("its files may do no more than they need, and are asked for again only when they changed", async () => {
    it = await open(server, { expected: ["Content Security Policy", "TrustedScript"] });
    await it.live();
    const answer = await fetch(`${server.url}/ui`);
    const html = await answer.text();
    const policy = answer.headers.get("content-security-policy");
    for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]) assert.ok(policy.includes(part), policy);
    assert.ok(!policy.includes("unsafe"), policy);
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
    assert.equal(answer.headers.get("referrer-policy"), "no-referrer");
    assert.match(answer.headers.get("content-type"), /^text\/html; *charset=utf-8$/i);
    assert.ok(!/<script(?![^>]* src=)|<style|\son[a-z]+=|\sstyle=|https?:/.test(html));
    // What did get in would not run.
    assert.equal(await it.page.evaluate(async () => {
      const script = document.createElement("script");
      try {
        script.textContent = "window.ran = true";
      } catch {
        // Where markup has to be trusted first, it does not come this far.
      }
      document.body.append(script);
      return window.ran ?? false;
    }), false);
    for (const file of ["app.js", "style.css", "icon.svg"]) {
      const first = await fetch(`${server.url}/ui/${file}`);
      assert.equal(first.status, 200);
      await first.arrayBuffer();
      assert.ok(first.headers.get("etag") !== null && /no-cache/.test(first.headers.get("cache-control")), file);
    }
    const missing = await fetch(`${server.url}/ui/..%2f..%2fCargo.toml`);
    assert.equal(missing.status, 404);
    await missing.arrayBuffer();
  });
});
