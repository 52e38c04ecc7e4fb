// The matrix: counts are read from the table itself, which also stands without this script.
const matrix = document.getElementById("matrix");
const rows = [...matrix.tBodies[0].rows].map((row) => [...row.cells].slice(1));
const heads = [...matrix.tHead.rows[0].cells].slice(1);
const counts = rows.map((row) => row.map((cell) => Number(cell.textContent)));
const support = counts.map((row) => row.reduce((sum, count) => sum + count, 0));
const most = Math.max(1, ...counts.flat());
const rate = (i, j) => (support[i] ? counts[i][j] / support[i] : 0);
const shade = (share) => Math.min(10, Math.ceil(10 * Math.sqrt(share) - 1e-9));

const sentence = (i, j) => {
  const [truth, guess] = [facts.labels[i], facts.labels[j]];
  const what = i === j ? `${truth} read rightly` : `${truth} read as ${guess}`;
  return `${what}: ${counts[i][j]} of ${support[i]} photographs` + (support[i] ? `, ${percent(rate(i, j))}` : "");
};

const paint = (unit) => {
  rows.forEach((row, i) => row.forEach((cell, j) => {
    const count = counts[i][j];
    cell.className = "s" + shade(unit === "rates" ? rate(i, j) : count / most) + (count ? " full" : "");
    cell.textContent = count ? (unit === "rates" ? (Math.round(100 * rate(i, j)) || "<1") : count) : "";
  }));
  document.getElementById("most").textContent = unit === "rates" ? "all of the true label" : "most photographs";
};

const tip = document.getElementById("tip");
let marked = null;
const point = (i, j) => {
  if (marked) marked.forEach((head) => head.classList.remove("on"));
  marked = i === undefined ? null : [heads[j], rows[i][0].parentNode.cells[0]];
  tip.hidden = !marked;
  if (!marked) return;
  marked.forEach((head) => head.classList.add("on"));
  tip.textContent = sentence(i, j);
  const [cell, own] = [rows[i][j].getBoundingClientRect(), tip.getBoundingClientRect()];
  const above = cell.top - own.height - 8;
  tip.style.top = (above > 0 ? above : cell.bottom + 8) + "px";
  tip.style.left = Math.max(4, Math.min(cell.left + cell.width / 2 - own.width / 2, innerWidth - own.width - 20)) + "px";
};

const sentenceOf = (i, j) => (i === j ? "✓ " + facts.labels[i] : `✗ ${facts.labels[i]} read as ${facts.labels[j]}`);
const figureOf = (photo, i, j, compared) => {
  const figure = make("figure");
  figure.dataset.name = photo.name;
  if (facts.pictures[photo.name]) {
    const image = make("img");
    image.src = "data:image/jpeg;base64," + facts.pictures[photo.name];
    const by = photo.signer ? ` by ${photo.signer}` : "";
    image.alt = `Photograph of ${facts.labels[i]}${by}, read as ${facts.labels[j]}`;
    figure.append(image);
  } else {
    figure.append(make("span", "nopicture", "no picture at hand"));
  }
  const caption = make("figcaption");
  for (const [k, share] of photo.guesses) {
    const line = make("div", k === i ? "guess true" : "guess");
    const [bar, length] = [make("span", "bar"), make("i")];
    length.style.setProperty("--a", share);
    bar.append(length);
    line.append(make("span", "", facts.labels[k]), bar, make("span", "", percent(share)));
    caption.append(line);
  }
  caption.append(make("span", "soft", photo.name + (photo.signer ? " · " + photo.signer : "")));
  if (explained.has(photo.name) && !compared) {
    const button = make("button", "", "Beside training");
    button.type = "button";
    button.dataset.beside = photo.name;
    caption.append(button);
  }
  figure.append(caption);
  return figure;
};

const dialog = document.getElementById("behind");
const show = (i, j) => {
  if (!counts[i][j]) return;
  const photos = facts.cells[i + "," + j] || [];
  const title = dialog.querySelector("h2");
  title.className = i === j ? "right" : "wrong";
  title.textContent = (i === j ? "✓ " : "✗ ") + sentence(i, j);
  const rest = counts[i][j] - photos.length;
  dialog.querySelector("p").textContent = "The costliest first, with what the model took them for; the true label is bold."
    + (rest ? ` ${rest} more are in predictions.csv.` : "");
  dialog.querySelector(".photos").replaceChildren(...photos.map((photo) => figureOf(photo, i, j)));
  dialog.querySelector("a").href = addressOf({ label: facts.labels[i], read: facts.labels[j] });
  point();
  dialog.showModal();
  dialog.scrollTop = 0;
};
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

// One cell at a time is in the tab order; the arrow keys move it.
let here = [0, 0];
const place = (cell) => [cell.parentNode.sectionRowIndex, cell.cellIndex - 1];
const go = (i, j) => {
  rows[here[0]][here[1]].tabIndex = -1;
  here = [i, j];
  rows[i][j].tabIndex = 0;
};
rows.forEach((row, i) => row.forEach((cell, j) => {
  cell.tabIndex = -1;
  cell.setAttribute("role", "gridcell");
  cell.setAttribute("aria-label", sentence(i, j));
}));
if (rows.length) go(0, 0);
paint("counts");
for (const input of document.getElementsByName("unit")) input.addEventListener("change", () => paint(input.value));

const body = matrix.tBodies[0];
const cellOf = (event) => event.target.closest("td");
body.addEventListener("mouseover", (event) => (cellOf(event) ? point(...place(cellOf(event))) : point()));
body.addEventListener("mouseleave", () => point());
body.addEventListener("focusin", (event) => { go(...place(event.target)); point(...here); });
body.addEventListener("focusout", () => point());
body.addEventListener("click", (event) => { if (cellOf(event)) { go(...place(cellOf(event))); show(...here); } });
body.addEventListener("keydown", (event) => {
  const last = rows.length - 1;
  let [i, j] = here;
  if (event.key === "Enter" || event.key === " ") show(i, j);
  else if (event.key === "ArrowUp") i = Math.max(0, i - 1);
  else if (event.key === "ArrowDown") i = Math.min(last, i + 1);
  else if (event.key === "ArrowLeft") j = Math.max(0, j - 1);
  else if (event.key === "ArrowRight") j = Math.min(last, j + 1);
  else if (event.key === "Home") j = 0;
  else if (event.key === "End") j = last;
  else if (event.key === "Escape") return point();
  else return;
  event.preventDefault();
  if (i !== here[0] || j !== here[1]) rows[i][j].focus();
});
addEventListener("scroll", () => { if (!tip.hidden) point(); }, { passive: true, capture: true });
