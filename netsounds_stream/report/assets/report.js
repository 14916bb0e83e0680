/*
 * Controls: the choice of sounds, the contact sheet of filters, the transport bar, the pointer and the keys.
 */
(function (netsounds) {
  "use strict";

  const { clamp, clock, spoken, size, hertz, decibels, nameOf } = netsounds;
  const { player, views, firing, mixer, lights } = netsounds;
  const { data, audio, across, state, bankOf, soundOf, byFilter, stretch, place, seek } = player;
  const { picture, wave, seen, zoom, showTile, filterName } = views;
  const get = (id) => document.getElementById(id);
  const all = (selector, root) => Array.from(root.querySelectorAll(selector));
  const sheet = get("sheet");
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");

  // --- words about what sounds ------------------------------------------------------------------------------------

  function drawWords() {
    const { sound, part } = state;
    const filters = sound.parts ? sound.parts.filters : [];
    const { seconds, sounding } = stretch();
    const facts = [
      sound.file === null && sound.parts ? `${filters.length} files` : fileName(),
      size(sound.bytes),
      hertz(sound.sample_rate_hz),
      ["", "mono", "stereo"][sound.channels] || `${sound.channels} channels`,
      sound.parts && `filter ${part + 1} of ${filters.length}, ${spoken(sounding)} of ${spoken(sound.duration_s)}`,
    ];
    get("sound-name").textContent = sound.label;
    get("sound-facts").textContent = facts.filter(Boolean).join(" · ");
    get("whole").textContent = ` / ${clock(seconds)}`;
    get("steps").hidden = !sound.parts;
    get("previous").disabled = part === 0;
    get("next").disabled = part + 1 >= filters.length;
    say(sound.note || "");
    drawDownload();
  }

  /** Shows a note or an error about the sound. */
  function say(text) {
    get("sound-note").textContent = text;
    get("sound-note").hidden = !text;
  }

  /** The sound's file in the run, or the browser form where the run has none. */
  const file = () => (state.sound.file === null ? player.href() : state.sound.file);

  const fileName = () => nameOf(file()).split("/").at(-1);

  function drawDownload() {
    const name = fileName();
    get("download").href = file();
    get("download").download = name;
    get("download").title = `Download ${name}`;
    get("download").setAttribute("aria-label", `Download ${name}`);
  }

  // --- the choosers and the contact sheet --------------------------------------------------------------------------

  function drawChoice() {
    const { bank, scheme } = state.sound;
    const mix = bank === null;
    all("input", get("sources")).forEach((input) => (input.checked = input.value === (mix ? "mix" : String(bank))));
    const schemes = all("input", get("schemes"));
    schemes.forEach((input) => {
      input.parentElement.hidden = mix || !soundOf(bank, input.value);
      input.checked = input.value === scheme;
    });
    get("schemes").hidden = schemes.filter((input) => !input.parentElement.hidden).length < 2;
    get("choice-words").textContent = state.sound.about;
    get("sheet-head").textContent = mix ? "Filters of all banks" : `Filters of bank ${bank}`;
    [get("overview"), get("overview-words")].forEach((element) => (element.hidden = !mix));
    [sheet, get("sheet-words")].forEach((element) => (element.hidden = mix));
    if (!mix && sheet.dataset.bank !== String(bank)) fillSheet(bankOf(bank));
  }

  function fillSheet(bank) {
    const sound = byFilter(bank.number);
    const heard = new Set(sound ? sound.parts.filters : []);
    const tile = (_, filter) => tileOf(bank, filter, heard.size > 0 && !heard.has(filter));
    sheet.dataset.bank = bank.number;
    sheet.style.setProperty("--tile", `${bank.sheet.tile_width} / ${bank.sheet.tile_height}`);
    sheet.replaceChildren(...Array.from({ length: bank.channels }, tile));
    sheet.scrollTop = 0;
  }

  function tileOf(bank, filter, silent) {
    const tile = document.createElement("button");
    const name = filterName(bank, filter) + (silent ? ", no sound of its own" : "");
    const attributes = { type: "button", role: "option", title: name, "aria-label": name, "aria-selected": "false" };
    Object.entries(attributes).forEach((attribute) => tile.setAttribute(...attribute));
    tile.dataset.filter = filter;
    tile.tabIndex = filter ? -1 : 0;
    tile.className = silent ? "silent" : "";
    showTile(tile, bank.sheet, filter);
    return tile;
  }

  /** Selects the tile of the filter that is shown, and scrolls the sheet (never the page) to it. */
  function markTile() {
    const chosen = sheet.querySelector('[aria-selected="true"]');
    const tile = state.filter === null ? null : sheet.children[state.filter];
    get("lay").hidden = !tile;
    if (chosen && chosen !== tile) chosen.setAttribute("aria-selected", "false");
    if (!tile) return;
    const level = bankOf(state.sound.bank).levels_db[state.filter];
    get("shown").textContent = `Filter ${state.filter} (${decibels(level)})`;
    get("plain").textContent = state.sound.scheme === "sketch" ? "Back" : "Plain picture";
    if (chosen === tile) return;
    tile.setAttribute("aria-selected", "true");
    if (!sheet.contains(document.activeElement)) rove(tile);
    const [top, bottom] = [tile.offsetTop, tile.offsetTop + tile.offsetHeight];
    const inView = top >= sheet.scrollTop && bottom <= sheet.scrollTop + sheet.clientHeight;
    if (inView || sheet.matches(":hover")) return; // do not scroll under a pointer
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

  // --- one filter, heard --------------------------------------------------------------------------------------------

  let before = null; // the sound before a sketch

  /** Plays a filter alone: its own sound if the run has it, else a sketch of it; where neither is to be had, shows it. */
  function hear(number, filter) {
    const own = byFilter(number);
    const sketched = !(own && own.parts.filters.includes(filter)) && firing.canSketch(number);
    if (state.sound.bank !== number && !sketched) player.chooseBank(number);
    if (!sketched) return player.chooseFilter(filter);
    if (state.sound.scheme !== "sketch") before = state.sound;
    player.choose(firing.sketch(number, filter));
    player.showFilter(filter);
    return player.play();
  }

  /** Takes a filter off the picture, and goes back from its sketch to what was heard before. */
  function plain() {
    if (state.sound.scheme === "sketch") player.choose(before);
    player.showFilter(null);
  }

  // --- the mixer ----------------------------------------------------------------------------------------------------

  function drawMixer(trouble = "") {
    all(".faders", get("overview")).forEach((faders) => (faders.hidden = !mixer.possible));
    for (const [name, set] of [["mute", mixer.muted], ["solo", mixer.soloed]]) {
      all(`[data-${name}]`, get("overview")).forEach((button) =>
        button.setAttribute("aria-pressed", String(set.has(Number(button.dataset[name])))));
    }
    const heard = data.banks.map(({ number }) => number).filter(mixer.audible);
    const words = heard.length ? `Of the mix: bank${heard.length > 1 ? "s" : ""} ${heard.join(", ")}` : "All banks are muted";
    const pitch = audio.playbackRate === 1 ? "" : "; their pitch follows the speed";
    if (state.sound.bank === null) get("sound-name").textContent = mixer.mixing() ? words + pitch : state.sound.label;
    if (trouble) say(trouble);
  }

  // --- the pointer -------------------------------------------------------------------------------------------------

  function listen(view) {
    const at = (event) => views.spot(event, view);
    let from = null; // the place where a part is being selected from
    view.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.target.closest(".grip")) return;
      event.preventDefault();
      view.setPointerCapture(event.pointerId);
      picture.focus({ preventScroll: true });
      from = event.shiftKey ? at(event).at : null;
      if (from === null) seek(at(event).at);
      views.hover(at(event));
    });
    view.addEventListener("pointermove", (event) => {
      if (view.hasPointerCapture(event.pointerId)) from === null ? seek(at(event).at) : select(from, at(event).at);
      views.hover(at(event));
    });
    view.addEventListener("pointerup", () => {
      if (from !== null && state.loop) seek(state.loop.from);
      from = null;
    });
    // After a touch the readout stays, so that it can be read.
    view.addEventListener("pointerleave", (event) => event.pointerType === "touch" || views.hover(null));
    view.addEventListener("pointercancel", () => views.hover(null));
    view.addEventListener("dblclick", (event) => {
      const point = at(event);
      views.zoomTo(zoom.times * 2, point.at, view === picture ? point.other : zoom.middle);
    });
    view.addEventListener("wheel", (event) => pan(event, view), { passive: false });
  }

  /** Loops the part between two places, in either order. */
  function select(one, other) {
    const least = leastLoop();
    const begin = clamp(Math.min(one, other), 0, 1 - least);
    player.setLoop({ from: begin, to: Math.max(one, other, begin + least) });
  }

  /** The shortest loop, as a share: a tenth of a second. */
  const leastLoop = () => Math.min(0.1 / stretch().seconds, 0.2);

  /** A wheel pans a zoomed view; otherwise it scrolls the page as usual. */
  function pan(event, view) {
    if (zoom.times === 1 || event.ctrlKey) return;
    const [x, y] = event.shiftKey && !event.deltaX ? [event.deltaY, 0] : [event.deltaX, event.deltaY];
    const box = view.getBoundingClientRect();
    const [along, other] = across ? [x / box.width, y / box.height] : [y / box.height, x / box.width];
    const time = along || (view === picture ? 0 : other); // most wheels have one direction: in a strip it pans time
    const before = [zoom.from, zoom.middle];
    views.panTo(zoom.from + time / zoom.times, zoom.middle + (view === picture ? other : 0) / zoom.times);
    if (before[0] !== zoom.from || before[1] !== zoom.middle) event.preventDefault();
    views.hover(views.spot(event, view));
  }

  /** Makes a handle of the loop follow the pointer and the keys. */
  function listenGrip(grip) {
    const [name, other] = grip.id === "loop-from" ? ["from", "to"] : ["to", "from"];
    const move = (at) => {
      const least = leastLoop();
      const kept = name === "from" ? clamp(at, 0, state.loop[other] - least) : clamp(at, state.loop[other] + least, 1);
      player.setLoop({ ...state.loop, [name]: kept });
    };
    grip.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      grip.setPointerCapture(event.pointerId);
      grip.focus({ preventScroll: true });
    });
    grip.addEventListener("pointermove", (event) => {
      if (grip.hasPointerCapture(event.pointerId)) move(views.spot(event, wave).at);
    });
    grip.addEventListener("keydown", (event) => {
      const by = (event.shiftKey ? 1 : 0.1) / stretch().seconds;
      const moves = { ArrowLeft: -by, ArrowDown: -by, ArrowRight: by, ArrowUp: by, Home: -1, End: 1 };
      if (event.altKey || event.ctrlKey || event.metaKey || !(event.key in moves)) return;
      event.preventDefault();
      move(state.loop[name] + moves[event.key]);
    });
  }

  // --- the keys ----------------------------------------------------------------------------------------------------

  function pictureKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const { seconds } = stretch();
    const by = event.shiftKey ? 0.1 : 5;
    const down = across ? -by : by; // the Down key follows time where that runs down
    const moves = {
      ArrowLeft: -by, ArrowRight: by, ArrowDown: down, ArrowUp: -down,
      PageDown: (down / by) * (seconds / 10), PageUp: (-down / by) * (seconds / 10), Home: -seconds, End: seconds,
    };
    if (event.key === " ") player.toggle();
    else if (event.key === "+" || event.key === "-") views.zoomTo(zoom.times * (event.key === "+" ? 2 : 0.5));
    else if (event.key in moves) seek(place() + moves[event.key] / seconds);
    else return;
    event.preventDefault();
  }

  /** Handles keys pressed elsewhere, except those that scroll the page or that the focused element uses. */
  function pageKey(event) {
    const { target, key } = event;
    if (event.defaultPrevented || letterKey(event)) return;
    if (target.closest("input, select, summary, audio, pre, [role=option], [role=slider]")) return;
    if (key === " " ? target === document.body : ["ArrowLeft", "ArrowRight", "+", "-"].includes(key)) pictureKey(event);
  }

  /** Handles keys that are the same anywhere on the page, which the help lists; returns whether it was one. */
  function letterKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("select, dialog")) return false;
    const speeds = Array.from(get("speed").options, ({ value }) => Number(value));
    const faster = (by) => {
      const index = clamp(speeds.indexOf(audio.playbackRate) + by, 0, speeds.length - 1);
      get("speed").selectedIndex = index;
      player.setSpeed(speeds[index]);
    };
    const { from, to } = state.loop || { from: 0, to: 1 };
    const acts = {
      l: () => player.setLoop(state.loop ? null : { from: 0, to: 1 }),
      "[": () => select(place(), Math.max(to, place())),
      "]": () => select(Math.min(from, place()), place()),
      "<": () => faster(-1),
      ">": () => faster(1),
      "?": () => get("help").showModal(),
    };
    const key = event.key.toLowerCase();
    const source = /^[0-9]$/.test(key) && get("sources").querySelector(`[value="${key === "0" ? "mix" : key}"]`);
    if (source) source.click();
    else if (key in acts) acts[key]();
    else return false;
    event.preventDefault();
    return true;
  }

  // --- the bar -----------------------------------------------------------------------------------------------------

  function drawPlaying() {
    const word = audio.paused ? "Play" : "Pause";
    get("play").setAttribute("aria-label", word);
    get("play").querySelector(".word").textContent = word;
    document.body.classList.toggle("is-playing", !audio.paused);
  }

  function drawLoop() {
    get("loop").setAttribute("aria-pressed", String(Boolean(state.loop)));
    views.drawRegions();
    views.describe();
  }

  function copy() {
    const said = (text) => () => (get("copy").textContent = text);
    getSelection().selectAllChildren(get("command")); // the fallback where the page may not write to the clipboard
    const written = navigator.clipboard ? navigator.clipboard.writeText(get("command").textContent) : Promise.reject();
    written.then(said("Copied"), said("Selected"));
  }

  function chosen({ target: { name, value, id } }) {
    if (name === "source") value === "mix" ? player.choose(soundOf(null, "mix")) : player.chooseBank(Number(value));
    if (name === "scheme") player.chooseScheme(value);
    if (name === "kind") seen.kind = value;
    if (name === "kind" || id === "opacity") views.drawOverlay();
  }

  function begin() {
    const slider = {
      role: "slider", tabindex: "0", "aria-valuemin": "0", "aria-orientation": across ? "horizontal" : "vertical",
      "aria-label": `Position in the sound, along the picture ${data.picture.name}`,
    };
    Object.entries(slider).forEach((attribute) => picture.setAttribute(...attribute));
    views.views.forEach(listen);
    all(".grip", wave).forEach(listenGrip);
    const on = (element, name, act) => element.addEventListener(name, act);
    const closest = (selector, act) => (event) => event.target.closest(selector) && act(event.target.closest(selector));
    on(picture, "keydown", pictureKey);
    on(document, "keydown", pageKey);
    on(get("play"), "click", () => {
      views.hover(null); // drop the last touch
      player.toggle();
    });
    on(get("previous"), "click", () => player.step(-1));
    on(get("next"), "click", () => player.step(1));
    on(get("loop"), "click", () => player.setLoop(state.loop ? null : { from: 0, to: 1 }));
    on(get("speed"), "input", () => player.setSpeed(Number(get("speed").value)));
    on(get("volume"), "input", () => (audio.volume = get("volume").value));
    on(get("zoom-in"), "click", () => views.zoomTo(zoom.times * 2));
    on(get("zoom-out"), "click", () => views.zoomTo(zoom.times / 2));
    on(get("copy"), "click", copy);
    on(get("panel"), "input", chosen);
    on(get("plain"), "click", plain);
    on(get("help-open"), "click", () => get("help").showModal());
    on(get("overview"), "click", closest("[data-mute]", (button) => mixer.mute(Number(button.dataset.mute))));
    on(get("overview"), "click", closest("[data-solo]", (button) => mixer.solo(Number(button.dataset.solo))));
    on(get("overview"), "click", closest(".see", (button) => {
      player.chooseBank(Number(button.dataset.bank));
      get("sources").querySelector(":checked").focus();
    }));
    on(sheet, "keydown", sheetKey);
    on(sheet, "click", closest("[role=option]", (tile) => {
      rove(tile);
      hear(state.sound.bank, Number(tile.dataset.filter));
    }));
    if (get("now")) {
      on(get("now"), "click", closest("button", (chip) => {
        const one = lights.shown()[all("button", get("now")).indexOf(chip)];
        hear(one.bank, one.filter);
      }));
    }
    const { changed } = player;
    changed.sound.push(drawWords, views.drawSound, markTile);
    changed.choice.push(drawChoice);
    changed.place.push(views.moved);
    changed.state.push(drawPlaying);
    changed.loop.push(drawLoop);
    changed.failure.push(say);
    mixer.changed.push(drawMixer);
    on(audio, "ratechange", () => drawMixer());
    changed.sound.push(() => drawMixer());
    player.begin();
    mixer.begin();
    drawChoice();
    drawMixer();
    if (get("now")) lights.begin();
    [drawWords, views.drawSound, markTile].forEach((draw) => draw());
    if (audio.error) player.failed(); // the error may have occurred before this script ran
    new ResizeObserver(views.drawRulers).observe(picture);
  }

  begin();
})(window.netsounds);
