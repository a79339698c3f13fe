// A list of any length: it asks the sandbox for the rows in sight and draws no others.
// Newest stands first. At the top it follows what arrives; scrolled down it stands still, so that rows do not run away.

const CHUNK = 100;
const BEYOND = 8; // rows drawn above and below what is in sight
const KEPT_CHUNKS = 12;
const REFRESH_MS = 250;

export class VirtualList {
  // options: label, url(offset, count, until) -> address, draw(row, element), open(row), keyOf(row), className, onTotal(total)
  constructor(element, options) {
    this.element = element;
    this.options = options;
    this.total = 0;
    this.active = 0;
    this.chosen = null; // the active row; null: whichever has the place
    this.until = null; // null follows; else the newest position that is shown
    this.position = 0;
    this.paused = false;
    this.chunks = new Map();
    this.rows = new Map();
    this.asked = new Set();
    this.epoch = 0;
    this.space = document.createElement("div");
    this.nothing = document.createElement("p");
    this.nothing.className = "none";
    this.nothing.textContent = options.nothing;
    element.append(this.space, this.nothing);
    element.tabIndex = 0;
    element.setAttribute("role", "listbox");
    element.setAttribute("aria-label", options.label);
    element.addEventListener("scroll", () => this.scrolled(), { passive: true });
    element.addEventListener("keydown", (event) => this.pressed(event));
    element.addEventListener("click", (event) => this.clicked(event));
    new ResizeObserver(() => this.draw()).observe(element);
  }

  get rowHeight() {
    return matchMedia("(max-width: 720px)").matches ? 60 : 40;
  }

  // What is listed has changed: begin anew, at the top.
  restart() {
    this.forget();
    this.active = 0;
    this.chosen = null;
    this.until = this.paused ? this.position : null;
    this.element.scrollTop = 0;
    this.ask(0);
  }

  // More has arrived.
  advance(position) {
    this.position = position;
    if (this.until === null) this.refreshSoon();
    else this.options.onNewer?.(Math.max(0, position - this.until));
  }

  pause(paused) {
    this.paused = paused;
    if (paused) this.until ??= this.position;
    else if (this.element.scrollTop === 0) this.follow();
  }

  follow() {
    this.until = null;
    this.element.scrollTop = 0;
    this.options.onNewer?.(0);
    this.refreshSoon();
  }

  refreshSoon() {
    if (this.timer || !this.element.isConnected) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      if (this.element.offsetParent === null) return; // not in sight: it asks when it is shown
      this.epoch += 1;
      this.asked.clear();
      this.stale = true;
      this.refreshedAt = this.until ?? this.position;
      this.ask(0);
    }, REFRESH_MS);
  }

  // It has come in sight: it asks for what is new, or, paused, for what was there then.
  shown() {
    if (this.until === null || this.refreshedAt !== this.until) this.refreshSoon();
    this.draw();
  }

  forget() {
    this.epoch += 1;
    this.chunks.clear();
    this.asked.clear();
  }

  async ask(chunk) {
    if (this.asked.has(chunk)) return;
    this.asked.add(chunk);
    const epoch = this.epoch;
    const address = this.options.url(chunk * CHUNK, CHUNK, this.until ?? "");
    let answer;
    try {
      const reply = await fetch(address);
      if (!reply.ok) return;
      answer = await reply.json();
    } catch {
      this.asked.delete(chunk);
      return; // the stream says that the sandbox has gone
    }
    if (epoch !== this.epoch) return;
    if (this.stale) {
      this.chunks.clear();
      if (this.chosen) this.active += answer.total - this.total;
    }
    this.stale = false;
    this.chunks.set(chunk, answer.rows);
    if (this.chunks.size > KEPT_CHUNKS) this.dropFarthest(chunk);
    this.setTotal(answer.total);
    this.followActive(chunk, answer.rows);
    this.draw();
  }

  dropFarthest(from) {
    const farthest = [...this.chunks.keys()].reduce((a, b) => (Math.abs(b - from) > Math.abs(a - from) ? b : a));
    this.chunks.delete(farthest);
    this.asked.delete(farthest);
  }

  setTotal(total) {
    this.total = total;
    this.active = Math.max(0, Math.min(this.active, total - 1));
    this.nothing.hidden = total > 0;
    this.options.onTotal?.(total);
  }

  // The active row is a record, not a place: when newer ones push it down, it stays the active one.
  followActive(chunk, rows) {
    if (!this.chosen && this.active && this.row(this.active)) this.choose(this.active);
    const at = rows.findIndex((row) => this.isChosen(row));
    if (at >= 0) this.active = chunk * CHUNK + at;
  }

  choose(index) {
    this.active = index;
    this.chosen = this.row(index) ?? null;
  }

  isChosen(row) {
    return this.chosen !== null && this.options.keyOf(row) === this.options.keyOf(this.chosen);
  }

  isActive(index) {
    const row = this.row(index);
    return this.chosen && row ? this.isChosen(row) : index === this.active;
  }

  row(index) {
    return this.chunks.get(Math.floor(index / CHUNK))?.[index % CHUNK];
  }

  draw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.drawNow();
    });
  }

  drawNow() {
    const height = this.rowHeight;
    this.space.style.height = `${this.total * height}px`;
    const first = Math.max(0, Math.floor(this.element.scrollTop / height) - BEYOND);
    const last = Math.min(this.total, first + Math.ceil(this.element.clientHeight / height) + 2 * BEYOND);
    for (const [index, element] of this.rows) {
      if (index < first || index >= last) {
        element.remove();
        this.rows.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) this.drawRow(index, height);
    this.element.setAttribute("aria-activedescendant", this.rows.get(this.active)?.id ?? "");
    for (let chunk = Math.floor(first / CHUNK); chunk * CHUNK < last; chunk += 1) {
      if (!this.chunks.has(chunk)) this.ask(chunk);
    }
  }

  drawRow(index, height) {
    let element = this.rows.get(index);
    if (!element) {
      element = document.createElement("div");
      element.setAttribute("role", "option");
      element.id = `${this.element.id}-${index}`;
      element.dataset.index = index;
      element.setAttribute("aria-posinset", index + 1);
      this.rows.set(index, element);
      this.element.append(element);
    }
    element.style.top = `${index * height}px`;
    element.className = `row ${this.options.className}${this.isActive(index) ? " active" : ""}`;
    element.setAttribute("aria-selected", this.isActive(index));
    element.setAttribute("aria-setsize", this.total);
    const row = this.row(index);
    if (row && element.row !== row) {
      element.row = row;
      this.options.draw(row, element);
    } else if (!row && !element.row) {
      element.textContent = "…";
    }
  }

  scrolled() {
    const atTop = this.element.scrollTop === 0;
    if (!atTop && this.until === null) this.until = this.position;
    else if (atTop && this.until !== null && !this.paused) this.follow();
    this.draw();
  }

  pressed(event) {
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.rowHeight) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.total, End: this.total };
    if (event.key in steps) this.moveTo(this.active + steps[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.open(this.active);
    else return;
    event.preventDefault();
  }

  moveTo(index) {
    this.choose(Math.max(0, Math.min(this.total - 1, index)));
    const height = this.rowHeight;
    const top = this.active * height;
    const room = this.element.clientHeight;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + height > this.element.scrollTop + room) this.element.scrollTop = top + height - room;
    this.draw();
  }

  clicked(event) {
    const element = event.target.closest(".row");
    if (!element) return;
    this.choose(Number(element.dataset.index));
    this.draw();
    this.open(this.active);
  }

  open(index) {
    const row = (index === this.active && this.chosen) || this.row(index);
    if (row) this.options.open(row);
  }
}
