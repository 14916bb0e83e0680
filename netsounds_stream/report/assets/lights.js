/*
 * Lights: the contact sheets' filters that fire now are lit, the loudest are named and marked on the picture.
 *
 * Nothing here is read back from the page, and only opacity, transforms and texts of a fixed size change: no layout.
 */
(function (netsounds) {
  "use strict";

  const { player, firing, views, mixer } = netsounds;
  const { data, audio, across, state, bankOf, place, alongOf } = player;
  const get = (id) => document.getElementById(id);
  const all = (selector, root) => Array.from(root.querySelectorAll(selector));
  const sheet = get("sheet");
  const now = get("now");
  const chips = now ? all("button", now) : [];
  const marks = all(".mark", views.picture);
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");

  const LIT_MS = 110; // lights change nine times a second
  const NAMED_MS = 100; // the names themselves change twice a second
  const VEIL = 0.72; // opacity over a filter that is quiet
  let ready = null; // whether there are levels; null until that is known
  let lit = 0; // when the lights were drawn last
  let named = 0;
  let shown = []; // the filters in the chips

  /** Lights are on once something has been played; not while it plays where less motion is wished. */
  const on = () => ready && place() > 0 && !state.sound.parts && state.sound.scheme !== "sketch" && (audio.paused || !still.matches);

  // --- the contact sheets ------------------------------------------------------------------------------------------

  /** Draws a veil over a bank's small sheet, a pixel a tile. */
  function veil(canvas, number, along) {
    const { columns, rows } = bankOf(number).sheet;
    if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
    const drawing = canvas.getContext("2d", { willReadFrequently: true }); // a few pixels: not worth a graphics card
    if (along === null) return drawing.clearRect(0, 0, columns, rows);
    const image = drawing.createImageData(columns, rows);
    const brightness = mixer.audible(number) ? firing.lights(number, along) : [];
    for (let tile = 0; tile < columns * rows; tile += 1) image.data[4 * tile + 3] = 255 * VEIL * (1 - (brightness[tile] || 0));
    return drawing.putImageData(image, 0, 0);
  }

  /** Lights the tiles of the sheet in five steps; only those whose step changes are touched. */
  function lightSheet(number, along) {
    const brightness = firing.lights(number, along);
    Array.from(sheet.children).forEach((tile, filter) => {
      const level = String(Math.round(4 * brightness[filter]) / 4);
      if (tile.dataset.lit === level) return;
      tile.dataset.lit = level;
      tile.style.setProperty("--lit", level);
    });
  }

  function drawLights() {
    lit = performance.now();
    const along = on() ? alongOf(place()) : null;
    const mix = state.sound.bank === null;
    sheet.classList.toggle("lit", !mix && along !== null);
    if (mix) all("canvas", get("overview")).forEach((canvas) => veil(canvas, Number(canvas.dataset.bank), along));
    else if (along !== null && firing.banks.has(state.sound.bank)) lightSheet(state.sound.bank, along);
  }

  // --- names and marks ---------------------------------------------------------------------------------------------

  /** Names the loudest in the chips. They stay while the pointer or the focus is on them, so that they can be pressed. */
  function drawNames() {
    named = performance.now();
    if (now.matches(":hover, :focus-within") && !audio.paused && shown.length) return drawMarks();
    shown = ready && place() > 0 ? firing.loudestNow() : [];
    now.hidden = ready === false || firing.alone(); // of one filter the line under the picture says it all
    now.classList.toggle("named", shown.length > 0);
    chips.forEach((chip, index) => {
      const one = shown[index];
      chip.style.visibility = one ? "visible" : "hidden";
      if (!one) return;
      chip.querySelector("b").textContent = `Filter ${one.filter}`;
      chip.querySelector("em").textContent = `bank ${one.bank}`;
      chip.querySelector("small").textContent = `${firing.whereWords(one)}, ${firing.pitchWords(one)}`;
      views.showTile(chip.querySelector("i"), bankOf(one.bank).sheet, one.filter);
    });
    return drawMarks();
  }

  function drawMarks() {
    marks.forEach((mark, index) => {
      const one = shown[index];
      const share = one ? 100 * views.inPictureAcross(one.other) : -100;
      mark.style.visibility = one && share >= 0 && share <= 100 ? "visible" : "hidden";
      mark.style.transform = across ? `translateY(${share}%)` : `translateX(${share}%)`;
    });
  }

  /** Emphasises the ring of the chip that the pointer or the focus is on. */
  function point(event) {
    const chip = event.target.closest("button");
    const inside = event.type === "pointerover" || event.type === "focusin";
    marks.forEach((mark, index) => mark.classList.toggle("pointed", inside && chips[index] === chip));
  }

  /** Draws everything at once: another sound, another place while it stands still. */
  function draw() {
    drawLights();
    drawNames();
  }

  /** Draws what is due at a new playing position. */
  function moved() {
    const time = performance.now();
    if (audio.paused || time - lit >= LIT_MS) drawLights();
    if (audio.paused || time - named >= NAMED_MS) drawNames();
  }

  async function begin() {
    ["pointerover", "pointerout", "focusin", "focusout"].forEach((name) => now.addEventListener(name, point));
    firing.hearing(mixer.audible);
    player.changed.place.push(moved);
    [player.changed.sound, player.changed.choice, player.changed.state, mixer.changed].forEach((list) => list.push(draw));
    try {
      ready = await firing.load();
    } catch (error) {
      ready = false;
      player.changed.failure.forEach((say) => say(`What fires cannot be shown: ${error.message}.`));
    }
    document.body.classList.toggle("has-firing", ready);
    draw();
    views.describe();
  }

  netsounds.lights = { begin, draw, drawMarks, shown: () => shown };
})(window.netsounds);
