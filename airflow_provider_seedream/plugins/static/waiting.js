// What a person wants to know of a task that waits: since when, how long such tasks took, and until when it waits.
import { earlierDurations, kept, value } from "./airflow.js";
import { duration, element, facts, plural, time } from "./page.js";

const RECORD = "seedream_submission"; // the submission record: in the task state store, or where that does not last an XCom

// A text that changes by the second, until its element is gone.
function ticking(shown, words) {
  const tick = () => (shown.textContent = words());
  const timer = setInterval(() => (shown.isConnected ? tick() : clearInterval(timer)), 1000);
  tick();
  return shown;
}

const away = (moment) => duration(Math.floor(Math.abs(Date.now() - moment) / 1000));

export function elapsedLine(instance) {
  const since = Date.parse(instance.start_date ?? "");
  if (Number.isNaN(since)) return null;
  return ticking(element("p", { class: "elapsed" }), () => `Running for ${away(since)}`);
}

async function deadline(instance, keys) {
  const record = await (keys.has(RECORD) ? value(keys.get(RECORD)) : kept(instance, RECORD));
  if (typeof record?.deadline !== "number") return null;
  const moment = record.deadline * 1000;
  const left = () => (moment > Date.now() ? ` · in ${away(moment)}` : " · passed");
  return [time(new Date(moment)), ticking(element("span", { class: "quiet" }), left)];
}

async function expected(instance) {
  const took = (await earlierDurations(instance)).sort((one, other) => one - other);
  if (!took.length) return null;
  const median = took[Math.floor(took.length / 2)];
  return `about ${duration(median)} (${took.length > 1 ? "median of " : ""}${plural(took.length, "earlier run")})`;
}

// paid: whether the task has said what it paid for, after which there is a record.
export function waitFacts(instance, keys, paid) {
  const shown = element("div", { class: "wait" });
  const asked = [expected(instance), paid ? deadline(instance, keys) : null];
  Promise.allSettled(asked).then(([usual, until]) => {
    shown.append(facts([["Expected", usual.value], ["Deadline", until.value]]) ?? "");
  });
  return shown;
}
