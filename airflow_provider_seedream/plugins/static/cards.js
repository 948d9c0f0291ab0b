// A card for each instance, filled when it comes into sight, and kept up to date while it works and the tab is seen.
import { announce, clear, element, trouble } from "./page.js";
import { content, hasEnded, isOurs, keysOf, nameOf, stateOf } from "./instance.js";

const OFTEN = 5_000;
const SELDOM = 30_000;

export class Cards {
  // load() gives the instances, keys(instances) what they have pushed, title(instance, count) the heading of a card;
  // detail(instance), where load() gives only their names, gives one instance and what it has pushed.
  constructor({ load, keys, title, detail }) {
    Object.assign(this, { load, keys, title, detail });
    this.root = element("div", { class: "cards" });
    this.cards = new Map();
    this.pushed = new Map();
    this.instances = [];
    this.since = Date.now();
    this.sight = new IntersectionObserver((seen) => this.fillSeen(seen), { rootMargin: "800px" });
    document.addEventListener("visibilitychange", () => document.hidden || this.later(0));
  }

  get ours() {
    return this.instances.filter((each) => isOurs(each, keysOf(this.pushed, each)));
  }

  async refresh() {
    const before = JSON.stringify(this.instances.map(signature));
    this.instances = await this.load();
    const works = this.instances.some((each) => each.state === "running");
    if (works || before !== JSON.stringify(this.instances.map(signature))) this.pushed = await this.keys(this.instances);
    this.ours.forEach((each) => this.update(each));
    this.later(Math.min(SELDOM, OFTEN + (Date.now() - this.since) / 20));
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
      const { instance, keys } = this.detail ? await this.detail(card.instance) : card;
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

const signature = (instance) =>
  `${nameOf(instance)} ${instance.state} ${instance.try_number} ${instance.end_date}`;
