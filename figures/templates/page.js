"use strict";
(() => {
  const page = document.documentElement;

  // Light and dark: the reader's system decides until the button is pressed.
  const system = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const isDark = () => (page.dataset.theme ? page.dataset.theme === "dark" : system.matches);
  const showTheme = () => {
    button.textContent = isDark() ? "light" : "dark";
    document.dispatchEvent(new Event("theme"));
  };
  button.addEventListener("click", () => {
    page.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  system.addEventListener("change", showTheme);
  button.hidden = false;
  showTheme();

  // A card shows the first figure of its section.
  for (const link of document.querySelectorAll(".answers a")) {
    const figure = document.querySelector(`${link.getAttribute("href")} .plate img`);
    const picture = link.querySelector("img");
    if (figure) {
      picture.src = figure.src;
      picture.hidden = false;
    }
  }

  // What is folded is open on paper, but an appendix that the reader left folded.
  addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details:not([open])")) {
      if (folded.closest("#appendix > details:not([open])")) continue;
      folded.open = true;
      addEventListener("afterprint", () => { folded.open = false; }, { once: true });
    }
  });

  // Tables sort by the first number of a cell, or by its text.
  const sortKey = (row, column) => {
    const text = row.cells[column].textContent.trim().replaceAll("\u2212", "-");
    const found = text.match(/^[+-]?\d+(\.\d+)?(e[+-]?\d+)?/i);
    return found ? Number(found[0]) : text;
  };
  const order = (one, other, up) => {
    if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
    const found = one < other ? -1 : Number(one > other);
    return up ? found : -found;
  };
  const sortTable = (table, header) => {
    const up = header.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows].map((row) => [sortKey(row, header.cellIndex), row]);
    rows.sort(([one], [other]) => order(one, other, up));
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

  // Figures open in a window of their own, whole at first, and grow there.
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
      const title = plate.parentElement.querySelector("figcaption strong").cloneNode(true);
      dialog.querySelector("span").replaceChildren(...title.childNodes);
      dialog.showModal();
      const pane = dialog.querySelector(".pane");
      const shape = image.getAttribute("width") / image.getAttribute("height");
      width = Math.min(pane.clientWidth, pane.clientHeight * shape);
      grow(1);
    });
    plate.after(opener);
  }
  dialog.addEventListener("click", (event) => {
    const action = event.target.value;
    if (action === "close" || event.target === dialog) dialog.close();
    else if (action) grow(action === "in" ? 1.5 : 1 / 1.5);
  });
})();
