// Frames of the live hub's WatchVm stream (docs/dashboard.md). Everything is little-endian.
//   u8 1, UTF-8 JSON {"series":[{"key","kind","unit"}]}                      the columns of the rows that follow
//   u8 2, u8 kind, u16 rows, u16 columns, rows x (f64 ms, f64[columns])       raw values, counters cumulative
//   u8 3, u8 up                                                              the agent's link

export const frameKind = { schema: 1, rows: 2, link: 3 };
export const rowKind = { live: 2, backfill: 3 };

const headerBytes = 6;

/** Decodes one frame; throws a RangeError that says what is wrong with it. */
export function decodeFrame(bytes) {
  if (bytes.length === 0) throw new RangeError("an empty frame");
  switch (bytes[0]) {
    case frameKind.schema: return decodeSchema(bytes);
    case frameKind.rows: return decodeRows(bytes);
    case frameKind.link:
      if (bytes.length < 2) throw new RangeError("a link frame without its state");
      return { type: frameKind.link, up: bytes[1] !== 0 };
    default: throw new RangeError(`a frame of unknown kind ${bytes[0]}`);
  }
}

function decodeSchema(bytes) {
  const schema = JSON.parse(new TextDecoder().decode(bytes.subarray(1)));
  if (!Array.isArray(schema.series)) throw new RangeError("a schema frame without series");
  return { type: frameKind.schema, series: schema.series };
}

function decodeRows(bytes) {
  if (bytes.length < headerBytes) throw new RangeError("a rows frame shorter than its header");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const rowCount = view.getUint16(2, true);
  const columns = view.getUint16(4, true);
  const expected = headerBytes + rowCount * (columns + 1) * 8;
  if (bytes.length !== expected)
    throw new RangeError(`a rows frame of ${bytes.length} bytes where ${rowCount} x ${columns} needs ${expected}`);
  const times = new Float64Array(rowCount);
  const values = new Float64Array(rowCount * columns);
  let at = headerBytes;
  for (let row = 0; row < rowCount; row++) {
    times[row] = view.getFloat64(at, true);
    at += 8;
    for (let column = 0; column < columns; column++, at += 8)
      values[row * columns + column] = view.getFloat64(at, true);
  }
  return { type: frameKind.rows, kind: bytes[1], rowCount, columns, times, values };
}

/** A console frame: where data[0] stands in the VM's whole output, and the bytes. */
export function decodeConsole(bytes) {
  if (bytes.length < 8) throw new RangeError("a console frame shorter than its offset");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { offset: Number(view.getBigUint64(0, true)), data: bytes.subarray(8) };
}

/** Columns of a wall's row after its time: exits, those for interrupts, of halts, of I/O; device interrupts; guest nanoseconds. */
export const wallColumns = 6;

const wallKind = 4;

/** A frame of WatchWall: for each VM that has something new its place, whether its host's link is up, and its rows as one array of (time, columns). */
export function decodeWall(bytes) {
  if (bytes.length === 0 || bytes[0] !== wallKind) throw new RangeError("not a frame of a wall");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries = [];
  for (let at = 1; at < bytes.length;) {
    if (at + 5 > bytes.length) throw new RangeError("a wall frame that ends within an entry");
    const rowCount = view.getUint16(at + 3, true);
    const entry = { index: view.getUint16(at, true), up: bytes[at + 2] !== 0, rows: new Float64Array(rowCount * (wallColumns + 1)) };
    at += 5;
    if (at + entry.rows.length * 8 > bytes.length) throw new RangeError("a wall frame that ends within a row");
    for (let i = 0; i < entry.rows.length; i++, at += 8) entry.rows[i] = view.getFloat64(at, true);
    entries.push(entry);
  }
  return entries;
}
