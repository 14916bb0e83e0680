/*
 * The mixer: banks muted and soloed against one another.
 *
 * <audio> stays the clock, and plays the mix unless a bank is silent. Then it is muted, and Web Audio plays the banks'
 * parts of the mix, all started by one call a bank at the same time of one clock, so that they are in step to the sample.
 * A page opened from disk may not read what its <audio> elements play, so the parts' bytes come as scripts: `bytes.js`.
 */
(function (netsounds) {
  "use strict";

  const { bytesOf, player } = netsounds;
  const { data, audio, state } = player;

  const AHEAD = 0.03; // seconds between a start being asked for and made
  const DRIFT = 0.08; // seconds by which the parts may differ from the clock before they are started anew
  const FADE = 0.015; // time constant of a change of gain, in seconds

  const parts = data.sounds.filter((sound) => sound.scheme === "part" && sound.bytes_script);
  const numbers = parts.map((sound) => sound.bank);
  const possible = parts.length > 1 && parts.length === data.banks.length && Boolean(window.AudioContext);
  const muted = new Set();
  const soloed = new Set();
  /** To be notified of another choice of banks, add a function. */
  const changed = [];

  const audible = (number) => (soloed.size ? soloed.has(number) : !muted.has(number));
  const mixing = () => possible && state.sound.bank === null && numbers.some((number) => !audible(number));

  // --- the graph ---------------------------------------------------------------------------------------------------

  /**
   * A limiter: the parts of a mix that a limiter had turned down may add up to more than full scale.
   *
   * A compressor raises all by the makeup gain of its definition (the gain of full scale to the power of -0.6), which is
   * taken back. What its attack lets pass is bent below full scale.
   */
  function limiter(context) {
    const threshold = -3;
    const ratio = 20;
    const compressor = new DynamicsCompressorNode(context, { threshold, ratio, knee: 0, attack: 0.001, release: 0.12 });
    const makeup = 10 ** ((-0.6 * (threshold - threshold / ratio)) / 20);
    const back = new GainNode(context, { gain: 1 / makeup });
    const straight = 0.85;
    const curve = Float32Array.from({ length: 4097 }, (_, index) => {
      const value = index / 2048 - 1;
      const over = Math.abs(value) - straight;
      return over <= 0 ? value : Math.sign(value) * (straight + 0.13 * Math.tanh(over / 0.13));
    });
    const bend = new WaveShaperNode(context, { curve });
    compressor.connect(back).connect(bend);
    return { input: compressor, output: bend };
  }

  /** The parts' gains, their sum and its limiter, in a context: { gains, master }. */
  function graph(context, count) {
    const gains = Array.from({ length: count }, () => new GainNode(context));
    const master = new GainNode(context);
    const { input, output } = limiter(context);
    gains.forEach((gain) => gain.connect(input));
    output.connect(master).connect(context.destination);
    return { gains, master };
  }

  /** Starts all buffers at the same time of the context's clock. */
  function startAll(context, gains, buffers, { when = 0, offset = 0, rate = 1 } = {}) {
    return buffers.map((buffer, index) => {
      const source = new AudioBufferSourceNode(context, { buffer, playbackRate: rate });
      source.connect(gains[index]);
      source.start(when, offset);
      return source;
    });
  }

  // --- playing -----------------------------------------------------------------------------------------------------

  let deck = null; // { context, gains, master, buffers }, once loaded
  let loading = null;
  let sources = [];
  let begun = null; // { when, offset, rate } of the sources

  async function load() {
    const context = new AudioContext({ sampleRate: parts[0].sample_rate_hz });
    const buffers = await Promise.all(parts.map(async (part) => context.decodeAudioData(await bytesOf(part.bytes_script))));
    deck = { context, buffers, ...graph(context, buffers.length) };
  }

  function stop() {
    sources.forEach((source) => source.stop());
    sources = [];
    begun = null;
  }

  function start() {
    stop();
    if (!deck || !mixing() || audio.paused || audio.seeking) return;
    const { context, gains, buffers } = deck;
    const rate = audio.playbackRate;
    const when = context.currentTime + AHEAD;
    const offset = audio.currentTime + AHEAD * rate;
    if (offset >= buffers[0].duration) return;
    begun = { when, offset, rate };
    sources = startAll(context, gains, buffers, begun);
  }

  /** Starts anew where the parts have left the clock, as after a loop's end or a pause of the machine. */
  function follow() {
    if (!begun || !deck || audio.paused) return;
    const now = begun.offset + (deck.context.currentTime - begun.when) * begun.rate;
    if (Math.abs(now - audio.currentTime) > DRIFT) start();
  }

  /** Brings gains, and what is audible of <audio>, in line with the choice of banks. */
  function apply() {
    const mixes = Boolean(deck) && mixing();
    audio.muted = mixes;
    if (!mixes) return stop();
    const { context, gains, master } = deck;
    context.resume();
    const whole = 10 ** (-(data.parts_gain_db || 0) / 20); // what the parts were turned down by
    numbers.forEach((number, index) =>
      gains[index].gain.setTargetAtTime(audible(number) ? whole : 0, context.currentTime, FADE));
    master.gain.setTargetAtTime(audio.volume, context.currentTime, FADE);
    if (!sources.length) start();
    return undefined;
  }

  /** Mutes or solos a bank, or takes that back; a promise that ends when it is heard. */
  async function toggle(set, number) {
    if (!set.delete(number)) set.add(number);
    changed.forEach((listener) => listener());
    if (mixing() && !deck) {
      loading = loading || load();
      try {
        await loading;
      } catch (error) {
        loading = null;
        muted.clear();
        soloed.clear();
        changed.forEach((listener) => listener(`The banks cannot be mixed here: ${error.message}.`));
      }
    }
    apply();
  }

  function begin() {
    const on = (names, act) => names.split(" ").forEach((name) => audio.addEventListener(name, act));
    on("playing seeked ratechange", start);
    on("pause ended seeking waiting emptied", stop);
    on("timeupdate", follow);
    on("volumechange", () => deck && deck.master.gain.setTargetAtTime(audio.volume, deck.context.currentTime, FADE));
    player.changed.choice.push(apply);
  }

  netsounds.mixer = {
    possible, muted, soloed, changed, audible, mixing, graph, startAll, begin,
    mute: (number) => toggle(muted, number), solo: (number) => toggle(soloed, number),
    /** For tests: the sources' clock, and the buffers. */
    inspect: () => ({ deck, begun, sources }),
  };
})(window.netsounds);
