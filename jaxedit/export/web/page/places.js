// Where an edit shows in an image of a face: glasses about the eyes, hair where hair is. Soft masks, from 68 landmarks in
// fractions of the image's side and from how surely each cell shows a person. The places are those of `jaxedit edit`.

import { GRID, larger, narrowest, smoothed, sure, times, widest } from "./cells.js";

const TOUCHED = [0.1, 0.5]; // probabilities of a person, between which hairs may reach
const SHOWN = [0.3, 0.7]; // the same for where the person hides what is behind
const HAIR_REACH = Math.round(0.03 * GRID);
const BODY_RIM = Math.round(0.02 * GRID);
const SPREAD = 2; // cells by which hair may spread to either side from one row to the next
const CROWN = [0.3, 0.8]; // depths between which the crown ends: 0 at the eyes, 1 at the mouth
const TINY = 1e-9;

// What is seen of an image: the landmarks of its face, and its person on the grid.
export class Seen {
  constructor(landmarks, person) {
    Object.assign(this, { landmarks, person });
    const mean = (points) => [0, 1].map((i) => points.reduce((sum, point) => sum + point[i], 0) / points.length);
    const [left, right] = [mean(landmarks.slice(36, 42)), mean(landmarks.slice(42, 48))];
    this.middle = mean([left, right]);
    this.across = [0, 1].map((i) => right[i] - left[i]);
    const mouth = mean([landmarks[48], landmarks[54]]);
    this.down = [0, 1].map((i) => mouth[i] - this.middle[i]);
    this.unit = Math.max(Math.hypot(...this.across), 0.9 * Math.hypot(...this.down));
  }

  // A landmark, moved along both directions of the face by parts of their lengths.
  point(index, across = 0, down = 0) {
    return [0, 1].map((i) => this.landmarks[index][i] + across * this.across[i] + down * this.down[i]);
  }

  // How far down a place lies: 0 at the eyes, 1 at the mouth.
  depth(x, y) {
    const length = Math.max(this.down[0] ** 2 + this.down[1] ** 2, TINY);
    return ((x - this.middle[0]) * this.down[0] + (y - this.middle[1]) * this.down[1]) / length;
  }
}

// Where an edit shows, and the part of it that gets the edit's colors. Without a place that is everywhere.
export function masksOf(place, before, after) {
  if (place === null) {
    const all = new Float32Array(GRID * GRID).fill(1);
    return { place: all, colors: all };
  }
  const either = larger(...[before, after].map((seen) => maskOf(place, seen)));
  const body = smoothed(sure(after.person, ...SHOWN), 1);
  return { place: either, colors: times(either, place === "background" ? body.map((value) => 1 - value) : body) };
}

function maskOf(place, seen) {
  if (place === "background") {
    return smoothed(narrowest(sure(seen.person, ...TOUCHED), BODY_RIM), BODY_RIM).map((value) => 1 - value);
  }
  if (place === "hair") return hairOf(seen);
  if (place === "crown") {
    return onGrid((x, y, i, hair) => hair[i] * Math.min(Math.max((CROWN[1] - seen.depth(x, y)) / (CROWN[1] - CROWN[0]), 0), 1), hairOf(seen));
  }
  const near = grown(sure(seen.person, ...TOUCHED));
  return place === "person" ? near : times(near, shapeOf(place, seen));
}

function onGrid(value, ...others) {
  return Float32Array.from({ length: GRID * GRID }, (_, i) => value(((i % GRID) + 0.5) / GRID, (Math.floor(i / GRID) + 0.5) / GRID, i, ...others));
}

function range(first, last) {
  const step = first < last ? 1 : -1;
  return Array.from({ length: Math.abs(last - first) + 1 }, (_, i) => first + i * step);
}

function shapeOf(place, face) {
  const p = (...arguments_) => face.point(...arguments_);
  const all = (...numbers) => numbers.map((number) => p(number));
  const eyes = [[p(36), p(39)], [p(42), p(45)]];
  switch (place) {
    case "eyes":
      return strokes(face, eyes, 0.2, 0.2);
    case "brows":
      return polygon(face, all(...range(17, 26), 45, 46, 41, 36), 0.2, 0.25);
    case "glasses": {
      const lower = [p(36, 0, 0.12), p(45, 0, 0.12)];
      return strokes(face, [...eyes, [p(39), p(42)], lower, [p(36), p(0)], [p(45), p(16)]], 0.36, 0.3);
    }
    case "mouth":
      return polygon(face, all(...range(48, 59)), 0.15, 0.2);
    case "jaw":
      return polygon(face, all(...range(3, 13), 35, 33, 31), 0.15, 0.25);
    case "expression":
      return polygon(face, all(...range(1, 15), 45, 44, 43, 38, 37, 36), 0.15, 0.25);
    case "ears":
      return strokes(face, [[p(0, -0.12), p(2, -0.12, 0.35)], [p(16, 0.12), p(14, 0.12, 0.35)]], 0.28, 0.25);
    case "face":
      return polygon(face, [...all(...range(0, 16)), ...range(26, 17).map((number) => p(number, 0, -0.75))], 0.05, 0.25);
    default:
      throw new Error(`axes.json: expected a known place, found ${place}. Export the page again.`);
  }
}

// The person without face, neck and clothes. Hair reaches down from the head; beside a bare neck the background ends it.
function hairOf(face) {
  const p = (...arguments_) => face.point(...arguments_);
  const skin = polygon(face, [...range(0, 16), ...range(26, 17)].map((number) => p(number)), -0.18, 0.2);
  const neck = polygon(face, [p(4), p(12), p(12, 0, 4), p(4, 0, 4)], 0, 0.1);
  const bare = larger(skin, neck);
  const hair = hanging(face, sure(face.person, ...SHOWN).map((value, i) => value * (1 - bare[i])));
  return grown(hair).map((value, i) => value * (1 - skin[i]));
}

// What stands on the head and what hangs from it: not other people, beside or behind.
function hanging(face, person) {
  const brow = strokes(face, [[face.point(0), face.point(16)]], 0.25, 0.1);
  const risen = new Float32Array(GRID * GRID);
  const result = new Float32Array(GRID * GRID);
  for (let row = GRID - 1; row >= 0; row--) reach(risen, person, brow, row, row + 1, 1);
  for (let row = 0; row < GRID; row++) reach(result, person, risen, row, row - 1, SPREAD);
  return result;
}

// A row of what is reached from its seeds and from the row beside it.
function reach(cells, person, seeds, row, beside, spread) {
  for (let column = 0; column < GRID; column++) {
    const at = row * GRID + column;
    let most = seeds[at];
    for (let k = Math.max(column - spread, 0); k <= Math.min(column + spread, GRID - 1) && beside >= 0 && beside < GRID; k++) {
      most = Math.max(most, cells[beside * GRID + k]);
    }
    cells[at] = Math.min(person[at], most);
  }
}

function grown(cells) {
  return smoothed(widest(cells, HAIR_REACH), HAIR_REACH);
}

// What lies about some lines: 1 up to a distance, fading to 0 over another, both in units of the face.
function strokes(face, lines, reach, fade) {
  return onGrid((x, y) => fadedBy(distanceTo(lines, x, y) / face.unit, reach, fade));
}

// The inside of a polygon, and what lies about it; a negative reach leaves a rim inside out.
function polygon(face, corners, reach, fade) {
  const lines = corners.map((corner, i) => [corner, corners[(i + 1) % corners.length]]);
  return onGrid((x, y) => {
    const distance = distanceTo(lines, x, y) / face.unit;
    return fadedBy(isInside(lines, x, y) ? -distance : distance, reach, fade);
  });
}

function fadedBy(distance, reach, fade) {
  const share = Math.min(Math.max(1 - (distance - reach) / fade, 0), 1);
  return share * share * (3 - 2 * share);
}

function distanceTo(lines, x, y) {
  let nearest = Infinity;
  for (const [start, end] of lines) {
    const alongX = end[0] - start[0];
    const alongY = end[1] - start[1];
    const length = Math.max(alongX * alongX + alongY * alongY, TINY);
    const part = Math.min(Math.max(((x - start[0]) * alongX + (y - start[1]) * alongY) / length, 0), 1);
    const offX = x - start[0] - part * alongX;
    const offY = y - start[1] - part * alongY;
    nearest = Math.min(nearest, offX * offX + offY * offY);
  }
  return Math.sqrt(nearest + TINY);
}

// Whether a line to the left leaves the polygon an odd number of times.
function isInside(lines, x, y) {
  let inside = false;
  for (const [[x0, y0], [x1, y1]] of lines) {
    if (y0 > y !== y1 > y && x < ((x1 - x0) * (y - y0)) / (y1 - y0) + x0) inside = !inside;
  }
  return inside;
}
