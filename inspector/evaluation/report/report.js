"use strict";
// What a threshold makes of the recorded scores. Without it the page still shows everything but the slider.
const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "–");

function connect(panel) {
  const data = JSON.parse(panel.querySelector("script").textContent);
  const slider = panel.querySelector("input");
  const line = panel.parentElement.querySelector("path.threshold");
  const cells = new Map([...panel.querySelectorAll("tr.live [data-cell]")].map((cell) => [cell.dataset.cell, cell]));
  const rows = [...panel.querySelectorAll("[data-group]")];
  const good = data.truth.filter((kind) => kind < 0).length;
  const defective = data.truth.length - good;

  function show(threshold) {
    const found = data.groups.map(() => 0);
    const images = data.groups.map(() => 0);
    let alarms = 0;
    data.scores.forEach((score, i) => {
      const kind = data.truth[i];
      const hit = score >= threshold;
      if (kind < 0) alarms += hit;
      else {
        images[kind] += 1;
        found[kind] += hit;
      }
    });
    const hits = found.reduce((sum, n) => sum + n, 0);
    panel.querySelector("output").textContent = threshold.toPrecision(4);
    cells.get("value").textContent = threshold.toPrecision(4);
    cells.get("alarms").textContent = `${alarms} of ${good}`;
    cells.get("missed").textContent = `${defective - hits} of ${defective}`;
    cells.get("precision").textContent = percent(hits, hits + alarms);
    cells.get("recall").textContent = percent(hits, defective);
    rows.forEach((row, kind) => {
      row.querySelector('[data-cell="images"]').textContent = images[kind];
      row.querySelector('[data-cell="found"]').textContent = `${found[kind]} (${percent(found[kind], images[kind])})`;
      row.querySelector('[data-cell="lost"]').textContent = images[kind] - found[kind];
    });
    const share = Math.min(1, Math.max(0, (threshold - data.low) / (data.high - data.low)));
    const x = data.left + share * (data.right - data.left);
    line.setAttribute("d", line.getAttribute("d").replace(/^M[^,]*/, `M${x.toFixed(1)}`));
    line.classList.add("at");
  }

  function move(threshold) {
    slider.value = Math.round((1000 * (threshold - data.low)) / (data.high - data.low));
    show(threshold);
  }

  slider.addEventListener("input", () => show(data.low + (slider.value / 1000) * (data.high - data.low)));
  for (const button of panel.querySelectorAll("button")) {
    button.hidden = false;
    button.addEventListener("click", () => move(Number(button.dataset.value)));
  }
  for (const part of panel.querySelectorAll(".live")) part.hidden = false;
  const start = panel.dataset.start;
  move(start === "" ? (data.low + data.high) / 2 : Number(start));
}

for (const panel of document.querySelectorAll(".whatif")) connect(panel);
// A closed part would be missing on paper.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
