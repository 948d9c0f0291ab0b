// What was paid per day and DAG, as bars; days are those of UTC, as for max_cost_per_day.
import { paidBy } from "./airflow.js";
import { dollars, element, readable } from "./page.js";

const DAYS = 14;
const DAY = 24 * 3600 * 1000;
const [WIDTH, HEIGHT, STEP, BAR, FOOT, TOP] = [720, 136, 720 / DAYS, 28, 20, 24];
const COLOURS = 6;

function svg(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, given] of Object.entries(attributes)) made.setAttribute(key, given);
  made.append(...children);
  return made;
}

const dayOf = (moment) => new Date(moment).toISOString().slice(0, 10);

async function read(found) {
  const paid = await Promise.all(found.map(paidBy));
  return found.map((entry, at) => ({ dag: entry.dag_id, day: dayOf(entry.timestamp), usd: paid[at] }));
}

function total(paid, key) {
  const sums = new Map();
  for (const each of paid) sums.set(each[key], (sums.get(each[key]) ?? 0) + each.usd);
  return sums;
}

function bars(paid, days, dags) {
  const perDay = total(paid, "day");
  const most = Math.max(...days.map((day) => perDay.get(day) ?? 0));
  const drawn = days.flatMap((day, at) => {
    const x = at * STEP + (STEP - BAR) / 2;
    let top = HEIGHT - FOOT;
    const parts = dags.map((dag, colour) => {
      const usd = total(paid.filter((each) => each.day === day), "dag").get(dag) ?? 0;
      const height = (usd / most) * (HEIGHT - FOOT - TOP);
      top -= height;
      const tip = svg("title", {}, `${day}, ${readable(dag)}: ${dollars(usd)}`);
      return usd ? svg("rect", { x, y: top, width: BAR, height, class: `bar c${colour % COLOURS}` }, tip) : null;
    });
    const label = svg("text", { x: x + BAR / 2, y: HEIGHT - 5, "text-anchor": "middle", class: (DAYS - 1 - at) % 4 ? "often" : "" }, day.slice(5));
    const sum = perDay.get(day) ? svg("text", { x: x + BAR / 2, y: top - 4, "text-anchor": "middle" }, dollars(perDay.get(day))) : null;
    return [...parts, label, sum].filter(Boolean);
  });
  const words = days.filter((day) => perDay.get(day)).map((day) => `${day} ${dollars(perDay.get(day))}`);
  const name = `Paid per day: ${words.join(", ")}`;
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": name, class: "chart" }, ...drawn);
}

// A chart of the entries, once what each of them paid is known; null where none paid in these days.
export async function spendChart(found, isCut) {
  const now = Date.now();
  const days = Array.from({ length: DAYS }, (_, at) => dayOf(now - (DAYS - 1 - at) * DAY));
  const recent = found.filter((each) => days.includes(dayOf(each.timestamp)));
  const paid = await read(recent);
  if (!paid.some((each) => each.usd)) return null;
  const perDag = [...total(paid, "dag")].sort(([, one], [, other]) => other - one);
  const swatch = (at) => element("span", { class: `swatch c${at % COLOURS}` });
  const legend = perDag.map(([dag, usd], at) => element("li", {}, swatch(at), `${readable(dag)} ${dollars(usd)}`));
  const sum = dollars(perDag.reduce((all, [, usd]) => all + usd, 0));
  const of = isCut ? `, by the latest ${found.length} tasks that paid` : "";
  const figure = element("figure", { class: "spend" }, element("figcaption", {}, `Paid in ${DAYS} days, by day (UTC) and DAG: ${sum}${of}`));
  figure.append(bars(paid, days, perDag.map(([dag]) => dag)), element("ul", { class: "legend" }, legend));
  return figure;
}
