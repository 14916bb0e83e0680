/*
 * Bytes that scripts need: a page opened from disk may load scripts, but fetch nothing, so they come as scripts that
 * call `netsoundsBytes`. A page of one file has them as blobs.
 */
(function (netsounds) {
  "use strict";

  const held = window.netsoundsHeld || new Map();
  /** What waits for a script's bytes, by the reference to it. */
  const waiting = new Map();

  const decoded = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;

  window.netsoundsBytes = function netsoundsBytes(reference, text) {
    waiting.get(reference)(decoded(text));
    waiting.delete(reference);
  };

  /** Loads the bytes behind a reference: a promise of an ArrayBuffer. */
  function bytesOf(reference) {
    if (held.has(reference)) return held.get(reference).arrayBuffer();
    return new Promise((resolve, reject) => {
      waiting.set(reference, resolve);
      const script = document.createElement("script");
      script.src = reference;
      script.onload = () => script.remove(); // its text is megabytes
      script.onerror = () => reject(new Error(`${netsounds.nameOf(reference)} is missing`));
      document.head.append(script);
    });
  }

  netsounds.bytesOf = bytesOf;
})(window.netsounds);
