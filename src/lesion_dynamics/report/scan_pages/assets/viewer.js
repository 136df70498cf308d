"use strict";
// All sessions of one participant in NiiVue, on one grid: one position for all of them.
(() => {
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const byId = (id) => document.getElementById(id);
  const state = byId("state");
  const sliders = ["x", "y", "z"].map(byId);
  const figures = [...document.querySelectorAll("figure[data-session]")];
  const panels = new Map(); // "session:slot" -> {nv, session, slot, stage}
  const CHANGE = { // Okabe and Ito's colours; the labels of desc-change_dseg
    names: ["", "stable", "new", "enlarging", "shrinking", "resolved"],
    R: [0, 200, 213, 230, 86, 0], G: [0, 200, 94, 159, 180, 114], B: [0, 200, 0, 0, 233, 178],
  };
  const MASK = { names: ["", "lesion"], R: [0, 230], G: [0, 159], B: [0, 0] };
  const PLANES = { axial: 0, coronal: 1, sagittal: 2, all: 3 };
  const DEPTH = { axial: 2, coronal: 1, sagittal: 0, all: 2 };
  let position = data.start.map((index, axis) => (index + 0.5) / data.shape[axis]);
  let queue = Promise.resolve();
  let drawn = 0;

  const chosen = (id) => (byId(id) ? byId(id).value : "");
  const versionOf = (slot) => (slot ? chosen("beside") : chosen("version") || data.versions[0]);

  function fail(message) {
    state.textContent = message;
    state.className = "flag";
  }

  function labelColours(table) {
    const alpha = table.R.map((_, label) => (label ? 255 : 0));
    const index = table.R.map((_, label) => label);
    return { R: table.R, G: table.G, B: table.B, A: alpha, I: index, labels: table.names };
  }

  async function overlay(session, slot) {
    const kind = chosen("overlay");
    const layer = data.sessions[session].layers[versionOf(slot)];
    const text = layer && kind !== "none" ? layer[kind] : "";
    if (!text) return null;
    const image = await niivue.NVImage.loadFromBase64({
      base64: text, name: `${kind}.nii.gz`, opacity: byId("opacity").value / 100,
      ...(kind === "probability" ? { colormap: "inferno", cal_min: 0.05, cal_max: 1 } : {}),
    });
    if (kind !== "probability") image.setColormapLabel(labelColours(kind === "mask" ? MASK : CHANGE));
    return image;
  }

  async function open(session, slot) {
    const figure = figures[session];
    let stage = figure.querySelector(slot ? ".beside" : ".stage");
    if (!stage) {
      stage = document.createElement("div");
      stage.className = "stage beside";
      figure.querySelector(".stage").after(stage);
    }
    const canvas = document.createElement("canvas");
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    const still = figure.querySelector("img");
    canvas.setAttribute("aria-label", `${still.alt}. Arrow and page keys turn slices.`);
    stage.append(canvas);
    const nv = new niivue.Niivue({
      backColor: [0, 0, 0, 1], logLevel: "error", loadingText: "", dragAndDropEnabled: false,
      isRadiologicalConvention: true, crosshairColor: [0.34, 0.71, 0.91, 0.7], crosshairWidth: 0.6,
      crosshairWidthUnit: "mm", crosshairGap: 5,
      multiplanarShowRender: niivue.SHOW_RENDER.NEVER, fontMinPx: 15,
    });
    await nv.attachToCanvas(canvas);
    const grey = await niivue.NVImage.loadFromBase64({
      base64: data.sessions[session].flair, name: "flair.nii.gz", colormap: "gray",
      cal_min: 0, cal_max: 180,
    });
    nv.addVolume(grey);
    nv.onLocationChange = (place) => moveTo([...place.frac], nv);
    const panel = { nv, session, slot, stage };
    panels.set(`${session}:${slot}`, panel);
    await dress(panel);
    still.hidden = true;
  }

  function close(panel) {
    panels.delete(`${panel.session}:${panel.slot}`);
    panel.nv.cleanup();
    panel.nv.gl.getExtension("WEBGL_lose_context")?.loseContext();
    panel.stage.querySelector("canvas").remove();
    if (panel.slot) panel.stage.remove();
    else panel.stage.querySelector("img").hidden = false;
  }

  async function dress(panel) {
    const { nv, session, slot } = panel;
    while (nv.volumes.length > 1) nv.removeVolumeByIndex(1);
    const image = await overlay(session, slot);
    if (image) nv.addVolume(image);
    nv.setAtlasOutline(byId("outline").checked ? 1 : 0);
    nv.setSliceType(PLANES[chosen("plane")]);
    nv.scene.crosshairPos = [...position];
    nv.drawScene();
  }

  function say() {
    const kind = chosen("overlay");
    figures.forEach((figure, session) => {
      const texts = [0, 1].map(versionOf).filter(Boolean).map((name) => {
        const layer = data.sessions[session].layers[name];
        return { name, layer, said: layer ? layer.said : "not segmented" };
      });
      const many = texts.length > 1;
      figure.querySelector(".said").textContent = texts
        .map((one) => (many ? `${one.name}: ${one.said}` : one.said)).join(" · ");
      const notes = texts.map((one) => {
        if (!one.layer || kind === "none") return "";
        if (kind === "change") return one.layer.changeNote;
        return one.layer[kind] ? "" : `no ${kind === "mask" ? "lesion mask" : "probability"} here`;
      });
      figure.querySelector(".note").textContent = [...new Set(notes)].filter(Boolean).join(" · ");
    });
    const legend = byId("legend");
    legend.replaceChildren();
    const swatch = (colour, text) => {
      const mark = document.createElement("span");
      mark.className = "swatch";
      mark.style.background = colour;
      const one = document.createElement("span");
      one.append(mark, text);
      legend.append(one);
    };
    const table = kind === "mask" ? MASK : kind === "change" ? CHANGE : null;
    if (table) {
      table.names.forEach((name, label) => {
        if (label) swatch(`rgb(${table.R[label]},${table.G[label]},${table.B[label]})`, name);
      });
    } else if (kind === "probability") {
      swatch("linear-gradient(90deg,#1b0c41,#781c6d,#ed6925,#fcffa4)", "0.05 to 1");
    }
  }

  function moveTo(place, from) {
    position = place.map((value) => Math.min(Math.max(value, 0), 0.999999));
    for (const { nv } of panels.values()) {
      if (nv === from) continue;
      nv.scene.crosshairPos = [...position];
      if (from) nv.scene.pan2Dxyzmm = [...from.scene.pan2Dxyzmm];
      nv.drawScene();
    }
    showPosition();
  }

  function showPosition() {
    sliders.forEach((slider, axis) => {
      const index = Math.floor(position[axis] * data.shape[axis]);
      slider.max = data.shape[axis] - 1;
      slider.value = index;
      const mm = (data.origin[axis] + index * data.spacing).toFixed(0);
      slider.nextElementSibling.textContent = `${mm} mm`;
      slider.setAttribute("aria-valuetext", `${mm} millimetres`);
    });
  }

  function step(axis, voxels) {
    const place = [...position];
    const index = Math.floor(place[axis] * data.shape[axis]) + voxels;
    place[axis] = (Math.min(Math.max(index, 0), data.shape[axis] - 1) + 0.5) / data.shape[axis];
    moveTo(place, null);
  }

  async function update() {
    say();
    const wanted = new Set();
    figures.forEach((figure, session) => {
      figure.hidden = !document.querySelector(`input[data-session="${session}"]`).checked;
      if (figure.hidden) return;
      wanted.add(`${session}:0`);
      if (chosen("beside")) wanted.add(`${session}:1`);
    });
    for (const [key, panel] of [...panels]) if (!wanted.has(key)) close(panel);
    for (const panel of panels.values()) await dress(panel);
    for (const key of wanted) {
      if (!panels.has(key)) await open(...key.split(":").map(Number));
    }
    byId("figures").classList.toggle("large", chosen("plane") === "all");
    showPosition();
    state.textContent = "";
    drawn += 1;
    document.body.dataset.drawn = drawn;
  }

  function later(action) {
    queue = queue.then(action).catch((error) => {
      fail(`The viewer stopped: ${error.message}`);
      console.error(error);
    });
  }

  function onKey(event) {
    const axis = DEPTH[chosen("plane")];
    const ends = data.shape[axis];
    const moves = {
      ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -ends, End: ends,
    };
    if (event.key === "Tab") return;
    event.stopPropagation(); // the viewer's own letter keys change what the controls here show
    if (event.key in moves) {
      event.preventDefault();
      step(axis, moves[event.key]);
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      event.preventDefault();
      const all = [...document.querySelectorAll("figure canvas")];
      const to = all.indexOf(event.target) + (event.key === "ArrowRight" ? 1 : -1);
      if (all[to]) all[to].focus();
    }
  }

  say();
  showPosition();
  if (typeof niivue === "undefined") {
    fail("The viewer is missing: niivue.js must lie beside this page. Still pictures are shown.");
    return;
  }
  if (!document.createElement("canvas").getContext("webgl2")) {
    fail("This browser offers no WebGL 2, so still pictures are shown.");
    return;
  }
  byId("figures").addEventListener("keydown", onKey, true);
  for (const id of ["plane", "overlay", "version", "beside", "outline"]) {
    byId(id)?.addEventListener("change", () => later(update));
  }
  document.querySelectorAll("input[data-session]").forEach((tick) => {
    tick.addEventListener("change", () => later(update));
  });
  byId("opacity").addEventListener("input", () => {
    for (const { nv } of panels.values()) {
      if (nv.volumes.length > 1) nv.setOpacity(1, byId("opacity").value / 100);
    }
  });
  sliders.forEach((slider, axis) => {
    slider.addEventListener("input", () => {
      step(axis, Number(slider.value) - Math.floor(position[axis] * data.shape[axis]));
    });
  });
  // What tests and the curious may read.
  window.scanPage = {
    positions: () => [...panels.values()].map(({ nv }) => [...nv.scene.crosshairPos]),
  };
  later(update);
})();
