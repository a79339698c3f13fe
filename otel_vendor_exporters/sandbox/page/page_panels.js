// Drawing: elements, numbers, and the cards of timings, series and tallies.
// Text from outside only ever becomes text: nothing here reads HTML.

const MAX_CARDS = 60;
const SVG = "http://www.w3.org/2000/svg";
const numbers = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "text") element.textContent = value;
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Only a text that differs is set: a screen reader and a selection are left alone.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

export const count = (number) => numbers.format(number);
// From the year 1 to 9999: what lies beyond is in another unit than milliseconds.
const isTime = (unixMs) => unixMs > -62135596800000 && unixMs < 253402300800000;
export const time = (unixMs) => (!unixMs ? "" : isTime(unixMs) ? clock.format(unixMs) : `${unixMs} (no valid time)`);
export const withCode = (text) => text.split("`").map((part, index) => (index % 2 ? el("code", { text: part }) : part));
export const many = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;

export function duration(milliseconds) {
  if (milliseconds < 1000) return `${numbers.format(Math.round(milliseconds * 10) / 10)} ms`;
  if (milliseconds < 60000) return `${(milliseconds / 1000).toPrecision(3)} s`;
  return `${numbers.format(Math.round(milliseconds / 600) / 100)} min`;
}

function plot(label, ...shapes) {
  const picture = svg("svg", { class: "plot", viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img" });
  picture.setAttribute("aria-label", label);
  picture.append(svg("line", { class: "axis", x1: 0, x2: 100, y1: 40, y2: 40 }), ...shapes);
  return picture;
}

function place(value, item) {
  const scale = item.growing ? (x) => Math.log10(x + 1) : (x) => x;
  const low = scale(item.min);
  const high = item.growing ? scale(item.max) : item.max + 1;
  return high > low ? Math.max(0, Math.min(100, ((scale(value) - low) / (high - low)) * 100)) : 0;
}

function cardTop(name, ...rest) {
  return el("div", { class: "card-top" }, el("h4", { text: name }), ...rest);
}

function drawTiming(item) {
  const most = Math.max(...item.bars);
  const alone = item.bars.length === 1; // one value: a slim bar in the middle
  const width = alone ? 6 : 100 / item.bars.length;
  const bars = item.bars.map((bar, index) => {
    const height = bar ? Math.max(1.2, (bar / most) * 38) : 0;
    const x = alone ? 47 : index * width + 0.2;
    return svg("rect", { class: "bar", x, y: 40 - height, width: width - 0.4, height, rx: 0.4 });
  });
  const [[, median], , [, p95]] = item.percentiles;
  const marks = !alone ? [median, p95].map((value) => place(value, item)) : [];
  const lines = marks.map((x) => svg("line", { class: "mark", x1: x, x2: x, y1: 0, y2: 40 }));
  const label = `Distribution of ${item.name}: half within ${duration(median)}, 95 of 100 within ${duration(p95)}`;
  return [
    cardTop(item.name, el("span", { class: "value", text: many(item.count, "value") })),
    plot(label, ...bars, ...lines),
    el(
      "p",
      { class: "ends" },
      el("span", { text: duration(item.min) }),
      el("span", { text: `${item.growing ? "log scale, " : ""}mean ${duration(item.mean)}` }),
      el("span", { text: duration(item.max) }),
    ),
    el(
      "dl",
      { class: "percentiles" },
      ...item.percentiles.map(([part, value]) =>
        el("div", {}, el("dt", { text: part === 50 ? "median" : `p${part}` }), el("dd", { text: duration(value) })),
      ),
    ),
  ];
}

function drawSeries(item) {
  const most = Math.max(...item.points, 0);
  const least = Math.min(...item.points, 0);
  const scale = 38 / (most - least || 1);
  const slices = Math.max(item.points.length, 12);
  const zero = 40 + least * scale;
  const bars = item.points.map((point, index) =>
    svg("rect", {
      class: "bar", x: (100 * index) / slices + 0.1, width: 100 / slices - 0.2, rx: 0.3,
      y: point < 0 ? zero : zero - point * scale, height: Math.abs(point) * scale,
    }),
  );
  const until = item.points.length === slices ? item.from + slices * item.width : 0; // else the axis goes beyond now
  return [
    cardTop(item.name, el("span", { class: "value big", text: count(item.total) })),
    plot(`${item.name} over time, ${count(item.total)} in all`, ...bars),
    el(
      "p",
      { class: "ends" },
      el("span", { text: time(item.from) }),
      el("span", { text: `${many(item.count, "increment")}, last ${count(item.last)}` }),
      el("span", { text: time(until) }),
    ),
  ];
}

function drawTally(item) {
  const most = item.values[0]?.[1] ?? 1;
  const rows = item.values.map(([value, times]) => {
    const fill = el("div", { class: "fill" });
    fill.style.width = `${(times / most) * 100}%`;
    return el(
      "li",
      {},
      el("span", { text: value === "" ? "(empty)" : value }),
      el("span", { class: "muted", text: count(times) }),
      el("div", { class: "track", "aria-hidden": "true" }, fill),
    );
  });
  if (item.others) {
    rows.push(el("li", { class: "muted" }, el("span", { text: "others" }), el("span", { text: count(item.others) })));
  }
  return [
    cardTop(item.name, el("span", { class: "value", text: many(item.distinct, "value") })),
    el("ul", { class: "tally" }, ...rows),
  ];
}

const DRAWN = { timings: drawTiming, series: drawSeries, tallies: drawTally };

// A section of cards: one for each name; only those that changed are drawn anew, and only once in sight.
export class Cards {
  constructor(section) {
    this.drawOne = DRAWN[section.kind];
    this.items = new Map();
    this.cards = new Map();
    this.frame = null;
    this.words = [];
    this.all = false;
    this.grid = el("div", { class: "grid" });
    this.count = el("span", { class: "count" });
    this.more = el("button", { class: "more", type: "button", hidden: true, onclick: () => this.showAll() });
    this.seen = new IntersectionObserver((entries) => this.cameInSight(entries), { rootMargin: "200px" });
    this.element = el("section", { class: "section", "data-section": section.name, hidden: true });
    this.beyond = el("p", { class: "muted beyond", hidden: true });
    this.element.append(el("h3", { text: section.title }, this.count), this.grid, this.more, this.beyond);
  }

  clear() {
    this.items.clear();
    this.beyond.hidden = true;
    for (const card of this.cards.values()) this.seen.unobserve(card);
    this.cards.clear();
    this.grid.replaceChildren();
    this.arrange();
  }

  take(items) {
    for (const item of items) {
      if (item.left_out) {
        this.leaveOut(item);
        continue;
      }
      this.items.set(item.name, item);
      const card = this.cards.get(item.name);
      if (card) card.stale = true;
      if (card?.inSight) this.drawSoon();
    }
    this.arrange();
  }

  leaveOut({ left_out: leftOut, most }) {
    setText(this.beyond, `Cards end at ${many(most, "name")}. Under others arrived ${many(leftOut, "value")} more.`);
    this.beyond.hidden = false;
  }

  filter(words) {
    this.words = words;
    this.arrange();
  }

  cameInSight(entries) {
    for (const { target, isIntersecting } of entries) target.inSight = isIntersecting;
    this.drawSoon();
  }

  drawSoon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      for (const [name, card] of this.cards) {
        if (!card.stale || !card.inSight) continue;
        card.stale = false;
        card.replaceChildren(...this.drawOne(this.items.get(name)));
      }
    });
  }

  newCard(item) {
    const card = el("article", { class: "card" }, cardTop(item.name));
    card.stale = true;
    this.seen.observe(card);
    return card;
  }

  showAll() {
    this.all = true;
    this.arrange();
  }

  arrange() {
    const found = [...this.items.values()].filter((item) => this.isWanted(item));
    const shown = this.all ? found : found.slice(0, MAX_CARDS);
    const names = new Set(shown.map((item) => item.name));
    for (const [name, card] of this.cards) {
      if (!names.has(name)) {
        this.seen.unobserve(card);
        card.remove();
        this.cards.delete(name);
      }
    }
    for (const item of shown) {
      if (!this.cards.has(item.name)) this.cards.set(item.name, this.newCard(item));
    }
    const wanted = shown.map((item) => this.cards.get(item.name));
    if (wanted.some((card, index) => this.grid.children[index] !== card)) this.grid.replaceChildren(...wanted);
    this.count.textContent = found.length === this.items.size ? count(found.length) : `${found.length} of ${this.items.size}`;
    this.element.hidden = this.items.size === 0;
    this.more.hidden = shown.length === found.length;
    this.more.textContent = `Show all ${count(found.length)}`;
  }

  isWanted(item) {
    const text = `${item.name} ${item.values ? item.values.map(([value]) => value).join(" ") : ""}`.toLowerCase();
    return this.words.every((word) => text.includes(word));
  }
}
