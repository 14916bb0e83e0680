/*
 * A page in one file: what it holds, as text, becomes blobs, and these take the places of the names that stand for them.
 *
 * Each is held once, however often the page names it. A blob's name ends in the file's, which a download then has.
 */
(function () {
  "use strict";

  const get = (id) => document.getElementById(id);
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const held = Object.entries(JSON.parse(get("netsounds-held").textContent));
  const urls = new Map(
    held.map(([name, { file, type, text }]) => [
      name,
      `${URL.createObjectURL(new Blob([bytes(text)], { type }))}#/${encodeURIComponent(file)}`,
    ]),
  );

  const data = get("netsounds-data");
  data.textContent = data.textContent.replace(/data:,held-\d+/g, (name) => urls.get(name));
  for (const element of document.querySelectorAll("[src], [href]")) {
    for (const attribute of ["src", "href"]) {
      const url = urls.get(element.getAttribute(attribute));
      if (url) element.setAttribute(attribute, url);
    }
  }
})();
