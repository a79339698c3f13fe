// The sandbox's page: listens to what changes and shows it. Panels come from the sandbox: a vendor more is a panel more.

import { detailOfEntry, detailOfRequest } from "/sandbox/page_detail.js";
import { drawFindings, drawStrips, findingsPanel } from "/sandbox/page_findings.js";
import { VirtualList } from "/sandbox/page_list.js";
import { drawNames } from "/sandbox/page_names.js";
import { Cards, count, el, many, setText, time } from "/sandbox/page_panels.js";

const ANNOUNCE_MS = 4000;
const SEARCH_MS = 150;
const byId = (id) => document.getElementById(id);
const state = {
  panels: [], sections: new Map(), lists: new Map(), findings: new Map(), names: {}, conditions: {}, requests: {},
  words: [], filter: { vendor: "", severity: "", code: "" }, position: 0, stamp: 0, frozenAt: 0, paused: false, source: null,
};

// The stream

function listen() {
  state.source?.close();
  state.source = new EventSource("/sandbox/stream");
  state.source.addEventListener("hello", (event) => begin(JSON.parse(event.data)));
  state.source.addEventListener("message", (event) => change(JSON.parse(event.data)));
  state.source.addEventListener("error", () => show("gone", "The sandbox has stopped; waiting for it"));
}

function begin(hello) {
  if (state.paused) return;
  state.holds = hello.holds;
  if (!state.panels.length) build(hello);
  forget();
}

function change(news) {
  if (state.paused) {
    state.newer = Math.max(0, news.position - state.frozenAt);
    show("paused", `Paused, ${count(state.newer)} new`);
    return;
  }
  if (news.cleared) forget();
  state.position = news.position;
  state.stamp = news.stamp;
  state.requests = news.requests;
  for (const [name, items] of Object.entries(news.sections)) state.sections.get(name)?.take(items);
  for (const finding of news.findings) state.findings.set(`${finding.vendor} ${finding.code}`, finding);
  state.conditions = news.conditions;
  if (news.findings.length || news.cleared) findings();
  const fresh = drawNames(byId("panel-names"), news);
  badge("names", fresh ? count(fresh) : "", fresh > 0);
  drawPanels();
  for (const list of state.lists.values()) list.advance(news.position);
  show(news.behind ? "behind" : "live", news.behind ? `Reading ${count(news.behind)} more` : "Live");
  tell("unreadable", news.unreadable, `${many(news.unreadable, "request")} could not be summed up, which is a defect of the sandbox: see Requests, and the terminal.`);
  tell("forgotten", news.forgotten, forgottenText(news));
  announceSoon();
}

function tell(id, number, text) {
  setText(byId(id), text);
  byId(id).hidden = !number;
}

function forgottenText({ forgotten, missed }) {
  const { requests, characters } = state.holds;
  const unsummed = missed ? ` ${count(missed)} of them had left before this page read them: no sum has them.` : "";
  return `The oldest ${many(forgotten, "request")} left the list: it holds ${count(requests)}, of at most ${count(characters)} characters.${unsummed}`;
}

function forget() {
  state.findings.clear();
  for (const section of state.sections.values()) section.clear?.();
  for (const list of state.lists.values()) list.restart();
  findings();
}

function show(kind, text) {
  if (kind === "gone" && state.paused) return;
  byId("state").dataset.state = kind;
  byId("state-text").textContent = text;
}

// Tabs

const tabs = () => [...document.querySelectorAll("[role=tab]")];

function addTab(name, title, panel) {
  const tab = el("button", {
    type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`, text: title,
    onclick: () => select(name),
  });
  tab.append(el("span", { class: "count" }));
  Object.assign(panel, { id: `panel-${name}`, hidden: true });
  panel.setAttribute("role", "tabpanel");
  panel.setAttribute("aria-labelledby", tab.id);
  panel.classList.add("panel");
  byId("tabs").append(tab);
  byId("main").append(panel);
}

function select(name, focus = false) {
  for (const tab of tabs()) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = !chosen;
    if (chosen && focus) tab.focus();
  }
  history.replaceState(null, "", `#${name}`);
  for (const list of state.lists.values()) if (list.element.offsetParent !== null) list.shown();
}

function moveAlongTabs(event) {
  const all = tabs();
  const at = all.indexOf(document.activeElement);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined || at < 0) return;
  event.preventDefault();
  select(all.at(to % all.length).id.slice("tab-".length), true);
}

function badge(name, text, loud = false) {
  const span = byId(`tab-${name}`).querySelector(".count");
  span.textContent = text;
  span.classList.toggle("loud", loud);
}

// Building, once

function build(hello) {
  state.panels = hello.panels;
  for (const panel of hello.panels) addTab(panel.name, shortOf(panel.name), vendorPanel(panel, hello.settings));
  addTab("findings", "Findings", findingsPanel());
  addTab("requests", "Requests", requestsPanel());
  addTab("names", "Definitions", el("section"));
  const wanted = location.hash.slice(1);
  select(byId(`tab-${wanted}`) ? wanted : state.panels[0].name);
}

function vendorPanel(panel, settings) {
  const lines = settings.filter((line) => line.startsWith(`export OTEL_EXPORTER_${panel.name.toUpperCase()}_`));
  const own = lines.filter((line) => panel.name !== "mparticle" || !line.includes("_ANALYTICS_"));
  const element = el(
    "section",
    { "data-vendor": panel.name },
    el("div", { class: "panel-top" }, el("h2", { text: panel.title }), conditionsOf(panel)),
    el("div", { class: "strips" }),
    el(
      "div",
      { class: "empty" },
      el("h3", { text: "Nothing has arrived yet" }),
      el("p", { text: `Point the exporter here; what it sends is shown as it arrives.${own.join().includes("****") ? " The terminal printed what is behind the stars." : ""}` }),
      el("pre", { class: "block", tabindex: 0, text: own.join("\n") }),
    ),
  );
  for (const section of panel.sections) element.append(sectionOf(section));
  return element;
}

function sectionOf(section) {
  if (section.kind !== "listing") {
    const cards = new Cards(section);
    state.sections.set(section.name, cards);
    return cards.element;
  }
  const box = el("div", { class: "list", id: `list-${section.name.replace(".", "-")}` });
  const counted = el("span", { class: "count" });
  const beyond = el("p", { class: "muted beyond", hidden: true });
  const element = el("section", { class: "section", "data-section": section.name, hidden: true }, el("h3", { text: section.title }, counted), box, beyond);
  const address = (path, more) => `/sandbox/${path}?${new URLSearchParams({ name: section.name, ...more })}`;
  const list = new VirtualList(box, {
    label: section.title, className: "entry", nothing: "None that fits the search.",
    url: (offset, number) => address("listing", { offset, count: number, q: state.words.join(" "), until: state.paused ? state.stamp : "" }),
    draw: drawEntry, keyOf: (row) => row.key,
    open: async (row) => open(row.title, detailOfEntry(await fetched(address("entry", { key: row.key })))),
    onTotal: (total) => {
      counted.textContent = count(total);
      box.style.height = `min(22rem, ${Math.max(1, total) * list.rowHeight + 2}px)`;
    },
  });
  state.lists.set(section.name, list);
  state.sections.set(section.name, {
    take: (items) => {
      if (element.hidden) list.refreshSoon();
      const { count: listed, unit, left_out: leftOut } = items.at(-1);
      element.hidden = !listed;
      beyond.hidden = !leftOut;
      beyond.textContent = `No more than ${count(listed)} are listed. Of others arrived ${many(leftOut, unit)} more.`;
    },
    clear: () => { element.hidden = true; },
  });
  return element;
}

function drawEntry(row, element) {
  element.replaceChildren(
    el("span", { class: "title", text: row.title }),
    el("span", { class: "about" }, row.state ? el("span", { class: "badge warning", text: row.state }) : "", row.about),
    el("span", { class: "num", text: many(row.count, row.unit) }),
    el("span", { class: "num time", text: time(row.t) }),
  );
}

function conditionsOf(panel) {
  const field = el("fieldset", { class: "conditions" }, el("legend", { text: "Play" }));
  for (const one of panel.conditions) {
    const input = el("input", {
      type: "radio", name: `condition-${panel.name}`, value: one.name, title: one.sentence,
      onchange: () => post("condition", { vendor: panel.name, condition: one.name }),
    });
    field.append(el("label", {}, input, el("span", { text: one.title })));
  }
  return field;
}

// Drawing, as things change

function drawPanels() {
  for (const panel of state.panels) {
    const element = byId(`panel-${panel.name}`);
    const requests = state.requests[panel.name] ?? 0;
    badge(panel.name, requests ? count(requests) : "");
    element.querySelector(".empty").hidden = requests > 0;
    element.querySelector(`input[value="${state.conditions[panel.name]}"]`).checked = true;
    drawStrips(element.querySelector(".strips"), panel, state, () => select("findings", true));
  }
  const all = Object.values(state.requests).reduce((sum, one) => sum + one, 0);
  badge("requests", all ? count(all) : "");
}

function findings() {
  const panel = byId("panel-findings");
  if (!panel) return;
  const lost = drawFindings(panel, state, titleOf, showRequests);
  badge("findings", state.findings.size ? count(state.findings.size) : "", lost > 0);
}

const shortOf = (vendor) => titleOf(vendor).replace("mParticle Analytics", "Analytics");
const titleOf = (vendor) => state.panels.find((panel) => panel.name === vendor)?.title ?? "no vendor";

function requestsPanel() {
  const box = el("div", { class: "list tall", id: "list-requests" });
  const choose = (name, label, choices) => el(
    "label", { text: label },
    el("select", { id: `filter-${name}`, onchange: (event) => filterBy({ [name]: event.target.value }) },
      ...choices.map(([value, title]) => el("option", { value, text: title }))),
  );
  const list = new VirtualList(box, {
    label: "Requests, newest first", className: "request", nothing: "No request that fits.", draw: drawRequest,
    keyOf: ([position]) => position,
    url: (offset, number, until) => `/sandbox/requests?${new URLSearchParams({ offset, count: number, until, q: state.words.join(" "), ...state.filter })}`,
    open: async ([position]) => open(`Request ${count(position)}`, detailOfRequest(await fetched(`/sandbox/request?position=${position}`))),
    onTotal: (total) => { byId("requests-total").textContent = many(total, "request"); },
    onNewer: (newer) => {
      byId("newer").hidden = !newer || state.paused;
      byId("newer").textContent = `${count(newer)} newer, show`;
    },
  });
  state.lists.set("requests", list);
  return el(
    "section", {}, el("h2", { class: "hidden", text: "Requests" }),
    el(
      "div", { class: "list-tools" },
      choose("vendor", "Vendor", [["", "all"], ...state.panels.map((one) => [one.name, one.title])]),
      choose("severity", "Finding", [["", "any or none"], ["error", "loss"], ["warning", "warning"]]),
      el("button", { id: "code-chip", class: "chip", type: "button", hidden: true, onclick: () => filterBy({ code: "" }) }),
      el("button", { id: "newer", class: "chip", type: "button", hidden: true, onclick: () => list.follow() }),
      el("span", { id: "requests-total", class: "total" }),
    ),
    box,
  );
}

function drawRequest([, t, vendor, kind, method, path, status, severity, findings, said], element) {
  element.replaceChildren(
    el("span", { class: "time", text: time(t) }),
    el("span", { class: `status badge ${status >= 200 && status < 300 ? "good" : "error"}`, text: status || "none" }),
    el("span", { class: "kind", text: vendor ? `${shortOf(vendor)} ${kind}` : "unknown path" }),
    el("span", { class: "said", text: said || `${method} ${path}` }),
    el("span", { class: severity ? `found badge ${severity}` : "found", text: severity ? many(findings, "finding") : "" }),
  );
}

function filterBy(changes) {
  Object.assign(state.filter, changes);
  for (const name of ["vendor", "severity"]) byId(`filter-${name}`).value = state.filter[name];
  byId("code-chip").hidden = !state.filter.code;
  byId("code-chip").textContent = `${state.filter.code} ×`;
  byId("code-chip").setAttribute("aria-label", `Remove the filter ${state.filter.code}`);
  state.lists.get("requests").restart();
}

function showRequests(filter) {
  filterBy(filter);
  select("requests");
  byId("list-requests").focus();
}

// What people do

function open(title, content) {
  byId("detail-title").textContent = title;
  byId("detail-body").replaceChildren(...content);
  byId("detail").showModal();
  byId("detail").scrollTop = 0;
}

async function fetched(address) {
  const reply = await fetch(address);
  return reply.ok ? reply.json() : null;
}

async function post(path, content) {
  const reply = await fetch(`/sandbox/${path}`, { method: "POST", body: JSON.stringify(content) });
  if (!reply.ok) announce(await reply.text());
}

function pause() {
  state.paused = !state.paused;
  state.frozenAt = state.position;
  byId("pause").setAttribute("aria-pressed", state.paused);
  byId("pause").textContent = state.paused ? "Resume" : "Pause";
  for (const list of state.lists.values()) list.pause(state.paused);
  if (state.paused) show("paused", "Paused");
  else listen();
  announce(state.paused ? "Paused" : "Live again");
}

function search() {
  state.words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of state.sections.values()) section.filter?.(state.words);
  for (const list of state.lists.values()) list.restart();
  findings();
}

let searching;
let announcing;
let told = { requests: 0, findings: 0 };

function announce(text) {
  byId("announcer").textContent = text;
}

function announceSoon() {
  announcing ??= setTimeout(() => {
    announcing = null;
    const now = { requests: Object.values(state.requests).reduce((sum, one) => sum + one, 0), findings: state.findings.size };
    if (now.requests !== told.requests) announce(`${many(now.requests, "request")}, ${many(now.findings, "kind")} of findings`);
    told = now;
  }, ANNOUNCE_MS);
}

byId("pause").addEventListener("click", pause);
byId("clear").addEventListener("click", async () => {
  await post("clear", {});
  if (state.paused) pause();
  announce("Cleared");
});
byId("tabs").addEventListener("keydown", moveAlongTabs);
byId("search").addEventListener("input", () => {
  clearTimeout(searching);
  searching = setTimeout(search, SEARCH_MS);
});
byId("detail").addEventListener("click", (event) => {
  if (event.target === byId("detail")) byId("detail").close();
});
listen();
