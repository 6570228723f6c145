// Creates elements without HTML strings, so that names from a graph are never read as HTML.

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(...children.flat(9).filter(child => child !== null && child !== undefined && child !== false));
}

/** A bar of which `share` (0 to 1) is filled. */
export function track(share) {
  const inner = h("i");
  inner.style.width = `${100 * Math.max(0, Math.min(1, share))}%`;
  return h("span", { class: "track", "aria-hidden": "true" }, inner);
}

export function percent(share) {
  const number = 100 * share;
  if (number > 0 && number < 0.05) return "< 0.1 %";
  if (number < 100 && number >= 99.95) return "> 99.9 %";
  return `${number.toFixed(1)} %`;
}
