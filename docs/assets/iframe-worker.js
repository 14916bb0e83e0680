// The site's search runs in a Worker, which browsers refuse to a page that is opened from the disk. There,
// this stands in for one: the same script in a hidden frame, and messages between the two.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const here = new URL(url, location);
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.title = "search";
      document.documentElement.append(frame);
      this.inside = frame.contentWindow;
      const tell = (target, data) => target.dispatchEvent(new MessageEvent("message", { data }));
      const load = (source) =>
        new Promise((loaded, failed) => {
          const script = this.inside.document.createElement("script");
          script.onload = loaded;
          script.onerror = failed;
          script.src = new URL(source, here);
          this.inside.document.head.append(script);
        });
      // as in a worker, of which the script takes its frame to be one
      this.inside.importScripts = (...sources) => Promise.all(sources.map(load));
      this.inside.postMessage = (data) => {
        tell(this, data);
        if (this.onmessage) this.onmessage(new MessageEvent("message", { data }));
      };
      this.ready = load(here);
      this.tell = tell;
    }

    postMessage(data) {
      this.ready.then(() => this.tell(this.inside, data));
    }

    terminate() {
      this.inside.frameElement.remove();
    }
  };
}
