// Small images, which follow a slider. They are linear maps of features, so their colors are a little off and their
// details lack. The last image at rest tells by how much: its difference from the small image of the same latents is
// added, smoothed everywhere, and in full detail where nothing has changed since.

import { blurred, shrink } from "./images.js";

const SMOOTH = 1 / 32; // radius of the smoothing, relative to the side
const CHANGED = 0.1; // change of a color, of −1…1, beyond which details of the image at rest are dropped

export class SmallImages {
  constructor(side) {
    this.side = side;
    this.rest = null;
  }

  forget() {
    this.rest = null;
  }

  // A small image without the grid that squares of 4 × 4 pixels and more, each of one feature, leave.
  softened(small, square) {
    return square >= 4 ? blurred(small, this.side, Math.floor(square / 4)) : small;
  }

  // The image at rest: whole, planar in −1…1, and the small images of its stages by their number.
  settle(whole, height, smalls) {
    const clipped = whole.map((value) => Math.min(Math.max(value, -1), 1));
    const small = shrink(clipped, height, height / this.side);
    this.rest = new Map();
    for (const [stage, own] of smalls) {
      const difference = small.map((value, i) => value - own[i]);
      const smooth = blurred(difference, this.side, Math.max(1, Math.round(SMOOTH * this.side)));
      this.rest.set(stage, { own, smooth, detail: difference.map((value, i) => value - smooth[i]) });
    }
  }

  corrected(stage, small) {
    const rest = this.rest?.get(stage);
    if (!rest) return small;
    const area = this.side * this.side;
    const change = new Float32Array(area);
    for (let i = 0; i < 3 * area; i++) change[i % area] += Math.abs(small[i] - rest.own[i]) / 3;
    const near = blurred(change, this.side, Math.max(1, Math.round((SMOOTH * this.side) / 4)));
    const kept = near.map((value) => Math.exp(-((value / CHANGED) ** 2)));
    return small.map((value, i) => value + rest.smooth[i] + kept[i % area] * rest.detail[i]);
  }
}

// Colors in −1…1, planar, as the bytes of a canvas.
export function toPixels(image, area) {
  const pixels = new Uint8ClampedArray(4 * area);
  for (let i = 0; i < area; i++) {
    pixels[4 * i] = image[i] * 127.5 + 127.5;
    pixels[4 * i + 1] = image[area + i] * 127.5 + 127.5;
    pixels[4 * i + 2] = image[2 * area + i] * 127.5 + 127.5;
    pixels[4 * i + 3] = 255;
  }
  return pixels;
}
