// Where the eyes and the mouth of a face are in a photograph: three marks that people put there, by pointer or by arrows.

const NAMES = ["Left eye in the image", "Right eye in the image", "Middle of the mouth"];
const FIRST = [[0.42, 0.4], [0.58, 0.4], [0.5, 0.58]]; // of the photograph's width and height
const STEP = 0.005;

export class Marks {
  // `frame` is the element that shows the photograph, and `buttons` lie on it.
  constructor(frame, buttons, { width, height }, points) {
    Object.assign(this, { frame, buttons, size: [width, height] });
    this.places = points ? points.map((point) => point.map((value, i) => inside(value / this.size[i]))) : FIRST.map((place) => [...place]);
    buttons.forEach((button, i) => {
      button.hidden = false;
      this.show(i);
      button.onpointerdown = (event) => button.setPointerCapture(event.pointerId);
      button.onpointermove = (event) => {
        if (!button.hasPointerCapture(event.pointerId)) return;
        const box = frame.getBoundingClientRect();
        this.put(i, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
      };
      button.onkeydown = (event) => {
        const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (!move) return;
        event.preventDefault();
        this.put(i, this.places[i][0] + STEP * move[0], this.places[i][1] + STEP * move[1]);
      };
    });
    buttons[0].focus();
  }

  // In pixels of the photograph.
  points() {
    return this.places.map((place) => place.map((value, i) => value * this.size[i]));
  }

  put(i, x, y) {
    this.places[i] = [inside(x), inside(y)];
    this.show(i);
  }

  show(i) {
    const [x, y] = this.places[i];
    Object.assign(this.buttons[i].style, { left: `${100 * x}%`, top: `${100 * y}%` });
    const [right, down] = [x, y].map((value) => Math.round(100 * value));
    this.buttons[i].setAttribute("aria-label", `${NAMES[i]}, at ${right} % and ${down} %. Arrow keys move it.`);
  }
}

function inside(value) {
  return Math.min(Math.max(value, 0), 1);
}
