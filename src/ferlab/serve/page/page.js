/** The page: connects the sources of images, the analyzer, and what is shown. */

import { openAnalyzer } from "./analyzer.js";
import { isSelfView, listCameras, openCamera } from "./camera.js";
import { percent } from "./emotions.js";
import { FaceCards } from "./faces.js";
import { Gallery, summary } from "./gallery.js";
import { Live } from "./live.js";
import { clear, drawFaces } from "./overlay.js";
import { Table } from "./table.js";
import { Timeline } from "./timeline.js";

const ANNOUNCEMENT_GAP = 3000; // milliseconds between two sentences for screen readers
const SPLITS = { train: "the training images", validation: "PublicTest", test: "PrivateTest" };

const view = Object.fromEntries([...document.querySelectorAll("[id]")].map((found) => [found.id, found]));

class Page {
  #live;
  #result;
  #mirrored = false;
  #turn = 0; // counts the chosen sources, so that a slow one does not replace a later one

  constructor(analyzer) {
    const names = analyzer.card.class_names;
    this.analyzer = analyzer;
    this.table = new Table(names);
    this.cards = new FaceCards(view.faces, names);
    this.gallery = new Gallery(view.gallery, (photo) => this.#showPhoto(photo));
    const elements = { canvas: view.chart, legend: view.legend, tracks: view.tracks, choice: view["track-choice"] };
    this.timeline = new Timeline(elements, names);
    setInterval(() => this.#announce(), ANNOUNCEMENT_GAP);
  }

  get threshold() {
    return view.threshold.value / 100;
  }

  async startCamera() {
    const turn = this.#begin();
    const media = await openCamera(view.cameras.value);
    if (turn !== this.#turn) return stopMedia(media);
    await this.#listCameras(media);
    view.video.srcObject = media;
    view.video.controls = false;
    media.getVideoTracks()[0].onended = () => this.#fail(new Error("The camera was disconnected."));
    await this.#play("camera", isSelfView(media));
  }

  /** Open images, or one video. Files that are neither are reported like images that cannot be read. */
  async openFiles(files) {
    const videos = files.filter((file) => file.type.startsWith("video/"));
    if (videos.length && files.length > 1) throw new Error("Choose either images or one video.");
    if (videos.length) await this.#openVideo(videos[0]);
    else if (files.length) await this.#openPhotos(files);
  }

  async #openPhotos(files) {
    const turn = this.#begin();
    for (const [index, file] of files.entries()) {
      view.figures.textContent = `Analyzing photo ${index + 1} of ${files.length}`;
      const start = performance.now();
      const result = { ...(await this.analyzer.photo(file)), ms: performance.now() - start };
      if (turn !== this.#turn) return;
      this.table.add(file.name, result);
      this.gallery.add(file, result);
    }
  }

  async #openVideo(file) {
    this.#begin();
    view.video.src = URL.createObjectURL(file);
    view.video.controls = true;
    view.video.onended = () => (view.stop.hidden = true);
    await this.#play(file.name, false);
  }

  /** Stop what runs, and show an empty page. Returns the turn of the next source. */
  #begin() {
    this.stop();
    say("");
    this.#result = undefined;
    this.gallery.clear();
    this.timeline.clear();
    view.timeline.hidden = view.video.hidden = view.image.hidden = view.frame.hidden = true;
    view.hint.hidden = false;
    view.figures.textContent = "";
    view.stage.classList.remove("filled");
    this.refresh();
    return ++this.#turn;
  }

  stop() {
    this.#live?.stop();
    this.#live = undefined;
    view.stop.hidden = true;
    if (view.video.srcObject) stopMedia(view.video.srcObject);
    view.video.pause();
    view.video.onended = view.video.onerror = null;
    if (view.video.src) URL.revokeObjectURL(view.video.src);
    view.video.srcObject = null;
    view.video.removeAttribute("src");
  }

  async #play(source, mirrored) {
    this.#mirrored = mirrored;
    view.video.classList.toggle("mirrored", mirrored);
    await started(view.video);
    this.#showMedia(view.video);
    view.stop.hidden = view.timeline.hidden = false;
    const live = new Live(this.analyzer, view.video, (result) => this.#showFrame(source, result));
    this.#live = live;
    try {
      await live.run();
    } catch (error) {
      if (this.#live === live) throw error;
    }
  }

  #showMedia(media) {
    view.hint.hidden = true;
    view.frame.hidden = media.hidden = false;
    view.stage.classList.add("filled");
  }

  #showFrame(source, result) {
    this.#result = result;
    this.table.add(source, result, view.video.videoWidth / result.width);
    this.timeline.add(result);
    const dropped = result.dropped ? `, ${result.dropped} dropped by the server` : "";
    const speed = `${result.rate.toFixed(1)} frames per second, latency ${Math.round(result.ms)} ms`;
    view.figures.textContent = speed + dropped;
    this.refresh();
  }

  #showPhoto({ name, url, result }) {
    this.#mirrored = false;
    this.#result = result;
    view.image.onload = () => this.refresh();
    view.image.onerror = () => say(result.error ? `${name}: ${result.error}` : `This browser cannot show ${name}.`);
    view.image.src = url;
    view.image.alt = name;
    this.#showMedia(view.image);
    view.figures.textContent = `${name}, analyzed in ${Math.round(result.ms)} ms`;
    say(result.error ? `${name}: ${result.error}` : "");
    this.refresh();
  }

  /** Show the current result with the current threshold. */
  refresh() {
    view["threshold-value"].textContent = percent(this.threshold);
    view.save.disabled = !this.table.length;
    const faces = this.#result?.faces ?? [];
    this.cards.show(faces, this.threshold);
    this.gallery.label(this.threshold);
    view["no-faces"].hidden = faces.length > 0;
    view["no-faces"].textContent = this.#result ? "No face found." : "No face yet.";
    if (faces.length) drawFaces(view.overlay, this.#result, this.threshold, this.#mirrored);
    else clear(view.overlay);
  }

  /** Tell screen readers what has changed. */
  #announce() {
    const text = this.#result ? summary(this.#result.faces, this.threshold) : "";
    if (view.announcement.textContent !== text) view.announcement.textContent = text;
  }

  async #listCameras(media) {
    const cameras = await listCameras();
    view.cameras.replaceChildren(...cameras.map(({ id, name }) => new Option(name, id)));
    view.cameras.value = media.getVideoTracks()[0].getSettings().deviceId;
    view["camera-choice"].hidden = cameras.length < 2;
  }

  save() {
    const url = URL.createObjectURL(new Blob([this.table.csv(this.threshold)], { type: "text/csv" }));
    Object.assign(document.createElement("a"), { href: url, download: "faces.csv" }).click();
    URL.revokeObjectURL(url);
  }

  /** Run an action, and show its error, unless a later source has been chosen. */
  async attempt(action) {
    const running = action();
    const turn = this.#turn; // of the source that the action has begun
    try {
      await running;
    } catch (error) {
      if (turn === this.#turn) this.#fail(error);
    }
  }

  #fail(error) {
    this.stop();
    say(error.message);
  }
}

function say(text) {
  view.message.textContent = text;
}

function stopMedia(media) {
  for (const track of media.getTracks()) track.stop();
}

/** Play a video, and wait for its first frame. */
function started(video) {
  return new Promise((resolve, reject) => {
    video.onloadeddata = resolve;
    video.onerror = () => reject(new Error("This browser cannot play the video. Use an MP4 (H.264) or WebM file."));
    video.play().catch(() => {}); // an unreadable video is reported by onerror
  });
}

function showCard(card) {
  const measured = Object.entries(card.accuracy).filter(([, share]) => share !== null);
  const accuracy = measured.map(([split, share]) => `${percent(share)} on ${SPLITS[split] ?? split}`).join(", ");
  view["intended-use"].textContent = card.intended_use;
  view.limits.replaceChildren(
    ...card.limits.map((limit) => Object.assign(document.createElement("li"), { textContent: limit })),
  );
  const licenses = Object.entries(card.license)
    .map(([part, license]) => `${part}: ${license}`)
    .join("; ");
  const scores = accuracy ? ` Accuracy on FER2013: ${accuracy}.` : "";
  view.model.textContent = `Model: ${card.name}.${scores} Licenses: ${licenses}.`;
}

/** Connect the controls. */
function connect(page) {
  const files = (input) => page.attempt(() => page.openFiles([...input.files])).then(() => (input.value = ""));
  view.camera.onclick = () => page.attempt(() => page.startCamera());
  view.cameras.onchange = () => page.attempt(() => page.startCamera());
  view.photos.onchange = () => files(view.photos);
  view["video-file"].onchange = () => files(view["video-file"]);
  view.stop.onclick = () => page.stop();
  view.save.onclick = () => page.save();
  view.threshold.oninput = () => page.refresh();
  document.onpaste = (event) => page.attempt(() => page.openFiles([...event.clipboardData.files]));
  document.ondragover = (event) => {
    event.preventDefault();
    view.stage.classList.add("dropping");
  };
  document.ondragleave = () => view.stage.classList.remove("dropping");
  document.ondrop = (event) => {
    event.preventDefault();
    view.stage.classList.remove("dropping");
    page.attempt(() => page.openFiles([...event.dataTransfer.files]));
  };
  new ResizeObserver(() => page.refresh()).observe(view.frame);
}

async function start(token) {
  try {
    const analyzer = await openAnalyzer(token);
    view.place.textContent = analyzer.place;
    view.threshold.value = 100 * analyzer.card.min_confidence;
    showCard(analyzer.card);
    const page = new Page(analyzer);
    connect(page);
    page.refresh();
    say("");
    view["token-form"].hidden = true;
    view.controls.hidden = view.workspace.hidden = view.about.hidden = false;
  } catch (error) {
    say(error.message);
    view["token-form"].hidden = error.name !== "TokenError";
  }
}

view["token-form"].onsubmit = (event) => {
  event.preventDefault();
  start(view.token.value);
};
say("Loading the model.");
start();
