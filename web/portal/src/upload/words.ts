// Sizes, times and names as people write them.

const UNITS = ["bytes", "kB", "MB", "GB", "TB"];

export const bytes = (count: number): string => {
  const step = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, count)) / 3)));
  const value = count / 1000 ** step;
  return `${value.toLocaleString(undefined, { maximumFractionDigits: step > 1 && value < 100 ? 1 : 0 })} ${UNITS[step]}`;
};

export const timeLeft = (seconds: number): string => {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return `${Math.max(1, Math.ceil(seconds))} s left`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 60 ? `${minutes} min left` : `${Math.floor(minutes / 60)} h ${minutes % 60} min left`;
};

/** A person name as people type it, `Family, Given Middle`, as DICOM writes it; carets are left as they are. */
export const personName = (typed: string): string => {
  const [family = "", given = ""] = typed.trim().split(/\s*,\s*/, 2);
  return typed.includes("^") || !given ? typed.trim() : [family, ...given.split(/\s+/)].join("^");
};

/** A UID made of a random UUID (PS3.5 B.2). */
export const newUid = (): string => {
  const random = crypto.getRandomValues(new Uint8Array(16));
  random[6] = ((random[6] ?? 0) & 0x0f) | 0x40;
  random[8] = ((random[8] ?? 0) & 0x3f) | 0x80;
  return `2.25.${BigInt(`0x${[...random].map((one) => one.toString(16).padStart(2, "0")).join("")}`)}`;
};
