/*
 * The player of a run's page: one sound at a time, its place in the picture, and its waveform and spectrogram.
 *
 * It works from the file system: no request of its own, no module, no pixel read back. Sound is streamed by <audio>
 * and never decoded here; waveforms are drawn from peaks that came with the page, or with a bank's script.
 *
 * Words: a sound's `stretch` is what the views show of it, all of a sum, or one filter's part of a `concat`. A `place`
 * is where in the stretch, 0 to 1. A `part` is the index of a filter among those that sound.
 */
(function () {
  "use strict";

  const data = JSON.parse(document.getElementById("netsounds-data").textContent);
  const across = data.time_axis === "x";
  const alongPixels = across ? data.picture.full_width : data.picture.full_height;
  const otherPixels = across ? data.picture.full_height : data.picture.full_width;
  const get = (id) => document.getElementById(id);
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const audio = get("audio");
  const picture = get("picture");
  const sheet = get("sheet");
  const views = [picture, get("wave"), get("spectrogram")];
  const playheads = views.map((view) => view.querySelector(".playhead"));
  const pointers = views.map((view) => view.querySelector(".pointer"));
  const finer = window.matchMedia("(prefers-reduced-motion: reduce)");

  /** What came with each bank's script, by number; null while it is on its way. */
  const payloads = new Map();
  /** `filter` is the one laid over the picture, or null; `hover` is where the pointer is, or null. */
  const state = { sound: data.sounds[0], part: 0, filter: null, kind: "mean", repeat: false, hover: null, ticking: 0 };

  // --- numbers as text ---------------------------------------------------------------------------------------------

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  /** 68.93 -> "1:08.9", 3723 -> "1:02:03.0". */
  function clock(seconds, digits = 1) {
    const unit = 10 ** digits;
    const ticks = Math.round(seconds * unit);
    const rest = ((ticks / unit) % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
    const minutes = Math.floor(ticks / unit / 60);
    const hours = Math.floor(minutes / 60);
    return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
  }

  const duration = (seconds) => (seconds < 60 ? `${Number(seconds.toFixed(seconds < 10 ? 2 : 1))} s` : clock(seconds));
  const spoken = (seconds) => (seconds < 60 ? `${Number(seconds.toFixed(1))} s` : clock(seconds));

  function size(bytes) {
    const units = ["B", "KiB", "MiB", "GiB"];
    let unit = 0;
    for (; bytes >= 1024 && unit < 3; unit += 1) bytes /= 1024;
    return `${bytes.toFixed(unit === 3 ? 2 : 0)} ${units[unit]}`;
  }

  const hertz = (value) => (value >= 1000 ? `${Number((value / 1000).toFixed(value < 10000 ? 1 : 0))} kHz` : `${Math.round(value)} Hz`);

  function filterName(bank, filter) {
    const level = bank.levels_db[filter];
    return `filter ${filter}, ${level === null ? "never fires" : `${level.toFixed(1).replace("-", "−").replace(/\.0$/, "")} dB`}`;
  }

  // --- the sound and its stretch -----------------------------------------------------------------------------------

  const bankOf = (number) => data.banks.find((bank) => bank.number === number);
  const soundOf = (bank, scheme) => data.sounds.find((sound) => sound.bank === bank && sound.scheme === scheme);
  /** A bank's sounds of single filters, or none. */
  const byFilter = (number) => data.sounds.find((sound) => sound.bank === number && sound.parts);

  /** Where the stretch begins in the played file, and how long its axis is, in seconds. */
  function stretch() {
    const { parts, duration_s: whole } = state.sound;
    if (!parts) return { start: 0, seconds: whole };
    return { start: parts.plays ? 0 : state.part * parts.seconds, seconds: parts.seconds };
  }

  /** The last part of a preview may end before its axis does. */
  function sounding() {
    const { parts, duration_s: whole } = state.sound;
    return parts ? Math.min(parts.seconds, whole - state.part * parts.seconds) : whole;
  }

  function href() {
    const { parts, play } = state.sound;
    return parts && parts.plays ? parts.plays[state.part] : play;
  }

  /** The place in the stretch that is heard now. */
  function place() {
    const { start, seconds } = stretch();
    return clamp((audio.currentTime - start) / seconds, 0, 1);
  }

  /** A place as a share of the picture's time axis, and back. */
  const alongOf = (at) => (state.sound.start_px + at * (state.sound.end_px - state.sound.start_px)) / alongPixels;
  const placeOf = (along) =>
    clamp((along * alongPixels - state.sound.start_px) / (state.sound.end_px - state.sound.start_px), 0, 1);

  function seek(at) {
    const { start, seconds } = stretch();
    const end = sounding();
    // The end of a stretch inside a file is the beginning of the next one: stay just before it.
    const inside = state.sound.parts && !state.sound.parts.plays ? end - 0.02 : end;
    audio.currentTime = start + clamp(at * seconds, 0, Math.max(inside, 0));
    draw();
  }

  /** Points <audio> at the sound and the part chosen, at a place in it. */
  function load(at, playing) {
    if (audio.getAttribute("src") !== href()) audio.src = href();
    audio.loop = state.repeat && !(state.sound.parts && !state.sound.parts.plays);
    seek(at);
    if (playing) play();
  }

  function play() {
    if (audio.ended) seek(0);
    audio.play().catch((error) => {
      if (error.name !== "AbortError") failed();
    });
  }

  const toggle = () => (audio.paused ? play() : audio.pause());

  function failed() {
    get("sound-note").textContent = `This browser does not play ${decodeURIComponent(href())}; it is linked under Files.`;
  }

  /** Chooses a sound and, of a sound by filters, which; keeps the place in the picture and whether it plays. */
  function choose(sound, part = 0, from = null) {
    const playing = !audio.paused;
    const along = alongOf(place());
    const other = sound !== state.sound;
    state.sound = sound;
    state.part = part;
    state.filter = sound.parts ? sound.parts.filters[part] : null;
    if (sound.bank !== null) need(bankOf(sound.bank));
    if (other) drawChoice();
    load(from === null ? placeOf(along) : from, playing || from !== null);
    drawSound();
  }

  /** Chooses a filter from the contact sheet: it sounds from its beginning where it has a sound, and is shown. */
  function chooseFilter(number, filter) {
    const sound = state.sound.parts ? state.sound : byFilter(number);
    const part = sound ? sound.parts.filters.indexOf(filter) : -1;
    if (part >= 0) return choose(sound, part, 0);
    state.filter = filter;
    return drawSound();
  }

  const step = (by) => choose(state.sound, clamp(state.part + by, 0, state.sound.parts.filters.length - 1), 0);

  /** The selection follows what is heard: over the end of a filter's stretch comes the next, or the same again. */
  function follow() {
    const { parts } = state.sound;
    if (parts && !parts.plays) {
      // A millisecond of grace: files hold times in microseconds, and a seek may land one short.
      const part = clamp(Math.floor((audio.currentTime + 0.001) / parts.seconds), 0, parts.filters.length - 1);
      if (part !== state.part && state.repeat && !audio.paused) seek(0);
      else if (part !== state.part) enter(part);
    }
    draw();
  }

  function enter(part) {
    state.part = part;
    state.filter = state.sound.parts.filters[part];
    drawSound();
  }

  function ended() {
    const { parts } = state.sound;
    if (state.repeat) {
      seek(0);
      play();
    } else if (parts && parts.plays && state.part + 1 < parts.filters.length) {
      enter(state.part + 1);
      load(0, true);
    }
    draw();
  }

  function tick() {
    follow();
    state.ticking = audio.paused ? 0 : requestAnimationFrame(tick);
  }

  // --- drawing -----------------------------------------------------------------------------------------------------

  /** Moves the lines; nothing else changes from frame to frame, so nothing else is drawn. */
  function moveLines(lines, at) {
    lines.forEach((line, index) => {
      const share = `${100 * (index ? at : alongOf(at))}%`;
      line.style.transform = index || across ? `translateX(${share})` : `translateY(${share})`;
    });
  }

  function draw() {
    const at = place();
    const { start } = stretch();
    const text = clock(Math.max(audio.currentTime - start, 0));
    moveLines(playheads, at);
    get("wave").lastElementChild.previousElementSibling.previousElementSibling.style.clipPath = `inset(0 ${100 * (1 - at)}% 0 0)`;
    if (get("clock").textContent !== text) {
      get("clock").textContent = text;
      describe();
    }
  }

  /** The slider's words and the line under the picture: where the pointer is, or else the playhead. */
  function describe() {
    const at = place();
    const { seconds } = stretch();
    const pixel = Math.min(Math.floor(alongOf(at) * alongPixels), alongPixels - 1);
    const words = `${spoken(at * seconds)} of ${spoken(seconds)}, ${across ? "column" : "row"} ${pixel}`;
    picture.setAttribute("aria-valuenow", (at * seconds).toFixed(1));
    picture.setAttribute("aria-valuetext", words);
    get("readout").textContent = state.hover ? hoverText() : [words, filterText()].filter(Boolean).join(" · ");
    get("readout").classList.toggle("hovering", Boolean(state.hover));
  }

  function filterText() {
    const number = shownBank();
    return number !== null && state.filter !== null ? filterName(bankOf(number), state.filter) : "";
  }

  function hoverText() {
    const { view, at, along, other } = state.hover;
    const parts = [duration(at * stretch().seconds)];
    const pixel = Math.floor(clamp(along, 0, 1) * alongPixels);
    const counted = (name, value, most) => `${name} ${Math.min(value, most - 1)}`;
    if (view === picture) {
      const rest = Math.floor(clamp(other, 0, 1) * otherPixels);
      const [column, row] = across ? [pixel, rest] : [rest, pixel];
      parts.push(`${counted("column", column, data.picture.full_width)}, ${counted("row", row, data.picture.full_height)}`);
    } else {
      parts.push(counted(across ? "column" : "row", pixel, alongPixels));
    }
    const scale = spectrum();
    if (view === get("spectrogram") && scale) parts.push(hertz(hertzAt(scale, 1 - other)));
    return parts.concat(filterText() || []).join(" · ");
  }

  /** Shows one tile of a sprite as an element's background, over all of it. */
  function showTile(element, sprite, index) {
    const share = (which, count) => (count > 1 ? (100 * which) / (count - 1) : 0);
    const column = index % sprite.columns;
    const row = Math.floor(index / sprite.columns);
    element.style.backgroundImage = `url(${JSON.stringify(sprite.src)})`;
    element.style.backgroundSize = `${100 * sprite.columns}% ${100 * sprite.rows}%`;
    element.style.backgroundPosition = `${share(column, sprite.columns)}% ${share(row, sprite.rows)}%`;
  }

  function drawOverlay() {
    const bank = bankOf(shownBank());
    const overlay = get("overlay");
    const shown = Boolean(bank) && state.filter !== null;
    overlay.hidden = !shown;
    overlay.style.opacity = get("opacity").value;
    if (shown) showTile(overlay, bank[state.kind], state.filter);
    get("kinds").disabled = get("opacity").disabled = get("plain").disabled = !shown;
  }

  /** int8 [column, 2] of the stretch's waveform, or null while it is on its way. */
  function peaks() {
    const { sound, part } = state;
    const payload = payloads.get(sound.bank);
    if (sound.peaks) return bytes(sound.peaks.data);
    if (!sound.parts || !payload || !payload.peaks) return null;
    payload.bytes = payload.bytes || bytes(payload.peaks);
    return payload.bytes.subarray(2 * payload.columns * part, 2 * payload.columns * (part + 1));
  }

  const bytes = (text) => Int8Array.from(atob(text), (letter) => (letter.charCodeAt(0) << 24) >> 24);

  function drawWave() {
    const values = peaks() || new Int8Array(4);
    const most = Math.max(values.reduce((top, value) => Math.max(top, Math.abs(value)), 0), 1);
    const gain = 2 ** clamp(Math.floor(Math.log2(127 / most)), 0, 6); // quiet sounds are drawn larger, and it is said
    const upper = [];
    const lower = [];
    for (let column = 0; column < values.length / 2; column += 1) {
      lower.unshift(`${column + 1} ${-gain * values[2 * column]}H${column}`);
      upper.push(`${column} ${-gain * values[2 * column + 1]}H${column + 1}`);
    }
    for (const svg of all("svg", get("wave"))) {
      svg.setAttribute("viewBox", `0 -127 ${values.length / 2} 254`);
      svg.firstElementChild.setAttribute("d", `M${upper.join("L")}L${lower.join("L")}Z`);
    }
    ruler(get("wave-ruler"), [{ at: 0.5, text: gain > 1 ? `× ${gain}` : "× 1" }]);
  }

  /** The scale of the spectrogram that is shown, or null. */
  function spectrum() {
    const payload = payloads.get(state.sound.bank);
    return state.sound.spectrogram || (state.sound.parts && payload && payload.spectra) || null;
  }

  function drawSpectrogram() {
    const element = get("spectrogram").firstElementChild;
    const found = spectrum();
    element.setAttribute("aria-label", ["Spectrogram", state.sound.label, filterText()].filter(Boolean).join(", "));
    if (!found) element.style.backgroundImage = "none";
    else if (state.sound.spectrogram) showTile(element, { ...found, columns: 1, rows: 1 }, 0);
    else showTile(element, found, state.part);
    ruler(get("hertz-ruler"), found ? hertzTicks(found) : []);
  }

  // --- scales and rulers -------------------------------------------------------------------------------------------

  const onScale = {
    linear: [(f) => f, (s) => s],
    log: [Math.log, Math.exp],
    mel: [(f) => 2595 * Math.log10(1 + f / 700), (s) => 700 * (10 ** (s / 2595) - 1)],
  };

  /** The frequency at a height, 0 at the bottom to 1 at the top, and the height of a frequency. */
  function hertzAt({ scale, low_hz: low, high_hz: high }, height) {
    const [to, from] = onScale[scale];
    return from(to(low) + clamp(height, 0, 1) * (to(high) - to(low)));
  }

  function heightOf({ scale, low_hz: low, high_hz: high }, frequency) {
    const [to] = onScale[scale];
    return (to(frequency) - to(low)) / (to(high) - to(low));
  }

  /** The smallest of 1, 2, 5 times a power of ten that gives at most `most` steps over `span`. */
  function niceStep(span, most) {
    const least = span / most;
    const power = 10 ** Math.floor(Math.log10(least));
    return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= least * 0.999);
  }

  /** Of a time axis: as `niceStep`, but past ten seconds in steps of a clock. */
  function timeStep(span, most) {
    const steps = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
    return span / most <= 10 ? niceStep(span, most) : steps.find((each) => each >= span / most) || 86400;
  }

  function multiples(step, most) {
    return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, index) => index * step);
  }

  function hertzTicks(found) {
    const { scale, low_hz: low, high_hz: high } = found;
    const decades = [20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000];
    const wanted = scale === "linear" ? multiples(niceStep(high, 5), high) : decades;
    let last = -1;
    return wanted
      .filter((each) => each >= low && each <= high)
      .map((each) => ({ at: 1 - heightOf(found, each), text: hertz(each).replace(/ k?Hz/, (unit) => (unit === " kHz" ? "k" : "")) }))
      .filter(({ at }) => {
        const kept = last < 0 || Math.abs(at - last) > 0.13;
        if (kept) last = at;
        return kept;
      });
  }

  function timeTicks(length) {
    const { seconds } = stretch();
    const step = timeStep(seconds, Math.max(length / 76, 2));
    const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    return multiples(step, seconds).map((each) => ({
      at: each / seconds,
      text: seconds < 60 ? `${each.toFixed(digits)} s` : clock(each, digits),
    }));
  }

  function ruler(element, ticks) {
    const axis = element.classList.contains("across") ? "left" : "top";
    element.replaceChildren(
      ...ticks.map(({ at, text }) => {
        const tickElement = document.createElement("span");
        tickElement.style[axis] = `${100 * at}%`;
        tickElement.textContent = text;
        if (at < 0.02) tickElement.className = "first";
        if (at > 0.96) tickElement.className = "last";
        return tickElement;
      }),
    );
  }

  function drawRulers() {
    const height = picture.clientHeight;
    const rows = multiples(niceStep(data.picture.full_height, Math.max(height / 60, 2)), data.picture.full_height);
    const times = timeTicks(height).map((each) => ({ ...each, at: alongOf(each.at) }));
    ruler(get("picture-ruler"), across ? rows.map((row) => ({ at: row / data.picture.full_height, text: String(row) })) : times);
    ruler(get("time-ruler"), timeTicks(get("wave").clientWidth));
  }

  // --- what is chosen ----------------------------------------------------------------------------------------------

  /** The bank whose filters are shown, or null with the mix. */
  const shownBank = () => state.sound.bank;

  function drawSound() {
    const { sound } = state;
    const file = sound.parts && sound.parts.plays && !sound.file ? `${sound.parts.filters.length} files` : sound.file;
    const facts = [
      decodeURIComponent(file || ""),
      size(sound.bytes),
      `${sound.sample_rate_hz / 1000} kHz`,
      { 1: "mono", 2: "stereo" }[sound.channels] || `${sound.channels} channels`,
      sound.parts ? `filter ${state.part + 1} of ${sound.parts.filters.length}, ${duration(sounding())} of ${duration(sound.duration_s)}` : "",
    ];
    get("sound-name").textContent = sound.label;
    get("sound-facts").textContent = facts.filter(Boolean).join(" · ");
    get("sound-note").textContent = sound.note || "";
    get("whole").textContent = ` / ${clock(stretch().seconds)}`;
    get("previous").disabled = !sound.parts || state.part === 0;
    get("next").disabled = !sound.parts || state.part + 1 >= sound.parts.filters.length;
    picture.setAttribute("aria-valuemax", stretch().seconds.toFixed(1));
    const [begin, end] = [alongOf(0), alongOf(1)].map((share) => clamp(share, 0, 1));
    const [near, far] = across ? ["right", "left"] : ["bottom", "top"];
    get("unheard-before").style[near] = `${100 * (1 - (begin > 0.005 ? begin : 0))}%`;
    get("unheard-after").style[far] = `${100 * (end < 0.995 ? end : 1)}%`;
    drawOverlay();
    drawWave();
    drawSpectrogram();
    drawRulers();
    markTile();
    describe();
  }

  /** The choosers, after another sound was chosen. */
  function drawChoice() {
    const { sound } = state;
    all("#sources input").forEach((input) => (input.checked = input.value === String(sound.bank ?? "mix")));
    get("schemes").disabled = sound.bank === null;
    all("#schemes input").forEach((input) => {
      input.parentElement.hidden = sound.bank !== null && !soundOf(sound.bank, input.value);
      input.checked = input.value === sound.scheme;
    });
    get("overview").hidden = sound.bank !== null;
    sheet.hidden = sound.bank === null;
    if (sound.bank !== null) fillSheet(bankOf(sound.bank));
    else get("sheet-head").textContent = "Filters of all banks";
  }

  /** A bank's peaks and spectra come once, by a script: a page of the file system may not fetch. */
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

  // --- the contact sheet -------------------------------------------------------------------------------------------

  function fillSheet(bank) {
    if (sheet.dataset.bank === String(bank.number)) return;
    const sounds = byFilter(bank.number);
    sheet.dataset.bank = bank.number;
    sheet.style.setProperty("--tile", `${bank.sheet.tile_width} / ${bank.sheet.tile_height}`);
    get("sheet-head").textContent = `Filters of bank ${bank.number}, ${bank.layer}`;
    sheet.replaceChildren(
      ...Array.from({ length: bank.channels }, (_, filter) => {
        const heard = Boolean(sounds) && sounds.parts.filters.includes(filter);
        const tile = document.createElement("button");
        const name = filterName(bank, filter) + (heard ? "" : ", no sound of its own");
        tile.type = "button";
        tile.tabIndex = filter ? -1 : 0;
        tile.dataset.filter = filter;
        tile.title = name;
        tile.classList.toggle("silent", !heard);
        tile.setAttribute("role", "option");
        tile.setAttribute("aria-label", name);
        tile.setAttribute("aria-selected", "false");
        showTile(tile, bank.sheet, filter);
        return tile;
      }),
    );
    sheet.scrollTop = 0;
  }

  /** Selects the tile of the filter that is shown, and scrolls the sheet (never the page) to it. */
  function markTile() {
    const chosen = sheet.querySelector('[aria-selected="true"]');
    const tile = sheet.children[state.filter ?? -1];
    if (sheet.hidden || chosen === (tile || null)) return;
    if (chosen) chosen.setAttribute("aria-selected", "false");
    if (!tile) return;
    tile.setAttribute("aria-selected", "true");
    if (!sheet.contains(document.activeElement)) rove(tile);
    if (sheet.matches(":hover")) return; // someone is looking there
    const [top, bottom] = [tile.offsetTop - 6, tile.offsetTop + tile.offsetHeight + 6];
    if (top >= sheet.scrollTop && bottom <= sheet.scrollTop + sheet.clientHeight) return;
    sheet.scrollTo({ top: top - sheet.clientHeight / 3, behavior: finer.matches ? "auto" : "smooth" });
  }

  /** One tile at a time is in the tab order. */
  function rove(tile) {
    all('[tabindex="0"]', sheet).forEach((other) => (other.tabIndex = -1));
    tile.tabIndex = 0;
  }

  function sheetKey(event) {
    const tile = event.target.closest("[role=option]");
    const columns = getComputedStyle(sheet).gridTemplateColumns.split(" ").length;
    const count = sheet.children.length;
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -count, End: count }[event.key];
    if (!tile || by === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const index = Number(tile.dataset.filter) + by;
    const next = sheet.children[Math.abs(by) === count ? clamp(index, 0, count - 1) : index];
    if (!next) return;
    rove(next);
    next.focus();
  }

  // --- the pointer and the keys ------------------------------------------------------------------------------------

  /** Where an event lies in a view: along time and across it, as shares of the view, and as a place. */
  function spot(event, view) {
    const box = view.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width;
    const y = (event.clientY - box.top) / box.height;
    if (view !== picture) return { view, along: alongOf(clamp(x, 0, 1)), at: clamp(x, 0, 1), other: y };
    const [along, other] = across ? [x, y] : [y, x];
    return { view, along, other, at: placeOf(along) };
  }

  function listen(view) {
    const leave = () => {
      state.hover = null;
      pointers.forEach((line) => (line.style.visibility = "hidden"));
      describe();
    };
    view.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      view.setPointerCapture(event.pointerId);
      picture.focus({ preventScroll: true });
      seek(spot(event, view).at);
      event.preventDefault();
    });
    view.addEventListener("pointermove", (event) => {
      state.hover = spot(event, view);
      pointers.forEach((line) => (line.style.visibility = "visible"));
      moveLines(pointers, state.hover.at);
      if (view.hasPointerCapture(event.pointerId)) seek(state.hover.at);
      describe();
    });
    view.addEventListener("pointerleave", leave);
    view.addEventListener("pointercancel", leave);
  }

  function pictureKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const { seconds } = stretch();
    const by = event.shiftKey ? 0.1 : 5;
    const moves = {
      ArrowLeft: -by, ArrowDown: -by, ArrowRight: by, ArrowUp: by, PageDown: -seconds / 10, PageUp: seconds / 10,
      Home: -seconds, End: seconds,
    };
    if (event.key === " ") toggle();
    else if (event.key in moves) seek(place() + moves[event.key] / seconds);
    else return;
    event.preventDefault();
  }

  function copy() {
    const command = get("command");
    const said = (text) => (get("copy").textContent = text);
    getSelection().selectAllChildren(command);
    if (!navigator.clipboard) return said("Selected");
    return navigator.clipboard.writeText(command.textContent).then(() => said("Copied"), () => said("Selected"));
  }

  function repeat() {
    state.repeat = !state.repeat;
    get("repeat").setAttribute("aria-pressed", String(state.repeat));
    audio.loop = state.repeat && !(state.sound.parts && !state.sound.parts.plays);
  }

  function playing() {
    get("play").setAttribute("aria-label", audio.paused ? "Play" : "Pause");
    document.body.classList.toggle("is-playing", !audio.paused);
    if (!audio.paused && !state.ticking) state.ticking = requestAnimationFrame(tick);
  }

  function changed(event) {
    const { name, value } = event.target;
    if (name === "source" && value === "mix") choose(soundOf(null, "mix"));
    if (name === "source" && value !== "mix") chooseBank(Number(value));
    if (name === "scheme") choose(soundOf(state.sound.bank, value), 0);
    if (name === "kind") state.kind = value;
    if (name === "kind" || event.target.id === "opacity") drawOverlay();
  }

  /** A bank's sound of the scheme that was chosen last, or the first it has. */
  function chooseBank(number) {
    choose(soundOf(number, state.sound.scheme) || data.sounds.find((sound) => sound.bank === number));
  }

  function begin() {
    audio.controls = false;
    Object.entries({
      role: "slider", tabindex: "0", "aria-valuemin": "0", "aria-orientation": across ? "horizontal" : "vertical",
      "aria-label": `Position in the sound, along the picture ${data.picture.name}`,
    }).forEach(([name, value]) => picture.setAttribute(name, value));
    views.forEach(listen);
    picture.addEventListener("keydown", pictureKey);
    document.addEventListener("keydown", (event) => event.target === document.body && event.key === " " && pictureKey(event));
    ["play", "pause", "playing"].forEach((name) => audio.addEventListener(name, playing));
    ["timeupdate", "seeking", "seeked", "loadedmetadata"].forEach((name) => audio.addEventListener(name, follow));
    audio.addEventListener("ended", ended);
    audio.addEventListener("error", failed);
    get("play").addEventListener("click", toggle);
    get("previous").addEventListener("click", () => step(-1));
    get("next").addEventListener("click", () => step(1));
    get("repeat").addEventListener("click", repeat);
    get("volume").addEventListener("input", () => (audio.volume = get("volume").value));
    get("plain").addEventListener("click", () => {
      state.filter = null;
      drawSound();
    });
    get("copy").addEventListener("click", copy);
    document.querySelector(".panel").addEventListener("input", changed);
    get("overview").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      chooseBank(Number(button.dataset.bank));
      get("sources").querySelector(":checked").focus();
    });
    sheet.addEventListener("click", (event) => {
      const tile = event.target.closest("[role=option]");
      if (!tile) return;
      rove(tile);
      chooseFilter(shownBank(), Number(tile.dataset.filter));
    });
    sheet.addEventListener("keydown", sheetKey);
    new ResizeObserver(drawRulers).observe(picture);
    if (state.sound.parts) state.filter = state.sound.parts.filters[0];
    if (state.sound.bank !== null) need(bankOf(state.sound.bank));
    drawChoice();
    drawSound();
    draw();
  }

  begin();
})();
