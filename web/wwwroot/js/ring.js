// The samples of one VM: a ring of rows in typed arrays, one column a series, ordered by time.
// Columns are found by key, so a changed schema (a vector came or went) keeps what it shares with the old one.

export class SampleRing {
  #capacity;
  #start = 0;
  #length = 0;
  #times;
  #columns = new Map();
  #schema = [];

  constructor(capacity) {
    this.#capacity = capacity;
    this.#times = new Float64Array(capacity);
  }

  get length() { return this.#length; }
  get lastTime() { return this.#length === 0 ? NaN : this.#times[this.#slot(this.#length - 1)]; }
  get keys() { return [...this.#columns.keys()]; }

  /** Names the columns of the rows to come. A null key is a column that nobody keeps. */
  setSchema(keys) {
    this.#schema = keys;
    const wanted = new Set(keys.filter(key => key !== null));
    for (const key of this.#columns.keys())
      if (!wanted.has(key)) this.#columns.delete(key);
    for (const key of wanted)
      if (!this.#columns.has(key)) this.#columns.set(key, new Float64Array(this.#capacity).fill(NaN));
  }

  /** Adds rows (row-major, in the schema's order). A row of a time that is already here is dropped: a back-fill may overlap. */
  add(times, values) {
    if (times.length === 0) return;
    const columns = this.#schema.length;
    if (values.length !== times.length * columns)
      throw new RangeError(`${values.length} values for ${times.length} rows of ${columns} series`);
    if (ascending(times) && !(times[0] <= this.lastTime)) {
      for (let row = 0; row < times.length; row++) this.#push(times[row], values, row * columns);
      return;
    }
    this.#merge(times, values, columns);
  }

  /** The times, oldest first, as an array of its own. */
  times() { return this.#unroll(this.#times); }

  /** One series, oldest first, or null when there is none of that key. NaN where a row did not have it. */
  column(key) {
    const column = this.#columns.get(key);
    return column === undefined ? null : this.#unroll(column);
  }

  /** The newest value of a series; NaN when there is none. */
  last(key) {
    const column = this.#columns.get(key);
    return column === undefined || this.#length === 0 ? NaN : column[this.#slot(this.#length - 1)];
  }

  #slot(index) { return (this.#start + index) % this.#capacity; }

  #push(time, values, from) {
    let slot;
    if (this.#length < this.#capacity) {
      slot = this.#slot(this.#length++);
    } else {
      slot = this.#start;
      this.#start = (this.#start + 1) % this.#capacity;
    }
    this.#times[slot] = time;
    for (const column of this.#columns.values()) column[slot] = NaN;
    for (let i = 0; i < this.#schema.length; i++)
      if (this.#schema[i] !== null) this.#columns.get(this.#schema[i])[slot] = values[from + i];
  }

  #unroll(source) {
    const out = new Float64Array(this.#length);
    const head = Math.min(this.#length, this.#capacity - this.#start);
    out.set(source.subarray(this.#start, this.#start + head));
    out.set(source.subarray(0, this.#length - head), head);
    return out;
  }

  // Rare: a back-fill after live rows. Rebuilt whole, because an insert into a ring shifts everything anyway.
  #merge(times, values, columns) {
    const known = this.times();
    const here = new Set(known);
    const rows = [];
    for (let i = 0; i < known.length; i++) rows.push({ time: known[i], old: i });
    for (let i = 0; i < times.length; i++)
      if (!here.has(times[i])) { here.add(times[i]); rows.push({ time: times[i], from: i * columns }); }
    rows.sort((a, b) => a.time - b.time);
    const kept = rows.slice(-this.#capacity);
    const before = new Map([...this.#columns.keys()].map(key => [key, this.column(key)]));
    this.#start = 0;
    this.#length = kept.length;
    kept.forEach((row, slot) => {
      this.#times[slot] = row.time;
      for (const [key, column] of this.#columns)
        column[slot] = row.old === undefined ? NaN : before.get(key)[row.old];
      if (row.old === undefined)
        for (let i = 0; i < columns; i++)
          if (this.#schema[i] !== null) this.#columns.get(this.#schema[i])[slot] = values[row.from + i];
    });
  }
}

function ascending(times) {
  for (let i = 1; i < times.length; i++) if (!(times[i] > times[i - 1])) return false;
  return true;
}
