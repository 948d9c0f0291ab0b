// Where an image set was published to: what the publishing tasks of its run say.
import { instances, value } from "./airflow.js";

const FRESH = 10_000;
const listed = new Map();

export const publishes = (instance) => /^SeedreamPublish/.test(instance.operator ?? "");

function publishingOf(dag, run) {
  const known = listed.get(`${dag} ${run}`);
  if (known && Date.now() - known.at < FRESH) return known.tasks;
  const tasks = instances(dag, run, { state: "success" }).then((found) => found.filter(publishes));
  listed.set(`${dag} ${run}`, { at: Date.now(), tasks });
  return tasks;
}

const near = (one, instance) => Number(one.map_index !== instance.map_index);

// The result of the task that published a prediction, or null. Mapped tasks most often publish what has their own index.
export async function publicationOf(instance, prediction) {
  const found = await publishingOf(instance.dag_id, instance.dag_run_id);
  for (const each of [...found].sort((one, other) => near(one, instance) - near(other, instance))) {
    const result = await value({ ...each, run_id: each.dag_run_id, key: "return_value" }).catch(() => null);
    if (result?.prediction_id === prediction) return result;
  }
  return null;
}
