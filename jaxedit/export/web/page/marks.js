// Where the eyes and the mouth of a face are in a photograph: three marks that people put there, by pointer or by arrows.

import { squareOf } from "./photographs.js";

const NAMES = ["Left eye in the image", "Right eye in the image", "Middle of the mouth"];
const FIRST = [[0.42, 0.4], [0.58, 0.4], [0.5, 0.58]]; // of the photograph's width and height
const STEP = 0.005;
const MOST_PIXELS = 640;

const at = (id) => document.getElementById(id);

// Asks for the marks; the square around the face, or null if nobody wants it any more.
export function askForSquare(photograph) {
  const dialog = at("photo-dialog");
  const { width, height } = photograph;
  const scale = Math.min(1, MOST_PIXELS / Math.max(width, height));
  const canvas = Object.assign(at("photo-canvas"), { width: Math.round(width * scale), height: Math.round(height * scale) });
  canvas.getContext("2d").drawImage(photograph, 0, 0, canvas.width, canvas.height);
  const marks = FIRST.map((place) => [...place]);
  const buttons = marks.map((_, i) => at(`mark-${i}`));
  const show = (i) => {
    const [x, y] = marks[i];
    Object.assign(buttons[i].style, { left: `${100 * x}%`, top: `${100 * y}%` });
    buttons[i].setAttribute("aria-label", `${NAMES[i]}, at ${Math.round(100 * x)} % and ${Math.round(100 * y)} %. Arrow keys move it.`);
  };
  const put = (i, x, y) => {
    marks[i] = [x, y].map((value) => Math.min(Math.max(value, 0), 1));
    show(i);
  };
  buttons.forEach((button, i) => {
    show(i);
    button.onpointerdown = (event) => button.setPointerCapture(event.pointerId);
    button.onpointermove = (event) => {
      if (!button.hasPointerCapture(event.pointerId)) return;
      const box = canvas.getBoundingClientRect();
      put(i, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    };
    button.onkeydown = (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!move) return;
      event.preventDefault();
      put(i, marks[i][0] + STEP * move[0], marks[i][1] + STEP * move[1]);
    };
  });
  at("photo-problem").hidden = true;
  return new Promise((resolve) => {
    at("photo-cancel").onclick = () => dialog.close();
    dialog.onclose = () => resolve(null);
    at("photo-use").onclick = () => {
      try {
        const square = squareOf(...marks.map(([x, y]) => [x * width, y * height]));
        resolve(square);
        dialog.close();
      } catch (error) {
        at("photo-problem").textContent = error.message;
        at("photo-problem").hidden = false;
      }
    };
    dialog.showModal();
    buttons[0].focus();
  });
}
