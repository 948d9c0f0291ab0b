// Airflow's own REST API, asked with the session of whoever looks: what they may not see, Airflow does not give.

// This page is <base path>/seedream/gallery.html.
const API = new URL("../api/v2/", location.href);
const PAGE = 100;
const FIRST = 12; // what fills a screen is there before the rest is asked for
const AT_ONCE = 5;
const AT_LEISURE = 2;
const EARLIER = 20;

export class Refused extends Error {
  constructor(status) {
    super(`Airflow answered ${status}.`);
    this.status = status;
  }
}

export function describe(error) {
  if (error.status === 401) return "You are not signed in to Airflow. Sign in, then reload this page.";
  if (error.status === 403) return "You may not see the results (XComs) of this DAG. Its owner can allow it.";
  if (error.status === 404) return "Airflow knows nothing of this. It may have been deleted.";
  return `Airflow could not be asked: ${error.message}`;
}

let running = 0;
const urgent = [];
const unhurried = [];

function next() {
  while (running < AT_ONCE && (urgent.length || (unhurried.length && running < AT_LEISURE))) {
    running += 1;
    (urgent.shift() ?? unhurried.shift())().finally(() => {
      running -= 1;
      next();
    });
  }
}

// A browser has six connections to a server, and Airflow's own page needs some: the rest waits here, sums behind images.
function inTurn(work, queue) {
  return new Promise((resolve, reject) => {
    queue.push(() => work().then(resolve, reject));
    next();
  });
}

function get(path, query = {}, queue = urgent) {
  const url = new URL(path, API);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return inTurn(async () => {
    const answer = await fetch(url, { credentials: "same-origin", headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Refused(answer.status);
    return answer.json();
  }, queue);
}

async function all(path, key, query, queue) {
  const found = [];
  for (let total = 1; found.length < total; ) {
    const page = await get(path, { limit: PAGE, offset: found.length, ...query }, queue);
    if (!page[key].length) break;
    found.push(...page[key]);
    total = page.total_entries ?? found.length;
  }
  return found;
}

const part = (text) => encodeURIComponent(text);
const ofRun = (dag, run) => `dags/${part(dag)}/dagRuns/${part(run)}`;

export function instances(dag, run, query = {}) {
  return all(`${ofRun(dag, run)}/taskInstances`, "task_instances", query);
}

// The same, as it comes: the first of them, then all, with how many there are in all.
export async function* instancesByAndBy(dag, run, query = {}) {
  const path = `${ofRun(dag, run)}/taskInstances`;
  const { task_instances: found, total_entries: total } = await get(path, { limit: FIRST, ...query });
  yield { found, total };
  while (found.length < total) {
    const page = await get(path, { limit: PAGE, offset: found.length, ...query }, unhurried);
    if (!page.task_instances.length) break;
    found.push(...page.task_instances);
  }
  if (found.length > FIRST) yield { found, total: found.length };
}

export async function entries(dag, run, task, query = {}, { atLeisure } = {}) {
  const path = `${ofRun(dag, run)}/taskInstances/${part(task)}/xcomEntries`;
  const found = await all(path, "xcom_entries", query, atLeisure ? unhurried : urgent);
  // Versions that do not know a filter leave it out.
  return query.xcom_key ? found.filter((each) => each.key === query.xcom_key) : found;
}

// The latest XComs of a key, in one DAG or in all that the viewer may see. Airflow 3.1 does not sort them itself.
export async function latest(dag, key, limit) {
  const path = `${ofRun(dag ?? "~", "~")}/taskInstances/~/xcomEntries`;
  const page = await get(path, { xcom_key: key, order_by: "-timestamp", limit });
  const found = page.xcom_entries.filter((each) => each.key === key);
  found.sort((one, other) => Date.parse(other.timestamp) - Date.parse(one.timestamp));
  return { found, total: page.total_entries };
}

// An XCom that is there: asking for one that is not fills the console with errors.
export async function value(entry, queue = urgent) {
  const path = `${ofRun(entry.dag_id, entry.run_id)}/taskInstances/${part(entry.task_id)}/xcomEntries/${part(entry.key)}`;
  return (await get(path, { map_index: entry.map_index }, queue)).value;
}

// What a task keeps in Airflow's task state store (3.3+) under a key, or null.
export async function kept(instance, key) {
  const path = `${ofRun(instance.dag_id, instance.dag_run_id)}/taskInstances/${part(instance.task_id)}/state-store`;
  const { task_state_store: found } = await get(path, { map_index: instance.map_index, limit: PAGE }, unhurried);
  return found.find((each) => each.key === key)?.value ?? null;
}

// How many seconds the latest successful instances of a task took, in all runs.
export async function earlierDurations({ dag_id: dag, task_id: task }) {
  const query = { task_id: task, state: "success", order_by: "-end_date", limit: EARLIER };
  const { task_instances: found } = await get(`${ofRun(dag, "~")}/taskInstances`, query, unhurried);
  return found.filter((each) => each.task_id === task && each.duration > 0).map((each) => each.duration);
}

// The page of a task instance in Airflow's UI, opened at one of its tabs.
export function pageOf({ dag_id: dag, dag_run_id: run, task_id: task, map_index: map }, tab) {
  const mapped = map < 0 ? "" : `/mapped/${map}`;
  return new URL(`../dags/${part(dag)}/runs/${part(run)}/tasks/${part(task)}${mapped}/${tab}`, location.href).href;
}

const known = new Map();

// What a task has paid, by its XCom spent_usd; asked for once, behind all else.
export async function paidBy(entry) {
  const name = JSON.stringify([entry.dag_id, entry.run_id, entry.task_id, entry.map_index, entry.timestamp]);
  if (!known.has(name)) known.set(name, value(entry, unhurried).catch(() => null));
  return Number(await known.get(name)) || 0;
}

export async function lastError(instance) {
  const { dag_id: dag, dag_run_id: run, task_id: task, map_index: map, try_number: attempt } = instance;
  const path = `${ofRun(dag, run)}/taskInstances/${part(task)}/logs/${attempt}`;
  const { content } = await get(path, { map_index: map, full_content: true });
  const lines = Array.isArray(content) ? content : String(content).split("\n");
  const words = lines.map(errorOf).filter(Boolean);
  return words.at(-1) ?? null;
}

function errorOf(line) {
  if (typeof line === "string") return /\b(?:ERROR|CRITICAL)\b/.test(line) ? line : null;
  const raised = line.error_detail?.[0]; // its causes follow it
  if (raised?.exc_value) return raised.exc_value;
  return ["error", "critical"].includes(line.level) ? line.event : null;
}
