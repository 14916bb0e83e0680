/*
 * A page in one file: turns the embedded files into blobs and replaces their keys in the page by the blobs' URLs.
 *
 * Each file is embedded once, however often the page refers to it. A blob's URL ends in the file's name, which a
 * download then gets.
 */
(function () {
  "use strict";

  const get = (id) => document.getElementById(id);
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const held = Object.entries(JSON.parse(get("netsounds-held").textContent));
  const blobs = new Map();
  const urls = new Map(
    held.map(([name, { file, type, text }]) => {
      const blob = new Blob([bytes(text)], { type });
      const url = `${URL.createObjectURL(blob)}#/${encodeURIComponent(file)}`;
      blobs.set(url, blob);
      return [name, url];
    }),
  );
  window.netsoundsHeld = blobs; // for scripts that need the bytes

  const data = get("netsounds-data");
  data.textContent = data.textContent.replace(/data:,held-\d+/g, (name) => urls.get(name));
  for (const element of document.querySelectorAll("[src], [href]")) {
    for (const attribute of ["src", "href"]) {
      const url = urls.get(element.getAttribute(attribute));
      if (url) element.setAttribute(attribute, url);
    }
  }
})();
