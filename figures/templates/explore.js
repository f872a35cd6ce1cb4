"use strict";
(() => {
  const page = document.documentElement;
  const explored = JSON.parse(document.getElementById("explored").textContent);
  const documents = {};

  // Charts have the colours of the page.
  const paint = (model) => {
    const style = getComputedStyle(page);
    const [text, soft, line] = ["--text", "--soft", "--line"].map((name) => style.getPropertyValue(name).trim());
    const colours = {};
    for (const name of Object.keys(model.properties)) {
      if (/text_color$/.test(name)) colours[name] = text;
      else if (/(axis|major_tick)_line_color$/.test(name)) colours[name] = soft;
      else if (/^grid_line_color$/.test(name)) colours[name] = line;
      else if (/^(line|fill)_color$/.test(name) && model.tags.includes("ink")) colours[name] = text;
    }
    if (Object.keys(colours).length) model.setv(colours);
  };
  const paintAll = () => Object.values(documents).forEach((drawn) => drawn.all_models.forEach(paint));

  const withSubscripts = (text) => text.split(/S_([fc])\b/).map((part, place) => {
    if (place % 2 === 0) return part;
    const symbol = document.createElement("span");
    symbol.append("S", document.createElement("sub"));
    symbol.lastChild.textContent = part;
    return symbol;
  });

  // A slider shows one of its steps, and moves the line of the charts beside it.
  const addSlider = (name, steps) => {
    const input = document.getElementById(name);
    const box = input.closest(".explorer");
    const list = box.querySelector("dl");
    const picture = box.querySelector("img");
    if (!steps.length) {
      input.closest(".controls").hidden = true;
      box.querySelector(".readout").hidden = true;
      return;
    }
    const show = () => {
      const step = steps[input.value];
      box.querySelector("output").textContent = step.at;
      input.setAttribute("aria-valuetext", step.at);
      if (picture) picture.src = step.picture;
      list.replaceChildren(...step.rows.map(([term, value]) => {
        const row = document.createElement("div");
        row.append(document.createElement("dt"), document.createElement("dd"));
        row.firstChild.append(...withSubscripts(term));
        row.lastChild.textContent = value;
        return row;
      }));
      for (const chart of box.querySelectorAll(".chart")) {
        const marker = documents[chart.dataset.chart]?.get_model_by_name("marker");
        if (marker) marker.location = step.at;
      }
    };
    input.max = steps.length - 1;
    input.addEventListener("input", show);
    show();
  };

  const explore = async () => {
    document.querySelectorAll("#explore, nav a[hidden]").forEach((part) => { part.hidden = false; });
    for (const chart of document.querySelectorAll("[data-chart]")) {
      const [view] = await Bokeh.embed.embed_item(explored.charts[chart.dataset.chart], chart);
      documents[chart.dataset.chart] = view.model.document;
      const legend = view.model.below.find((model) => model.type === "Legend");
      const longest = Math.max(...legend.items.map((item) => (item.label?.value ?? "").length));
      new ResizeObserver(() => {
        legend.ncols = Math.max(1, Math.floor(chart.clientWidth / (60 + 6.5 * longest)));
      }).observe(chart);
    }
    paintAll();
    document.addEventListener("theme", paintAll);
    addSlider("vector", explored.vectors);
    addSlider("dimension", explored.dimensions);
    page.dataset.explored = "true";
  };

  explore();
})();
