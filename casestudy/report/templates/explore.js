// The photographs behind all cells, filtered. The address says how, so that its link shows the same to others.
const form = document.getElementById("explore");
const choices = [...form.elements].filter((one) => one.name);
const between = { high: [0.9, 2], middle: [0.5, 0.9], low: [0, 0.5] };
const atOnce = 48;
const everything = Object.entries(facts.cells).flatMap(([key, photos]) => {
  const [i, j] = key.split(",").map(Number);
  return photos.map((photo) => ({ photo, i, j, own: photo.guesses.find(([k]) => k === i)[1], sure: photo.guesses[0][1] }));
}).sort((a, b) => a.own - b.own);

const addressOf = (wanted) => "#" + new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
const offer = (name, values) => form.elements[name]?.append(...values.map((value) => new Option(value, value)));
offer("label", facts.labels);
offer("read", facts.labels);
const people = new Set(everything.map(({ photo }) => photo.signer).filter(Boolean));
offer("person", [...people].sort((a, b) => a.localeCompare(b, "en", { numeric: true })));

const fits = (one, { label, read, person, show, sure }) =>
  (!label || facts.labels[one.i] === label) && (!read || facts.labels[one.j] === read)
  && (!person || one.photo.signer === person) && (!show || (one.i === one.j) === (show === "right"))
  && (!sure || (one.sure >= between[sure][0] && one.sure < between[sure][1]));

let limit = atOnce;
let address = "";
const draw = () => {
  const wanted = Object.fromEntries(choices.map((one) => [one.name, one.value]));
  const found = everything.filter((one) => fits(one, wanted));
  document.getElementById("found").textContent = [found, everything].map((all) => all.length.toLocaleString("en")).join(" of ");
  const kept = new Set(found.map(({ photo }) => photo.name));
  requestAnimationFrame(() => setTimeout(() => { // in the frame after: the photographs first
    for (const [name, point] of points) point.classList.toggle("off", !kept.has(name));
  }));
  document.getElementById("more").hidden = found.length <= limit;
  document.getElementById("explored").replaceChildren(...found.slice(0, limit).map((one) => {
    if (!one.figure) {
      one.figure = figureOf(one.photo, one.i, one.j);
      one.figure.querySelector("figcaption").prepend(make("b", one.i === one.j ? "right" : "wrong", sentenceOf(one.i, one.j)));
    }
    return one.figure;
  }));
  return addressOf(wanted);
};
const follow = () => {
  const asked = new URLSearchParams(location.hash.slice(1));
  if (location.hash === address || !choices.some((one) => asked.has(one.name))) return;
  address = location.hash;
  for (const one of choices) {
    one.value = asked.get(one.name) ?? "";
    if (one.selectedIndex < 0) one.value = ""; // a link from another run may name what is not here
  }
  limit = atOnce;
  dialog.close();
  draw();
  form.parentNode.scrollIntoView();
};
form.addEventListener("input", () => {
  limit = atOnce;
  address = draw();
  history.replaceState(null, "", address === "#" ? "#photographs" : address); // location.replace would scroll
});
form.addEventListener("reset", () => setTimeout(() => form.dispatchEvent(new Event("input"))));
document.getElementById("more").addEventListener("click", () => { limit += atOnce; draw(); });
dialog.querySelector("a").addEventListener("click", () => { dialog.close(); form.parentNode.scrollIntoView(); });
addEventListener("hashchange", follow);
draw();
follow();
