// The faces of a photograph: the search of `jaxedit align`. A detector proposes boxes, a network places 68 landmarks in
// each. They are refined in the upright square that they define, and the detector must confirm the face there. Where
// nothing is found, the photograph is searched turned by quarters, and in tiles. Points are (x, y) in pixels, y downward.

import { squareOf } from "./photographs.js";
import { cutSquare, part, putPlanes, resized, toBytes, turned } from "./resampling.js";

const MOST_PIXELS = 3328; // a side; a larger photograph is searched reduced
export const LEAST_PIXELS = 64;
const SIZES = [224, 416, 832]; // of the detector's images
const [TILE, OVERLAP] = [832, 128];
const TILED_SIDES = [1664, 3328, 4992];
const LARGEST_GAIN = 2; // enlarged by more, a photograph shows no more faces
const SEARCHES = [[false, [0]], [false, [1, 3, 2]], [true, [0]], [true, [1, 3]]]; // in tiles or not, and the quarter turns
const [PROPOSED, SURE] = [0.3, 0.5]; // scores
const MOST_SHARED = 0.4; // of two boxes of different faces
const [CROP, REFINED, CONFIRMED] = [160, 256, 320]; // pixels a side
const EXTENT = 2; // of the view in which a face is confirmed, in sides of its square
const REFINEMENTS = 2;
const NUDGES = [[0, 1], [10, 1], [-10, 1], [0, 1.12], [0, 0.9]]; // degrees and scales of moved squares
const STEADY = 0.012; // faces seen upside down move by more
const BIAS = 0.0077; // of the landmarks' heights, in sides of the square
const [LEFT, TOP, SIDE] = [76 / 512, 110 / 512, 360 / 512]; // of the face in its square
const NUM_LANDMARKS = 68;
const MIRRORED = [
  ...range(16, 0), ...range(26, 17), ...range(27, 30), ...range(35, 31),
  45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
  ...range(54, 48), ...range(59, 55), ...range(64, 60), ...range(67, 65),
]; // each landmark's number in a mirrored face

function range(first, last) {
  const step = first < last ? 1 : -1;
  return Array.from({ length: Math.abs(last - first) + 1 }, (_, i) => first + i * step);
}

function meanOf(points) {
  return [0, 1].map((i) => points.reduce((sum, point) => sum + point[i], 0) / points.length);
}

// Where the eyes and the mouth are by the landmarks.
export function eyesAndMouth(landmarks) {
  return [meanOf(landmarks.slice(36, 42)), meanOf(landmarks.slice(42, 48)), meanOf([landmarks[48], landmarks[54]])];
}

// The faces of a photograph, the largest first: { landmarks, score, square }.
// `networks` are { detect, landmarks }: planes of images and their number ↦ { boxes, scores }, or fractions of the side.
// `report` gets what is looked for, and may wait, or throw to stop the search.
export async function findFaces(photograph, networks, report) {
  const photo = toBytes(photograph, MOST_PIXELS);
  const search = new Search(photo, networks, report);
  const faces = await search.run();
  const scale = photograph.width / photo.width;
  return faces
    .map(({ landmarks, score }) => {
      const points = landmarks.map((point) => point.map((value) => value * scale));
      return { landmarks: points, score, square: squareOf(...eyesAndMouth(points)) };
    })
    .sort((one, other) => sideOf(other.square) - sideOf(one.square));
}

class Search {
  constructor(photo, networks, report) {
    Object.assign(this, { photo, networks, report, faces: [] });
  }

  async run() {
    for (const [number, [isInTiles, turns]] of SEARCHES.entries()) {
      for (const turn of turns) await this.addFaces(turn, isInTiles);
      if (this.faces.some((face) => number > 0 || isLevel(face.square))) break;
    }
    return this.faces;
  }

  async addFaces(turn, isInTiles) {
    const image = turned(this.photo, turn);
    const text = `Looking for ${isInTiles ? "small faces" : "faces"}${turn ? " in the turned photograph" : ""} …`;
    const boxes = await (isInTiles ? this.boxesInTiles(image, text) : this.boxes(image, text));
    for (const { box } of boxes) {
      await this.report(text);
      const face = await this.face(image, box, turn);
      if (face) this.faces.push(face);
    }
  }

  // The face in a box of the turned photograph, in the photograph's own coordinates; null where none is, or one that is
  // known already.
  async face(image, box, turn) {
    const landmarks = await this.landmarksIn(image, box);
    if (!landmarks) return null;
    const back = landmarks.map((point) => turnedBack(point, this.photo, turn));
    try {
      if (this.isTaken(squareOfLandmarks(back))) return null;
      const face = await this.confirmed(await this.refined(back));
      return face.score > SURE && !this.isTaken(face.square) ? face : null;
    } catch (error) {
      if (error instanceof NoFace) return null;
      throw error;
    }
  }

  isTaken(square) {
    return this.faces.some((face) => shared(uprightBox(face.square), uprightBox(square)) > MOST_SHARED);
  }

  async boxes(image, text) {
    const longest = Math.max(image.width, image.height);
    const found = [];
    for (const size of SIZES.filter((size, i) => i === 0 || size < 2 * longest)) {
      await this.report(text);
      const scaled = resized(image, scaledTo(image.width, size / longest), scaledTo(image.height, size / longest));
      found.push(...(await this.proposals(part(scaled, 0, 0, size, size), longest / size, 0, 0)));
    }
    return different(found);
  }

  async boxesInTiles(image, text) {
    const longest = Math.max(image.width, image.height);
    const found = [];
    for (const size of TILED_SIDES.filter((size) => size < LARGEST_GAIN * longest)) {
      const scaled = resized(image, scaledTo(image.width, size / longest), scaledTo(image.height, size / longest));
      for (const top of tileStarts(scaled.height)) {
        for (const left of tileStarts(scaled.width)) {
          await this.report(text);
          found.push(...(await this.proposals(part(scaled, left, top, TILE, TILE), longest / size, left, top)));
        }
      }
    }
    return different(found);
  }

  // Likely boxes in a square part of an image that was scaled.
  async proposals(square, scale, left, top) {
    const planes = new Float32Array(3 * square.width * square.width);
    putPlanes(planes, 0, square);
    const { boxes, scores } = await this.networks.detect(planes, square.width, 1);
    const found = [];
    for (const [i, score] of scores.entries()) {
      if (score <= PROPOSED) continue;
      const box = Array.from(boxes.subarray(4 * i, 4 * i + 4), (value, k) => (value * square.width + (k % 2 ? top : left)) * scale);
      found.push({ box, score });
    }
    return found;
  }

  // First landmarks, from the whole pixels of a box, padded with black to a square; null if it lies beyond the image.
  async landmarksIn(image, box) {
    const [x, y] = [Math.max(box[0], 0), Math.max(box[1], 0)];
    const [left, top] = [Math.floor(x), Math.floor(y)];
    const width = Math.trunc(Math.min(box[2], image.width) - x);
    const height = Math.trunc(Math.min(box[3], image.height) - y);
    if (width <= 0 || height <= 0) return null;
    const side = Math.max(width, height);
    const [across, down] = [Math.floor((side - width) / 2), Math.floor((side - height) / 2)];
    const square = { pixels: new Uint8ClampedArray(4 * side * side), width: side, height: side };
    const inside = part(image, left, top, width, height);
    for (let row = 0; row < height; row++) {
      square.pixels.set(inside.pixels.subarray(4 * row * width, 4 * (row + 1) * width), 4 * ((row + down) * side + across));
    }
    const planes = new Float32Array(3 * CROP * CROP);
    putPlanes(planes, 0, resized(square, CROP, CROP));
    const fractions = await this.networks.landmarks(planes, 1);
    return points(fractions, 0).map(([u, v]) => [u * side + left - across, v * side + top - down]);
  }

  // Landmarks in the upright square that they define, and in its mirror image.
  async refined(landmarks, times = REFINEMENTS) {
    let result = landmarks;
    for (let i = 0; i < times; i++) {
      const square = squareOfLandmarks(result);
      const places = await bothSides(this.view(square, REFINED), this.networks.landmarks);
      result = inSquare(places).map(([u, y]) => {
        const v = y + BIAS;
        return [0, 1].map((k) => square.corner[k] + u * square.across[k] + v * square.down[k]);
      });
    }
    return result;
  }

  // The face, or that of the other way up, if its landmarks are steadier: to the networks the mouth of some looks like
  // eyes, and the detector's score is as high then.
  async confirmed(landmarks) {
    const square = squareOfLandmarks(landmarks);
    const score = await this.score(square);
    const own = score > SURE ? await this.unsteadiness(landmarks, square) : 0;
    if (own > STEADY) {
      const middle = middleOf(square);
      const turnedAbout = landmarks.map((point) => point.map((value, i) => 2 * middle[i] - value));
      const other = await this.refined(turnedAbout);
      const otherSquare = squareOfLandmarks(other);
      const otherScore = await this.score(otherSquare);
      if (otherScore > SURE && (await this.unsteadiness(other, otherSquare)) < own) {
        return { landmarks: other, square: otherSquare, score: otherScore };
      }
    }
    return { landmarks, square, score };
  }

  // By how much landmarks move, in square sides, when they are refined from squares that lean or are of another size.
  async unsteadiness(landmarks, square) {
    const middle = meanOf(landmarks);
    const found = [];
    for (const [degrees, scale] of NUDGES) {
      const [cosine, sine] = [Math.cos, Math.sin].map((part) => scale * part((degrees * Math.PI) / 180));
      const moved = landmarks.map((point) => {
        const [x, y] = point.map((value, i) => value - middle[i]);
        return [middle[0] + cosine * x - sine * y, middle[1] + sine * x + cosine * y];
      });
      found.push(await this.refined(moved, 1));
    }
    let total = 0;
    for (let i = 0; i < NUM_LANDMARKS; i++) {
      const [x, y] = meanOf(found.map((points) => points[i]));
      for (const points of found) total += (points[i][0] - x) ** 2 + (points[i][1] - y) ** 2;
    }
    return Math.sqrt(total / (found.length * NUM_LANDMARKS)) / sideOf(square);
  }

  // The detector's score of the face in an upright view, averaged with that of the mirrored view.
  async score({ corner, across, down }) {
    const more = (EXTENT - 1) / 2;
    const wide = {
      corner: corner.map((value, i) => value - more * (across[i] + down[i])),
      across: across.map((value) => EXTENT * value),
      down: down.map((value) => EXTENT * value),
    };
    const view = this.view(wide, CONFIRMED);
    const planes = new Float32Array(6 * CONFIRMED * CONFIRMED);
    putPlanes(planes, 0, view);
    putPlanes(planes, 3 * CONFIRMED * CONFIRMED, view, true);
    const { boxes, scores } = await this.networks.detect(planes, CONFIRMED, 2);
    const expected = [LEFT, TOP, LEFT + SIDE, TOP + SIDE];
    const most = [0, 0];
    for (const [i, score] of scores.entries()) {
      const which = i < scores.length / 2 ? 0 : 1;
      if (score <= most[which]) continue;
      const place = Array.from(boxes.subarray(4 * i, 4 * i + 4), (value) => (value - 0.5) * EXTENT + 0.5);
      if (shared(expected, place) > MOST_SHARED) most[which] = score;
    }
    return (most[0] + most[1]) / 2;
  }

  view(square, size) {
    const { width, height } = this.photo;
    const [x, y] = middleOf(square);
    const side = sideOf(square);
    const isAbout = x >= 0 && x <= width && y >= 0 && y <= height && side >= 1 && side <= 8 * Math.max(width, height);
    if (!isAbout) throw new NoFace();
    return cutSquare(this.photo, square, size);
  }
}

// Landmarks in fractions of the face's part of an image that is aligned as FFHQ is: the mean of those that the network
// places in it and in its mirror image.
export async function bothSides(view, landmarks) {
  const [left, top, side] = [LEFT, TOP, SIDE].map((fraction) => fraction * view.width);
  const crop = resized(view, CROP, CROP, [left, top, left + side, top + side]);
  const planes = new Float32Array(6 * CROP * CROP);
  putPlanes(planes, 0, crop);
  putPlanes(planes, 3 * CROP * CROP, crop, true);
  const fractions = await landmarks(planes, 2);
  const [seen, mirrored] = [points(fractions, 0), points(fractions, 1)];
  return seen.map(([x, y], number) => {
    const [otherX, otherY] = mirrored[MIRRORED[number]];
    return [(x + 1 - otherX) / 2, (y + otherY) / 2];
  });
}

// The same in fractions of the whole image.
export function inSquare(places) {
  return places.map(([x, y]) => [LEFT + SIDE * x, TOP + SIDE * y]);
}

class NoFace extends Error {}

function squareOfLandmarks(landmarks) {
  try {
    return squareOf(...eyesAndMouth(landmarks));
  } catch {
    throw new NoFace(); // the landmarks define no square
  }
}

function points(fractions, image) {
  const start = 2 * NUM_LANDMARKS * image;
  return Array.from({ length: NUM_LANDMARKS }, (_, i) => [fractions[start + 2 * i], fractions[start + 2 * i + 1]]);
}

function scaledTo(length, scale) {
  return Math.max(1, Math.round(length * scale));
}

// Where tiles begin, so that they cover a length.
export function tileStarts(length) {
  const count = Math.max(1, Math.ceil((length - OVERLAP) / (TILE - OVERLAP)));
  return Array.from({ length: count }, (_, i) => (count === 1 ? 0 : Math.round((i * (length - TILE)) / (count - 1))));
}

// A point of the photograph that was turned, in the photograph as it was.
function turnedBack([x, y], { width, height }, turn) {
  return [[x, y], [width - y, x], [width - x, height - y], [y, height - x]][turn];
}

// Boxes of different faces, the highest score first.
function different(found) {
  const chosen = [];
  for (const one of [...found].sort((a, b) => b.score - a.score)) {
    if (chosen.every((other) => shared(other.box, one.box) <= MOST_SHARED)) chosen.push(one);
  }
  return chosen;
}

// Intersection over union of two boxes.
function shared(one, other) {
  const [width, height] = [0, 1].map((i) => Math.max(Math.min(one[i + 2], other[i + 2]) - Math.max(one[i], other[i]), 0));
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  return (width * height) / (area(one) + area(other) - width * height);
}

export function sideOf({ across }) {
  return Math.hypot(...across);
}

export function middleOf({ corner, across, down }) {
  return corner.map((value, i) => value + (across[i] + down[i]) / 2);
}

// The upright square of the same middle and size.
function uprightBox(square) {
  const [x, y] = middleOf(square);
  const half = sideOf(square) / 2;
  return [x - half, y - half, x + half, y + half];
}

// Whether the head leans by less than 45°.
function isLevel({ across: [x, y] }) {
  return x > Math.abs(y);
}
