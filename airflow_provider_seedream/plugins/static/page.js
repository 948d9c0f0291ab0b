// What pages are made of. Every text is set as text; no string ever becomes markup.
import { describe } from "./airflow.js";

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, given] of Object.entries(attributes)) {
    if (given === null || given === undefined || given === false) continue;
    if (typeof given === "function") made.addEventListener(key, given);
    else made.setAttribute(key, given === true ? "" : String(given));
  }
  made.append(...children.flat().filter((each) => each !== null && each !== undefined && each !== false));
  return made;
}

export function clear(parent, ...children) {
  parent.replaceChildren(...children.flat().filter(Boolean));
}

export const trouble = (error) => element("p", { class: "trouble", role: "alert" }, describe(error));

// To screen readers, politely.
export function announce(words) {
  document.getElementById("news").textContent = readable(words);
}

// Embeddings, overrides and isolates: a text must not turn around what stands beside it.
export const readable = (text) => String(text ?? "").replace(/[\u202a-\u202e\u2066-\u2069]/g, "");

export function webAddress(text) {
  if (typeof text !== "string" || !/^https?:\/\//i.test(text)) return null;
  try {
    return new URL(text).href;
  } catch {
    return null;
  }
}

// Airflow's frame may open no window and lead no other (no allow-popups), so links are followed by the page around it.
function follow(event, target) {
  const { href } = event.currentTarget;
  try {
    if (parent === window || !parent.document) return;
    const outer = parent.document.createElement("a");
    Object.assign(outer, { href, target, rel: "noreferrer noopener" });
    outer.click();
    event.preventDefault();
  } catch {
    // Another site's frame: the link opens as any other.
  }
}

// To another site, in a new tab.
export function link(url, ...children) {
  const href = webAddress(url);
  if (!href) return element("span", {}, ...children);
  const attributes = { href, target: "_blank", rel: "noreferrer noopener", referrerpolicy: "no-referrer" };
  return element("a", { ...attributes, click: (event) => follow(event, "_blank") }, ...children);
}

// To another page of Airflow, in place of this one.
export function outside(href, ...children) {
  return element("a", { href, click: (event) => follow(event, "_self") }, ...children);
}

export function copyButton(text, label) {
  const button = element("button", { type: "button", class: "copy", "aria-label": label }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = (await copied(text)) ? "Copied" : "Not copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return button;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Only pages served by HTTPS have a clipboard.
    const field = element("textarea", { class: "spoken", "aria-hidden": "true" });
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

export const dollars = (usd) =>
  typeof usd === "number" ? `$${usd.toFixed(4).replace(/(\.\d\d\d*?)0+$/, "$1")}` : null;
export const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

export function time(iso) {
  const moment = new Date(iso);
  if (!iso || Number.isNaN(moment.getTime())) return null;
  const shown = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  return element("time", { datetime: moment.toISOString(), title: moment.toISOString() }, shown);
}

export function duration(seconds) {
  if (!(seconds >= 0)) return null;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function facts(pairs) {
  const shown = pairs.filter(([, given]) => given !== null && given !== undefined && given !== "");
  const rows = shown.map(([name, given]) => element("div", {}, element("dt", {}, name), element("dd", {}, given)));
  return rows.length ? element("dl", { class: "facts" }, rows) : null;
}
