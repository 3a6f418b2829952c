// Numbers as people read them: three figures that matter, a unit that fits, and "–" for what is not known.

const unknown = "–";

/** A count or rate: 0, 0.25, 12.3, 456, 1.23 k, 45.6 k, 1.23 M. */
export function compact(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return unknown;
  const size = Math.abs(value);
  if (size >= 999_500) return `${figures(value / 1e6)} M`;
  if (size >= 9_995) return `${figures(value / 1e3)} k`;
  if (size >= 999.5) return Math.round(value).toLocaleString("en-US").replaceAll(",", "\u202f");
  return figures(value);
}

export function percent(value) {
  return value === null || value === undefined || Number.isNaN(value) ? unknown : `${figures(value)} %`;
}

export function bytes(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return unknown;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) { value /= 1024; unit++; }
  return `${unit === 0 ? value : figures(value)} ${units[unit]}`;
}

function figures(value) {
  const size = Math.abs(value);
  if (size >= 99.95 || Number.isInteger(value)) return Math.round(value).toString();
  return size >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}
