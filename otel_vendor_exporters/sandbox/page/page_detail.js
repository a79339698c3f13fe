// The drawer: one request as it was sent, or one user and what it did.

import { count, el, many, time, withCode } from "/sandbox/page_panels.js";

const GONE = "It has left the sandbox's memory since.";

function table(caption, pairs) {
  if (!pairs.length) return null;
  return el(
    "section",
    {},
    el("h3", { text: caption }),
    el(
      "table",
      { class: "pairs" },
      ...pairs.map(([name, value]) => el("tr", {}, el("th", { scope: "row", text: name }), el("td", { text: shown(value) }))),
    ),
  );
}

const shown = (value) => (typeof value === "object" && value !== null ? JSON.stringify(value) : String(value));

function pretty(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}

function finding(one) {
  return el(
    "li",
    { class: `finding ${one.severity}` },
    el("span", { class: `badge ${one.severity}`, text: one.severity === "error" ? "loss" : "warning" }),
    el(
      "div",
      {},
      el("p", { class: "code", text: one.code }),
      el("p", {}, ...withCode(one.sentence)),
      el("p", { class: "remedy" }, el("b", { text: "Change: " }), ...withCode(one.remedy)),
    ),
  );
}

export function detailOfRequest(request) {
  if (!request) return [el("p", { class: "none", text: GONE })];
  const answer = request.status ? `answered ${request.status}` : "got no answer";
  const about = `${request.vendor || "nobody"} ${request.kind}, ${time(request.t)}, ${answer}`;
  const parts = [el("p", { class: "muted", text: about })];
  if (request.findings.length) {
    parts.push(el("section", {}, el("h3", { text: many(request.findings.length, "finding") }), el("ul", { class: "findings" }, ...request.findings.map(finding))));
  }
  parts.push(table("Parameters", request.pairs));
  if (request.line) {
    const headers = request.headers.map(([name, value]) => `${name}: ${value}`).join("\n");
    const left = request.left_out ? `\n… ${count(request.left_out)} bytes more` : "";
    const body = request.body ? `\n\n${pretty(request.body)}${left}` : "";
    parts.push(el("section", {}, el("h3", { text: "As it was sent, secrets masked" }), el("pre", { class: "block", tabindex: 0, text: `${request.line}\n${headers}${body}` })));
  }
  return parts.filter(Boolean);
}

export function detailOfEntry(entry) {
  if (!entry) return [el("p", { class: "none", text: GONE })];
  const known = new Set(["key", "unit", "count", "t", "title", "about", "state", "from", "events"]);
  const parts = [el("p", { class: "muted", text: `${entry.state ? `${entry.state}, ` : ""}${count(entry.count)} in all, last ${time(entry.t)}` })];
  if (entry.from) parts.push(table("Session", [["started", time(entry.from)], ["length", entry.about]]));
  for (const [name, value] of Object.entries(entry)) {
    if (!known.has(name)) parts.push(table(name, Object.entries(value)));
  }
  if (entry.events?.length) {
    parts.push(el("h3", { text: `Last ${many(entry.events.length, "event")}` }));
    for (const one of entry.events) {
      const about = [one.type === one.name ? "" : one.type, time(one.t)].filter(Boolean).join(", ");
      parts.push(el("article", { class: "card" }, el("div", { class: "card-top" }, el("h4", { text: one.name }), el("span", { class: "value", text: about })), table("", Object.entries(one.attributes ?? {}))));
    }
  }
  return parts.filter(Boolean);
}
