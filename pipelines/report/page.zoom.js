// The panes of a scene side by side in the whole window, moved and enlarged together. Below is the
// preview; where it is coarser than the screen, tiles of the scene lie over it.
class Zoom {
  static MOST = 16; // Screen pixels for a pixel of the scene.

  constructor(dialog) {
    this.dialog = dialog;
    this.views = dialog.querySelector(".views");
    this.pointers = new Map();
    const act = {
      in: () => this.zoom(2), out: () => this.zoom(0.5), fit: () => this.fit(),
      full: () => this.zoom(1 / devicePixelRatio / this.scale), close: () => dialog.close(),
    };
    for (const button of dialog.querySelectorAll("[data-do]")) {
      button.addEventListener("click", act[button.dataset.do]);
    }
    dialog.addEventListener("close", () => this.views.replaceChildren());
    const keys = {
      "+": act.in, "=": act.in, "-": act.out, "0": act.fit, "1": act.full,
      ArrowLeft: () => this.pan(0.2, 0), ArrowRight: () => this.pan(-0.2, 0),
      ArrowUp: () => this.pan(0, 0.2), ArrowDown: () => this.pan(0, -0.2),
    };
    dialog.addEventListener("keydown", (event) => {
      if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    });
    this.views.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * 0.0015), this.placeOf(event));
    }, { passive: false });
    this.views.addEventListener("dblclick", (event) => this.zoom(2, this.placeOf(event)));
    this.views.addEventListener("pointerdown", (event) => {
      this.views.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, this.placeOf(event));
    });
    this.views.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) {
      this.views.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    }
    new ResizeObserver(() => { if (dialog.open) this.move(); }).observe(this.views);
  }

  async open(viewer, name) {
    await viewer.show();
    const [preview, source] = [viewer.image, viewer.tiles];
    // The finer tiles are of the last step.
    this.source = source;
    this.last = viewer.chosen === viewer.steps.length;
    this.width = source ? source.width : viewer.width;
    this.height = source ? source.height : viewer.height;
    this.sharp = viewer.width / this.width;
    this.dialog.querySelector("h2").textContent = name;
    const drawn = ["difference", "overlay", "other"]
      .map((pane) => viewer.element.querySelector(`canvas[data-pane=${pane}]`)).filter(Boolean);
    this.panes = [preview, ...drawn].map((from) => this.view(from));
    this.views.replaceChildren(...this.panes.map((pane) => pane.view));
    this.views.dataset.panes = this.panes.length;
    this.dialog.showModal();
    this.fit();
    this.views.focus();
  }

  view(from) {
    const view = document.createElement("figure"), stage = document.createElement("div");
    const caption = document.createElement("figcaption");
    caption.textContent = from.parentElement.querySelector("span").textContent;
    const base = document.createElement("canvas");
    base.width = from.naturalWidth ?? from.width;
    base.height = from.naturalHeight ?? from.height;
    base.getContext("2d").drawImage(from, 0, 0);
    base.setAttribute("role", "img");
    base.setAttribute("aria-label", from.alt ?? from.getAttribute("aria-label"));
    base.style.width = `${this.width}px`;
    base.style.height = `${this.height}px`;
    stage.append(base);
    view.append(stage, caption);
    return { view, stage, what: from.dataset.pane, shown: new Map() };
  }

  placeOf(event) {
    // Which pane it is over does not matter: all show the same.
    const pane = this.panes.map((one) => one.view.getBoundingClientRect()).find((box) =>
      event.clientX >= box.left && event.clientX <= box.right
      && event.clientY >= box.top && event.clientY <= box.bottom) ?? this.box;
    return [event.clientX - pane.left, event.clientY - pane.top];
  }

  get box() {
    return this.panes[0].view.getBoundingClientRect();
  }

  fit() {
    const { width, height } = this.box;
    this.scale = Math.min(width / this.width, height / this.height);
    [this.x, this.y] = [this.width / 2 - width / this.scale / 2, this.height / 2 - height / this.scale / 2];
    this.move();
  }

  zoom(factor, place) {
    const { width, height } = this.box;
    const [left, top] = place ?? [width / 2, height / 2];
    const least = Math.min(width / this.width, height / this.height, 1);
    const scale = Math.min(Zoom.MOST, Math.max(least, this.scale * factor));
    this.x += left / this.scale - left / scale;
    this.y += top / this.scale - top / scale;
    this.scale = scale;
    this.move();
  }

  pan(right, down) {
    const { width, height } = this.box;
    this.x -= right * width / this.scale;
    this.y -= down * height / this.scale;
    this.move();
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = this.placeOf(event);
    const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    this.pointers.set(event.pointerId, now);
    if (other) {
      const length = (at) => Math.hypot(at[0] - other[0], at[1] - other[1]);
      this.zoom(length(now) / Math.max(1, length(before)), other);
    } else {
      this.x -= (now[0] - before[0]) / this.scale;
      this.y -= (now[1] - before[1]) / this.scale;
      this.move();
    }
  }

  move() {
    const { width, height } = this.box;
    // The middle of a pane stays on the scene.
    const within = (start, shown, whole) => Math.min(Math.max(start, -shown / 2), whole - shown / 2);
    this.x = within(this.x, width / this.scale, this.width);
    this.y = within(this.y, height / this.scale, this.height);
    const sharp = this.scale * devicePixelRatio;
    for (const pane of this.panes) {
      pane.stage.style.transform = `scale(${this.scale}) translate(${-this.x}px, ${-this.y}px)`;
      pane.stage.style.setProperty("--pixel", `${1 / sharp}px`);
      pane.stage.classList.toggle("pixels", sharp >= 3);
      this.lay(pane, sharp);
    }
    this.dialog.querySelector("[role=status]").textContent = `${Math.round(100 * sharp)} %`;
  }

  // Puts the tiles in that are seen now, and takes the others out.
  lay(pane, sharp) {
    const wanted = new Set();
    if (this.source && sharp > this.sharp && (pane.what === "image" || this.last)) {
      const { levels } = this.source, { width, height } = this.box;
      const level = Math.max(0, Math.min(levels - 1, Math.floor(-Math.log2(sharp) + 0.1)));
      const side = SIDE * 2 ** level;
      const range = (start, length, whole) => [
        Math.max(0, Math.floor(start / side)), Math.min(Math.ceil(whole / side), Math.ceil((start + length) / side)),
      ];
      const [top, bottom] = range(this.y, height / this.scale, this.height);
      const [left, right] = range(this.x, width / this.scale, this.width);
      for (let row = top; row < bottom; row++) {
        for (let column = left; column < right; column++) {
          for (const what of new Set(["image", pane.what])) wanted.add(`${level}-${row}-${column}-${what}`);
        }
      }
    }
    for (const [name, tile] of pane.shown) {
      if (wanted.has(name)) continue;
      tile.remove();
      pane.shown.delete(name);
    }
    for (const name of wanted) {
      if (pane.shown.has(name)) continue;
      const tile = this.tile(name, pane.what);
      pane.shown.set(name, tile);
      pane.stage.append(tile);
    }
  }

  tile(name, pane) {
    const [level, row, column, what] = name.split("-");
    const tile = new Image(), side = SIDE * 2 ** level;
    tile.alt = "";
    tile.draggable = false;
    tile.className = what === "image" ? "ground" : "over";
    if (what !== pane) tile.classList.add("dimmed");
    tile.style.left = `${column * side}px`;
    tile.style.top = `${row * side}px`;
    // A screen pixel more each way: else a seam would show where two tiles meet inside of one.
    const reach = (length) => `calc(${length * 2 ** level}px + var(--pixel))`;
    tile.addEventListener("load", () => {
      tile.style.width = reach(tile.naturalWidth);
      tile.style.height = reach(tile.naturalHeight);
    });
    tile.addEventListener("error", () => tile.remove()); // The page was moved without its tiles.
    tile.src = this.source.folder
      ? `${this.source.folder}${name}.${what === "image" ? "jpeg" : "webp"}` : this.source.tiles[`${level}-${row}-${column}`][what];
    return tile;
  }
}

const zoomed = document.querySelector("dialog.zoomed");
if (zoomed) {
  const zoom = new Zoom(zoomed);
  for (const [element, viewer] of viewers) {
    const name = element.querySelector("h3").textContent;
    element.querySelector(".enlarge").addEventListener("click", () => zoom.open(viewer, name));
  }
}
