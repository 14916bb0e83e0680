/*
 * Views: the picture and its overlay, waveform, spectrogram, rulers, and the lines that cross them.
 *
 * No pixel is read back, and no sound is decoded: waveforms are drawn from peaks that come with the page, or with a
 * bank's script. Where time runs down the picture, the style sheet turns waveform and spectrogram beside it: within
 * them time always runs along x.
 */
(function (netsounds) {
  "use strict";

  const { clamp, spoken, hertz, hertzAt, shareOf, pitchAt, pixelsOf, timeTicks, hertzTicks, clock, decibels } = netsounds;
  const { player, firing } = netsounds;
  const { data, across, length, state, bankOf, stretch, place, alongOf, placeOf } = player;
  const { full_width: width, full_height: height } = data.picture;
  const get = (id) => document.getElementById(id);
  const all = (selector, root) => Array.from(root.querySelectorAll(selector));

  const [picture, wave, spectrogram] = ["picture", "wave", "spectrogram"].map(get);
  const views = [picture, wave, spectrogram];
  const ofViews = (selector) => views.map((view) => view.querySelector(selector));
  const [playheads, pointers, regions, contents] = [".playhead", ".pointer", ".region", ".content"].map(ofViews);
  const played = wave.querySelector(".played");

  const finger = window.matchMedia("(hover: none)");

  /** The data of each bank's script, by number; null while the script loads. */
  const payloads = new Map();
  /** `kind`: which image of a filter is shown. `hover`: where the pointer is, or null. `pointed`: it has been in a view. */
  const seen = { kind: "mean", hover: null, pointed: false };

  // --- zoom: how many times larger, and which part is in view ------------------------------------------------------

  const MOST = 16;
  /** `from`: the place where waveform and spectrogram begin. `middle`: the centre of the view across time, as a share. */
  const zoom = { times: 1, from: 0, middle: 0.5 };

  /** Converts a place to a share of the visible strip, and back. */
  const inStrip = (at) => (at - zoom.from) * zoom.times;
  const ofStrip = (share) => zoom.from + share / zoom.times;

  /** Where the visible part of the picture begins, along time and across it, as shares of the picture. */
  function pictureFrom() {
    const span = 1 / zoom.times;
    const begin = (middle) => clamp(middle - span / 2, 0, 1 - span);
    return { along: begin(alongOf(zoom.from + span / 2)), other: begin(zoom.middle) };
  }

  /** Converts a share of the picture across time to a share of its view. */
  const inPictureAcross = (other) => (other - pictureFrom().other) * zoom.times;

  /** Converts a share of the picture, along time, to a share of its view. */
  const inPicture = (along) => (along - pictureFrom().along) * zoom.times;

  /** Zooms so that a place, and a share of the picture across time, lie in the middle of the view. */
  function zoomTo(times, at = place(), middle = 0.5) {
    zoom.times = clamp(times, 1, MOST);
    zoom.middle = middle;
    panTo(at - 0.5 / zoom.times);
  }

  function panTo(from, middle = zoom.middle) {
    zoom.from = clamp(from, 0, 1 - 1 / zoom.times);
    zoom.middle = clamp(middle, 0.5 / zoom.times, 1 - 0.5 / zoom.times);
    drawZoom();
  }

  /** Scrolls the zoomed view along with the playing position. */
  function keepInView() {
    const at = place();
    if (zoom.times > 1 && (inStrip(at) < 0 || inStrip(at) > 1)) panTo(at - 0.05 / zoom.times);
  }

  function drawZoom() {
    const from = pictureFrom();
    const [left, top] = across ? [from.along, from.other] : [from.other, from.along];
    const whole = `${100 * zoom.times}%`;
    const offset = (share) => `${-100 * zoom.times * share}%`;
    Object.assign(contents[0].style, { width: whole, height: whole, left: offset(left), top: offset(top) });
    contents.slice(1).forEach((content) => Object.assign(content.style, { width: whole, left: offset(zoom.from) }));
    get("zoom-times").textContent = `${zoom.times} ×`;
    if (zoom.times === 1 && document.activeElement === get("zoom-out")) get("zoom-in").focus();
    get("zoom-out").hidden = get("zoom-times").hidden = zoom.times === 1;
    get("zoom-in").disabled = zoom.times === MOST;
    [drawRulers, drawRegions, draw, hoverAgain].forEach((redraw) => redraw());
  }

  // --- lines and words ---------------------------------------------------------------------------------------------

  /** Moves a line in each view. Its box is the view's, so a share of itself is a share of the view. */
  function moveLines(lines, at) {
    const [inPictures, inStrips] = [inPicture(alongOf(at)), inStrip(at)];
    lines.forEach((line, index) => {
      const share = 100 * (index ? inStrips : inPictures);
      line.style.transform = index || across ? `translateX(${share}%)` : `translateY(${share}%)`;
    });
  }

  /** Shows another playing position. */
  function moved() {
    keepInView();
    draw();
  }

  /** Draws what changes from frame to frame: the lines, and ten times a second the words. */
  function draw() {
    const at = place();
    const text = clock(at * stretch().seconds);
    moveLines(playheads, at);
    played.style.clipPath = `inset(0 ${100 * (1 - at)}% 0 0)`;
    if (get("clock").textContent === text) return;
    get("clock").textContent = text;
    describe();
  }

  const pixelText = (name, share, count) => `${name} ${clamp(Math.floor(share * count), 0, count - 1)}`;
  const filterName = (bank, filter) => `filter ${filter}, ${decibels(bank.levels_db[filter])}`;
  const shownFilter = () => (state.filter === null ? "" : filterName(bankOf(state.sound.bank), state.filter));

  function loopWords(seconds) {
    if (!state.loop) return "";
    const { from, to } = state.loop;
    const which = from === 0 && to === 1 ? "all" : `${spoken(from * seconds)} to ${spoken(to * seconds)}`;
    return `loop of ${which}: drag its handles`;
  }

  /** Updates the slider's text and the readout, for the pointer or else the playhead. */
  function describe() {
    const at = place();
    const { seconds } = stretch();
    const words = `${spoken(at * seconds)} of ${spoken(seconds)}, ${pixelText(across ? "column" : "row", alongOf(at), length)}`;
    picture.setAttribute("aria-valuenow", (at * seconds).toFixed(1));
    picture.setAttribute("aria-valuetext", words);
    const begun = seen.pointed || state.loop || state.filter !== null || at > 0;
    const here = seen.hover ? hoverWords() : [(at > 0 && firing.sentence()) || words, shownFilter(), loopWords(seconds)];
    const prompt = `${finger.matches ? "Tap" : "Point at"} the picture: time and pitch`;
    get("readout").textContent = begun ? here.filter(Boolean).join(" · ") : prompt;
    get("readout").classList.toggle("hovering", Boolean(seen.hover));
  }

  function hoverWords() {
    const { view, at, along, other } = seen.hover;
    const spectra = spectrum();
    const [x, y] = across ? [along, other] : [other, along];
    const where = [pixelText("column", x, width), pixelText("row", y, height)];
    const { pitch } = state.sound;
    return [
      spoken(at * stretch().seconds, 2),
      view === picture && pitch ? hertz(pitchAt(pitch, other * (across ? height : width))) : "",
      view === spectrogram && spectra ? hertz(hertzAt(spectra, 1 - other)) : "",
      view === picture ? where.join(", ") : where[across ? 0 : 1],
      shownFilter(),
    ];
  }

  /** Locates an event in a view: its place, and shares of the picture along time and across it. */
  function spot(event, view) {
    const box = view.getBoundingClientRect();
    const x = clamp((event.clientX - box.left) / box.width, 0, 1);
    const y = clamp((event.clientY - box.top) / box.height, 0, 1);
    // Across a turned spectrogram the right is high; `other` runs from its top before it was turned, as in the picture's.
    const [time, cross] = across ? [x, y] : [y, view === picture ? x : 1 - x];
    if (view !== picture) return { view, at: ofStrip(time), along: alongOf(ofStrip(time)), other: cross };
    const from = pictureFrom();
    const along = from.along + time / zoom.times;
    return { view, at: placeOf(along), along, other: from.other + cross / zoom.times };
  }

  function hover(point) {
    seen.hover = point;
    seen.pointed = seen.pointed || Boolean(point);
    pointers.forEach((line) => (line.style.visibility = point ? "visible" : "hidden"));
    if (point) moveLines(pointers, point.at);
    describe();
  }

  const hoverAgain = () => seen.hover && hover(seen.hover);

  // --- the views' contents -----------------------------------------------------------------------------------------

  /** Shows a sprite's tile as the background that fills an element; a cell may be larger than its tile. */
  function showTile(element, { src, columns = 1, rows = 1, ...of }, index = 0) {
    const [wide, high] = of.cell_width ? [of.cell_width / of.tile_width, of.cell_height / of.tile_height] : [1, 1];
    const share = (at, whole) => (whole > 1 ? (100 * at) / (whole - 1) : 0); // of what the sprite is larger than its tile
    element.style.backgroundImage = `url(${JSON.stringify(src)})`;
    element.style.backgroundSize = `${100 * columns * wide}% ${100 * rows * high}%`;
    element.style.backgroundPosition =
      `${share((index % columns) * wide, columns * wide)}% ${share(Math.floor(index / columns) * high, rows * high)}%`;
  }

  function drawOverlay() {
    const overlay = get("overlay");
    overlay.hidden = state.filter === null;
    overlay.style.opacity = get("opacity").value;
    if (!overlay.hidden) showTile(overlay, bankOf(state.sound.bank)[seen.kind], state.filter);
  }

  const signed = (text) => Int8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  /** The stretch's waveform, int8 [column, 2]; silence while it loads. */
  function peaks() {
    const { sound, part } = state;
    const payload = payloads.get(sound.bank);
    if (sound.peaks) return signed(sound.peaks.data);
    if (!sound.parts || !payload || !payload.peaks) return new Int8Array(2);
    payload.values = payload.values || signed(payload.peaks);
    return payload.values.subarray(2 * payload.columns * part, 2 * payload.columns * (part + 1));
  }

  /** Draws the waveform as one outline; a quiet one is enlarged by a factor that the legend names. */
  function drawWave() {
    const values = peaks();
    const most = values.reduce((top, value) => Math.max(top, Math.abs(value)), 2);
    const gain = 2 ** Math.floor(Math.log2(127 / most));
    const columns = Array.from({ length: values.length / 2 }, (_, column) => column);
    const upper = columns.map((column) => `${column} ${-gain * values[2 * column + 1]}H${column + 1}`);
    const lower = columns.map((column) => `${column + 1} ${-gain * values[2 * column]}H${column}`).reverse();
    for (const svg of all("svg", wave)) {
      svg.setAttribute("viewBox", `0 -127 ${columns.length} 254`);
      svg.firstElementChild.setAttribute("d", `M${upper.concat(lower).join("L")}Z`);
    }
    get("gain").textContent = gain > 1 ? `, drawn ${gain} × larger` : "";
  }

  /** The spectrogram of the stretch and its scale, or null. */
  function spectrum() {
    const payload = payloads.get(state.sound.bank);
    return state.sound.spectrogram || (state.sound.parts && payload && payload.spectra) || null;
  }

  function drawSpectrogram() {
    const drawn = spectrogram.querySelector(".drawn");
    const spectra = spectrum();
    drawn.setAttribute("aria-label", ["Spectrogram", state.sound.label, shownFilter()].filter(Boolean).join(", "));
    if (spectra) showTile(drawn, spectra, state.sound.parts ? state.part : 0);
    else drawn.style.backgroundImage = "none";
  }

  /** Loads a bank's peaks and spectra, once; as a script, because a page opened from disk may not fetch data. */
  function need(bank) {
    if (payloads.has(bank.number)) return;
    payloads.set(bank.number, null);
    const script = document.createElement("script");
    script.src = bank.script;
    document.head.append(script);
  }

  window.netsoundsBank = function netsoundsBank(number, payload) {
    payloads.set(number, payload);
    if (state.sound.bank === number) drawSound();
  };

  /** Draws everything that depends on the sound and the filter. */
  function drawSound() {
    const { seconds } = stretch();
    picture.setAttribute("aria-valuemax", seconds.toFixed(1));
    // Half a percent at the edges is the network's margin, not a part left out.
    const [begin, end] = [alongOf(0), alongOf(1)];
    get("unheard-before").style[across ? "right" : "bottom"] = `${100 * (1 - begin)}%`;
    get("unheard-after").style[across ? "left" : "top"] = `${100 * end}%`;
    get("unheard-before").hidden = begin < 0.005;
    get("unheard-after").hidden = end > 0.995;
    if (state.sound.bank !== null) need(bankOf(state.sound.bank));
    [drawOverlay, drawWave, drawSpectrogram, drawZoom, describe].forEach((redraw) => redraw());
  }

  // --- the loop's region -------------------------------------------------------------------------------------------

  function drawRegions() {
    const { loop } = state;
    regions.forEach((region) => (region.hidden = !loop));
    if (!loop) return;
    const { seconds } = stretch();
    regions.forEach((region, index) => {
      const [from, to] = [loop.from, loop.to].map(index ? inStrip : (at) => inPicture(alongOf(at)));
      const [before, after] = index || across ? ["left", "right"] : ["top", "bottom"];
      region.style[before] = `${100 * clamp(from, -0.1, 1.1)}%`;
      region.style[after] = `${100 * (1 - clamp(to, -0.1, 1.1))}%`;
    });
    for (const name of ["from", "to"]) {
      const grip = get(`loop-${name}`);
      grip.setAttribute("aria-valuemax", seconds.toFixed(1));
      grip.setAttribute("aria-valuenow", (loop[name] * seconds).toFixed(1));
      grip.setAttribute("aria-valuetext", spoken(loop[name] * seconds));
    }
    describe();
  }

  // --- rulers ------------------------------------------------------------------------------------------------------

  const pixelsAlong = (view) => (across ? view.clientWidth : view.clientHeight);
  const pixelsAcross = (view) => (across ? view.clientHeight : view.clientWidth);

  function ruler(element, ticks) {
    const side = element.classList.contains("across") ? "left" : "top";
    element.replaceChildren(
      ...ticks.map(({ at, text }) => {
        const tick = document.createElement("span");
        tick.className = at < 0.03 ? "first" : at > 0.97 ? "last" : "";
        tick.style[side] = `${100 * at}%`;
        tick.textContent = text;
        return tick;
      }),
    );
  }

  /** Frequencies across a view: `placesOf` gives their shares of it, from its top or its left. */
  function frequencyRuler(element, axis, view, placesOf) {
    const pixels = pixelsAcross(view);
    ruler(element, axis && pixels > 40 ? hertzTicks(axis, placesOf, pixels, across ? 15 : 34) : []);
  }

  function drawRulers() {
    const { pitch } = state.sound;
    const spectra = spectrum();
    const from = pictureFrom().other;
    const cross = across ? height : width;
    frequencyRuler(get("pitch-ruler"), pitch, picture, (frequency) =>
      pixelsOf(pitch, frequency).map((pixel) => (pixel / cross - from) * zoom.times));
    frequencyRuler(get("hertz-ruler"), spectra, spectrogram, (frequency) => {
      const share = shareOf(spectra, frequency);
      return [across ? 1 - share : share];
    });
    const most = (pixelsAlong(wave) * zoom.times) / (across ? 76 : 44);
    const inView = ({ at }) => at >= -1e-6 && at <= 1 + 1e-6;
    const times = timeTicks(stretch().seconds, most).map((tick) => ({ ...tick, at: inStrip(tick.at) }));
    ruler(get("time-ruler"), times.filter(inView));
  }

  netsounds.views = {
    views, picture, wave, seen, zoom, inPictureAcross, spot, hover, zoomTo, panTo, inStrip, ofStrip, showTile, filterName,
    moved, describe, drawSound, drawOverlay, drawRegions, drawRulers,
  };
})(window.netsounds);
