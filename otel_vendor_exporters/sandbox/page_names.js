// What the mPulse app defines, and what arrived without definition, ready to be typed into mPulse.

import { el } from "/sandbox/page_panels.js";

// Returns how many names arrived without definition.
export function drawNames(panel, { learns, learned, defined }) {
  const key = JSON.stringify([learns, learned, defined]);
  const fresh = Object.values(learned).flat().length;
  if (panel.dataset.key === key) return fresh;
  panel.dataset.key = key;
  const learning = learns
    ? "Names without definition are taken and listed here. Give the exporter OTEL_EXPORTER_MPULSE_UNDEFINED=send, so that it sends them."
    : "Names without definition are lost, as in mPulse. To collect them, start the sandbox with --learn, and the exporter with OTEL_EXPORTER_MPULSE_UNDEFINED=send.";
  panel.replaceChildren(
    el("div", { class: "panel-top" }, el("h2", { text: "Definitions of the mPulse app" })),
    el("p", { class: "muted", text: learning }),
    el("h3", { text: "Arrived without definition: type these into mPulse, exactly so" }),
    fresh ? el("div", { class: "grid" }, ...nameCards(learned, true)) : el("p", { class: "empty", text: "None." }),
    el("h3", { text: "Defined" }),
    el("div", { class: "grid" }, ...nameCards(defined, false)),
  );
  return fresh;
}

function nameCards(kinds, copied) {
  return Object.entries(kinds).filter(([, names]) => names.length).map(([kind, names]) => el(
    "article", { class: "card" },
    el("div", { class: "card-top" }, el("h4", { text: `Custom ${kind}` }), copied ? copyButton(names.join("\n"), "Copy all") : null),
    el("ul", { class: "names" }, ...names.map((name) => el("li", {}, el("span", { text: name }), copied ? copyButton(name, "Copy") : null))),
  ));
}

function copyButton(text, title) {
  const button = el("button", { type: "button", text: title, "aria-label": `${title}: ${text}` });
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  });
  return button;
}
