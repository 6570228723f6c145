// Shows the decoding as a tree: choices, allowed tokens, forced steps; and the evidence of rescoring.

import { h, percent, track } from "./dom.js";
import { evidenceName } from "./texts.js";

// Number of tokens shown for a choice, and the lowest probability of a prefix whose choice is shown.
const SHOWN = 6, TOLD = 0.01;

// Compared in lower case: a vocabulary that folds case does not say how a name is written.
const SEP = "[sep]", END = "(end)";

/** How a fact is spelt along the index, in both orders of relation and sense. */
function spellings(fact) {
  const [subject, relation, sense] = [fact.subject, fact.relation, fact.sense || ""].map(text => text.toLowerCase());
  return [[subject, relation, sense], [subject, sense, relation]].map(parts => parts.map(part => part + SEP).join(""));
}

function spaced(text) {
  return text.replaceAll(/(\[SEP\])+/gi, " · ").replace(/^ · $/, "·").trimEnd();
}

/** The choices as a tree: each with the tokens that were allowed, and under each token the choice (or the facts) it led to. */
function grow(choices, facts) {
  const nodes = choices.map(choice => ({ ...choice, key: choice.prefix.toLowerCase(), parent: null }));
  nodes.sort((a, b) => a.key.length - b.key.length);
  for (const [at, node] of nodes.entries()) {
    for (let before = at - 1; before >= 0 && !node.parent; before--) {
      const parent = nodes[before];
      const through = parent.allowed.find(([token]) => token !== END && node.key.startsWith(parent.key + token.toLowerCase()));
      if (through && parent.key !== node.key) node.parent = { node: parent, token: through[0] };
    }
  }
  const below = (node, token) => nodes.filter(other => other.parent?.node === node && other.parent.token === token);
  const endings = (node, token) => facts.filter(fact => fact.spellings.some(text => token === END ? text === node.key : text.startsWith(node.key + token.toLowerCase())));
  return { roots: nodes.filter(node => !node.parent), below, endings };
}

export function decodingTree(answer, words) {
  const facts = answer.candidates.map((fact, rank) => ({ ...fact, rank, spellings: spellings(fact) }));
  const told = answer.choices.filter(choice => choice.prefix_probability >= TOLD);
  const { roots, below, endings } = grow(told, facts);
  const best = facts[0];
  const leadsToBest = key => best?.spellings.some(text => text.startsWith(key));

  function branch(node, [token, probability, gain]) {
    const key = token === END ? node.key : node.key + token.toLowerCase();
    const won = best && (token === END ? best.spellings.includes(node.key) : leadsToBest(key));
    const next = below(node, token);
    const ends = next.length ? [] : endings(node, token);
    const rest = (text) => spaced(text.slice(key.length));
    // All that follows without a choice: up to the next one, or the end of the only fact.
    const forced = next.length === 1 ? rest(next[0].key) : ends.length === 1 && token !== END ? rest(ends[0].spellings.find(text => text.startsWith(key))) : "";
    return h("li", { class: won ? "won" : "lost" },
      h("div", { class: "step" },
        h("span", { class: "token" }, token === END ? "∎" : spaced(token)),
        track(probability), h("span", { class: "number small" }, percent(probability)),
        gain > 0 && h("span", { class: "gain" }, words.gain(gain)),
        forced.trim() && h("span", { class: "forced", title: words.forced }, forced.trim(), h("span", { class: "unseen" }, ` (${words.forced})`)),
        ends.length === 1 && h("span", { class: "leaf" }, "→ ", h("b", {}, ends[0].objects.join("; ")), " ", h("span", { class: "number small" }, percent(ends[0].probability)))),
      next.map(inner => choiceList(inner)));
  }

  function choiceList(node) {
    const shown = node.allowed.slice(0, SHOWN);
    const won = node.allowed.find(([token]) => token !== END && leadsToBest(node.key + token.toLowerCase()));
    if (won && !shown.includes(won)) shown.push(won);
    const hidden = node.allowed.length - shown.length;
    return [
      h("p", { class: "choice" }, words.choices(node.allowed.length), " · ", percent(node.prefix_probability)),
      h("ul", {}, shown.map(allowed => branch(node, allowed)), hidden > 0 && h("li", { class: "lost" }, h("div", { class: "step small" }, `… ${words.more(hidden)}`))),
    ];
  }

  if (!roots.length) return h("p", { class: "small" }, words.noChoice);
  const untold = answer.choices.length - told.length;
  return h("div", {},
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": words.treeTitle }, h("ul", { class: "tree" }, roots.map(root => h("li", { class: leadsToBest(root.key) ? "won" : "lost" },
      h("div", { class: "step" }, h("span", { class: "token" }, words.start), root.prefix && h("span", { class: "forced" }, spaced(root.prefix).trim(), h("span", { class: "unseen" }, ` (${words.forced})`)),
        root.prefix && h("span", { class: "small" }, words.mentioned)),
      choiceList(root))))),
    untold > 0 && h("p", { class: "small reason" }, words.elsewhere(untold)),
    h("div", { class: "legend" },
      h("span", {}, h("span", { class: "token" }, "字"), " ", words.legendToken),
      h("span", {}, h("span", { class: "forced" }, "字"), " ", words.legendForced),
      h("span", { class: "won" }, h("span", { class: "step" }, h("span", { class: "token" }, "字"), " ", words.legendWon))));
}

/** The evidence of learned rescoring for each fact, the strongest first. */
export function weights(answer, words, language) {
  const weighed = answer.candidates.filter(fact => fact.evidence?.some(reason => reason.logit !== 0));
  if (!weighed.length) return h("p", { class: "small" }, words.noWeights);
  const largest = Math.max(...weighed.flatMap(fact => fact.evidence.map(reason => Math.abs(reason.logit))));
  const bar = (logit, side) => {
    const inner = h("i");
    inner.style.width = Math.sign(logit) === side ? `${100 * Math.abs(logit) / largest}%` : "0";
    return h("span", {}, inner);
  };
  return h("div", {}, weighed.map((fact, rank) => {
    const reasons = fact.evidence.filter(reason => reason.logit !== 0).sort((a, b) => Math.abs(b.logit) - Math.abs(a.logit)).slice(0, 10);
    return h("details", { open: rank === 0 },
      h("summary", {}, `${fact.subject}${fact.sense ? `（${fact.sense}）` : ""} · ${fact.relation} `, h("span", { class: "number" }, percent(fact.probability))),
      h("table", { class: "weights" }, h("tbody", {}, reasons.map(reason => h("tr", {},
        h("th", { scope: "row" }, evidenceName(language, reason.name)),
        h("td", { class: "wide" }, h("div", { class: "balance", "aria-hidden": "true" }, bar(reason.logit, -1), bar(reason.logit, 1))),
        h("td", { class: "number" }, (reason.logit > 0 ? "+" : "−") + Math.abs(reason.logit).toFixed(2)))))));
  }));
}
