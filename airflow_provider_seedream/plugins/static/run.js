// The view of a DAG run: all its image sets, and what they cost together.
import { entries, instances, paidBy } from "./airflow.js";
import { Cards } from "./cards.js";
import { byInstance } from "./instance.js";
import { publishes } from "./published.js";
import { clear, dollars, element, facts, plural, readable } from "./page.js";

const FILTERS = ["spent_usd", "ordered_image_set", "image_urls"];

// What publishes a set, or shows it to a person, adds nothing to the set; nor does what has not run.
const IDLE = new Set([null, "skipped", "upstream_failed", "removed"]);
const hasOwnSet = (each) => !publishes(each) && !/^SeedreamReview/.test(each.operator ?? "") && !IDLE.has(each.state);

export async function show(view, place) {
  const sum = element("div", { role: "status" }, element("p", { class: "quiet" }, "Adding up what was paid …"));
  const cards = new Cards({
    load: async () => (await instances(place.dag, place.run)).filter(hasOwnSet),
    keys: async () => {
      const pushed = await Promise.all(FILTERS.map((xcom_key) => entries(place.dag, place.run, "~", { xcom_key })));
      addUp(sum, pushed);
      return byInstance(pushed.flat());
    },
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

async function addUp(sum, [spent, ordered]) {
  const paid = (await Promise.all(spent.map(paidBy))).reduce((all, usd) => all + usd, 0);
  clear(
    sum,
    facts([
      ["Paid, or may be paid", dollars(paid)],
      ["Image sets", plural(ordered.length, "set")],
    ]),
  );
}
