/*
 * The player of a run's page: one sound at a time, its place in the picture, its waveform and spectrogram.
 *
 * It works from the file system: no request of its own, no module, no pixel read back. <audio> streams the sound, which
 * is never decoded here: waveforms are drawn from peaks that came with the page, or with a bank's script.
 *
 * Words: a sound's `stretch` is what the views show of it, all of a sum, or one filter's part of a `concat`. A `place` is
 * where in the stretch, 0 to 1. A `part` is the index of a filter among those that sound.
 */
(function () {
  "use strict";

  const get = (id) => document.getElementById(id);
  const all = (selector, root) => Array.from(root.querySelectorAll(selector));
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  const data = JSON.parse(get("netsounds-data").textContent);
  const across = data.time_axis === "x";
  const { full_width: width, full_height: height } = data.picture;
  const length = across ? width : height; // of the time axis, in pixels of the full picture
  const [audio, picture, wave, spectrogram, sheet] = ["audio", "picture", "wave", "spectrogram", "sheet"].map(get);
  const views = [picture, wave, spectrogram];
  const playheads = views.map((view) => view.querySelector(".playhead"));
  const pointers = views.map((view) => view.querySelector(".pointer"));
  const played = wave.querySelector(".played");
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");

  /** What came with each bank's script, by number; null while it is on its way. */
  const payloads = new Map();
  /** `filter` is the one laid over the picture, or null; `hover` where the pointer is, or null; `frame` asked for, or 0. */
  const state = { sound: data.sounds[0], part: 0, filter: null, kind: "mean", repeat: false, hover: null, frame: 0 };

  // --- numbers as text ---------------------------------------------------------------------------------------------

  /** 7 -> "0:07.0", 3723 -> "1:02:03.0". */
  function clock(seconds, digits = 1) {
    const whole = Number(seconds.toFixed(digits));
    const minutes = Math.floor(whole / 60);
    const two = (value, places) => value.toFixed(places).padStart(places ? 3 + places : 2, "0");
    const hours = minutes >= 60 ? `${Math.floor(minutes / 60)}:${two(minutes % 60, 0)}` : minutes;
    return `${hours}:${two(whole % 60, digits)}`;
  }

  const spoken = (seconds, digits = 1) => (seconds < 60 ? `${Number(seconds.toFixed(digits))} s` : clock(seconds));

  function size(count) {
    const power = clamp(Math.floor(Math.log2(Math.max(count, 1)) / 10), 0, 3);
    return `${(count / 1024 ** power).toFixed(power === 3 ? 2 : 0)} ${["B", "KiB", "MiB", "GiB"][power]}`;
  }

  const hertz = (value) => (value < 1000 ? `${Math.round(value)} Hz` : `${Number((value / 1000).toPrecision(3))} kHz`);

  function filterName(bank, filter) {
    const level = bank.levels_db[filter];
    return `filter ${filter}, ${level === null ? "never fires" : `${Number(level.toFixed(1))} dB`.replace("-", "−")}`;
  }

  // --- the sound and its stretch -----------------------------------------------------------------------------------

  const bankOf = (number) => data.banks.find((bank) => bank.number === number);
  const soundOf = (bank, scheme) => data.sounds.find((sound) => sound.bank === bank && sound.scheme === scheme);
  /** A bank's sound of single filters, if it has one. */
  const byFilter = (number) => data.sounds.find((sound) => sound.bank === number && sound.parts);
  const shownFilter = () => (state.filter === null ? "" : filterName(bankOf(state.sound.bank), state.filter));
  /** Whether the stretches are parts of one file. */
  const inOneFile = () => Boolean(state.sound.parts && !state.sound.parts.plays);
  const href = () => (state.sound.play === null ? state.sound.parts.plays[state.part] : state.sound.play);

  /** Where the stretch begins in the file, how long its axis is, and how long it sounds (a preview's last one: less). */
  function stretch() {
    const { parts, duration_s: whole } = state.sound;
    if (!parts) return { start: 0, seconds: whole, sounding: whole };
    const before = state.part * parts.seconds;
    return { start: inOneFile() ? before : 0, seconds: parts.seconds, sounding: Math.min(parts.seconds, whole - before) };
  }

  /** The place that is heard now. */
  function place() {
    const { start, seconds } = stretch();
    return clamp((audio.currentTime - start) / seconds, 0, 1);
  }

  /** A place as a share of the picture's time axis, and back. */
  const alongOf = (at) => (state.sound.start_px + at * (state.sound.end_px - state.sound.start_px)) / length;
  const placeOf = (along) =>
    clamp((along * length - state.sound.start_px) / (state.sound.end_px - state.sound.start_px), 0, 1);

  function seek(at) {
    const { start, seconds, sounding } = stretch();
    // The end of a stretch within a file is the beginning of the next one: stay before it.
    const last = inOneFile() ? Math.max(sounding - 0.02, 0) : sounding;
    audio.currentTime = start + clamp(at * seconds, 0, last);
    draw();
  }

  function play() {
    if (audio.ended) seek(0);
    audio.play().catch((error) => error.name === "AbortError" || failed());
  }

  const toggle = () => (audio.paused ? play() : audio.pause());

  function failed() {
    get("sound-note").textContent = `This browser does not play ${decodeURIComponent(href())}. It is linked under Files.`;
  }

  /** Points <audio> at the part chosen. */
  function load(at, playing) {
    if (audio.getAttribute("src") !== href()) audio.src = href();
    audio.loop = state.repeat && !inOneFile();
    seek(at);
    if (playing) play();
  }

  /** Chooses a sound, and a filter in it; the place in the picture is kept, and whether it plays. */
  function choose(sound, part = 0) {
    const playing = !audio.paused;
    const along = alongOf(place());
    state.sound = sound;
    enter(Math.max(part, 0), false);
    drawChoice();
    load(placeOf(along), playing);
    drawSound();
  }

  function chooseScheme(scheme) {
    const sound = soundOf(state.sound.bank, scheme);
    choose(sound, sound.parts ? sound.parts.filters.indexOf(state.filter) : 0);
  }

  /** A bank's sound of the scheme that was chosen last, or the first it has. */
  function chooseBank(number) {
    choose(soundOf(number, state.sound.scheme) || data.sounds.find((sound) => sound.bank === number));
  }

  /** A filter chosen from the contact sheet is shown, and sounds from its beginning where it has a sound. */
  function chooseFilter(filter) {
    const sound = state.sound.parts ? state.sound : byFilter(state.sound.bank);
    const part = sound ? sound.parts.filters.indexOf(filter) : -1;
    if (part < 0) {
      state.filter = filter;
      return drawSound();
    }
    if (sound !== state.sound) choose(sound, part);
    enter(part);
    return load(0, true);
  }

  /** Takes another filter of the sound. */
  function enter(part, drawn = true) {
    state.part = part;
    state.filter = state.sound.parts ? state.sound.parts.filters[part] : null;
    if (drawn) drawSound();
  }

  function step(by) {
    const playing = !audio.paused;
    enter(clamp(state.part + by, 0, state.sound.parts.filters.length - 1));
    load(0, playing);
  }

  /** The selection follows what is heard: over the end of a filter's stretch comes the next, or the same again. */
  function follow() {
    if (inOneFile()) {
      const { filters, seconds } = state.sound.parts;
      // A millisecond of grace: media time counts microseconds, so a seek may land one short of its stretch.
      const part = clamp(Math.floor((audio.currentTime + 0.001) / seconds), 0, filters.length - 1);
      if (part !== state.part && state.repeat && !audio.paused) seek(0);
      else if (part !== state.part) enter(part);
    }
    draw();
  }

  function ended() {
    const more = state.sound.parts && !inOneFile() && state.part + 1 < state.sound.parts.filters.length;
    if (!state.repeat && more) enter(state.part + 1);
    if (state.repeat || more) load(0, true);
    draw();
  }

  function tick() {
    follow();
    state.frame = audio.paused ? 0 : requestAnimationFrame(tick);
  }

  // --- lines and words ---------------------------------------------------------------------------------------------

  /** Moves a line in each view. Its box is the view's, so a share of itself is a share of the view. */
  function moveLines(lines, at) {
    lines.forEach((line, index) => {
      const share = 100 * (index ? at : alongOf(at));
      line.style.transform = index || across ? `translateX(${share}%)` : `translateY(${share}%)`;
    });
  }

  /** What changes from frame to frame: the lines; ten times a second, the words. */
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

  /** The slider's words and the line under the picture: where the pointer is, or else the playhead. */
  function describe() {
    const at = place();
    const { seconds } = stretch();
    const words = `${spoken(at * seconds)} of ${spoken(seconds)}, ${pixelText(across ? "column" : "row", alongOf(at), length)}`;
    picture.setAttribute("aria-valuenow", (at * seconds).toFixed(1));
    picture.setAttribute("aria-valuetext", words);
    get("readout").textContent = (state.hover ? hoverWords() : [words, shownFilter()]).filter(Boolean).join(" · ");
    get("readout").classList.toggle("hovering", Boolean(state.hover));
  }

  function hoverWords() {
    const { view, at, along, other } = state.hover;
    const found = spectrum();
    const [x, y] = across ? [along, other] : [other, along];
    const where = [pixelText("column", x, width), pixelText("row", y, height)];
    return [
      spoken(at * stretch().seconds, 2),
      view === picture ? where.join(", ") : where[across ? 0 : 1],
      view === spectrogram && found ? hertz(hertzAt(found, 1 - other)) : "",
      shownFilter(),
    ];
  }

  // --- the views ---------------------------------------------------------------------------------------------------

  /** Shows a tile of a sprite as an element's background, over all of it; a cell may hold more than its tile. */
  function showTile(element, { src, columns = 1, rows = 1, ...of }, index = 0) {
    const [wide, high] = of.cell_width ? [of.cell_width / of.tile_width, of.cell_height / of.tile_height] : [1, 1];
    const share = (at, whole) => (whole > 1 ? (100 * at) / (whole - 1) : 0); // of what the sprite is larger than its tile
    element.style.backgroundImage = `url(${JSON.stringify(src)})`;
    element.style.backgroundSize = `${100 * columns * wide}% ${100 * rows * high}%`;
    element.style.backgroundPosition =
      `${share((index % columns) * wide, columns * wide)}% ${share(Math.floor(index / columns) * high, rows * high)}%`;
  }

  function drawOverlay() {
    const hidden = state.filter === null;
    get("overlay").hidden = get("kinds").disabled = get("opacity").disabled = get("plain").disabled = hidden;
    get("overlay").style.opacity = get("opacity").value;
    if (!hidden) showTile(get("overlay"), bankOf(state.sound.bank)[state.kind], state.filter);
  }

  const signed = (text) => Int8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  /** The stretch's waveform, int8 [column, 2]; silence while it is on its way. */
  function peaks() {
    const { sound, part } = state;
    const payload = payloads.get(sound.bank);
    if (sound.peaks) return signed(sound.peaks.data);
    if (!sound.parts || !payload || !payload.peaks) return new Int8Array(2);
    payload.values = payload.values || signed(payload.peaks);
    return payload.values.subarray(2 * payload.columns * part, 2 * payload.columns * (part + 1));
  }

  /** The waveform as one outline; a quiet one is drawn larger, by a factor that stands beside it. */
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
    ruler(get("wave-ruler"), [{ at: 0.5, text: `× ${gain}` }]);
  }

  /** The spectrogram of the stretch and its scale, or null. */
  function spectrum() {
    const payload = payloads.get(state.sound.bank);
    return state.sound.spectrogram || (state.sound.parts && payload && payload.spectra) || null;
  }

  function drawSpectrogram() {
    const drawn = spectrogram.querySelector(".drawn");
    const found = spectrum();
    drawn.setAttribute("aria-label", ["Spectrogram", state.sound.label, shownFilter()].filter(Boolean).join(", "));
    if (found) showTile(drawn, found, state.sound.parts ? state.part : 0);
    else drawn.style.backgroundImage = "none";
    ruler(get("hertz-ruler"), found ? hertzTicks(found) : []);
  }

  /** Everything that depends on the sound and the filter. */
  function drawSound() {
    const { sound, part } = state;
    const filters = sound.parts ? sound.parts.filters : [];
    const { seconds, sounding } = stretch();
    const facts = [
      sound.file === null ? `${filters.length} files` : decodeURIComponent(sound.file),
      size(sound.bytes),
      hertz(sound.sample_rate_hz),
      ["", "mono", "stereo"][sound.channels] || `${sound.channels} channels`,
      sound.parts && `filter ${part + 1} of ${filters.length}, ${spoken(sounding)} of ${spoken(sound.duration_s)}`,
    ];
    get("sound-name").textContent = sound.label;
    get("sound-facts").textContent = facts.filter(Boolean).join(" · ");
    get("sound-note").textContent = sound.note || "";
    get("whole").textContent = ` / ${clock(seconds)}`;
    get("previous").disabled = part === 0;
    get("next").disabled = part + 1 >= filters.length;
    picture.setAttribute("aria-valuemax", seconds.toFixed(1));
    // Half a percent at the edges is the network's margin, not a part left out.
    const [begin, end] = [alongOf(0), alongOf(1)];
    get("unheard-before").style[across ? "right" : "bottom"] = `${100 * (1 - begin)}%`;
    get("unheard-after").style[across ? "left" : "top"] = `${100 * end}%`;
    get("unheard-before").hidden = begin < 0.005;
    get("unheard-after").hidden = end > 0.995;
    [drawOverlay, drawWave, drawSpectrogram, drawRulers, markTile, draw, describe].forEach((each) => each());
  }

  // --- scales and rulers -------------------------------------------------------------------------------------------

  const scales = {
    linear: [(frequency) => frequency, (height) => height],
    log: [Math.log, Math.exp],
    mel: [(frequency) => 2595 * Math.log10(1 + frequency / 700), (height) => 700 * (10 ** (height / 2595) - 1)],
  };

  /** The frequency at a height of the spectrogram, 0 at its bottom to 1 at its top; and the other way. */
  function hertzAt({ scale, low_hz: low, high_hz: high }, at) {
    const [to, from] = scales[scale];
    return from(to(low) + clamp(at, 0, 1) * (to(high) - to(low)));
  }

  function heightOf({ scale, low_hz: low, high_hz: high }, frequency) {
    const [to] = scales[scale];
    return (to(frequency) - to(low)) / (to(high) - to(low));
  }

  /** The smallest of 1, 2, 5 times a power of ten that goes at most `most` times into `span`. */
  function niceStep(span, most) {
    const power = 10 ** Math.floor(Math.log10(span / most));
    return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= (span / most) * 0.999);
  }

  /** The same in time: past ten seconds, in steps of a clock. */
  function timeStep(span, most) {
    const steps = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
    return span / most <= 10 ? niceStep(span, most) : steps.find((each) => each >= span / most) || 86400;
  }

  const multiples = (step, most) => Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, index) => index * step);

  /** Ticks of frequency, from the top down, none nearer to another than a line of text. */
  function hertzTicks(found) {
    const { scale, low_hz: low, high_hz: high } = found;
    const steps = [20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000];
    const wanted = (scale === "linear" ? multiples(niceStep(high, 5), high) : steps).filter((each) => each >= low && each <= high);
    const ticks = wanted.reverse().map((each) => ({ at: 1 - heightOf(found, each), text: hertz(each).replace(/ (k?)Hz/, "$1") }));
    const near = (kept, tick) => kept.length > 0 && tick.at - kept.at(-1).at < 0.12;
    const kept = ticks.reduce((before, tick) => (near(before, tick) ? before : [...before, tick]), []);
    if (kept.length) kept.at(-1).text += " Hz";
    return kept;
  }

  function timeTicks(pixels) {
    const { seconds } = stretch();
    const step = timeStep(seconds, Math.max(pixels / 76, 2));
    const digits = clamp(-Math.floor(Math.log10(step)), 0, 3);
    const text = (each) => (seconds < 60 ? `${each.toFixed(digits)} s` : clock(each, digits));
    return multiples(step, seconds).map((each) => ({ at: each / seconds, text: text(each) }));
  }

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

  function drawRulers() {
    const pixels = picture.clientHeight;
    const rows = pixels < 40 ? [] : multiples(niceStep(height, Math.max(pixels / 60, 2)), height - 1);
    const times = timeTicks(pixels).map((tick) => ({ ...tick, at: alongOf(tick.at) }));
    ruler(get("picture-ruler"), across ? rows.map((row) => ({ at: row / height, text: String(row) })) : times);
    ruler(get("time-ruler"), timeTicks(wave.clientWidth));
  }

  // --- the choosers and the contact sheet --------------------------------------------------------------------------

  function drawChoice() {
    const { bank, scheme } = state.sound;
    const mix = bank === null;
    all("input", get("sources")).forEach((input) => (input.checked = input.value === (mix ? "mix" : String(bank))));
    all("input", get("schemes")).forEach((input) => {
      input.parentElement.hidden = !mix && !soundOf(bank, input.value);
      input.checked = input.value === scheme;
    });
    get("schemes").disabled = sheet.hidden = mix;
    get("overview").hidden = !mix;
    get("sheet-head").textContent = mix ? "Filters of all banks" : `Filters of bank ${bank}, ${bankOf(bank).layer}`;
    if (mix) return;
    need(bankOf(bank));
    if (sheet.dataset.bank !== String(bank)) fillSheet(bankOf(bank));
  }

  /** A bank's peaks and spectra come by a script, once: a page of the file system may not fetch. */
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

  function fillSheet(bank) {
    const sound = byFilter(bank.number);
    const heard = new Set(sound ? sound.parts.filters : []);
    sheet.dataset.bank = bank.number;
    sheet.style.setProperty("--tile", `${bank.sheet.tile_width} / ${bank.sheet.tile_height}`);
    sheet.replaceChildren(...Array.from({ length: bank.channels }, (_, filter) => tileOf(bank, filter, heard.has(filter))));
    sheet.scrollTop = 0;
  }

  function tileOf(bank, filter, heard) {
    const tile = document.createElement("button");
    const name = filterName(bank, filter) + (heard ? "" : ", no sound of its own");
    const attributes = { type: "button", role: "option", title: name, "aria-label": name, "aria-selected": "false" };
    Object.entries(attributes).forEach((each) => tile.setAttribute(...each));
    tile.dataset.filter = filter;
    tile.tabIndex = filter ? -1 : 0;
    tile.className = heard ? "" : "silent";
    showTile(tile, bank.sheet, filter);
    return tile;
  }

  /** Selects the tile of the filter that is shown, and scrolls the sheet (never the page) to it. */
  function markTile() {
    const chosen = sheet.querySelector('[aria-selected="true"]');
    const tile = state.filter === null ? null : sheet.children[state.filter];
    if (chosen === tile) return;
    if (chosen) chosen.setAttribute("aria-selected", "false");
    if (!tile) return;
    tile.setAttribute("aria-selected", "true");
    if (!sheet.contains(document.activeElement)) rove(tile);
    const [top, bottom] = [tile.offsetTop, tile.offsetTop + tile.offsetHeight];
    const inView = top >= sheet.scrollTop && bottom <= sheet.scrollTop + sheet.clientHeight;
    if (inView || sheet.matches(":hover")) return; // who points into the sheet is looking there
    sheet.scrollTo({ top: top - sheet.clientHeight / 3, behavior: still.matches ? "auto" : "smooth" });
  }

  /** One tile at a time is in the order of the Tab key. */
  function rove(tile) {
    all('[tabindex="0"]', sheet).forEach((other) => (other.tabIndex = -1));
    tile.tabIndex = 0;
  }

  function sheetKey(event) {
    const columns = getComputedStyle(sheet).gridTemplateColumns.split(" ").length;
    const last = sheet.children.length - 1;
    const from = Number(event.target.dataset.filter);
    const steps = { ArrowLeft: from - 1, ArrowRight: from + 1, ArrowUp: from - columns, ArrowDown: from + columns };
    const next = sheet.children[{ ...steps, Home: 0, End: last }[event.key]];
    if (event.altKey || event.ctrlKey || event.metaKey || !next) return;
    event.preventDefault();
    rove(next);
    next.focus();
  }

  // --- the pointer and the keys ------------------------------------------------------------------------------------

  /** Where an event lies in a view: along time in the picture and across it, as shares, and as a place. */
  function spot(event, view) {
    const box = view.getBoundingClientRect();
    const x = clamp((event.clientX - box.left) / box.width, 0, 1);
    const y = clamp((event.clientY - box.top) / box.height, 0, 1);
    if (view !== picture) return { view, at: x, along: alongOf(x), other: y };
    const [along, other] = across ? [x, y] : [y, x];
    return { view, at: placeOf(along), along, other };
  }

  function hover(found) {
    state.hover = found;
    pointers.forEach((line) => (line.style.visibility = found ? "visible" : "hidden"));
    if (found) moveLines(pointers, found.at);
    describe();
  }

  function listen(view) {
    view.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      view.setPointerCapture(event.pointerId);
      picture.focus({ preventScroll: true });
      seek(spot(event, view).at);
    });
    view.addEventListener("pointermove", (event) => {
      const found = spot(event, view);
      if (view.hasPointerCapture(event.pointerId)) seek(found.at);
      hover(found);
    });
    ["pointerleave", "pointercancel"].forEach((name) => view.addEventListener(name, () => hover(null)));
  }

  function pictureKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const { seconds } = stretch();
    const by = event.shiftKey ? 0.1 : 5;
    const down = across ? -by : by; // where time runs down the picture, so does the key
    const moves = {
      ArrowLeft: -by, ArrowRight: by, ArrowDown: down, ArrowUp: -down,
      PageDown: (down / by) * (seconds / 10), PageUp: (-down / by) * (seconds / 10), Home: -seconds, End: seconds,
    };
    if (event.key === " ") toggle();
    else if (event.key in moves) seek(place() + moves[event.key] / seconds);
    else return;
    event.preventDefault();
  }

  function changed({ target: { name, value, id } }) {
    if (name === "source") value === "mix" ? choose(soundOf(null, "mix")) : chooseBank(Number(value));
    if (name === "scheme") chooseScheme(value);
    if (name === "kind") state.kind = value;
    if (name === "kind" || id === "opacity") drawOverlay();
  }

  function playing() {
    get("play").setAttribute("aria-label", audio.paused ? "Play" : "Pause");
    document.body.classList.toggle("is-playing", !audio.paused);
    if (!audio.paused && !state.frame) state.frame = requestAnimationFrame(tick);
  }

  function repeat() {
    state.repeat = !state.repeat;
    audio.loop = state.repeat && !inOneFile();
    get("repeat").setAttribute("aria-pressed", String(state.repeat));
  }

  function copy() {
    const said = (text) => () => (get("copy").textContent = text);
    getSelection().selectAllChildren(get("command")); // what remains where a page may not write the clipboard
    const written = navigator.clipboard ? navigator.clipboard.writeText(get("command").textContent) : Promise.reject();
    written.then(said("Copied"), said("Selected"));
  }

  function begin() {
    audio.controls = false;
    const slider = {
      role: "slider", tabindex: "0", "aria-valuemin": "0", "aria-orientation": across ? "horizontal" : "vertical",
      "aria-label": `Place in the sound, along the picture ${data.picture.name}`,
    };
    Object.entries(slider).forEach((each) => picture.setAttribute(...each));
    views.forEach(listen);
    const on = (element, names, act) => names.split(" ").forEach((name) => element.addEventListener(name, act));
    const closest = (selector, act) => (event) => event.target.closest(selector) && act(event.target.closest(selector));
    on(picture, "keydown", pictureKey);
    on(document, "keydown", (event) => event.target === document.body && event.key === " " && pictureKey(event));
    on(audio, "play playing pause emptied", playing);
    on(audio, "timeupdate seeking seeked loadedmetadata", follow);
    on(audio, "ended", ended);
    on(audio, "error", failed);
    on(get("play"), "click", toggle);
    on(get("previous"), "click", () => step(-1));
    on(get("next"), "click", () => step(1));
    on(get("repeat"), "click", repeat);
    on(get("volume"), "input", () => (audio.volume = get("volume").value));
    on(get("copy"), "click", copy);
    on(get("panel"), "input", changed);
    on(get("plain"), "click", () => {
      state.filter = null;
      drawSound();
    });
    on(get("overview"), "click", closest("button", (button) => {
      chooseBank(Number(button.dataset.bank));
      get("sources").querySelector(":checked").focus();
    }));
    on(sheet, "keydown", sheetKey);
    on(sheet, "click", closest("[role=option]", (tile) => {
      rove(tile);
      chooseFilter(Number(tile.dataset.filter));
    }));
    enter(0, false);
    drawChoice();
    drawSound();
    new ResizeObserver(drawRulers).observe(picture);
  }

  begin();
})();
