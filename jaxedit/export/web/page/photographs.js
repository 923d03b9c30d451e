// Photographs: the crop of a face as the generator knows faces, and the way back. Coordinates are (x, y) in pixels of the
// photograph, y downward.

import { sampled, shrink } from "./images.js";
import { GRID, motion } from "./motion.js";

const BORDER = 0.08; // width of the fade at the edges of a crop, in fractions of its side
const OVAL = [0.95, 1.2]; // distances from the middle of a crop, in halves of its side, between which edits fade

// The square around a face, from the middles of its eyes and of its mouth: its upper left corner, and its upper and left
// sides. The recipe is that of the FFHQ dataset (Karras, Laine, Aila, CVPR 2019, appendix A).
export function squareOf(leftEye, rightEye, mouth) {
  const eyes = [(leftEye[0] + rightEye[0]) / 2, (leftEye[1] + rightEye[1]) / 2];
  const across = [rightEye[0] - leftEye[0], rightEye[1] - leftEye[1]];
  const down = [mouth[0] - eyes[0], mouth[1] - eyes[1]];
  const direction = [across[0] + down[1], across[1] - down[0]];
  const half = Math.max(2 * Math.hypot(...across), 1.8 * Math.hypot(...down));
  const length = Math.hypot(...direction);
  if (half < 1 || length < 1e-3 * half) throw new Error("The eyes and the mouth must be apart from each other.");
  const x = direction.map((value) => (value * half) / length);
  const y = [-x[1], x[0]];
  const center = [eyes[0] + 0.1 * down[0], eyes[1] + 0.1 * down[1]];
  return {
    corner: [center[0] - x[0] - y[0], center[1] - x[1] - y[1]],
    across: [2 * x[0], 2 * x[1]],
    down: [2 * y[0], 2 * y[1]],
  };
}

// The square as an image of `side` pixels, planar in −1…1. Beyond the photograph it is mirrored.
export function cut(photograph, { corner, across, down }, side) {
  const canvas = new OffscreenCanvas(side, side);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const area = across[0] * down[1] - across[1] * down[0];
  const [a, c, b, d] = [down[1], -down[0], -across[1], across[0]].map((value) => (value * side) / area);
  context.imageSmoothingQuality = "high";
  const { width, height } = photograph;
  for (const column of [-1, 1, 0]) {
    for (const row of [-1, 1, 0]) {
      context.setTransform(a, b, c, d, -(a * corner[0] + c * corner[1]), -(b * corner[0] + d * corner[1]));
      context.translate(column === 1 ? 2 * width : 0, row === 1 ? 2 * height : 0);
      context.scale(column ? -1 : 1, row ? -1 : 1);
      context.drawImage(photograph, 0, 0);
    }
  }
  return toPlanes(context.getImageData(0, 0, side, side).data, side * side);
}

export function toPlanes(pixels, area) {
  const image = new Float32Array(3 * area);
  for (let i = 0; i < area; i++) {
    for (let color = 0; color < 3; color++) image[color * area + i] = pixels[4 * i + color] / 127.5 - 1;
  }
  return image;
}

// An edit in the crop of a photograph: the change that the edit makes of what the generator draws is added to the crop,
// so that all stays that the generator cannot draw. Where something moved, the edited image itself is taken. The corners
// of the crop, where a head does not reach, stay as they were.
export function composed(crop, drawn, edited, side) {
  const moved = motion(drawn, edited, side);
  const area = side * side;
  const result = new Float32Array(3 * area);
  for (let i = 0; i < area; i++) {
    const column = (((i % side) + 0.5) * GRID) / side - 0.5;
    const row = ((Math.floor(i / side) + 0.5) * GRID) / side - 0.5;
    const part = sampled(moved, 0, GRID, column, row);
    const weight = oval(((i % side) + 0.5) / side, (Math.floor(i / side) + 0.5) / side);
    for (let at = i; at < 3 * area; at += area) {
      const after = Math.min(Math.max(edited[at], -1), 1);
      const change = after - Math.min(Math.max(drawn[at], -1), 1);
      result[at] = crop[at] + weight * ((1 - part) * change + part * (after - crop[at]));
    }
  }
  return result;
}

function oval(u, v) {
  const distance = Math.hypot(2 * u - 1, 2 * v - 1);
  return smoothStep((OVAL[1] - distance) / (OVAL[1] - OVAL[0]));
}

function smoothStep(value) {
  const x = Math.min(Math.max(value, 0), 1);
  return x * x * (3 - 2 * x);
}

// The whole photograph with the change of its crop from `before` to `after` (bytes of canvases of `side` pixels).
export function pasted(photograph, square, before, after, side) {
  const { width, height } = photograph;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(photograph, 0, 0);
  const { corner, across, down } = square;
  const corners = [[0, 0], [1, 0], [0, 1], [1, 1]].map(([u, v]) => [0, 1].map((i) => corner[i] + u * across[i] + v * down[i]));
  const limits = [0, 1].map((i) => corners.map((point) => point[i]));
  const [left, top] = limits.map((values) => Math.max(Math.floor(Math.min(...values)), 0));
  const right = Math.min(Math.ceil(Math.max(...limits[0])), width);
  const bottom = Math.min(Math.ceil(Math.max(...limits[1])), height);
  if (right <= left || bottom <= top) return canvas;
  // A photograph that is coarser than the crop takes means over the crop's pixels.
  let size = side;
  const factor = Math.floor(side / Math.hypot(...across));
  let change = new Float32Array(3 * size * size);
  for (let i = 0; i < size * size; i++) {
    for (let color = 0; color < 3; color++) change[color * size * size + i] = after[4 * i + color] - before[4 * i + color];
  }
  if (factor > 1) {
    const whole = Math.floor(side / factor);
    if (whole * factor === side) [change, size] = [shrink(change, side, factor), whole];
  }
  const faded = fades(square, width, height);
  const part = context.getImageData(left, top, right - left, bottom - top);
  const area = across[0] * down[1] - across[1] * down[0];
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const [dx, dy] = [x + 0.5 - corner[0], y + 0.5 - corner[1]];
      const u = (dx * down[1] - dy * down[0]) / area;
      const v = (dy * across[0] - dx * across[1]) / area;
      const weight = u <= 0 || v <= 0 || u >= 1 || v >= 1 ? 0 : faded(u, v);
      if (weight === 0) continue;
      const at = 4 * ((y - top) * (right - left) + x - left);
      for (let color = 0; color < 3; color++) {
        part.data[at + color] += weight * sampled(change, color * size * size, size, u * size - 0.5, v * size - 0.5);
      }
    }
  }
  context.putImageData(part, left, top);
  return canvas;
}

// 1 inside the square, 0 at its edges, but for edges that lie outside the photograph.
function fades({ corner, across, down }, width, height) {
  const isInside = (u0, v0, u1, v1) => {
    for (let i = 0; i <= 64; i++) {
      const [u, v] = [u0 + ((u1 - u0) * i) / 64, v0 + ((v1 - v0) * i) / 64];
      const [x, y] = [0, 1].map((k) => corner[k] + u * across[k] + v * down[k]);
      if (x > 0 && x < width && y > 0 && y < height) return true;
    }
    return false;
  };
  const sides = [
    [isInside(0, 0, 1, 0), (u, v) => v],
    [isInside(0, 1, 1, 1), (u, v) => 1 - v],
    [isInside(0, 0, 0, 1), (u) => u],
    [isInside(1, 0, 1, 1), (u) => 1 - u],
  ].filter(([isShown]) => isShown);
  return (u, v) => sides.reduce((product, [, distance]) => product * smoothStep(distance(u, v) / BORDER), 1);
}
