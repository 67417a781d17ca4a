"use strict";

// Colours of the panes are those of the legend: the style sheet has them, once.
const style = getComputedStyle(document.documentElement);
const color = (name) => {
  const hex = style.getPropertyValue(name).trim();
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
};
const HIT = color("--hit"), MISS = color("--miss"), ALARM = color("--alarm"), FOUND = color("--found");
const ONLY_A = color("--only-a"), ONLY_B = color("--only-b"), BOTH = color("--both");
const HATCH = color("--hatch"), PLAIN = color("--plain");
const RAMP = ["--ramp-low", "--ramp-middle", "--ramp-high"].map(color);
const MISSING = 255, TOP = 254, DIMMED = 0.42;

const mix = (from, to, share) => from.map((value, band) => value + (to[band] - value) * share);
const ramp = Array.from({ length: TOP + 1 }, (_, level) =>
  level < 127 ? mix(RAMP[0], RAMP[1], level / 127) : mix(RAMP[1], RAMP[2], (level - 127) / 127));

const paint = (pixels, index, [red, green, blue]) => {
  pixels[4 * index] = red;
  pixels[4 * index + 1] = green;
  pixels[4 * index + 2] = blue;
  pixels[4 * index + 3] = 255;
};

const scratch = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

function decode(image, width, height) {
  scratch.canvas.width = width;
  scratch.canvas.height = height;
  scratch.drawImage(image, 0, 0);
  return scratch.getImageData(0, 0, width, height).data;
}

function levels(image, width, height) {
  const pixels = decode(image, width, height);
  return Uint8Array.from({ length: width * height }, (_, index) => pixels[4 * index]);
}

function open(url) {
  const image = new Image();
  image.src = url;
  return image;
}

class Viewer {
  constructor(element) {
    const { width, height, threshold, label, other, steps, tiles } =
      JSON.parse(element.querySelector("script").textContent);
    Object.assign(this, { element, width, height, threshold, tiles, visible: false, decoded: null });
    // Fetched now, so that printing need not wait; decoded only when drawn.
    this.image = element.querySelector("[data-pane=image]");
    this.label = label && open(label);
    this.other = other && open(other);
    this.steps = [...steps.map(open), open(element.querySelector("[data-pane=levels]").src)];
    this.files = [this.image, this.label, this.other, ...this.steps].filter(Boolean);
    this.slider = element.querySelector("input[type=range]");
    this.slider?.addEventListener("input", () => this.draw(this.chosen));
    const panes = [...element.querySelectorAll(".pane")];
    for (const pane of panes) {
      pane.addEventListener("click", () => {
        for (const other of panes) other.setAttribute("aria-pressed", other === pane);
      });
    }
  }

  get chosen() {
    return this.slider ? Number(this.slider.value) : this.steps.length;
  }

  async show() {
    this.visible = true;
    await Promise.all(this.files.map((image) => image.decode()));
    if (this.visible) this.draw(this.chosen);
  }

  hide() {
    this.visible = false;
    this.decoded = null;
    for (const canvas of this.element.querySelectorAll("canvas")) canvas.width = 0;
  }

  decodeAll() {
    const size = [this.width, this.height];
    return {
      dimmed: decode(this.image, ...size).map((value, at) => (at % 4 < 3 ? value * DIMMED : 255)),
      label: this.label && levels(this.label, ...size),
      other: this.other && levels(this.other, ...size),
      steps: this.steps.map((step) => levels(step, ...size)),
    };
  }

  draw(step) {
    const { width, height } = this;
    if (!this.files.every((image) => image.complete)) return;
    this.decoded ??= this.decodeAll();
    const { label, other } = this.decoded;
    const level = this.decoded.steps[step - 1];
    const counts = this.drawAgreement("overlay", level);
    const prediction = new ImageData(width, height), drawing = new ImageData(width, height);
    for (let index = 0; index < width * height; index++) {
      paint(prediction.data, index, level[index] === MISSING ? this.blank(index) : ramp[level[index]]);
      if (label) paint(drawing.data, index, label[index] === MISSING ? this.blank(index) : ramp[label[index]]);
    }
    this.put("prediction", prediction);
    if (label) this.put("label", drawing);
    if (other) {
      this.drawAgreement("other", other);
      Object.assign(counts, this.drawDifference(level, other));
    }
    for (const count of this.element.querySelectorAll("[data-count]")) {
      count.textContent = counts[count.dataset.count].toLocaleString("en");
    }
    if (this.slider) {
      const words = `step ${step} of ${this.steps.length}`;
      this.slider.setAttribute("aria-valuetext", words);
      this.element.querySelector(".step").textContent = words;
    }
  }

  blank(index) {
    return ((index % this.width) + Math.floor(index / this.width)) % 8 < 2 ? HATCH : PLAIN;
  }

  // Over the image: hits, misses and false alarms, or what was found where there is no label.
  drawAgreement(pane, level) {
    const { width, height, threshold } = this, { dimmed, label } = this.decoded;
    const pixels = new ImageData(dimmed.slice(), width, height);
    const counts = { hits: 0, misses: 0, alarms: 0, found: 0 };
    for (let index = 0; index < width * height; index++) {
      const counted = level[index] !== MISSING && (!label || label[index] !== MISSING);
      const found = level[index] >= threshold, real = label && label[index] === TOP;
      let shown = null;
      if (!counted) shown = this.blank(index);
      else if (!label && found) { shown = FOUND; counts.found++; }
      else if (found && real) { shown = HIT; counts.hits++; }
      else if (real) { shown = MISS; counts.misses++; }
      else if (found) { shown = ALARM; counts.alarms++; }
      if (shown) paint(pixels.data, index, shown);
    }
    this.put(pane, pixels);
    return counts;
  }

  // Over the image: where one of two runs is right and the other is not.
  drawDifference(level, other) {
    const { width, height, threshold } = this, { dimmed, label } = this.decoded;
    const pixels = new ImageData(dimmed.slice(), width, height);
    const counts = { a: 0, b: 0 };
    for (let index = 0; index < width * height; index++) {
      const a = level[index] >= threshold, b = other[index] >= threshold;
      const real = label ? label[index] === TOP : true;
      let shown = null;
      if (level[index] === MISSING || other[index] === MISSING || (label && label[index] === MISSING)) shown = this.blank(index);
      else if (a !== b && a === real) { shown = ONLY_A; counts.a++; }
      else if (a !== b) { shown = ONLY_B; counts.b++; }
      else if (a) shown = BOTH;
      if (shown) paint(pixels.data, index, shown);
    }
    this.put("difference", pixels);
    return counts;
  }

  put(pane, pixels) {
    const canvas = this.element.querySelector(`canvas[data-pane=${pane}]`);
    if (!canvas) return; // Two runs leave no room for the label: it shows in A and B.
    canvas.width = this.width;
    canvas.height = this.height;
    canvas.getContext("2d", { willReadFrequently: true }).putImageData(pixels, 0, 0);
  }
}

const viewers = new Map();
for (const element of document.querySelectorAll(".viewer")) viewers.set(element, new Viewer(element));

const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const viewer = viewers.get(entry.target);
    if (entry.isIntersecting) viewer.show(); else viewer.hide();
  }
}, { rootMargin: "600px" });
for (const element of viewers.keys()) observer.observe(element);

// On paper nothing moves: the last step of every picture.
addEventListener("beforeprint", () => viewers.forEach((viewer) => viewer.draw(viewer.steps.length)));
addEventListener("afterprint", () => viewers.forEach((viewer) => {
  if (viewer.visible) viewer.draw(viewer.chosen); else viewer.hide();
}));

const collator = new Intl.Collator("en", { numeric: true });
const compare = {
  text: (one, other) => collator.compare(one, other),
  number: (one, other) => Number(one) - Number(other),
};

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
    const key = (row) => row.cells[column].dataset.value;
    // What is undefined stays last either way.
    const order = (one, other) => (key(one) === "") - (key(other) === "")
      || sign * compare[head.dataset.kind](key(one), key(other));
    body.append(...[...body.rows].sort(order));
  }));
}
