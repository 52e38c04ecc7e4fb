// A mistake beside the photographs of the training that lie nearest to it, with what spoke for the label it was read as.
const compare = document.getElementById("beside");
const known = new Map(Object.entries(facts.cells).flatMap(([key, photos]) => {
  const [i, j] = key.split(",").map(Number);
  return photos.map((photo) => [photo.name, { photo, i, j }]);
}));
facts.beside = facts.beside.filter((one) => known.has(one.name));
const explained = new Map(facts.beside.map((one, k) => [one.name, k]));
const glow = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]]; // dark to light, on grey paper too

const pictureOf = (name, alt) => {
  if (!facts.pictures[name]) return make("span", "nopicture", "no picture at hand");
  const image = make("img");
  image.src = "data:image/jpeg;base64," + facts.pictures[name];
  image.alt = alt;
  return image;
};
const heatOf = (text, label) => {
  const cells = text.split(" ").map((row) => row.match(/../g).map((two) => parseInt(two, 16) / 255));
  const canvas = make("canvas");
  [canvas.width, canvas.height] = [cells[0].length, cells.length];
  const pen = canvas.getContext("2d");
  let brightest = [0, 0, 0];
  cells.forEach((row, y) => row.forEach((share, x) => {
    if (share > brightest[0]) brightest = [share, (y + 0.5) / cells.length, (x + 0.5) / row.length];
    const [k, part] = [Math.min(3, Math.floor(4 * share)), 4 * share - Math.min(3, Math.floor(4 * share))];
    pen.fillStyle = `rgba(${glow[k].map((one, c) => one + part * (glow[k + 1][c] - one)).join()}, ${0.15 + 0.6 * share})`;
    pen.fillRect(x, y, 1, 1);
  }));
  const third = (share, words) => words[Math.min(2, Math.floor(3 * share))];
  const where = `${third(brightest[1], ["upper", "middle", "lower"])} ${third(brightest[2], ["left", "centre", "right"])}`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", brightest[0] ? `Most spoke for ${label} at the ${where}` : `Nothing spoke for ${label}`);
  return canvas;
};
const captioned = (shown, ...words) => {
  const [figure, caption] = [make("figure"), make("figcaption")];
  caption.append(...words);
  figure.append(shown, caption);
  return figure;
};

const chosen = document.getElementById("mistake");
const choose = (k) => {
  const { name, heat, near } = facts.beside[k];
  const { photo, i, j } = known.get(name);
  const [truth, read] = [facts.labels[i], facts.labels[j]];
  const own = make("section");
  const looked = make("div", "looked");
  looked.append(pictureOf(name, ""), ...(heat ? [heatOf(heat, read)] : []));
  own.append(make("h3", "wrong", `✗ ${truth} read as ${read}, ${percent(photo.guesses[0][1])} sure`), make("div", "photos two"));
  own.lastChild.append(figureOf(photo, i, j, true));
  own.lastChild.append(heat ? captioned(looked, `where it looked: the lighter, the more spoke for ${read}`)
    : captioned(make("span", "nopicture", "–"), "this network has no map that would show where it looked"));
  const rows = near.map((row, side) => {
    const [label, section, photos] = [side ? read : truth, make("section"), make("div", "photos three")];
    photos.append(...row.map(([one, signer]) => captioned(
      pictureOf(one, `Photograph of ${label}${signer ? " by " + signer : ""}, from the training`),
      make("span", "soft", one + (signer ? " · " + signer : "")))));
    section.append(make("h3", "", `${label}, as it was learnt`), row.length ? photos : make("p", "soft", "None was in the training."));
    return section;
  });
  compare.querySelector(".sides").replaceChildren(own, ...rows);
  chosen.selectedIndex = k;
  document.getElementById("surer").disabled = !k;
  document.getElementById("doubted").disabled = k === chosen.length - 1;
};

if (explained.size) {
  let address = "";
  const turn = (k) => {
    choose(k);
    address = addressOf({ mistake: facts.beside[k].name });
    history.replaceState(null, "", address);
  };
  const follow = () => {
    const k = explained.get(new URLSearchParams(location.hash.slice(1)).get("mistake"));
    if (k === undefined || location.hash === address) return;
    address = location.hash;
    choose(k);
    dialog.close();
    compare.scrollIntoView();
  };
  chosen.append(...facts.beside.map(({ name }, k) => {
    const { photo, i, j } = known.get(name);
    const who = photo.signer ? ", " + photo.signer : "";
    return new Option(`${k + 1}. ${facts.labels[i]} read as ${facts.labels[j]}, ${percent(photo.guesses[0][1])} sure${who}`);
  }));
  chosen.addEventListener("input", () => turn(chosen.selectedIndex));
  document.getElementById("surer").addEventListener("click", () => turn(chosen.selectedIndex - 1));
  document.getElementById("doubted").addEventListener("click", () => turn(chosen.selectedIndex + 1));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-beside]");
    if (!button) return;
    dialog.close();
    turn(explained.get(button.dataset.beside));
    compare.scrollIntoView();
    chosen.focus({ preventScroll: true });
  });
  addEventListener("hashchange", follow);
  compare.hidden = false;
  choose(0);
  follow();
}
