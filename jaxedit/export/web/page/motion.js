// Where structures moved, appeared or vanished between two images: 0 … 1, on a coarse grid, smooth. In each window the
// lightnesses are compared by their correlation, so that light and color may change, and flat skin counts as at rest.

export const GRID = 128;
const REACH = 4; // of windows of nine cells
const CONTRAST = 1e-3; // variance below which a window shows no structure that could move
const [STILL, MOVED] = [0.05, 0.3]; // dissimilarities

// Both images planar, in −1…1, square.
export function motion(before, after, side) {
  const [b, a] = [before, after].map((image) => lightness(image, side));
  const [meanB, meanA] = [b, a].map(windowMeans);
  const products = [[b, b], [a, a], [b, a]].map(([x, y]) => windowMeans(x.map((value, i) => value * y[i])));
  const moved = b.map((_, i) => {
    const varianceB = products[0][i] - meanB[i] ** 2;
    const varianceA = products[1][i] - meanA[i] ** 2;
    const covariance = products[2][i] - meanB[i] * meanA[i];
    const spread = Math.sqrt(Math.max(varianceB * varianceA, 1e-12));
    const dissimilarity = 1 - (covariance + CONTRAST) / (spread + CONTRAST);
    return Math.min(Math.max((dissimilarity - STILL) / (MOVED - STILL), 0), 1);
  });
  return windowMeans(windowMaxima(moved));
}

function lightness(image, side) {
  const area = side * side;
  const gray = new Float32Array(area);
  for (let i = 0; i < 3 * area; i++) gray[i % area] += Math.min(Math.max(image[i], -1), 1) / 3;
  return transposedRows(transposedRows(gray, side, side), side, GRID);
}

// Rows shrunk to the grid by a triangle filter, as columns: twice, and both sides are shrunk.
function transposedRows(values, length, count) {
  const result = new Float32Array(GRID * count);
  const factor = length / GRID;
  for (let cell = 0; cell < GRID; cell++) {
    const center = (cell + 0.5) * factor - 0.5;
    const first = Math.max(Math.ceil(center - factor), 0);
    const weights = [];
    for (let i = first; i < length && i < center + factor; i++) weights.push(1 - Math.abs(i - center) / factor);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (let row = 0; row < count; row++) {
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * values[row * length + first + i];
      result[cell * count + row] = sum / total;
    }
  }
  return result;
}

function windowMeans(cells) {
  return inWindows(cells, (line, low, high) => {
    let sum = 0;
    for (let i = low; i <= high; i++) sum += line(i);
    return sum / (high - low + 1);
  });
}

function windowMaxima(cells) {
  return inWindows(cells, (line, low, high) => {
    let most = line(low);
    for (let i = low + 1; i <= high; i++) most = Math.max(most, line(i));
    return most;
  });
}

function inWindows(cells, reduce) {
  let result = cells;
  for (const [step, across] of [[1, GRID], [GRID, 1]]) {
    const next = new Float32Array(cells.length);
    for (let number = 0; number < GRID; number++) {
      const line = (i) => result[number * across + i * step];
      for (let i = 0; i < GRID; i++) {
        next[number * across + i * step] = reduce(line, Math.max(i - REACH, 0), Math.min(i + REACH, GRID - 1));
      }
    }
    result = next;
  }
  return result;
}
