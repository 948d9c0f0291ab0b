// One task instance: what it made, what it waits for, or why it failed.
import { entries, lastError, pageOf, value } from "./airflow.js";
import { dollars, element, outside, readable } from "./page.js";
import { counted, imageList, promptText, setFacts } from "./image_set.js";
import { publicationOf, publishes } from "./published.js";
import { elapsedLine, waitFacts } from "./waiting.js";

const ENDED = new Set(["success", "failed", "upstream_failed", "skipped", "removed"]);
const OURS = ["spent_usd", "ordered_image_set", "image_urls", "shown_prediction_id"];

export const hasEnded = (instance) => ENDED.has(instance.state);

const reviews = (instance) => /^SeedreamReview/.test(instance.operator ?? "");

export function isOurs(instance, keys) {
  return OURS.some((key) => keys.has(key)) || /^Seedream(?!CostSummary|Prompt)/.test(instance.operator ?? "");
}

export const nameOf = (each) => JSON.stringify([each.dag_id, each.dag_run_id ?? each.run_id, each.task_id, each.map_index]);

// What each instance has pushed: by the name of the instance, the entries by key.
export function byInstance(found) {
  const keys = new Map();
  for (const entry of found) {
    const name = nameOf(entry);
    if (!keys.has(name)) keys.set(name, new Map());
    keys.get(name).set(entry.key, entry);
  }
  return keys;
}

export const keysOf = (keys, instance) => keys.get(nameOf(instance)) ?? new Map();

const read = (keys, key) => (keys.has(key) ? value(keys.get(key)) : null);

// What was paid for, with the images that came: where there is no result, as a task that failed afterwards has none.
async function paidSet(keys) {
  const ordered = await read(keys, "ordered_image_set");
  const urls = ordered && (await read(keys, "image_urls"));
  return Array.isArray(urls) ? { ...ordered, images: urls.map((url) => ({ url })) } : ordered;
}

// Reads what an instance has made of an image set, with the fewest questions.
async function load(instance, keys) {
  const entry = (key) => ({
    dag_id: instance.dag_id,
    run_id: instance.dag_run_id,
    task_id: instance.task_id,
    map_index: instance.map_index,
    key,
  });
  const delivered = keys.has("image_urls") || (keys.has("return_value") && publishes(instance));
  const [result, spent] = await Promise.all([
    delivered && instance.state === "success" ? value(keys.get("return_value") ?? entry("return_value")).catch(() => null) : null,
    read(keys, "spent_usd"),
  ]);
  if (result?.manifest) return { published: result, spent, prediction: result.prediction_id };
  const set = result?.images ? result : await paidSet(keys);
  return { set, spent, prediction: set?.prediction_id ?? (await read(keys, "shown_prediction_id")) };
}

// The set of a prediction that another task of the run made: for tasks that publish it, or show it to a person.
export async function setOfRun(instance, prediction) {
  const { dag_id: dag, dag_run_id: run } = instance;
  const found = await entries(dag, run, "~", { xcom_key: "prediction_id" });
  const near = (entry) => Number(entry.map_index !== instance.map_index);
  for (const entry of found.sort((one, other) => near(one) - near(other))) {
    if ((await value(entry)) !== prediction) continue;
    const own = keysOf(byInstance(await entries(dag, run, entry.task_id, { map_index: entry.map_index })), entry);
    const made = (await read(own, "return_value")) ?? (await read(own, "ordered_image_set"));
    if (made?.images) return made;
  }
  return null;
}

// The images of a form whose set is gone: its drawing task was cleared, or has given no result yet.
async function shownSet(keys, prediction) {
  const urls = await read(keys, "shown_image_urls");
  return Array.isArray(urls) ? { prediction_id: prediction, images: urls.map((url) => ({ url })) } : null;
}

const TROUBLE = {
  upstream_failed: "A task before this one failed, so this one did not start.",
  skipped: "Airflow skipped this task.",
  up_for_retry: "Airflow will try again.",
  removed: "This task is no longer in its DAG.",
};

function waitingLine(instance, set) {
  if (set) return "The images are being made. This page shows them as soon as they are there.";
  return instance.start_date ? "The task has not said yet that it paid." : "The task has not started yet.";
}

// What a review shows, beside the way to the form that asks about it.
function reviewLine(instance, keys) {
  if (!keys.has("shown_prediction_id")) return null;
  const asks = !hasEnded(instance) && instance.state !== "up_for_retry";
  const words = asks ? "A person is asked about these images." : "A person was asked about these images.";
  const form = outside(pageOf(instance, "required_actions"), asks ? "Answer in Airflow's form" : "See the form and its answer");
  return element("p", { class: "review" }, `${words} `, form);
}

function failure(instance, spent) {
  const line = element("p", { class: "words", dir: "auto" }, "Reading the log …");
  lastError(instance).then(
    (words) => line.replaceChildren(readable(words ?? "The log of the last try names no error.")),
    () => line.replaceChildren("The log cannot be read here. Airflow's own tab Logs may have it."),
  );
  const paid = typeof spent === "number" && spent > 0 ? `Paid, or may be paid: ${dollars(spent)}.` : "No payment is known here.";
  return element("div", { class: "trouble", role: "alert" }, line, element("p", {}, paid));
}

export function stateOf(instance) {
  const state = (instance.state ?? "no status").replaceAll("_", " ");
  return state[0].toUpperCase() + state.slice(1);
}

// Images do not wait for this answer.
async function whereTo(instance, set, published) {
  if (published || !set.images.length) return published ?? null;
  const folder = instance.rendered_fields?.output_path;
  if (folder) return { path: String(folder) };
  return publicationOf(instance, set.prediction_id).catch(() => null);
}

// The content of an instance's card: all of it that is there now.
export async function content(instance, keys, title, single) {
  const { set: own, published, spent, prediction } = await load(instance, keys);
  const set = own ?? (prediction ? ((await setOfRun(instance, prediction)) ?? (await shownSet(keys, prediction))) : null);
  const state = element("p", { class: "state", "data-state": instance.state }, stateOf(instance));
  const parts = [element("header", {}, title(set ? counted(set, instance.state) : null), state)];
  if (reviews(instance)) parts.push(reviewLine(instance, keys));
  else if (!hasEnded(instance) && instance.state !== "up_for_retry") {
    parts.push(elapsedLine(instance), element("p", { class: "quiet" }, waitingLine(instance, set)));
    if (single) parts.push(waitFacts(instance, keys, keys.has("ordered_image_set")));
  }
  if (["failed", "up_for_retry"].includes(instance.state)) parts.push(failure(instance, spent));
  if (TROUBLE[instance.state]) parts.push(element("p", { class: "quiet" }, TROUBLE[instance.state]));
  if (!set && spent && hasEnded(instance)) parts.push(element("p", { class: "quiet" }, `Paid ${dollars(spent)}.`));
  if (set) {
    if (instance.state === "success" && !set.images.length && !published) {
      parts.push(element("p", { class: "quiet" }, "This task only submits. A sensor, or another task, waits for the images."));
    }
    const place = whereTo(instance, set, published);
    parts.push(imageList(set, place), setFacts(set, spent, place, single), promptText(set, single));
  }
  return parts.filter(Boolean);
}
