// Which face of a photograph: those that were found, to choose from, or three marks on eyes and mouth.

import { eyesAndMouth, middleOf, sideOf } from "./faces.js";
import { Marks } from "./marks.js";
import { squareOf } from "./photographs.js";

const MOST_PIXELS = 640;
const SHOWN = 0.62; // of a face's square, from eyebrows to chin

const at = (id) => document.getElementById(id);

// The square around a face, or null if nobody wants it any more. A single face is taken at once.
// `search` starts the search: { result: promise of faces, stop }. `known` are faces that were found before, with the
// square that was chosen.
export function askForSquare(photograph, search, known = null) {
  return new Promise((resolve) => new Question(photograph, search, known, resolve));
}

class Question {
  constructor(photograph, search, known, resolve) {
    Object.assign(this, { photograph, resolve, faces: [], chosen: null, marks: null, running: null });
    const { width, height } = photograph;
    const scale = Math.min(1, MOST_PIXELS / Math.max(width, height));
    const canvas = Object.assign(at("photo-canvas"), { width: Math.round(width * scale), height: Math.round(height * scale) });
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(photograph, 0, 0, canvas.width, canvas.height);
    at("photo-problem").hidden = true;
    at("photo-use").onclick = () => this.use();
    at("photo-mark").onclick = () => this.mark("Drag the marks onto the middle of both eyes and of the mouth.");
    at("photo-cancel").onclick = () => at("photo-dialog").close();
    at("photo-dialog").onclose = () => this.end(null);
    this.clear();
    at("photo-dialog").showModal();
    this.points = known?.points ?? null; // of marks that were put before
    if (known) this.found(known.faces, known.square, true);
    else this.look(search);
  }

  async look(search) {
    this.title("Which face?", "Looking for faces …");
    at("photo-use").disabled = true;
    at("photo-searching").hidden = false;
    at("photo-mark").focus();
    this.running = search((text) => this.running && this.title("Which face?", text));
    const { running } = this;
    try {
      const faces = await running.result;
      if (this.running === running) this.found(faces);
    } catch (error) {
      if (this.running === running) this.mark(`The faces could not be looked for: ${error.message} Drag the marks onto both eyes and the mouth.`);
    }
  }

  found(faces, square = null, isAskedAgain = false) {
    this.halt();
    this.faces = faces;
    if (!faces.length) {
      const before = isAskedAgain ? "" : "No face was found in this photograph. ";
      this.mark(`${before}Drag the marks onto the middle of both eyes and of the mouth.`);
      return;
    }
    this.choose(Math.max(faces.findIndex((face) => face.square === square), 0));
    if (faces.length === 1 && !isAskedAgain) {
      this.use();
      return;
    }
    const text = faces.length === 1 ? "One face was found." : `${faces.length} faces were found; the largest is number 1. Click the one to edit.`;
    this.title("Which face?", text);
    at("photo-use").disabled = false;
    at("photo-use").focus();
  }

  choose(number) {
    this.chosen = number;
    const { width, height } = this.photograph;
    const boxes = this.faces.map((face, i) => {
      const [x, y] = middleOf(face.square);
      const box = Object.assign(document.createElement("button"), { type: "button", className: "face", textContent: i + 1 });
      const [right, down] = face.square.across;
      Object.assign(box.style, {
        left: `${(100 * x) / width}%`, top: `${(100 * y) / height}%`, width: `${(100 * SHOWN * sideOf(face.square)) / width}%`,
        transform: `translate(-50%, -50%) rotate(${Math.atan2(down, right)}rad)`,
      });
      box.setAttribute("aria-pressed", i === number);
      box.setAttribute("aria-label", `Face ${i + 1} of ${this.faces.length}${i ? "" : ", the largest"}`);
      box.onclick = () => {
        this.choose(i);
        at("photo-faces").children[i].focus();
      };
      return box;
    });
    at("photo-faces").replaceChildren(...boxes);
  }

  // Lets people put marks; they begin where the chosen face was found.
  mark(text) {
    this.halt();
    const points = this.chosen === null ? this.points : eyesAndMouth(this.faces[this.chosen].landmarks);
    this.clear();
    this.title("Where is the face?", text);
    at("photo-mark").hidden = true;
    at("photo-use").disabled = false;
    this.marks = new Marks(at("photo-canvas"), markButtons(), this.photograph, points);
  }

  use() {
    if (!this.marks) {
      this.end({ square: this.faces[this.chosen].square, faces: this.faces, points: null });
      return;
    }
    try {
      const points = this.marks.points();
      this.end({ square: squareOf(...points), faces: this.faces, points });
    } catch (error) {
      at("photo-problem").textContent = error.message;
      at("photo-problem").hidden = false;
    }
  }

  end(answer) {
    this.halt();
    this.resolve(answer);
    if (at("photo-dialog").open) at("photo-dialog").close();
  }

  halt() {
    const { running } = this;
    this.running = null;
    running?.stop();
    at("photo-searching").hidden = true;
  }

  clear() {
    at("photo-faces").replaceChildren();
    for (const button of markButtons()) button.hidden = true;
    at("photo-mark").hidden = false;
  }

  title(title, text) {
    at("photo-title").textContent = title;
    if (at("photo-text").textContent !== text) at("photo-text").textContent = text;
  }
}

function markButtons() {
  return [0, 1, 2].map((i) => at(`mark-${i}`));
}
