// One image set: its images in order, what is missing, what it cost, its prompt.
import { copyButton, dollars, duration, element, facts, link, plural, readable, time, webAddress } from "./page.js";
import { numbered } from "./scenes.js";

const WEEK = 7 * 24 * 3600 * 1000;
const LONGEST_ALT = 500;

export function sides(size) {
  const found = /^(\d+)\*(\d+)$/.exec(size ?? "");
  return found ? { width: found[1], height: found[2] } : {};
}

const isOld = (set) => Date.now() - Date.parse(set.completed_at ?? set.submitted_at ?? "") > WEEK;
// A publishing task lists its files in the order of the set.
const copyOf = (published, at) => published?.files?.[at] ?? null;
// Objects of a public Google bucket have an address; which one another store has, its URL does not say.
function readableCopy(copy) {
  const inGoogle = /^gc?s:\/\/(.+)/.exec(copy ?? "");
  return webAddress(inGoogle ? `https://storage.googleapis.com/${encodeURI(inGoogle[1])}` : copy);
}
const nameOf = (url) => String(url).split(/[?#]/)[0].split("/").at(-1) || String(url);

const IN_A_STORE = "This image is in a store that a browser cannot read.";

function whyNotShown(image, set, copy) {
  if (!webAddress(image.url)) return IN_A_STORE;
  const why = isOld(set) ? "The link of this image has expired:" : "This image cannot be loaded:";
  const kept = copy ? " It was published to a store that a browser cannot read." : "";
  return `${why} links of the API live seven days.${kept}`;
}

// The image; where its link is dead, the published copy; where that cannot be read either, words.
function picture(image, set, published) {
  const alt = readable(image.scene ?? `Image ${image.number}, whose scene is not known`).slice(0, LONGEST_ALT);
  const attributes = { ...sides(set.size), alt, loading: "lazy", decoding: "async", referrerpolicy: "no-referrer" };
  const shown = element("img", attributes);
  const around = link(image.url, shown);
  const instead = (copy) => around.replaceWith(element("p", { class: "instead" }, whyNotShown(image, set, copy)));
  around.classList.add("open");
  shown.addEventListener("error", async () => {
    const copy = copyOf(await published, image.at);
    const other = readableCopy(copy);
    if (!other || shown.src === other) return instead(copy);
    around.href = other;
    shown.src = other;
  });
  if (!webAddress(image.url)) return element("p", { class: "instead" }, IN_A_STORE);
  shown.src = image.url;
  return around;
}

function places(image, published) {
  const of = () => element("span", { class: "spoken" }, ` of image ${image.number}`);
  const shown = element("p", { class: "places" }, webAddress(image.url) ? link(image.url, "Original", of()) : null);
  published.then((result) => {
    const copy = copyOf(result, image.at);
    if (!copy) return;
    const name = readable(nameOf(copy));
    if (shown.childNodes.length) shown.append(" · ");
    shown.append(webAddress(copy) ? link(copy, name) : element("span", { title: readable(copy) }, name));
  });
  return shown;
}

function imageItem(image, set, published) {
  const marks = image.flagged === true ? element("p", { class: "mark" }, "Flagged as unsafe by the API") : null;
  const text = image.scene ? element("p", { class: "scene", dir: "auto" }, readable(image.scene)) : null;
  const number = element("span", { class: "number" }, String(image.number));
  const caption = element("figcaption", {}, number, text, marks, places(image, published));
  return element("li", {}, element("figure", {}, picture(image, set, published), caption));
}

function missingItem(missing) {
  const which = missing.index ? `Image ${missing.index} is missing` : "An image is missing";
  return element(
    "li",
    { class: "missing" },
    element("p", { class: "mark" }, which),
    missing.scene ? element("p", { class: "scene", dir: "auto" }, readable(missing.scene)) : null,
    element("p", { class: "quiet", dir: "auto" }, readable(missing.reason)),
  );
}

// published: a promise of the result of the task that published the set, or of null.
export function imageList(set, published) {
  const items = numbered(set).map((image) => [image.number, imageItem(image, set, published)]);
  for (const missing of set.missing ?? []) items.push([missing.index ?? Infinity, missingItem(missing)]);
  items.sort(([one], [other]) => one - other);
  return items.length ? element("ol", { class: "images", "data-count": items.length }, items.map(([, item]) => item)) : null;
}

// What there is of a set, in a few words.
export function counted(set, state) {
  const count = set.images?.length ?? 0;
  const price = dollars(set.cost_usd);
  const whole = !set.requested || count === set.requested;
  const delivered = whole ? plural(count, "image") : `${count} of ${plural(set.requested, "image")}`;
  const words = count || !set.requested ? delivered : state === "failed" ? "No images" : `Waiting for ${plural(set.requested, "image")}`;
  return price ? `${words} · ${price}` : words;
}

const place = (url) => (webAddress(url) ? link(url, readable(url)) : url ? element("code", {}, readable(url)) : null);

function placeFacts(published) {
  return [
    ["Published to", place(published?.path)],
    ["Storyboard", place(published?.storyboard_page)],
    ["Contact sheet", place(published?.contact_sheet)],
  ];
}

// All that is known of a set, or, in a row of many, what its heading does not say.
export function setFacts(set, spent, published, whole) {
  const size = sides(set.size);
  const took = (Date.parse(set.completed_at) - Date.parse(set.submitted_at)) / 1000;
  const more = typeof spent === "number" && typeof set.cost_usd === "number" && spent > set.cost_usd + 1e-9;
  const id = readable(set.prediction_id);
  const few = [
    ["Prediction", id ? [element("code", {}, id), copyButton(set.prediction_id, "Copy the prediction id")] : null],
    ["Size", size.width ? `${size.width} × ${size.height}` : null],
    ["Submitted", time(set.submitted_at ?? set.created_at)],
    ["Took", duration(took)],
    ["Paid, earlier tries included", more ? dollars(spent) : null],
  ];
  const rest = [
    ["Model ran", set.inference_ms ? duration(set.inference_ms / 1000) : null],
    ["Model", set.model ? element("code", {}, readable(set.model)) : null],
    ["Price", dollars(set.cost_usd)],
    ["Requested", set.requested ? plural(set.requested, "image") : null],
    ["Delivered", set.completed_at ? plural(set.images?.length ?? 0, "image") : null],
  ];
  const shown = element("div", {}, facts(whole ? [...few, ...rest] : few) ?? "");
  published.then((result) => shown.append(facts(placeFacts(result)) ?? ""));
  return shown;
}

export function promptText(set, open) {
  if (!set.prompt) return null;
  return element(
    "details",
    { class: "prompt", open },
    element("summary", {}, "Prompt"),
    copyButton(set.prompt, "Copy the prompt"),
    element("p", { class: "whole", dir: "auto" }, readable(set.prompt)),
  );
}
