// Photographs as bytes (red, green, blue, alpha) at other sizes: { pixels, width, height }.

import { blurred } from "./images.js";

const MOST_SAMPLES = 4; // along each side of a pixel of a square that is cut out
const MARGIN = 0.1; // about a square, in its sides
const FADED = 0.3; // least width of what is made up beyond the photograph, likewise
const BLUR = 0.02; // standard deviation there, likewise

// A photograph, laid over white, with at most `most` pixels a side.
export function toBytes(photograph, most) {
  const scale = Math.min(1, most / Math.max(photograph.width, photograph.height));
  const [width, height] = [photograph.width, photograph.height].map((side) => Math.max(1, Math.round(side * scale)));
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(photograph, 0, 0, width, height);
  return { pixels: context.getImageData(0, 0, width, height).data, width, height };
}

// A box of an image (left, top, right, bottom in pixels) at another size, by a triangle filter that widens where it
// shrinks.
export function resized(image, width, height, box = [0, 0, image.width, image.height]) {
  const columns = filter(image.width, box[0], box[2] - box[0], width);
  const rows = filter(image.height, box[1], box[3] - box[1], height);
  const [top, bottom] = [rows[0].first, rows[height - 1].first + rows[height - 1].weights.length];
  const lines = new Float32Array(3 * width * (bottom - top));
  for (let y = top; y < bottom; y++) {
    for (let x = 0; x < width; x++) {
      const { first, weights } = columns[x];
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let i = 0, at = 4 * (y * image.width + first); i < weights.length; i++, at += 4) {
        red += weights[i] * image.pixels[at];
        green += weights[i] * image.pixels[at + 1];
        blue += weights[i] * image.pixels[at + 2];
      }
      const to = 3 * ((y - top) * width + x);
      lines[to] = red;
      lines[to + 1] = green;
      lines[to + 2] = blue;
    }
  }
  const pixels = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let y = 0; y < height; y++) {
    const { first, weights } = rows[y];
    for (let i = 0; i < 3 * width; i++) {
      let sum = 0;
      for (let k = 0, at = 3 * width * (first - top) + i; k < weights.length; k++, at += 3 * width) sum += weights[k] * lines[at];
      pixels[4 * (y * width + Math.floor(i / 3)) + (i % 3)] = sum;
    }
  }
  return { pixels, width, height };
}

// For each of `size` pixels, the weights of those that it is made of, and the first of these.
export function filter(length, start, extent, size) {
  const step = extent / size;
  const reach = Math.max(step, 1);
  return Array.from({ length: size }, (_, i) => {
    const center = start + (i + 0.5) * step - 0.5;
    const first = Math.min(Math.max(Math.floor(center - reach) + 1, 0), length - 1);
    const last = Math.max(Math.min(Math.ceil(center + reach) - 1, length - 1), first);
    const weights = Float32Array.from({ length: last - first + 1 }, (_, k) => Math.max(1 - Math.abs(first + k - center) / reach, 0));
    const total = weights.reduce((sum, weight) => sum + weight, 0) || 1;
    return { first, weights: weights.map((weight) => weight / total) };
  });
}

// Some whole pixels of an image; black beyond it.
export function part(image, left, top, width, height) {
  const pixels = new Uint8ClampedArray(4 * width * height);
  const [from, to] = [Math.max(left, 0), Math.min(left + width, image.width)];
  for (let y = Math.max(top, 0); y < Math.min(top + height, image.height) && to > from; y++) {
    const row = image.pixels.subarray(4 * (y * image.width + from), 4 * (y * image.width + to));
    pixels.set(row, 4 * ((y - top) * width + from - left));
  }
  return { pixels, width, height };
}

// Turned against the clock by so many quarters.
export function turned(image, quarters) {
  if (quarters === 0) return image;
  const { width, height } = image;
  const from = new Uint32Array(image.pixels.buffer, image.pixels.byteOffset, width * height);
  const result = new Uint32Array(width * height);
  const [start, right, down] = [null, [width - 1, width, -1], [width * height - 1, -1, -width], [(height - 1) * width, -width, 1]][quarters];
  const [newWidth, newHeight] = quarters % 2 ? [height, width] : [width, height];
  for (let y = 0; y < newHeight; y++) {
    for (let x = 0; x < newWidth; x++) result[y * newWidth + x] = from[start + x * right + y * down];
  }
  return { pixels: new Uint8ClampedArray(result.buffer), width: newWidth, height: newHeight };
}

// An oriented square (its upper left corner, and its upper and left sides) as an image. What lies beyond the photograph
// is mirrored, blurred, and fades to the median color.
export function cutSquare(image, { corner, across, down }, side) {
  const extent = Math.hypot(...across);
  const factor = Math.max(1, Math.floor(extent / side / 2));
  let source = image;
  let [start, right, below] = [corner, across, down];
  if (factor > 1) {
    // Only as much as the square needs is shrunk.
    const corners = [[0, 0], [1, 0], [0, 1], [1, 1]].map(([u, v]) => [0, 1].map((i) => corner[i] + u * across[i] + v * down[i]));
    const reach = FADED * extent;
    const low = [0, 1].map((i) => Math.max(Math.floor(Math.min(...corners.map((point) => point[i])) - reach), 0));
    const limits = [image.width, image.height];
    const high = [0, 1].map((i) => Math.min(Math.ceil(Math.max(...corners.map((point) => point[i])) + reach), limits[i]));
    const size = [0, 1].map((i) => Math.max(1, Math.round((high[i] - low[i]) / factor)));
    const scale = [0, 1].map((i) => size[i] / (high[i] - low[i]));
    source = resized(image, ...size, [...low, ...high]);
    start = corner.map((value, i) => (value - low[i]) * scale[i]);
    [right, below] = [across, down].map((vector) => vector.map((value, i) => value * scale[i]));
  }
  const samples = Math.min(Math.ceil(Math.hypot(...right) / side) || 1, MOST_SAMPLES);
  const reaches = reachesBeyond(source, start, right, below);
  const { colors, depths } = sampledSquare(source, start, right, below, side, samples, reaches);
  return toImage(reaches ? faded(colors, depths, side) : colors, side);
}

// How far what is made up reaches beyond the image at the left, top, right and bottom; null if the square lies inside.
function reachesBeyond({ width, height }, start, right, below) {
  const length = Math.hypot(...right);
  const ends = [0, 1].map((i) => {
    const values = [start[i], start[i] + right[i], start[i] + below[i], start[i] + right[i] + below[i]];
    return [Math.min(...values) - MARGIN * length, Math.max(...values) + MARGIN * length];
  });
  const beyond = [-ends[0][0], -ends[1][0], ends[0][1] - width, ends[1][1] - height].map((value) => Math.max(value, 0));
  if (Math.max(...beyond) <= MARGIN * length - 4) return null;
  return beyond.map((value) => Math.max(value, FADED * length));
}

// Means over samples of each pixel of a square, and how far beyond the image it lies: negative inside, 1 where what is
// made up ends.
function sampledSquare({ pixels, width, height }, start, right, below, side, samples, reaches) {
  const colors = new Float32Array(3 * side * side);
  const depths = new Float32Array(side * side);
  const fine = side * samples;
  const share = 1 / (samples * samples);
  const [startX, startY, rightX, rightY, belowX, belowY] = [...start, ...right, ...below];
  for (let row = 0; row < fine; row++) {
    for (let column = 0; column < fine; column++) {
      const u = (column + 0.5) / fine;
      const v = (row + 0.5) / fine;
      const x = startX + u * rightX + v * belowX - 0.5; // no arrays here: this is done a million times
      const y = startY + u * rightY + v * belowY - 0.5;
      const at = Math.floor(row / samples) * side + Math.floor(column / samples);
      if (reaches) {
        const across = Math.max((-0.5 - x) / reaches[0], (x - width + 0.5) / reaches[2]);
        depths[at] += share * Math.max(across, (-0.5 - y) / reaches[1], (y - height + 0.5) / reaches[3]);
      }
      const left = Math.floor(x);
      const top = Math.floor(y);
      const upperRow = width * mirrored(top, height);
      const lowerRow = width * mirrored(top + 1, height);
      const first = mirrored(left, width);
      const second = mirrored(left + 1, width);
      const a = 4 * (upperRow + first);
      const b = 4 * (upperRow + second);
      const c = 4 * (lowerRow + first);
      const d = 4 * (lowerRow + second);
      for (let color = 0; color < 3; color++) {
        const upper = pixels[a + color] + (x - left) * (pixels[b + color] - pixels[a + color]);
        const lower = pixels[c + color] + (x - left) * (pixels[d + color] - pixels[c + color]);
        colors[3 * at + color] += share * (upper + (y - top) * (lower - upper));
      }
    }
  }
  return { colors, depths };
}

function mirrored(index, length) {
  if (index >= 0 && index < length) return index;
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const rest = ((index % period) + period) % period;
  return rest < length ? rest : period - rest;
}

function faded(colors, depths, side) {
  const soft = blurred(colors, side, Math.round((BLUR * side * Math.sqrt(12) - 1) / 2 / Math.sqrt(2)), 3);
  const medians = [0, 1, 2].map((color) => medianOf(colors, color));
  return colors.map((value, i) => {
    const depth = depths[Math.floor(i / 3)];
    const softer = value + Math.min(Math.max(3 * depth + 1, 0), 1) * (soft[i] - value);
    return softer + Math.min(Math.max(depth, 0), 1) * (medians[i % 3] - softer);
  });
}

function toImage(colors, side) {
  const pixels = new Uint8ClampedArray(4 * side * side).fill(255);
  for (let i = 0; i < colors.length; i++) pixels[4 * Math.floor(i / 3) + (i % 3)] = colors[i];
  return { pixels, width: side, height: side };
}

function medianOf(colors, color) {
  const counts = new Uint32Array(256);
  for (let i = color; i < colors.length; i += 3) counts[Math.min(Math.max(Math.round(colors[i]), 0), 255)]++;
  let [value, sum] = [0, counts[0]];
  while (2 * sum < colors.length / 3) sum += counts[++value];
  return value;
}

// A square image as planes in −1…1, from place `start` on of an array of images, mirrored if wanted.
export function putPlanes(planes, start, { pixels, width, height }, isMirrored = false) {
  const area = width * height;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = 4 * (y * width + (isMirrored ? width - 1 - x : x));
      for (let color = 0; color < 3; color++) planes[start + color * area + y * width + x] = pixels[at + color] / 127.5 - 1;
    }
  }
}
