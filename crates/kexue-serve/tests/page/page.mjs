// Uses the page in headless Chromium. axe-core checks every state, light and dark, at 1,000 and 360 pixels.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [embedded, writable, closed] = process.argv.slice(2);
const axe = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
let failed = 0;

async function open(address, { hash = "", scheme = "light", width = 1000, locale = "en-GB" } = {}) {
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: 800 }, locale, permissions: ["clipboard-read", "clipboard-write"] });
  const page = await context.newPage();
  page.problems = [];
  page.on("pageerror", error => page.problems.push(error.message));
  page.on("console", message => message.text().includes("Content Security Policy") && page.problems.push(message.text()));
  page.on("request", request => request.url().startsWith(address) || page.problems.push(`a request to ${request.url()}`));
  await page.goto(address + "/" + hash);
  return page;
}

async function check(page, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run());
  assert.deepEqual(violations.map(found => `${found.id}: ${found.nodes.map(node => node.html).join(" ")}`), [], name);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert(over <= 0, `${name} is ${over} pixels too wide`);
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${name}.png`, fullPage: true });
}

async function test(name, body) {
  if (!name.includes(process.env.ONLY || "")) return;
  try {
    await body();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}\n${error.stack}`);
  } finally {
    for (const context of browser.contexts()) await context.close();
  }
}

const answer = page => page.locator(".answer").first();
const says = async (locator, text) => {
  const start = Date.now();
  for (;;) {
    const found = (await locator.allTextContents()).join(" | ");
    if (found.includes(text)) return;
    if (Date.now() - start > 8000) assert.fail(`expected “${text}”, found “${found}”`);
    await new Promise(done => setTimeout(done, 50));
  }
};

const states = {
  home: ["", ".chips a >> nth=0"], answer: ["#q=法国的首都是哪里？", ".answer"], decoding: ["#q=What currency does Japan use?&view=decoding", ".tree"],
  parts: ["#q=capital of France and Germany", ".answer >> nth=2"], unknown: ["#q=中国的国家主席是谁？", ".answer.unknown"], entity: ["#entity=法国", ".facts"],
  about: ["#about=", ".pairs"], missing: ["#entity=nothing", ".problem"],
};
for (const [state, [hash, ready]] of Object.entries(states)) {
  await test(`${state}: no barriers, light and dark, wide and narrow`, async () => {
    for (const scheme of ["light", "dark"]) for (const width of [1000, 360]) {
      const page = await open(embedded, { hash: encodeURI(hash), scheme, width, locale: scheme === "dark" ? "zh-CN" : "en-GB" });
      await page.locator(ready).waitFor();
      await page.waitForTimeout(450);
      await check(page, `${state}-${scheme}-${width}`);
      assert.deepEqual(page.problems, []);
    }
  });
}

await test("a question is asked, and its address is a link to the answer", async () => {
  const page = await open(embedded);
  await page.fill("#question", "法国的首都是哪里？");
  await page.click("#ask");
  await says(answer(page), "巴黎");
  await says(page.locator(".sure"), "%");
  const other = await open(embedded, { hash: new URL(page.url()).hash });
  await says(answer(other), "巴黎");
  await page.goBack();
  await page.locator(".chips a").first().waitFor();
  assert.equal(await page.inputValue("#question"), "");
});

await test("names and relations are typed ahead, by keyboard only", async () => {
  const page = await open(embedded);
  await page.locator(".chips a").first().waitFor();
  for (let tabs = 0; tabs < 12 && !(await page.evaluate(() => document.activeElement.id === "question")); tabs++) await page.keyboard.press("Tab");
  await page.keyboard.type("capital of Austr", { delay: 15 });
  await page.locator("#suggestions li").first().waitFor();
  assert.equal(await page.getAttribute("#question", "aria-expanded"), "true");
  await check(page, "suggestions");
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.getAttribute("#question", "aria-activedescendant"), "option-0");
  assert.equal(await page.getAttribute("#option-0", "aria-selected"), "true");
  await page.keyboard.press("Escape");
  assert.equal(await page.getAttribute("#question", "aria-expanded"), "false");
  await page.fill("#question", "");
  await page.keyboard.type("法国的首", { delay: 15 });
  await says(page.locator("#suggestions"), "法国的首都");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  await says(answer(page), "巴黎");
  for (let tabs = 0; tabs < 20 && !(await page.evaluate(() => document.activeElement.id === "decoding")); tabs++) await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.locator(".tree .won").first().waitFor();
});

await test("the decoding is a tree that leads to the answer", async () => {
  const page = await open(embedded, { hash: encodeURI("#q=What currency does Japan use?") });
  await page.click("#decoding");
  await page.locator(".tree").waitFor();
  assert.equal(await page.getAttribute("#decoding", "aria-expanded"), "true");
  await says(page.locator(".tree .won .leaf"), "Japanese Yen");
  await says(page.locator(".tree .won .forced"), "rrency");
  await says(page.locator(".tree .choice"), "4 allowed");
  assert((await page.locator(".weights tr").count()) > 5);
});

await test("one walks from an object to its own facts", async () => {
  const page = await open(embedded, { hash: encodeURI("#entity=法国") });
  await page.click(".facts a >> text=巴黎");
  await says(page.locator("h1"), "巴黎");
  await says(page.locator(".facts"), "法国");
});

await test("what the service refuses is said, in the language of the page", async () => {
  const page = await open(embedded, { hash: "#q=" + "x".repeat(600) });
  await says(page.locator(".problem"), "512");
  await page.click("#language");
  await says(page.locator(".problem"), "词元");
  assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
});

await test("without a network nothing is lost", async () => {
  const page = await open(embedded);
  await page.locator(".chips a").first().waitFor();
  await page.context().setOffline(true);
  await page.fill("#question", "法国的首都是哪里？");
  await page.click("#ask");
  await says(page.locator(".problem"), "cannot be reached");
  assert.equal(await page.inputValue("#question"), "法国的首都是哪里？");
  await check(page, "offline");
  await page.context().setOffline(false);
  await says(answer(page), "巴黎");
});

async function unlock(page, token = process.env.TOKEN) {
  await page.click("#lock");
  await page.fill("dialog input", token);
  await check(page, "token");
  await page.click("dialog button[type=submit]");
}

await test("an answer is pinned, and the pin undone", async () => {
  const page = await open(writable, { hash: encodeURI("#q=法国的首都是哪里？") });
  await says(answer(page), "巴黎");
  assert.equal(await page.locator("#correct").count(), 0);
  await unlock(page);
  await page.click("#correct");
  await check(page, "correct");
  await page.click("dialog button[type=submit]");
  await page.locator("dialog legend >> text=The right fact").waitFor();
  await check(page, "pin");
  await page.click("dialog label >> text=欧洲");
  await page.click("dialog button[type=submit]");
  await says(answer(page), "欧洲");
  await says(page.locator(".tag"), "pinned");
  await check(page, "pinned");
  await page.click("#undo");
  await says(answer(page), "巴黎");
});

await test("facts are replaced, added and removed, and each is undone", async () => {
  const page = await open(writable, { hash: encodeURI("#entity=法国"), width: 360 });
  await page.locator(".facts").waitFor();
  await unlock(page);
  const facts = page.locator(".facts");
  const row = text => page.locator(".facts tr", { hasText: text });
  await row("首都").locator("button").click();
  await page.fill("dialog textarea", "里昂\n马赛");
  await check(page, "replace");
  await page.click("dialog button[type=submit]");
  await says(facts, "里昂; 马赛");
  await page.click("#undo");
  await says(facts, "巴黎");
  await page.click("#add");
  const fields = page.locator("dialog input");
  await fields.nth(1).fill("国花");
  await fields.nth(2).fill("鸢尾");
  await page.click("dialog button[type=submit]");
  await says(facts, "鸢尾");
  await page.click("#undo");
  await says(page.locator("#toast"), "Undone");
  await row("鸢尾").waitFor({ state: "detached" });
  await row("货币").locator("button").click();
  await page.click("dialog label >> text=does not belong");
  await page.click("dialog button[type=submit]");
  await says(page.locator("#toast"), "Saved");
  await page.locator("#undo").waitFor();
  await row("货币").waitFor({ state: "detached" });
  await page.click("#undo");
  await says(facts, "欧元");
});

await test("a wrong token does not unlock editing", async () => {
  const page = await open(writable, { hash: encodeURI("#entity=法国") });
  await page.locator(".facts").waitFor();
  await unlock(page, "not-a-token-of-this-service");
  await says(page.locator("#toast"), "does not allow changes");
  await page.locator("#lock >> text=Unlock").waitFor();
  assert.equal(await page.locator("#add").count(), 0);
});

await test("a token that is withdrawn while editing locks it again", async () => {
  const page = await open(writable, { hash: encodeURI("#entity=法国") });
  await page.locator(".facts").waitFor();
  await unlock(page);
  await page.locator("#add").waitFor();
  await page.evaluate(() => sessionStorage.setItem("kexue-token", "no-longer-a-token-of-this-service"));
  await page.click("#add");
  const fields = page.locator("dialog input");
  await fields.nth(1).fill("国花");
  await fields.nth(2).fill("鸢尾");
  await page.click("dialog button[type=submit]");
  await says(page.locator("#toast"), "does not know this token");
  await page.locator("#lock >> text=Unlock").waitFor();
  assert.equal(await page.locator("#add").count(), 0);
});

await test("the embedded graph is said to be read-only, with what to do", async () => {
  const page = await open(embedded, { hash: "#about=" });
  await says(page.locator(".pairs"), "--token-file");
  await page.locator("footer >> text=Read-only").waitFor();
  assert.equal(await page.locator("#lock").count(), 0);
  const refused = await page.evaluate(async () => {
    const fact = { subject: "法国", relation: "首都", objects: ["里昂"] };
    const response = await fetch("v1/facts", { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify(fact) });
    return [response.status, response.headers.get("Content-Type"), (await response.json()).detail];
  });
  assert.deepEqual(refused.slice(0, 2), [403, "application/problem+json"]);
  assert(refused[2].includes("--kg GRAPH --token-file TOKENS"), refused[2]);
});

await test("an alias is typed ahead, with its subject", async () => {
  const page = await open(writable, { width: 360 });
  await page.locator(".chips a").first().waitFor();
  await page.locator("#question").pressSequentially("法兰", { delay: 15 });
  await says(page.locator("#suggestions"), "alias of 法国");
  await check(page, "alias");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  assert.equal(await page.inputValue("#question"), "法兰西");
  await page.locator("#question").pressSequentially("的首", { delay: 15 });
  await says(page.locator("#suggestions"), "法兰西的首都");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  await says(answer(page), "巴黎");
});

await test("a closed service asks for a token, says a wrong one is wrong, and can be asked again", async () => {
  const page = await open(closed, { hash: encodeURI("#q=法国的首都是哪里？") });
  await says(page.locator("dialog"), "needs a token");
  await check(page, "login");
  await page.click("dialog button[type=button]");
  await says(page.locator(".problem"), "A valid token is needed");
  await check(page, "login-cancelled");
  await page.click("#again");
  await page.fill("dialog input", "not-a-token-of-this-service");
  await page.click("dialog button[type=submit]");
  await says(page.locator("dialog"), "does not know this token");
  await page.fill("dialog input", process.env.READING);
  await page.click("dialog button[type=submit]");
  await says(answer(page), "巴黎");
  assert.equal(await page.locator("dialog").count(), 0);
  // The token reads and does not write, also after the page is loaded again.
  await page.reload();
  await says(answer(page), "巴黎");
  assert.equal(await page.locator("#correct").count(), 0);
  await page.locator("#question").fill("");
  await page.locator("#question").pressSequentially("法国的首", { delay: 15 });
  await says(page.locator("#suggestions"), "法国的首都");
  assert.deepEqual(page.problems, []);
});

await test("on a closed service, a token that only reads does not unlock editing, and one that writes does", async () => {
  const page = await open(closed, { hash: encodeURI("#entity=法国") });
  await page.fill("dialog input", process.env.READING);
  await page.click("dialog button[type=submit]");
  await page.locator(".facts").waitFor();
  await unlock(page, process.env.READING);
  await says(page.locator("#toast"), "does not allow changes");
  await page.locator(".facts").waitFor();
  assert.equal(await page.locator("#add").count(), 0);
  await unlock(page);
  await page.locator("#add").waitFor();
  // Forgetting the token closes the service again.
  await page.locator("#lock >> text=Lock").click();
  await says(page.locator("dialog"), "needs a token");
});

await browser.close();
if (failed) {
  console.log(`${failed} failed`);
  process.exit(1);
}
