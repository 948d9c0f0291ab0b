// Which view a page is: the one that its address names. What Airflow's UI leaves as "{TASK_ID}" is not named.
import { clear, trouble } from "./page.js";
import { followTheme } from "./theme.js";

// Airflow 3.1 does not encode what it puts into the address, and the "+" of a run's id is no blank.
const query = new URLSearchParams(location.search.replaceAll("+", "%2B"));

function named(parameter) {
  const value = query.get(parameter);
  return value === null || /^\{\w+\}$/.test(value) ? null : value;
}

const place = { dag: named("dag_id"), run: named("run_id"), task: named("task_id"), map: named("map_index") };
const view = document.getElementById("view");

followTheme();
try {
  const name = place.task ? "task" : place.run ? "run" : "sets";
  const { show } = await import(`./${name}.js`);
  await show(view, place);
} catch (error) {
  clear(view, trouble(error));
}
view.removeAttribute("aria-busy");
