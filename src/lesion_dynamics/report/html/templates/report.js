"use strict";
// Hovering names the participant everywhere on the page; filters hide marks, never estimates.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const tip = document.getElementById("tip");

  function place(x, y) {
    const gap = 14;
    const width = tip.offsetWidth, height = tip.offsetHeight;
    tip.style.left = `${Math.max(4, Math.min(x + gap, innerWidth - width - 4))}px`;
    tip.style.top = `${y + gap + height > innerHeight ? y - gap - height : y + gap}px`;
  }

  function light(participant) {
    all(".lit").forEach((one) => one.classList.remove("lit"));
    all("svg.dimmed").forEach((one) => one.classList.remove("dimmed"));
    if (!participant) return;
    for (const one of all("svg [data-participant]")) {
      if (one.dataset.participant !== participant) continue;
      one.classList.add("lit");
      one.ownerSVGElement.classList.add("dimmed");
    }
  }

  function show(mark, x, y) {
    tip.textContent = mark.dataset.label;
    tip.hidden = false;
    place(x, y);
    light(mark.dataset.participant);
  }

  function hide() {
    tip.hidden = true;
    light(null);
  }

  document.addEventListener("pointerover", (event) => {
    const mark = event.target.closest("svg [data-label]");
    if (mark) show(mark, event.clientX, event.clientY);
  });
  document.addEventListener("pointerout", (event) => {
    if (event.target.closest("svg [data-label]")) hide();
  });
  document.addEventListener("focusin", (event) => {
    const mark = event.target.closest("svg .mark");
    if (!mark) return;
    const box = mark.getBoundingClientRect();
    show(mark, box.right, box.bottom);
  });
  document.addEventListener("focusout", (event) => {
    if (event.target.closest("svg .mark")) hide();
  });

  // One tab stop a chart; the arrow keys go from mark to mark, left to right.
  const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  const left = (mark) => mark.transform.baseVal.getItem(0).matrix.e;
  const reachable = (svg) => all(".mark:not([data-hidden])", svg).sort((a, b) => left(a) - left(b));

  function retab(svg) {
    all(".mark", svg).forEach((mark) => mark.setAttribute("tabindex", "-1"));
    const first = reachable(svg)[0];
    if (first) first.setAttribute("tabindex", "0");
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
    const mark = event.target.closest && event.target.closest("svg .mark");
    if (!mark) return;
    const marks = reachable(mark.ownerSVGElement);
    let next = marks.indexOf(mark) + (STEPS[event.key] || 0);
    if (event.key === "Home") next = 0;
    if (event.key === "End") next = marks.length - 1;
    if (!(event.key in STEPS) && event.key !== "Home" && event.key !== "End") return;
    event.preventDefault();
    next = Math.max(0, Math.min(next, marks.length - 1));
    mark.setAttribute("tabindex", "-1");
    marks[next].setAttribute("tabindex", "0");
    marks[next].focus();
  });
  all("figure.chart svg").forEach(retab);

  const form = document.querySelector("form.filters");
  if (!form) return;
  const said = form.querySelector("output");

  function filter() {
    const ticked = (name) => {
      const boxes = all(`input[name=${name}]`, form);
      return boxes.length ? new Set(boxes.filter((b) => b.checked).map((b) => b.value)) : null;
    };
    const diagnoses = ticked("diagnosis"), scanners = ticked("scanner");
    const wanted = form.elements.participant.value.trim().toLowerCase();
    const shown = new Set(), known = new Map();
    const keeps = (who) =>
      (!diagnoses || diagnoses.has(who.diagnosis)) && (!scanners || scanners.has(who.scanner)) &&
      (!wanted || who.participant.toLowerCase().includes(wanted));
    for (const one of all("svg [data-participant]")) {
      known.set(one.dataset.participant, one.dataset);
      one.toggleAttribute("data-hidden", !keeps(one.dataset));
    }
    known.forEach((who, name) => { if (keeps(who)) shown.add(name); });
    for (const row of all("tr[data-row]")) {
      const who = known.get(row.dataset.row);
      row.toggleAttribute("data-hidden", Boolean(who) && !keeps(who));
    }
    for (const panel of all("figure[data-panel]")) {
      panel.toggleAttribute("data-hidden", Boolean(diagnoses) && !diagnoses.has(panel.dataset.panel));
    }
    all("figure.chart svg").forEach(retab);
    said.textContent = `${shown.size} of ${said.dataset.total} participants shown`;
  }

  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
