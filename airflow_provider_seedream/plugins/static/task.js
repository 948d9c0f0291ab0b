// The view of a task: the images of one instance, or one row for each instance of a mapped task.
import { entries, instances } from "./airflow.js";
import { Cards } from "./cards.js";
import { byInstance } from "./instance.js";
import { clear, element, plural, readable } from "./page.js";

async function load({ dag, run, task, map }) {
  const found = await instances(dag, run, { task_id: task, ...(map === null ? {} : { map_index: map }) });
  return found.filter((each) => each.task_id === task && (map === null || each.map_index === Number(map)));
}

async function keys({ dag, run, task }, found) {
  if (found.length === 1) return byInstance(await entries(dag, run, task, { map_index: found[0].map_index }));
  const filters = ["spent_usd", "ordered_image_set", "image_urls"];
  return byInstance((await Promise.all(filters.map((xcom_key) => entries(dag, run, task, { xcom_key })))).flat());
}

export async function show(view, place) {
  const cards = new Cards({
    load: () => load(place),
    keys: (found) => keys(place, found),
    title: (instance, count) =>
      cards.instances.length > 1
        ? element("h2", {}, readable(instance.rendered_map_index ?? `Instance ${instance.map_index}`), count ? element("span", { class: "quiet" }, ` · ${count}`) : null)
        : element("h1", {}, count ?? "Image set"),
  });
  await cards.refresh();
  if (!cards.ours.length) return clear(view, element("p", { class: "quiet" }, "This task has no image set."));
  const rows = cards.instances.length > 1;
  view.classList.toggle("rows", rows);
  return clear(view, rows ? element("h1", {}, plural(cards.instances.length, "instance")) : null, cards.root);
}
