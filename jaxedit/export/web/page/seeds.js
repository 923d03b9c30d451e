// Latents of a seed: the frozen stream of NumPy's RandomState([seed, 0]).standard_normal, to the last bit that float32
// keeps. The Mersenne Twister and its seeding are those of Matsumoto and Nishimura (1998, 2002), and the normal numbers
// come from Marsaglia's polar method, two at a time, of which the second is given first.

const SIZE = 624;
const SHIFT = 397;

class MersenneTwister {
  constructor(keys) {
    const state = new Uint32Array(SIZE);
    state[0] = 19650218;
    for (let i = 1; i < SIZE; i++) {
      state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
    }
    let i = 1;
    let j = 0;
    const mixed = (factor) => state[i] ^ Math.imul(state[i - 1] ^ (state[i - 1] >>> 30), factor);
    const next = () => {
      if (++i >= SIZE) {
        state[0] = state[SIZE - 1];
        i = 1;
      }
    };
    for (let count = Math.max(SIZE, keys.length); count > 0; count--) {
      state[i] = mixed(1664525) + keys[j] + j;
      j = (j + 1) % keys.length;
      next();
    }
    for (let count = SIZE - 1; count > 0; count--) {
      state[i] = mixed(1566083941) - i;
      next();
    }
    state[0] = 0x80000000;
    this.state = state;
    this.position = SIZE;
  }

  integer() {
    const state = this.state;
    if (this.position === SIZE) {
      for (let i = 0; i < SIZE; i++) {
        const both = (state[i] & 0x80000000) | (state[(i + 1) % SIZE] & 0x7fffffff);
        state[i] = state[(i + SHIFT) % SIZE] ^ (both >>> 1) ^ (both & 1 ? 0x9908b0df : 0);
      }
      this.position = 0;
    }
    let y = state[this.position++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  uniform() {
    const high = this.integer() >>> 5;
    return (high * 67108864 + (this.integer() >>> 6)) / 9007199254740992;
  }
}

// z of a face by its number: `count` numbers of N(0, 1), float32.
export function latentOfSeed(seed, count) {
  const random = new MersenneTwister([seed, 0]);
  const z = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    let x = 0;
    let y = 0;
    let square = 0;
    do {
      x = 2 * random.uniform() - 1;
      y = 2 * random.uniform() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square === 0);
    const factor = Math.sqrt((-2 * Math.log(square)) / square);
    z[i] = factor * y;
    if (i + 1 < count) z[i + 1] = factor * x;
  }
  return z;
}
