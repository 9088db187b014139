// Formats values for people. The exact value is always shown nearby: in a title, a table or the CSV.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_S = 86_400;

/** Formats three significant digits: 1.23, 12.3, 123. */
function digits(value) {
  const places = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return value.toFixed(places).replace(/\.?0+$/, (zeros) => (zeros.startsWith(".") ? "" : zeros));
}

function scaled(value, step, names, separator) {
  let place = 0;
  while (place + 1 < names.length && value >= step * 0.9995) {
    value /= step;
    place += 1;
  }
  return `${digits(value)}${separator}${names[place]}`.trim();
}

/** Formats a count: 12.3 k */
export function count(value) {
  return value < 10_000 ? whole.format(value) : scaled(value, 1000, ["", "k", "M", "G", "T", "P"], " ");
}

/** Formats an exact count: 12,345 */
export function exact(value) {
  return whole.format(value);
}

/** Formats a duration: 3 h 20 m */
export function duration(seconds) {
  const parts = [
    [Math.floor(seconds / DAY_S), "d"],
    [Math.floor((seconds % DAY_S) / 3600), "h"],
    [Math.floor((seconds % 3600) / 60), "m"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return "0 s";
  if (first === 0 && parts[0][0] >= 100) return `${whole.format(parts[0][0])} d`;
  return parts.slice(first, first + 2).filter(([amount]) => amount > 0).map(([amount, unit]) => `${amount} ${unit}`).join(" ");
}

/** Formats bytes: 1.4 GiB */
export function bytes(value) {
  return scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"], " ");
}

/** Formats a value of a column in the column's units. */
export function inUnits(units, value) {
  if (value === null || value === undefined) return "–";
  return { seconds: duration, milliseconds: (value) => duration(value / 1000), bytes, count }[units](value);
}

/** Like `inUnits`, but to the last digit. */
export function exactly(units, value) {
  if (value === null || value === undefined) return "no value";
  return units === "count" ? exact(value) : `${exact(value)} ${units}`;
}

/** Formats a part between 0 and 1 as a percentage: 4.2 %. */
export function percent(part) {
  if (part === null || part === undefined || !Number.isFinite(part)) return "–";
  const value = part * 100;
  return `${value === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(value < 0.095 ? 2 : 1)} %`;
}

const two = (number) => String(number).padStart(2, "0");

/** Formats a time: Tue, Nov 3 2026 or Tue, Nov 3 2026, 14:00 */
export function moment(ms, withTime) {
  const time = new Date(ms);
  const day = `${DAYS[time.getUTCDay()]}, ${MONTHS[time.getUTCMonth()]} ${time.getUTCDate()} ${time.getUTCFullYear()}`;
  return withTime ? `${day}, ${two(time.getUTCHours())}:${two(time.getUTCMinutes())}` : day;
}

/** Formats a bucket's start as plot data has it, for sorting and for the API: 2026-11-03T14:00 */
export function minute(ms) {
  return new Date(ms).toISOString().slice(0, 16);
}

/** The time of a `datetime` of plot data, in ms. The text is in UTC, but does not say so. */
export function instant(datetime) {
  return Date.parse(datetime.endsWith("Z") ? datetime : `${datetime}Z`);
}

export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Makes a sentence, with a capital letter and a full stop. */
export function sentence(text) {
  return capital(text).replace(/[^.!?…]$/, "$&.");
}
