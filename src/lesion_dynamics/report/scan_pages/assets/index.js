"use strict";
// Order and selection of the participants; the page says all without it.
(() => {
  const byId = (id) => document.getElementById(id);
  const list = byId("cards");
  const cards = [...list.children];
  const named = [...cards];
  const amount = (card, key) => {
    const value = Number.parseFloat(card.dataset[key]);
    return Number.isNaN(value) ? -Infinity : value;
  };

  function update() {
    const key = byId("sort").value;
    const sorted = key === "name" ? named : [...named].sort((a, b) => amount(b, key) - amount(a, key));
    const part = byId("search").value.trim().toLowerCase();
    const diagnosis = byId("diagnosis").value;
    let shown = 0;
    for (const card of sorted) {
      const fits = (!diagnosis || card.dataset.diagnosis === diagnosis)
        && (!byId("flagged").checked || amount(card, "flags") > 0)
        && card.dataset.name.toLowerCase().includes(part);
      card.hidden = !fits;
      shown += fits;
    }
    list.replaceChildren(...sorted);
    byId("count").textContent = `${shown} of ${cards.length} participants`;
    document.body.dataset.shown = shown;
  }

  for (const id of ["sort", "diagnosis", "flagged", "search"]) {
    byId(id).addEventListener("input", update);
  }
  update();
})();
