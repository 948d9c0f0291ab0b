// Which view a page is: the one that its address names. What Airflow's UI leaves as "{TASK_ID}" is not named.
import { describe } from "./airflow.js";
import { clear, element } from "./page.js";
import { followTheme } from "./theme.js";

const query = new URLSearchParams(location.search);

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
  clear(view, element("p", { class: "trouble", role: "alert" }, describe(error)));
}
view.removeAttribute("aria-busy");
