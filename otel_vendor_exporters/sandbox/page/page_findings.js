// Findings, and the strip above a vendor's panel that leads to them.
// Drawn in place: what has the focus or is being clicked stays the same element while more arrives.

import { el, many, setText, time, withCode } from "/sandbox/page_panels.js";

const keyOf = (one) => `${one.vendor} ${one.code}`;

export function findingsPanel() {
  return el(
    "section", {}, el("div", { class: "panel-top" }, el("h2", { text: "Findings" })),
    el("p", { class: "muted", text: "What the real vendor would have thrown away (loss) or misread (warning), why, and what to change." }),
    el("ul", { class: "findings" }), el("p", { class: "empty", text: "None so far." }),
  );
}

// Returns how many kinds of findings mean loss. showRequests(filter) is called for the requests of one.
export function drawFindings(panel, { findings, words }, titleOf, showRequests) {
  const all = [...findings.values()];
  const found = all.filter((one) => {
    const text = `${one.vendor} ${one.code} ${one.sentence} ${one.remedy}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  found.sort((a, b) => (a.severity === b.severity ? b.count - a.count : a.severity === "error" ? -1 : 1));
  arrange(panel.querySelector(".findings"), found, titleOf, showRequests);
  const nothing = panel.querySelector(".empty");
  nothing.hidden = found.length > 0;
  setText(nothing, all.length ? "None that fits the search." : "None so far: everything that arrived would have been kept.");
  return all.filter((one) => one.severity === "error").length;
}

// A row that somebody points at or has the focus in stays where it is; the others go around it.
function arrange(list, found, titleOf, showRequests) {
  const rows = new Map([...list.children].map((row) => [row.dataset.key, row]));
  const wanted = found.map((one) => {
    const row = rows.get(keyOf(one)) ?? newRow(one, showRequests);
    rows.delete(keyOf(one));
    setText(row.querySelector(".times"), `${titleOf(one.vendor)}, ${many(one.count, "time")}`);
    setText(row.querySelector(".last"), `last ${time(one.t)}`);
    return row;
  });
  for (const row of rows.values()) row.remove();
  if (list.querySelector(":hover, :focus")) wanted.sort((a, b) => placeOf(list, a) - placeOf(list, b));
  wanted.forEach((row, index) => {
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
  });
}

function placeOf(list, row) {
  return row.parentNode === list ? [...list.children].indexOf(row) : Infinity;
}

function newRow(one, showRequests) {
  const filter = { vendor: one.vendor, severity: "", code: one.code };
  return el(
    "li",
    { class: `finding ${one.severity}`, "data-key": keyOf(one) },
    el("span", { class: `badge ${one.severity}`, text: one.severity === "error" ? "loss" : "warning" }),
    el(
      "div", {}, el("p", { class: "code", text: one.code }), el("p", {}, ...withCode(one.sentence)),
      el("p", { class: "remedy" }, el("b", { text: "Change: " }), ...withCode(one.remedy)),
    ),
    el(
      "div", { class: "side" }, el("span", { class: "times" }), el("span", { class: "last" }),
      el("button", { type: "button", text: "Requests", "aria-label": `Requests with ${one.code}`, onclick: () => showRequests(filter) }),
    ),
  );
}

// What a vendor is playing, and whether it would have lost something.
export function drawStrips(strips, panel, { conditions, findings }, seeWhy) {
  const present = panel.conditions.find((one) => one.name === conditions[panel.name]);
  const playing = stripOf(strips, "playing", present.name !== "well", () => el("p", { class: "strip soft" }));
  if (playing) setText(playing, `Playing ${present.title}. ${present.sentence}`);
  const found = [...findings.values()].filter((one) => one.vendor === panel.name);
  const told = stripOf(strips, "told", found.length > 0, () => newTold(seeWhy));
  if (!told) return;
  const lost = found.filter((one) => one.severity === "error");
  const times = lost.reduce((sum, one) => sum + one.count, 0);
  told.className = lost.length ? "strip" : "strip soft";
  setText(told.firstElementChild, lost.length
    ? `The real ${panel.title} would have thrown away something ${many(times, "time")}, for ${many(lost.length, "reason")}.`
    : `${many(found.length, "kind")} of warnings: the real ${panel.title} may misread or ignore this.`);
}

function stripOf(strips, name, isWanted, make) {
  const there = strips.querySelector(`[data-strip="${name}"]`);
  if (!isWanted) there?.remove();
  if (there || !isWanted) return isWanted ? there : null;
  const strip = make();
  strip.dataset.strip = name;
  strips[name === "playing" ? "prepend" : "append"](strip);
  return strip;
}

function newTold(seeWhy) {
  return el("div", {}, el("span"), el("button", { type: "button", text: "See why", onclick: seeWhy }));
}
