// Draws the charts of a report with uPlot from the JSON in the page, in the colours of the style sheet.
(function () {
  "use strict";
  const root = document.documentElement;
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const drawn = [];
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  const figure = (v, unit) => {
    if (v == null) return "\u2014";
    if (unit === "ms") return v >= 1000 ? +(v / 1000).toPrecision(3) + " s" : +v.toPrecision(3) + " ms";
    return +v.toPrecision(3) + unit;
  };

  // The time in which a fault was in force, behind the curves.
  const shade = (faults) => (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const [start, end] of faults) {
      const left = u.valToPos(start, "x", true), right = u.valToPos(end, "x", true);
      ctx.fillStyle = css("--shade");
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
      ctx.fillStyle = css("--shade-edge");
      for (const edge of [left, right]) ctx.fillRect(Math.round(edge), bbox.top, devicePixelRatio, bbox.height);
    }
    ctx.restore();
  };

  const stepped = uPlot.paths.stepped({ align: 1 });

  // One line per power of ten: the scale shows that it is logarithmic, and stays calm.
  const decades = (u, i, min, max) => {
    const found = [];
    for (let e = Math.ceil(Math.log10(min)); e <= Math.floor(Math.log10(max)); e++) found.push(10 ** e);
    return found;
  };

  function series(s, unit) {
    const stroke = css(s.color);
    return {
      label: s.label, stroke, width: s.width || 1.75, dash: s.dash, fill: s.fill ? stroke + "33" : undefined,
      paths: s.stepped ? stepped : undefined, points: { show: s.stepped ? false : undefined, size: 4 },
      value: (u, v) => figure(v, unit),
    };
  }

  function draw(host) {
    const chart = charts[host.dataset.chart];
    const axis = { stroke: css("--muted"), font: "12px system-ui, sans-serif", grid: { stroke: css("--rule"), width: 1 }, ticks: { show: false } };
    const options = {
      width: host.clientWidth, height: 230, padding: [10, parseFloat(css("--overhang")), 0, 0],
      cursor: { sync: { key: "run" }, points: { size: 6 }, y: false, drag: { x: true, y: false } },
      scales: { x: { time: false, range: (u, min, max) => [Math.max(min, chart.start), Math.min(max, chart.end)] },
        y: chart.log ? { distr: 3 } : { range: (u, min, max) => [0, (max || 1) * 1.08] } },
      axes: [
        { ...axis, size: 30, values: (u, splits) => splits.map((v) => +v.toFixed(3) + " s") },
        { ...axis, size: parseFloat(css("--gutter")), splits: chart.log ? decades : undefined, values: (u, splits) => splits.map((v) => (v == null ? "" : figure(v, chart.unit))) },
      ],
      series: [{ label: "at", value: (u, v) => (v == null ? "\u2014" : v.toFixed(2) + " s") }, ...chart.series.map((s) => series(s, chart.unit))],
      legend: { markers: { dash: (u, i) => (chart.series[i - 1].dash ? "dashed" : "solid") } },
      // The legend shows values only while something is pointed at.
      hooks: { drawClear: [shade(chart.faults)], setCursor: [(u) => u.root.classList.toggle("pointed", u.cursor.left >= 0)] },
    };
    host.replaceChildren();
    const u = new uPlot(options, [chart.x, ...chart.series.map((s) => s.values)], host);
    u.setScale("x", { min: chart.start, max: chart.end });
    drawn.push({ host, u });
  }

  function drawAll() {
    for (const { u } of drawn.splice(0)) u.destroy();
    document.querySelectorAll("[data-chart]").forEach(draw);
  }

  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  matchMedia("(max-width: 720px)").addEventListener("change", drawAll);
  new ResizeObserver(() => {
    for (const { host, u } of drawn) {
      if (host.clientWidth && host.clientWidth !== u.width) u.setSize({ width: host.clientWidth, height: u.height });
    }
  }).observe(document.querySelector("main"));
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((d) => { d.open = true; });
    drawAll();
  });
})();
