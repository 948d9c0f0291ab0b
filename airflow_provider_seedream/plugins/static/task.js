// The view of a task: the images of one instance, or one row for each instance of a mapped task.
import { entries, instancesByAndBy } from "./airflow.js";
import { Cards } from "./cards.js";
import { byInstance, isOurs, keysOf } from "./instance.js";
import { clear, element, plural, readable } from "./page.js";

async function* load({ dag, run, task, map }, count) {
  const query = { task_id: task, ...(map === null ? {} : { map_index: map }) };
  for await (const { found, total } of instancesByAndBy(dag, run, query)) {
    const own = found.filter((each) => each.task_id === task && (map === null || each.map_index === Number(map)));
    // Versions that do not know a filter leave it out: what they give first is of any task.
    if (own.length < found.length && found.length < total) continue;
    count(own.length < found.length ? own.length : total);
    yield own;
  }
}

async function pushedBy({ dag_id: dag, dag_run_id: run, task_id: task, map_index }) {
  return byInstance(await entries(dag, run, task, { map_index }));
}

// One for all: instances of a task push the same.
const sample = (found) => found.find((each) => each.state === "success") ?? found[0];

export async function show(view, place) {
  let count = 0;
  const heading = element("h1");
  const cards = new Cards({
    load: () => load(place, (total) => (count = total)),
    keys: async (found) => (found.length ? pushedBy(sample(found)) : new Map()),
    ours: (found, pushed) => (found.some((each) => isOurs(each, keysOf(pushed, each))) ? found : []),
    detail: async (instance, keys) => ({ instance, keys: keys.size ? keys : keysOf(await pushedBy(instance), instance) }),
    title: (instance, words) =>
      count > 1
        ? element("h2", {}, readable(instance.rendered_map_index ?? `Instance ${instance.map_index}`), words ? element("span", { class: "quiet" }, ` · ${words}`) : null)
        : element("h1", {}, words ?? "Image set"),
  });
  cards.changed = () => (heading.textContent = plural(count, "instance"));
  await cards.refresh();
  if (!cards.ours.length) return clear(view, element("p", { class: "quiet" }, "This task has no image set."));
  view.classList.toggle("rows", count > 1);
  return clear(view, count > 1 ? heading : null, cards.root);
}
