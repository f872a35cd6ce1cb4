"use strict";
(() => {
  const page = document.documentElement;
  const explored = JSON.parse(document.getElementById("explored").textContent);
  const documents = {};

  // Light and dark: the reader's system decides until the button is pressed.
  const system = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const isDark = () => (page.dataset.theme ? page.dataset.theme === "dark" : system.matches);

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

  const showTheme = () => {
    button.textContent = isDark() ? "light" : "dark";
    for (const drawn of Object.values(documents)) drawn.all_models.forEach(paint);
  };

  button.addEventListener("click", () => {
    page.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  system.addEventListener("change", showTheme);
  button.hidden = false;

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
        row.firstChild.textContent = term;
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

  const addPolicies = (box) => {
    const chosen = box.querySelector("input[type=radio]:checked")?.value;
    for (const chart of box.querySelectorAll("[data-policy]")) chart.hidden = chart.dataset.policy !== chosen;
  };

  const explore = async () => {
    document.querySelectorAll("#explore, nav a[hidden]").forEach((part) => { part.hidden = false; });
    for (const chart of document.querySelectorAll("[data-chart]")) {
      const [view] = await Bokeh.embed.embed_item(explored.charts[chart.dataset.chart], chart);
      documents[chart.dataset.chart] = view.model.document;
      const legend = view.model.below.find((model) => model.type === "Legend");
      legend.ncols = Math.max(1, Math.floor(chart.clientWidth / 300));
    }
    showTheme();
    addSlider("vector", explored.vectors);
    addSlider("dimension", explored.dimensions);
    for (const box of document.querySelectorAll(".explorer")) {
      addPolicies(box);
      box.addEventListener("change", () => addPolicies(box));
    }
    page.dataset.explored = "true";
  };

  // Tables sort by the first number of a cell, or by its text.
  const sortKey = (row, column) => {
    const text = row.cells[column].textContent.trim().replaceAll("\u2212", "-");
    const found = text.match(/^[+-]?\d+(\.\d+)?(e[+-]?\d+)?/i);
    return found ? Number(found[0]) : text;
  };
  const order = (one, other) => {
    if (typeof one === typeof other) return one < other ? -1 : Number(one > other);
    return typeof one === "number" ? -1 : 1;
  };
  const sortTable = (table, header) => {
    const up = header.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows].map((row) => [sortKey(row, header.cellIndex), row]);
    rows.sort(([one], [other]) => (up ? order(one, other) : order(other, one)));
    table.tBodies[0].append(...rows.map(([, row]) => row));
  };
  for (const table of document.querySelectorAll("table:not(.fixed)")) {
    if (table.tBodies[0].rows.length < 2) continue;
    for (const header of table.tHead.rows[0].cells) {
      const sorter = document.createElement("button");
      sorter.type = "button";
      sorter.append(...header.childNodes);
      header.append(sorter);
      sorter.addEventListener("click", () => sortTable(table, header));
    }
  }

  // Figures open in a window of their own, and grow there.
  const dialog = document.getElementById("enlarged");
  const large = dialog.querySelector("img");
  let width = 0;
  const grow = (factor) => {
    width = Math.min(Math.max(width * factor, 200), 12000);
    large.style.width = `${width}px`;
  };
  for (const plate of document.querySelectorAll(".plate")) {
    const image = plate.querySelector("img");
    const opener = document.createElement("button");
    opener.type = "button";
    opener.className = "enlarge";
    opener.textContent = "enlarge";
    opener.addEventListener("click", () => {
      large.src = image.src;
      large.alt = image.alt;
      dialog.querySelector("span").textContent = plate.parentElement.querySelector("figcaption strong").textContent;
      dialog.showModal();
      width = Math.max(dialog.querySelector(".pane").clientWidth, image.width);
      grow(1);
    });
    plate.after(opener);
  }
  dialog.addEventListener("click", (event) => {
    const action = event.target.value;
    if (action === "close" || event.target === dialog) dialog.close();
    else if (action) grow(action === "in" ? 1.5 : 1 / 1.5);
  });

  explore();
})();
