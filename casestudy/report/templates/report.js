"use strict";
// Names come from an archive that anybody may have packed, so every one is set as text, never as HTML.
const facts = JSON.parse(document.getElementById("facts").textContent);
const percent = (share) => (100 * share).toFixed(1) + " %";
const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
for (const element of document.querySelectorAll(".js")) element.hidden = false;

// Sorting: numbers by their value, what is absent at the end, text as people read it.
for (const table of document.querySelectorAll(".sortable")) {
  const columns = [...table.tHead.rows[0].cells];
  columns.forEach((column, k) => {
    const button = make("button", "", column.textContent);
    button.type = "button";
    column.replaceChildren(button);
    button.addEventListener("click", () => {
      const sign = column.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of columns) other.removeAttribute("aria-sort");
      column.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const value = (row) => row.cells[k].dataset.v;
      const lines = [...table.tBodies[0].rows];
      lines.sort((a, b) => {
        if (value(a) === undefined) {
          return sign * a.cells[k].textContent.localeCompare(b.cells[k].textContent, "en", { numeric: true });
        }
        const [x, y] = [Number(value(a)), Number(value(b))];
        return Number.isNaN(x) - Number.isNaN(y) || sign * (x - y);
      });
      table.tBodies[0].append(...lines);
    });
  });
}

// Paper cannot be clicked: open what is folded, and fold it again afterwards.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const part of folded) part.open = true;
});
addEventListener("afterprint", () => folded.forEach((part) => { part.open = false; }));
