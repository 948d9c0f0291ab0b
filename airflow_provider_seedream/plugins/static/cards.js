// A card for each instance, filled when it comes into sight, and kept up to date while it works and the tab is seen.
import { announce, clear, element, trouble } from "./page.js";
import { content, hasEnded, isOurs, keysOf, nameOf, stateOf } from "./instance.js";

const OFTEN = 5_000;
const SELDOM = 30_000;

export class Cards {
  // load() yields the instances: what fills a screen, then all; keys(instances) gives what makes them known as ours, and may
  // give all that they have pushed; ours(instances, keys) those to show, by default each by itself; title(instance, count) the
  // heading of a card; detail(instance, keys) gives one instance and all that it has pushed, once its card is seen.
  constructor({ load, keys, title, detail, ours = ownOnes }) {
    Object.assign(this, { load, keys, title, detail, choose: ours });
    this.root = element("div", { class: "cards" });
    this.cards = new Map();
    this.pushed = new Map();
    this.instances = [];
    this.since = Date.now();
    this.sight = new IntersectionObserver((seen) => this.fillSeen(seen), { rootMargin: "800px" });
    document.addEventListener("visibilitychange", () => document.hidden || this.later(0));
  }

  get ours() {
    return this.choose(this.instances, this.pushed);
  }

  async refresh() {
    const coming = this.load();
    if (this.instances.length) return this.takeAll(coming);
    await this.take((await coming.next()).value ?? []);
    const rest = this.takeAll(coming);
    if (!this.ours.length) return rest; // one of ours may be among them
    rest.catch(() => this.later(SELDOM));
  }

  async takeAll(coming) {
    let all = null;
    for await (const found of coming) all = found;
    if (all) await this.take(all);
    this.later(Math.min(SELDOM, OFTEN + (Date.now() - this.since) / 20));
  }

  async take(found) {
    const before = JSON.stringify(this.instances.map(signature));
    this.instances = found;
    const works = found.some((each) => each.state === "running");
    if (works || before !== JSON.stringify(found.map(signature))) this.pushed = await this.keys(found);
    this.ours.forEach((each) => this.update(each));
    this.changed?.();
  }

  later(delay) {
    clearTimeout(this.timer);
    if (document.hidden || this.instances.every(hasEnded)) return;
    this.timer = setTimeout(() => this.refresh().catch(() => this.later(SELDOM)), delay);
  }

  update(instance) {
    const name = nameOf(instance);
    const keys = keysOf(this.pushed, instance);
    const version = `${signature(instance)} ${[...keys.keys()].join()}`;
    let card = this.cards.get(name);
    if (card?.version === version) return;
    if (!card) {
      const head = element("header", {}, this.title(instance, null));
      card = { root: element("article", { class: "card", "aria-busy": "true" }, head), seen: false, filled: null };
      card.root.card = card;
      this.cards.set(name, card);
      this.root.append(card.root);
      this.sight.observe(card.root);
    }
    Object.assign(card, { instance, keys, version });
    if (card.seen) this.fill(card);
  }

  fillSeen(seen) {
    for (const { isIntersecting, target } of seen) {
      target.card.seen = isIntersecting;
      if (isIntersecting && target.card.filled !== target.card.version) this.fill(target.card);
    }
  }

  async fill(card) {
    const { root, version } = card;
    if (card.filled) announce(`${card.instance.task_id}: ${stateOf(card.instance)}`);
    card.filled = version;
    try {
      const { instance, keys } = this.detail ? await this.detail(card.instance, card.keys) : card;
      const parts = await content(instance, keys, (count) => this.title(instance, count), this.instances.length === 1);
      if (card.version !== version) return;
      clear(root, parts);
    } catch (error) {
      card.filled = null;
      clear(root, element("header", {}, this.title(card.instance, null)), trouble(error));
    }
    root.removeAttribute("aria-busy");
  }
}

const ownOnes = (instances, pushed) => instances.filter((each) => isOurs(each, keysOf(pushed, each)));

const signature = (instance) =>
  `${nameOf(instance)} ${instance.state} ${instance.try_number} ${instance.end_date}`;
