"use strict";
// Reads a picture as `casestudy read` does: casestudy/data/seeing.py, localiser.py and Pillow's resize, step by step.
const facts = JSON.parse(document.getElementById("facts").textContent);
const at = (id) => document.getElementById(id);

function bytesOf(id) { // of base64 in the page, which is let go
  const text = atob(at(id).textContent.trim()), bytes = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
  at(id).remove();
  return bytes;
}

// ---- Networks: the operations of casestudy/listing.py, carried out by TensorFlow.js

const half = (h) => {
  const sign = h & 0x8000 ? -1 : 1, exponent = (h >> 10) & 31, rest = h & 1023;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + rest) : rest * 2 ** -24);
};
const TYPES = { int8: Int8Array, float16: Uint16Array, float32: Float32Array };

function numbersAt(place, bytes) {
  const values = new TYPES[place.type](bytes.buffer, place.at, place.shape.reduce((a, b) => a * b, 1));
  return place.type === "float16" ? Float32Array.from(values, half) : Float32Array.from(values);
}

function loaded(operations, bytes) {
  return operations.map((one) => {
    const known = { ...one };
    if (one.kernel) {
      const kernel = numbersAt(one.kernel, bytes);
      if (one.scale) {
        const scale = numbersAt(one.scale, bytes);
        for (let k = 0; k < kernel.length; k++) kernel[k] *= scale[k % scale.length];
      }
      known.kernel = tf.tensor(kernel, one.kernel.shape);
    } else if (one.scale) known.scale = tf.tensor(numbersAt(one.scale, bytes), one.scale.shape);
    if (one.bias) known.bias = tf.tensor(numbersAt(one.bias, bytes), one.bias.shape);
    return known;
  });
}

const weighted = (o, x) => ({
  x, filter: o.kernel, bias: o.bias, strides: o.strides, pad: o.pad, dataFormat: "NHWC", dilations: o.dilation,
});
function enlarged(o, x) {
  const long = (size, k) =>
    o.pad === "same" ? size * o.strides[k] : (size - 1) * o.strides[k] + Math.max(o.kernel.shape[k], o.strides[k]);
  const shape = [x.shape[0], long(x.shape[1], 0), long(x.shape[2], 1), o.filters];
  return tf.add(tf.conv2dTranspose(x, o.kernel, shape, o.strides, o.pad), o.bias);
}
const KINDS = {
  conv: (o, x) => tf.fused.conv2d(weighted(o, x)),
  depthwise: (o, x) => tf.fused.depthwiseConv2d(weighted(o, x)),
  enlarge: enlarged,
  dense: (o, x) => tf.fused.matMul({ a: x, b: o.kernel, bias: o.bias }),
  affine: (o, x) => tf.add(tf.mul(x, o.scale), o.bias),
  relu: (o, x) => (o.most ? tf.clipByValue(x, 0, o.most) : o.slope ? tf.leakyRelu(x, o.slope) : tf.relu(x)),
  softmax: (o, x) => tf.softmax(x),
  pool: (o, x) => (o.pool === "max" ? tf.maxPool : tf.avgPool)(x, o.size, o.strides, o.pad),
  mean: (o, x) => tf.mean(x, [1, 2], o.keep),
  max: (o, x) => tf.max(x, [1, 2]),
  pad: (o, x) => tf.pad(x, o.by),
  add: (o, x, y) => tf.add(x, y),
  concat: (o, ...all) => tf.concat(all, -1),
  flatten: (o, x) => tf.reshape(x, [x.shape[0], -1]),
  mirror: (o, x) => tf.reverse(x, 2),
  resize: (o, x) => tf.image.resizeBilinear(x, o.size, false, true),
};

function through(network, picture) { // what the network makes of a picture: numbers in one row
  return tf.tidy(() => {
    const found = [tf.tensor4d(Float32Array.from(picture.data), [1, picture.height, picture.width, picture.channels])];
    for (const one of network) found.push(KINDS[one.kind](one, ...one.from.map((k) => found[k])));
    return found[found.length - 1].dataSync();
  });
}

// ---- Pictures: {width, height, channels, data}, a byte for each channel of each pixel

function weightsOf(size, from, to, out) { // Pillow's precompute_coeffs for BILINEAR, in whole numbers of 2^-22
  const [start, end] = [Math.fround(from), Math.fround(to)];
  const scale = Math.fround(end - start) / out, wide = Math.max(scale, 1);
  return Array.from({ length: out }, (_, k) => {
    const center = start + (k + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - wide + 0.5)), last = Math.min(size, Math.trunc(center + wide + 0.5));
    const share = [];
    for (let x = first; x < last; x++) share.push(Math.max(0, 1 - Math.abs((x - center + 0.5) / wide)));
    const sum = share.reduce((a, b) => a + b, 0);
    return { first, share: share.map((one) => Math.trunc(0.5 + (one / sum) * 4194304)) };
  });
}

function resized(picture, height, width, [left, top, right, bottom]) { // as Image.resize, BILINEAR: across, then down
  const { channels: c, data } = picture;
  const across = weightsOf(picture.width, left, right, width), down = weightsOf(picture.height, top, bottom, height);
  const end = down[height - 1], first = down[0].first, rows = end.first + end.share.length - first;
  const middle = new Uint8Array(rows * width * c), out = new Uint8Array(height * width * c);
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < width; x++)
      for (let k = 0; k < c; k++) {
        let sum = 2097152, place = ((y + first) * picture.width + across[x].first) * c + k;
        for (const one of across[x].share) { sum += data[place] * one; place += c; }
        middle[(y * width + x) * c + k] = Math.min(255, sum >> 22);
      }
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width * c; x++) {
      let sum = 2097152, place = (down[y].first - first) * width * c + x;
      for (const one of down[y].share) { sum += middle[place] * one; place += width * c; }
      out[y * width * c + x] = Math.min(255, sum >> 22);
    }
  return { width, height, channels: c, data: out };
}

function reduced(picture, [left, top, right, bottom], fx, fy) { // as Image.reduce: means of whole blocks
  const c = picture.channels, width = Math.ceil((right - left) / fx), height = Math.ceil((bottom - top) / fy);
  const data = new Uint8Array(width * height * c);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const x0 = left + x * fx, x1 = Math.min(x0 + fx, right), y0 = top + y * fy, y1 = Math.min(y0 + fy, bottom);
      const count = (x1 - x0) * (y1 - y0), share = Math.floor(4294967296 / (256 * count));
      for (let k = 0; k < c; k++) {
        let sum = count >> 1;
        for (let v = y0; v < y1; v++)
          for (let u = x0; u < x1; u++) sum += picture.data[(v * picture.width + u) * c + k];
        data[(y * width + x) * c + k] = Math.floor((sum * share) / 16777216);
      }
    }
  return { width, height, channels: c, data };
}

function inTwoSteps(picture, side, box) { // as Image.resize with reducing_gap=2.0
  const [left, top, right, bottom] = box, across = (right - left) / side, down = (bottom - top) / side;
  const fx = Math.max(1, Math.trunc(across / 2)), fy = Math.max(1, Math.trunc(down / 2));
  if (fx === 1 && fy === 1) return resized(picture, side, side, box);
  const x = Math.max(0, Math.trunc(left - across / 2)), y = Math.max(0, Math.trunc(top - down / 2));
  const safe = [x, y, Math.min(picture.width, Math.ceil(right + across / 2)), Math.min(picture.height, Math.ceil(bottom + down / 2))];
  const small = reduced(picture, safe, fx, fy);
  return resized(small, side, side, [(left - x) / fx, (top - y) / fy, (right - x) / fx, (bottom - y) / fy]);
}

function squareBox([a, b, c, d], { width, height }, margin) {
  const side = Math.min(Math.max(Math.abs(c - a), Math.abs(d - b), 1) * (1 + margin), width, height);
  const x = Math.min(Math.max((a + c - side) / 2, 0), width - side);
  const y = Math.min(Math.max((b + d - side) / 2, 0), height - side);
  return [x, y, x + side, y + side];
}

// ---- The hand

function look(picture, region) { // where the hand most likely is in that part of a picture, and how sure that is
  let seen = inTwoSteps(picture, facts.hand.side, region);
  if (seen.channels === 1) seen = { ...seen, channels: 3, data: spread(seen.data) };
  const cells = through(networks.hand, seen), n = facts.hand.side / facts.hand.step;
  const scores = Array.from({ length: n * n }, (_, k) => cells[5 * k]), highest = Math.max(0, ...scores);
  const powers = scores.map((one) => Math.exp(one - highest)), sum = powers.reduce((a, b) => a + b, Math.exp(-highest));
  const best = powers.indexOf(Math.max(...powers)), row = Math.floor(best / n), column = best % n;
  const box = [0, 0, 0, 0], [left, top, right, bottom] = region;
  let share = 0;
  for (let y = Math.max(row - 1, 0); y < Math.min(row + 2, n); y++)
    for (let x = Math.max(column - 1, 0); x < Math.min(column + 2, n); x++) {
      const k = y * n + x, [, dx, dy, ...sizes] = cells.subarray(5 * k, 5 * k + 5), chance = powers[k] / sum;
      const [w, h] = sizes.map((one) => Math.exp(Math.min(Math.max(one, -6), 0.5)) / 2);
      const [u, v] = [(x + 0.5 + dx) / n, (y + 0.5 + dy) / n];
      [u - w, v - h, u + w, v + h].forEach((one, i) => (box[i] += one * chance));
      share += chance;
    }
  const size = [right - left, bottom - top], start = [left, top];
  return { box: box.map((one, i) => (one / share) * size[i % 2] + start[i % 2]), confidence: share };
}
const spread = (greys) => Uint8Array.from({ length: 3 * greys.length }, (_, k) => greys[Math.floor(k / 3)]);

function find(picture) { // looked at whole, then closer where something was seen
  const first = look(picture, [0, 0, picture.width, picture.height]);
  const second = look(picture, squareBox(first.box, picture, facts.hand.closer));
  return second.confidence >= facts.hand.least ? { box: second.box, confidence: first.confidence } : first;
}

// ---- One picture read

function read(picture) {
  let region = [0, 0, picture.width, picture.height], cut = false;
  const hand = networks.hand && find(picture);
  if (hand && hand.confidence >= facts.hand.least) {
    region = squareBox(hand.box, picture, facts.margin);
    cut = true;
  }
  const seen = resized(picture, ...facts.size, region), probabilities = Array.from(through(networks.model, seen));
  const order = probabilities.map((_, k) => k).sort((a, b) => probabilities[b] - probabilities[a]);
  const likely = facts.calibration ? order.filter((k) => probabilities[k] >= facts.calibration.least) : null;
  return { cut, region, seen, probabilities, order, likely };
}

function pixelsOf(canvas) {
  const { width, height } = canvas, from = canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, width, height).data;
  const data = new Uint8Array(width * height * facts.channels);
  for (let k = 0, place = 0; k < from.length; k += 4)
    if (facts.channels === 3) { data[place++] = from[k]; data[place++] = from[k + 1]; data[place++] = from[k + 2]; }
    else data[place++] = (19595 * from[k] + 38470 * from[k + 1] + 7471 * from[k + 2] + 32768) >> 16; // Pillow's L
  return { width, height, channels: facts.channels, data };
}

// ---- The page

const networks = {}, canvas = at("picture"), percent = (share) => (100 * share).toFixed(1) + " %";
let stream = null, asking = false, announced = "";

function shownAs(source, width, height) { // reads what is drawn, and shows it with what was cut out
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff"; // what is transparent lies on white
  context.fillRect(0, 0, width, height);
  context.imageSmoothingEnabled = false;
  context.drawImage(source, 0, 0, width, height);
  const began = performance.now(), found = read(pixelsOf(canvas));
  found.milliseconds = performance.now() - began;
  if (found.cut) {
    const [left, top, right, bottom] = found.region, line = Math.max(width, height) / 150;
    for (const [colour, wide] of [["#000", 2 * line], ["#fff", line]]) {
      [context.strokeStyle, context.lineWidth] = [colour, wide];
      context.strokeRect(left, top, right - left, bottom - top);
    }
  }
  show(found);
  return found;
}

function show({ cut, seen, probabilities, order, likely, milliseconds }) {
  const name = (k) => facts.labels[k], best = order[0], sure = likely === null || likely.length === 1;
  const others = likely && likely.length ? likely.slice(0, 5).map(name).join(" or ") : "";
  at("letter").textContent = sure ? name(best) : "?";
  const verdict = likely === null ? `Most likely ${name(best)}, ${percent(probabilities[best])}` : sure ? `Sure: ${name(best)}, ${percent(probabilities[best])}`
    : others ? `Not sure: perhaps ${others}` : `Not sure: perhaps ${name(best)}, but nothing is likely enough`;
  at("verdict").textContent = verdict;
  at("cut").textContent = !networks.hand ? "The whole picture was read."
    : cut ? "A hand was found; the square was cut out and read."
    : "No hand was found, so the whole picture was read. This model learnt from hands that were cut out, and reads whole pictures worse.";
  at("time").textContent = `${Math.round(milliseconds)} ms`;
  at("bars").replaceChildren(...order.slice(0, 3).map((k) => {
    const line = document.createElement("p"), bar = document.createElement("span"), fill = document.createElement("i");
    line.className = "guess";
    bar.className = "bar";
    fill.style.setProperty("--a", probabilities[k]);
    bar.append(fill);
    line.append(name(k), bar, percent(probabilities[k]));
    return line;
  }));
  const small = at("seen"), context = small.getContext("2d");
  [small.width, small.height] = [seen.width, seen.height];
  const shown = context.createImageData(seen.width, seen.height);
  for (let k = 0; k < seen.width * seen.height; k++)
    for (let c = 0; c < 4; c++) shown.data[4 * k + c] = c === 3 ? 255 : seen.data[seen.channels * k + (seen.channels === 3 ? c : 0)];
  context.putImageData(shown, 0, 0);
  if (at("found").hidden) { // the first time: on a phone the letter would stand below the screen
    at("found").hidden = false;
    at("state").textContent = "";
    at("found").scrollIntoView({ block: "nearest" });
  }
  const spoken = verdict.replace(/, [\d.]+ %$/, "");
  if (spoken !== announced) at("said").textContent = announced = spoken; // when it changes, not at every picture
}

function tell(text) {
  at("trouble").textContent = text;
  at("trouble").hidden = !text;
}

async function readFile(file) {
  stop();
  tell("");
  try {
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
    return shownAs(bitmap, bitmap.width, bitmap.height);
  } catch {
    tell(`This browser cannot open ${file.name} as a picture. Choose a JPEG or a PNG.`);
  }
}

const REASONS = {
  NotAllowedError: "The camera was not allowed. Allow it for this page in the browser, or choose a picture.",
  NotFoundError: "No camera was found. Connect one, or choose a picture.",
  NotReadableError: "Another program has the camera. Close that one, or choose a picture.",
};

async function start() {
  if (asking) return; // a second camera would stay on, for nobody would hold it
  tell("");
  asking = true;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: true });
  } catch (error) {
    return tell(REASONS[error.name] || "This browser gives no camera to a page that lies on the disk. Choose a picture.");
  } finally {
    asking = false;
  }
  at("camera").textContent = "Stop the camera";
  const video = document.createElement("video"), mine = stream;
  mine.getTracks()[0].addEventListener("ended", () => { // pulled out or taken away: stop() sends no such word
    stop();
    tell("The camera stopped. Start it again, or choose a picture.");
  });
  Object.assign(video, { srcObject: mine, muted: true, playsInline: true });
  video.play().catch(() => {}); // it was stopped before it began
  while (stream === mine) {
    if (video.videoWidth) shownAs(video, video.videoWidth, video.videoHeight);
    await new Promise((then) => setTimeout(then, 60)); // and the page stays usable
  }
}

function stop() { // the last picture stays
  for (const track of stream ? stream.getTracks() : []) track.stop();
  stream = null;
  at("camera").textContent = "Start the camera";
}

async function prepare() {
  const wasm = bytesOf("engine");
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  tf.env().platform.fetch = async () => new Response(wasm); // the page holds what would be fetched
  tf.wasm.setWasmPaths("", true);
  if (!(await tf.setBackend("wasm"))) throw new Error("no WebAssembly");
  networks.model = loaded(facts.model, bytesOf("model"));
  if (facts.hand) networks.hand = loaded(facts.hand.network, bytesOf("hand"));
  const blank = { width: 200, height: 200, channels: facts.channels, data: new Uint8Array(40000 * facts.channels) };
  read(blank); // the first time takes longest
  at("camera").addEventListener("click", () => (stream ? stop() : start()));
  at("file").addEventListener("change", (event) => event.target.files[0] && readFile(event.target.files[0]));
  for (const id of ["camera", "file"]) at(id).disabled = false;
  at("state").textContent = "Ready.";
}
const ready = prepare().catch((error) => {
  at("state").textContent = "";
  tell(`This browser cannot run the network (${error.message}). Open the page in a recent Chrome, Edge, Firefox or Safari.`);
});
