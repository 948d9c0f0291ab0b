// The view across DAGs: the latest image sets that the viewer may see, and what was paid for them.
import { entries, instances, latest, pageOf } from "./airflow.js";
import { Cards } from "./cards.js";
import { spendChart } from "./chart.js";
import { byInstance, keysOf } from "./instance.js";
import { clear, element, outside, readable, trouble } from "./page.js";

const MOST = 100; // of what is asked for, which is the most that Airflow gives at once
const MORE = 20;

function title(instance, count) {
  const map = instance.map_index < 0 ? "" : ` [${instance.rendered_map_index ?? instance.map_index}]`;
  const name = outside(pageOf(instance, "plugin/seedream"), readable(`${instance.dag_id} · ${instance.task_id}${map}`));
  return element("h2", {}, name, count ? element("span", { class: "quiet" }, ` · ${count}`) : null);
}

async function detail(instance) {
  const { dag_id: dag, dag_run_id: run, task_id: task, map_index } = instance;
  const [found, pushed] = await Promise.all([
    instances(dag, run, { task_id: task, map_index }),
    entries(dag, run, task, { map_index }),
  ]);
  const own = found.find((each) => each.task_id === task && each.map_index === map_index);
  return { instance: own ?? instance, keys: keysOf(byInstance(pushed), instance) };
}

async function list(dag, chart, body) {
  const { found, total } = await latest(dag, "spent_usd", MOST);
  let shown = MORE;
  const cards = new Cards({
    // What only this list knows of them; the rest is asked for once a card comes into sight.
    load: async function* () {
      yield found.slice(0, shown).map((entry) => ({ ...entry, dag_run_id: entry.run_id, state: "success" }));
    },
    keys: async () => byInstance(found),
    detail,
    title,
  });
  await cards.refresh();
  const more = element("button", { type: "button", class: "more" }, "Show more");
  more.addEventListener("click", async () => {
    shown += MORE;
    await cards.refresh();
    more.hidden = shown >= found.length;
  });
  more.hidden = shown >= found.length;
  const none = found.length ? null : element("p", { class: "quiet" }, "No task has paid for an image set that you may see.");
  clear(body, none, cards.root, more);
  spendChart(found, total > found.length).then((made) => clear(chart, made));
  return found;
}

export async function show(view, { dag }) {
  const chart = element("div");
  const body = element("div");
  const choice = element("select", { id: "dag" }, element("option", { value: "" }, "All DAGs"));
  const found = await list(dag, chart, body);
  const names = [...new Set([...found.map((each) => each.dag_id), ...(dag ? [dag] : [])])].sort();
  choice.append(...names.map((name) => element("option", { value: name, selected: name === dag }, readable(name))));
  choice.addEventListener("change", () => {
    clear(chart);
    list(choice.value || null, chart, body).catch((error) => clear(body, trouble(error)));
  });
  const filter = element("p", { class: "filter" }, element("label", { for: "dag" }, "DAG"), " ", choice);
  view.classList.add("rows");
  clear(view, element("header", {}, element("h1", {}, "Image sets"), filter), chart, body);
}
