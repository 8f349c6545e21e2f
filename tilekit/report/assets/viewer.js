"use strict";
// The page viewer: Leaflet shows the pyramid, boxes are drawn on one canvas.
// A prediction is [x0, y0, x1, y1, label, score, match, scale]: scale only where there are several; match >= 0 is the true box it hits,
// -1 a false alarm, -2 neither (in an ignore region); a shape's rings of x, y, x, y come last. Matching is greedy by score, so hiding
// predictions below a score never changes the matches of those that stay.
(function () {
  const page = window.TILEKIT_PAGE;
  const byId = (id) => document.getElementById(id);
  const top = page.pyramid.top;
  const map = L.map("map", {
    crs: L.CRS.Simple, minZoom: 0, maxZoom: top + 3, zoomSnap: 0.25, zoomDelta: 0.5,
    attributionControl: false, preferCanvas: true, keyboard: true, fadeAnimation: false,
  });
  const point = (x, y) => map.unproject([x, y], top);
  const bounds = (b) => L.latLngBounds(point(b[0], b[1]), point(b[2], b[3]));
  const whole = bounds([0, 0, page.width, page.height]);

  const Pyramid = L.GridLayer.extend({
    createTile: function (coords, done) {
      const image = document.createElement("img");
      image.alt = "";
      image.onload = () => {
        image.style.width = image.naturalWidth + 0.5 + "px";
        image.style.height = image.naturalHeight + 0.5 + "px";
        done(null, image);
      };
      image.onerror = () => done(new Error("tile " + image.src), image);
      image.src = `${page.tiles}/${coords.z}/${coords.x}_${coords.y}.jpg`;
      return image;
    },
    _isValidTile: function (coords) {
      const size = page.pyramid.tile * 2 ** (top - coords.z);
      return coords.z >= 0 && coords.z <= top && coords.x >= 0 && coords.y >= 0 &&
        coords.x * size < page.width && coords.y * size < page.height;
    },
  });
  new Pyramid({ tileSize: page.pyramid.tile, minNativeZoom: 0, maxNativeZoom: top, maxZoom: top + 3, keepBuffer: 1 }).addTo(map);

  const css = getComputedStyle(document.documentElement);
  const color = (name) => css.getPropertyValue(`--${name}-line`).trim();
  const styles = {
    truth: { color: color("truth"), weight: 2, dashArray: "6 4", fill: false },
    hit: { color: color("hit"), weight: 3, fill: false },
    miss: { color: color("miss"), weight: 4, fillOpacity: 0.15 },
    false: { color: color("false"), weight: 4, fillOpacity: 0.12 },
    ignore: { color: "#8a8f99", weight: 2, dashArray: "2 4", fillOpacity: 0.1 },
    grid: { color: "#7a5cc4", weight: 1, fill: false, interactive: false },
  };
  const renderer = L.canvas({ padding: 0.3, tolerance: 4 });
  const layers = {};
  for (const kind of Object.keys(styles)) layers[kind] = L.layerGroup();

  const state = { run: Number(byId("run").value), label: -1, score: 0, errors: [], at: -1 };
  const shown = (label) => state.label < 0 || state.label === label;
  const percent = (score) => score.toFixed(2);
  const by = (run, p) => Number.isInteger(p[7]) && run.scales[p[7]] ? `, found at ${run.scales[p[7]]}` : "";

  // Rings of one point are keypoints; inner rings are left open by the even-odd rule.
  function outline(rings, style) {
    const points = (ring) => Array.from({ length: ring.length / 2 }, (_, k) => point(ring[2 * k], ring[2 * k + 1]));
    if (rings.every((ring) => ring.length > 2)) return L.polygon(rings.map(points), style);
    return L.featureGroup(rings.map((ring) => L.circleMarker(points(ring)[0], { ...style, radius: 4 })));
  }

  function add(kind, box, text) {
    const style = { ...styles[kind], renderer }, rings = box[box.length - 1];
    const shape = Array.isArray(rings) ? outline(rings, style) : L.rectangle(bounds(box), style);
    if (text) shape.bindTooltip(text);
    layers[kind].addLayer(shape);
  }

  function draw() {
    for (const kind of ["truth", "hit", "miss", "false", "ignore"]) layers[kind].clearLayers();
    const run = page.runs[state.run];
    const found = new Set();
    const errors = [];
    let hits = 0;
    for (const p of run ? run.boxes : []) {
      if (p[5] < Math.max(state.score, run.thresholds[p[4]])) continue;
      const label = page.names[p[4]];
      if (p[6] >= 0) found.add(p[6]);
      if (!shown(p[4])) continue;
      if (p[6] >= 0) { hits += 1; add("hit", p, `hit: ${label} ${percent(p[5])}${by(run, p)}`); }
      else if (p[6] === -1) { errors.push(["false", p]); add("false", p, `false alarm: ${label} ${percent(p[5])}${by(run, p)}`); }
    }
    page.truth.forEach((t, place) => {
      if (!shown(t[4])) return;
      const label = page.names[t[4]];
      if (t[5]) { add("ignore", t, `ignored: ${label}`); return; }
      add("truth", t, `truth: ${label}`);
      if (run && !found.has(place)) { errors.push(["miss", t]); add("miss", t, `missed: ${label}`); }
    });
    errors.sort((a, b) => a[1][1] - b[1][1] || a[1][0] - b[1][0]);
    state.errors = errors;
    state.at = -1;
    const misses = errors.filter((e) => e[0] === "miss").length;
    byId("counts").textContent = `${hits} hits, ${misses} missed, ${errors.length - misses} false alarms`;
    fade();
  }

  function drawGrid() {
    for (const w of page.grid) add("grid", w);
  }

  function go(step) {
    const count = state.errors.length;
    const beyond = state.at + step >= count || (step < 0 && state.at + step < (state.at < 0 ? -1 : 0));
    if ((!count || beyond) && onward(step)) return;
    if (!count) { byId("where").textContent = "no errors here"; return; }
    state.at = (state.at + step + (step < 0 && state.at < 0 ? 1 : 0) + count) % count;
    const [kind, box] = state.errors[state.at];
    const size = Math.max(box[2] - box[0], box[3] - box[1], 8);
    const x = (box[0] + box[2]) / 2, y = (box[1] + box[3]) / 2, r = size * 3;
    map.fitBounds(bounds([x - r, y - r, x + r, y + r]), { animate: false, maxZoom: top + 2 });
    const what = kind === "miss" ? "missed" : "false alarm";
    byId("where").textContent = `${state.at + 1} of ${count}: ${what}, ${page.names[box[4]]}`;
  }

  // From the last error of a page to the first of the next page that has one.
  function onward(step) {
    const next = step > 0 ? document.body.dataset.errorAfter : document.body.dataset.errorBefore;
    if (!next) return false;
    location.href = `${next}#error=${step > 0 ? "first" : "last"}&run=${state.run}`;
    return true;
  }

  // Seen from afar many lines would run into one blot: they get thinner and lighter with the boxes.
  const sides = page.truth.map((t) => Math.max(t[2] - t[0], t[3] - t[1])).sort((a, b) => a - b);
  function fade() {
    const side = (sides[sides.length >> 1] || 32) * map.getZoomScale(map.getZoom(), top);
    const share = Math.min(1, Math.max(0.25, side / 20));
    for (const kind of ["truth", "hit", "miss", "false"]) {
      const style = { weight: styles[kind].weight * share, opacity: Math.max(0.6, share) };
      layers[kind].eachLayer((layer) => { if (layer.setStyle) layer.setStyle(style); });
    }
  }
  map.on("zoomend", fade);

  function toggle(kind, on) {
    if (on) layers[kind].addTo(map); else layers[kind].remove();
  }

  for (const input of document.querySelectorAll("input[data-layer]")) {
    input.addEventListener("change", () => toggle(input.dataset.layer, input.checked));
  }
  byId("run").addEventListener("change", (e) => { state.run = Number(e.target.value); draw(); });
  byId("label").addEventListener("change", (e) => { state.label = Number(e.target.value); draw(); });
  byId("score").addEventListener("input", (e) => {
    state.score = Number(e.target.value);
    byId("score-value").textContent = percent(state.score);
    draw();
  });
  byId("next").addEventListener("click", () => go(1));
  byId("previous").addEventListener("click", () => go(-1));
  byId("fit").addEventListener("click", () => map.fitBounds(whole, { animate: false }));
  document.addEventListener("keydown", (e) => {
    if (e.target.matches("select, input:not([type=checkbox])") || e.ctrlKey || e.metaKey || e.altKey) return;
    const boxes = { t: "truth", h: "hit", m: "miss", f: "false", i: "ignore", g: "grid" };
    if (e.key === "n") go(1);
    else if (e.key === "p") go(-1);
    else if (e.key === "0") map.fitBounds(whole, { animate: false });
    else if (boxes[e.key]) document.querySelector(`input[data-layer=${boxes[e.key]}]`).click();
    else return;
    e.preventDefault();
  });

  map.fitBounds(whole, { animate: false });
  drawGrid();
  draw();
  for (const input of document.querySelectorAll("input[data-layer]")) toggle(input.dataset.layer, input.checked);
  const wanted = new URLSearchParams(location.hash.slice(1));
  if (wanted.has("at")) {
    const b = wanted.get("at").split(",").map(Number);
    const r = Math.max(b[2] - b[0], b[3] - b[1], 8) * 3, x = (b[0] + b[2]) / 2, y = (b[1] + b[3]) / 2;
    map.fitBounds(bounds([x - r, y - r, x + r, y + r]), { animate: false, maxZoom: top + 2 });
  }
  if (wanted.has("run")) { byId("run").value = wanted.get("run"); byId("run").dispatchEvent(new Event("change")); }
  if (wanted.has("error")) go(wanted.get("error") === "last" ? -1 : 1);
  window.TILEKIT_VIEWER = { map, layers, state, point, go };
})();
