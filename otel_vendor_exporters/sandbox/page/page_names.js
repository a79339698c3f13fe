// What the mPulse app defines, and what arrived without definition, ready to be typed into mPulse.

import { el, many, setText, withCode } from "/sandbox/page_panels.js";

// Returns how many names arrived without definition.
export function drawNames(panel, { learns, learned, unlisted, defined }) {
  const key = JSON.stringify([learns, learned, unlisted, defined]);
  const fresh = Object.values(learned).flat().length + unlisted;
  if (panel.dataset.key === key) return fresh;
  panel.dataset.key = key;
  const learning = learns
    ? "Names without definition are taken and listed here. Give the exporter `OTEL_EXPORTER_MPULSE_UNDEFINED=send`, so that it sends them."
    : "Names without definition are lost, as in mPulse. To collect them, start the sandbox with `--learn`, and the exporter with `OTEL_EXPORTER_MPULSE_UNDEFINED=send`.";
  if (!panel.children.length) panel.append(...frame());
  panel.querySelector(".muted").replaceChildren(...withCode(learning));
  panel.querySelector(".empty").hidden = fresh > 0;
  const beyond = panel.querySelector(".beyond");
  beyond.hidden = !unlisted;
  setText(beyond, `${many(unlisted, "name")} more arrived than are listed. So many are rarely meant: look for ids or numbers in names.`);
  const [learnedGrid, definedGrid] = panel.querySelectorAll(".grid");
  drawCards(learnedGrid, learned, true);
  drawCards(definedGrid, defined, false);
  return fresh;
}

function frame() {
  return [
    el("div", { class: "panel-top" }, el("h2", { text: "Definitions of the mPulse app" })),
    el("p", { class: "muted" }),
    el("h3", { text: "Arrived without definition: type these into mPulse, exactly so" }),
    el("div", { class: "grid" }),
    el("p", { class: "muted beyond", hidden: true }),
    el("p", { class: "empty", text: "None." }),
    el("h3", { text: "Defined" }),
    el("div", { class: "grid" }),
  ];
}

// In place: a button somebody is about to press stays while more names arrive.
function drawCards(grid, kinds, copied) {
  const filled = Object.entries(kinds).filter(([, names]) => names.length);
  const cards = keyed(grid, filled.map(([kind]) => kind), (kind) => newCard(kind, copied));
  for (const [kind, names] of filled) {
    const card = cards.get(kind);
    card.allNames = names.join("\n");
    keyed(card.querySelector("ul"), names, (name) => el("li", {}, el("span", { text: name }), copied ? copyButton(() => name, "Copy", name) : null));
  }
}

// The children by key: those that are there stay, others are made or go.
function keyed(parent, keys, make) {
  const there = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = new Map(keys.map((key) => [key, there.get(key) ?? make(key)]));
  for (const [key, child] of there) if (!wanted.has(key)) child.remove();
  let index = 0;
  for (const [key, child] of wanted) {
    child.dataset.key = key;
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
    index += 1;
  }
  return wanted;
}

function newCard(kind, copied) {
  const card = el("article", { class: "card" });
  const all = copied ? copyButton(() => card.allNames, "Copy all", kind) : null;
  card.append(el("div", { class: "card-top" }, el("h4", { text: `Custom ${kind}` }), all), el("ul", { class: "names" }));
  return card;
}

function copyButton(textOf, title, what) {
  const button = el("button", { type: "button", text: title, "aria-label": `${title}: ${what}` });
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(textOf());
    button.textContent = "Copied";
  });
  return button;
}
