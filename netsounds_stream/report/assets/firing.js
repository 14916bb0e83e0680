/*
 * Firing: how strongly each filter fires at each moment, where on the picture, and that in words.
 *
 * Levels and places are bytes, a filter's steps of time one after another. A level is the root of its share of the bank's
 * largest, times 255. A place is the number of a cell across time. `along` is a share of the picture's time axis.
 */
(function (netsounds) {
  "use strict";

  const { clamp, hertz, pitchAt, shareOf, bytesOf, player } = netsounds;
  const { data, audio, across, length, state, bankOf, soundOf, stretch, place, alongOf } = player;
  const otherLength = across ? data.picture.full_height : data.picture.full_width;

  /** Each bank's levels and places by its number; empty until they are loaded. `own`: each filter's largest level. */
  const banks = new Map();
  /** Returns whether a bank is part of what sounds; the mixer has its say. */
  let audible = () => true;
  const hearing = (test) => (audible = test);

  // --- loading -----------------------------------------------------------------------------------------------------

  /** Loads the levels; a promise of whether there are any. */
  async function load() {
    if (!data.firing || !window.DecompressionStream) return false;
    const packed = new Blob([await bytesOf(data.firing)]);
    const plain = packed.stream().pipeThrough(new DecompressionStream("deflate"));
    const bytes = new Uint8Array(await new Response(plain).arrayBuffer());
    let from = 0;
    for (const { number, channels, firing } of data.banks.filter((bank) => bank.firing)) {
      const size = channels * firing.steps;
      const levels = bytes.subarray(from, from + size);
      const own = Float32Array.from({ length: channels }, (_, filter) =>
        levelOf(levels.subarray(filter * firing.steps, (filter + 1) * firing.steps).reduce((most, code) => Math.max(most, code), 0)));
      banks.set(number, { ...firing, channels, levels, places: bytes.subarray(from + size, from + 2 * size), own });
      from += 2 * size;
    }
    return banks.size > 0;
  }

  const levelOf = (code) => (code / 255) ** 2;

  // --- levels and places at a moment -------------------------------------------------------------------------------

  /** The steps of a bank that lie within some seconds around a moment: the first, and the end. */
  function stepsAt({ steps, start_px: start, step_px: step }, along, seconds) {
    const at = (along * length - start) / step;
    const aPixel = stretch().seconds / Math.abs(state.sound.end_px - state.sound.start_px);
    const half = seconds / 2 / (aPixel * step);
    const first = clamp(Math.floor(at - half + 0.5), 0, steps - 1);
    const middle = clamp(Math.floor(at), 0, steps - 1);
    return [Math.min(first, middle), clamp(Math.floor(at + half + 0.5), middle + 1, steps)];
  }

  /** The mean level of each of a bank's filters around a moment, as a share of the bank's largest. */
  function levelsAt(number, along, seconds) {
    const bank = banks.get(number);
    const [first, end] = stepsAt(bank, along, seconds);
    return Float32Array.from({ length: bank.channels }, (_, filter) => {
      let sum = 0;
      for (let step = first; step < end; step += 1) sum += levelOf(bank.levels[filter * bank.steps + step]);
      return sum / (end - first);
    });
  }

  /** The pixel across time where a filter fires most strongly around a moment. */
  function pixelAt(number, filter, along, seconds) {
    const bank = banks.get(number);
    const [first, end] = stepsAt(bank, along, seconds);
    let best = filter * bank.steps + first;
    for (let at = best; at < filter * bank.steps + end; at += 1) if (bank.levels[at] > bank.levels[best]) best = at;
    return clamp(bank.across_px + (bank.places[best] + 0.5) * bank.cell_px, 0, otherLength);
  }

  /**
   * How brightly each of a bank's filters is lit, 0 to 1: from a third of the strongest that it ever fires on, fully at
   * two thirds. What never reaches a fiftieth of the bank's loudest stays dark.
   */
  function lights(number, along) {
    const { own } = banks.get(number);
    return levelsAt(number, along, 0.12).map((level, filter) => clamp(3 * (level / Math.max(own[filter], 0.02)) - 1, 0, 1));
  }

  const SPAN = 0.5; // seconds over which the loudest are chosen: names that change faster cannot be read
  let last = { time: -Infinity, sound: null, found: [] };

  /** The loudest filters now; while it plays, as they were within the last half second, so that all name the same. */
  function loudestNow() {
    const time = performance.now();
    if (audio.paused || last.sound !== state.sound || time - last.time >= 1000 * SPAN) {
      last = { time, sound: state.sound, found: loudest() };
    }
    return last.found;
  }

  /** Returns whether one filter is heard alone. */
  const alone = () => Boolean(state.sound.parts) || state.sound.scheme === "sketch";

  /** The loudest filters of what sounds now: { bank, filter, level, along, other }, places being shares of the picture. */
  function loudest(most = 4) {
    const along = alongOf(place());
    const { sound, filter } = state;
    const found = (number, one, level) =>
      ({ bank: number, filter: one, level, along, other: pixelAt(number, one, along, SPAN) / otherLength });
    const numbers = [...banks.keys()].filter((number) => (sound.bank === null ? audible(number) : number === sound.bank));
    const each = sound.bank === null ? Math.max(1, Math.floor(most / Math.max(numbers.length, 1))) : most;
    return numbers.flatMap((number) => {
      const levels = levelsAt(number, along, SPAN);
      const heard = alone() ? [filter] : banks.get(number).filters || Array.from(levels.keys());
      return heard
        .filter((one) => one !== null && levels[one] > 0.01)
        .sort((one, other) => levels[other] - levels[one])
        .slice(0, each)
        .map((one) => found(number, one, levels[one]));
    }).slice(0, most);
  }

  // --- words -------------------------------------------------------------------------------------------------------

  /** A place on the picture: "at the top right", "in the middle". */
  function whereWords({ along, other }) {
    const [x, y] = across ? [along, other] : [other, along];
    const third = (share, names) => names[clamp(Math.floor(share * 3), 0, 2)];
    const words = [third(y, ["top", "", "bottom"]), third(x, ["left", "", "right"])].filter(Boolean).join(" ");
    return words || "middle";
  }

  /** The pitch that a place of the picture has in what sounds. */
  const pitchWords = ({ other }) => hertz(Number(pitchAt(state.sound.pitch, other * otherLength).toPrecision(2)));

  /** What is heard now, in a sentence; empty where nothing is known, or nothing fires. */
  function sentence() {
    if (!banks.size) return "";
    const [first] = [...loudestNow()].sort((one, other) => other.level - one.level);
    if (!first) return alone() ? "It hardly fires here" : "Hardly any filter fires here";
    const words = whereWords(first);
    const at = words === "middle" ? "in the middle" : /top|bottom/.test(words) ? `at the ${words}` : `on the ${words}`;
    const where = `${at}, about ${pitchWords(first)}`;
    return alone() ? `It fires most ${where}` : `Loudest: filter ${first.filter} of bank ${first.bank}, ${where}`;
  }

  // --- a sketch of a filter ----------------------------------------------------------------------------------------

  const RATE_HZ = 32000;
  const MOST_SECONDS = 300;

  /** The sound whose times and pitches a sketch has: a windowed one, not too long for a browser to make. */
  const sketched = () => {
    const fits = (sound) => sound && !sound.parts && !sound.pitch.folded && sound.duration_s <= MOST_SECONDS;
    return [soundOf(null, "mix"), ...data.sounds].find(fits);
  };

  const canSketch = (number) => banks.has(number) && Boolean(sketched());

  /** The level of a filter, 0 to 1 of its own largest, and its pitch, at each step. */
  function course(number, filter, { pitch }) {
    const bank = banks.get(number);
    return Array.from({ length: bank.steps }, (_, step) => {
      const at = filter * bank.steps + step;
      const pixel = clamp(bank.across_px + (bank.places[at] + 0.5) * bank.cell_px, 0, otherLength);
      return { level: bank.own[filter] ? levelOf(bank.levels[at]) / bank.own[filter] : 0, place: bank.places[at], hertz: pitchAt(pitch, pixel) };
    });
  }

  /** One tone that follows the place where a filter fires most strongly, as loud as it fires there: int16 samples. */
  function tone(number, filter, base) {
    const bank = banks.get(number);
    const steps = course(number, filter, base);
    const samples = new Int16Array(Math.round(base.duration_s * RATE_HZ));
    const pixels = (base.end_px - base.start_px) / samples.length; // of the time axis, for a sample
    let phase = 0;
    for (let sample = 0; sample < samples.length; sample += 1) {
      const at = clamp((base.start_px + sample * pixels - bank.start_px) / bank.step_px - 0.5, 0, bank.steps - 1);
      const one = steps[Math.floor(at)];
      const next = steps[Math.ceil(at)];
      const share = at - Math.floor(at);
      const glides = Math.abs(one.place - next.place) <= 2; // farther apart are two places, not one that moves
      const frequency = glides ? one.hertz + share * (next.hertz - one.hertz) : (share < 0.5 ? one : next).hertz;
      phase = (phase + frequency / RATE_HZ) % 1;
      const fade = Math.min(sample, samples.length - 1 - sample, 320) / 320;
      samples[sample] = 16000 * fade * (one.level + share * (next.level - one.level)) * Math.sin(2 * Math.PI * phase);
    }
    return samples;
  }

  function wav(samples) {
    const head = new DataView(new ArrayBuffer(44));
    const text = (at, letters) => [...letters].forEach((letter, index) => head.setUint8(at + index, letter.charCodeAt(0)));
    [[0, "RIFF"], [8, "WAVEfmt "], [36, "data"]].forEach(([at, letters]) => text(at, letters));
    [[4, 36 + samples.byteLength], [16, 16], [24, RATE_HZ], [28, 2 * RATE_HZ], [40, samples.byteLength]].forEach(
      ([at, value]) => head.setUint32(at, value, true));
    [[20, 1], [22, 1], [32, 2], [34, 16]].forEach(([at, value]) => head.setUint16(at, value, true));
    return new Blob([head, samples], { type: "audio/wav" });
  }

  /** A drawing of a tone, as its spectrogram would be: the brighter, the louder. */
  function drawn(steps, { pitch }) {
    const rows = 96;
    const canvas = Object.assign(document.createElement("canvas"), { width: steps.length, height: rows });
    const drawing = canvas.getContext("2d");
    drawing.fillRect(0, 0, steps.length, rows);
    steps.forEach(({ level, hertz: frequency }, step) => {
      drawing.fillStyle = `rgb(255 190 90 / ${level})`;
      drawing.fillRect(step, clamp(Math.round((1 - shareOf(pitch, frequency)) * rows) - 1, 0, rows - 2), 1, 2);
    });
    const { scale, low_hz, high_hz } = pitch;
    return { src: canvas.toDataURL(), width: steps.length, height: rows, scale, low_hz, high_hz };
  }

  let url = null; // the last sketch's, until the next one

  /** A sketch of a filter that has no sound of its own, as a sound that the player can choose. */
  function sketch(number, filter) {
    const base = sketched();
    const blob = wav(tone(number, filter, base));
    if (url) URL.revokeObjectURL(url);
    url = URL.createObjectURL(blob);
    const steps = course(number, filter, base);
    const peaks = steps.flatMap(({ level }) => [-Math.round(63 * level), Math.round(63 * level)]);
    return {
      id: "sketch", bank: number, scheme: "sketch", label: `Bank ${number}, filter ${filter}: a sketch`,
      about: "A sketch: one tone that follows the place where this filter fires most strongly, as loud as it fires there. " +
        "This run has no sound of the filter alone.",
      file: null, play: `${url}#/${encodeURIComponent(`bank-${number}_filter-${filter}_sketch.wav`)}`, type: "audio/wav", note: null,
      duration_s: base.duration_s, sample_rate_hz: RATE_HZ, channels: 1, bytes: blob.size, start_px: base.start_px,
      end_px: base.end_px, pitch: base.pitch, parts: null, spectrogram: drawn(steps, base),
      peaks: { columns: peaks.length / 2, data: btoa(String.fromCharCode(...new Uint8Array(Int8Array.from(peaks).buffer))) },
    };
  }

  netsounds.firing = {
    banks, load, hearing, lights, loudest, loudestNow, alone, whereWords, pitchWords, sentence, canSketch, sketch, levelsAt, pixelAt, bankOf,
  };
})(window.netsounds);
