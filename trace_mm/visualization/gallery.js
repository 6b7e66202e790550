"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const photos = JSON.parse(find("data").textContent);
  const cards = [...document.querySelectorAll(".card")];
  const controls = find("controls"), top = find("top"), score = find("score"), style = find("style");
  const dialog = find("zoom"), stage = find("stage"), picture = find("photo");
  const STYLES = ["fill", "line", "none"];

  // ---- which masks are shown, and how -------------------------------------------------------

  /** The number of masks of a photo that are shown: they come by falling score. */
  function shownOf(photo) {
    const least = Number(score.value), most = Number(top.value);
    let count = 0;
    while (count < most && count < photo.masks.length && photo.masks[count][0] >= least) count++;
    return count;
  }

  /** As in the overlays: successive colours are far apart in hue. */
  function colorOf(index) {
    const hue = (index * 0.618034) % 1 * 360;
    return `hsl(${hue.toFixed(1)} 85% ${Math.floor(index / 5) % 2 ? 42 : 54}%)`;
  }

  function pathsOf(photo) {
    photo.paths ??= photo.masks.map(([, outline]) => new Path2D(outline));
    return photo.paths;
  }

  /** Area of what a path encloses, by its points: to draw small masks in front of large ones. */
  function areasOf(photo) {
    photo.areas ??= photo.masks.map(([, outline]) => Math.abs(outline.split("m").slice(1)
      .reduce((sum, part) => sum + ringArea(part), 0)));
    return photo.areas;
  }

  /** Of a hole it has the other sign. */
  function ringArea(part) {
    let x = 0, y = 0, sum = 0;
    const steps = part.replace("z", "").split(/[l ]/).map((step) => step.split(",").map(Number));
    for (const [right, down] of steps.slice(1)) {
      sum += x * (y + down) - (x + right) * y;
      x += right;
      y += down;
    }
    return sum / 2;
  }

  /** Draw a photo's masks, with a white rim if there is room; only `chosen` if there is one. */
  function draw(canvas, photo, width, height, scale, left, above, rim = false, chosen = -1) {
    const dots = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * dots);
    canvas.height = Math.round(height * dots);
    const context = canvas.getContext("2d");
    context.setTransform(scale * dots, 0, 0, scale * dots, left * dots, above * dots);
    context.translate(0.5, 0.5);  // outlines run through the middles of pixels
    if (style.value === "none" && chosen < 0) return;
    const paths = pathsOf(photo), areas = areasOf(photo);
    const order = [...Array(shownOf(photo)).keys()].sort((a, b) => areas[b] - areas[a]);
    context.lineJoin = "round";
    for (const index of order) {
      if (chosen >= 0 && index !== chosen) continue;
      context.fillStyle = context.strokeStyle = colorOf(index);
      if (style.value === "fill" || chosen >= 0) {
        context.globalCompositeOperation = "destination-out";  // colours do not mix
        context.fill(paths[index], "evenodd");
        context.globalCompositeOperation = "source-over";
        context.globalAlpha = 0.45;
        context.fill(paths[index], "evenodd");
      }
      context.globalAlpha = 1;
      if (rim) {
        context.lineWidth = 3 / scale;
        context.strokeStyle = "#ffffff";
        context.stroke(paths[index]);
      }
      context.lineWidth = 1.5 / scale;
      context.strokeStyle = colorOf(index);
      context.stroke(paths[index]);
    }
  }

  // ---- the thumbnails -----------------------------------------------------------------------

  const visible = new Set();

  function drawCard(card) {
    const photo = photos[card.dataset.photo], [height, width] = photo.size;
    const frame = card.querySelector(".picture"), canvas = card.querySelector("canvas");
    const scale = Math.min(frame.clientWidth / width, frame.clientHeight / height);
    canvas.style.width = `${width * scale}px`;
    canvas.style.height = `${height * scale}px`;
    draw(canvas, photo, width * scale, height * scale, scale, 0, 0);
  }

  function tell() {
    find("top-value").textContent = top.value;
    find("score-value").textContent = Number(score.value).toFixed(3);
    let all = 0;
    for (const card of cards) {
      const photo = photos[card.dataset.photo], shown = shownOf(photo);
      all += shown;
      card.querySelector(".count").textContent = `${shown} of ${photo.masks.length} masks`;
    }
    find("told").textContent = `${all} masks are shown.`;
  }

  let waiting = false;
  function refresh() {
    remember();
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      tell();
      visible.forEach(drawCard);
      if (dialog.open) {
        if (view.chosen >= shownOf(photos[view.photo])) view.chosen = -1;
        drawStage();
      }
    });
  }

  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) visible.add(target); else visible.delete(target);
      if (isIntersecting) drawCard(target);
    }
  }, { rootMargin: "300px" });
  cards.forEach((card) => watcher.observe(card));

  /** Arrow keys among the thumbnails. */
  find("photos").addEventListener("keydown", (event) => {
    const here = cards.indexOf(document.activeElement);
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() };
    if (here < 0 || !(event.key in steps)) return;
    event.preventDefault();
    cards[here + steps[event.key]]?.focus();
  });

  function columns() {
    const line = cards[0].getBoundingClientRect().top;
    return Math.max(1, cards.filter((card) => card.getBoundingClientRect().top === line).length);
  }

  cards.forEach((card, number) => card.addEventListener("click", () => open(number)));

  // ---- one photo, enlarged ------------------------------------------------------------------

  const view = { photo: 0, zoom: 1, x: 0, y: 0, chosen: -1 };

  function open(number) {
    find("slot").append(controls);
    dialog.showModal();
    show(number);
    stage.focus();
  }

  function show(number) {
    const photo = photos[number];
    if (!photo) return;
    Object.assign(view, { photo: number, zoom: 1, x: 0, y: 0, chosen: -1 });
    const thumbnail = cards[number].querySelector("img").src;
    picture.onerror = () => { picture.onerror = null; picture.src = thumbnail; };
    picture.src = photo.original || thumbnail;
    find("zoom-name").textContent = photo.name;
    find("previous").disabled = number === 0;
    find("next").disabled = number === photos.length - 1;
    drawStage();
  }

  /** Thumbnail pixels to pixels of the stage. */
  function fit() {
    const [height, width] = photos[view.photo].size;
    const whole = Math.min(stage.clientWidth / width, stage.clientHeight / height);
    const scale = whole * view.zoom;
    return {
      scale,
      left: (stage.clientWidth - width * scale) / 2 + view.x,
      above: (stage.clientHeight - height * scale) / 2 + view.y,
    };
  }

  function drawStage() {
    const photo = photos[view.photo], [height, width] = photo.size;
    keepInside();
    const { scale, left, above } = fit();
    picture.style.width = `${width}px`;
    picture.style.height = `${height}px`;
    picture.style.transform = `translate(${left}px, ${above}px) scale(${scale})`;
    const size = [stage.clientWidth, stage.clientHeight];
    draw(stage.querySelector("canvas"), photo, ...size, scale, left, above, true, view.chosen);
    const shown = shownOf(photo);
    stage.setAttribute("aria-label", `${photo.name}: ${shown} of ${photo.masks.length} masks`);
    find("mask").textContent = view.chosen < 0
      ? `${shown} of ${photo.masks.length} masks`
      : `Mask ${view.chosen + 1} of ${shown}, score ${photo.masks[view.chosen][0].toFixed(3)}`;
  }

  /** The photo covers the stage, or lies in its middle. */
  function keepInside() {
    const [height, width] = photos[view.photo].size, { scale } = fit();
    const across = Math.max(0, (width * scale - stage.clientWidth) / 2);
    const down = Math.max(0, (height * scale - stage.clientHeight) / 2);
    view.x = Math.min(across, Math.max(-across, view.x));
    view.y = Math.min(down, Math.max(-down, view.y));
  }

  /** Zoom so that what is at a point of the stage stays there. */
  function zoomAt(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
    const zoom = Math.min(32, Math.max(1, view.zoom * factor)), change = zoom / view.zoom;
    const middle = [stage.clientWidth / 2, stage.clientHeight / 2];
    view.x = (x - middle[0]) * (1 - change) + view.x * change;
    view.y = (y - middle[1]) * (1 - change) + view.y * change;
    view.zoom = zoom;
    drawStage();
  }

  function move(x, y) {
    view.x += x;
    view.y += y;
    drawStage();
  }

  function choose(step) {
    const shown = shownOf(photos[view.photo]);
    if (shown) view.chosen = (Math.max(view.chosen, step > 0 ? -1 : 0) + step + shown) % shown;
    drawStage();
  }

  /** The smallest shown mask at a point of the stage; -1 for none. */
  function maskAt(x, y) {
    const photo = photos[view.photo], paths = pathsOf(photo), areas = areasOf(photo);
    const { scale, left, above } = fit();
    const context = document.createElement("canvas").getContext("2d");
    let found = -1;
    for (let index = 0; index < shownOf(photo); index++) {
      const inside = context.isPointInPath(
        paths[index], (x - left) / scale, (y - above) / scale, "evenodd");
      if (inside && (found < 0 || areas[index] < areas[found])) found = index;
    }
    return found;
  }

  const pointers = new Map();

  function place(event) {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  function release(event) {
    pointers.delete(event.pointerId);
  }

  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
    if (event.pointerType !== "mouse") pick(event);
  });
  stage.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId), now = place(event);
    if (!before) {
      pick(event);
      return;
    }
    pointers.set(event.pointerId, now);
    if (pointers.size === 1) move(now[0] - before[0], now[1] - before[1]);
    if (pointers.size === 2) pinch(event.pointerId, before, now);
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, release);
  stage.addEventListener("pointerleave", () => { view.chosen = -1; drawStage(); });

  function pick(event) {
    const found = maskAt(...place(event));
    if (found !== view.chosen) {
      view.chosen = found;
      drawStage();
    }
  }

  function pinch(pointer, before, now) {
    const [[, other]] = [...pointers].filter(([id]) => id !== pointer);
    const far = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
    if (far(before) > 0) zoomAt(far(now) / far(before), ...other);
  }

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), ...place(event));
  }, { passive: false });

  const actions = {
    ArrowLeft: () => show(view.photo - 1),
    ArrowRight: () => show(view.photo + 1),
    ArrowUp: () => choose(-1),
    ArrowDown: () => choose(1),
    "+": () => zoomAt(1.4),
    "=": () => zoomAt(1.4),
    "-": () => zoomAt(1 / 1.4),
    0: () => zoomAt(0),
    m: nextStyle,
  };
  const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

  function nextStyle() {
    style.value = STYLES[(STYLES.indexOf(style.value) + 1) % STYLES.length];
    refresh();
  }

  dialog.addEventListener("keydown", (event) => {
    const asked = event.ctrlKey || event.metaKey || event.altKey;
    if (asked || event.target.matches("input, select")) return;
    if (event.shiftKey && event.key in moves) move(...moves[event.key]);
    else if (event.key in actions) actions[event.key]();
    else return;
    event.preventDefault();
  });
  const buttons = {
    previous: "ArrowLeft", next: "ArrowRight", smaller: "-", larger: "+", whole: "0",
  };
  for (const [id, key] of Object.entries(buttons)) {
    find(id).addEventListener("click", actions[key]);
  }
  find("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    find("bar").append(controls);
    pointers.clear();
    cards[view.photo].focus();
  });

  // ---- what stays from page to page ---------------------------------------------------------

  function remember() {
    const text = `#top=${top.value}&score=${score.value}&style=${style.value}`;
    document.querySelectorAll(".pages a").forEach((link) => { link.hash = text; });
    try {
      history.replaceState(null, "", text);
    } catch { /* some browsers do not let a file change its address */ }
  }

  function recall() {
    const known = new URLSearchParams(location.hash.slice(1));
    for (const control of [top, score, style]) {
      if (known.has(control.id)) control.value = known.get(control.id);
    }
    if (!STYLES.includes(style.value)) style.value = STYLES[0];
  }

  controls.addEventListener("input", refresh);
  controls.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("resize", refresh);
  recall();
  refresh();
})();
