// Data sets of the DICOM JSON model (PS3.18 F), and their values as people write them.

import type { components } from "./api";

export type Element = components["schemas"]["Attribute"];
export type DataSet = components["schemas"]["DicomJson"];

interface Name {
  Alphabetic?: string;
  Ideographic?: string;
  Phonetic?: string;
}

export const values = (ds: DataSet, tag: string): unknown[] => ds[tag]?.Value ?? [];

export const text = (ds: DataSet, tag: string): string => {
  const value = values(ds, tag)[0];
  return value == null ? "" : String(value).trim();
};

/** One component group as people write it: `Family, Given Middle`; East Asian names keep their order. */
const written = (group: string, separator: string): string => {
  const [family = "", given = "", middle = ""] = group.split("^").map((part) => part.trim());
  return [family, [given, middle].filter(Boolean).join(" ")].filter(Boolean).join(separator);
};

export const personName = (value: unknown): string => {
  const name = (value ?? {}) as Name;
  const alphabetic = written(name.Alphabetic ?? "", ", ");
  const ideographic = written(name.Ideographic ?? "", " ");
  if (alphabetic && ideographic) return `${alphabetic} (${ideographic})`;
  return alphabetic || ideographic || written(name.Phonetic ?? "", " ");
};

export const name = (ds: DataSet, tag: string): string => personName(values(ds, tag)[0]);

const dayFormat = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const timeFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/** A DA value as a Date at noon, so that no time zone moves it to another day. */
const asDate = (da: string): Date | null => {
  const found = /^(\d{4})(\d{2})(\d{2})$/.exec(da);
  return found ? new Date(Number(found[1]), Number(found[2]) - 1, Number(found[3]), 12) : null;
};

export const day = (da: string): string => {
  const date = asDate(da);
  return date ? dayFormat.format(date) : "";
};

/** A day near today by its name, which is how people speak of it; else the date. */
export const dayNearby = (da: string, now = new Date()): string => {
  const date = asDate(da);
  if (!date) return "";
  const days = Math.round((date.getTime() - new Date(now.getFullYear(), now.getMonth(), now.getDate(), 12).getTime()) / 86_400_000);
  return days === 0 ? "Today" : days === -1 ? "Yesterday" : dayFormat.format(date);
};

export const timeOfDay = (tm: string): string => {
  const found = /^(\d{2})(\d{2})?/.exec(tm);
  return found ? timeFormat.format(new Date(2000, 0, 1, Number(found[1]), Number(found[2] ?? 0))) : "";
};

/** Age in whole years on the day of the study. */
export const age = (born: string, on: string): string => {
  const birth = asDate(born);
  const then = asDate(on);
  if (!birth || !then || then < birth) return "";
  const years = then.getFullYear() - birth.getFullYear();
  const early = then.getMonth() * 100 + then.getDate() < birth.getMonth() * 100 + birth.getDate();
  const whole = early ? years - 1 : years;
  // Dates of birth that de-identification has made up are no ages.
  return whole <= 120 ? `${whole} y` : "";
};

const sexes: Record<string, string> = { F: "female", M: "male", O: "other" };
export const sex = (code: string): string => sexes[code] ?? "";

export const plural = (count: number, what: string): string => {
  const word = count === 1 ? what : what === "series" ? what : /[^aeiou]y$/.test(what) ? `${what.slice(0, -1)}ies` : `${what}s`;
  return `${count.toLocaleString()} ${word}`;
};
