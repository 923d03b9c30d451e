// What was edited, for undo and redo.

export class History {
  constructor(state) {
    this.states = [state];
    this.at = 0;
  }

  get canUndo() {
    return this.at > 0;
  }

  get canRedo() {
    return this.at < this.states.length - 1;
  }

  get state() {
    return this.states[this.at];
  }

  push(state) {
    if (isSame(state, this.state)) return;
    this.states.splice(this.at + 1, Infinity, state);
    this.at++;
  }

  replace(state) {
    this.states[this.at] = state;
  }

  undo() {
    if (this.canUndo) this.at--;
    return this.state;
  }

  redo() {
    if (this.canRedo) this.at++;
    return this.state;
  }
}

function isSame(one, other) {
  return one.seed === other.seed && keyOf(one.amounts) === keyOf(other.amounts);
}

// The same text for the same amounts, in whatever order they came.
export function keyOf(amounts) {
  const named = Object.entries(amounts).filter(([, amount]) => amount !== 0);
  return JSON.stringify(named.sort(([one], [other]) => (one < other ? -1 : 1)));
}
