// The views of the page: asking, answers, entities, editing. Every view has its own address after the #.

import { Problem, call, change, query, session } from "./api.js";
import { fill, h, percent, track } from "./dom.js";
import { decodingTree, weights } from "./tree.js";
import { languages } from "./texts.js";

const $ = id => document.getElementById(id);
const [view, input, list] = [$("view"), $("question"), $("suggestions")];
let words = languages.en;
let about = null;

// ---- Addresses: #q=…, #q=…&view=decoding, #entity=…, #about

const place = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const to = values => "#" + new URLSearchParams(values);
const toEntity = name => to({ entity: name });

function go(values) {
  const target = to(values);
  if (location.hash === target) show();
  else location.hash = target;
}

// ---- Language and theme

function setLanguage(language) {
  session.language = language;
  localStorage.setItem("kexue-language", language);
  words = languages[language];
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = words[element.dataset.text];
  input.placeholder = words.placeholder;
  input.setAttribute("aria-label", words.question);
  list.setAttribute("aria-label", words.found(2));
  drawTools();
}

function setTheme(theme) {
  localStorage.setItem("kexue-theme", theme);
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  drawTools();
}

function drawTools() {
  const theme = localStorage.getItem("kexue-theme") || "auto";
  const next = { auto: "light", light: "dark", dark: "auto" }[theme];
  const names = { auto: words.themeAuto, light: words.themeLight, dark: words.themeDark };
  fill($("tools"),
    lockButton(),
    h("a", { href: to({ about: "" }) }, words.about),
    h("button", { class: "plain", id: "language", lang: session.language === "zh" ? "en" : "zh", onclick: () => { setLanguage(session.language === "zh" ? "en" : "zh"); $("language").focus(); show(); } }, words.language),
    h("button", { class: "plain", id: "theme", "aria-label": names[theme], title: names[theme], onclick: () => { setTheme(next); $("theme").focus(); } }, { auto: "◐", light: "☀", dark: "☾" }[theme]));
  fill($("foot"), about && h("span", {}, `Kexue ${about.version}`), about && h("span", {}, words.facts(about.graph.facts.toLocaleString(document.documentElement.lang))), about && !about.writable && h("a", { href: to({ about: "" }) }, words.readOnly), h("a", { href: "openapi.json" }, words.api));
}

/** Unlocks editing or locks it again; for a token that only reads, forgets it. */
function lockButton() {
  const [text, act] = about?.may_write ? [words.lock, forget] : about?.writable ? [words.unlock, unlock] : session.token ? [words.forget, forget] : [];
  return text && h("button", { class: "plain", id: "lock", onclick: act }, text);
}

function forget() {
  session.token = "";
  refresh();
}

async function unlock() {
  const before = session.token;
  if (!await askToken(words.tokenLead)) return;
  await show();
  if (!about || about.may_write) return;
  session.token = before;
  toast(words.noWrite);
  refresh();
}

// ---- Messages

function say(text) { $("status").textContent = text; }

let toastTimer;
function toast(text, undo) {
  clearTimeout(toastTimer);
  const close = () => { $("toast").hidden = true; };
  fill($("toast"), h("span", {}, text),
    undo && h("button", { id: "undo", onclick: () => { close(); undo(); } }, words.undo),
    h("button", { "aria-label": words.close, onclick: close }, "✕"));
  $("toast").hidden = false;
  // A message with an undo button stays until it is closed.
  if (!undo) toastTimer = setTimeout(close, 4000);
}

function problemCard(error, retry) {
  const isKnown = error instanceof Problem;
  const title = isKnown ? error.message : words.offline;
  const mayHelp = !isKnown || error.status >= 429 || [401, 408].includes(error.status);
  say(title);
  return h("section", { class: "card problem" },
    h("h1", {}, title), h("p", {}, !isKnown ? words.offlineDetail : error.status === 401 ? words.tokenNeeded : error.detail),
    h("div", { class: "row" }, mayHelp && h("button", { class: "primary", id: "again", onclick: retry }, error.status === 401 ? words.enterToken : words.again), h("a", { href: "#" }, words.home)));
}

// ---- Views

let turn = 0;

async function show() {
  const mine = ++turn;
  const at = place();
  closeList();
  document.body.classList.toggle("home", !location.hash.slice(1));
  try {
    if (!about) {
      about = await call("GET", "v1/model");
      drawTools();
    }
    const drawn = await draw(at, () => mine === turn);
    if (mine !== turn) return;
    fill(view, drawn.body);
    document.title = drawn.title ? `${drawn.title} – Kexue` : "Kexue";
    drawn.after?.();
  } catch (error) {
    if (mine !== turn || error.name === "AbortError") return;
    if (error.status === 401) {
      const lead = session.token ? words.badToken : words.tokenNeeded;
      session.token = "";
      drawTools();
      if (await askToken(lead)) return show();
      if (mine !== turn) return;
    }
    fill(view, problemCard(error, show));
  } finally {
    if (mine === turn) document.body.classList.remove("busy");
  }
}

function draw(at, isCurrent) {
  if (at.q !== undefined) return drawAnswer(at.q, at.view === "decoding", isCurrent);
  if (at.entity !== undefined) return drawEntity(at.entity);
  if (at.about !== undefined) return drawAbout();
  input.value = "";
  return drawHome();
}

function drawHome() {
  return {
    body: [
      h("section", { class: "hero" }, h("h1", {}, words.title), h("p", {}, words.lead), about.embedded && h("p", {}, words.leadEmbedded)),
      h("section", { class: "examples" }, h("h2", {}, words.examples),
        h("ul", { class: "chips" }, about.examples.map(question => h("li", {}, h("a", { href: to({ q: question }) }, question))))),
    ],
    after: () => say(""),
  };
}

const fullSubject = fact => fact.sense ? `${fact.subject}（${fact.sense}）` : fact.subject;

function factLine(fact) {
  const dot = () => h("span", { class: "dot", "aria-hidden": "true" }, " · ");
  return h("span", { class: "fact" }, h("a", { href: toEntity(fullSubject(fact)) }, fullSubject(fact)), dot(), fact.relation, dot(), fact.objects.join("; "));
}

function sureness(confidence) {
  const steps = [[0.95, words.certain], [0.8, words.confident], [0.5, words.likely], [0.25, words.doubtful], [0, words.guess]];
  return steps.find(([least]) => confidence >= least)[1];
}

function whyUnknown(answer) {
  if (answer.composite) return null;
  if (answer.lacking >= 0.25) return words.lacks(percent(answer.lacking));
  return answer.candidates.length ? words.low(percent(answer.confidence)) : null;
}

function compositeText(answer) {
  // Parts that are not asked by themselves, such as a name within another.
  const kind = answer.composite === "several_subjects" && !answer.parts ? "other" : answer.composite;
  return kind && (words.composite[kind] || words.composite.other);
}

async function drawAnswer(question, withDecoding, isCurrent) {
  input.value = question;
  say(words.asking);
  document.body.classList.add("busy");
  const answer = await call("POST", "v1/ask", { question, top: 8, explain: withDecoding });
  if (!isCurrent()) return {};
  return {
    title: question,
    body: [
      answerCard(answer, true),
      answer.parts?.map(part => answerCard(part, false)),
      !answer.parts && withDecoding && decodingCard(answer),
      runnersUp(answer),
    ],
    after: () => say(spoken(answer)),
  };
}

function spoken(answer) {
  if (answer.parts) return `${compositeText(answer)} ${answer.parts.map(spoken).join(" ")}`;
  const best = answer.candidates[0];
  return answer.known && best ? `${best.objects.join("; ")}. ${fullSubject(best)}, ${best.relation}. ${words.confidence} ${percent(answer.confidence)}.` : `${words.unknown}. ${whyUnknown(answer) || ""}`;
}

function answerCard(answer, isWhole) {
  const best = answer.candidates[0];
  const isJoined = Boolean(answer.parts);
  const title = isWhole ? "h1" : "h2";
  const text = answer.known && best
    ? best.objects.length > 3 ? h("ul", {}, best.objects.map(object => h("li", {}, object))) : best.objects.join("; ")
    : words.unknown;
  const composite = compositeText(answer);
  return h("section", { class: "card answer-slot" },
    h("p", { class: "asked" }, answer.question),
    isJoined ? h("h1", { class: "answer" }, words.each)
      : typeof text === "string" ? h(title, { class: answer.known ? "answer" : "answer unknown" }, text) : h("div", { class: "answer" }, h(title, { class: "unseen" }, best.objects.join("; ")), text),
    !isJoined && answer.known && best && h("p", {}, factLine(best), answer.pinned && [" ", h("span", { class: "tag" }, words.pinned)]),
    !isJoined && !answer.known && whyUnknown(answer) && h("p", { class: "reason" }, whyUnknown(answer)),
    !isJoined && !answer.known && best && h("p", { class: "small reason" }, words.best, ": ", factLine(best)),
    answer.readings?.filter(reading => reading.subject === best?.subject).map(reading => h("p", { class: "small reason" }, words.took(reading.words, reading.subject))),
    composite && h("p", { class: "notice" }, composite),
    !isJoined && best && h("div", { class: "sure" }, h("b", {}, h("span", { class: "unseen" }, words.confidence, ": "), sureness(answer.confidence)), track(answer.confidence), h("span", { class: "number" }, percent(answer.confidence))),
    isWhole ? answerTools(answer, best) : h("div", { class: "row" }, h("a", { href: to({ q: answer.question, view: "decoding" }) }, words.decoding)));
}

function answerTools(answer, best) {
  const shown = place().view === "decoding";
  const mayEdit = about.may_write;
  return h("div", { class: "row" },
    !answer.parts && h("button", { id: "decoding", "aria-expanded": String(shown), onclick: () => go(shown ? { q: answer.question } : { q: answer.question, view: "decoding" }) }, shown ? words.hideDecoding : words.decoding),
    best && !answer.parts && h("a", { class: "button", href: toEntity(fullSubject(best)) }, words.browse(best.subject)),
    h("button", { onclick: copyLink }, words.link),
    mayEdit && h("button", { id: "correct", onclick: () => correct(answer) }, words.correct),
    mayEdit && answer.pinned && h("button", { id: "unpin", onclick: () => edit("unpin", { question: answer.question }) }, words.unpin));
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    toast(words.copied);
  } catch { toast(location.href); }
}

function runnersUp(answer) {
  const others = answer.parts ? [] : answer.candidates.slice(1);
  return others.length > 0 && h("section", { class: "card" }, h("h2", {}, words.runners),
    h("ol", { class: "others" }, others.map(fact => h("li", {}, factLine(fact), h("span", { class: "number small" }, percent(fact.probability)), fact.probability >= 0.005 && track(fact.probability)))));
}

function decodingCard(answer) {
  return [
    h("section", { class: "card", id: "tree" }, h("h2", {}, words.treeTitle), h("p", { class: "small" }, words.treeLead), decodingTree(answer, words)),
    h("section", { class: "card" }, h("h2", {}, words.weighed), h("p", { class: "small" }, words.weighedLead), weights(answer, words, session.language)),
  ];
}

async function drawEntity(name) {
  const load = offset => call("GET", `v1/entities/${encodeURIComponent(name)}` + query({ offset, limit: 100 }));
  const entity = await load(0);
  const mayEdit = about.may_write;
  const rows = facts => facts.map(fact => h("tr", {},
    h("th", { scope: "row" }, fact.relation, fact.sense && h("div", { class: "small" }, fact.sense)),
    h("td", {}, fact.objects.map((object, at) => [at > 0 && "; ", fact.entities.includes(object) ? h("a", { href: toEntity(object) }, object) : object])),
    mayEdit && h("td", { class: "do" }, h("button", { class: "plain", "aria-label": `${words.edit}: ${fact.relation}`, onclick: () => editFact(fact) }, words.edit))));
  const body = h("tbody", {}, rows(entity.facts));
  let shown = entity.facts.length;
  const more = h("button", { onclick: async () => {
    const next = await load(shown);
    shown += next.facts.length;
    body.append(...rows(next.facts));
    more.hidden = shown >= entity.total;
  } }, words.showMore);
  more.hidden = shown >= entity.total;
  const heading = h("h1", { class: "answer", tabindex: "-1" }, entity.name);
  return {
    title: entity.name,
    body: h("section", { class: "card" }, heading, h("p", { class: "small" }, words.facts(entity.total)),
      h("table", { class: "facts" }, body),
      h("div", { class: "row" }, more, mayEdit && h("button", { id: "add", onclick: () => addFact(name) }, words.addFact), h("button", { onclick: copyLink }, words.link))),
    after: () => { heading.focus({ preventScroll: true }); scrollTo(0, 0); },
  };
}

function drawAbout() {
  const number = value => value.toLocaleString(document.documentElement.lang);
  const { graph, model, search } = about;
  const pair = (name, value) => [h("dt", {}, name), h("dd", {}, value)];
  const heading = h("h1", { tabindex: "-1" }, words.aboutTitle);
  return {
    title: words.about,
    body: h("section", { class: "card" }, heading, h("p", { class: "small reason" }, words.lead), h("dl", { class: "pairs" },
      pair(words.graph, words.graphValue(number(graph.facts), number(graph.subjects), number(graph.relations))),
      pair(words.changes, number(graph.changes)), pair(words.pins, number(graph.pins)),
      pair(words.model, words.modelValue(number(model.parameters), model.layers, model.d_model)),
      pair(words.searchField, words.searchValue(search.beam) + (about.reranked ? ", " + words.reranked : "")),
      pair(words.writing, about.writable ? words.on : about.embedded ? words.offEmbedded : words.offNoTokens), pair(words.version, about.version),
      pair(words.api, [h("a", { href: "openapi.json" }, words.apiLink), ", ", h("a", { href: "metrics" }, words.metrics)]))),
    after: () => heading.focus({ preventScroll: true }),
  };
}

// ---- Changing

/** Shows a dialog. Returns what `read` returns, or null if it was cancelled. */
function dialog(title, lead, fields, read, action = words.save) {
  return new Promise(resolve => {
    const opener = document.activeElement;
    const heading = h("h2", { id: "dialog-title" }, title);
    const element = h("dialog", { "aria-labelledby": "dialog-title" },
      h("form", { onsubmit: event => { event.preventDefault(); done(read()); } }, heading, lead && h("p", { class: "small" }, lead), fields,
        h("div", { class: "row" }, h("button", { class: "primary", type: "submit" }, action), h("button", { type: "button", onclick: () => done(null) }, words.cancel))));
    const done = value => {
      element.close();
      element.remove();
      if (opener?.isConnected) opener.focus();
      resolve(value);
    };
    element.addEventListener("cancel", event => { event.preventDefault(); done(null); });
    document.body.append(element);
    element.showModal();
  });
}

const field = (label, control) => h("label", { class: "field" }, label, control);

let tokenAsked = null;

/** Asks for a token, once at a time. */
function askToken(lead) {
  tokenAsked ??= tokenDialog(lead).finally(() => { tokenAsked = null; });
  return tokenAsked;
}

async function tokenDialog(lead) {
  const token = h("input", { type: "password", autocomplete: "off", required: true });
  const given = await dialog(words.tokenTitle, lead, field(words.token, token), () => token.value.trim(), words.ok);
  if (!given) return false;
  session.token = given;
  about = null;
  return true;
}

async function edit(kind, what) {
  try {
    const made = await change(kind, what);
    if (!made.changed) return toast(words.nothing);
    toast(words.saved, async () => {
      try {
        await change(...made.back);
        toast(words.undone);
      } catch (error) { failed(error); }
      refresh();
    });
    refresh();
  } catch (error) { failed(error); }
}

function refresh() {
  about = null;
  show();
}

function failed(error) {
  if (error.status === 401) {
    session.token = "";
    refresh();
  }
  toast(error instanceof Problem ? (error.status === 401 ? words.badToken : `${error.message}. ${error.detail}`) : words.offline);
}

const lines = area => area.value.split("\n").map(line => line.trim()).filter(Boolean);

const radio = (name, value, label, checked) => h("label", { class: "pick" }, h("input", { type: "radio", name, value, checked }), h("span", {}, label));

async function editFact(fact) {
  const kinds = h("fieldset", {}, h("legend", {}, `${fact.subject} · ${fact.relation}`), radio("kind", "replace", words.replaceObjects, true), radio("kind", "remove", words.removeFact));
  const area = h("textarea", { rows: Math.min(8, fact.objects.length + 1) });
  area.value = fact.objects.join("\n");
  const objects = field(words.objects, area);
  kinds.addEventListener("change", () => { objects.hidden = kinds.querySelector(":checked").value === "remove"; });
  const { subject, relation } = fact;
  const chosen = await dialog(words.edit, null, [kinds, objects], () => kinds.querySelector(":checked").value === "remove" || !lines(area).length
    ? ["remove", { subject, relation }] : ["replace", { subject, relation, objects: lines(area) }]);
  if (chosen) edit(...chosen);
}

async function addFact(subject) {
  const [of, relation, object] = [subject, "", ""].map(value => { const control = h("input", { required: true }); control.value = value; return control; });
  const chosen = await dialog(words.addFact, null, [field(words.subject, of), field(words.relationField, relation), field(words.object, object)],
    () => ["add", { subject: of.value.trim(), relation: relation.value.trim(), object: object.value.trim() }]);
  if (chosen) edit(...chosen);
}

async function correct(answer) {
  const best = answer.candidates[0];
  const kinds = h("fieldset", {}, h("legend", {}, words.what), radio("kind", "pin", words.pinOther, true),
    best && radio("kind", "edit", words.replaceObjects), radio("kind", "add", words.addObject));
  const kind = await dialog(words.correctTitle, answer.question, kinds, () => kinds.querySelector(":checked").value, words.ok);
  if (kind === "edit") return editFact({ ...best, subject: fullSubject(best) });
  if (kind === "add") return addFact(best ? fullSubject(best) : "");
  if (kind !== "pin") return;
  const facts = answer.candidates.slice(answer.known ? 1 : 0);
  const subject = h("input", {}), relation = h("input", {});
  subject.value = best ? fullSubject(best) : "";
  const own = h("div", {}, field(words.subject, subject), field(words.relationField, relation));
  const choice = h("fieldset", {}, h("legend", {}, words.pinWhich),
    facts.map((fact, at) => radio("fact", at, `${fullSubject(fact)} · ${fact.relation} · ${fact.objects.join("; ")}`, at === 0)),
    radio("fact", "own", words.otherFact, !facts.length), own);
  own.addEventListener("focusin", () => { choice.querySelector("[value=own]").checked = true; });
  const chosen = await dialog(words.pinOther, answer.question, choice, () => {
    const at = choice.querySelector(":checked").value;
    const fact = at === "own" ? { subject: subject.value.trim(), relation: relation.value.trim() } : { subject: fullSubject(facts[at]), relation: facts[at].relation };
    return { question: answer.question, ...fact };
  });
  if (chosen) edit("pin", chosen);
}

// ---- Typing ahead: a combobox with a list (ARIA Authoring Practices)

let options = [], active = -1, asking = null, timer;

function closeList() {
  clearTimeout(timer);
  asking?.abort();
  options = [];
  active = -1;
  list.hidden = true;
  input.setAttribute("aria-expanded", "false");
  input.removeAttribute("aria-activedescendant");
}

async function suggest() {
  const prefix = input.value;
  if (!prefix.trim()) return closeList();
  asking?.abort();
  asking = new AbortController();
  try {
    const found = await call("GET", "v1/complete" + query({ prefix, limit: 6 }), undefined, asking.signal);
    if (input.value !== prefix || document.activeElement !== input) return;
    options = [
      ...found.entities.filter(one => one.text !== prefix || !found.relations.length).map(one => ({ text: one.text, note: one.alias ? words.aliasOf(one.name) : words.facts(one.facts) })),
      ...found.relations.filter(one => one.text !== prefix).map(one => ({ text: one.text, note: words.relation, isWhole: true })),
    ].slice(0, 9);
    active = -1;
    fill(list, options.map((option, at) => h("li", { role: "option", id: `option-${at}`, "aria-selected": "false", onmousedown: event => { event.preventDefault(); take(at); } },
      h("span", {}, option.text), h("span", {}, option.note))));
    list.hidden = !options.length;
    input.setAttribute("aria-expanded", String(options.length > 0));
    input.removeAttribute("aria-activedescendant");
    say(words.found(options.length));
  } catch (error) {
    // Typing works without suggestions.
    if (error.name !== "AbortError") closeList();
  }
}

function mark(at) {
  active = at;
  for (const [index, item] of [...list.children].entries()) item.setAttribute("aria-selected", String(index === at));
  if (at < 0) return input.removeAttribute("aria-activedescendant");
  input.setAttribute("aria-activedescendant", `option-${at}`);
  list.children[at].scrollIntoView({ block: "nearest" });
}

function take(at) {
  const option = options[at];
  input.value = option.text;
  closeList();
  if (option.isWhole) return go({ q: option.text });
  input.focus();
  timer = setTimeout(suggest, 60);
}

input.addEventListener("input", event => {
  clearTimeout(timer);
  // While an input method composes characters, the text is not final.
  if (!event.isComposing) timer = setTimeout(suggest, 120);
});
input.addEventListener("compositionend", () => { timer = setTimeout(suggest, 120); });
input.addEventListener("blur", () => setTimeout(closeList, 100));
input.addEventListener("keydown", event => {
  if (event.isComposing) return;
  const isOpen = !list.hidden;
  if (event.key === "ArrowDown" && !isOpen) suggest();
  else if (event.key === "ArrowDown" && isOpen) mark((active + 1) % options.length);
  else if (event.key === "ArrowUp" && isOpen) mark((active <= 0 ? options.length : active) - 1);
  else if (event.key === "Escape" && isOpen) closeList();
  else if (event.key === "Enter" && isOpen && active >= 0) take(active);
  else return;
  event.preventDefault();
});

$("search").addEventListener("submit", event => {
  event.preventDefault();
  const question = input.value.trim();
  closeList();
  if (question) go({ q: question });
  else input.focus();
});

addEventListener("hashchange", show);
addEventListener("online", show);
setTheme(localStorage.getItem("kexue-theme") || "auto");
setLanguage(localStorage.getItem("kexue-language") || ((navigator.language || "en").startsWith("zh") ? "zh" : "en"));
show();
