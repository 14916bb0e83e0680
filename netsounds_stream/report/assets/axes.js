/*
 * Numbers as text, frequency scales, and the ticks of rulers: pure functions, which never touch the page.
 *
 * The page's scripts are plain scripts, because a page opened from disk may not import modules. They run in this order:
 * axes.js, bytes.js, player.js, firing.js, mixer.js, views.js, lights.js, report.js. They share what they define in
 * `netsounds`.
 */
window.netsounds = (function () {
  "use strict";

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

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

  const decibels = (level) => (level === null ? "never fires" : `${Number(level.toFixed(1))} dB`.replace("-", "−"));

  /** A file's name, from a reference; in a page of one file, from the end of a blob's URL. */
  const nameOf = (reference) => decodeURIComponent(reference.replace(/^blob:.*#\//, ""));

  // --- scales of frequency: { scale, low_hz, high_hz } -------------------------------------------------------------

  const scales = {
    linear: [(frequency) => frequency, (height) => height],
    log: [Math.log, Math.exp],
    mel: [(frequency) => 2595 * Math.log10(1 + frequency / 700), (height) => 700 * (10 ** (height / 2595) - 1)],
  };

  /** The frequency at a share of the scale, 0 at its lowest to 1 at its highest. */
  function hertzAt({ scale, low_hz: low, high_hz: high }, share) {
    const [to, from] = scales[scale];
    return from(to(low) + clamp(share, 0, 1) * (to(high) - to(low)));
  }

  /** The share of the scale at which a frequency lies. */
  function shareOf({ scale, low_hz: low, high_hz: high }, frequency) {
    const [to] = scales[scale];
    return (to(frequency) - to(low)) / (to(high) - to(low));
  }

  /*
   * On the picture a scale lies from pixel `low_px` to `high_px`, across time. Raw sound folds it: a frame's inversion is
   * real, so that its last value sounds as low as its first, and the middle one highest.
   */

  /** The frequency at a pixel of the picture. */
  function pitchAt(pitch, pixel) {
    const share = clamp((pixel - pitch.low_px) / (pitch.high_px - pitch.low_px), 0, 1);
    return hertzAt(pitch, pitch.folded ? 1 - Math.abs(1 - 2 * share) : share);
  }

  /** The pixels of the picture at which a frequency lies: one, or two where the scale is folded. */
  function pixelsOf(pitch, frequency) {
    const share = shareOf(pitch, frequency);
    const shares = pitch.folded ? [share / 2, 1 - share / 2] : [share];
    return shares.map((place) => pitch.low_px + place * (pitch.high_px - pitch.low_px));
  }

  // --- ticks: { at, text }, `at` being a share of the ruler --------------------------------------------------------

  /** The smallest of 1, 2, 5 times a power of ten of which at most `most` fit into `span`. */
  function niceStep(span, most) {
    const power = 10 ** Math.floor(Math.log10(span / most));
    return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= (span / most) * 0.999);
  }

  /** The same for times: steps over ten seconds are those of a clock. */
  function timeStep(span, most) {
    const steps = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
    return span / most <= 10 ? niceStep(span, most) : steps.find((step) => step >= span / most) || 86400;
  }

  const multiples = (step, most) => Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, index) => index * step);

  /** Round times from 0 to `seconds`, about `most` of them. */
  function timeTicks(seconds, most) {
    const step = timeStep(seconds, Math.max(most, 2));
    const digits = clamp(-Math.floor(Math.log10(step)), 0, 3);
    const text = (time) => (seconds < 60 ? `${time.toFixed(digits)} s` : clock(time, digits));
    return multiples(step, seconds).map((time) => ({ at: time / seconds, text: text(time) }));
  }

  const decades = (...leading) => [1, 10, 100, 1000, 10000].flatMap((power) => leading.map((digit) => digit * power));

  /**
   * Round frequencies, in the finest steps whose texts do not overlap.
   *
   * `placesOf` returns a frequency's shares of the ruler, which is `pixels` long; `gap` is the pixels of a text.
   */
  function hertzTicks(axis, placesOf, pixels, gap) {
    const { scale, low_hz: low, high_hz: high } = axis;
    const even = [8, 5, 4, 2].map((most) => multiples(niceStep(high, most), high));
    const kinds = scale === "linear" ? even : [decades(1, 2, 5), decades(1, 3), decades(1)];
    const ticks = (values) =>
      values
        .filter((frequency) => frequency >= low && frequency <= high)
        .map((frequency) => [frequency, placesOf(frequency)])
        .filter(([, [one, other = one + 1]]) => Math.abs(other - one) * pixels >= gap) // a folded scale's middle
        .flatMap(([frequency, places]) => places.map((at) => ({ at, text: hertz(frequency).replace(/ (k?)Hz/, "$1") })))
        .filter(({ at }) => at >= -1e-6 && at <= 1 + 1e-6);
    const apart = (all) => {
      const inside = (at) => clamp(at * pixels, gap / 2, pixels - gap / 2); // no text leaves the ruler
      const places = all.map(({ at }) => inside(at)).sort((one, other) => one - other);
      return places.every((at, index) => index === 0 || at - places[index - 1] >= gap);
    };
    const candidates = kinds.map(ticks);
    const chosen = candidates.find((all) => all.length > 1 && apart(all)) || candidates.at(-1);
    if (chosen.length) chosen[0].text += " Hz";
    return chosen;
  }

  return { clamp, clock, spoken, size, hertz, decibels, nameOf, hertzAt, shareOf, pitchAt, pixelsOf, timeTicks, hertzTicks };
})();
