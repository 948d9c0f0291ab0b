// The view of a DAG run: all its image sets, and what they cost together.
import { entries, instancesByAndBy, paidBy } from "./airflow.js";
import { Cards } from "./cards.js";
import { byInstance, keysOf } from "./instance.js";
import { publishes } from "./published.js";
import { clear, dollars, element, facts, plural, readable } from "./page.js";

// What publishes a set, or shows it to a person, adds nothing to the set; nor does what has not run.
const IDLE = new Set([null, "skipped", "upstream_failed", "removed"]);
const hasOwnSet = (each) => !publishes(each) && !/^SeedreamReview/.test(each.operator ?? "") && !IDLE.has(each.state);

async function* load({ dag, run }) {
  for await (const { found, total } of instancesByAndBy(dag, run)) {
    const own = found.filter(hasOwnSet);
    // One with a set may be among those to come.
    if (own.length || found.length >= total) yield own;
  }
}

async function detail(instance) {
  const { dag_id: dag, dag_run_id: run, task_id: task, map_index } = instance;
  return { instance, keys: keysOf(byInstance(await entries(dag, run, task, { map_index })), instance) };
}

export async function show(view, place) {
  const sum = element("div", { role: "status" }, element("p", { class: "quiet" }, "Adding up what was paid …"));
  const cards = new Cards({
    load: () => load(place),
    keys: async () => {
      const spent = await entries(place.dag, place.run, "~", { xcom_key: "spent_usd" });
      addUp(sum, place, spent);
      return byInstance(spent);
    },
    detail,
    title: (instance, count) => {
      const map = instance.map_index < 0 ? "" : ` [${instance.rendered_map_index ?? instance.map_index}]`;
      return element("h2", {}, readable(instance.task_id + map), count ? element("span", { class: "quiet" }, ` · ${count}`) : null);
    },
  });
  await cards.refresh();
  if (!cards.ours.length) return clear(view, element("p", { class: "quiet" }, "This run has no image set."));
  view.classList.add("rows");
  return clear(view, element("h1", {}, "Image sets of this run"), sum, cards.root);
}

async function addUp(sum, { dag, run }, spent) {
  const ordered = await entries(dag, run, "~", { xcom_key: "ordered_image_set" }, { atLeisure: true });
  const paid = (await Promise.all(spent.map(paidBy))).reduce((all, usd) => all + usd, 0);
  clear(
    sum,
    facts([
      ["Paid, or may be paid", dollars(paid)],
      ["Image sets", plural(ordered.length, "set")],
    ]),
  );
}
