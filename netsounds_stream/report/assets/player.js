/*
 * Playback: one sound at a time, streamed by <audio>, which never decodes a whole file.
 *
 * Terms: a sound's `stretch` is what the views show of it: all of a sum, or one filter's part of a `concat`. A `place` is
 * a position in the stretch, 0 to 1. A `part` is the index of a filter among the audible ones.
 *
 * To be notified of a change, add a function to `changed`: `sound` (another sound or filter), `choice` (another sound),
 * `place` (the playing position), `state` (playing or paused), `loop`, `failure` (with a text).
 */
(function (netsounds) {
  "use strict";

  const { clamp, nameOf } = netsounds;
  const data = JSON.parse(document.getElementById("netsounds-data").textContent);
  const audio = document.getElementById("audio");
  const across = data.time_axis === "x";
  const length = across ? data.picture.full_width : data.picture.full_height; // of the time axis, in pixels

  /** `filter`: the filter laid over the picture, or null. `loop`: the places between which it plays, or null. */
  const state = { sound: data.sounds[0], part: 0, filter: null, loop: null };
  let frame = 0; // the requested animation frame, or 0

  const changed = { sound: [], choice: [], place: [], state: [], loop: [], failure: [] };
  const tell = (what, ...words) => changed[what].forEach((listener) => listener(...words));

  // --- the sound and its stretch -----------------------------------------------------------------------------------

  const bankOf = (number) => data.banks.find((bank) => bank.number === number);
  const soundOf = (bank, scheme) => data.sounds.find((sound) => sound.bank === bank && sound.scheme === scheme);
  /** A bank's sound of single filters, if it has one. */
  const byFilter = (number) => data.sounds.find((sound) => sound.bank === number && sound.parts);
  /** True if the stretches are parts of one file. */
  const inOneFile = () => Boolean(state.sound.parts && !state.sound.parts.plays);
  const href = () => (state.sound.play === null ? state.sound.parts.plays[state.part] : state.sound.play);

  /** The stretch's start in the file, the length of its axis, and its sound's duration (shorter at a preview's end). */
  function stretch() {
    const { parts, duration_s: whole } = state.sound;
    if (!parts) return { start: 0, seconds: whole, sounding: whole };
    const before = state.part * parts.seconds;
    return { start: inOneFile() ? before : 0, seconds: parts.seconds, sounding: Math.min(parts.seconds, whole - before) };
  }

  /** The place that is playing. */
  function place() {
    const { start, seconds } = stretch();
    return clamp((audio.currentTime - start) / seconds, 0, 1);
  }

  /** A place as a share of the picture's time axis, and back. */
  const alongOf = (at) => (state.sound.start_px + at * (state.sound.end_px - state.sound.start_px)) / length;
  const placeOf = (along) =>
    clamp((along * length - state.sound.start_px) / (state.sound.end_px - state.sound.start_px), 0, 1);

  // --- playing -----------------------------------------------------------------------------------------------------

  function seek(at) {
    const { start, seconds, sounding } = stretch();
    // The end of a stretch within a file is the beginning of the next one: stay before it.
    const last = inOneFile() ? Math.max(sounding - 0.02, 0) : sounding;
    audio.currentTime = start + clamp(at * seconds, 0, last);
    tell("place");
  }

  function play() {
    if (audio.ended) seek(0);
    audio.play().catch((error) => error.name === "AbortError" || failed());
  }

  const toggle = () => (audio.paused ? play() : audio.pause());

  /** Reports a missing file or one that does not play, as far as the browser tells them apart. */
  function failed() {
    const name = nameOf(href());
    const missing = audio.error && /format error|not found|404/i.test(audio.error.message);
    tell(
      "failure",
      missing
        ? `${name} is missing: it belongs beside this page. Copy the run's whole folder, not this page alone.`
        : `This browser cannot play ${name}: the file is damaged, or of a kind that the browser does not know. ` +
            "Try another player; the file is linked under Files.",
    );
  }

  /** Loads the chosen part into <audio>. */
  function load(at, playing) {
    if (audio.getAttribute("src") !== href()) audio.src = href();
    loopWhole();
    seek(at);
    if (playing) play();
  }

  /** Loops a whole file by the browser's own loop, which leaves no gap. */
  function loopWhole() {
    audio.loop = Boolean(state.loop) && !inOneFile() && state.loop.from === 0 && state.loop.to === 1;
  }

  /** Repeats from place `from` to `to`; null: plays once. */
  function setLoop(loop) {
    state.loop = loop;
    loopWhole();
    tell("loop");
  }

  function setSpeed(rate) {
    audio.defaultPlaybackRate = audio.playbackRate = rate; // the default applies to the next file
  }

  // --- choosing ----------------------------------------------------------------------------------------------------

  /** Chooses a sound and a filter in it; keeps the place in the picture, and whether it plays. */
  function choose(sound, part = 0) {
    const playing = !audio.paused;
    const along = alongOf(place());
    state.sound = sound;
    enter(Math.max(part, 0), false);
    tell("choice");
    load(placeOf(along), playing);
    tell("sound");
  }

  function chooseScheme(scheme) {
    const sound = soundOf(state.sound.bank, scheme);
    choose(sound, sound.parts ? sound.parts.filters.indexOf(state.filter) : 0);
  }

  /** Chooses a bank's sound: of the same scheme, after the mix its part of the mix, otherwise its first sound. */
  function chooseBank(number) {
    const wanted = state.sound.bank === null ? "part" : state.sound.scheme;
    choose(soundOf(number, wanted) || data.sounds.find((sound) => sound.bank === number));
  }

  /** Shows a filter chosen from the contact sheet, and plays its sound, if it has one, from the beginning. */
  function chooseFilter(filter) {
    const sound = state.sound.parts ? state.sound : byFilter(state.sound.bank);
    const part = sound ? sound.parts.filters.indexOf(filter) : -1;
    if (part < 0) return showFilter(filter);
    if (sound !== state.sound) choose(sound, part);
    enter(part);
    return load(0, true);
  }

  /** Lays a filter (or null: none) over the picture, whatever plays. */
  function showFilter(filter) {
    state.filter = filter;
    tell("sound");
  }

  /** Moves to another filter of the sound. */
  function enter(part, notify = true) {
    state.part = part;
    state.filter = state.sound.parts ? state.sound.parts.filters[part] : null;
    if (notify) tell("sound");
  }

  function step(by) {
    const playing = !audio.paused;
    enter(clamp(state.part + by, 0, state.sound.parts.filters.length - 1));
    load(0, playing);
  }

  // --- following ---------------------------------------------------------------------------------------------------

  /** Keeps the selection with the sound: at the end of a stretch comes the next filter, or the loop's start. */
  function follow() {
    if (state.loop && !audio.paused && !audio.loop && place() >= state.loop.to) return seek(state.loop.from);
    if (inOneFile()) {
      const { filters, seconds } = state.sound.parts;
      // A millisecond of grace: media time counts microseconds, so a seek may land one short of its stretch.
      const part = clamp(Math.floor((audio.currentTime + 0.001) / seconds), 0, filters.length - 1);
      if (part !== state.part) enter(part);
    }
    return tell("place");
  }

  function ended() {
    const more = state.sound.parts && !inOneFile() && state.part + 1 < state.sound.parts.filters.length;
    if (!state.loop && more) enter(state.part + 1);
    if (state.loop || more) load(state.loop ? state.loop.from : 0, true);
    tell("place");
  }

  function tick() {
    follow();
    frame = audio.paused ? 0 : requestAnimationFrame(tick);
  }

  function playing() {
    tell("state");
    if (!audio.paused && !frame) frame = requestAnimationFrame(tick);
  }

  function begin() {
    audio.controls = false;
    const on = (names, act) => names.split(" ").forEach((name) => audio.addEventListener(name, act));
    on("play playing pause emptied", playing);
    on("timeupdate seeking seeked loadedmetadata", follow);
    on("ended", ended);
    on("error", failed);
    enter(0, false);
  }

  netsounds.player = {
    data, audio, across, length, state, changed, bankOf, soundOf, byFilter, href, stretch, place, alongOf, placeOf,
    seek, play, toggle, choose, chooseScheme, chooseBank, chooseFilter, showFilter, step, setLoop, setSpeed, failed, begin,
  };
})(window.netsounds);
