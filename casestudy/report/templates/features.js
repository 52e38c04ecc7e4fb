// The map of features: letters or people on it, one point at a time in the tab order, and its photograph beside it.
const drawn = [...document.querySelectorAll("#map text")];
const points = new Map();
if (drawn.length) {
  const at = drawn.map((point) => [point.x.baseVal[0].value, point.y.baseVal[0].value]);
  const map = document.getElementById("map");
  let here = 0;
  const look = (k) => {
    drawn[here].tabIndex = -1;
    here = k;
    drawn[k].tabIndex = 0;
    map.querySelector(".on")?.classList.remove("on");
    drawn[k].classList.add("on");
    const { photo, i, j } = known.get(facts.map.names[k]) ?? {};
    const figure = photo ? figureOf(photo, i, j) : make("p", "soft", facts.map.names[k] + " is in predictions.csv.");
    if (photo) figure.prepend(make("b", i === j ? "right" : "wrong", sentenceOf(i, j)));
    document.getElementById("pointed").replaceChildren(figure);
  };
  const sign = (way) => {
    const { key, of } = facts.map.ways[way];
    drawn.forEach((point, k) => {
      point.textContent = key[of[k]][0];
      point.dataset.c = of[k] % 6;
    });
    document.getElementById("signs").replaceChildren(...key.map(([short, word], k) => {
      const item = make("li", "", short === word ? "" : word);
      const mark = make("b", "", short);
      mark.dataset.c = k % 6;
      item.prepend(mark, " ");
      return item;
    }));
  };
  drawn.forEach((point, k) => {
    const { photo, i, j } = known.get(facts.map.names[k]) ?? {};
    points.set(facts.map.names[k], point);
    point.tabIndex = -1;
    point.setAttribute("role", "button");
    point.setAttribute("aria-label", photo ? sentenceOf(i, j) + (photo.signer ? ", " + photo.signer : "") : facts.map.names[k]);
  });
  map.setAttribute("role", "group");
  map.addEventListener("pointerover", (event) => { const k = drawn.indexOf(event.target); if (k >= 0) look(k); });
  map.addEventListener("click", (event) => drawn[drawn.indexOf(event.target)]?.focus());
  map.parentNode.addEventListener("focusin", (event) => { // not on the SVG, which would take the focus itself then
    if (drawn.includes(event.target)) look(drawn.indexOf(event.target));
  });
  map.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way) return;
    event.preventDefault();
    const ahead = at.map(([x, y]) => [(x - at[here][0]) * way[0] + (y - at[here][1]) * way[1],
      Math.abs((x - at[here][0]) * way[1]) + Math.abs((y - at[here][1]) * way[0])]);
    const cost = ahead.map(([along, aside]) => (along > 0 ? along + 2 * aside : Infinity));
    const next = cost.indexOf(Math.min(...cost));
    if (cost[next] < Infinity) drawn[next].focus();
  });
  for (const input of document.getElementsByName("way")) input.addEventListener("change", () => sign(Number(input.value)));
  sign(0);
  look(0);
}
